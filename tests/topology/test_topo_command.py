"""csched topo, as it is typed."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from csched.cli import main
from csched.testing.nvml import PROFILES, installed

MATRIX = (
    "\tGPU0\tGPU1\tNIC0\tCPU Affinity\nGPU0\t X \tNV18\tPIX\t0-15\nGPU1\tNV18\t X \tSYS\t0-15\nNIC0\tPIX\tSYS\t X \n"
)


@pytest.fixture
def matrix(tmp_path: Path) -> Path:
    file = tmp_path / "matrix.txt"
    file.write_text(MATRIX)
    return file


def test_import_tells_the_published_document(matrix, capsys):
    assert main(["topo", "import", str(matrix), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert list(document) == ["format", "counts", "graph", "warnings"]
    assert document["counts"] == {"gpus": 2, "nics": 1, "switches": 0, "nodes": 1, "domains": 1}
    assert {"source": "GPU0", "target": "GPU1", "medium": "nvlink", "gb_per_s": 450.0, "links": 18} in document[
        "graph"
    ]["edges"]


def test_import_says_counts_and_doubts(matrix, capsys):
    assert main(["topo", "import", str(matrix)]) == 0
    said = capsys.readouterr()
    assert "nvidia-smi-topo" in said.out
    assert "one direction" in said.err
    assert main(["topo", "import", str(matrix), "--quiet"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "gpus 2"


def test_import_of_nothing_known_exits_3_with_the_place(tmp_path, capsys):
    file = tmp_path / "letter.txt"
    file.write_text("Dear admin\n")
    assert main(["topo", "import", str(file), "--json"]) == 3
    error = json.loads(capsys.readouterr().out)["error"]
    assert (error["code"], error["where"]) == ("BadInput", {"file": str(file), "line": 1})


def test_discover_shows_each_gpu_and_its_domain(capsys):
    with installed(PROFILES["GB200"]):
        assert main(["topo", "discover", "--node", "r01n05"]) == 0
    said = capsys.readouterr().out
    assert "r01n05/gpu3" in said
    assert "900" in said
    assert "01020304-0506-0708-090a-0b0c0d0e0f10.2" in said


def test_discover_tells_where_slurm_believes_something_else(tmp_path, capsys):
    conf = tmp_path / "gres.conf"
    conf.write_text("NodeName=n[0-3] Name=gpu File=/dev/nvidia[0-3]\n")
    with installed(PROFILES["H100"]):
        assert main(["topo", "discover", "--node", "n2", "--against", str(conf), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["counts"]["gpus"] == 8
    assert document["drift"] == [{"node": "n2", "what": "gpus", "believed": "4 GPUs", "seen": "8"}]
    with installed(PROFILES["GB200"]):
        assert main(["topo", "discover", "--node", "n2", "--against", str(conf)]) == 0
    assert "Slurm believes the same" in capsys.readouterr().out


def test_discover_without_gpus_says_why_and_is_no_failure(capsys):
    with installed(replace(PROFILES["H100"], library_found=False)):
        assert main(["topo", "discover", "--quiet"]) == 0
    said = capsys.readouterr()
    assert said.out.splitlines()[0] == "gpus 0"
    assert "Not Found" in said.err


TWO_RACKS = """\
schema: csched/fleet/1
sites:
  - {id: alpha, country: FR, grid_zone: FR, pue: 1.2, partitions: [{name: gb300, hardware: gb300-nvl72, domains: 2}]}
"""
NO_TWO_IN_ONE_RACK = "job,gpus,time_limit_s,pattern\na,48,36000,fsdp\nb,48,36000,fsdp\nc,40,36000,fsdp\n"


@pytest.fixture
def planned_racks(tmp_path, capsys):
    """A plan in which one of three jobs has to lie in two racks: its file, the fleet's, and what was said."""
    fleet, jobs, plan = tmp_path / "fleet.yaml", tmp_path / "jobs.csv", tmp_path / "plan.json"
    fleet.write_text(TWO_RACKS, encoding="utf-8")
    jobs.write_text(NO_TWO_IN_ONE_RACK, encoding="utf-8")
    given = ["--fleet", str(fleet), "--jobs", str(jobs), "--carbon", "climatology", "--horizon", "1s", "--work", "1"]
    assert main(["plan", *given, "--now", "2026-03-02T00:00:00Z", "--json", str(plan)]) == 0
    return plan, fleet, capsys.readouterr().out


def test_a_plan_says_which_job_is_slowed_by_its_places(planned_racks):
    plan, _, said = planned_racks
    slowed = [each for each in json.loads(plan.read_text(encoding="utf-8"))["placements"] if each["sigma"] > 1]
    assert len(slowed) == 1
    assert f"{slowed[0]['job']}: {slowed[0]['bottleneck']}" in " ".join(said.split())


def test_show_draws_a_planned_job_with_the_cost_of_its_places(planned_racks, tmp_path, capsys):
    plan, fleet, _ = planned_racks
    slowed = next(each for each in json.loads(plan.read_text(encoding="utf-8"))["placements"] if each["sigma"] > 1)
    drawing = tmp_path / "alpha.svg"
    shown = ["topo", "show", "alpha", "--fleet", str(fleet), "--plan", str(plan), "--job", slowed["job"]]
    assert main([*shown, "--svg", str(drawing), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["sigma"], document["cost"]) == (slowed["sigma"], slowed["bottleneck"])
    assert document["slowest"]["medium"] == "fabric"
    assert sum(node["gpus"].count("job") for each in document["domains"] for node in each["nodes"]) == slowed["gpus"]
    assert "<svg" in drawing.read_text(encoding="utf-8")
    assert main(shown) == 0
    assert slowed["bottleneck"] in " ".join(capsys.readouterr().out.split())
