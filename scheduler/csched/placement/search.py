"""The stages on compiled kernels: what prices are worth, squeaky-wheel list scheduling, ruin and recreate.

Everything is deterministic: kernels have no randomness, dice are thrown outside from the seed.
"""

from functools import cached_property

import numpy as np

from csched.placement import kernels
from csched.placement.prices import Answer, Prices, rent_kg, usage
from csched.placement.problem import Floats, Ints, Problem
from csched.placement.schedule import Schedule
from csched.placement.tables import Layout

DICE = 24
"""Numbers thrown for one turn of ruin and recreate."""
BLAME, MOST_BLAME = 0.3, 10.0
"""How far a regret of the mean size moves a job forward, in units of log size; and how many times that at most."""


class Search:
    """One problem on the kernels, with run lengths rounded where there are too many of them."""

    def __init__(self, problem: Problem, *, bundled: bool = False) -> None:
        self.problem = problem
        self.layout = Layout(problem, bundled=bundled)
        self.tables = self.layout.rounded()
        self.least, most = np.empty(problem.gpus_held.shape), np.empty(problem.gpus_held.shape)
        """Smallest cost of each job in each room; shape (J, P)."""
        kernels.extremes(self.tables, self.least, most)
        dearest = most.max(axis=1, initial=-np.inf)
        self.penalty_kg = np.where(np.isfinite(dearest), dearest + problem.drop_kg, np.inf)
        """Infinite without an allowed start; shape (J,)."""
        self.cheapest_kg = self.least.min(axis=1, initial=np.inf)
        self.placeable = np.flatnonzero(np.isfinite(self.cheapest_kg))

    @cached_property
    def size(self) -> Floats:
        """GPU-slots that each job holds where it holds most; shape (J,)."""
        return (self.problem.gpus_held.max(axis=1, initial=0) * self.problem.hold_slots).astype(np.float64)

    def spread_kg(self) -> Floats:
        jobs = self.placeable
        spread = self.penalty_kg[jobs] - self.problem.drop_kg[jobs] - self.cheapest_kg[jobs]
        return np.asarray(spread / (self.problem.gpus[jobs] * self.problem.hold_slots[jobs]))

    def answer(self, prices: Prices) -> Answer:
        jobs = len(self.problem.jobs)
        room, slot = np.empty(jobs, dtype=np.int64), np.empty(jobs, dtype=np.int64)
        least = np.empty_like(self.least)
        total = kernels.answers(self.tables, *self.layout.prefixes(prices), self.penalty_kg, least, room, slot)
        return Answer(float(total) - rent_kg(self.problem, prices), room, slot)

    def least_priced(self, prices: Prices) -> Floats:
        """Smallest reduced cost of each job in each room; shape (J, P)."""
        jobs = len(self.problem.jobs)
        least, unused = np.empty_like(self.least), np.empty(jobs, dtype=np.int64)
        kernels.answers(
            self.tables, *self.layout.prefixes(prices), self.penalty_kg, least, unused, np.empty_like(unused)
        )
        return least

    def cost_kg(self, schedule: Schedule) -> float:
        """By rounded run lengths, penalties of those left out included."""
        return float(self._each_kg(schedule).sum())

    def _each_kg(self, schedule: Schedule) -> Floats:
        each = np.empty(len(self.problem.jobs))
        kernels.total_cost(self.tables, self.penalty_kg, schedule.room, schedule.slot, each)
        return each

    def squeak(self, prices: Prices, rounds: int, first: Schedule | None = None) -> Schedule:
        """List schedules, each with those treated badly in the one before moved forward; the cheapest, `first` too.

        A round puts each job, big ones first, to its least reduced cost, and then each in turn to its least true cost.
        """
        problem, tables, jobs = self.problem, self.tables, self.placeable
        gpu, power = self.layout.prefixes(prices)
        priced = self.least_priced(prices)
        urgency = -np.array([problem.jobs[job].priority for job in jobs], dtype=np.int64)
        size, blame = np.maximum(self.size[jobs], 1.0), np.zeros(len(jobs))
        best, best_kg = (first, self.cost_kg(first)) if first else (Schedule.empty(problem), np.inf)
        for _ in range(max(rounds, 0 if first else 1)):
            order = jobs[np.lexsort((jobs, urgency, -(np.log(size) + blame)))]
            now, left = Schedule.empty(problem), (problem.gpus_left.copy(), problem.power_left.copy())
            for bounds, by_price in ((priced, True), (self.least, False)):
                kernels.insert_all(tables, order, bounds, gpu, power, by_price, *left, now.room, now.slot)
            each = self._each_kg(now)
            if each.sum() < best_kg:
                best, best_kg = now, float(each.sum())
            regret = (each[jobs] - self.cheapest_kg[jobs]) / size
            if len(jobs) == 0 or regret.mean() <= 0:
                break
            blame += BLAME * np.minimum(regret / regret.mean(), MOST_BLAME)
            blame -= blame.mean()
        return self.fill(best)

    def fill(self, schedule: Schedule) -> Schedule:
        """Put in what still fits, biggest first: no job is left out that has room."""
        out = self.placeable[schedule.room[self.placeable] < 0]
        filled = Schedule(schedule.room.copy(), schedule.slot.copy())
        if len(out) > 0:
            order = out[np.lexsort((out, -self.size[out]))]
            free = self.layout.prefixes(Prices.zero(self.problem))
            left = self.left_by(schedule)
            kernels.insert_all(self.tables, order, self.least, *free, False, *left, filled.room, filled.slot)
        return filled

    def polish(self, schedule: Schedule, prices: Prices, turns: int, dice: np.random.Generator) -> Schedule:
        """The schedule after `turns` of ruin and recreate, begun most often at jobs that regret most."""
        jobs = self.placeable
        if len(jobs) == 0 or turns == 0:
            return schedule
        regret = np.maximum(self._each_kg(schedule)[jobs] - self.cheapest_kg[jobs], 0.0)
        odds = regret + regret.mean() + 1e-12
        seeds = jobs[dice.choice(len(jobs), size=turns, p=odds / odds.sum())]
        better = Schedule(schedule.room.copy(), schedule.slot.copy())
        kernels.ruin_and_recreate(
            self.tables,
            self.least,
            self.least_priced(prices),
            *self.layout.prefixes(prices),
            self.penalty_kg,
            seeds,
            dice.random((turns, DICE)),
            *self.left_by(schedule),
            better.room,
            better.slot,
        )
        return self.fill(better)

    def left_by(self, schedule: Schedule) -> tuple[Ints, Ints]:
        """GPUs and power units that a schedule leaves; shapes (P, R) and (S, R)."""
        held, drawn = usage(self.problem, schedule.room, schedule.slot)
        drawn[self.layout.capped == 0] = 0
        return self.problem.gpus_left - held, self.problem.power_left - drawn


def exact_answer(problem: Problem, prices: Prices) -> tuple[float, Floats]:
    """The bound that prices prove, and the penalties (NaN without an allowed start), by true run lengths."""
    layout = Layout(problem)
    gpu, power = layout.prefixes(prices)
    penalty_kg = np.full(len(problem.jobs), np.nan)
    total = 0.0
    for jobs, tables in layout.exact():
        least, most = np.empty(tables.gpus_held.shape), np.empty(tables.gpus_held.shape)
        kernels.extremes(tables, least, most)
        dearest = most.max(axis=1, initial=-np.inf)
        penalty = np.where(np.isfinite(dearest), dearest + problem.drop_kg[jobs], np.inf)
        room, slot = np.empty(len(jobs), dtype=np.int64), np.empty(len(jobs), dtype=np.int64)
        total += float(kernels.answers(tables, gpu, power, penalty, least, room, slot))
        penalty_kg[jobs] = np.where(np.isfinite(penalty), penalty, np.nan)
    return total - rent_kg(problem, prices), penalty_kg
