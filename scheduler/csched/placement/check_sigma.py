"""Sigma once more, rank by rank: the time of a step where a job's GPUs lie, over that on the best shape.

Shares what a job is taken to compute and send with the engine (`csched.topology.workload`), none of its arithmetic:
ranks are counted one after another and each formula is written out as docs/topology.md states it.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

from csched.domain.hardware import Hardware
from csched.topology.collectives import DEFAULT_EFFICIENCY, Collective, Efficiency
from csched.topology.communication import MODEL_FLOPS_UTILISATION, PEAK_BF16_TFLOPS
from csched.topology.graph import Medium
from csched.topology.workload import Group, Workload


def sigma(workload: Workload | None, hardware: Hardware, counts: Sequence[int]) -> float:
    """Of a job with so many GPUs in each domain; 1 where the job or the catalogue does not tell enough."""
    return 1.0 if workload is None else _sigma(workload, hardware, tuple(sorted(counts)))


@lru_cache(maxsize=4096)
def _sigma(workload: Workload, hardware: Hardware, counts: tuple[int, ...]) -> float:
    here = _step_s(workload, hardware, counts)
    best = [_step_s(workload, hardware, shape) for shape in _best(workload, hardware)]
    if math.isinf(here) or math.isinf(min(best)):
        return 1.0
    return max(1.0, here / min(best))


def _best(workload: Workload, hardware: Hardware) -> Iterator[list[int]]:
    """Full domains and a rest; and as even as whole groups allow over as few domains."""
    gpus, domain = workload.degrees.gpus, hardware.gpus_per_domain
    unit = min(max(workload.degrees.tensor, workload.degrees.expert), domain)
    usable = domain - domain % unit
    count = math.ceil(gpus / usable)
    yield [min(usable, gpus - usable * number) for number in range(count)]
    if gpus % unit == 0:
        yield [unit * len(range(number, gpus // unit, count)) for number in range(count)]


def _step_s(workload: Workload, hardware: Hardware, counts: Sequence[int]) -> float:
    """Infinite where the catalogue lacks a figure."""
    peak = PEAK_BF16_TFLOPS.get(hardware.key)
    if peak is None:
        return math.inf
    domain_of = [number for number, count in enumerate(sorted(counts, reverse=True)) for _ in range(count)]
    total = workload.flops_per_gpu / (peak * 1e12 * MODEL_FLOPS_UTILISATION)
    for group in workload.groups():
        spreads = {
            tuple(sorted(Counter(domain_of[rank] for rank in members).values()))
            for members in _members(workload, group.name)
        }
        worst = max(spreads, key=lambda spread: (len(spread), -spread[0], -spread[-1]))
        total += (1 - group.overlap) * group.calls * _call_s(group, worst, hardware)
    return total


def _members(workload: Workload, name: str) -> Iterator[list[int]]:
    """Ranks of each group: tensor neighbours first, then data, then pipeline."""
    tensor, data, pipeline = workload.degrees.tensor, workload.degrees.data, workload.degrees.pipeline
    expert = workload.degrees.expert

    def rank(stage: int, replica: int, shard: int) -> int:
        return (stage * data + replica) * tensor + shard

    if name == "TP":
        for stage in range(pipeline):
            yield from ([rank(stage, replica, shard) for shard in range(tensor)] for replica in range(data))
    elif name == "PP":
        for replica in range(data):
            yield from ([rank(stage, replica, shard) for stage in range(pipeline)] for shard in range(tensor))
    else:
        size = expert if name == "EP" else data
        for stage in range(pipeline):
            for shard in range(tensor):
                for first in range(0, data, size):
                    yield [rank(stage, replica, shard) for replica in range(first, first + size)]


def _call_s(group: Group, spread: Sequence[int], hardware: Hardware) -> float:
    """`spread`: members in each domain, fewest first."""
    members, domains, fewest, most = sum(spread), len(spread), spread[0], spread[-1]
    kind, payload = group.kind, group.payload_bytes
    near = _Wire(*_inside(hardware, most))
    if domains == 1:
        return near.ring_s(kind, payload, members)
    if not hardware.nic_gb_per_s:
        return math.inf
    far = _Wire(Medium.FABRIC, hardware.nic_gb_per_s, _efficiency(hardware))
    if kind is Collective.POINT_TO_POINT:
        return far.ring_s(kind, payload, 2)
    if kind is Collective.ALL_TO_ALL:
        part = payload / members
        return near.s(part * (most - 1), most - 1) + far.s(part * (members - fewest), members - fewest)
    return near.ring_s(kind, payload, most) + far.ring_s(kind, payload / fewest, domains)


class _Wire:
    def __init__(self, medium: Medium, gb_per_s: float, efficiency: Mapping[Medium, Efficiency]) -> None:
        self._bytes_per_s, self._latency_s = gb_per_s * 1e9 * efficiency[medium].share, efficiency[medium].latency_s

    def s(self, volume: float, messages: int) -> float:
        return volume / self._bytes_per_s + messages * self._latency_s

    def ring_s(self, kind: Collective, payload: float, members: int) -> float:
        if members < 2:
            return 0.0
        if kind in {Collective.POINT_TO_POINT, Collective.BROADCAST}:
            return self.s(payload, 1 if kind is Collective.POINT_TO_POINT else members - 1)
        rounds = 2 if kind is Collective.ALL_REDUCE else 1
        return self.s(rounds * (members - 1) / members * payload, rounds * (members - 1))


def _efficiency(hardware: Hardware) -> Mapping[Medium, Efficiency]:
    found = dict(DEFAULT_EFFICIENCY)
    for measured in hardware.measured:
        found[Medium(measured.medium)] = Efficiency(measured.share, measured.latency_s)
    return found


def _inside(hardware: Hardware, members: int) -> tuple[Medium, float, Mapping[Medium, Efficiency]]:
    """What joins GPUs of one domain: NVLink, a part of a mesh, a module's neighbour on LUMI, or PCIe 4."""
    efficiency, nvlink = _efficiency(hardware), hardware.nvlink_gb_per_s
    if not nvlink:
        return Medium.PCIE, 32.0, efficiency
    if hardware.nvlink_graph == "mesh":
        nvlink *= (max(members, 2) - 1) / (hardware.gpus_per_node - 1)
    if hardware.nvlink_graph == "irregular" and members > 2:
        nvlink = 50.0
    return Medium.NVLINK, nvlink, efficiency
