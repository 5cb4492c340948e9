"""The stages on compiled kernels: what prices are worth, squeaky-wheel list scheduling, ruin and recreate.

Everything is deterministic: kernels have no randomness, dice are thrown outside from the seed.
"""

import logging
from collections.abc import Callable, Sequence
from copy import copy
from functools import cached_property, partial

import numpy as np
from numba.core.event import Listener, install_listener

from csched.placement import kernels
from csched.placement.ascent import Crowd, Stock, bare_starts, climb
from csched.placement.dtypes import Floats, Ints
from csched.placement.kernels import Choice, Floor, Guide, Left, Ranks, Tables
from csched.placement.kinds import Kinds, kinds_of
from csched.placement.prices import FIRST_STEP, Ascent, Prices, always, improve, rent_kg, usage
from csched.placement.problem import Problem
from csched.placement.schedule import Schedule
from csched.placement.tables import Layout
from csched.placement.timeline import UNCAPPED

LOG = logging.getLogger("csched.placement")
DICE = 24
"""Numbers thrown for one turn of ruin and recreate."""
MOST_ALONE = 2_000
"""Jobs that are priced start by start although their kind could answer for them."""
JOB_ROUNDS_AT_ONCE = 200_000
"""Jobs times rounds of prices between two looks at the clock."""
BLAME, MOST_BLAME = 0.3, 10.0
"""How far a regret of the mean size moves a job forward, in units of log size; and how many times that at most."""


class Search:
    """Some jobs of a problem in what others leave, on the kernels; run lengths are rounded where there are too many."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.layout = Layout(problem)
        self.bare = self.layout.rounded()
        """What starts cost; what counts beside it are moves of announced starts."""
        self.tables = self.bare._replace(move_kg=problem.move_kg) if problem.move_kg.any() else self.bare
        self.ranks, dearest = _extremes(self.bare)
        self.penalty_kg = np.where(np.isfinite(dearest), dearest + problem.drop_kg, np.inf)
        """Infinite without an allowed start; shape (J,)."""
        self.cheapest_kg = self.ranks.least.min(axis=1, initial=np.inf)
        self.jobs = np.flatnonzero(np.isfinite(self.cheapest_kg))
        """Those that have an allowed start."""

    def beside(self, schedule: Schedule, jobs: Ints) -> "Search":
        """The search for some of the jobs in what a schedule of others leaves."""
        other = copy(self)
        left = self._floor(schedule).left
        room_for = {"left": left, "fewest_gpus": left.gpus.min(axis=1)}
        other.bare, other.tables = self.bare._replace(**room_for), self.tables._replace(**room_for)
        other.jobs = jobs
        for name in ("true", "by_size", "_crowd"):
            vars(other).pop(name, None)
        return other

    @cached_property
    def size(self) -> Floats:
        """GPU-slots that each job holds where it holds most; shape (J,)."""
        most: Ints = self.problem.gpus_held.max(axis=1, initial=0)
        return np.multiply(most, self.problem.longest_hold, dtype=np.float64)

    @cached_property
    def by_size(self) -> Ints:
        """The jobs, the biggest first."""
        return self.jobs[np.lexsort((self.jobs, -self.size[self.jobs]))]

    def improve(
        self, prices: Prices, rounds: int, first_step: float = FIRST_STEP, *, go_on: Callable[[], bool] = always
    ) -> tuple[Prices, Schedule]:
        """Better prices for these jobs, see `prices.improve`, and where the jobs would start at such prices.

        At any one of these prices jobs that are alike would all do the same. At prices that change a little from round
        to round some do this and some that, and mixed from many rounds what they would hold nearly fits.
        """
        wishes = Schedule.empty(self.problem)
        better = improve(
            self.problem,
            prices,
            partial(self._climb, Choice(wishes.room, wishes.slot)),
            self._spread_kg(),
            rounds=rounds,
            first_step=first_step,
            at_once=max(1, min(rounds, JOB_ROUNDS_AT_ONCE // max(1, len(self.jobs)))),
            go_on=go_on,
        )
        return better, wishes

    def _climb(self, wishes: Choice, ascent: Ascent, turn: int, steps: Floats) -> bool:
        crowd, stock = self._crowd, self._stock
        return bool(climb(self.bare, crowd, stock, self.penalty_kg, self.ranks, ascent, wishes, turn, steps))

    @cached_property
    def _crowd(self) -> Crowd:
        """The biggest of those that do not find room at every slot stand for themselves; of few jobs all do."""
        bare = self.bare
        if len(self._kinds.hold) == 0:
            return Crowd(self.jobs, self.jobs[:0], self._kinds, np.empty((0, *bare.integrals.shape[1:])))
        jobs = self.by_size
        short = ((bare.gpus_held[jobs] > bare.fewest_gpus) & (bare.first[jobs] <= bare.last[jobs])).any(axis=1)
        if bare.gapped.any():
            lowest = bare.nominal.power.min(axis=1)[bare.site_of]
            short |= ((bare.power[jobs] > lowest) & bare.gapped).any(axis=1)
        alone = np.zeros(len(jobs), dtype=np.bool_)
        alone[np.flatnonzero(short)[:MOST_ALONE]] = True
        shared = np.sort(jobs[~alone])
        starts = np.empty((len(self._kinds.hold), len(bare.zone_of), bare.integrals.shape[2]))
        bare_starts(bare, shared, self._kinds, starts)
        return Crowd(np.sort(jobs[alone]), shared, self._kinds, starts)

    @cached_property
    def _kinds(self) -> Kinds:
        return kinds_of(self.problem, self.bare)

    @property
    def _stock(self) -> Stock:
        there_is = np.concatenate([self.bare.left.gpus, self.bare.left.power])
        most = np.maximum(np.where(there_is < UNCAPPED, there_is, 1).max(axis=1, keepdims=True), 1)
        return Stock(there_is.astype(np.float64), most.astype(np.float64))

    def _spread_kg(self) -> Floats:
        jobs = self.jobs
        spread = self.penalty_kg[jobs] - self.problem.drop_kg[jobs] - self.cheapest_kg[jobs]
        gpu_slots = (self.problem.gpus[jobs] * self.problem.longest_hold[jobs]).astype(np.float64)
        each: Floats = np.divide(spread, gpu_slots)
        return each

    def bound_kg(self, prices: Prices) -> float:
        """What prices prove, by rounded run lengths."""
        choice = _choice(len(self.penalty_kg))
        total = kernels.answers(self.bare, self.jobs, self.layout.rent(prices), self.penalty_kg, self.ranks, choice)
        return float(total) - rent_kg(self.problem, prices)

    def guide(self, prices: Prices) -> Guide:
        """What starts count with these prices."""
        guide = Guide(self.layout.rent(prices), np.empty_like(self.ranks.least))
        kernels.leasts(self.tables, self.jobs, guide.rent, guide.least)
        return guide

    @cached_property
    def true(self) -> Guide:
        """What starts count without prices."""
        return self.guide(Prices.zero(self.problem))

    def worth_kg(self, schedule: Schedule) -> float:
        """What the search makes smaller: cost by rounded run lengths, less what announced starts count for."""
        return float(self._each_kg(self.tables, self.true, self._floor(schedule)).sum())

    def costs_kg(self, schedule: Schedule) -> Floats:
        """Of each of the jobs by rounded run lengths, its penalty where it is left out; shape (n,)."""
        return self._each_kg(self.bare, self.true, self._floor(schedule))

    def _each_kg(self, tables: Tables, guide: Guide, floor: Floor) -> Floats:
        each = np.empty(len(self.jobs))
        kernels.costs_of(tables, self.jobs, self.penalty_kg, guide.rent, floor, each)
        return each

    def squeak(
        self,
        stands: Schedule,
        wishes: Schedule,
        counts: Guide,
        helps: Guide,
        rounds: int,
        go_on: Callable[[], bool] = always,
    ) -> Schedule:
        """List schedules beside what stands, each with those treated badly before moved forward; the best of them.

        A round puts jobs, big ones first, where they wish to be, those that find no room there where `helps` has them
        cheapest, and then each in turn by what `counts`.
        """
        jobs = self.jobs
        urgency = -np.array([self.problem.jobs[job].priority for job in jobs], dtype=np.int64)
        size, blame = np.maximum(self.size[jobs], 1.0), np.zeros(len(jobs))
        cheapest = counts.least[jobs].min(axis=1, initial=np.inf)
        best, best_kg = stands, np.inf
        for _ in range(max(1, rounds)):
            order = jobs[np.lexsort((jobs, urgency, -(np.log(size) + blame)))]
            floor = self._floor(stands)
            kernels.seat_all(self.tables, order, Choice(wishes.room, wishes.slot), floor)
            kernels.insert_all(self.tables, order[floor.room[order] < 0], helps, floor)
            kernels.insert_all(self.tables, order, counts, floor)
            each = self._each_kg(self.tables, counts, floor)
            if each.sum() < best_kg:
                best, best_kg = Schedule(floor.room, floor.start), float(each.sum())
            regret = np.maximum(each - cheapest, 0.0) / size
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
        out = self.jobs[schedule.room[self.jobs] < 0]
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
        jobs = self.jobs
        if len(jobs) == 0 or turns == 0:
            return schedule
        floor = self._floor(schedule)
        regret = np.maximum(self._each_kg(self.tables, counts, floor) - counts.least[jobs].min(axis=1), 0.0)
        odds = regret + regret.mean() + 1e-12
        seeds = jobs[dice.choice(len(jobs), size=turns, p=odds / odds.sum())]
        kernels.ruin_and_recreate(
            self.tables, jobs, (counts, helps), self.penalty_kg, seeds, dice.random((turns, DICE)), floor
        )
        return self.fill(Schedule(floor.room, floor.start))

    def _floor(self, schedule: Schedule) -> Floor:
        """A copy of the schedule for the kernels to work on, with what it leaves."""
        held, drawn = usage(self.problem, schedule.room, schedule.slot)
        drawn[self.layout.capped == 0] = 0
        left = Left(self.problem.gpus_left - held, self.problem.power_left - drawn)
        return Floor(left, schedule.room.copy(), schedule.slot.copy())


def load_kernels(problem: Problem) -> None:
    """Have all kernels ready, once in a process: from numba's cache in a moment, the first time by compiling them.

    Compiling takes many seconds, hence it is logged. They are the same for every problem; this one is to try them on.
    """
    if _Compiling.done:
        return
    with install_listener("numba:compile", _Compiling()):
        search = Search(problem.part(np.arange(min(2, len(problem.jobs))), problem.gpus_left, problem.power_left))
        prices, wishes = search.improve(Prices.zero(search.problem), 1)
        search.bound_kg(prices)
        bare_starts(search.bare, search.jobs[:0], search._kinds, np.empty((0, *search.bare.integrals.shape[1:])))
        schedule = search.squeak(Schedule.empty(search.problem), wishes, search.true, search.true, 1)
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
        every = np.arange(len(penalty))
        total += float(kernels.answers(tables, every, rent, penalty, ranks, _choice(len(penalty))))
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
