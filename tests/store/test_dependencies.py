"""Jobs that wait for other jobs: what they may name, when they may start, and that none starts too early."""

from collections.abc import Callable

import pytest

from csched.domain.job import Dependency
from csched.domain.run import JobState
from csched.errors import InputError
from csched.store.records import Submission
from csched.store.repository import Repository

from .test_arrays import array, end, start_all

Submissions = Callable[..., Submission]


def after(kind: str, *jobs: object) -> tuple[Dependency, ...]:
    return (Dependency.model_validate({"kind": kind, "jobs": [str(job) for job in jobs]}),)


@pytest.mark.parametrize("name", ["99", "99_1", "1_7"])
def test_a_job_that_there_is_not_is_never_taken_for_done(store: Repository, submission: Submissions, name: str) -> None:
    store.submit(array(submission(), 0, 1))
    with pytest.raises(InputError, match=f"there is no job `{name}` to wait for"):
        store.submit(submission(dependency=after("afterok", name)))
    assert len(store.jobs()) == 2


def test_last_is_the_users_newest_job_or_array(store: Repository, submission: Submissions) -> None:
    first = store.submit(array(submission(), 0, 1))
    store.submit(submission(user="bob"))
    job_id = store.submit(submission(dependency=after("afterok", "last")))
    assert store.job(job_id).job.dependency == after("afterok", first)
    with pytest.raises(InputError, match="no job yet"):
        store.submit(submission(user="eve", dependency=after("afterok", "last")))
    with pytest.raises(InputError, match="`first` does not name a job"):
        store.submit(submission(dependency=after("afterok", "first")))


@pytest.mark.parametrize(
    ("kind", "ended", "outcome"),
    [
        ("afterok", JobState.COMPLETED, "starts"),
        ("afterok", JobState.FAILED, "never"),
        ("afterok", JobState.CANCELLED, "never"),
        ("afternotok", JobState.COMPLETED, "never"),
        ("afternotok", JobState.TIMEOUT, "starts"),
        ("afternotok", JobState.NODE_FAIL, "starts"),
        ("afterany", JobState.FAILED, "starts"),
        ("after", JobState.CANCELLED, "starts"),
    ],
)
def test_what_an_end_means_to_those_who_wait(
    store: Repository, submission: Submissions, kind: str, ended: JobState, outcome: str
) -> None:
    first = store.submit(submission())
    start_all(store)
    waiting = store.submit(submission(dependency=after(kind, first)))
    if kind != "after":
        assert start_all(store) == []
        assert store.job(waiting).reason == "Dependency"
    end(store, first, ended)
    assert store.end_invalid() == 0
    assert start_all(store) == ([str(waiting)] if outcome == "starts" else [])
    if outcome == "never":
        assert (store.job(waiting).state, store.job(waiting).reason) == (JobState.PENDING, "DependencyNeverSatisfied")


def test_after_is_met_by_a_start(store: Repository, submission: Submissions) -> None:
    first = store.submit(
        submission(),
    )
    waiting = store.submit(submission(dependency=after("after", first)))
    assert start_all(store) == [str(first)]
    assert start_all(store) == [str(waiting)]


def test_those_who_asked_for_it_end_one_after_another(store: Repository, submission: Submissions) -> None:
    first = store.submit(submission())
    kill = {"kill_on_invalid_dependency": True}
    second = store.submit(submission(dependency=after("afterok", first)).model_copy(update=kill))
    third = store.submit(submission(dependency=after("afterok", second)).model_copy(update=kill))
    stays = store.submit(submission(dependency=after("afterok", second)))
    store.request_cancel(first)
    assert store.end_invalid() == 2
    assert [store.job(job).state for job in (second, third)] == [JobState.CANCELLED] * 2
    assert store.job(second).reason == store.job(stays).reason == "DependencyNeverSatisfied"
    assert store.job(stays).state is JobState.PENDING


def test_an_array_is_waited_for_as_a_whole(store: Repository, submission: Submissions) -> None:
    first = store.submit(array(submission(), 0, 1))
    start_all(store)
    ok = store.submit(submission(dependency=after("afterok", first)))
    notok = store.submit(submission(dependency=after("afternotok", first)))
    one = store.submit(submission(dependency=after("afterok", f"{first}_0")))
    end(store, first)
    assert start_all(store) == [str(one)]
    end(store, first + 1, JobState.FAILED)
    assert start_all(store) == [str(notok)]
    assert store.job(ok).reason == "DependencyNeverSatisfied"


def test_a_plan_is_told_of_living_tasks_and_of_ends(store: Repository, submission: Submissions) -> None:
    first = store.submit(array(submission(), 0, 1))
    alone = store.submit(submission())
    start_all(store)
    whole = store.job(store.submit(submission(dependency=after("afterany", first)))).job
    single = store.job(store.submit(submission(dependency=after("afterok", alone)))).job
    end(store, first)
    end(store, alone, JobState.FAILED)
    waits = store.waits([whole, single])
    assert waits.job(whole).dependency == after("afterany", first + 1)
    assert waits.job(single).dependency == after("afterok", alone)
    assert waits.ended == {str(alone): JobState.FAILED}
    end(store, first + 1)
    assert store.waits([whole]).job(whole).dependency == ()
