"""A problem laid out for the kernels, with true run lengths or, where there are too many of them, rounded ones."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from csched.placement.dtypes import Floats, Ints, Slots
from csched.placement.kernels import Left, Rent, Tables
from csched.placement.prices import Prices
from csched.placement.problem import Problem
from csched.placement.timeline import UNCAPPED

MOST_ENTRIES = 4_000_000
"""Of the table of integrals: 32 MB."""


class Layout:
    """What all tables of one problem share; made once."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.hold: Slots = np.minimum(problem.hold_slots, np.int64(problem.row_slots[-1] + 1))
        """A longer hold covers no more rows."""
        self.slots = problem.start_slots + int(self.hold.max(initial=1))
        self.row_of = problem.row_after(np.arange(self.slots + 1))
        zones = sorted({room.site.grid_zone for room in problem.rooms})
        self.zone_of = np.array([zones.index(room.site.grid_zone) for room in problem.rooms], dtype=np.int64)
        self.runs = max(1, MOST_ENTRIES // (len(zones) * problem.start_slots))
        """How many lengths of run a table may have."""
        self._room_of_zone = np.array([self.zone_of.tolist().index(zone) for zone in range(len(zones))], dtype=np.int64)
        self.capped: Ints = np.where((problem.power_nominal < UNCAPPED).any(axis=1), 1, 0)
        self._runtimes_s, self._runtime_of = _distinct_columns(problem.runtime_s)

    def tables(self, jobs: Ints | slice, runtimes_s: Ints, run_of: Slots) -> Tables:
        """Tables of some jobs with these lengths of run; views of the problem where `jobs` is a slice."""
        problem = self.problem
        integrals = problem.integrals(runtimes_s)[self._room_of_zone]
        return Tables(
            hold=self.hold[jobs],
            gpus_held=problem.gpus_held[jobs],
            power=problem.power[jobs],
            first=problem.first[jobs],
            last=problem.last[jobs],
            closed=problem.closed,
            closed_of=problem.closed_of[jobs],
            kg_per_intensity=problem.kg_per_intensity[jobs],
            egress_kg=problem.egress_kg[jobs],
            wait_kg_per_slot=problem.wait_kg_per_slot[jobs],
            wait_kg_at_now=problem.wait_kg_at_now[jobs],
            announced_room=problem.announced_room[jobs],
            announced_slot=problem.announced_slot[jobs],
            move_kg=np.zeros(len(run_of)),
            run_of=run_of,
            integrals=np.ascontiguousarray(np.moveaxis(integrals, 1, 0)),
            zone_of=self.zone_of,
            site_of=problem.room_site,
            capped=self.capped,
            gapped=problem.gapped,
            nominal=Left(problem.gpus_nominal, problem.power_nominal),
            row_of=self.row_of,
            ramp=np.arange(problem.start_slots, dtype=np.float64),
            left=Left(problem.gpus_left, problem.power_left),
            fewest_gpus=problem.gpus_left.min(axis=1),
        )

    def rounded(self) -> Tables:
        """All jobs; lengths of run are rounded to the finest step that the table has room for."""
        runtimes_s = self._runtimes_s
        step_s = 1
        while len(np.unique(-(-runtimes_s // step_s))) > self.runs:
            step_s *= 2
        middle = np.maximum(1, np.round(runtimes_s / step_s).astype(np.int64) * step_s)
        each, run_of = np.unique(middle, return_inverse=True)
        return self.tables(slice(None), each, self._by_room(run_of))

    def exact(self) -> Iterator[tuple[Ints | slice, Tables]]:
        """All jobs with their true lengths of run, in as many parts as the table needs: (jobs, tables)."""
        each, run_of = np.unique(self._runtimes_s, return_inverse=True)
        if len(each) <= self.runs:
            yield slice(None), self.tables(slice(None), each, self._by_room(run_of))
            return
        rows, row_of = np.unique(self._runtimes_s, axis=0, return_inverse=True)
        most = max(1, self.runs // rows.shape[1])
        by_row = np.argsort(row_of, kind="stable")
        edges = np.searchsorted(row_of[by_row], np.arange(0, len(rows) + most, most))
        for begin, end in pairwise(edges.tolist()):
            jobs = np.sort(by_row[begin:end])
            each, run_of = np.unique(self._runtimes_s[jobs], return_inverse=True)
            yield jobs, self.tables(jobs, each, self._by_room(run_of))

    def _by_room(self, run_of: Ints) -> Slots:
        """Indices of lengths of run, given by distinct column, by room; shape (J, P)."""
        return np.ascontiguousarray(run_of.astype(np.int64)[:, self._runtime_of])

    def rent(self, prices: Prices) -> Rent:
        return Rent(self._prefix(prices.gpu), self._prefix(prices.power))

    def _prefix(self, prices: Floats) -> Floats:
        before = np.zeros((len(prices), len(self.problem.row_slots) + 1))
        np.cumsum(prices, axis=1, out=before[:, 1:])
        return np.ascontiguousarray(before[:, self.row_of])


def _distinct_columns(runtimes_s: Slots) -> tuple[Ints, Ints]:
    """The columns that differ, at least one, shape (J, n); and for each room the index of its own, shape (P,).

    Rooms of one hardware, and all of them for jobs without factors, have equal columns.
    """
    kept: list[int] = []
    of_room: list[int] = []
    for room in range(runtimes_s.shape[1]):
        same = (index for index, one in enumerate(kept) if np.array_equal(runtimes_s[:, one], runtimes_s[:, room]))
        of_room.append(next(same, len(kept)))
        if of_room[-1] == len(kept):
            kept.append(room)
    return runtimes_s[:, kept].astype(np.int64), np.array(of_room, dtype=np.int64)
