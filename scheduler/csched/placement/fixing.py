"""Which starts can still be part of a better plan: fixing by reduced costs.

A start whose reduced cost exceeds the job's best by more than (incumbent - bound) is in no plan that is better than
the incumbent. What is left is small where the bound is close.
"""

from dataclasses import dataclass

import numpy as np

from csched.placement.dtypes import Floats, Ints
from csched.placement.oracle import Oracle
from csched.placement.prices import Prices

_TOTAL_BITS = 50
_UNIT_BITS = 40


@dataclass(frozen=True, eq=False)
class Columns:
    """The starts that may be in a better plan: parallel arrays, one entry a start; room -1 is leaving out."""

    job: Ints
    room: Ints
    slot: Ints
    cost_units: Ints
    """Cost in units of 1/`scale` kg, rounded down."""
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
    largest = max(1e-9, float(cost.max(initial=0)) * len(problem.jobs))
    scale = 2.0 ** min(_UNIT_BITS, _TOTAL_BITS - int(np.ceil(np.log2(largest))))
    return Columns(job, room, slot, np.floor(cost * scale).astype(np.int64), scale)
