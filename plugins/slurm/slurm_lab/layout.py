"""Where everything of a lab lies: its folder, its ports, its clusters and their nodes."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

OLD, NEW = "22.05", "24.11"
"""Releases of Slurm: Debian bookworm's and, in a chroot, Debian trixie's."""
OLD_CLUSTERS: Final = ("essonne", "bologna", "kajaani")
NEW_CLUSTER: Final = "munich"
PORTS: Final = 100
"""A lab's own ports lie side by side."""
_PORTS_OF_A_CLUSTER: Final = 20
MAX_NODES: Final = 16


@dataclass(frozen=True)
class Cluster:
    name: str
    release: str
    node_count: int
    first_port: int

    @property
    def port(self) -> int:
        """slurmctld's."""
        return self.first_port

    @property
    def rest_port(self) -> int:
        """slurmrestd's, with tokens."""
        return self.first_port + 1

    @property
    def node_ports(self) -> str:
        first = self.first_port + 2
        return f"{first}-{first + self.node_count - 1}"

    @property
    def nodes(self) -> tuple[str, ...]:
        return tuple(f"{self.name[0]}{number}" for number in range(1, self.node_count + 1))

    @property
    def racks(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The nodes of the two NVLink domains."""
        half = self.node_count // 2
        return self.nodes[:half], self.nodes[half:]


@dataclass(frozen=True)
class Layout:
    home: Path
    first_port: int
    clusters: tuple[Cluster, ...]

    @classmethod
    def plan(cls, home: Path, first_port: int, *, nodes: int, old: bool, new: bool) -> "Layout":
        """Raises ValueError for a number of nodes that makes no two equal racks or has no ports."""
        if not 4 <= nodes <= MAX_NODES or nodes % 2:
            raise ValueError(f"a cluster has an even number of nodes from 4 to {MAX_NODES}, not {nodes}")
        names = [(name, OLD) for name in OLD_CLUSTERS if old] + [(NEW_CLUSTER, NEW)] * new
        clusters = [
            Cluster(name, release, nodes, first_port + _PORTS_OF_A_CLUSTER * number)
            for number, (name, release) in enumerate(names, start=1)
        ]
        return cls(home, first_port, tuple(clusters))

    @classmethod
    def read(cls, home: Path) -> "Layout":
        kept = json.loads((home / "lab.json").read_text())
        return cls(home, kept["first_port"], tuple(Cluster(**cluster) for cluster in kept["clusters"]))

    def write(self) -> None:
        kept = {"first_port": self.first_port, "clusters": [asdict(cluster) for cluster in self.clusters]}
        (self.home / "lab.json").write_text(json.dumps(kept, indent=1))

    def cluster(self, name: str) -> Cluster:
        return next(cluster for cluster in self.clusters if cluster.name == name)

    @property
    def releases(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(cluster.release for cluster in self.clusters))

    @property
    def mariadb_port(self) -> int:
        return self.first_port

    @property
    def dbd_ports(self) -> Mapping[str, int]:
        """Each release has its own slurmdbd: an older one serves no newer controller."""
        return {OLD: self.first_port + 1, NEW: self.first_port + 2}

    @property
    def munge_socket(self) -> Path:
        return self.home / "run/munge/socket"

    @property
    def mariadb_socket(self) -> Path:
        return self.home / "var/mysql/socket"

    def conf(self, cluster: str) -> Path:
        """What SLURM_CONF is for this cluster."""
        return self.home / "etc" / cluster / "slurm.conf"

    def dbd_folder(self, release: str) -> Path:
        return self.home / "etc" / dbd(release)

    def rest_socket(self, cluster: str) -> Path:
        """slurmrestd's, without tokens, for the user csched."""
        return self.home / "run/rest" / f"{cluster}.socket"


def dbd(release: str) -> str:
    """Name of a release's slurmdbd."""
    return f"slurmdbd-{release}"
