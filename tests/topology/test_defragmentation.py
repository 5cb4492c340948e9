"""Moves that make room: they work, they are few, and their cost is that of those who move."""

import json

import pytest

from csched.cli import main
from csched.testing.builders import fleet, job, occupation, site, snapshot
from csched.topology.catalogue import shipped
from csched.topology.defragmentation import Running, defragment
from csched.topology.packing import Request, Room, Share, pack

RACK = shipped()["gb300-nvl72"].model_copy(update={"nodes_per_domain": 4})
KW = 2.0


def taken(*where: tuple[int, int]) -> Room:
    """Three racks of four nodes, some of them taken as a whole."""
    room = Room.empty(RACK, 12)
    for domain, node in where:
        room.free[domain, node] = 0
    return room


def runs(job: str, *where: tuple[int, int], gpus: int = 4) -> Running:
    return Running(job, tuple(Share(domain, node, gpus) for domain, node in where), KW * len(where))


def test_one_small_job_moves_so_that_a_rack_is_free():
    room = taken((0, 0), (1, 0), (1, 1), (2, 0), (2, 1))
    waiting = Request("tp16", 16, group=16)
    movable = [runs("b", (1, 0), (1, 1)), runs("a", (0, 0))]
    found = defragment(waiting, room, movable, [waiting], pause_s=1800)
    assert found is not None
    assert list(found.moves) == ["a"]
    assert {share.domain for share in found.place} == {0}
    assert {share.domain for share in found.moves["a"]} <= {1, 2}
    assert (found.gpu_hours, found.it_kwh) == (pytest.approx(2.0), pytest.approx(1.0))
    assert found.fragmentation_after < found.fragmentation_before


def test_nothing_is_proposed_where_nothing_is_needed_or_nothing_helps():
    waiting = Request("tp16", 16, group=16)
    assert defragment(waiting, taken((0, 0)), [runs("a", (0, 0))], [waiting], 600) is None
    full = taken(*((domain, node) for domain in range(3) for node in (0, 1, 2)))
    assert pack([waiting], full).left
    assert defragment(waiting, full, [runs("a", (0, 0))], [waiting], 600) is None


def test_what_lies_in_one_rack_keeps_to_one():
    room = taken((0, 0), (0, 1), (1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2))
    waiting = Request("tp16", 16, group=16)
    assert defragment(waiting, room, [runs("a", (0, 0), (0, 1))], [waiting], 600) is None, "it would be torn"
    assert defragment(waiting, room, [runs("a", (0, 0)), runs("b", (0, 1))], [waiting], 600) is not None


def test_the_command_proposes_moves_with_their_cost(tmp_path, capsys):
    boxes = fleet(site(pue=1.5, nodes=2))
    busy = [occupation(f"r{number}", 4, 9).model_copy(update={"nodes": (f"gpu-n000{number}",)}) for number in (1, 2)]
    asked = snapshot([job("17", gpus=8)], fleet=boxes, running=busy)
    file = tmp_path / "now.json"
    file.write_text(asked.model_dump_json(by_alias=True), encoding="utf-8")
    command = ["topo", "defrag", str(file), "--job", "17", "--movable", "r2", "--pause", "30m"]
    assert main([*command, "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["proposals"]
    assert (found["nodes"], found["moves"]) == (["gpu-n0002"], {"r2": ["gpu-n0001"]})
    assert found["gpu_hours"] == pytest.approx(2.0)
    assert found["carbon_kg"] == pytest.approx(4 * 0.5 * 1.5 * 100 / 1000)
    assert main(command) == 0
    assert "r2 has moved to gpu-n0001" in " ".join(capsys.readouterr().out.split())
    assert main(["topo", "defrag", str(file), "--job", "18"]) == 3
