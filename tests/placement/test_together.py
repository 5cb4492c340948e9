"""Jobs bound to each other: dependencies, arrays, shares of GPU-hours, parts of one job, priorities."""

from collections.abc import Iterable
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from csched.domain.job import Component, Dependency, DependencyKind, Job
from csched.domain.plan import Plan, Unplaced
from csched.domain.quota import QuotaRow
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


def test_what_a_job_waits_for_is_pulled_forward_where_the_plan_gains() -> None:
    """Alone, `a` would wait for the clean night; then `b`, which finds room only in the morning, could never run."""
    night = [500.0] * 12 + [400.0] * 12
    jobs = [
        job("a", hours=2),
        job("b", gpus=16, hours=2, dependency=after("a")),
        job(
            "wall",
            gpus=8,
            hours=20,
            earliest_start="2026-03-02T05:00:00Z",
            deadline="2026-03-03T01:00:00Z",
            priority=9,
        ),
    ]
    where = fleet(site(nodes=2), objective={"wait_kg_per_gpu_h": 0.0, "drop_kg_per_gpu_h": 10.0})
    view = snapshot(jobs, fleet=where, carbon={"FR": night}, horizon_s=18 * 3600)
    plan = solve(view, None, WORK)
    assert faults(plan, view, None) == []
    assert set(plan.placement_of) == {"a", "b", "wall"}


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


# --- arrays ----------------------------------------------------------------------------------------------------


def test_no_more_tasks_of_an_array_run_at_once_than_it_allows_running_ones_counted() -> None:
    tasks = [job(f"t{number}", hours=2, array="t", array_limit=2) for number in range(4)]
    old = occupation("t9", 8, 3).model_copy(update={"array": "t"})
    view = snapshot(tasks, fleet=fleet(site(nodes=8)), running=[old])
    plan = solve(view, None, WORK)
    assert faults(plan, view, None) == []
    assert sorted(hours_in(plan, task.job) for task in tasks) == [0, 2, 3, 4]


def test_a_task_kept_back_by_its_array_says_so() -> None:
    tasks = [job(f"t{number}", hours=20, array="t", array_limit=1) for number in range(3)]
    plan = solve(snapshot(tasks, fleet=fleet(site(nodes=8))), None, WORK)
    (out,) = plan.unplaced
    assert [(reason.code, reason.clause) for reason in out.reasons] == [(ReasonCode.JOB_CONSTRAINT, "array_limit")]


# --- priorities ------------------------------------------------------------------------------------------------


def left_out_for_lower(plan: Plan, view: Snapshot) -> list[str]:
    """Jobs left out that would fit if only one placed job of lower priority were not there."""
    priority = {each.job: each.priority for each in view.jobs}
    found = []
    for out in plan.unplaced:
        for placed in plan.placements:
            if out.penalty_kg is not None and priority[placed.job] < priority[out.job]:
                rest = tuple(each for each in plan.placements if each is not placed)
                gone = Unplaced(job=placed.job, penalty_kg=0.0, reasons=())
                without = plan.model_copy(update={"placements": rest, "unplaced": (out, gone)})
                found += [
                    fault for fault in faults(without, view, None) if fault.startswith(f"{out.job} is left out, yet")
                ]
    return found


@st.composite
def crowded(draw: st.DrawFn) -> Snapshot:
    view = draw(snapshots(most_jobs=10))
    ranks = st.integers(0, 3)
    jobs = tuple(each.model_copy(update={"priority": draw(ranks)}) for each in view.jobs)
    return view.model_copy(update={"jobs": jobs})


@UNHURRIED
@given(crowded(), st.booleans())
def test_no_job_is_left_out_for_one_of_lower_priority(view: Snapshot, kernels: bool) -> None:
    with pytest.MonkeyPatch.context() as patch:
        if kernels:
            patch.setattr(engine, "FEW_JOBS", 0)
        plan = solve(view, None, WORK)
    assert faults(plan, view, None) == []
    assert left_out_for_lower(plan, view) == []


def test_the_more_urgent_of_two_is_placed_though_it_costs_more() -> None:
    by = "2026-03-02T22:00:00Z"
    big = job("big", gpus=16, hours=20, deadline=by)
    jobs = [big, *(job(f"small{number}", gpus=8, hours=20, priority=5, deadline=by) for number in range(2))]
    plan = solve(snapshot(jobs, fleet=fleet(site(nodes=2))), None, WORK)
    assert set(plan.unplaced_of) == {"big"}
    turned = [each.model_copy(update={"priority": 5 - each.priority}) for each in jobs]
    plan = solve(snapshot(turned, fleet=fleet(site(nodes=2))), None, WORK)
    assert set(plan.placement_of) == {"big"}


# --- shares of GPU-hours ---------------------------------------------------------------------------------------


def share(names: Iterable[str], sites: tuple[str, ...], most: float, used: float = 0, total: float = 0) -> QuotaRow:
    return QuotaRow(
        rule="at-home",
        clause="quota",
        tenant="acme",
        jobs=tuple(names),
        sites=sites,
        share=most,
        used_gpu_h=used,
        total_gpu_h=total,
    )


def test_those_go_elsewhere_who_lose_least_for_each_gpu_hour() -> None:
    two = fleet(site("clean", zone="SE", nodes=8), site("dirty", zone="PL", nodes=8))
    jobs = [job("hot", hours=4), job("cool", hours=4, load=0.2)]
    view = snapshot(jobs, fleet=two, carbon={"SE": 20, "PL": 600})
    row = share(["hot", "cool"], ("clean",), 0.5)
    plan = solve(view, None, WORK, quotas=[row])
    assert faults(plan, view, None, [row]) == []
    assert {name: placed.site for name, placed in plan.placement_of.items()} == {"hot": "clean", "cool": "dirty"}


def test_a_job_that_a_share_keeps_back_says_rule_and_figures() -> None:
    view = snapshot([job("a", hours=10)])
    row = share(["a"], ("alpha",), 0.25, used=20, total=100)
    plan = solve(view, None, WORK, quotas=[row])
    assert faults(plan, view, None, [row]) == []
    (reason,) = plan.unplaced_of["a"].reasons
    assert (reason.code, reason.rule, reason.clause, reason.needed) == (
        ReasonCode.POLICY_HARD_DENY,
        "at-home",
        "quota",
        0.25,
    )
    assert reason.message == (
        "acme may spend 25% of its GPU-hours there: 20 of 100 are used or planned, the job would add 80"
    )


@UNHURRIED
@given(bound_snapshots(), st.data())
def test_shares_are_never_exceeded(view: Snapshot, data: st.DataObject) -> None:
    names = [each.job for each in view.jobs]
    rows = [
        share(
            data.draw(st.lists(st.sampled_from(names), unique=True)) if names else [],
            ("site0",) if data.draw(st.booleans()) else ("site0", "site1"),
            data.draw(st.sampled_from([0.0, 0.3, 0.5, 1.0])),
            used,
            used + data.draw(st.integers(0, 60)),
        )
        for used in data.draw(st.lists(st.integers(0, 40), min_size=1, max_size=2))
    ]
    plan = solve(view, None, WORK, quotas=rows)
    assert faults(plan, view, None, rows) == []


# --- jobs of several parts -------------------------------------------------------------------------------------

MIXED = {
    "partitions": [{"name": "gpu", "hardware": "box8", "nodes": 2}, {"name": "rack", "hardware": "rack72", "nodes": 4}]
}


def gang(name: str, *parts: tuple[int, str], **columns: object) -> Job:
    components = [{"gpus": gpus, "hardware": [kind] if kind else []} for gpus, kind in parts]
    return job(name, gpus=sum(gpus for gpus, _ in parts), components=components, **columns)


def test_all_parts_start_together_each_on_its_hardware_and_sum_up() -> None:
    view = snapshot([gang("g", (8, "box8"), (12, "rack72"), hours=2)], fleet=fleet(site(**MIXED)))
    plan = solve(view, None, WORK)
    assert faults(plan, view, None) == []
    (placed,) = plan.placements
    assert [(part.partition, part.gpus, part.kwh) for part in placed.components] == [("gpu", 8, 16), ("rack", 12, 48)]
    assert (placed.partition, placed.gpus, placed.kwh, placed.carbon_kg) == ("gpu", 20, 64, pytest.approx(6.4))
    assert plan.bound_kg == pytest.approx(plan.cost_kg)


def test_parts_share_a_partition_only_while_they_fit_it_together() -> None:
    view = snapshot([gang("g", (8, ""), (16, "box8"), hours=2)], fleet=fleet(site(**MIXED)))
    (placed,) = solve(view, None, WORK).placements
    assert [part.partition for part in placed.components] == ["rack", "gpu"]


def test_parts_are_never_torn_apart_over_sites() -> None:
    two = fleet(site("boxes", zone="FR", nodes=4), site("racks", zone="DE", hardware="rack72", nodes=4))
    plan = solve(snapshot([gang("g", (8, "box8"), (8, "rack72"))], fleet=two), None, WORK)
    (out,) = plan.unplaced
    assert out.penalty_kg is None
    assert {reason.site: reason.code for reason in out.reasons} == {
        "boxes": ReasonCode.NO_SUCH_HARDWARE,
        "racks": ReasonCode.NO_SUCH_HARDWARE,
    }


def test_a_job_of_several_parts_waits_and_is_waited_for() -> None:
    jobs = [
        job("a", hours=2),
        gang("g", (8, "box8"), (8, "rack72"), hours=3, dependency=after("a")),
        job("b", dependency=after("g")),
    ]
    view = snapshot(jobs, fleet=fleet(site(**MIXED)))
    plan = solve(view, None, WORK)
    assert faults(plan, view, None) == []
    assert [hours_in(plan, name) for name in "agb"] == [0, 2, 5]


@st.composite
def gang_snapshots(draw: st.DrawFn) -> Snapshot:
    view = draw(bound_snapshots())
    kinds = st.sampled_from([(), ("box8",), ("rack72",)])
    jobs = []
    for each in view.jobs:
        own = draw(st.lists(st.tuples(st.sampled_from([1, 4, 8, 9, 16]), kinds), min_size=2, max_size=3))
        parts = tuple(Component(gpus=gpus, hardware=kind) for gpus, kind in own)
        more = {"components": parts, "gpus": sum(part.gpus for part in parts)}
        jobs.append(each.model_copy(update=more if draw(st.booleans()) else {}))
    return view.model_copy(update={"jobs": tuple(jobs)})


@UNHURRIED
@given(gang_snapshots(), st.booleans())
def test_every_plan_with_jobs_of_several_parts_is_valid_and_its_bound_true(view: Snapshot, kernels: bool) -> None:
    with pytest.MonkeyPatch.context() as patch:
        if kernels:
            patch.setattr(engine, "FEW_JOBS", 0)
        assert faults(solve(view, None, WORK), view, None) == []
