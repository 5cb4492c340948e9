"""The stages on compiled kernels: what prices are worth, squeaky-wheel list scheduling, ruin and recreate.

Everything is deterministic: kernels have no randomness, dice are thrown outside from the seed.
"""

import logging
from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np
from numba.core.event import Listener, install_listener

from csched.placement import kernels
from csched.placement.dtypes import Floats, Ints
from csched.placement.kernels import Choice, Floor, Guide, Left, Ranks, Tables
from csched.placement.prices import Answer, Prices, always, rent_kg, usage
from csched.placement.problem import Problem
from csched.placement.schedule import Schedule
from csched.placement.tables import Layout

LOG = logging.getLogger("csched.placement")
DICE = 24
"""Numbers thrown for one turn of ruin and recreate."""
BLAME, MOST_BLAME = 0.3, 10.0
"""How far a regret of the mean size moves a job forward, in units of log size; and how many times that at most."""


class Search:
    """One problem on the kernels, with run lengths rounded where there are too many of them."""

    def __init__(self, problem: Problem, *, bundled: bool = False) -> None:
        self.problem = problem
        self.layout = Layout(problem, bundled=bundled)
        self.bare = self.layout.rounded()
        """What starts cost; what counts beside it are moves of announced starts."""
        self.tables = self.bare._replace(move_kg=problem.move_kg) if problem.move_kg.any() else self.bare
        self.ranks, dearest = _extremes(self.bare)
        self.penalty_kg = np.where(np.isfinite(dearest), dearest + problem.drop_kg, np.inf)
        """Infinite without an allowed start; shape (J,)."""
        self.cheapest_kg = self.ranks.least.min(axis=1, initial=np.inf)
        self.placeable = np.flatnonzero(np.isfinite(self.cheapest_kg))

    @cached_property
    def size(self) -> Floats:
        """GPU-slots that each job holds where it holds most; shape (J,)."""
        most: Ints = self.problem.gpus_held.max(axis=1, initial=0)
        return np.multiply(most, self.problem.longest_hold, dtype=np.float64)

    def spread_kg(self) -> Floats:
        jobs = self.placeable
        spread = self.penalty_kg[jobs] - self.problem.drop_kg[jobs] - self.cheapest_kg[jobs]
        gpu_slots = (self.problem.gpus[jobs] * self.problem.longest_hold[jobs]).astype(np.float64)
        each: Floats = np.divide(spread, gpu_slots)
        return each

    def answer(self, prices: Prices) -> Answer:
        choice = _choice(len(self.penalty_kg))
        total = kernels.answers(self.bare, self.layout.rent(prices), self.penalty_kg, self.ranks, choice)
        return Answer(float(total) - rent_kg(self.problem, prices), choice.room, choice.start)

    def guide(self, prices: Prices) -> Guide:
        """What starts count with these prices."""
        guide = Guide(self.layout.rent(prices), np.empty_like(self.ranks.least))
        kernels.leasts(self.tables, guide.rent, guide.least)
        return guide

    @cached_property
    def true(self) -> Guide:
        """What starts count without prices."""
        return self.guide(Prices.zero(self.problem))

    def worth_kg(self, schedule: Schedule) -> float:
        """What the search makes smaller: cost by rounded run lengths, less what announced starts count for."""
        return float(self._each_kg(self.true, self._floor(schedule)).sum())

    def cost_kg(self, schedule: Schedule) -> float:
        """By rounded run lengths, penalties of those left out included."""
        return float(self.costs_kg(schedule).sum())

    def costs_kg(self, schedule: Schedule) -> Floats:
        """Of each job, its penalty where it is left out; shape (J,)."""
        each = np.empty(len(self.problem.jobs))
        kernels.costs_of(self.bare, self.penalty_kg, self.true.rent, self._floor(schedule), each)
        return each

    def _each_kg(self, guide: Guide, floor: Floor) -> Floats:
        each = np.empty(len(self.problem.jobs))
        kernels.costs_of(self.tables, self.penalty_kg, guide.rent, floor, each)
        return each

    def squeak(self, counts: Guide, helps: Guide, rounds: int, go_on: Callable[[], bool] = always) -> Schedule:
        """List schedules, each with those treated badly in the one before moved forward; the best of them.

        A round puts each job, big ones first, where `helps` has it cheapest, and then each in turn by what `counts`.
        """
        jobs = self.placeable
        urgency = -np.array([self.problem.jobs[job].priority for job in jobs], dtype=np.int64)
        size, blame = np.maximum(self.size[jobs], 1.0), np.zeros(len(jobs))
        cheapest = counts.least[jobs].min(axis=1, initial=np.inf)
        best, best_kg = Schedule.empty(self.problem), np.inf
        for _ in range(max(1, rounds)):
            order = jobs[np.lexsort((jobs, urgency, -(np.log(size) + blame)))]
            floor = self._floor(Schedule.empty(self.problem))
            for guide in (helps, counts):
                kernels.insert_all(self.tables, order, guide, floor)
            each = self._each_kg(counts, floor)
            if each.sum() < best_kg:
                best, best_kg = Schedule(floor.room, floor.start), float(each.sum())
            regret = np.maximum(each[jobs] - cheapest, 0.0) / size
            if len(jobs) == 0 or regret.mean() <= 0 or not go_on():
                break
            blame += BLAME * np.minimum(regret / regret.mean(), MOST_BLAME)
            blame -= blame.mean()
        return self.fill(best)

    def fill(self, schedule: Schedule) -> Schedule:
        """Put in what still fits, biggest first: no job is left out that has room."""
        return self._join(schedule, (self.true,))

    def join(self, schedule: Schedule, helps: Guide) -> Schedule:
        """Put in those that are out where `helps` has them cheapest, and then each in turn by what counts."""
        return self._join(schedule, (helps, self.true))

    def _join(self, schedule: Schedule, guides: Sequence[Guide]) -> Schedule:
        out = self.placeable[schedule.room[self.placeable] < 0]
        if len(out) == 0:
            return schedule
        floor = self._floor(schedule)
        for guide in guides:
            kernels.insert_all(self.tables, out[np.lexsort((out, -self.size[out]))], guide, floor)
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


def load_kernels(problem: Problem) -> None:
    """Have all kernels ready, once in a process: from numba's cache in a moment, the first time by compiling them.

    Compiling takes many seconds, hence it is logged. They are the same for every problem; this one is to try them on.
    """
    if _Compiling.done:
        return
    with install_listener("numba:compile", _Compiling()):
        search = Search(problem.part(np.arange(min(2, len(problem.jobs))), problem.gpus_left, problem.power_left))
        search.answer(Prices.zero(search.problem))
        schedule = search.squeak(search.true, search.true, 1)
        search.polish(search.true, search.true, schedule, 1, np.random.default_rng(0))
    _Compiling.done = True


class _Compiling(Listener):
    told = False
    done = False

    def on_start(self, _event: object) -> None:
        if not _Compiling.told:
            _Compiling.told = True
            LOG.info("compiling the inner loops of the planner for this machine, once; this takes a while")

    def on_end(self, _event: object) -> None:
        pass


def exact_answer(problem: Problem, prices: Prices) -> tuple[float, Floats]:
    """The bound that prices prove, and the penalties (NaN without an allowed start), by true run lengths."""
    layout = Layout(problem)
    rent = layout.rent(prices)
    penalty_kg = np.full(len(problem.jobs), np.nan)
    total = 0.0
    for jobs, tables in layout.exact():
        ranks, dearest = _extremes(tables)
        penalty = np.where(np.isfinite(dearest), dearest + problem.drop_kg[jobs], np.inf)
        total += float(kernels.answers(tables, rent, penalty, ranks, _choice(len(penalty))))
        penalty_kg[jobs] = np.where(np.isfinite(penalty), penalty, np.nan)
    return total - rent_kg(problem, prices), penalty_kg


def _extremes(tables: Tables) -> tuple[Ranks, Floats]:
    """Rooms by their least cost, and the dearest start of each job, infinitely cheap without one; shape (J,)."""
    least, most = np.empty(tables.gpus_held.shape), np.empty(tables.gpus_held.shape)
    kernels.extremes(tables, least, most)
    dearest: Floats = most.max(axis=1, initial=-np.inf)
    return Ranks(least, least.argsort(axis=1, kind="stable").astype(np.int32)), dearest


def _choice(jobs: int) -> Choice:
    return Choice(np.empty(jobs, dtype=np.int64), np.empty(jobs, dtype=np.int64))
