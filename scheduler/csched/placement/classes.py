"""Queues in which every job is like many others, such as the tasks of an array: their prices come from a small program.

All jobs of a class want the same start at given prices, hence usage jumps between slots and a gradient hardly
converges: ten thousand tasks of one array ended 16 % below the best bound. As one class they are one row of a small
program instead (`class_program`), whose duals are the best prices. Many classes are no small program any more.
"""

from dataclasses import dataclass

import numpy as np

from csched.placement.dtypes import Flags, Ints
from csched.placement.problem import Problem

MANY_JOBS = 500
"""Fewer are soon priced as they are."""
MOST_CLASSES = 50
MOST_HOLDINGS = 300_000
"""Slots that all starts of the program hold together: some two seconds of building and solving."""
_ALIKE = (
    "gpus_held",
    "power",
    "hold_slots",
    "runtime_s",
    "first",
    "last",
    "closed_of",
    "kg_per_intensity",
    "egress_kg",
)
_ALIKE_EVERYWHERE = ("wait_kg_per_slot", "wait_kg_at_now", "drop_kg")


@dataclass(frozen=True, eq=False)
class Classes:
    """C classes of jobs that are alike in all that prices depend on."""

    one_of: Ints
    """A job of each; shape (C,)."""
    counts: Ints
    possible: tuple[Flags, ...]
    """Allowed starts of each for which running jobs leave enough; each of shape (P, H)."""


def few_classes(problem: Problem) -> Classes | None:
    """None where the jobs are few, or fall into too many classes for a program."""
    jobs = np.flatnonzero((problem.first <= problem.last).any(axis=1))
    if len(jobs) < MANY_JOBS:
        return None
    one_of, counts = _classes(problem, jobs)
    if len(one_of) > MOST_CLASSES:
        return None
    possible = tuple(_possible(problem, job) for job in one_of.tolist())
    held = sum(
        int((each.sum(axis=1) * problem.hold_slots[job]).sum())
        for job, each in zip(one_of.tolist(), possible, strict=True)
    )
    return Classes(one_of, counts, possible) if held <= MOST_HOLDINGS else None


def _classes(problem: Problem, jobs: Ints) -> tuple[Ints, Ints]:
    """One job of each class, and how many each has; jobs that differ in no more than a hash's chance are alike.

    Classes wrongly taken for one would cost prices their quality, never the bound its truth.
    """
    dice, mark = np.random.default_rng(0), np.zeros(len(jobs), dtype=np.uint64)
    for name in (*_ALIKE, *_ALIKE_EVERYWHERE):
        each = getattr(problem, name)[jobs].reshape(len(jobs), -1).astype(np.float64)
        factors = dice.integers(1, 2**63, each.shape[1], dtype=np.uint64) | np.uint64(1)
        mark = mark * np.uint64(0x9E3779B97F4A7C15) + (each.view(np.uint64) * factors).sum(axis=1, dtype=np.uint64)
    _, first, counts = np.unique(mark, return_index=True, return_counts=True)
    return jobs[first], counts.astype(np.int64)


def _possible(problem: Problem, job: int) -> Flags:
    """Allowed starts for which running jobs leave enough; shape (P, H)."""
    possible = problem.allowed(job)
    for room in np.flatnonzero(possible.any(axis=1)):
        hold, site = problem.hold_slots[job, room], problem.room_site[room]
        possible[room] &= problem.free_slots(problem.gpus_left[room], problem.gpus_held[[job], room])[0] >= hold
        possible[room] &= problem.free_slots(problem.power_left[site], problem.power[[job], room])[0] >= hold
    return possible
