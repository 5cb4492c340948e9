"""The result of reading a topology file, and what its readers share."""

from dataclasses import dataclass
from typing import Any, Final

from csched.errors import InputError, Where
from csched.topology.graph import Counts, Topology, as_document, counts

MAX_VERTICES: Final = 250_000
"""A file that names more is not a cluster."""
THIS_NODE: Final = "node"
"""What a node is called of which a tool tells all but the name."""
NO_FABRIC_UUID: Final = frozenset("0-")
"""Characters of the all-zero cluster UUID that hosts without a multi-node NVLink fabric report."""


@dataclass(frozen=True)
class Imported:
    format: str
    graph: Topology
    warnings: tuple[str, ...] = ()
    """What the file does not tell or what was left out, one sentence each."""

    @property
    def counts(self) -> Counts:
        return counts(self.graph)

    def as_dict(self) -> dict[str, Any]:
        """The published document of `topo import --json`."""
        return {
            "format": self.format,
            "counts": self.counts.as_dict(),
            "graph": as_document(self.graph),
            "warnings": list(self.warnings),
        }


def nvlink_domain(cluster_uuid: str, clique_id: str, node: str) -> str:
    """`clusterUuid.cliqueId`, the key of `nvidia.com/gpu.clique`; the node itself where no fabric spans nodes.

    An all-zero UUID is every such host's: taken as a key it would merge all HGX nodes into one domain.
    """
    told = cluster_uuid.strip()
    if not told or told.upper() == "N/A" or set(told) <= NO_FABRIC_UUID:
        return node
    return f"{told}.{clique_id.strip()}"


def require_bounded(graph: Topology, file: str, line: int | None = None) -> None:
    """Raises InputError once a file has made more vertices than any cluster has."""
    if graph.number_of_nodes() > MAX_VERTICES:
        raise InputError(f"names more than {MAX_VERTICES} vertices", where=Where(file, line))
