"""What every plan promises, on random instances."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from csched.domain.snapshot import Snapshot, SolveBudget
from csched.placement import engine
from csched.placement.check import faults
from csched.placement.engine import solve
from csched.placement.explain import options
from csched.placement.problem import build
from csched.testing.builders import outlook

from .instances import ZONES, snapshots

WORK = SolveBudget(seconds=None, work=200)
UNHURRIED = settings(deadline=None, max_examples=60, derandomize=True)


@UNHURRIED
@given(snapshots())
def test_every_plan_is_valid_and_its_bound_true(view: Snapshot) -> None:
    plan = solve(view, None, WORK)
    assert faults(plan, view, None) == []


@UNHURRIED
@given(snapshots(most_jobs=20), st.sampled_from([0, 200]))
def test_every_plan_of_the_kernels_is_valid_and_its_bound_true(view: Snapshot, work: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "FEW_JOBS", 0)
        patch.setattr(engine, "MOST_PROVEN_JOBS", 0)
        plan = solve(view, None, SolveBudget(seconds=None, work=work))
    assert faults(plan, view, None) == []
    assert plan.certificate is not None
    assert not any("numpy" in warning or "kernels" in warning for warning in plan.warnings)


@UNHURRIED
@given(snapshots(), st.sampled_from([0.0, 50.0, 900.0]))
def test_no_carbon_changes_where_a_job_is_allowed(view: Snapshot, flat: float) -> None:
    other = view.model_copy(update={"carbon": outlook(dict.fromkeys(ZONES, flat), hours=60)})
    assert (build(view, None).excluded == build(other, None).excluded).all()


@UNHURRIED
@given(snapshots(most_jobs=5))
def test_every_site_is_an_option_or_says_why_not(view: Snapshot) -> None:
    plan = solve(view, None, WORK)
    for job in view.jobs:
        rows = options(view, None, plan, job.job)
        assert [row.site for row in rows] == [site.id for site in view.fleet.sites]
        assert all(row.start is not None or row.reasons for row in rows)
        assert [row.site for row in rows if row.chosen] == [
            placed.site for placed in plan.placements if placed.job == job.job
        ]


@UNHURRIED
@given(snapshots(most_jobs=5))
def test_the_chosen_site_has_no_better_start_beside_the_plan(view: Snapshot) -> None:
    plan = solve(view, None, WORK)
    for placed in plan.placements:
        unplanned = plan.model_copy(
            update={"placements": tuple(other for other in plan.placements if other.job != placed.job)}
        )
        best = min(row.cost_kg for row in options(view, None, unplanned, placed.job) if row.cost_kg is not None)
        assert placed.cost_kg <= best + 1e-9
