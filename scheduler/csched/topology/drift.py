"""Where Slurm's belief and the GPUs' own word differ."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

from csched.topology.graph import Kind, Medium, Topology, of_kind
from csched.topology.importers.slurm_gres import EVERY_NODE

_DEVICE_FILE = re.compile(r"nvidia\d+")


@dataclass(frozen=True)
class Drift:
    node: str
    what: str
    """`gpus`, `devices`, `links` or `domain`."""
    believed: str
    seen: str

    def __str__(self) -> str:
        return f"{self.node}: Slurm believes {self.believed}, NVML sees {self.seen}"


def drift(believed: Topology, seen: Topology) -> list[Drift]:
    """Differences on the nodes that both graphs know, by node.

    `believed` is imported from gres.conf, topology.conf or topology.yaml; `seen` is discovered on one or more nodes.
    """
    found: list[Drift] = []
    seen_gpus = _gpus_by_node(seen)
    believed_gpus = _gpus_by_node(believed)
    for node, gpus in sorted(seen_gpus.items()):
        told = believed_gpus.get(node) or believed_gpus.get(EVERY_NODE)
        if told is not None:
            found += _device_drift(node, believed, told, seen, gpus)
    found += _domain_drift(believed, seen)
    return found


def _device_drift(node: str, believed: Topology, told: list[str], seen: Topology, gpus: list[str]) -> Iterator[Drift]:
    # With MIG on, gres.conf has one line for each slice.
    schedulable = sum(seen.nodes[gpu].get("mig", 1) for gpu in gpus)
    if len(told) != schedulable:
        yield Drift(node, "gpus", f"{len(told)} GPUs", f"{schedulable}")
        return
    files = {name.rsplit("/", 1)[-1] for name in told}
    devices = {f"nvidia{seen.nodes[gpu]['minor']}" for gpu in gpus if "minor" in seen.nodes[gpu]}
    if all(_DEVICE_FILE.fullmatch(name) for name in files) and devices and files != devices:
        yield Drift(node, "devices", _listed(files), _listed(devices))
    believed_pairs, seen_pairs = _mesh_pairs(believed, told), _mesh_pairs(seen, gpus)
    if believed_pairs and believed_pairs != seen_pairs:
        yield Drift(node, "links", f"NVLinks on {believed_pairs} pairs of GPUs", f"{seen_pairs}")


def _domain_drift(believed: Topology, seen: Topology) -> Iterator[Drift]:
    blocks = {
        node: believed.nodes[node]["domain"]
        for node in of_kind(believed, Kind.NODE)
        if "domain" in believed.nodes[node]
    }
    cliques = {seen.nodes[gpu]["node"]: seen.nodes[gpu]["domain"] for gpu in of_kind(seen, Kind.GPU)}
    sizes = Counter(blocks.values())
    for node, clique in sorted(cliques.items()):
        if node in blocks and clique == node and sizes[blocks[node]] > 1:
            nodes = f"block {blocks[node]} of {sizes[blocks[node]]} nodes"
            yield Drift(node, "domain", nodes, "an NVLink domain of this node alone")
        elif blocks and node not in blocks and clique != node:
            yield Drift(node, "domain", "no block", f"NVLink domain {clique}")
    shared = sorted(node for node in cliques if node in blocks and cliques[node] != node)
    for one, other in combinations(shared, 2):
        together = blocks[one] == blocks[other]
        if together != (cliques[one] == cliques[other]):
            believed_as = f"{one} and {other} in {'one block' if together else 'two blocks'}"
            yield Drift(other, "domain", believed_as, "two NVLink domains" if together else "one NVLink domain")


def _gpus_by_node(graph: Topology) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for gpu in of_kind(graph, Kind.GPU):
        found.setdefault(graph.nodes[gpu]["node"], []).append(gpu)
    return found


def _mesh_pairs(graph: Topology, gpus: list[str]) -> int:
    """Pairs of these GPUs with NVLinks of their own; a switch in between is no pair."""
    return sum(
        graph.has_edge(one, other) and graph.edges[one, other]["medium"] == Medium.NVLINK
        for one, other in combinations(gpus, 2)
    )


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names))
