"""Where the last cycle stood, in the terms of the next: prices moved on to the new now, announced starts put back.

Nothing of a standing plan is trusted: it may be of another fleet, its jobs may be gone, its prices may be no numbers.
What cannot be used is left away, and the plan begins there as if nothing had stood.
"""

import numpy as np

from csched.placement.dtypes import Flags
from csched.placement.effort import Found
from csched.placement.prices import Prices, prices_of
from csched.placement.problem import Problem
from csched.placement.schedule import Board, Schedule

MOST_PRICE_KG = 1e6
"""Per GPU or kW and slot; a price above is a mistake, and sums of such lose the costs beside them."""


def standing(problem: Problem) -> Found | None:
    """The announced starts that are still allowed and fit, and the prices that stood; None where nothing stood."""
    if problem.snapshot.standing is None:
        return None
    return Found(put_back(problem), standing_prices(problem))


def put_back(problem: Problem) -> Schedule:
    """Of starts that no longer fit together the earlier ones stay, those of higher priority before all others."""
    room, slot = problem.announced_room, problem.announced_slot
    jobs = np.flatnonzero(room >= 0)
    jobs = jobs[(problem.first[jobs, room[jobs]] <= slot[jobs]) & (slot[jobs] <= problem.last[jobs, room[jobs]])]
    jobs = jobs[~problem.closed[problem.closed_of[jobs, room[jobs]], slot[jobs]]]
    every = Schedule.empty(problem)
    every.room[jobs], every.slot[jobs] = room[jobs], slot[jobs]
    after = Board.of(problem, every)
    sites = np.unique(problem.room_site[(after.gpus_left < 0).any(axis=1)])
    sites = np.union1d(sites, np.flatnonzero((after.power_left < 0).any(axis=1)))
    crowded = jobs[np.isin(problem.room_site[room[jobs]], sites)]
    every.room[crowded] = every.slot[crowded] = -1
    board = Board.of(problem, every)
    priority = np.array([problem.jobs[job].priority for job in crowded], dtype=np.int64)
    for job in crowded[np.lexsort((crowded, slot[crowded], -priority))].tolist():
        if board.has_room(job, int(room[job]), int(slot[job])):
            every.room[job], every.slot[job] = room[job], slot[job]
            board.put(job, int(room[job]), int(slot[job]))
    return every


def standing_prices(problem: Problem) -> Prices:
    """The prices that stood, by this problem's slots; none where they are no prices."""
    stood, step_s = problem.snapshot.standing, problem.slot_s
    if stood is None or stood.certificate is None or stood.slot_s != step_s:
        return Prices.zero(problem)
    shift = round((problem.now - stood.now).total_seconds() / step_s)
    if shift < 0:
        return Prices.zero(problem)
    prices = prices_of(problem, stood.certificate, shift_slots=shift)
    largest = max(prices.gpu.max(initial=0), prices.power.max(initial=0))
    return prices if prices.sane and largest <= MOST_PRICE_KG else Prices.zero(problem)


def moved(problem: Problem, schedule: Schedule) -> Flags:
    """Which announced jobs do not start as announced; shape (J,)."""
    elsewhere = (schedule.room != problem.announced_room) | (schedule.slot != problem.announced_slot)
    return np.asarray((problem.announced_room >= 0) & elsewhere)


def moves_kg(problem: Problem, schedule: Schedule) -> float:
    """What the moves of a schedule count for."""
    return float(problem.move_kg[moved(problem, schedule)].sum())
