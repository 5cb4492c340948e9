"""What the store remembers of policies: the newest set that was accepted, and orders that were taken back."""

from collections.abc import Callable

import pytest

from csched.clock import FixedClock
from csched.domain.run import JobState, RunReport
from csched.store.records import Submission
from csched.store.repository import Repository
from csched.testing.builders import MONDAY
from csched.testing.planner import everything_at

Submissions = Callable[..., Submission]
ONE, TWO, THREE = "1" * 64, "2" * 64, "3" * 64


def ordered(store: Repository, submission: Submission) -> tuple[int, str]:
    """A job whose order is written and with no dispatcher yet."""
    job_id = store.submit(submission)
    record = store.job(job_id)
    store.commit(everything_at([record.job], "alpha", "gpu", MONDAY), {job_id: record.revision})
    (order,) = (order for order in store.orders() if order.job == str(job_id))
    return job_id, order.attempt


def test_the_newest_set_is_remembered_and_an_older_one_does_not_replace_it(url: str, clock: FixedClock) -> None:
    first = Repository(url, clock)
    assert first.accept_policies(1, ONE) == (1, ONE)
    assert first.accept_policies(3, THREE) == (3, THREE)
    first.close()
    second = Repository(url, clock)
    assert second.accept_policies(2, TWO) == (3, THREE)
    assert second.accept_policies(3, TWO) == (3, THREE)
    assert second.accept_policies(3, THREE) == (3, THREE)
    second.close()


@pytest.mark.parametrize(("hold", "reason"), [(True, "PolicyDisputed"), (False, "PolicyOutdated")])
def test_a_withdrawn_job_waits_again_without_a_place(
    store: Repository, submission: Submissions, hold: bool, reason: str
) -> None:
    job_id, attempt = ordered(store, submission())
    before = store.changes()
    assert store.withdraw(attempt, "rule r is not met", disputed=hold, hold=hold)
    record = store.job(job_id)
    assert (record.state, record.reason, record.message) == (JobState.PENDING, reason, "rule r is not met")
    assert (record.hold, record.placement, record.site) == ("policy" if hold else None, None, None)
    assert store.orders() == ()
    assert store.changes() > before
    counted = store.withdrawals()
    assert (counted.disputed, counted.outdated, counted.held) == (int(hold), int(not hold), int(hold))
    assert counted.last_at == MONDAY


def test_a_withdrawn_job_can_be_placed_again_under_another_attempt(store: Repository, submission: Submissions) -> None:
    job_id, attempt = ordered(store, submission())
    store.withdraw(attempt, "not now", disputed=False, hold=False)
    record = store.job(job_id)
    store.commit(everything_at([record.job], "alpha", "gpu", MONDAY), {job_id: record.revision})
    again = store.job(job_id)
    assert (again.state, again.attempts) == (JobState.CONFIGURING, 2)
    assert again.attempt != attempt
    late = RunReport(job=str(job_id), attempt=attempt, state=JobState.RUNNING)
    assert not store.apply(late)


def test_what_a_dispatcher_has_or_what_is_not_the_newest_is_not_withdrawn(
    store: Repository, submission: Submissions
) -> None:
    job_id, attempt = ordered(store, submission())
    store.handed_over(attempt)
    assert not store.withdraw(attempt, "too late", disputed=True, hold=True)
    assert not store.withdraw("nobodys", "unknown", disputed=True, hold=True)
    assert store.job(job_id).state is JobState.CONFIGURING
    assert store.withdrawals().last_at is None


def test_a_withdrawn_job_that_was_to_be_cancelled_ends(store: Repository, submission: Submissions) -> None:
    job_id, attempt = ordered(store, submission())
    store.request_cancel(job_id)
    assert store.withdraw(attempt, "no", disputed=True, hold=True)
    record = store.job(job_id)
    assert (record.state, record.reason, record.hold) == (JobState.CANCELLED, "Cancelled", None)
    assert record.end == MONDAY
