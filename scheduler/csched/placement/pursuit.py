"""From a problem to a good schedule and the prices that prove how good: the order of the stages.

A list schedule first, so that there is a plan from then on. Then prices -> squeaky wheel over all -> descent by size
-> ruin and recreate. The descent places the biggest jobs first, at prices that stand for the others, fixes them,
prices what they leave anew for the rest, and so on: prices for everybody are wrong for the small once the big ones
stand. Where most jobs stand already from the last cycle, the new ones are put in beside them and only the last stage
follows.
"""

import numpy as np

from csched.placement.classes import few_classes
from csched.placement.effort import Effort, Found, Watch
from csched.placement.prices import Prices
from csched.placement.problem import Problem
from csched.placement.schedule import Schedule
from csched.placement.search import Search

WARM_STEP = 0.05
"""First step of prices that are nearly right already; see `prices.improve`."""
SETTLED = 0.5
"""From this share of the jobs on that stand where they were announced, the others join them."""
TIER_JOBS = 200
"""A tier of so many jobs gets all its rounds, a larger one fewer."""
POLISH_TURNS = 2_000
"""Between two looks at the clock."""
SAME = 1e-9


def pursue(problem: Problem, effort: Effort, watch: Watch, seed: int, warm: Found | None = None) -> Found:
    """A schedule and prices; `warm` is where the last cycle stood."""
    dice = np.random.default_rng(seed)
    with watch.stage("list"):
        begun_s = watch.elapsed_s
        search = Search(problem)
        watch.kept_back_s = watch.elapsed_s - begun_s  # the proof of the prices reads all tables once more
        stood = warm.schedule if warm else Schedule.empty(problem)
        schedule = search.fill(stood)
    with watch.stage("prices"):
        prices, wishes = _prices(search, effort, watch, warm)
        hunt = _Hunt(search, schedule, search.bound_kg(prices), watch)
    settled = np.count_nonzero(stood.room >= 0) >= max(1.0, SETTLED * len(search.jobs))
    if hunt.goes_on(0.6):
        with watch.stage("schedule"):
            helps = search.guide(prices)
            go_on = watch.until(0.6)
            hunt.take(
                search.join(stood, helps)
                if settled
                else search.squeak(Schedule.empty(problem), wishes, search.true, helps, effort.squeaks, go_on)
            )
    if effort.tiers and not settled and hunt.goes_on(0.6):
        with watch.stage("descent"):
            below, rest = _descend(search, prices, wishes, effort, watch, dice)
            if hunt.take(below):
                helps = search.guide(rest)
    turns = effort.joined_turns if settled else effort.turns
    with watch.stage("polish"):
        while turns > 0 and hunt.goes_on(effort.polish_until):
            polished = search.polish(search.true, helps, hunt.schedule, min(turns, POLISH_TURNS), dice)
            hunt.take(polished)
            turns -= POLISH_TURNS
    return Found(hunt.schedule, prices)


class _Hunt:
    """The best schedule so far, and whether a better one is worth looking for."""

    def __init__(self, search: Search, schedule: Schedule, bound_kg: float, watch: Watch) -> None:
        self.schedule = schedule
        self._search, self._bound_kg, self._watch = search, bound_kg, watch
        self._worth_kg = search.worth_kg(schedule)

    def take(self, schedule: Schedule) -> bool:
        """Keep this one where it is better."""
        worth_kg = self._search.worth_kg(schedule)
        better = worth_kg < self._worth_kg
        if better:
            self.schedule, self._worth_kg = schedule, worth_kg
        return better

    def goes_on(self, share: float) -> bool:
        """Whether something is left to gain, and some of this share of the time."""
        each = self._search.costs_kg(self.schedule)
        over_kg = float(each.sum()) - self._bound_kg
        near_kg = self._watch.gap * float(each[self.schedule.room[self._search.jobs] >= 0].sum())
        self._watch.near = over_kg <= near_kg
        return over_kg > max(near_kg, SAME * abs(self._bound_kg)) and not self._watch.over(share)


def _prices(search: Search, effort: Effort, watch: Watch, warm: Found | None) -> tuple[Prices, Schedule]:
    prices, rounds, first_step = Prices.zero(search.problem), effort.price_rounds, effort.price_step
    if warm is not None and search.bound_kg(warm.prices) > search.bound_kg(prices):
        prices, rounds, first_step = warm.prices, effort.warm_rounds, WARM_STEP
    if (exact := _by_class(search.problem)) is not None:
        return exact, search.improve(exact, effort.warm_rounds, WARM_STEP)[1]
    prices, wishes = search.improve(prices, rounds, first_step, go_on=watch.until(0.4))
    return (prices if prices.sane else Prices.zero(search.problem)), wishes


def _by_class(problem: Problem) -> Prices | None:
    """The best prices of a queue of few classes; None for any other."""
    classes = few_classes(problem)
    if classes is None:
        return None
    from csched.placement.class_program import class_prices  # noqa: PLC0415 # loads a solver, for a few queues

    return class_prices(problem, classes)


def _descend(
    search: Search, prices: Prices, wishes: Schedule, effort: Effort, watch: Watch, dice: np.random.Generator
) -> tuple[Schedule, Prices]:
    """Tier by tier, from the biggest jobs to the smallest; the schedule, and the prices of the last tier.

    Where the time runs out, what is not placed yet goes to the cheapest start that fits.
    """
    order = search.by_size
    reach = np.cumsum(search.size[order])
    ends = [int(np.searchsorted(reach, share * reach[-1])) for share in effort.tiers]
    schedule, go_on = Schedule.empty(search.problem), watch.until(0.7)
    begin = 0
    for end in sorted({*ends, len(order)} - {0}):
        if begin > 0 and not go_on():
            break
        if begin > 0:
            rest = search.beside(schedule, np.sort(order[begin:]))
            prices, wishes = rest.improve(prices, effort.tier_rounds, effort.tier_step, go_on=go_on)
        tier = search.beside(schedule, np.sort(order[begin:end]))
        tolled = tier.guide(prices)
        counts = tier.true if end == len(order) else tolled
        squeaks = max(2, min(effort.tier_squeaks, effort.tier_squeaks * TIER_JOBS // len(tier.jobs)))
        schedule = tier.squeak(schedule, wishes, counts, tolled, squeaks, go_on)
        for _ in range(-(-effort.tier_turns // POLISH_TURNS)):
            if not go_on():
                break
            schedule = tier.polish(counts, tolled, schedule, POLISH_TURNS, dice)
        begin = end
    return search.fill(schedule), prices
