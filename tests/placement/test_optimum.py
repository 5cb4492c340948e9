"""The proven optimum against every plan there is."""

import itertools
import math

import pytest
from hypothesis import given, settings

from csched.domain.plan import PlanStatus
from csched.domain.snapshot import Snapshot, SolveBudget
from csched.placement.engine import solve
from csched.placement.oracle import Oracle
from csched.placement.problem import build
from csched.placement.schedule import Board

from .instances import snapshots


def cheapest_of_all_plans_kg(view: Snapshot) -> float:
    """By trying them all."""
    problem = build(view, None)
    penalty_kg = Oracle(problem).penalty_kg
    choices = []
    for job in range(len(problem.jobs)):
        starts = problem.costs_kg(job)
        allowed = [
            (float(starts[room, slot]), room, slot) for room, slot in zip(*(starts < math.inf).nonzero(), strict=True)
        ]
        choices.append([*allowed, *([(float(penalty_kg[job]), -1, -1)] if allowed else [(0.0, -1, -1)])])
    best = math.inf
    for plan in itertools.product(*choices):
        cost = sum(choice[0] for choice in plan)
        if cost < best and _fits(Board(problem), plan):
            best = cost
    return best


def _fits(board: Board, plan: tuple[tuple[float, int, int], ...]) -> bool:
    for job, (_, room, slot) in enumerate(plan):
        if room >= 0:
            board.put(job, room, slot)
    return board.valid


@settings(deadline=None, max_examples=60, derandomize=True)
@given(snapshots(most_jobs=3).filter(lambda view: view.horizon_s <= 4000))
def test_small_plans_are_optimal(view: Snapshot) -> None:
    plan = solve(view, None, SolveBudget(seconds=None, work=2000))
    best = cheapest_of_all_plans_kg(view)
    assert plan.cost_kg == pytest.approx(best, rel=1e-9, abs=1e-9)
    assert plan.bound_kg <= best + 1e-9
    assert plan.status is (PlanStatus.INFEASIBLE if view.jobs and not plan.placements else PlanStatus.OPTIMAL)
