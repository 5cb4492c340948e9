"""Jobs bound to each other: dependencies, arrays, shares of GPU-hours, parts of one job, priorities."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from csched.domain.job import Dependency, DependencyKind
from csched.domain.plan import Plan
from csched.domain.run import JobState
from csched.domain.snapshot import Snapshot, SolveBudget
from csched.domain.verdict import ReasonCode
from csched.placement import engine
from csched.placement.check import faults
from csched.placement.engine import solve
from csched.testing.builders import MONDAY, fleet, job, occupation, site, snapshot

from .instances import snapshots

WORK = SolveBudget(seconds=None, work=100)
UNHURRIED = settings(deadline=None, max_examples=60, derandomize=True)


def after(name: str, kind: str = "afterany") -> tuple[Dependency, ...]:
    return (Dependency(kind=DependencyKind(kind), jobs=(name,)),)


def hours_in(plan: Plan, name: str) -> float:
    return (plan.placement_of[name].start - MONDAY) / timedelta(hours=1)


def why(plan: Plan, name: str) -> str:
    assert {reason.code for reason in plan.unplaced_of[name].reasons} == {ReasonCode.DEPENDENCY}
    return plan.unplaced_of[name].reasons[0].message


# --- dependencies ----------------------------------------------------------------------------------------------


def test_a_chain_runs_in_order_each_after_the_time_limit_of_the_one_before() -> None:
    chain = [
        job("c", hours=2, dependency=after("b")),
        job("b", hours=3, expected_runtime_s=600, dependency=after("a", "afterok")),
        job("a", hours=4),
    ]
    view = snapshot(chain, fleet=fleet(site(nodes=4)))
    plan = solve(view, None, WORK)
    assert faults(plan, view, None) == []
    assert [hours_in(plan, name) for name in "abc"] == [0, 4, 7]


def test_after_waits_for_the_start_alone_and_yet_never_starts_in_the_same_instant() -> None:
    view = snapshot([job("a", hours=9), job("b", dependency=after("a", "after"))], fleet=fleet(site(nodes=4)))
    plan = solve(view, None, WORK)
    assert (hours_in(plan, "a"), hours_in(plan, "b")) == (0, 1)


def test_an_awaited_job_starts_early_enough_for_those_that_wait_for_it() -> None:
    night = [500.0] * 12 + [10.0] * 12
    view = snapshot(
        [job("a", hours=10), job("b", hours=2, dependency=after("a"), deadline="2026-03-02T14:00:00Z")],
        fleet=fleet(site(nodes=4), objective={"wait_kg_per_gpu_h": 0.0, "drop_kg_per_gpu_h": 10.0}),
        carbon={"FR": night},
    )
    plan = solve(view, None, WORK)
    assert hours_in(plan, "a") <= 2
    assert hours_in(plan, "b") == 12


def test_a_job_waits_for_the_limit_of_a_running_one() -> None:
    view = snapshot(
        [job("b", dependency=after("old")), job("c", dependency=after("old", "after"))],
        fleet=fleet(site(nodes=4)),
        running=[occupation("old", 8, 2.5)],
    )
    plan = solve(view, None, WORK)
    assert (hours_in(plan, "b"), hours_in(plan, "c")) == (3, 0)


@pytest.mark.parametrize(
    ("kind", "state", "met"),
    [
        ("after", JobState.CANCELLED, True),
        ("afterany", JobState.TIMEOUT, True),
        ("afterok", JobState.COMPLETED, True),
        ("afterok", JobState.FAILED, False),
        ("afternotok", JobState.FAILED, True),
        ("afternotok", JobState.COMPLETED, False),
    ],
)
def test_what_an_ended_job_is_worth_depends_on_how_it_ended(kind: str, state: JobState, *, met: bool) -> None:
    view = snapshot([job("b", dependency=after("12", kind))], ended={"12": state})
    plan = solve(view, None, WORK)
    assert faults(plan, view, None) == []
    assert ("b" in plan.placement_of) is met
    assert not met or hours_in(plan, "b") == 0


def test_what_can_never_be_met_is_said() -> None:
    jobs = [
        job("ok", dependency=after("12", "afterok")),
        job("lost", dependency=after("13")),
        job("behind", dependency=after("lost")),
        job("held", dependency=after("h")),
        job("h"),
        job("x", dependency=after("y")),
        job("y", dependency=after("x")),
    ]
    plan = solve(snapshot(jobs, ended={"12": JobState.FAILED}, held=["h"]), None, WORK)
    assert why(plan, "ok") == "waits for job 12, which failed: afterok can never be met"
    assert why(plan, "lost") == "job 13 is not known"
    assert why(plan, "behind") == "waits for job lost, which this plan leaves out"
    assert why(plan, "held") == "waits for job h, which is held"
    assert why(plan, "x").startswith("jobs wait for each other: ")


@st.composite
def bound_snapshots(draw: st.DrawFn, most_jobs: int = 8) -> Snapshot:
    """Any snapshot with jobs that wait for each other, for the dead and for the unknown, and with a limited array."""
    view = draw(snapshots(most_jobs=most_jobs))
    names = [each.job for each in view.jobs]
    others = st.sampled_from([*names, *(held.job for held in view.running), "done", "failed", "nobody"])
    kinds = st.sampled_from(list(DependencyKind))
    limit = draw(st.integers(1, 2))
    jobs = []
    for each in view.jobs:
        waits = draw(
            st.lists(st.builds(lambda kind, name: Dependency(kind=kind, jobs=(name,)), kinds, others), max_size=2)
        )
        task = draw(st.booleans())
        more = {"dependency": tuple(waits) if draw(st.booleans()) else (), "priority": draw(st.integers(0, 2))}
        more |= {"array": "tasks", "array_limit": limit} if task else {}
        jobs.append(each.model_copy(update=more))
    running = tuple(held.model_copy(update={"array": "tasks"}) for held in view.running)
    ended = {"done": JobState.COMPLETED, "failed": JobState.FAILED}
    return view.model_copy(update={"jobs": tuple(jobs), "running": running, "ended": ended})


@UNHURRIED
@given(bound_snapshots())
def test_every_plan_of_bound_jobs_is_valid_and_its_bound_true(view: Snapshot) -> None:
    assert faults(solve(view, None, WORK), view, None) == []


@UNHURRIED
@given(bound_snapshots(most_jobs=16))
def test_every_plan_of_bound_jobs_by_the_kernels_is_valid(view: Snapshot) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "FEW_JOBS", 0)
        patch.setattr(engine, "MOST_PROVEN_JOBS", 0)
        assert faults(solve(view, None, WORK), view, None) == []
