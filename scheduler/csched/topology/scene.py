"""What a drawing of a site, a domain or a node shows: GPUs free, used or of one job, and where that job is slowest."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from csched.domain.hardware import Hardware
from csched.domain.job import Pattern
from csched.domain.plan import Placement
from csched.domain.site import Partition, Site
from csched.errors import InputError
from csched.formats.validation import did_you_mean
from csched.topology.communication import Slowdown, inside_level, slowdown
from csched.topology.graph import Kind, Medium, of_kind
from csched.topology.site_graph import domain_name, nic_count, node_name, site_graph
from csched.topology.workload import workload_of


class Use(StrEnum):
    FREE = "free"
    USED = "used"
    JOB = "job"
    """Used by the job that the drawing is about."""


@dataclass(frozen=True)
class Holding:
    """GPUs of a node that one job holds."""

    job: str
    gpus: int


Holdings = Mapping[str, Sequence[Holding]]
"""Node -> who holds how many of its GPUs."""


def holdings_of(placements: Iterable[Placement], site: Site, hardware: Mapping[str, Hardware]) -> Holdings:
    """Who holds what of a site's nodes, by a plan's placements that have their nodes (those that start at once)."""
    kinds = {partition.name: hardware[partition.hardware] for partition in site.partitions}
    found: dict[str, list[Holding]] = {}
    for placement in placements:
        if placement.site == site.id and placement.nodes:
            size = kinds[placement.partition].gpus_per_node
            for position, node in enumerate(placement.nodes):
                gpus = min(size, placement.gpus - position * size)
                found.setdefault(node, []).append(Holding(placement.job, gpus))
    return found


@dataclass(frozen=True)
class NodeScene:
    name: str
    gpus: tuple[Use, ...]


@dataclass(frozen=True)
class DomainScene:
    name: str
    nodes: tuple[NodeScene, ...]

    @property
    def gpus(self) -> tuple[Use, ...]:
        return tuple(use for node in self.nodes for use in node.gpus)


@dataclass(frozen=True)
class PartitionScene:
    name: str
    hardware: Hardware
    domains: tuple[DomainScene, ...]
    switches: Mapping[str, int]
    """Tier -> how many switches: leaf, spine, core."""


@dataclass(frozen=True)
class Slowest:
    """The edge that the job's GPUs wait for, one direction."""

    medium: Medium
    gb_per_s: float

    def __str__(self) -> str:
        names = {Medium.NVLINK: "NVLink", Medium.PCIE: "PCIe", Medium.FABRIC: "fabric", Medium.WAN: "WAN"}
        return f"{names[self.medium]}, {self.gb_per_s:g} GB/s a GPU"


@dataclass(frozen=True)
class Scene:
    title: str
    partitions: tuple[PartitionScene, ...]
    job: str | None = None
    slowest: Slowest | None = None


def site_scene(
    site: Site, hardware: Mapping[str, Hardware], holdings: Holdings | None = None, job: str | None = None
) -> Scene:
    """All of a site."""
    partitions = tuple(
        _partition_scene(site, partition, hardware, holdings or {}, job) for partition in site.partitions
    )
    return Scene(site.id, partitions, job, _slowest(partitions, job))


def scene_of_part(scene: Scene, name: str) -> Scene:
    """The same scene with one domain, or one node, of it; what is slowest stays that of the whole job.

    Raises:
        InputError: no such domain or node.
    """
    for partition in scene.partitions:
        for domain in partition.domains:
            if name == domain.name:
                return _narrowed(scene, partition, domain, name)
            for node in domain.nodes:
                if name == node.name:
                    return _narrowed(scene, partition, DomainScene(domain.name, (node,)), name)
    known = [domain.name for partition in scene.partitions for domain in partition.domains]
    hint = did_you_mean(name, known) or "domains are called as in a plan, such as gb300-d001"
    raise InputError(f"`{name}` is no domain and no node of `{scene.title}`", hint=hint)


def job_slowdown(scene: Scene, pattern: Pattern) -> Slowdown | None:
    """What the places of the scene's job cost it if its ranks talk by `pattern`; null where that is not known."""
    for partition in scene.partitions if scene.job is not None else ():
        shape = [count for domain in partition.domains if (count := domain.gpus.count(Use.JOB))]
        workload = workload_of(pattern, sum(shape))
        if workload is not None:
            return slowdown(replace(workload, split_allowed=True), partition.hardware, shape)
    return None


def hardware_scene(hardware: Hardware) -> Scene:
    """One free domain of a kind of hardware, wherever it may stand."""
    domain = _domain_scene(domain_name(hardware.key, hardware, 0), hardware, hardware.nodes_per_domain, {}, None)
    return Scene(hardware.key, (PartitionScene(hardware.key, hardware, (domain,), {}),))


def _narrowed(scene: Scene, partition: PartitionScene, domain: DomainScene, name: str) -> Scene:
    part = PartitionScene(partition.name, partition.hardware, (domain,), partition.switches)
    return Scene(f"{scene.title}/{name}", (part,), scene.job, scene.slowest)


def _partition_scene(
    site: Site, partition: Partition, hardware: Mapping[str, Hardware], holdings: Holdings, job: str | None
) -> PartitionScene:
    kind = hardware[partition.hardware]
    nodes, size = partition.node_count(kind), kind.nodes_per_domain
    domains = tuple(
        _domain_scene(domain_name(partition.name, kind, index), kind, min(size, nodes - first), holdings, job)
        for index, first in enumerate(range(0, nodes, size))
    )
    fabric = site_graph(site.model_copy(update={"partitions": (partition,)}), hardware)
    switches: dict[str, int] = {}
    for switch in of_kind(fabric, Kind.SWITCH):
        facts = fabric.nodes[switch]
        switches[facts["tier"]] = switches.get(facts["tier"], 0) + facts["switches"]
    return PartitionScene(partition.name, kind, domains, switches)


def _domain_scene(name: str, kind: Hardware, nodes: int, holdings: Holdings, job: str | None) -> DomainScene:
    names = [node_name(kind, name, number) for number in range(nodes)]
    return DomainScene(name, tuple(NodeScene(node, _uses(kind, holdings.get(node, ()), job)) for node in names))


def _uses(kind: Hardware, held: Sequence[Holding], job: str | None) -> tuple[Use, ...]:
    uses = [use for each in held for use in [Use.JOB if each.job == job else Use.USED] * each.gpus]
    free = [Use.FREE] * max(0, kind.gpus_per_node - len(uses))
    return tuple((uses + free)[: kind.gpus_per_node])


def _slowest(partitions: Sequence[PartitionScene], job: str | None) -> Slowest | None:
    """Across domains the fabric, inside one the NVLinks that the job's GPUs share."""
    for partition in partitions if job is not None else ():
        counts = [domain.gpus.count(Use.JOB) for domain in partition.domains]
        touched = [count for count in counts if count]
        if len(touched) > 1 and partition.hardware.nic_gb_per_s:
            return Slowest(Medium.FABRIC, partition.hardware.nic_gb_per_s)
        if touched and max(touched) > 1:
            level = inside_level(partition.hardware, max(touched))
            return Slowest(level.medium, level.gb_per_s)
    return None


def described(partition: PartitionScene) -> str:
    """`gb300: 2 domains of 18 nodes and 72 GPUs, NVLink 900 GB/s by NVSwitch, 4 NICs a node with 100 GB/s a GPU`."""
    kind, count = partition.hardware, len(partition.domains)
    shape = {"switch": "by NVSwitch", "mesh": "as a mesh", "irregular": "as an irregular mesh", "pcie": ""}
    medium = "Infinity Fabric" if kind.nvlink_graph == "irregular" else "NVLink"
    inside = (
        f"{medium} {kind.nvlink_gb_per_s:g} GB/s {shape[kind.nvlink_graph]}" if kind.nvlink_gb_per_s else "no NVLink"
    )
    outside = (
        f"{nic_count(kind)} NICs a node with {kind.nic_gb_per_s:g} GB/s a GPU" if kind.nic_gb_per_s else "NICs unknown"
    )
    nodes = f"{kind.nodes_per_domain} nodes and " if kind.nodes_per_domain > 1 else ""
    domains = f"{count} domain{'s' if count != 1 else ''} of {nodes}{kind.gpus_per_domain} GPUs"
    return f"{partition.name}: {domains}, {inside}, {outside}"
