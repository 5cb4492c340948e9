"""The nodes of a plan are those that the topology draws, and a plan's jobs keep their groups together."""

from collections import Counter
from datetime import timedelta

import pytest

from csched.domain.hardware import Hardware
from csched.domain.plan import Explanation
from csched.domain.snapshot import SolveBudget
from csched.domain.verdict import ReasonCode
from csched.placement.check import faults
from csched.placement.engine import solve
from csched.placement.explain import options
from csched.report.options import options as rendered
from csched.testing.builders import MONDAY, fleet, job, occupation, site, snapshot
from csched.topology.catalogue import shipped
from csched.topology.graph import Kind, of_kind
from csched.topology.scene import site_scene
from csched.topology.site_graph import site_graph

RACKS = fleet(site(partitions=[{"name": "gpu", "hardware": "rack72", "domains": 3}]))


def test_planned_nodes_and_domains_are_those_of_the_site():
    jobs = [
        job("large", gpus=96, pattern="fsdp"),
        *(job(f"tp{n}", gpus=40, pattern="tp8") for n in range(2)),
        job("s", gpus=2),
    ]
    plan = solve(snapshot(jobs, fleet=RACKS), None, SolveBudget(seconds=None, work=1), policy_digest=None)
    where = RACKS.sites[0]
    known = {name.rpartition("/")[2] for name in of_kind(site_graph(where, RACKS.hardware), Kind.DOMAIN)}
    drawn = {
        node.name
        for part in site_scene(where, RACKS.hardware).partitions
        for each in part.domains
        for node in each.nodes
    }
    held: list[str] = []
    for placed in plan.placements:
        assert placed.nodes
        assert placed.domains
        assert set(placed.domains) <= known
        assert set(placed.nodes) <= drawn
        assert {node.rpartition("-")[0] for node in placed.nodes} == set(placed.domains)
        held += placed.nodes
    assert len(held) == len(set(held)) == 24 + 10 + 10 + 1
    by_job = {placed.job: placed for placed in plan.placements}
    assert [len(by_job[f"tp{number}"].domains or ()) for number in range(2)] == [1, 1], (
        "whole racks are not broken into"
    )


def quads(*, nodes: int):
    where = fleet(site(nodes=nodes, hardware="gh200-quad"))
    return where.model_copy(update={"hardware": {**where.hardware, "gh200-quad": shipped()["gh200-quad"]}})


def planned(jobs, where, **more):
    """A plan that its own check finds nothing wrong with."""
    asked = snapshot(jobs, fleet=where, **more)
    plan = solve(asked, None, SolveBudget(seconds=None, work=1), policy_digest=None)
    assert faults(plan, asked, None) == []
    return plan


def test_a_group_that_no_domain_holds_is_left_out_with_a_reason_and_its_penalty_stays():
    plan = planned([job("tp", gpus=8, pattern="tp8")], quads(nodes=4))
    left = plan.unplaced_of["tp"]
    assert left.penalty_kg is not None
    assert [(why.code, why.message) for why in left.reasons] == [
        (
            ReasonCode.NO_SUCH_HARDWARE,
            "tensor-parallel groups of 8 need one NVLink domain of 8 GPUs; alpha/gpu has domains of 4",
        )
    ]


def test_smaller_groups_fit_the_same_domains():
    plan = planned([job("tp", gpus=8, pattern="tp8", tensor_parallel=4)], quads(nodes=4))
    assert len(plan.placements[0].nodes or ()) == 2


def test_more_groups_than_the_domains_hold_are_too_large():
    three_of_a_rack = fleet(site(partitions=[{"name": "gpu", "hardware": "rack72", "nodes": 3}]))
    plan = planned([job("tp", gpus=12, tensor_parallel=4)], three_of_a_rack)
    assert plan.placements
    two_racks = fleet(site(partitions=[{"name": "gpu", "hardware": "rack72", "domains": 2}]))
    plan = planned([job("tp", gpus=120, tensor_parallel=40)], two_racks)
    assert [why.code for why in plan.unplaced_of["tp"].reasons] == [ReasonCode.TOO_LARGE]


def test_what_does_not_fit_the_pieces_starts_later_or_is_left_out_with_the_reason():
    two_boxes = fleet(site(nodes=2))
    plan = planned([job(name, gpus=5) for name in "abc"], two_boxes)
    starts = sorted(placed.start for placed in plan.placements)
    assert len(starts) == 3
    assert starts[1] == MONDAY < starts[2]
    assert all(placed.nodes for placed in plan.placements if placed.start == MONDAY)
    at_once = {"deadline": MONDAY + timedelta(hours=1)}
    plan = planned([job(name, gpus=5, **at_once) for name in "abc"], two_boxes)
    assert len(plan.placements) == 2
    assert [why.code for why in plan.unplaced[0].reasons] == [ReasonCode.CAPACITY]
    assert "in pieces" in plan.unplaced[0].reasons[0].message


def test_nodes_that_running_jobs_have_are_nobody_elses():
    two_boxes = fleet(site(nodes=3))
    busy = occupation("old", 8, 4).model_copy(update={"nodes": ("gpu-n0002",)})
    plan = planned([job("a", gpus=8), job("b", gpus=8)], two_boxes, running=[busy])
    assert {placed.nodes for placed in plan.placements} == {("gpu-n0001",), ("gpu-n0003",)}
    unknown = occupation("old", 8, 4)
    plan = planned([job("a", gpus=8)], two_boxes, running=[unknown])
    assert plan.placements[0].nodes is None
    elsewhere = busy.model_copy(update={"nodes": ("their-own-name",)})
    assert planned([job("a", gpus=8)], two_boxes, running=[elsewhere]).placements[0].nodes is None


def torn_racks():
    """Two racks in each of which eight of eighteen nodes are free, and a job that needs all of them at once."""
    two_racks = fleet(site(partitions=[{"name": "gpu", "hardware": "gb300-nvl72", "domains": 2}]))
    two_racks = two_racks.model_copy(update={"hardware": {"gb300-nvl72": shipped()["gb300-nvl72"]}})
    nodes = tuple(f"gpu-d00{rack}-n{node:02}" for rack in (1, 2) for node in range(1, 11))
    busy = occupation("old", 80, 30).model_copy(update={"nodes": nodes})
    now = {"deadline": MONDAY + timedelta(hours=1)}
    return two_racks, busy, now


def test_a_worse_shape_costs_carbon_and_says_which_edge_it_waits_for():
    two_racks, busy, now = torn_racks()
    plan = planned([job("wide", gpus=64, pattern="fsdp", **now)], two_racks, running=[busy])
    placed = plan.placements[0]
    assert len(placed.domains or ()) == 2
    assert placed.sigma > 1
    assert placed.topology_kg == pytest.approx((placed.sigma - 1) * placed.carbon_kg)
    assert placed.cost_kg == pytest.approx(placed.carbon_kg + placed.topology_kg)
    assert placed.bottleneck is not None
    assert "FSDP ranks cross InfiniBand" in placed.bottleneck
    assert plan.bound_kg <= plan.cost_kg
    plain = planned([job("wide", gpus=64, **now)], two_racks, running=[busy]).placements[0]
    assert (plain.sigma, plain.topology_kg, plain.bottleneck) == (1.0, 0.0, None)


def test_explain_names_the_bottleneck():
    two_racks, busy, now = torn_racks()
    asked = snapshot([job("wide", gpus=64, pattern="fsdp", **now)], fleet=two_racks, running=[busy])
    plan = solve(asked, None, SolveBudget(seconds=None, work=1), policy_digest=None)
    (chosen,) = options(asked, None, plan, "wide")
    assert chosen.bottleneck == plan.placements[0].bottleneck is not None
    said = [each for each in rendered(Explanation(options=(chosen,)), "alpha").view if isinstance(each, str)]
    assert f"Its places slow it down: {chosen.bottleneck}." in said


def test_spares_are_offered_to_nobody():
    racks = fleet(site(partitions=[{"name": "gpu", "hardware": "rack72", "domains": 2, "spare_nodes_per_domain": 2}]))
    plan = planned([job("large", gpus=128, pattern="fsdp"), job("small", gpus=4)], racks)
    large = plan.placement_of["large"]
    assert Counter(node.rpartition("-")[0] for node in large.nodes or ()) == {"gpu-d001": 16, "gpu-d002": 16}
    assert large.sigma == 1
    assert plan.placement_of["small"].start > large.start


def test_confidential_jobs_share_no_node():
    plan = planned([job("secret", gpus=2, requires_confidential="gpu"), job("plain", gpus=2)], fleet(site(nodes=2)))
    assert plan.placement_of["secret"].nodes != plan.placement_of["plain"].nodes


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"nodes": ("gpu-n0001",), "domains": ("gpu-n0001",)}, "more than they have"),
        ({"nodes": None, "domains": None}, "without nodes"),
        ({"nodes": ("gpu-n0009",), "domains": ("gpu-n0009",)}, "has not"),
        ({"domains": ("gpu-n0001",)}, "other NVLink domains"),
        ({"sigma": 1.5}, "sigma"),
    ],
)
def test_the_check_finds_wrong_nodes(change, said):
    asked = snapshot([job("a", gpus=8), job("b", gpus=8)], fleet=fleet(site(nodes=2)))
    plan = solve(asked, None, SolveBudget(seconds=None, work=1), policy_digest=None)
    other = next(placed for placed in plan.placements if placed.nodes != ("gpu-n0001",))
    placements = tuple(placed.model_copy(update=change) if placed is other else placed for placed in plan.placements)
    found = faults(plan.model_copy(update={"placements": placements}), asked, None)
    assert any(said in fault for fault in found), found


def test_slices_of_gpus_are_a_kind_of_hardware_of_their_own():
    sliced = {
        "key": "h100-1g.10gb",
        "kw_per_gpu": 10.2 / 8 / 7,
        "gpus_per_node": 56,
        "nodes_per_domain": 1,
        "nvlink_graph": "pcie",
    }
    parted = fleet(site(hardware="h100-1g.10gb", nodes=2))
    parted = parted.model_copy(
        update={"hardware": {**parted.hardware, "h100-1g.10gb": Hardware.model_validate(sliced)}}
    )
    plan = planned([job(name, gpus=gpus) for name, gpus in (("a", 1), ("b", 3), ("c", 56), ("d", 50))], parted)
    assert {placed.start for placed in plan.placements} == {MONDAY}
    held = Counter(node for placed in plan.placements for node in placed.nodes or ())
    assert sorted(held.values()) == [1, 3], "small jobs share a node"
    assert plan.placement_of["a"].kwh == pytest.approx(10.2 / 8 / 7)
