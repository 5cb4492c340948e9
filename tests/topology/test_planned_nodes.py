"""The nodes of a plan are those that the topology draws, and a plan's jobs keep their groups together."""

from csched.domain.snapshot import SolveBudget
from csched.placement.engine import solve
from csched.testing.builders import fleet, job, site, snapshot
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


def test_groups_that_no_domain_holds_still_get_their_promised_nodes():
    quads = fleet(site(nodes=4, hardware="gh200-quad"))
    quads = quads.model_copy(update={"hardware": {**quads.hardware, "gh200-quad": shipped()["gh200-quad"]}})
    plan = solve(
        snapshot([job("tp", gpus=8, pattern="tp8")], fleet=quads),
        None,
        SolveBudget(seconds=None, work=1),
        policy_digest=None,
    )
    assert len(plan.placements[0].nodes or ()) == 2
