"""What Slurm is asked for a placement: what its topology plugin honours, and nothing that it would take amiss."""

import pytest

from csched.testing.builders import MONDAY, job
from csched.testing.planner import placement
from csched.topology.catalogue import shipped
from csched.topology.slurm_request import BLOCK, TREE, SlurmPartition, slurm_request

RACK, BOX = shipped()["gb300-nvl72"], shipped()["dgx-h100"]
RACKS = {f"gpu-d00{rack}": [f"r{rack}n{node:02}" for node in range(1, 19)] for rack in (1, 2, 3)}


def asked(*, gpus, nodes=None, **columns):
    wanted = job("a", gpus=gpus, **columns)
    domains = nodes and tuple(dict.fromkeys(node.rpartition("-")[0] for node in nodes))
    return wanted, placement(wanted, "alpha", "gpu", MONDAY).model_copy(update={"nodes": nodes, "domains": domains})


def rack_nodes(**counts):
    return tuple(f"gpu-{rack}-n{node:02}" for rack, count in counts.items() for node in range(1, count + 1))


def test_blocks_are_asked_for_segments_never_for_nodes():
    found = slurm_request(*asked(gpus=128, nodes=rack_nodes(d001=16, d002=16)), SlurmPartition(RACK, BLOCK, RACKS))
    assert (found.nodes, found.segment, found.exclusive, found.node_list) == (32, 16, True, ())
    assert found.exclude == tuple(RACKS["gpu-d003"]), "the other blocks"


def test_uneven_domains_are_asked_for_whole_groups():
    nodes = rack_nodes(d001=6, d002=4)
    found = slurm_request(*asked(gpus=40, nodes=nodes, pattern="tp8"), SlurmPartition(RACK, BLOCK))
    assert (found.nodes, found.segment) == (10, 2)
    plain = slurm_request(*asked(gpus=40, nodes=nodes), SlurmPartition(RACK, BLOCK))
    assert plain.segment is None


def test_what_fits_a_block_stays_in_one_where_no_nodes_are_planned():
    assert slurm_request(*asked(gpus=40), SlurmPartition(RACK, BLOCK)).segment == 10
    assert slurm_request(*asked(gpus=40), SlurmPartition(RACK, BLOCK, segments=False)).segment is None
    assert slurm_request(*asked(gpus=80), SlurmPartition(RACK, BLOCK)).segment is None


@pytest.mark.parametrize("plugin", [None, "topology/flat", TREE])
def test_trees_and_flat_clusters_get_the_nodes_by_their_own_names(plugin):
    nodes = ("gpu-d002-n03", "gpu-d002-n04")
    found = slurm_request(*asked(gpus=8, nodes=nodes), SlurmPartition(RACK, plugin, RACKS))
    assert found.node_list == ("r2n03", "r2n04")
    assert (found.segment, found.switches, found.exclude) == (None, None, ())
    assert slurm_request(*asked(gpus=8, nodes=nodes), SlurmPartition(RACK, plugin)).node_list == nodes
    boxes = {"gpu-n0001": ["h1"], "gpu-n0002": ["h2"]}
    assert slurm_request(*asked(gpus=8, nodes=("gpu-n0002",)), SlurmPartition(BOX, plugin, boxes)).node_list == ("h2",)


def test_a_tree_is_asked_for_few_leaves_where_no_nodes_are_planned():
    assert slurm_request(*asked(gpus=80), SlurmPartition(BOX, TREE, leaf_nodes=8)).switches == 2
    assert slurm_request(*asked(gpus=8), SlurmPartition(BOX, TREE, leaf_nodes=8)).switches is None
    assert slurm_request(*asked(gpus=80), SlurmPartition(BOX, TREE)).switches is None


def test_parts_of_nodes_are_shared_unless_the_job_is_confidential():
    assert not slurm_request(*asked(gpus=2), SlurmPartition(BOX)).exclusive
    assert slurm_request(*asked(gpus=2, requires_confidential="gpu"), SlurmPartition(BOX)).exclusive


def test_a_node_that_slurm_has_not_is_an_error():
    with pytest.raises(ValueError, match="gpu-d009-n01"):
        slurm_request(*asked(gpus=4, nodes=("gpu-d009-n01",)), SlurmPartition(RACK, None, RACKS))
