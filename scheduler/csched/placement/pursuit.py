"""From a problem to a good schedule and the prices that prove how good: the order of the stages.

prices -> squeaky wheel over all -> descent by size -> ruin and recreate. The descent places the biggest jobs first,
at prices that stand for the others, fixes them, prices what they leave anew for the rest, and so on: prices for
everybody are wrong for the small once the big ones stand.
"""

import numpy as np

from csched.placement.effort import Effort, Found, Watch
from csched.placement.prices import FIRST_STEP, Prices, improve
from csched.placement.problem import Problem
from csched.placement.schedule import Schedule
from csched.placement.search import Search

EXACT_JOBS, SAMPLED_JOBS = 4_000, 8_000
"""Of more jobs than both together, the biggest stand for themselves in a sample and the others for several."""
WARM_STEP = 0.05
"""First step of prices that are nearly right already; see `prices.improve`."""
TIER_JOBS = 200
"""A tier of so many jobs gets all its rounds, a larger one fewer."""
POLISHES = 4
"""Parts in which the last stage is done, to look at the clock between them."""
SAME = 1e-9


def pursue(problem: Problem, effort: Effort, watch: Watch, seed: int, warm: Found | None = None) -> Found:
    """A schedule and prices; `warm` is where the last cycle stood."""
    with watch.stage("tables"):
        search = Search(problem)
    with watch.stage("prices"):
        prices = _prices(problem, search, effort, watch, warm)
    with watch.stage("schedule"):
        helps = search.guide(prices)
        schedule = search.squeak(search.true, helps, effort.squeaks, warm.schedule if warm else None)
    dice = np.random.default_rng(seed)
    if effort.tiers and not warm and not watch.over(0.6) and not _enough(search, schedule, prices):
        with watch.stage("descent"):
            below, rest = _descend(search, prices, effort, watch, dice)
            if search.cost_kg(below) < search.cost_kg(schedule):
                schedule, helps = below, search.guide(rest)
    with watch.stage("polish"):
        for _ in range(POLISHES):
            if watch.over(0.8) or _enough(search, schedule, prices):
                break
            schedule = search.polish(search.true, helps, schedule, effort.turns // POLISHES, dice)
    return Found(schedule, prices)


def _enough(search: Search, schedule: Schedule, prices: Prices) -> bool:
    """Whether nothing is left to gain."""
    cost = search.cost_kg(schedule)
    return cost - search.answer(prices).bound_kg <= SAME * abs(cost)


def _prices(problem: Problem, search: Search, effort: Effort, watch: Watch, warm: Found | None) -> Prices:
    prices = warm.prices if warm else Prices.zero(problem)
    dual = _dual(search)
    rounds, first_step = (max(1, effort.price_rounds // 8), WARM_STEP) if warm else (effort.price_rounds, FIRST_STEP)
    if dual is not search:
        prices = improve(dual, prices, rounds, first_step, go_on=lambda: not watch.over(0.3))
        rounds, first_step = max(1, rounds // 8), WARM_STEP
    prices = improve(search, prices, rounds, first_step, go_on=lambda: not watch.over(0.4))
    return prices if prices.sane else Prices.zero(problem)


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
    """Tier by tier, from the biggest jobs to the smallest; the schedule, and the prices of the last tier."""
    problem, jobs = search.problem, search.placeable
    order = jobs[np.lexsort((jobs, -search.size[jobs]))]
    reach = np.cumsum(search.size[order])
    ends = [int(np.searchsorted(reach, share * reach[-1])) for share in effort.tiers]
    schedule = Schedule.empty(problem)
    begin = 0
    for end in sorted({*ends, len(order)} - {0}):
        tier, left = order[begin:end], search.beside(schedule)
        if begin > 0:
            rest = Search(problem.part(order[begin:], left.gpus, left.power))
            prices = improve(
                _dual(rest), prices, effort.tier_rounds, effort.tier_step, go_on=lambda: not watch.over(0.7)
            )
        part = Search(problem.part(tier, left.gpus, left.power))
        tolled = part.guide(prices)
        counts = part.true if end == len(order) else tolled
        squeaks = max(2, min(effort.tier_squeaks, effort.tier_squeaks * TIER_JOBS // len(tier)))
        placed = part.squeak(counts, tolled, squeaks)
        placed = part.polish(counts, tolled, placed, effort.tier_turns, dice)
        schedule.room[tier], schedule.slot[tier] = placed.room, placed.slot
        begin = end
    return search.fill(schedule), prices
