"""Drawings show every GPU once, the job's in its colour and its slowest edge in red; whatever names contain."""

import json
from pathlib import Path
from xml.parsers import expat

import pytest

from csched.cli import main
from csched.domain.job import Pattern
from csched.domain.plan import Placement, Plan
from csched.domain.site import Partition, Site
from csched.errors import InputError
from csched.testing.builders import MONDAY
from csched.topology.catalogue import shipped
from csched.topology.graph import Medium
from csched.topology.scene import (
    DomainScene,
    Holding,
    NodeScene,
    PartitionScene,
    Scene,
    Slowest,
    Use,
    hardware_scene,
    holdings_of,
    job_slowdown,
    scene_of_part,
    site_scene,
)
from csched.topology.sketch import lines
from csched.topology.svg import document


def site(hardware: str, nodes: int) -> Site:
    partition = Partition(name="gpu", hardware=hardware, nodes=nodes)
    return Site(id="here", grid_zone="FR", pue=1.2, partitions=(partition,))


def classes(svg: str) -> list[str]:
    """The class of each shape, as an XML parser finds them."""
    found: list[str] = []
    parser = expat.ParserCreate()
    parser.StartElementHandler = lambda _tag, attributes: found.append(attributes.get("class", ""))
    parser.Parse(svg, True)
    return found


def gpu_count(svg: str) -> dict[str, int]:
    """GPUs by use; the legend's own squares are taken off."""
    return {use.value: max(0, classes(svg).count(use.value) - 1) for use in Use}


@pytest.mark.parametrize("key", shipped())
def test_every_hardware_is_drawn_with_all_its_gpus(key):
    scene = hardware_scene(shipped()[key])
    svg = document(scene)
    assert gpu_count(svg)["free"] == shipped()[key].gpus_per_domain
    assert "slow" not in classes(svg)
    text = "\n".join(lines(scene))
    assert text.count("□") == shipped()[key].gpus_per_domain + 1
    assert max(map(len, text.splitlines())) <= 120


def test_a_job_over_two_domains_waits_for_the_fabric():
    holdings = {"gpu-n0001": [Holding("other", 1), Holding("tp", 2)], "gpu-n0002": [Holding("tp", 2)]}
    scene = site_scene(site("leonardo-a100", 3), shipped(), holdings, "tp")
    assert scene.slowest == Slowest(Medium.FABRIC, 12.5)
    svg = document(scene)
    assert gpu_count(svg) == {"free": 7, "used": 1, "job": 4}
    assert classes(svg).count("slow") == 4 + 1, "a NIC of each GPU of the job, and the legend"
    text = "\n".join(lines(scene))
    assert "■ ● ● □" in text
    assert "slowest edge of job tp: fabric, 12.5 GB/s a GPU" in text


def test_a_job_inside_one_domain_waits_for_the_nvlinks_it_shares():
    quad = site_scene(site("leonardo-a100", 2), shipped(), {"gpu-n0002": [Holding("tp", 2)]}, "tp")
    assert quad.slowest == Slowest(Medium.NVLINK, 100)
    box = site_scene(site("dgx-h100", 2), shipped(), {"gpu-n0002": [Holding("tp", 2)]}, "tp")
    assert box.slowest == Slowest(Medium.NVLINK, 450)
    assert classes(document(box)).count("slow") == 2 + 1


def test_many_domains_become_cells_that_fill():
    holdings = {f"gpu-d003-n{number:02}": [Holding("llama", 4)] for number in range(1, 10)}
    holdings |= {"gpu-d004-n01": [Holding("llama", 4)], "gpu-d005-n01": [Holding("other", 4)]}
    scene = site_scene(site("gb300-nvl72", 18 * 250), shipped(), holdings, "llama")
    svg = document(scene)
    assert classes(svg).count("free") == 250 + 1
    assert (classes(svg).count("job"), classes(svg).count("used")) == (2 + 1, 1 + 1)
    assert len(svg) < 100_000
    text = "\n".join(lines(scene))
    assert "··●●▁·····" in text
    part = scene_of_part(scene, "gpu-d003")
    assert gpu_count(document(part)) == {"free": 36, "used": 0, "job": 36}
    assert part.slowest == Slowest(Medium.FABRIC, 100), "the whole job's, not the part's"


def test_names_are_text_whatever_they_contain():
    nasty = '"><script>alert(1)</script>&'
    scene = site_scene(site("dgx-h100", 1), shipped(), {"gpu-n0001": [Holding(nasty, 2)]}, nasty)
    hardware = shipped()["dgx-h100"]
    domain = DomainScene(nasty, (NodeScene(nasty, (Use.FREE,) * 8),))
    strange = Scene(nasty, (PartitionScene(nasty, hardware, (domain,), {}),))
    for svg in (document(scene), document(strange)):
        assert "<script" not in svg
        assert classes(svg)


def test_a_part_that_is_not_there_is_answered_with_the_nearest():
    scene = site_scene(site("gb300-nvl72", 36), shipped())
    with pytest.raises(InputError) as caught:
        scene_of_part(scene, "gpu-d009")
    assert "gpu-d00" in (caught.value.hint or "")
    node = scene_of_part(scene, "gpu-d002-n07")
    assert gpu_count(document(node))["free"] == 4


def test_a_plan_tells_who_holds_which_node():
    def placed(job: str, gpus: int, nodes: tuple[str, ...]) -> Placement:
        figures = dict.fromkeys(("kwh", "carbon_kg", "topology_kg", "egress_kg", "wait_h", "cost_kg"), 0.0)
        place = {"site": "here", "partition": "gpu", "start": MONDAY, "end": MONDAY, "nodes": nodes, "domains": ()}
        return Placement.model_validate({"job": job, "gpus": gpus, **place, **figures})

    placements = [placed("big", 12, ("gpu-n0001", "gpu-n0002")), placed("small", 2, ("gpu-n0003",))]
    holdings = holdings_of(placements, site("dgx-h100", 4), shipped())
    assert holdings == {
        "gpu-n0001": [Holding("big", 8)],
        "gpu-n0002": [Holding("big", 4)],
        "gpu-n0003": [Holding("small", 2)],
    }


def test_show_draws_a_site_and_writes_the_svg(tmp_path: Path, capsys):
    file = tmp_path / "site.svg"
    assert main(["topo", "show", "essonne", "--svg", str(file)]) == 0
    assert "gb300-d002-n18" in capsys.readouterr().out
    assert classes(file.read_text(encoding="utf-8"))
    assert main(["topo", "show", "essonne/gb300-d001", "--quiet"]) == 0
    assert capsys.readouterr().out.split() == ["gb300-d001"]


def test_show_says_what_a_jobs_places_cost_it(tmp_path: Path, capsys):
    figures = dict.fromkeys(("kwh", "carbon_kg", "topology_kg", "egress_kg", "wait_h", "cost_kg"), 0.0)
    place = {"site": "bologna", "partition": "a100", "start": MONDAY, "end": MONDAY, "domains": ()}
    placed = Placement.model_validate(
        {"job": "split", "gpus": 8, "nodes": ("a100-n0001", "a100-n0002"), **place, **figures}
    )
    zeros = dict.fromkeys(("placed_cost_kg", "cost_kg", "bound_kg", "gap", "seed", "build_s", "solve_s"), 0)
    told = {"solver": "test", "certificate": None, "policy_digest": None, "carbon_source": "test", "unplaced": ()}
    plan = Plan.model_validate(
        {"now": MONDAY, "horizon_h": 1, "slot_min": 15, "status": "feasible", "placements": (placed,), **zeros, **told}
    )
    file = tmp_path / "plan.json"
    file.write_text(plan.model_dump_json(by_alias=True))
    drawn = ["topo", "show", "bologna", "--plan", str(file), "--job", "split"]
    assert main([*drawn, "--pattern", "tp8"]) == 0
    assert "4 of 8 TP ranks cross InfiniBand: +0 % step time" in capsys.readouterr().out, "no shape of quads is better"
    assert main([*drawn, "--pattern", "fsdp", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["sigma"] == 1
    assert main([*drawn[:2], "bologna/a100-n0001", *drawn[3:], "--pattern", "dp"]) == 2


def test_a_job_in_more_domains_than_it_needs_is_slower():
    holdings = {"gpu-d001-n01": [Holding("tp", 4)], "gpu-d002-n01": [Holding("tp", 4)]}
    scene = site_scene(site("gb300-nvl72", 36), shipped(), holdings, "tp")
    found = job_slowdown(scene, Pattern.TP8)
    assert found is not None
    assert found.sigma > 1.1
    assert found.sentence().startswith("4 of 8 TP ranks cross InfiniBand: +")
    assert job_slowdown(scene_of_part(scene, "gpu-d001"), Pattern.NONE) is None


def test_show_of_what_is_not_there_says_what_is(tmp_path, capsys):
    assert main(["topo", "show", "esonne"]) == 3
    assert "did you mean `essonne`" in capsys.readouterr().err
    assert main(["topo", "show", "essonne", "--job", "x"]) == 2
    plan = tmp_path / "plan.json"
    plan.write_text("{}")
    assert main(["topo", "show", "essonne", "--plan", str(plan)]) == 3
    assert main(["topo", "show", "dgx-h100", "--svg", str(tmp_path)]) == 2
