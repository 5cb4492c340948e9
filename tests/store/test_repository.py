"""What is accepted stays; what went stale falls; nothing is started twice. On SQLite and on PostgreSQL."""

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest

from csched.clock import FixedClock
from csched.domain.ledger import EnergyMethod, LedgerEntry
from csched.domain.plan import Plan, SiteOption, Unplaced
from csched.domain.run import ExitCode, JobState, RunReport
from csched.domain.verdict import Reason, ReasonCode
from csched.errors import InputError, Refused
from csched.store.records import Health, Submission
from csched.store.repository import Repository
from csched.testing.builders import MONDAY, snapshot
from csched.testing.planner import everything_at

Submissions = Callable[..., Submission]
HOUR = timedelta(hours=1)


def planned(store: Repository, start: object = None) -> tuple[Plan, dict[int, int]]:
    """A plan of all that waits, at once or at `start`, and the revisions it saw."""
    pending = store.jobs(states=[JobState.PENDING])
    plan = everything_at([record.job for record in pending], "alpha", "gpu", MONDAY, start)  # type: ignore[arg-type]
    return plan, {record.id: record.revision for record in pending}


def started(store: Repository, submission: Submission) -> tuple[int, str]:
    """A job that has been handed over, and its attempt."""
    job_id = store.submit(submission)
    store.commit(*planned(store))
    attempt = store.job(job_id).attempt
    assert attempt is not None
    store.handed_over(attempt)
    return job_id, attempt


def test_ids_rise_and_name_the_job(store: Repository, submission: Submissions) -> None:
    ids = [store.submit(submission()) for _ in range(3)]
    assert ids == sorted(set(ids))
    assert [record.job.job for record in store.jobs()] == [str(job_id) for job_id in ids]


def test_a_job_is_there_after_the_store_is_opened_anew(url: str, submission: Submissions) -> None:
    first = Repository(url)
    job_id = first.submit(submission(name="a b", project="bio", deadline=MONDAY + HOUR, countries=["FR"]))
    before = first.job(job_id)
    first.close()
    second = Repository(url)
    assert second.job(job_id) == before
    second.close()


def test_a_submission_with_a_key_is_one_job(store: Repository, submission: Submissions) -> None:
    first = submission().model_copy(update={"key": "run-7"})
    job_id = store.submit(first)
    assert store.submit(first) == job_id
    of_another = first.model_copy(update={"job": first.job.model_copy(update={"user": "bob"})})
    assert store.submit(of_another) != job_id
    assert store.submit(submission()) != store.submit(submission())
    other_script = first.script.model_copy(update={"body": "#!/bin/sh\nfalse\n"})
    with pytest.raises(Refused, match=f"another script, job {job_id}"):
        store.submit(first.model_copy(update={"script": other_script}))


def test_jobs_are_counted_by_state(store: Repository, submission: Submissions) -> None:
    started(store, submission())
    store.submit(submission())
    store.request_cancel(store.submit(submission()))
    counted = {state: count for state, count in store.count_by_state().items() if count}
    assert counted == {JobState.CONFIGURING: 1, JobState.PENDING: 1, JobState.CANCELLED: 1}
    assert set(store.count_by_state()) == set(JobState)


def test_output_files_get_the_id_and_the_name(store: Repository, submission: Submissions) -> None:
    job_id = store.submit(submission(name="train"))
    assert store.job(job_id).stdout == f"/home/ann/train-{job_id}.out"


def test_jobs_are_found_by_what_they_are(store: Repository, submission: Submissions, clock: FixedClock) -> None:
    ann = store.submit(submission(user="ann", project="bio"))
    clock.set(MONDAY + HOUR)
    bob = store.submit(submission(user="bob"))

    def found(**conditions: object) -> list[int]:
        return [record.id for record in store.jobs(**conditions)]  # type: ignore[arg-type]

    assert found(user="bob") == [bob]
    assert found(project="bio") == [ann]
    assert found(states=[JobState.RUNNING]) == []
    assert found(submitted_from=MONDAY + HOUR) == [bob]
    assert found(submitted_to=MONDAY + HOUR) == [ann]
    assert found(newest_first=True, limit=1) == [bob]
    assert found(ids=[ann]) == [ann]
    assert store.last_job_id() == bob
    assert store.last_job_id("ann") == ann
    assert store.last_job_id("nobody") is None


def test_an_unknown_job_is_named(store: Repository) -> None:
    with pytest.raises(InputError, match="there is no job `7`"):
        store.job(7)


def test_what_is_due_is_returned_with_its_intent_written(store: Repository, submission: Submissions) -> None:
    job_id = store.submit(submission())
    (due,) = store.commit(*planned(store))
    record = store.job(job_id)
    assert due.job == str(job_id)
    assert (record.state, record.site, record.attempts) == (JobState.CONFIGURING, "alpha", 1)
    (order,) = store.orders()
    assert (order.attempt, order.job, order.gpus) == (record.attempt, str(job_id), 8)


def test_what_starts_later_is_planned_and_still_free(store: Repository, submission: Submissions) -> None:
    job_id = store.submit(submission())
    assert store.commit(*planned(store, MONDAY + HOUR)) == ()
    record = store.job(job_id)
    assert record.state is JobState.PENDING
    assert record.placement is not None
    assert record.placement.start == MONDAY + HOUR
    assert store.orders() == ()


@pytest.mark.parametrize("meanwhile", ["held", "changed", "cancelled", "drained", "dispatched", "held and released"])
def test_what_went_stale_falls(store: Repository, submission: Submissions, meanwhile: str) -> None:
    stale, sound = store.submit(submission()), store.submit(submission())
    plan, seen = planned(store)
    if "held" in meanwhile:
        store.hold(stale)
    if "released" in meanwhile:
        store.release(stale)
    if meanwhile == "changed":
        store.update(stale, {"gpus": 4})
    if meanwhile == "cancelled":
        store.request_cancel(stale)
    if meanwhile == "drained":
        store.drain("alpha", "a leak")
        assert store.commit(plan, seen) == ()
        assert store.orders() == ()
        return
    if meanwhile == "dispatched":
        store.commit(everything_at([store.job(stale).job], "alpha", "gpu", MONDAY), seen)
    assert [placement.job for placement in store.commit(plan, seen)] == [str(sound)]
    assert store.job(stale).attempts == (1 if meanwhile == "dispatched" else 0)


def test_a_plan_committed_by_many_at_once_starts_each_job_once(store: Repository, submission: Submissions) -> None:
    for _ in range(5):
        store.submit(submission())
    plan, seen = planned(store)
    due: list[str] = []

    def commit() -> None:
        due.extend(placement.job for placement in store.commit(plan, seen))

    threads = [threading.Thread(target=commit) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(due) == sorted(placement.job for placement in plan.placements)
    assert len(store.orders()) == 5


def test_an_unplaced_job_keeps_its_first_reason(store: Repository, submission: Submissions) -> None:
    job_id = store.submit(submission())
    store.commit(*planned(store, MONDAY + HOUR))
    plan, seen = planned(store)
    reason = Reason(site="alpha", code=ReasonCode.TOO_LARGE, message="too large")
    unplaced = Unplaced(job=str(job_id), penalty_kg=None, reasons=(reason,))
    store.commit(plan.model_copy(update={"placements": (), "unplaced": (unplaced,)}), seen)
    record = store.job(job_id)
    assert (record.state, record.reason, record.placement) == (JobState.PENDING, "TooLarge", None)


def test_a_plan_keeps_its_snapshot_and_the_verdicts_of_what_started(store: Repository, submission: Submissions) -> None:
    job_id = store.submit(submission())
    plan, seen = planned(store)
    options = (SiteOption(site="alpha", verdict="allowed", chosen=True),)
    seen_world = snapshot([store.job(job_id).job])
    store.commit(plan, seen, snapshot=seen_world, options={str(job_id): options})
    kept = store.plan()
    assert kept is not None
    assert (kept.plan, kept.snapshot) == (plan, seen_world)
    verdicts = store.verdicts(job_id)
    assert verdicts is not None
    assert (verdicts.plan, verdicts.options) == (kept.id, options)


def test_an_attempt_goes_its_way_and_never_back(store: Repository, submission: Submissions) -> None:
    job_id, attempt = started(store, submission())
    assert store.alive() == {attempt: str(job_id)}

    def report(state: JobState, **more: object) -> bool:
        return store.apply(RunReport.model_validate({"job": str(job_id), "attempt": attempt, "state": state, **more}))

    begun, done = MONDAY + timedelta(seconds=1.25), MONDAY + timedelta(seconds=7.5)
    assert not report(JobState.CONFIGURING)
    assert report(JobState.RUNNING, start=begun)
    assert not report(JobState.RUNNING, start=begun)
    assert report(JobState.FAILED, start=begun, end=done, exit_code=ExitCode(status=3))
    for state in JobState:
        assert not report(state)
    record = store.job(job_id)
    assert (record.state, record.start, record.end, str(record.exit_code)) == (JobState.FAILED, begun, done, "3:0")
    assert store.alive() == {}


def test_an_ended_attempt_is_to_be_forgotten_once(store: Repository, submission: Submissions) -> None:
    job_id, attempt = started(store, submission())
    assert store.ended_attempts() == ()
    store.apply(RunReport(job=str(job_id), attempt=attempt, state=JobState.COMPLETED))
    assert store.ended_attempts() == (attempt,)
    store.forgotten([attempt])
    assert store.ended_attempts() == ()


def test_a_site_that_chose_other_nodes_than_the_plan_is_believed(store: Repository, submission: Submissions) -> None:
    job_id, attempt = started(store, submission())
    running = RunReport(job=str(job_id), attempt=attempt, state=JobState.RUNNING, nodes=("n7", "n9"))
    assert store.apply(running)
    placed = store.job(job_id).placement
    assert placed is not None
    assert (placed.nodes, placed.domains) == (("n7", "n9"), None)


def test_a_report_of_another_attempt_is_ignored(store: Repository, submission: Submissions) -> None:
    job_id, _ = started(store, submission())
    assert not store.apply(RunReport(job=str(job_id), attempt="older", state=JobState.COMPLETED))


def test_cancelling(store: Repository, submission: Submissions) -> None:
    waiting = store.submit(submission(hold="user"))
    running, attempt = started(store, submission())
    assert store.request_cancel(waiting).state is JobState.CANCELLED
    assert store.request_cancel(running).state is JobState.CONFIGURING
    assert store.to_cancel() == (attempt,)
    with pytest.raises(Refused, match="has already ended"):
        store.request_cancel(waiting)


def test_a_held_job_is_never_placed_until_it_is_released(store: Repository, submission: Submissions) -> None:
    job_id = store.submit(submission(hold="admin"))
    assert store.commit(*planned(store)) == ()
    assert store.job(job_id).reason == "Held"
    store.release(job_id)
    assert len(store.commit(*planned(store))) == 1


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"gpu": 4}, InputError, "a job has no `gpu`"),
        ({"gpus": 0}, InputError, "expected at least 1"),
        ({"user": "bob"}, Refused, "stays as it was submitted"),
        ({"expected_runtime_s": 7200}, InputError, "longer than time_limit_s"),
    ],
)
def test_a_bad_change_changes_nothing(
    store: Repository, submission: Submissions, changes: dict[str, object], error: type[Exception], message: str
) -> None:
    job_id = store.submit(submission())
    before = store.job(job_id)
    with pytest.raises(error, match=message):
        store.update(job_id, changes)
    assert store.job(job_id) == before


def test_a_dispatched_job_can_no_longer_be_changed(store: Repository, submission: Submissions) -> None:
    job_id, _ = started(store, submission())
    for change in (lambda: store.update(job_id, {"gpus": 1}), lambda: store.hold(job_id)):
        with pytest.raises(Refused, match="CONFIGURING"):
            change()


def test_changes_are_counted(store: Repository, submission: Submissions) -> None:
    counts = [store.changes()]
    job_id = store.submit(submission())
    for change in (
        lambda: store.hold(job_id),
        lambda: store.release(job_id),
        lambda: store.update(job_id, {"priority": 3}),
        lambda: store.drain("alpha", "a leak"),
        lambda: store.resume("alpha"),
        lambda: store.request_cancel(job_id),
    ):
        counts.append(store.changes())
        change()
    assert counts == sorted(set(counts))


def bill(job_id: int) -> LedgerEntry:
    return LedgerEntry(
        job=str(job_id), user="ann", tenant=None, project="bio", site="alpha", state=JobState.COMPLETED, gpus=8,
        submit=MONDAY, start=MONDAY, end=MONDAY + HOUR, planned_kwh=8.0, planned_carbon_kg=0.8, kwh=8.0, carbon_kg=0.8,
        egress_kg=0.0, energy_method=EnergyMethod.MODEL, baseline_site="alpha", baseline_kwh=8.0,
        baseline_carbon_kg=1.0, carbon_source="test", carbon_method="lifecycle",
    )  # fmt: skip


def test_a_job_is_billed_once(store: Repository, submission: Submissions) -> None:
    job_id, attempt = started(store, submission())
    assert store.unbilled() == ()
    ended = {"start": MONDAY, "end": MONDAY + HOUR, "state": JobState.COMPLETED}
    store.apply(RunReport.model_validate({"job": str(job_id), "attempt": attempt, **ended}))
    assert [record.id for record in store.unbilled()] == [job_id]
    store.add(bill(job_id))
    store.add(bill(job_id).model_copy(update={"kwh": 99.0}))
    assert store.unbilled() == ()
    assert store.ledger() == (bill(job_id),)
    assert store.ledger(user="bob") == ()
    assert store.ledger(ended_from=MONDAY, ended_to=MONDAY + 2 * HOUR, site="alpha", project="bio") == (bill(job_id),)
    assert store.ledger(ended_to=MONDAY + HOUR) == ()


def test_a_job_that_never_ran_costs_nothing(store: Repository, submission: Submissions) -> None:
    store.request_cancel(store.submit(submission()))
    assert store.unbilled() == ()


def test_of_a_token_only_the_hash_is_kept(store: Repository) -> None:
    token, secret = store.create_token("laptop", "admin")
    assert store.token(secret) == token
    assert store.token(secret + "x") is None
    assert secret not in str(store.tokens())
    assert store.revoke_token(token.id)
    assert not store.revoke_token(token.id)
    assert store.token(secret) is None


def test_drains_and_health_are_remembered(store: Repository) -> None:
    store.drain("alpha", "a leak")
    store.drain("alpha", "a flood")
    assert [(drain.site, drain.reason) for drain in store.drains()] == [("alpha", "a flood")]
    assert store.resume("alpha")
    assert not store.resume("alpha")
    assert store.health() == Health()
    health = Health(plan_at=MONDAY, errors={"plan": "no carbon"})
    store.note_health(health)
    assert store.health() == health
