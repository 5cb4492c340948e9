"""What the engine is held against, on the same problem: simpler ways to place the same jobs.

`greedy` is the fair rival: it knows every site and every start, takes each job in order of arrival to its cheapest
start that still fits, and may defer. `big-first` does the same with big jobs first. `lowest-intensity` goes to the
site whose grid is cleanest now and starts as soon as there is room.
"""

from collections.abc import Callable, Mapping

import numpy as np

from csched.placement import kernels
from csched.placement.kernels import Floor, Guide, Left
from csched.placement.prices import Prices
from csched.placement.schedule import Schedule, big_first
from csched.placement.search import Search


def greedy(search: Search) -> Schedule:
    return _inserted(search, search.placeable, search.true)


def big_jobs_first(search: Search) -> Schedule:
    return _inserted(search, big_first(search.problem), search.true)


def lowest_intensity(search: Search) -> Schedule:
    """The cleanest zone now, then the earliest slot: cost is intensity first and time second."""
    tables = search.tables
    now = search.problem.integrals(np.array([search.problem.slot_s]))[:, 0, 0]
    zones = np.zeros(tables.integrals.shape[1])
    zones[tables.zone_of] = now
    flat = np.broadcast_to(zones[None, :, None], tables.integrals.shape).copy()
    ones, nothing = np.ones_like(tables.kg_per_intensity), np.zeros_like(tables.wait_kg_per_slot)
    blind = tables._replace(
        integrals=flat * 1e6,
        kg_per_intensity=ones,
        egress_kg=np.zeros_like(ones),
        wait_kg_per_slot=np.ones_like(nothing),
        wait_kg_at_now=nothing,
    )
    least, most = np.empty_like(ones), np.empty_like(ones)
    kernels.extremes(blind, least, most)
    guide = Guide(search.layout.rent(Prices.zero(search.problem)), least)
    return _inserted(search, search.placeable, guide, blind)


def _inserted(search: Search, order: np.ndarray, guide: Guide, tables: kernels.Tables | None = None) -> Schedule:
    problem, empty = search.problem, Schedule.empty(search.problem)
    floor = Floor(Left(problem.gpus_left.copy(), problem.power_left.copy()), empty.room, empty.slot)
    kernels.insert_all(tables or search.tables, order, guide, floor)
    return Schedule(floor.room, floor.start)


RIVALS: Mapping[str, Callable[[Search], Schedule]] = {
    "greedy": greedy,
    "big-first": big_jobs_first,
    "lowest-intensity": lowest_intensity,
}
