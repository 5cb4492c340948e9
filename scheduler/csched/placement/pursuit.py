"""From a problem to a good schedule and the prices that prove how good: the order of the stages and their effort.

prices -> squeaky wheel -> dives -> ruin and recreate. A dive fixes the biggest jobs where they are and prices what is
left anew for the others: prices for everybody are wrong for the small once the big ones stand.
"""

import numpy as np

from csched.placement.effort import Effort, Found, Watch
from csched.placement.prices import Prices, improve, usage
from csched.placement.problem import Ints, Problem
from csched.placement.schedule import Schedule
from csched.placement.search import Search

EXACT_JOBS, SAMPLED_JOBS = 4_000, 8_000
"""Of more jobs than both together, the biggest stand for themselves in a sample and the others for several."""
DIVE_STEP = 0.2
WARM_STEP = 0.05


def pursue(
    problem: Problem, effort: Effort, watch: Watch, seed: int, warm: Found | None = None, aim: float = 0.0
) -> Found:
    """A schedule and prices; `warm` is where the last cycle stood. Ends early within `aim` of the bound."""
    with watch.stage("tables"):
        search = Search(problem)
    with watch.stage("prices"):
        prices = _prices(problem, search, effort, watch, warm)
    with watch.stage("schedule"):
        schedule = search.squeak(prices, effort.squeaks, warm.schedule if warm else None)
    enough_kg = search.answer(prices).bound_kg * (1 + aim) + 1e-9
    rest = prices
    with watch.stage("dives"):
        for share in effort.dives:
            if watch.over(0.6) or search.cost_kg(schedule) <= enough_kg:
                break
            schedule, rest = _dive(search, schedule, rest, share, effort)
    dice = np.random.default_rng(seed)
    with watch.stage("polish"):
        for part in range(4):
            if watch.over(0.8) or search.cost_kg(schedule) <= enough_kg:
                break
            schedule = search.polish(schedule, (prices, rest)[part % 2], effort.turns // 4, dice)
    return Found(schedule, prices)


def _prices(problem: Problem, search: Search, effort: Effort, watch: Watch, warm: Found | None) -> Prices:
    jobs, copies = _sample(search)
    prices = warm.prices if warm else Prices.zero(problem)
    rounds = effort.price_rounds
    if copies is not None:
        sample = Search(problem.bundled(jobs, copies), bundled=True)
        prices = improve(sample, prices, rounds, go_on=lambda: not watch.over(0.3))
        return improve(search, prices, max(1, rounds // 8), WARM_STEP, go_on=lambda: not watch.over(0.4))
    if warm:
        return improve(search, prices, max(1, rounds // 4), WARM_STEP, go_on=lambda: not watch.over(0.4))
    return improve(search, prices, rounds, go_on=lambda: not watch.over(0.4))


def _sample(search: Search) -> tuple[Ints, Ints | None]:
    """Of very many jobs, the biggest, and of the others every so many-th by size with its number of copies."""
    jobs = search.placeable
    if len(jobs) <= EXACT_JOBS + SAMPLED_JOBS:
        return jobs, None
    order = jobs[np.lexsort((jobs, -search.size[jobs]))]
    step = -(-(len(jobs) - EXACT_JOBS) // SAMPLED_JOBS)
    few = order[EXACT_JOBS + step // 2 :: step]
    copies = np.concatenate([np.ones(EXACT_JOBS, dtype=np.int64), np.full(len(few), step)])
    return np.concatenate([order[:EXACT_JOBS], few]), copies


def _dive(search: Search, schedule: Schedule, prices: Prices, share: float, effort: Effort) -> tuple[Schedule, Prices]:
    """Fix the biggest jobs that make up `share` of all GPU-slots, price and schedule the others in what they leave."""
    problem, jobs = search.problem, search.placeable
    order = jobs[np.lexsort((jobs, -search.size[jobs]))]
    reach = np.cumsum(search.size[order])
    big = order[: int(np.searchsorted(reach, share * reach[-1]))]
    small = np.setdiff1d(jobs, big)
    if len(small) == 0:
        return schedule, prices
    fixed = np.full(len(problem.jobs), -1)
    fixed[big] = schedule.room[big]
    held, drawn = usage(problem, fixed, schedule.slot)
    drawn[search.layout.capped == 0] = 0
    rest = Search(problem.part(small, problem.gpus_left - held, problem.power_left - drawn))
    sampled, copies = _sample(rest)
    dual = rest if copies is None else Search(rest.problem.bundled(sampled, copies), bundled=True)
    new = improve(dual, prices, effort.dive_rounds, DIVE_STEP)
    before = Schedule(schedule.room[small], schedule.slot[small])
    after = rest.squeak(new, effort.dive_squeaks, before)
    room, slot = schedule.room.copy(), schedule.slot.copy()
    room[small], slot[small] = after.room, after.slot
    return search.fill(Schedule(room, slot)), new
