"""A problem laid out for the kernels, with true run lengths or, where there are too many of them, rounded ones."""

from collections.abc import Iterator

import numpy as np

from csched.placement.kernels import Left, Rent, Tables
from csched.placement.prices import Prices
from csched.placement.problem import UNCAPPED, Floats, Ints, Problem

MOST_ENTRIES = 4_000_000
"""Of the table of integrals: 32 MB."""


class Layout:
    """What all tables of one problem share; made once."""

    def __init__(self, problem: Problem, *, bundled: bool = False) -> None:
        """`bundled`: jobs stand for several of their kind, so that none is too large to start."""
        self.problem = problem
        never = np.full(len(problem.rooms), np.iinfo(np.int64).max)
        self.fewest_gpus = never if bundled else problem.gpus_left.min(axis=1)
        self.hold = np.minimum(problem.hold_slots, problem.row_slots[-1] + 1)
        """A longer hold covers no more rows."""
        self.slots = problem.start_slots + int(self.hold.max(initial=1))
        self.row_of = problem.row_after(np.arange(self.slots + 1))
        zones = sorted({room.site.grid_zone for room in problem.rooms})
        self.zone_of = np.array([zones.index(room.site.grid_zone) for room in problem.rooms], dtype=np.int64)
        self.runs = max(1, MOST_ENTRIES // (len(zones) * problem.start_slots))
        """How many lengths of run a table may have."""
        self._room_of_zone = np.array([self.zone_of.tolist().index(zone) for zone in range(len(zones))], dtype=np.int64)
        self.nominal = np.full((len(problem.power_nominal), self.slots + 1), UNCAPPED)
        inside = problem.row_slots <= self.slots
        self.nominal[:, problem.row_slots[inside]] = problem.power_nominal[:, inside]
        self.capped: Ints = np.where((problem.power_nominal < UNCAPPED).any(axis=1), 1, 0)
        spread = problem.power_nominal.min(axis=1) < problem.power_nominal.max(axis=1)
        self.varies = spread.astype(np.int64)

    def tables(self, jobs: Ints | slice, runtimes_s: Ints, run_of: Ints) -> Tables:
        """Tables of some jobs with these lengths of run; views of the problem where `jobs` is a slice."""
        problem = self.problem
        integrals = problem.integrals(runtimes_s)[self._room_of_zone]
        return Tables(
            hold=self.hold[jobs],
            gpus_held=problem.gpus_held[jobs],
            power=problem.power[jobs],
            first=problem.first[jobs],
            last=problem.last[jobs],
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
            nominal=self.nominal,
            varies=self.varies,
            row_of=self.row_of,
            ramp=np.arange(problem.start_slots, dtype=np.float64),
            left=Left(problem.gpus_left, problem.power_left),
            fewest_gpus=self.fewest_gpus,
        )

    def rounded(self) -> Tables:
        """All jobs; lengths of run are rounded to the finest step that the table has room for."""
        runtimes_s = self.problem.runtime_s
        step_s = 1
        while len(np.unique(-(-runtimes_s // step_s))) > self.runs:
            step_s *= 2
        middle = np.maximum(1, np.round(runtimes_s / step_s).astype(np.int64) * step_s)
        each, run_of = np.unique(middle, return_inverse=True)
        return self.tables(slice(None), each, run_of)

    def exact(self) -> Iterator[tuple[Ints | slice, Tables]]:
        """All jobs with their true lengths of run, in as many parts as the table needs: (jobs, tables)."""
        each, run_of = np.unique(self.problem.runtime_s, return_inverse=True)
        if len(each) <= self.runs:
            yield slice(None), self.tables(slice(None), each, run_of)
            return
        by_run = np.argsort(run_of, kind="stable")
        edges = np.searchsorted(run_of[by_run], np.arange(0, len(each) + self.runs, self.runs))
        for part, first in enumerate(range(0, len(each), self.runs)):
            jobs = np.sort(by_run[edges[part] : edges[part + 1]])
            yield jobs, self.tables(jobs, each[first : first + self.runs], run_of[jobs] - first)

    def rent(self, prices: Prices) -> Rent:
        return Rent(self._prefix(prices.gpu), self._prefix(prices.power))

    def _prefix(self, prices: Floats) -> Floats:
        before = np.zeros((len(prices), len(self.problem.row_slots) + 1))
        np.cumsum(prices, axis=1, out=before[:, 1:])
        return np.ascontiguousarray(before[:, self.row_of])
