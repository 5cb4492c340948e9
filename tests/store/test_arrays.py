"""Arrays are many jobs that came in at once; on SQLite and on PostgreSQL."""

from collections.abc import Callable

from sqlalchemy import func, select

from csched.clock import FixedClock
from csched.domain.array import ArrayTasks
from csched.domain.run import JobState, RunReport
from csched.store.records import JobRecord, Submission
from csched.store.repository import Repository
from csched.store.rows import ScriptRow
from csched.testing.builders import MONDAY
from csched.testing.planner import everything_at

Submissions = Callable[..., Submission]


def array(submission: Submission, *tasks: int, key: str | None = None) -> Submission:
    return submission.model_copy(update={"array": ArrayTasks(tasks=tasks, step=1), "key": key})


def start_all(store: Repository) -> list[str]:
    """Commit a plan that starts all that waits; the jobs that it let start."""
    pending = store.jobs(states=[JobState.PENDING])
    plan = everything_at([record.job for record in pending], "alpha", "gpu", MONDAY)
    return [due.job for due in store.commit(plan, {record.id: record.revision for record in pending})]


def end(store: Repository, job_id: int, state: JobState = JobState.COMPLETED) -> JobRecord:
    attempt = store.job(job_id).attempt
    assert attempt is not None
    assert store.apply(RunReport(job=str(job_id), attempt=attempt, state=state, start=MONDAY, end=MONDAY))
    return store.job(job_id)


def test_each_task_is_a_job_of_its_own(store: Repository, submission: Submissions) -> None:
    before = store.submit(submission())
    first = store.submit(array(submission(), 2, 5, 9))
    assert store.submit(submission()) == first + 3
    tasks = store.jobs(ids=[first], arrays=[first])
    assert [task.label for task in tasks] == [f"{first}_2", f"{first}_5", f"{first}_9"]
    assert [task.job.array for task in tasks] == [str(first)] * 3
    assert tasks[1].array is not None
    assert tasks[1].array.model_dump() == {
        "job": str(first), "task": 5, "count": 3, "lowest": 2, "highest": 9, "step": 1,
    }  # fmt: skip
    assert (store.job(before).array, store.job(before).label) == (None, str(before))


def test_output_files_have_the_array_and_the_task(store: Repository, submission: Submissions) -> None:
    one = submission()
    script = one.script.model_copy(update={"stdout": "/home/ann/%A_%3a-%j.out"})
    first = store.submit(array(one.model_copy(update={"script": script}), 1, 2))
    assert [task.stdout for task in store.jobs(ids=(), arrays=[first])] == [
        f"/home/ann/{first}_001-{first}.out",
        f"/home/ann/{first}_002-{first + 1}.out",
    ]
    alone = store.submit(one.model_copy(update={"script": script}))
    assert store.job(alone).stdout == f"/home/ann/{alone}_4294967294-{alone}.out"


def test_an_array_with_a_key_is_one_array(store: Repository, submission: Submissions) -> None:
    first = store.submit(array(submission(), 0, 1, key="sweep"))
    assert store.submit(array(submission(), 0, 1, key="sweep")) == first
    assert len(store.jobs()) == 2


def test_the_largest_array_comes_in_at_once_and_keeps_its_script_once(url: str, submission: Submissions) -> None:
    store = Repository(url, FixedClock(MONDAY))
    changes = store.changes()
    first = store.submit(array(submission(), *range(10_001)))
    assert store.changes() == changes + 1
    assert len(store.jobs(ids=(), arrays=[first])) == 10_001
    with store._database.read() as session:
        assert session.execute(select(func.count()).select_from(ScriptRow)).scalar_one() == 1
    store.close()


def test_what_is_started_has_its_script_and_its_task(store: Repository, submission: Submissions) -> None:
    store.submit(array(submission(), 3, 4))
    start_all(store)
    orders = store.orders()
    assert [order.array.task for order in orders if order.array] == [3, 4]
    assert {order.script.body for order in orders} == {"#!/bin/sh\n"}


def test_never_more_tasks_at_once_than_said(store: Repository, submission: Submissions) -> None:
    first = store.submit(array(submission(array_limit=2), *range(4)))
    assert start_all(store) == [str(first), str(first + 1)]
    assert {store.job(first + 2).reason, store.job(first + 3).reason} == {"JobArrayTaskLimit"}
    assert start_all(store) == []
    end(store, first)
    assert start_all(store) == [str(first + 2)]


def test_many_jobs_are_changed_together_or_not_at_all(store: Repository, submission: Submissions) -> None:
    first = store.submit(array(submission(), 0, 1, 2))
    ids = range(first, first + 3)
    assert [record.hold for record in store.hold_all(ids)] == ["user"] * 3
    assert [record.hold for record in store.release_all(ids)] == [None] * 3
    assert {record.job.priority for record in store.update_all(ids, {"priority": 3})} == {3}
    assert {record.state for record in store.request_cancel_all(ids)} == {JobState.CANCELLED}
