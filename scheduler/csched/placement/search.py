"""The stages on compiled kernels: what prices are worth, squeaky-wheel list scheduling, ruin and recreate.

Everything is deterministic: kernels have no randomness, dice are thrown outside from the seed.
"""

from functools import cached_property

import numpy as np

from csched.placement import kernels
from csched.placement.kernels import Choice, Floor, Guide, Left
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
        most: Ints = self.problem.gpus_held.max(axis=1, initial=0)
        return np.multiply(most, self.problem.hold_slots, dtype=np.float64)

    def spread_kg(self) -> Floats:
        jobs = self.placeable
        spread = self.penalty_kg[jobs] - self.problem.drop_kg[jobs] - self.cheapest_kg[jobs]
        gpu_slots = (self.problem.gpus[jobs] * self.problem.hold_slots[jobs]).astype(np.float64)
        each: Floats = np.divide(spread, gpu_slots)
        return each

    def answer(self, prices: Prices) -> Answer:
        choice = _choice(self.least.shape)
        total = kernels.answers(self.tables, self.layout.rent(prices), self.penalty_kg, choice)
        return Answer(float(total) - rent_kg(self.problem, prices), choice.room, choice.start)

    def guide(self, prices: Prices) -> Guide:
        """What starts cost with these prices."""
        rent, choice = self.layout.rent(prices), _choice(self.least.shape)
        kernels.answers(self.tables, rent, self.penalty_kg, choice)
        return Guide(rent, choice.least)

    @cached_property
    def true(self) -> Guide:
        """What starts cost."""
        return Guide(self.layout.rent(Prices.zero(self.problem)), self.least)

    def cost_kg(self, schedule: Schedule) -> float:
        """By rounded run lengths, penalties of those left out included."""
        return float(self._each_kg(self.true, self._floor(schedule)).sum())

    def _each_kg(self, guide: Guide, floor: Floor) -> Floats:
        each = np.empty(len(self.problem.jobs))
        kernels.costs_of(self.tables, self.penalty_kg, guide.rent, floor, each)
        return each

    def squeak(self, counts: Guide, helps: Guide, rounds: int, first: Schedule | None = None) -> Schedule:
        """List schedules, each with those treated badly in the one before moved forward; the cheapest, `first` too.

        A round puts each job, big ones first, where `helps` has it cheapest, and then each in turn by what `counts`.
        """
        jobs = self.placeable
        urgency = -np.array([self.problem.jobs[job].priority for job in jobs], dtype=np.int64)
        size, blame = np.maximum(self.size[jobs], 1.0), np.zeros(len(jobs))
        cheapest = counts.least[jobs].min(axis=1, initial=np.inf)
        best = first or Schedule.empty(self.problem)
        best_kg = float(self._each_kg(counts, self._floor(best)).sum()) if first else np.inf
        for _ in range(max(rounds, 0 if first else 1)):
            order = jobs[np.lexsort((jobs, urgency, -(np.log(size) + blame)))]
            floor = self._floor(Schedule.empty(self.problem))
            for guide in (helps, counts):
                kernels.insert_all(self.tables, order, guide, floor)
            each = self._each_kg(counts, floor)
            if each.sum() < best_kg:
                best, best_kg = Schedule(floor.room, floor.start), float(each.sum())
            regret = np.maximum(each[jobs] - cheapest, 0.0) / size
            if len(jobs) == 0 or regret.mean() <= 0:
                break
            blame += BLAME * np.minimum(regret / regret.mean(), MOST_BLAME)
            blame -= blame.mean()
        return self.fill(best)

    def fill(self, schedule: Schedule) -> Schedule:
        """Put in what still fits, biggest first: no job is left out that has room."""
        out = self.placeable[schedule.room[self.placeable] < 0]
        if len(out) == 0:
            return schedule
        floor = self._floor(schedule)
        kernels.insert_all(self.tables, out[np.lexsort((out, -self.size[out]))], self.true, floor)
        return Schedule(floor.room, floor.start)

    def polish(
        self, counts: Guide, helps: Guide, schedule: Schedule, turns: int, dice: np.random.Generator
    ) -> Schedule:
        """The schedule after `turns` of ruin and recreate, begun most often at jobs that regret most."""
        jobs = self.placeable
        if len(jobs) == 0 or turns == 0:
            return schedule
        floor = self._floor(schedule)
        regret = np.maximum(self._each_kg(counts, floor)[jobs] - counts.least[jobs].min(axis=1), 0.0)
        odds = regret + regret.mean() + 1e-12
        seeds = jobs[dice.choice(len(jobs), size=turns, p=odds / odds.sum())]
        kernels.ruin_and_recreate(
            self.tables, (counts, helps), self.penalty_kg, seeds, dice.random((turns, DICE)), floor
        )
        return self.fill(Schedule(floor.room, floor.start))

    def _floor(self, schedule: Schedule) -> Floor:
        """A copy of the schedule for the kernels to work on, with what it leaves."""
        held, drawn = usage(self.problem, schedule.room, schedule.slot)
        drawn[self.layout.capped == 0] = 0
        left = Left(self.problem.gpus_left - held, self.problem.power_left - drawn)
        return Floor(left, schedule.room.copy(), schedule.slot.copy())

    def beside(self, schedule: Schedule) -> Left:
        """What a schedule leaves."""
        return self._floor(schedule).left


def exact_answer(problem: Problem, prices: Prices) -> tuple[float, Floats]:
    """The bound that prices prove, and the penalties (NaN without an allowed start), by true run lengths."""
    layout = Layout(problem)
    rent = layout.rent(prices)
    penalty_kg = np.full(len(problem.jobs), np.nan)
    total = 0.0
    for jobs, tables in layout.exact():
        least, most = np.empty(tables.gpus_held.shape), np.empty(tables.gpus_held.shape)
        kernels.extremes(tables, least, most)
        dearest = most.max(axis=1, initial=-np.inf)
        penalty = np.where(np.isfinite(dearest), dearest + problem.drop_kg[jobs], np.inf)
        total += float(kernels.answers(tables, rent, penalty, _choice(least.shape)))
        penalty_kg[jobs] = np.where(np.isfinite(penalty), penalty, np.nan)
    return total - rent_kg(problem, prices), penalty_kg


def _choice(shape: tuple[int, ...]) -> Choice:
    return Choice(np.empty(shape), np.empty(shape[0], dtype=np.int64), np.empty(shape[0], dtype=np.int64))
