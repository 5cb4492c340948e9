"""What would place a job that is left out, and no less of it would."""

from datetime import timedelta

from hypothesis import given, settings

from csched.domain.job import Job
from csched.domain.plan import Plan, Relaxation, Unplaced
from csched.domain.quota import QuotaRow
from csched.domain.snapshot import Snapshot, SolveBudget, StandingPlan
from csched.domain.verdict import Reason, ReasonCode, SiteVerdict, Verdicts
from csched.placement.check import faults
from csched.placement.engine import solve
from csched.placement.relaxations import relaxations
from csched.testing.builders import MONDAY, fleet, job, site, snapshot

from .instances import snapshots

WORK = SolveBudget(seconds=None, work=50)


def of(view: Snapshot, name: str, verdicts: Verdicts | None = None) -> dict[str, Relaxation]:
    found = relaxations(view, verdicts, solve(view, verdicts, WORK), name)
    return {each.field: each for each in found}


def test_a_job_beside_others_would_fit_with_fewer_gpus_a_shorter_limit_or_a_later_deadline() -> None:
    others = [job("other", gpus=8, hours=6, deadline="2026-03-02T06:00:00Z", priority=1)]
    asked = job("asked", gpus=16, hours=10, deadline="2026-03-02T12:00:00Z")
    view = snapshot([*others, asked], fleet=fleet(site(nodes=2)))
    found = of(view, "asked")
    assert [each.message for each in found.values()] == [
        "would start at alpha at 2026-03-02 06:00Z with a deadline 4 h later",
        "would start at alpha at 2026-03-02 06:00Z with a limit of 06:00:00 instead of 10:00:00",
        "would start at alpha at 2026-03-02 00:00Z with 8 GPUs instead of 16",
    ]
    assert (found["gpus"].seen, found["gpus"].needed, found["gpus"].size) == (16, 8, 0.5)


def test_another_kind_another_country_and_release_are_told() -> None:
    two = fleet(site("de", zone="DE"), site("fr", zone="FR", hardware="rack72", nodes=2))
    asked = job("a", countries=["FR"], hardware=["box8"])
    assert {each.message for each in of(snapshot([asked], fleet=two), "a").values()} == {
        "would start at de at 2026-03-02 00:00Z if countries allowed DE",
        "would start at fr at 2026-03-02 00:00Z with hardware rack72 too",
    }
    view = snapshot([job("a")], held=["a"])
    assert of(view, "a")["hold"].message == "would start at alpha at 2026-03-02 00:00Z if it were released"


def test_policy_is_never_to_be_broken_but_says_which_fact_stands_in_the_way() -> None:
    denial = Reason(
        site="alpha",
        code=ReasonCode.POLICY_HARD_DENY,
        rule="health-hds",
        clause="site.certs",
        seen=None,
        needed="hds",
        message="alpha shows no hds",
    )
    found = of(snapshot([job("a")]), "a", {"a": (SiteVerdict(site="alpha", denials=(denial,)),)})
    assert list(found) == ["policy"]
    assert found["policy"].message == (
        "would start at alpha at 2026-03-02 00:00Z if site.certs were otherwise (health-hds: alpha shows no hds)"
    )


def test_what_limits_of_arrays_and_shares_leave_is_proposed() -> None:
    first = job("a1", gpus=2, hours=20, array="a", array_limit=1)
    second = job("a2", gpus=1, hours=24, array="a", array_limit=1, deadline=MONDAY + timedelta(days=1))
    found = of(snapshot([first, second], fleet=fleet(site(nodes=4))), "a2")
    assert {name: each.needed for name, each in found.items()} == {
        "time_limit_s": 4 * 3600,
        "deadline": "2026-03-03T20:00:00Z",
    }
    assert {each.start for each in found.values()} == {MONDAY + timedelta(hours=20)}


def test_what_a_share_leaves_is_proposed() -> None:
    """Half of all hours may be spent there: 2 of 8 are, so 4 more leave the share just kept."""
    row = QuotaRow(
        rule="shares", clause="tenant", tenant="acme", jobs=("a",), sites=("alpha",), share=0.5, used_gpu_h=2,
        total_gpu_h=8,
    )  # fmt: skip
    view = snapshot([job("a", gpus=8, hours=1, tenant="acme")])
    plan = solve(view, None, WORK, quotas=[row])
    found = {each.field: each.needed for each in relaxations(view, None, plan, "a", [row])}
    assert found == {"gpus": 4, "time_limit_s": 1800}


@settings(deadline=None, max_examples=25, derandomize=True)
@given(snapshots(most_jobs=6))
def test_what_is_proposed_comes_true(view: Snapshot) -> None:
    """The next plan has a place for the job, once it asks for so much less; the others may have others."""
    plan = solve(view, None, WORK)
    for out in plan.unplaced[:2]:
        asked = next(each for each in view.jobs if each.job == out.job)
        for found in relaxations(view, None, plan, out.job)[:1]:
            if (just := changed_by(asked, found, 0)) is not None:
                jobs = tuple(just if each.job == just.job else each for each in view.jobs)
                again = solve(view.model_copy(update={"jobs": jobs, "standing": StandingPlan.of(plan)}), None, WORK)
                assert just.job in again.placement_of or again.cost_kg < plan.cost_kg


def fits(view: Snapshot, plan: Plan, changed: Job) -> bool:
    """By the check, which shares no code: whether a job left out would have room, were it so."""
    jobs = tuple(changed if each.job == changed.job else each for each in view.jobs)
    out = Unplaced(job=changed.job, penalty_kg=0.0, reasons=())
    asked = plan.model_copy(update={"unplaced": (out,)})
    told = faults(asked, view.model_copy(update={"jobs": jobs, "held": ()}), None)
    return any(fault.startswith(f"{changed.job} is left out, yet fits") for fault in told)


def changed_by(asked: Job, found: Relaxation, less: int) -> Job | None:
    """The job with the relaxation that was found, or one that is `less` of a step smaller."""
    if found.field == "gpus":
        return asked.model_copy(update={"gpus": int(str(found.needed)) + less})
    if found.field == "time_limit_s":
        limit_s = int(str(found.needed)) + 60 * less
        expected = asked.expected_runtime_s
        return asked.model_copy(
            update={"time_limit_s": limit_s, "expected_runtime_s": expected and min(expected, limit_s)}
        )
    if found.field == "deadline" and asked.deadline:
        moved = round(found.size / (1 - found.size) * asked.time_limit_s / 60) - less
        return asked.model_copy(update={"deadline": asked.deadline + timedelta(minutes=moved)})
    return None


@settings(deadline=None, max_examples=50, derandomize=True)
@given(snapshots(most_jobs=6))
def test_what_is_proposed_suffices_and_a_smaller_step_does_not(view: Snapshot) -> None:
    plan = solve(view, None, WORK)
    for out in plan.unplaced[:2]:
        asked = next(each for each in view.jobs if each.job == out.job)
        for found in relaxations(view, None, plan, out.job):
            just = changed_by(asked, found, 0)
            if just is not None:
                assert fits(view, plan, just)
                almost = changed_by(asked, found, 1)
                assert almost is None or not fits(view, plan, almost)
