"""Where not all jobs fit: those of higher priority first, and of equals as it costs least.

A job left out goes where it would be cheapest were there no job of lower priority; of those in its way as few as
need be are lifted, least urgent first, and put in again where they still fit. A job on which more urgent ones wait
counts as urgent as they are.
"""

import numpy as np

from csched.placement.arrangement import Arrangement, Spot
from csched.placement.dtypes import Flags, Floats, Ints
from csched.placement.effort import Watch
from csched.placement.schedule import Board

MOST_EXCHANGES = 200
"""Jobs for which others of the same priority are moved, where that costs less."""


def make_room(standing: Arrangement, penalty_kg: Floats, watch: Watch) -> bool:
    """Let no job be left out for others of lower priority; whether anything changed."""
    before = standing.schedule
    urgency = _urgency(standing)
    levels = sorted({int(urgency[job]) for job in standing.left_out()}, reverse=True)
    for level in levels:
        lower = urgency < level
        if (lower & (standing.room >= 0)).any():
            _raise_level(standing, level, lower, urgency)
    for job in standing.left_out()[: MOST_EXCHANGES if standing.ties.bound else 0]:
        if not watch.over():
            _exchange(standing, job, urgency, penalty_kg)
    after = standing.schedule
    return not (np.array_equal(before.room, after.room) and np.array_equal(before.slot, after.slot))


def _urgency(standing: Arrangement) -> Ints:
    """Priority of each job, or of the most urgent one that waits for it; shape (J,)."""
    urgency = np.array([job.priority for job in standing.problem.jobs], dtype=np.int64)
    for job in standing.ties.dependencies.order[::-1].tolist():
        for wait in standing.ties.dependencies.behind.get(job, ()):
            urgency[job] = max(urgency[job], urgency[wait.job])
    return urgency


def _raise_level(standing: Arrangement, level: int, lower: Flags, urgency: Ints) -> None:
    above = _without(standing, lower)
    for job in standing.left_out():
        if urgency[job] != level:
            continue
        spot = standing.best(job, above)
        if spot is None:
            continue
        _put_in(standing, job, spot, lower, urgency)
        if standing.placed(job):
            standing.take(job, spot, above)


def _without(standing: Arrangement, some: Flags) -> Board:
    """What all but some of the placed jobs leave."""
    board = Board(standing.problem)
    board.gpus_left, board.power_left = standing.board.gpus_left.copy(), standing.board.power_left.copy()
    for job in np.flatnonzero(some & (standing.room >= 0)).tolist():
        standing.take(job, standing.spot(job), board, sign=-1)
    return board


def _put_in(standing: Arrangement, job: int, spot: Spot, lower: Flags, urgency: Ints) -> dict[int, Spot]:
    """Put a job in and lift those in its way; where these were. They are put in again where they fit."""
    standing.put(job, spot)
    lifted: dict[int, Spot] = {}
    for other in _in_the_way(standing, job, lower, urgency):
        if standing.board.valid:
            break
        if standing.placed(other) and _presses(standing, other):
            lifted |= standing.lift_with_followers(other)
    if not standing.board.valid or not standing.placed(job):
        if standing.placed(job):
            standing.lift(job)
        for other, old in lifted.items():
            standing.put(other, old)
        return {}
    for other in standing.left_out():
        if other in lifted:
            standing.put_best(other)
    return lifted


def _in_the_way(standing: Arrangement, job: int, lower: Flags, urgency: Ints) -> list[int]:
    """Placed jobs at the same site at the same time, the least urgent first, of these the latest first."""
    sites = standing.problem.room_site
    here = lower & (standing.room >= 0) & (sites[np.maximum(standing.room, 0)] == sites[standing.room[job]])
    here &= (standing.slot < standing.end[job]) & (standing.end > standing.slot[job])
    here[job] = False
    each = np.flatnonzero(here)
    ordered: list[int] = each[np.lexsort((each, -standing.slot[each], urgency[each]))].tolist()
    return ordered


def _presses(standing: Arrangement, job: int) -> bool:
    """Whether a placed job holds something of which there is too little."""
    board, rooms = standing.board, list(standing.spot(job).rooms)
    end = int(standing.problem.row_after(np.array([standing.end[job]]))[0])
    rows = slice(int(standing.slot[job]), end)
    site = standing.problem.room_site[rooms[0]]
    return bool((board.gpus_left[rooms, rows] < 0).any() or (board.power_left[site, rows] < 0).any())


def _exchange(standing: Arrangement, job: int, urgency: Ints, penalty_kg: Floats) -> None:
    """Put a job in at the expense of others of its own priority, where the plan as a whole then costs less."""
    if np.isnan(penalty_kg[job]) or standing.placed(job):
        return
    equal = urgency <= standing.problem.jobs[job].priority
    spot = standing.best(job, _without(standing, equal))
    if spot is None:
        return
    lifted = _put_in(standing, job, spot, equal, urgency)
    if not standing.placed(job):
        return
    before = penalty_kg[job] + sum(standing.cost_kg(other, old) for other, old in lifted.items())
    after = spot.cost_kg + sum(
        standing.cost_kg(other, standing.spot(other)) if standing.placed(other) else penalty_kg[other]
        for other in lifted
    )
    if after >= before or any(not standing.placed(other) for other in lifted if urgency[other] > urgency[job]):
        for other in (job, *lifted):
            if standing.placed(other):
                standing.lift(other)
        for other, old in lifted.items():
            standing.put(other, old)
