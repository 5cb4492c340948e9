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
from csched.placement.prices import FIRST_STEP, Prices, improve
from csched.placement.problem import Problem
from csched.placement.schedule import Schedule
from csched.placement.search import Search

EXACT_JOBS, SAMPLED_JOBS = 4_000, 8_000
"""Of more jobs than both together, the biggest stand for themselves in a sample and the others for several."""
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
        prices = _prices(search, effort, watch, warm)
        hunt = _Hunt(search, schedule, search.answer(prices).bound_kg, watch)
    settled = np.count_nonzero(stood.room >= 0) >= max(1.0, SETTLED * len(search.placeable))
    if hunt.goes_on(0.6):
        with watch.stage("schedule"):
            helps = search.guide(prices)
            go_on = watch.until(0.6)
            hunt.take(
                search.join(stood, helps) if settled else search.squeak(search.true, helps, effort.squeaks, go_on)
            )
    if effort.tiers and not settled and hunt.goes_on(0.6):
        with watch.stage("descent"):
            below, rest = _descend(search, prices, effort, watch, dice)
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
        near_kg = self._watch.gap * float(each[self.schedule.room >= 0].sum())
        self._watch.near = over_kg <= near_kg
        return over_kg > max(near_kg, SAME * abs(self._bound_kg)) and not self._watch.over(share)


def _prices(search: Search, effort: Effort, watch: Watch, warm: Found | None) -> Prices:
    prices = Prices.zero(search.problem)
    nearly = warm is not None and search.answer(warm.prices).bound_kg > search.answer(prices).bound_kg
    if warm is not None and nearly:
        prices = warm.prices
    if (exact := _by_class(search.problem)) is not None:
        return exact
    rounds, first_step = (effort.warm_rounds, WARM_STEP) if nearly else (effort.price_rounds, FIRST_STEP)
    dual = search if nearly else _dual(search)
    if dual is not search:
        prices = improve(dual, prices, rounds, first_step, go_on=watch.until(0.3))
        rounds, first_step = effort.warm_rounds, WARM_STEP
    prices = improve(search, prices, rounds, first_step, go_on=watch.until(0.4))
    return prices if prices.sane else Prices.zero(search.problem)


def _by_class(problem: Problem) -> Prices | None:
    """The best prices of a queue of few classes; None for any other."""
    classes = few_classes(problem)
    if classes is None:
        return None
    from csched.placement.class_program import class_prices  # noqa: PLC0415 # loads a solver, for a few queues

    return class_prices(problem, classes)


def _dual(search: Search) -> Search:
    """The problem itself or, of very many jobs, a sample: the biggest, and every so many-th other with its copies."""
    jobs = search.placeable
    if len(jobs) <= EXACT_JOBS + SAMPLED_JOBS:
        return search
    order = jobs[np.lexsort((jobs, -search.size[jobs]))]
    step = -(-(len(jobs) - EXACT_JOBS) // SAMPLED_JOBS)
    few = order[EXACT_JOBS + step // 2 :: step]
    copies = np.concatenate([np.ones(EXACT_JOBS, dtype=np.int64), np.full(len(few), step)])
    return Search(search.problem.bundled(np.concatenate([order[:EXACT_JOBS], few]), copies), bundled=True)


def _descend(
    search: Search, prices: Prices, effort: Effort, watch: Watch, dice: np.random.Generator
) -> tuple[Schedule, Prices]:
    """Tier by tier, from the biggest jobs to the smallest; the schedule, and the prices of the last tier.

    Where the time runs out, what is not placed yet goes to the cheapest start that fits.
    """
    problem, jobs = search.problem, search.placeable
    order = jobs[np.lexsort((jobs, -search.size[jobs]))]
    reach = np.cumsum(search.size[order])
    ends = [int(np.searchsorted(reach, share * reach[-1])) for share in effort.tiers]
    schedule, go_on = Schedule.empty(problem), watch.until(0.7)
    begin = 0
    for end in sorted({*ends, len(order)} - {0}):
        if begin > 0 and not go_on():
            break
        tier, left = order[begin:end], search.beside(schedule)
        if begin > 0:
            rest = Search(problem.part(order[begin:], left.gpus, left.power))
            prices = improve(_dual(rest), prices, effort.tier_rounds, effort.tier_step, go_on=go_on)
        part = Search(problem.part(tier, left.gpus, left.power))
        tolled = part.guide(prices)
        counts = part.true if end == len(order) else tolled
        squeaks = max(2, min(effort.tier_squeaks, effort.tier_squeaks * TIER_JOBS // len(tier)))
        placed = part.squeak(counts, tolled, squeaks, go_on)
        for _ in range(-(-effort.tier_turns // POLISH_TURNS)):
            if not go_on():
                break
            placed = part.polish(counts, tolled, placed, POLISH_TURNS, dice)
        schedule.room[tier], schedule.slot[tier] = placed.room, placed.slot
        begin = end
    return search.fill(schedule), prices
