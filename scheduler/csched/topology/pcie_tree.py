"""From how close devices are on PCIe to the tree of bridges between them."""

from collections.abc import Callable, Sequence
from enum import IntEnum
from itertools import combinations

import networkx as nx

from csched.topology.graph import Kind, Medium, Topology, connect


class Closeness(IntEnum):
    """NVML's nvmlGpuTopologyLevel_t, and how `nvidia-smi topo -m` spells it; lower is closer."""

    INTERNAL = 0
    PIX = 10
    """At most one PCIe bridge between."""
    PXB = 20
    """Several PCIe bridges, no host bridge."""
    PHB = 30
    """A PCIe host bridge, typically the CPU."""
    NODE = 40
    """Host bridges of one NUMA node."""
    SYS = 50
    """The link between NUMA nodes."""


_MEETING = {
    Closeness.PIX: "bridge",
    Closeness.PXB: "bridges",
    Closeness.PHB: "host bridge",
    Closeness.NODE: "numa node",
    Closeness.SYS: "system",
}


def add_pcie_tree(
    graph: Topology,
    devices: Sequence[str],
    closeness: Callable[[str, str], Closeness | None],
    node: str,
    gb_per_s: float | None = None,
) -> None:
    """Join `devices` of one node by the fewest bridges that explain how close they are.

    `closeness` is null where it is not known, such as for GPUs of which only the NVLinks are told. Each device hangs
    on a bridge of its own level; `gb_per_s` is that of every edge, one direction.
    """
    tops = {device: device for device in devices}
    for level, meeting in _MEETING.items():
        groups = _groups(devices, closeness, level, tops)
        for number, group in enumerate(group for group in groups if len({tops[device] for device in group}) > 1):
            bridge = f"{node}/{meeting}{number}" if level is not Closeness.SYS else f"{node}/{meeting}"
            graph.add_node(bridge, kind=Kind.PCI.value, node=node, level=level.name)
            for top in dict.fromkeys(tops[device] for device in group):
                connect(graph, top, bridge, Medium.PCIE, gb_per_s)
            tops.update(dict.fromkeys(group, bridge))


def _groups(
    devices: Sequence[str],
    closeness: Callable[[str, str], Closeness | None],
    level: Closeness,
    tops: dict[str, str],
) -> list[list[str]]:
    """Devices that are `level` or closer together, in order; those already below one bridge stay together."""
    close: nx.Graph[str] = nx.Graph()
    close.add_nodes_from(devices)
    for one, other in combinations(devices, 2):
        told = closeness(one, other)
        if tops[one] == tops[other] or (told is not None and told <= level):
            close.add_edge(one, other)
    order = {device: position for position, device in enumerate(devices)}
    return sorted(
        (sorted(group, key=order.__getitem__) for group in nx.connected_components(close)), key=lambda g: order[g[0]]
    )
