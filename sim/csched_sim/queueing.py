"""One partition's queue and the two textbook ways to serve it, first come first served and EASY backfilling.

EASY (Lifka 1995; Mu'alem and Feitelson 2001): the head of the queue gets a reservation at the *shadow time*, when by
their limits enough running jobs will have ended; a later job may go before it if it ends by then, or needs no more than
the *extra* GPUs that the head leaves over.
"""

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import NamedTuple

from csched_sim.traces.trace import TraceJob


class IdOrder(NamedTuple):
    """Ids that are numbers come in their order as numbers, before all others."""

    named: bool
    number: int
    name: str


class Claim(NamedTuple):
    """GPUs that a running job holds until its limit at the latest."""

    until_s: int
    order: IdOrder
    gpus: int


class Waiting(NamedTuple):
    traced: TraceJob
    gpus: int
    """GPUs the job will hold."""
    limit_s: int
    runtime_s: int
    """True, and unknown to the queue."""


class PartitionQueue:
    """Jobs that wait for one partition and those that run there. `serve` starts what may start now."""

    def __init__(self, gpus: int) -> None:
        self.free = gpus
        self.waiting: deque[Waiting] = deque()
        self.running: list[Claim] = []
        """By the end of their limits, then by id."""

    def start(self, waiting: Waiting, now_s: int) -> Claim:
        return self.claim(now_s + waiting.limit_s, id_order(waiting.traced.job.job), waiting.gpus)

    def claim(self, until_s: int, order: IdOrder, gpus: int) -> Claim:
        claim = Claim(until_s, order, gpus)
        insort(self.running, claim)
        self.free -= gpus
        return claim

    def end(self, claim: Claim) -> None:
        del self.running[bisect_left(self.running, claim)]
        self.free += claim.gpus


Started = list[tuple[Waiting, Claim]]
Discipline = Callable[[PartitionQueue, int], Started]


def first_come(queue: PartitionQueue, now_s: int) -> Started:
    """Start jobs in their order until one does not fit."""
    started: Started = []
    while queue.waiting and queue.waiting[0].gpus <= queue.free:
        waiting = queue.waiting.popleft()
        started.append((waiting, queue.start(waiting, now_s)))
    return started


def easy(queue: PartitionQueue, now_s: int) -> Started:
    """First come first served, then whoever does not delay the head by what the limits say."""
    started = first_come(queue, now_s)
    if len(queue.waiting) < 2 or queue.free == 0:
        return started
    shadow_s, extra = reservation(queue)
    kept = [queue.waiting[0]]
    for waiting in islice(queue.waiting, 1, None):
        ends_in_time = now_s + waiting.limit_s <= shadow_s
        if waiting.gpus <= queue.free and (ends_in_time or waiting.gpus <= extra):
            started.append((waiting, queue.start(waiting, now_s)))
            extra -= 0 if ends_in_time else waiting.gpus
        else:
            kept.append(waiting)
    if len(kept) < len(queue.waiting):
        queue.waiting = deque(kept)
    return started


def reservation(queue: PartitionQueue) -> tuple[int, int]:
    """(shadow time, extra GPUs) of the head, which fits the partition but not what is free now."""
    needed, available = queue.waiting[0].gpus, queue.free
    for claim in queue.running:
        available += claim.gpus
        if available >= needed:
            return claim.until_s, available - needed
    raise ValueError(f"a job that holds {needed} GPUs waits for a partition of {available}")


def id_order(job_id: str) -> IdOrder:
    return IdOrder(False, int(job_id), "") if job_id.isdecimal() else IdOrder(True, 0, job_id)
