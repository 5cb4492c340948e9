"""A scene as lines for a terminal: every GPU of a node or domain, one sign for each domain of a site."""

from collections.abc import Iterator, Sequence
from typing import Final

from csched.topology.scene import DomainScene, PartitionScene, Scene, Use, described
from csched.topology.site_graph import nic_count

SIGNS: Final = {Use.FREE: "□", Use.USED: "■", Use.JOB: "●"}
_FILLED: Final = " ▁▂▃▄▅▆▇█"
_MOST_OPEN_DOMAINS: Final = 4
_DOMAINS_A_LINE: Final = 40
_DOMAINS_BETWEEN_GAPS: Final = 10


def lines(scene: Scene) -> Iterator[str]:
    """Up to four domains are drawn open, GPU by GPU; more become one sign each."""
    for partition in scene.partitions:
        yield described(partition)
        yield from _fabric(partition)
        if len(partition.domains) <= _MOST_OPEN_DOMAINS:
            for domain in partition.domains:
                yield ""
                yield from _domain(partition, domain)
        else:
            yield ""
            yield from _filled(partition.domains, scene.job is not None)
        yield ""
    yield from _legend(scene)


def _fabric(partition: PartitionScene) -> Iterator[str]:
    """`4 core - 8 spine - 16 leaf`, modelled from the hardware: a fleet file does not tell the cabling."""
    if partition.switches:
        tiers = " ─ ".join(f"{count:,} {tier}" for tier, count in reversed(list(partition.switches.items())))
        yield f"  fabric, as NVIDIA's reference designs would build it: {tiers}"


def _domain(partition: PartitionScene, domain: DomainScene) -> Iterator[str]:
    kind = partition.hardware
    joined = {
        "switch": f"  ╟─ NVSwitch, {kind.nvlink_gb_per_s:g} GB/s to each GPU" if kind.nvlink_gb_per_s else "",
        "mesh": f"  ╟─ NVLink between each pair, {kind.nvlink_gb_per_s or 0:g} GB/s from each GPU in all",
        "irregular": "  ╟─ Infinity Fabric, faster inside a module of two",
        "pcie": "  ╟─ PCIe only",
    }[kind.nvlink_graph]
    free = domain.gpus.count(Use.FREE)
    yield f"  {domain.name}: {free} of {len(domain.gpus)} GPUs free"
    yield joined
    nics = nic_count(kind)
    for node in domain.nodes:
        gpus = " ".join(SIGNS[use] for use in node.gpus)
        to_fabric = f"  ─ {nics} NIC{'s' if nics > 1 else ''} ─ fabric" if nics else ""
        yield f"  ╟─ {node.name}  {gpus}{to_fabric}"


def _filled(domains: Sequence[DomainScene], with_job: bool) -> Iterator[str]:
    """Each domain by how much of it is used; one with GPUs of the job has its sign."""
    signs = []
    for domain in domains:
        used = 1 - domain.gpus.count(Use.FREE) / len(domain.gpus)
        level = _FILLED[-(-round(used * 1000) * (len(_FILLED) - 1) // 1000)]
        signs.append(SIGNS[Use.JOB] if with_job and Use.JOB in domain.gpus else "·" if level == " " else level)
    for first in range(0, len(signs), _DOMAINS_A_LINE):
        line = signs[first : first + _DOMAINS_A_LINE]
        gapped = " ".join(
            "".join(line[start : start + _DOMAINS_BETWEEN_GAPS]) for start in range(0, len(line), _DOMAINS_BETWEEN_GAPS)
        )
        yield f"  {domains[first].name:<14} {gapped}"


def _legend(scene: Scene) -> Iterator[str]:
    opened = any(len(partition.domains) <= _MOST_OPEN_DOMAINS for partition in scene.partitions)
    closed = any(len(partition.domains) > _MOST_OPEN_DOMAINS for partition in scene.partitions)
    words = [f"{SIGNS[Use.FREE]} free  {SIGNS[Use.USED]} used"] if opened else []
    words += ["domains: · free, ▁ to █ used"] if closed else []
    words += [f"{SIGNS[Use.JOB]} job {scene.job}"] if scene.job else []
    yield "   ".join(words)
    if scene.slowest:
        yield f"slowest edge of job {scene.job}: {scene.slowest}"
