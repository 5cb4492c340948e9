"""What befalls each partition, drawn from the seed: the same for every strategy."""

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np

from csched.clock import epoch_s
from csched.units import SECONDS_PER_HOUR
from csched_sim.conditions import Conditions
from csched_sim.setting import Berth


class Closure(NamedTuple):
    """A site starts nothing in [from, to)."""

    site: str
    from_s: int
    to_s: int
    why: str


class Failure(NamedTuple):
    at_s: int
    repaired_s: int
    where: float
    """In [0, 1): which of the partition's GPUs are hit."""


class Intruder(NamedTuple):
    at_s: int
    runtime_s: int
    gpus: int


_BEGINNING_S: Final = -(2**40)


def closures(world: Conditions) -> list[Closure]:
    drained = [Closure(drain.site, epoch_s(drain.from_), epoch_s(drain.to), drain.why) for drain in world.drains]
    shut = [Closure(opening.site, _BEGINNING_S, epoch_s(opening.at), "not open yet") for opening in world.openings]
    return drained + shut


def failures(world: Conditions, berth: Berth, start_s: int, seed: tuple[int, ...]) -> Iterator[Failure]:
    """Without end; the same for the same seed, whatever the strategy."""
    if world.failures is None:
        return
    random = np.random.default_rng((*seed, 1))
    nodes = berth.partition.node_count(berth.hardware)
    at_s = float(start_s)
    while nodes:
        at_s += random.exponential(world.failures.node_mtbf / nodes)
        yield Failure(round(at_s), round(at_s) + world.failures.repair, float(random.random()))


def intruders(world: Conditions, berth: Berth, start_s: int, seed: tuple[int, ...]) -> Iterator[Intruder]:
    """Without end; the same for the same seed, whatever the strategy."""
    for background in world.background:
        if background.site != berth.site.id:
            continue
        random = np.random.default_rng((*seed, 2))
        gpus = min(background.gpus, berth.capacity)
        held = berth.hardware.gpus_held(gpus)
        gap_s = background.mean_length * held / (background.share * berth.capacity)
        at_s = float(start_s)
        while True:
            at_s += random.exponential(gap_s)
            length_s = max(60, round(random.exponential(background.mean_length)))
            yield Intruder(round(at_s), min(length_s, 100 * SECONDS_PER_HOUR), gpus)
