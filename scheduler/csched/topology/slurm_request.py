"""What Slurm is asked so that it gives a job the nodes that a plan means, by what the site's topology plugin honours.

`topology/block` allocates by blocks and gives a job with a list of nodes nothing at all (Slurm's Topology Guide): it
is asked for segments, and kept off the other blocks by `--exclude`, which is safe. `topology/tree` and
`topology/flat` take the nodes themselves; where none are planned, a tree is asked for as few leaf switches as can be.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from csched.domain.hardware import Hardware
from csched.domain.job import Confidentiality, Job
from csched.domain.plan import Placement
from csched.topology.workload import asked_workload, group_of

BLOCK: Final = "topology/block"
TREE: Final = "topology/tree"


@dataclass(frozen=True)
class SlurmPartition:
    """How a site's Slurm sees a partition."""

    hardware: Hardware
    plugin: str | None = None
    """TopologyPlugin of slurm.conf; null is Slurm's default, flat."""
    blocks: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """NVLink domain as a plan calls it -> Slurm's names of its nodes, in order; empty: they are called as in a plan."""
    segments: bool = True
    """Whether its release knows --segment: 23.11 and newer."""
    leaf_nodes: int | None = None
    """Nodes below each leaf switch of a tree; null: not known."""


@dataclass(frozen=True)
class SlurmRequest:
    """Options of sbatch; what is null or empty is not given."""

    nodes: int
    exclusive: bool
    node_list: tuple[str, ...] = ()
    segment: int | None = None
    switches: int | None = None
    exclude: tuple[str, ...] = ()


def slurm_request(job: Job, placement: Placement, partition: SlurmPartition) -> SlurmRequest:
    """Nodes, --nodelist, --segment, --switches and --exclude for a job of one kind.

    Raises:
        ValueError: the plan names a node that Slurm's blocks do not have.
    """
    size = partition.hardware.gpus_per_node
    nodes = max(1, math.ceil(placement.gpus / size))
    confidential = job.requires_confidential not in {None, Confidentiality.NONE}
    asked = SlurmRequest(nodes, exclusive=placement.gpus >= size or confidential)
    if partition.plugin == BLOCK:
        return _on_blocks(asked, job, placement, partition)
    if placement.nodes:
        return SlurmRequest(nodes, asked.exclusive, node_list=_names(placement.nodes, partition))
    if partition.plugin == TREE and partition.leaf_nodes and nodes > 1:
        return SlurmRequest(nodes, asked.exclusive, switches=math.ceil(nodes / partition.leaf_nodes))
    return asked


def _on_blocks(asked: SlurmRequest, job: Job, placement: Placement, partition: SlurmPartition) -> SlurmRequest:
    segment = _segment(asked.nodes, job, placement, partition.hardware) if partition.segments else None
    meant = set(placement.domains or ())
    others = [node for block, names in partition.blocks.items() if meant and block not in meant for node in names]
    return SlurmRequest(asked.nodes, asked.exclusive, segment=segment, exclude=tuple(others))


def _segment(nodes: int, job: Job, placement: Placement, kind: Hardware) -> int | None:
    """Nodes that share a block: those of each planned domain where all have equally many, else of each group.

    Slurm wants segments that divide the nodes of the job.
    """
    if nodes < 2:
        return None
    group = math.lcm(group_of(asked_workload(job)), kind.gpus_per_node) // kind.gpus_per_node
    if placement.nodes and kind.nodes_per_domain > 1:
        planned = set(Counter(node.rpartition("-")[0] for node in placement.nodes).values())
        if len(planned) == 1:
            return planned.pop()
    elif not placement.nodes and nodes <= kind.nodes_per_domain:
        return nodes
    return group if 1 < group <= kind.nodes_per_domain and nodes % group == 0 else None


def _names(nodes: Sequence[str], partition: SlurmPartition) -> tuple[str, ...]:
    if not partition.blocks:
        return tuple(nodes)
    return tuple(_name(node, partition) for node in nodes)


def _name(node: str, partition: SlurmPartition) -> str:
    """A node is called by its domain and its number there; a domain of one node is called as the node."""
    domain, number = (node, 1) if node in partition.blocks else (node.rpartition("-")[0], _number(node))
    names = partition.blocks.get(domain, ())
    if not 1 <= number <= len(names):
        raise ValueError(f"Slurm has no node for `{node}` of the plan")
    return names[number - 1]


def _number(node: str) -> int:
    digits = node.rpartition("-n")[2]
    return int(digits) if digits.isdecimal() else 0
