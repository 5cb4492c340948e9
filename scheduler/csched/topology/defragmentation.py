"""Which running jobs that can checkpoint would have to move so that a waiting job finds its nodes, and what that costs.

A proposal, carried out by nobody: moving a job takes a checkpoint and a restart, which its owner has to want.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from csched.topology.packing import Request, Room, Share, expected_fragmentation, pack


@dataclass(frozen=True)
class Running:
    """A job that may be moved, and where it is."""

    job: str
    shares: tuple[Share, ...]
    it_kw: float

    @property
    def gpus(self) -> int:
        return sum(share.gpus for share in self.shares)


@dataclass(frozen=True)
class Defragmentation:
    """Moves that let a waiting job start."""

    starts: str
    place: tuple[Share, ...]
    moves: Mapping[str, tuple[Share, ...]]
    """Running job -> its new place."""
    gpu_hours: float
    """Lost to checkpoints and restarts."""
    it_kwh: float
    fragmentation_before: float
    """Expected GPUs that a job of the queue could not use, with the waiting job still waiting."""
    fragmentation_after: float


def defragment(
    waiting: Request, room: Room, movable: Sequence[Running], queue: Sequence[Request], pause_s: float
) -> Defragmentation | None:
    """The moves, as few and as cheap as a greedy search finds; null where the job needs none, or none help.

    Args:
        room: what all running jobs leave free.
        pause_s: for how long the GPUs of a moved job do no work.
    """
    if not pack([waiting], room).left:
        return None
    lifted: list[Running] = []
    found: Mapping[str, tuple[Share, ...]] | None = None
    for each in sorted(movable, key=lambda one: (one.gpus, one.job)):
        lifted.append(each)
        found = _packed(waiting, room, lifted)
        if found is not None:
            break
    if found is None:
        return None
    for each in sorted(lifted, key=lambda one: (-one.gpus, one.job)):
        fewer = [one for one in lifted if one is not each]
        if (without := _packed(waiting, room, fewer)) is not None:
            lifted, found = fewer, without
    moves = {each.job: found[each.job] for each in lifted if set(found[each.job]) != set(each.shares)}
    moved = [each for each in lifted if each.job in moves]
    hours = pause_s / 3600
    after = _taken(_without(room, lifted), [*found.values()])
    return Defragmentation(
        starts=waiting.job,
        place=found[waiting.job],
        moves=moves,
        gpu_hours=hours * sum(each.gpus for each in moved),
        it_kwh=hours * sum(each.it_kw for each in moved),
        fragmentation_before=expected_fragmentation(room, queue),
        fragmentation_after=expected_fragmentation(after, queue),
    )


def _packed(waiting: Request, room: Room, lifted: Sequence[Running]) -> Mapping[str, tuple[Share, ...]] | None:
    """Places for the job and for all that were lifted; None where not all find one."""
    packed = pack([waiting, *map(_request, lifted)], _without(room, lifted))
    return None if packed.left else packed.places


def _request(running: Running) -> Request:
    """What lies in one domain keeps to one."""
    together = len({share.domain for share in running.shares}) == 1
    return Request(running.job, running.gpus, group=running.gpus if together else 1)


def _without(room: Room, lifted: Sequence[Running]) -> Room:
    return replace(room, free=_changed(room.free, [share for each in lifted for share in each.shares], 1))


def _taken(room: Room, places: Sequence[tuple[Share, ...]]) -> Room:
    """Whole nodes stay whole: what a node has left beside a job of several nodes is nobody's."""
    size = room.hardware.gpus_per_node
    held = [replace(share, gpus=size if len(place) > 1 else share.gpus) for place in places for share in place]
    return replace(room, free=_changed(room.free, held, -1))


def _changed(free: npt.NDArray[np.int64], shares: Sequence[Share], sign: int) -> npt.NDArray[np.int64]:
    after = free.copy()
    for share in shares:
        after[share.domain, share.node] += sign * share.gpus
    return after
