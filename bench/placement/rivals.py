"""What the engine is held against, on the same problem: simpler ways to place the same jobs, one after another.

`greedy` knows every site and every start and takes the cheapest that still fits. `site + deferral` is the fair rival of
schedulers in use: the site that is cheapest at once, and there the cheapest start that still fits; another site only
where that one is full to the horizon. Both take jobs in order of arrival. `big-first` is `greedy` with big jobs first.
`lowest-intensity` goes to the site whose grid is cleanest now and starts as soon as there is room. None has prices.
"""

from collections.abc import Callable, Mapping

import numpy as np

from csched.placement.dtypes import Floats, Ints
from csched.placement.oracle import CHUNK_JOBS, Oracle
from csched.placement.schedule import Board, Schedule, big_first

Wish = Callable[[Oracle, Floats], Floats]
"""Costs of all starts of some jobs -> what to make smallest, infinite where not allowed; (jobs, rooms, slots)."""
FAR = 1e9
"""More than any cost."""


def greedy(oracle: Oracle) -> Schedule:
    return _listed(oracle, _by_arrival(oracle), lambda _, costs: costs)


def big_jobs_first(oracle: Oracle) -> Schedule:
    return _listed(oracle, big_first(oracle.problem), lambda _, costs: costs)


def site_and_deferral(oracle: Oracle) -> Schedule:
    return _listed(oracle, _by_arrival(oracle), _cheapest_site_now)


def lowest_intensity(oracle: Oracle) -> Schedule:
    return _listed(oracle, _by_arrival(oracle), _cleanest_zone_now)


def _cheapest_site_now(_oracle: Oracle, costs: Floats) -> Floats:
    """By cost, but all rooms that are not cheapest at their first allowed start come behind."""
    first = np.isfinite(costs).argmax(axis=2)
    at_once = np.take_along_axis(costs, first[:, :, None], axis=2)
    wishes: Floats = costs + np.where(at_once > at_once.min(axis=1, keepdims=True), FAR, 0.0)
    return wishes


def _cleanest_zone_now(oracle: Oracle, costs: Floats) -> Floats:
    """By the intensity of the first slot, then by time."""
    problem = oracle.problem
    now = problem.integrals(np.array([problem.slot_s]))[:, 0, 0]
    wishes = FAR * now[:, None] + np.arange(problem.start_slots)
    return np.where(np.isfinite(costs), wishes, np.inf)


def _by_arrival(oracle: Oracle) -> Ints:
    """Positions of the jobs, which a problem lists by demand, in the order of the snapshot."""
    arrival = {job.job: index for index, job in enumerate(oracle.problem.snapshot.jobs)}
    return np.argsort([arrival[job.job] for job in oracle.problem.jobs])


def _listed(oracle: Oracle, order: Ints, wish: Wish) -> Schedule:
    board, schedule = Board(oracle.problem), Schedule.empty(oracle.problem)
    for first in range(0, len(order), CHUNK_JOBS):
        jobs = order[first : first + CHUNK_JOBS]
        for job, wishes in zip(jobs.tolist(), wish(oracle, oracle.costs_kg(jobs)), strict=True):
            open_to_it = np.where(board.fits(job), wishes, np.inf)
            best = int(open_to_it.argmin())
            if np.isfinite(open_to_it.flat[best]):
                schedule.room[job], schedule.slot[job] = divmod(best, oracle.problem.start_slots)
                board.put(job, int(schedule.room[job]), int(schedule.slot[job]))
    return schedule


RIVALS: Mapping[str, Callable[[Oracle], Schedule]] = {
    "greedy": greedy,
    "big-first": big_jobs_first,
    "site + deferral": site_and_deferral,
    "lowest-intensity": lowest_intensity,
}
