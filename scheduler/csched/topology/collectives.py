"""How long a collective takes, after nccl-tests' bus factors: seconds, bytes, and GB/s of one direction.

t(S) = steps * latency + f(kind, n) * S / B            on one level
inside a domain with S, across domains with S / n1     for n1 members in each of n2 domains
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from csched.topology.graph import Medium

BYTES_PER_GB: Final = 1e9


class Collective(StrEnum):
    ALL_REDUCE = "all-reduce"
    REDUCE_SCATTER = "reduce-scatter"
    ALL_GATHER = "all-gather"
    ALL_TO_ALL = "all-to-all"
    BROADCAST = "broadcast"
    POINT_TO_POINT = "point-to-point"


@dataclass(frozen=True)
class Efficiency:
    """What of the nominal bandwidth a collective gets, and what each step of it costs beside."""

    share: float
    latency_s: float


DEFAULT_EFFICIENCY: Final[Mapping[Medium, Efficiency]] = MappingProxyType(
    {
        Medium.NVLINK: Efficiency(0.8, 5e-6),
        Medium.PCIE: Efficiency(0.7, 10e-6),
        Medium.FABRIC: Efficiency(0.9, 10e-6),
        Medium.WAN: Efficiency(0.7, 5e-3),
    }
)
"""Commonly quoted shares, not measured here: `csched topo calibrate` finds a site's own. The WAN's latency is half of
a round trip of 10 ms."""

NOMINAL: Final[Mapping[Medium, Efficiency]] = MappingProxyType({medium: Efficiency(1.0, 0.0) for medium in Medium})
"""The bandwidth on paper, for arithmetic that is checked by hand."""


@dataclass(frozen=True)
class Level:
    """One medium as a group uses it: the bandwidth of its slowest edge for one GPU, shared by `jobs`."""

    medium: Medium
    gb_per_s: float
    jobs: int = 1

    def seconds(self, volume_bytes: float, steps: int, efficiency: Mapping[Medium, Efficiency]) -> float:
        found = efficiency[self.medium]
        rate = found.share * self.gb_per_s / self.jobs * BYTES_PER_GB
        return steps * found.latency_s + volume_bytes / rate


def factor(kind: Collective, members: int) -> float:
    """Bytes over the slowest edge for each byte of payload (nccl-tests, PERFORMANCE.md)."""
    if members < 2:
        return 0.0
    if kind is Collective.ALL_REDUCE:
        return 2 * (members - 1) / members
    if kind in {Collective.BROADCAST, Collective.POINT_TO_POINT}:
        return 1.0
    return (members - 1) / members


def steps(kind: Collective, members: int) -> int:
    """Messages that wait for each other: around a ring, twice for an all-reduce."""
    if members < 2:
        return 0
    if kind is Collective.POINT_TO_POINT:
        return 1
    return (members - 1) * (2 if kind is Collective.ALL_REDUCE else 1)


def seconds_on(
    kind: Collective, payload_bytes: float, members: int, level: Level, efficiency: Mapping[Medium, Efficiency]
) -> float:
    """One call of a collective among members that are all joined by one level."""
    if members < 2:
        return 0.0
    return level.seconds(factor(kind, members) * payload_bytes, steps(kind, members), efficiency)


@dataclass(frozen=True)
class Spread:
    """How a group lies: its members, the domains they are in, and how many the emptiest and fullest of these hold."""

    members: int
    domains: int
    fewest: int
    most: int

    @classmethod
    def even(cls, inside: int, domains: int = 1) -> "Spread":
        return cls(inside * domains, domains, inside, inside)


def across_share(kind: Collective, inside: int) -> float:
    """What each GPU sends across for each byte of payload, relative to a group without an inside.

    The members of a domain split a reduction, a gathering or a broadcast among their NICs. An all-to-all has nothing
    to split: each rank's bytes for ranks elsewhere leave by its own NIC; nor has a message between two ranks.
    """
    return 1.0 if kind in {Collective.ALL_TO_ALL, Collective.POINT_TO_POINT} else 1 / inside


def hierarchical_s(
    kind: Collective,
    payload_bytes: float,
    spread: Spread,
    *,
    near: Level,
    far: Level,
    efficiency: Mapping[Medium, Efficiency],
) -> tuple[float, float]:
    """(inside, across) seconds of one call: the fullest domain is the slowest inside, the emptiest across."""
    if spread.domains > 1 and kind is Collective.POINT_TO_POINT:
        return 0.0, seconds_on(kind, payload_bytes, 2, far, efficiency)
    if spread.domains > 1 and kind is Collective.ALL_TO_ALL:
        # Each rank sends an equal part to every other one.
        part = payload_bytes / spread.members
        near_ranks, far_ranks = spread.most - 1, spread.members - spread.fewest
        return near.seconds(part * near_ranks, near_ranks, efficiency), far.seconds(
            part * far_ranks, far_ranks, efficiency
        )
    shared = payload_bytes * across_share(kind, spread.fewest)
    return (
        seconds_on(kind, payload_bytes, spread.most, near, efficiency),
        seconds_on(kind, shared, spread.domains, far, efficiency),
    )


def weight_sync_s(
    payload_bytes: float,
    *,
    replicas: int,
    trainers: int,
    generators: int,
    level: Level,
    efficiency: Mapping[Medium, Efficiency] = DEFAULT_EFFICIENCY,
) -> float:
    """RL weights from the trainers' GPUs to each generator replica, sharded point to point over all NICs.

    The smaller side's NICs limit it: `level` is one GPU's share. Trainers and generators may be at two sites.
    """
    lanes = min(trainers, generators)
    return level.seconds(payload_bytes * replicas / lanes, 1, efficiency)
