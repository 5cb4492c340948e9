"""What a placement costs a job: the time of a step, its slowdown sigma against the best shape, and kWh and kgCO2e.

    T_iter(P) = T_comp + sum over groups of (1 - overlap) * calls * t(group, P)
    sigma(P)  = T_iter(P) / T_iter(best shape on an empty cluster)

A shape is how many of the job's GPUs lie in each NVLink domain, such as (8, 8) or (6, 2); order does not matter.
A worse shape makes the same work last longer: topology trades against carbon in carbon's own unit.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Final

import numpy as np
import numpy.typing as npt

from csched.domain.hardware import Hardware
from csched.topology.collectives import (
    DEFAULT_EFFICIENCY,
    Efficiency,
    Level,
    Spread,
    hierarchical_s,
)
from csched.topology.graph import Medium
from csched.topology.workload import Group, Workload

MODEL_FLOPS_UTILISATION: Final = 0.4
"""Of a run without exposed communication; commonly reached, not measured here."""
PEAK_BF16_TFLOPS: Final[Mapping[str, float]] = MappingProxyType(
    {
        "dgx-a100": 312,
        "leonardo-a100": 312,
        "dgx-h100": 989,
        "dgx-h200": 989,
        "gh200-quad": 989,
        "h100-quad": 989,
        "dgx-b200": 2250,
        "dgx-b300": 2250,
        "gb200-nvl72": 2500,
        "gb300-nvl72": 2500,
        "mi250x-lumi": 191.5,
        "l40s-pcie": 362,
    }
)
"""Dense BF16 of one schedulable GPU, from the makers' data sheets."""
_PCIE4_X16_GB_PER_S: Final = 32.0
_LUMI_BETWEEN_MODULES_GB_PER_S: Final = 50.0

Shape = tuple[int, ...]
"""The job's GPUs in each NVLink domain, largest first."""


@dataclass(frozen=True)
class Exposed:
    """One kind of group's communication that computing does not hide, in its worst placed group."""

    group: str
    seconds: float
    medium: Medium
    """The slowest that the group uses."""
    members: int
    outside: int
    """Members that do not lie in the group's largest domain."""


@dataclass(frozen=True)
class Step:
    compute_s: float
    exposed: tuple[Exposed, ...]

    @property
    def total_s(self) -> float:
        return self.compute_s + sum(each.seconds for each in self.exposed)


@dataclass(frozen=True)
class Slowdown:
    """Step time on a shape over step time on the best shape, and the part of the step that weighs most."""

    sigma: float
    bottleneck: Exposed | None

    def sentence(self, extra_kg: float | None = None) -> str:
        """`2 of 8 ranks cross InfiniBand: +14 % step time, +3.1 kgCO2e`."""
        percent = (self.sigma - 1) * 100
        cost = f"+{_short(percent, '.0f')} % step time" + (f", +{_short(extra_kg, '.1f')} kgCO2e" if extra_kg else "")
        if self.bottleneck is None or self.bottleneck.outside == 0:
            return f"all ranks share NVLink: {cost}"
        names = {Medium.FABRIC: "InfiniBand", Medium.PCIE: "PCIe", Medium.WAN: "the WAN", Medium.NVLINK: "NVLink"}
        found = self.bottleneck
        return f"{found.outside} of {found.members} {found.group} ranks cross {names[found.medium]}: {cost}"


def _short(value: float, plain: str) -> str:
    return f"{value:{plain}}" if value >= 1 or value == 0 else f"{value:.2g}"


@dataclass(frozen=True)
class Extra:
    """What a slowdown adds to a job; upper bounds, for GPUs that wait draw less than GPUs that compute."""

    hours: float
    gpu_hours: float
    kwh: float
    """At the meter: with the PUE."""
    carbon_kg: float
    embodied_kg: float


def extra(
    sigma: float,
    *,
    reference_hours: float,
    gpus: int,
    it_kwh: float,
    pue: float,
    g_per_kwh: float,
    embodied_kg_per_gpu_h: float = 0.0,
) -> Extra:
    """Hours, energy and carbon that `sigma` adds to a job of `it_kwh` on the best shape."""
    more = sigma - 1
    gpu_hours = more * reference_hours * gpus
    kwh = more * it_kwh * pue
    return Extra(more * reference_hours, gpu_hours, kwh, kwh * g_per_kwh / 1000, gpu_hours * embodied_kg_per_gpu_h)


def violations(workload: Workload, hardware: Hardware, shape: Sequence[int]) -> list[str]:
    """The hard rules that a shape breaks: TP and EP groups stay in one NVLink domain."""
    found: list[str] = []
    for name, size in (("TP", workload.degrees.tensor), ("EP", workload.degrees.expert)):
        if size > hardware.gpus_per_domain and not workload.split_allowed:
            domain = hardware.gpus_per_domain
            found.append(f"a {name} group of {size} is larger than the NVLink domain of {domain} GPUs")
        elif (
            size > 1
            and not workload.split_allowed
            and any(count % size for count in _unit_counts(workload, shape, name))
        ):
            found.append(f"a {name} group of {size} is split over NVLink domains")
    return found


def step(
    workload: Workload,
    hardware: Hardware,
    shape: Sequence[int],
    efficiency: Mapping[Medium, Efficiency] | None = None,
    jobs_on_fabric: int = 1,
) -> Step | None:
    """The time of one step on a shape; null where the catalogue lacks a figure that it needs.

    Without `efficiency` that of the hardware, as far as it was measured.

    Raises:
        ValueError: the shape does not hold as many GPUs as the workload has ranks, or a domain is too small for it.
    """
    ordered = tuple(sorted((count for count in shape if count), reverse=True))
    if sum(ordered) != workload.degrees.gpus:
        raise ValueError(f"a shape of {sum(ordered)} GPUs for {workload.degrees.gpus} ranks")
    if ordered[0] > hardware.gpus_per_domain:
        raise ValueError(f"{ordered[0]} GPUs in a domain of {hardware.gpus_per_domain}")
    peak = PEAK_BF16_TFLOPS.get(hardware.key)
    if peak is None:
        return None
    exposed = [
        _exposed(
            group,
            _worst_spread(workload, group.name, ordered),
            hardware,
            efficiency or efficiency_of(hardware),
            jobs_on_fabric,
        )
        for group in workload.groups()
    ]
    known = [each for each in exposed if each is not None]
    if len(known) < len(exposed):
        return None
    return Step(workload.flops_per_gpu / (peak * 1e12 * MODEL_FLOPS_UTILISATION), tuple(known))


def efficiency_of(hardware: Hardware) -> Mapping[Medium, Efficiency]:
    """What was measured on such hardware, else the defaults."""
    measured = {Medium(each.medium): Efficiency(each.share, each.latency_s) for each in hardware.measured}
    return {**DEFAULT_EFFICIENCY, **measured}


def best_shapes(workload: Workload, hardware: Hardware) -> Iterator[Shape]:
    """Candidates for the best shape of an empty cluster: domains filled one after another, or filled evenly."""
    gpus, domain = workload.degrees.gpus, hardware.gpus_per_domain
    unit = min(max(workload.degrees.tensor, workload.degrees.expert), domain)  # larger groups are split anyway
    usable = domain // unit * unit
    full, rest = divmod(gpus, usable)
    yield (usable,) * full + ((rest,) if rest else ())
    domains = full + bool(rest)
    units, loose = divmod(gpus, unit)
    if not loose:
        low, more = divmod(units, domains)
        yield tuple(sorted(((low + (number < more)) * unit for number in range(domains)), reverse=True))


@lru_cache(maxsize=65536)
def _reference_s(workload: Workload, hardware: Hardware) -> float | None:
    found = [step(workload, hardware, shape) for shape in best_shapes(workload, hardware)]
    times = [each.total_s for each in found if each is not None]
    return min(times, default=None)


def best_slowdown(workload: Workload, hardware: Hardware, nodes: Sequence[int]) -> Slowdown | None:
    """Of a job that has so many whole nodes in each domain: its ranks fill them one after another, or lie evenly."""
    shapes = {shape for shape in layouts(workload, hardware, nodes) if not torn(workload, shape)}
    found = [slowdown(workload, hardware, shape) for shape in sorted(shapes)]
    return min((each for each in found if each is not None), key=lambda each: each.sigma, default=None)


def layouts(workload: Workload, hardware: Hardware, nodes: Sequence[int]) -> Iterator[Shape]:
    """GPUs in each domain where a job's ranks fill its nodes, and where each node has as many, or one more."""
    gpus, size = workload.degrees.gpus, hardware.gpus_per_node
    filled = [count * size for count in nodes]
    filled[-1] -= sum(filled) - gpus
    yield tuple(sorted(filled, reverse=True))
    low, more = divmod(gpus, sum(nodes))
    first = [sum(nodes[:number]) for number in range(len(nodes))]
    even = [low * count + min(count, max(0, more - before)) for count, before in zip(nodes, first, strict=True)]
    yield tuple(sorted(even, reverse=True))


def torn(workload: Workload, shape: Sequence[int]) -> bool:
    """Whether groups that share a domain do not come out even in each."""
    group = workload.degrees.tensor * workload.degrees.expert
    return any(count % group for count in shape)


def slowdown(workload: Workload, hardware: Hardware, shape: Sequence[int]) -> Slowdown | None:
    """Sigma, at least 1, with the hardware's efficiencies; null where the catalogue lacks a figure that it needs."""
    return _slowdown(workload, hardware, tuple(shape))


@lru_cache(maxsize=65536)
def _slowdown(workload: Workload, hardware: Hardware, shape: Shape) -> Slowdown | None:
    reference_s = _reference_s(workload, hardware)
    found = step(workload, hardware, shape)
    if found is None or reference_s is None:
        return None
    heaviest = max(found.exposed, key=lambda each: each.seconds, default=None)
    return Slowdown(max(1.0, found.total_s / reference_s), heaviest)


def inside_level(hardware: Hardware, members: int) -> Level:
    """What joins `members` GPUs of one NVLink domain, for one of them.

    A mesh has a part of a GPU's bandwidth on each edge: two of four GPUs use a third of it, all four use it all.
    """
    nvlink = hardware.nvlink_gb_per_s
    if not nvlink:
        return Level(Medium.PCIE, _PCIE4_X16_GB_PER_S)
    if hardware.nvlink_graph == "mesh":
        return Level(Medium.NVLINK, nvlink * (max(members, 2) - 1) / (hardware.gpus_per_node - 1))
    if hardware.nvlink_graph == "irregular" and members > 2:
        return Level(Medium.NVLINK, _LUMI_BETWEEN_MODULES_GB_PER_S)
    return Level(Medium.NVLINK, nvlink)


def _ranks(workload: Workload, shape: Sequence[int]) -> npt.NDArray[np.intp]:
    """Domain of each rank, as (pipeline, data, tensor): neighbours in tensor, then data, fill a domain first."""
    degrees = workload.degrees
    return np.repeat(np.arange(len(shape)), shape).reshape(degrees.pipeline, degrees.data, degrees.tensor)


def _members(workload: Workload, name: str, shape: Sequence[int]) -> npt.NDArray[np.intp]:
    """Domains of each group's members, one row for a group."""
    ranks, degrees = _ranks(workload, shape), workload.degrees
    if name == "TP":
        return ranks.reshape(-1, degrees.tensor)
    if name == "PP":
        return np.moveaxis(ranks, 0, 2).reshape(-1, degrees.pipeline)
    data = np.moveaxis(ranks, 1, 2).reshape(-1, degrees.data)
    if name == "EP":
        return data.reshape(-1, degrees.expert)
    return data


def _unit_counts(workload: Workload, shape: Sequence[int], name: str) -> Sequence[int]:
    """Members of each group in the first of its domains: not the group's size where it is split."""
    rows = _members(workload, name, tuple(sorted((count for count in shape if count), reverse=True)))
    return [int(count) for count in (rows == rows[:, :1]).sum(axis=1)]


@lru_cache(maxsize=65536)
def _worst_spread(workload: Workload, name: str, shape: Shape) -> Spread:
    """The group that crosses most domains, and of those the one with the fewest members in one of them."""
    rows = np.unique(_members(workload, name, shape), axis=0)
    found = []
    for row in rows:
        _, counts = np.unique(row, return_counts=True)
        found.append(Spread(row.size, counts.size, int(counts.min()), int(counts.max())))
    return max(found, key=lambda spread: (spread.domains, -spread.fewest, -spread.most))


def _exposed(
    group: Group,
    spread: Spread,
    hardware: Hardware,
    efficiency: Mapping[Medium, Efficiency],
    jobs_on_fabric: int,
) -> Exposed | None:
    """null where the group leaves its domain and nobody knows how fast that is."""
    if spread.domains > 1 and not hardware.nic_gb_per_s:
        return None
    near = inside_level(hardware, spread.most)
    far = Level(Medium.FABRIC, hardware.nic_gb_per_s or math.inf, jobs_on_fabric)
    inside_s, across_s = hierarchical_s(
        group.kind, group.payload_bytes, spread, near=near, far=far, efficiency=efficiency
    )
    seconds = (1 - group.overlap) * group.calls * (inside_s + across_s)
    medium = far.medium if spread.domains > 1 else near.medium
    return Exposed(group.name, seconds, medium, spread.members, spread.members - spread.most)
