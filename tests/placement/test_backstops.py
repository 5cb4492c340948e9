"""Whatever fails in a stage, there is a valid plan, and it says what failed."""

import sys

import numpy as np
import pytest

from csched.domain.plan import Plan
from csched.domain.snapshot import Snapshot, SolveBudget
from csched.placement import engine, exact, search
from csched.placement.check import PlanRefused, faults, require_valid
from csched.placement.engine import solve
from csched.placement.prices import Prices
from csched.placement.problem import Problem
from csched.testing.builders import fleet, job, site, snapshot

JOBS = 40


def crowded() -> Snapshot:
    """More jobs than the kernels are spared for, on two sites that cannot take all at once."""
    two = fleet(site("alpha", zone="FR", nodes=3, it_power_cap_kw=20.0), site("beta", zone="DE", nodes=3))
    return snapshot([job(f"j{index}", gpus=1 + index % 9, hours=1 + index % 3) for index in range(JOBS)], fleet=two)


def planned(view: Snapshot, **budget: float) -> Plan:
    plan = solve(view, None, SolveBudget.model_validate({"seconds": None, "work": 200, **budget}))
    assert faults(plan, view, None) == []
    return plan


def test_without_numba_the_plan_is_made_in_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "csched.placement.pursuit", None)  # importing it fails
    plan = planned(crowded())
    assert any("without compiled kernels" in warning for warning in plan.warnings)


def test_prices_that_are_not_numbers_are_thrown_away(monkeypatch: pytest.MonkeyPatch) -> None:
    def poisoned(problem: Problem, start: Prices, *_: object, **__: object) -> Prices:
        return Prices(np.full_like(start.gpu, np.nan), start.power)

    monkeypatch.setattr(search, "improve", poisoned)
    monkeypatch.setattr(engine, "MOST_PROVEN_JOBS", 0)
    plan = planned(crowded())
    assert plan.bound_kg <= plan.cost_kg


def test_a_solver_that_crashes_costs_the_proof_only(monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: object, **__: object) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(exact, "prove", crash)
    plan = planned(crowded())
    assert any("nothing was proven" in warning for warning in plan.warnings)
    assert plan.certificate is not None


def test_no_time_at_all_still_gives_a_plan() -> None:
    plan = planned(crowded(), seconds=1e-6, work=1000)
    assert len(plan.placements) == JOBS


def test_a_wrong_plan_is_refused() -> None:
    view = crowded()
    plan = planned(view)
    moved = plan.placements[0].model_copy(update={"cost_kg": 0.0})
    wrong = plan.model_copy(update={"placements": (moved, *plan.placements[1:])})
    with pytest.raises(PlanRefused, match="cost_kg"):
        require_valid(wrong, view, None)
