"""The dual in plain numpy: what small instances are proven with, and what is left where numba is not."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from csched.placement.dtypes import Floats, Ints
from csched.placement.prices import Answer, Ascent, Prices, rent_kg, step_up, usage
from csched.placement.problem import Problem
from csched.placement.timeline import UNCAPPED

CHUNK_JOBS = 256


class Oracle:
    """Every start of every job in plain numpy: exact, and quick enough for hundreds of jobs."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self._holds, self._hold_of = np.unique(problem.hold_slots, return_inverse=True)
        slots = np.arange(problem.start_slots)
        self._slots, self._rooms = slots, np.arange(len(problem.rooms))
        self._ends = problem.row_after(slots[None, :] + self._holds[:, None])
        self._fewest_gpus = problem.gpus_left.min(axis=1)
        self.penalty_kg = self._penalties()

    def chunks(self) -> Iterator[Ints]:
        for first in range(0, len(self.problem.jobs), CHUNK_JOBS):
            yield np.arange(first, min(first + CHUNK_JOBS, len(self.problem.jobs)))

    def costs_kg(self, jobs: Ints) -> Floats:
        """True costs of all starts, infinite where not allowed; shape (len(jobs), P, H)."""
        return self._few_costs_kg[jobs] if self._few else self._costs_kg(jobs)

    def reduced_kg(self, jobs: Ints, held: "HeldPrices") -> Floats:
        """Costs with prices, infinite where too few GPUs are left; shape (len(jobs), P, H)."""
        problem, hold = self.problem, self._hold_of[jobs]
        total = self._few_possible_kg[jobs] if self._few else self._possible_kg(jobs)
        total += problem.gpus_held[jobs][:, :, None] * held.gpu[hold, self._rooms]
        if held.power is not None:
            total += problem.power[jobs][:, :, None] * held.power[hold, problem.room_site]
        return total

    @property
    def _few(self) -> bool:
        """Whether what no price changes is kept: of more jobs that would be too much."""
        return len(self.problem.jobs) <= CHUNK_JOBS

    @cached_property
    def _few_costs_kg(self) -> Floats:
        return self._costs_kg(np.arange(len(self.problem.jobs)))

    @cached_property
    def _few_possible_kg(self) -> Floats:
        return self._possible_kg(np.arange(len(self.problem.jobs)))

    def _costs_kg(self, jobs: Ints) -> Floats:
        problem = self.problem
        runs, run_of = np.unique(problem.runtime_s[jobs], return_inverse=True)
        total: Floats = problem.integrals(runs)[self._rooms, run_of]
        total *= problem.kg_per_intensity[jobs][:, :, None]
        total += problem.egress_kg[jobs][:, :, None] + problem.wait_kg_at_now[jobs][:, None, None]
        total += problem.wait_kg_per_slot[jobs][:, None, None] * self._slots
        total[~problem.allowed_starts(jobs)] = np.inf
        return total

    def _possible_kg(self, jobs: Ints) -> Floats:
        """True costs, infinite where too few GPUs are left, too."""
        problem, total = self.problem, self.costs_kg(jobs)
        for room in np.flatnonzero((problem.gpus_held[jobs] > self._fewest_gpus).any(axis=0)):
            free = problem.free_slots(problem.gpus_left[room], problem.gpus_held[jobs, room])
            total[:, room][free < problem.hold_slots[jobs, room, None]] = np.inf
        return total

    def held(self, prices: Prices) -> "HeldPrices":
        power = self._over_holds(prices.power) if prices.power.any() else None
        return HeldPrices(self._over_holds(prices.gpu), power)

    def _over_holds(self, prices: Floats) -> Floats:
        """Sum of prices over a hold of each length from each start slot; shape (D, rows of prices, H)."""
        before = np.concatenate([np.zeros((len(prices), 1)), np.cumsum(prices, axis=1)], axis=1)
        sums: Floats = np.moveaxis(before[:, self._ends], 1, 0) - before[:, self._slots][None, :, :]
        return sums

    def answer(self, prices: Prices) -> Answer:
        problem, held = self.problem, self.held(prices)
        room, slot = np.full(len(problem.jobs), -1), np.full(len(problem.jobs), -1)
        total = 0.0
        for jobs in self.chunks():
            flat = self.reduced_kg(jobs, held).reshape(len(jobs), -1)
            best = flat.argmin(axis=1)
            least = flat[np.arange(len(jobs)), best]
            start = least < self.penalty_kg[jobs]
            room[jobs[start]], slot[jobs[start]] = np.divmod(best[start], problem.start_slots)
            total += float(np.where(start, least, np.nan_to_num(self.penalty_kg[jobs], nan=0.0)).sum())
        return Answer(total - rent_kg(problem, prices), room, slot)

    def climb(self, ascent: Ascent, turn: int, steps: Floats) -> bool:
        """Rounds of prices; see `prices.Climb`."""
        problem, rooms = self.problem, len(self.problem.rooms)
        there_is = np.concatenate([problem.gpus_left, problem.power_left])
        most = np.maximum(np.where(there_is < UNCAPPED, there_is, 1).max(axis=1, keepdims=True), 1)
        for index, step in enumerate(steps):
            answer = self.answer(Prices(ascent.price[:rooms], ascent.price[rooms:]))
            if answer.bound_kg > ascent.best_kg[0]:
                ascent.best[:], ascent.best_kg[0] = ascent.price, answer.bound_kg
            over = np.concatenate(usage(problem, answer.room, answer.slot)) - there_is
            if not ascent.price.any() and np.all(over <= 0):
                return False
            step_up(ascent, over / most, turn + index, float(step))
        return True

    def spread_kg(self) -> Floats:
        """Dearest less cheapest start of each job that has one, kg per GPU and slot."""
        cheapest = np.concatenate([self.costs_kg(jobs).min(axis=(1, 2)) for jobs in self.chunks()] or [np.empty(0)])
        problem = self.problem
        spread = (self.penalty_kg - problem.drop_kg - cheapest) / (problem.gpus * problem.longest_hold)
        return np.asarray(spread[np.isfinite(spread)])

    def _penalties(self) -> Floats:
        """Penalty of leaving each job out, NaN for jobs without an allowed start; shape (J,)."""
        problem = self.problem
        dearest = np.full(len(problem.jobs), np.nan)
        for jobs in self.chunks():
            every = self.costs_kg(jobs)
            worst = np.where(np.isfinite(every), every, -np.inf).max(axis=(1, 2))
            dearest[jobs] = np.where(np.isfinite(worst), worst, np.nan)
        return dearest + problem.drop_kg


@dataclass(frozen=True, eq=False)
class HeldPrices:
    """Prices summed over a hold, by length of hold: shapes (D, P, H) and (D, S, H); no power prices is None."""

    gpu: Floats
    power: Floats | None
