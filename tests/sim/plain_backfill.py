"""FIFO and EASY once more, from the textbook with a heap and nothing of csched: what the simulator must equal."""

import heapq
from dataclasses import dataclass


@dataclass(frozen=True)
class PlainJob:
    number: int
    submit: int
    size: int
    run: int
    limit: int


def schedule(jobs: list[PlainJob], machine: int, *, backfill: bool) -> dict[int, int]:
    """Job number -> start second. At an instant all ends, then all submissions, then one pass."""
    to_come = sorted(jobs, key=lambda job: job.submit)[::-1]
    ends: list[tuple[int, int]] = []
    running: dict[int, PlainJob] = {}
    queue: list[PlainJob] = []
    starts: dict[int, int] = {}
    free = machine
    while to_come or ends:
        now = min([job.submit for job in to_come[-1:]] + [end for end, _ in ends[:1]])
        while ends and ends[0][0] == now:
            free += running.pop(heapq.heappop(ends)[1]).size
        while to_come and to_come[-1].submit == now:
            queue.append(to_come.pop())
        for job in _chosen(queue, running, starts, free, now, backfill=backfill):
            queue.remove(job)
            starts[job.number] = now
            running[job.number] = job
            free -= job.size
            heapq.heappush(ends, (now + job.run, job.number))
    return starts


def _chosen(
    queue: list[PlainJob], running: dict[int, PlainJob], starts: dict[int, int], free: int, now: int, *, backfill: bool
) -> list[PlainJob]:
    chosen: list[PlainJob] = []
    rest = list(queue)
    while rest and rest[0].size <= free:
        free -= rest[0].size
        chosen.append(rest.pop(0))
    if not backfill or not rest:
        return chosen
    expected = [(starts[number] + job.limit, number, job.size) for number, job in running.items()]
    expected += [(now + job.limit, job.number, job.size) for job in chosen]
    head, reachable, shadow, extra = rest[0], free, 0, 0
    for end, _number, size in sorted(expected):
        reachable += size
        if reachable >= head.size:
            shadow, extra = end, reachable - head.size
            break
    for job in rest[1:]:
        before_shadow = now + job.limit <= shadow
        if job.size <= free and (before_shadow or job.size <= extra):
            chosen.append(job)
            free -= job.size
            if not before_shadow:
                extra -= job.size
    return chosen
