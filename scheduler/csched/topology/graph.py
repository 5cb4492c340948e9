"""The topology as a networkx graph: what can talk to what, and how fast, in GB/s of one direction.

Vertices carry `kind`; a GPU also carries `node` (what Slurm allocates) and `domain` (what NVLink joins), which are two
things: an NVL72 tray has 4 GPUs, its NVLink domain 72. An NVSwitch is one hub vertex: `NV18` on all 28 pairs of an
HGX board is the same 18 links of each GPU, shown seven times. GPUs joined without a switch have real pair edges.
A large site is drawn with one vertex for a whole domain (`gpus`, `nodes` are then counts), opened only on request.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Any, Final, TypeAlias

import networkx as nx

Topology: TypeAlias = "nx.Graph[str]"
"""Vertices and edges as this module makes them; edges carry `medium` and, where known, `gb_per_s`."""


class Kind(StrEnum):
    GPU = "gpu"
    NVSWITCH = "nvswitch"
    """All NVSwitches of one domain together."""
    PCI = "pci"
    """A PCIe switch, host bridge or NUMA node."""
    NIC = "nic"
    NODE = "node"
    """A node whose inside is not known."""
    DOMAIN = "domain"
    """A whole NVLink domain as one vertex; its attributes `gpus`, `nodes` and `nics` are counts."""
    SWITCH = "switch"
    """A switch of the fabric, or with `switches` a whole non-blocking tier of them."""
    SITE = "site"


class Medium(StrEnum):
    NVLINK = "nvlink"
    PCIE = "pcie"
    FABRIC = "fabric"
    WAN = "wan"


NVLINK_GB_PER_S_PER_LINK: Final[Mapping[int, float]] = {1: 20, 2: 25, 3: 25, 4: 25, 5: 50, 6: 100}
"""NVLink generation -> payload of one link in one direction. The headline figures of 600, 900 and 1800 GB/s a GPU
count both directions of all links: NVLink 4 is 18 x 25 = 450 GB/s."""

PCIE_GB_PER_S_PER_LANE: Final[Mapping[int, float]] = {3: 1, 4: 2, 5: 4, 6: 8}
"""PCIe generation -> one lane in one direction, rounded as in 32 GB/s for PCIe 4 x16."""

GBIT_PER_GBYTE: Final = 8


@dataclass(frozen=True)
class Counts:
    gpus: int
    nics: int
    switches: int
    """Switches of the fabric; NVSwitches are part of their domain."""
    nodes: int
    domains: int
    """NVLink domains; 0 where the graph knows no GPU or cannot tell."""

    def as_dict(self) -> dict[str, int]:
        return asdict(self)


@dataclass(frozen=True)
class Bottleneck:
    """The slowest edge on the best path between two vertices."""

    gb_per_s: float
    medium: Medium | None
    """null where nothing lies between: a vertex and itself."""
    edge: tuple[str, str] | None


def connect(graph: Topology, one: str, other: str, medium: Medium, gb_per_s: float | None, **facts: Any) -> None:
    """Add an edge of `gb_per_s` in one direction; where the two are already joined, the bandwidths add up.

    Raises:
        ValueError: a bandwidth that is not above 0, or an edge from a vertex to itself.
    """
    if one == other:
        raise ValueError(f"`{one}` cannot be joined to itself")
    if gb_per_s is not None and not (gb_per_s > 0 and math.isfinite(gb_per_s)):
        raise ValueError(f"a bandwidth of {gb_per_s} GB/s between `{one}` and `{other}`")
    known = graph.edges[one, other].get("gb_per_s") if graph.has_edge(one, other) else None
    total = gb_per_s if known is None else known + (gb_per_s or 0.0)
    graph.add_edge(one, other, medium=medium.value, **({"gb_per_s": total} if total is not None else {}), **facts)


def of_kind(graph: Topology, *kinds: Kind) -> list[str]:
    """Names of the vertices of these kinds, in the order they were added."""
    return [name for name in graph if graph.nodes[name]["kind"] in kinds]


def counts(graph: Topology) -> Counts:
    """What the graph holds; a vertex that stands for a whole domain counts for all that is in it."""
    gpus = nics = switches = closed_nodes = closed_domains = 0
    nodes: set[str] = set()
    domains: set[str] = set()
    for name, facts in graph.nodes(data=True):
        kind = facts["kind"]
        if kind == Kind.DOMAIN:
            gpus += facts["gpus"]
            nics += facts["nics"]
            closed_nodes += facts["nodes"]
            closed_domains += 1
            continue
        gpus += 1 if kind == Kind.GPU else facts.get("gpus", 0)
        nics += kind == Kind.NIC
        switches += facts.get("switches", 1) if kind == Kind.SWITCH else 0
        node = name if kind == Kind.NODE else facts.get("node")
        nodes |= {node} if node is not None else set()
        domains |= {facts["domain"]} if facts.get("domain") is not None else set()
    return Counts(gpus, nics, switches, closed_nodes + len(nodes), closed_domains + len(domains))


def bottleneck(graph: Topology, one: str, other: str) -> Bottleneck:
    """The widest path between two vertices, told by its slowest edge; edges of unknown bandwidth carry nothing.

    Raises:
        KeyError: a vertex that is not in the graph.
    """
    for name in (one, other):
        if name not in graph:
            raise KeyError(name)
    if one == other:
        return Bottleneck(math.inf, None, None)
    return _widest(graph, one, other) or Bottleneck(0.0, None, None)


def group_bottleneck(graph: Topology, members: Iterable[str]) -> Bottleneck:
    """The slowest edge that a ring through all `members` must use; the order of the members does not matter."""
    ordered = sorted(set(members))
    found = [bottleneck(graph, ordered[0], other) for other in ordered[1:]]
    # The widest path is an ultrametric: no pair is worse than the worst of both ways to the first member.
    return min(found, key=lambda each: (each.gb_per_s, each.edge or ()), default=Bottleneck(math.inf, None, None))


def seconds_per_gb(graph: Topology, one: str, other: str) -> float:
    """Store-and-forward time of one GB on the quickest path, in s/GB: a metric. Unjoined vertices are infinitely far.

    Raises:
        KeyError: a vertex that is not in the graph.
    """
    for name in (one, other):
        if name not in graph:
            raise KeyError(name)
    try:
        return float(nx.dijkstra_path_length(graph, one, other, weight=_edge_seconds))
    except nx.NetworkXNoPath:
        return math.inf


def crossings(graph: Topology, members: Iterable[str]) -> Mapping[str, int]:
    """NVLink domain -> how many of the GPUs `members` lie in it, largest first."""
    found: dict[str, int] = {}
    for name in members:
        domain = graph.nodes[name]["domain"]
        found[domain] = found.get(domain, 0) + 1
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def as_document(graph: Topology) -> dict[str, Any]:
    """Node-link data with `nodes` and `edges`, as networkx.node_link_graph(…, edges="edges") reads it."""
    document: dict[str, Any] = nx.node_link_data(graph, edges="edges")
    return document


def _edge_seconds(_one: str, _other: str, facts: Mapping[str, Any]) -> float | None:
    """None hides an edge of unknown bandwidth from Dijkstra."""
    return 1.0 / facts["gb_per_s"] if facts.get("gb_per_s") else None


def _widest(graph: Topology, one: str, other: str) -> Bottleneck | None:
    """The widest path runs in a maximum spanning tree; edges are added widest first until the two meet."""
    known = ((facts["gb_per_s"], *sorted((a, b))) for a, b, facts in graph.edges(data=True) if facts.get("gb_per_s"))
    joined = nx.utils.UnionFind(graph.nodes)
    tree: Topology = nx.Graph()
    for gb_per_s, near, far in sorted(known, key=lambda edge: (-edge[0], edge[1], edge[2])):
        if joined[near] == joined[far]:
            continue
        joined.union(near, far)
        tree.add_edge(near, far, gb_per_s=gb_per_s)
        if joined[one] == joined[other]:
            return _slowest(graph, tree, nx.shortest_path(tree, one, other))
    return None


def _slowest(graph: Topology, tree: Topology, path: Iterable[str]) -> Bottleneck:
    edge = min(_steps(path), key=lambda step: (tree.edges[step]["gb_per_s"], step))
    return Bottleneck(tree.edges[edge]["gb_per_s"], Medium(graph.edges[edge]["medium"]), edge)


def _steps(path: Iterable[str]) -> Iterator[tuple[str, str]]:
    for one, other in pairwise(path):
        yield (one, other) if one < other else (other, one)
