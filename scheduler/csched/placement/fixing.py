"""Which starts can still be part of a better plan: fixing by reduced costs.

A start whose reduced cost exceeds the job's best by more than (incumbent - bound) is in no plan that is better than
the incumbent. What is left is small where the bound is close.

Costs are told as those prices see them: what a plan costs is a base, the reduced costs of its starts, and the price of
what it leaves unused. None of these is below zero, so that a solver begins at the bound instead of far below it.
"""

from dataclasses import dataclass

import numpy as np

from csched.placement.dtypes import Floats, Ints
from csched.placement.oracle import Oracle
from csched.placement.prices import Prices
from csched.placement.problem import Problem

_TOTAL_BITS, _GAP_BITS = 50, 36
"""Of all costs and prices together at most; of the gap between bound and incumbent."""


@dataclass(frozen=True, eq=False)
class Columns:
    """The starts that may be in a better plan: parallel arrays, one entry a start; room -1 is leaving out."""

    job: Ints
    room: Ints
    slot: Ints
    reduced_units: Ints
    """Reduced cost above the least of the job, in units of 1/`scale` kg."""
    price_units: Ints
    """Of a GPU that is left unused; shape (P, R)."""
    base_units: int
    """What there is beside both in the cost of every plan. Costs and prices are rounded down."""
    scale: float


def columns(oracle: Oracle, prices: Prices, bound_kg: float, incumbent_kg: float) -> Columns:
    """All starts that survive fixing by reduced costs, those of the incumbent among them."""
    problem, held = oracle.problem, oracle.held(prices)
    slack = incumbent_kg - bound_kg + 1e-9 * max(1.0, abs(incumbent_kg))
    parts: list[tuple[Ints, Ints, Ints, Floats]] = []
    for jobs in oracle.chunks():
        reduced = oracle.reduced_kg(jobs, held)
        penalty = oracle.penalty_kg[jobs]
        least = np.minimum(reduced.min(axis=(1, 2)), np.nan_to_num(penalty, nan=np.inf))
        keep = reduced <= (least + slack)[:, None, None]
        keep &= np.isfinite(reduced)
        index, room, slot = np.nonzero(keep)
        parts.append((jobs[index], room, slot, oracle.costs_kg(jobs)[index, room, slot]))
        out = np.flatnonzero(penalty <= least + slack)
        nowhere = np.full(len(out), -1)
        parts.append((jobs[out], nowhere, nowhere, penalty[out]))
    job, room, slot = (np.concatenate([part[axis] for part in parts]).astype(np.int64) for axis in range(3))
    cost = np.concatenate([part[3] for part in parts])
    rent_kg = float((prices.gpu * problem.gpus_left).sum())
    largest = max(slack, rent_kg, float(cost.max(initial=0)) * len(problem.jobs))
    bits = min(_GAP_BITS - np.floor(np.log2(slack)), _TOTAL_BITS - np.ceil(np.log2(largest)))
    return _reduced(problem, prices, (job, room, slot), cost, 2.0 ** int(bits))


def _reduced(problem: Problem, prices: Prices, starts: tuple[Ints, Ints, Ints], cost: Floats, scale: float) -> Columns:
    job, room, slot = starts
    price_units = np.floor(prices.gpu * scale).astype(np.int64)
    before = np.concatenate([np.zeros((len(price_units), 1), dtype=np.int64), price_units.cumsum(axis=1)], axis=1)
    end = problem.row_after(slot + problem.hold_slots[job, room])
    toll = problem.gpus_held[job, room] * (before[room, end] - before[room, slot])
    priced = np.floor(cost * scale).astype(np.int64) + np.where(room >= 0, toll, 0)
    least = np.full(len(problem.jobs), np.iinfo(np.int64).max)
    np.minimum.at(least, job, priced)
    base_units = int(least[np.unique(job)].sum()) - int((price_units * problem.gpus_left).sum())
    return Columns(job, room, slot, priced - least[job], price_units, base_units, scale)
