"""What whole jobs say beyond the sum of what they hold: limits that cut off halves of big gangs, and no plan.

Prices and linear programs may run half of each of two gangs of which only one fits. Of jobs that each take more than a
(k + 1)th of what there is, only k run at once; and a job counts so often as whole (k + 1)ths go into it. It is the
rounding of Chvatal and Gomory: amounts divided by a step and rounded down, what there is divided by it likewise.
"""

from collections.abc import Iterator

import numpy as np

from csched.placement.dtypes import Ints

MOST_PARTS = 3
"""Finer parts were measured to cost the solver more than they gain."""


def rounded(jobs: Ints, amount: Ints, most: int) -> Iterator[tuple[Ints, int]]:
    """Weights (n,) and their limits, given n starts, whose they are and what each takes of `most`.

    Only those that can bind, each job starting once.
    """
    for parts in range(1, MOST_PARTS + 1):
        step = most // (parts + 1) + 1
        weight, limit = amount // step, most // step
        if step > 1 and can_exceed(jobs, weight, limit):
            yield weight, limit


def can_exceed(jobs: Ints, amount: Ints, most: int) -> bool:
    """Whether all of the jobs together, each starting once, would take more than `most`."""
    largest = np.zeros(int(jobs.max(initial=-1)) + 1, dtype=np.int64)
    np.maximum.at(largest, jobs, amount)
    return bool(largest.sum() > most)
