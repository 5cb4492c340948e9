"""What real controllers were seen to do, one story each, against the same bad Slurm that the drawn cases use."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from csched.clock import FixedClock
from csched.domain.run import JobState
from csched.testing.builders import MONDAY
from csched_slurm.agent import attempts
from csched_slurm.agent.attempt import Attempt, Stage, Timing, mark_of
from csched_slurm.agent.clerk import Clerk
from csched_slurm.agent.journal import Journal
from csched_slurm.agent.watch import Watch
from csched_slurm.protocol.messages import Fate
from csched_slurm.transport import JobRequest

from .adversary import RUNS_S, BadSlurm


class Place:
    """An agent and its cluster."""

    def __init__(self, folder: Path) -> None:
        self.clock = FixedClock(MONDAY)
        self.slurm = BadSlurm(self.clock)
        self.journal = Journal(folder / "journal.db")
        self.clerk = Clerk(self.journal, self.slurm, self.clock, Timing(), at_once=1)
        self.watch = Watch(self.journal, self.slurm, self.clock, Timing())

    def order(self, name: str = "a") -> str:
        now = self.clock.now()
        request = JobRequest(
            name=f"csched-{name}",
            user="ada",
            comment=mark_of(name, "1"),
            script="#!/bin/sh\n",
            work_dir="/",
            stdout="/dev/null",
            nodes=1,
            time_limit_minutes=9,
        )
        expires = now + timedelta(days=9)
        self.journal.begin(
            Attempt(attempt=name, job="1", user="ada", own_name="train", since=now, expires_at=expires), request
        )
        return name

    def work(self) -> None:
        self.clerk.round()
        self.watch.look()

    def live(self, seconds: float, step: float = 1.0) -> None:
        for _ in range(round(seconds / step)):
            self.work()
            self.slurm.pass_time(step)

    def until(self, reached: Callable[[Attempt], bool], name: str = "a") -> Attempt:
        for _ in range(600):
            attempt = self.attempt(name)
            if reached(attempt):
                return attempt
            self.slurm.pass_time(1)
            self.work()
        raise AssertionError(self.attempt(name))

    def attempt(self, name: str = "a") -> Attempt:
        attempt = self.journal.attempt(name)
        assert attempt is not None
        return attempt


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def ended(attempt: Attempt) -> bool:
    return attempt.stage is Stage.ENDED


def test_an_id_that_was_said_and_lost_is_not_believed_when_it_is_another_jobs(place: Place) -> None:
    place.order()
    place.clerk.round()
    assert place.attempt().job_id == 1
    place.slurm.kill()
    place.slurm.start()
    place.slurm.someone_submits("other")
    assert [job.id for job in place.slurm.strangers()] == [1]
    attempt = place.until(ended)
    assert (attempt.state, attempt.job_id) == (JobState.COMPLETED, 2)
    assert place.slurm.starts == {"a": 1}
    assert place.slurm.strangers()[0].held


def test_a_submission_whose_answer_was_lost_is_found_by_its_name(place: Place) -> None:
    place.slurm.faults.append("lost")
    place.order()
    assert place.until(ended).job_id == 1
    assert place.slurm.starts == {"a": 1}


def test_a_submission_that_comes_up_late_is_found_and_not_repeated(place: Place) -> None:
    place.slurm.faults.append("late")
    place.order()
    assert place.until(ended).job_id == 1


def test_a_look_that_finds_nothing_proves_nothing_while_the_controller_hangs(place: Place) -> None:
    """It took the submission before it hung, and carries it out when it goes on."""
    place.slurm.stop()
    place.order()
    place.live(300)
    assert place.attempt().stage is Stage.LOOKING
    place.slurm.start()
    assert place.until(ended).job_id == 1
    assert place.slurm.starts == {"a": 1}


def test_second_jobs_of_one_name_are_cancelled_while_they_are_held(place: Place) -> None:
    place.slurm.faults.append("lost")
    place.order()
    place.clerk.round()
    twice = place.journal.attempt("a")
    assert twice is not None
    place.journal.keep(twice.model_copy(update={"stage": Stage.INTENDED}))  # as if an agent had been less careful
    place.until(ended)
    assert place.slurm.starts == {"a": 1}
    assert [job for job in place.slurm.of("a") if not job.state.ended] == []


def test_a_release_that_the_controller_forgot_is_repeated_once_it_is_sure_that_nothing_ran(place: Place) -> None:
    place.order()
    place.until(lambda attempt: attempt.stage is Stage.RELEASED)
    place.slurm.kill()
    place.slurm.start()
    place.work()
    assert place.attempt().stage is Stage.HELD
    assert place.until(ended).state is JobState.COMPLETED
    assert place.slurm.starts == {"a": 1}


def test_a_run_that_the_controller_forgot_is_never_repeated(place: Place) -> None:
    """It had started a moment before the kill; its node goes on with it."""
    place.order()
    place.until(lambda attempt: attempt.stage is Stage.RELEASED)
    place.slurm.pass_time(0.5)
    assert place.slurm.starts == {"a": 1}
    place.slurm.kill()
    place.slurm.start()
    attempt = place.until(ended)
    assert (attempt.state, attempt.fate) == (JobState.NODE_FAIL, Fate.VANISHED)
    place.live(RUNS_S * 2)
    assert place.slurm.starts == {"a": 1}


def test_a_job_that_ran_while_the_agent_was_away_for_long_is_known_from_accounting(place: Place) -> None:
    place.order()
    place.until(lambda attempt: attempt.stage is Stage.RELEASED)
    place.slurm.pass_time(3600)
    assert place.slurm.of("a") == []
    assert place.until(ended).state is JobState.COMPLETED


def test_a_release_whose_answer_nobody_heard_is_not_a_reason_to_submit_again(place: Place) -> None:
    """The agent dies over the release, and comes back when the controller has long forgotten the job."""
    place.order()
    place.until(lambda attempt: attempt.stage is Stage.HELD)
    place.slurm.pass_time(6)
    place.slurm.faults.extend(["none", "none", "lost"])  # look-up, rename, release
    place.clerk.round()
    assert place.attempt().stage is Stage.RELEASING
    place.journal.keep(attempts.recovered(place.attempt(), place.clock.now()))
    place.slurm.pass_time(3600)
    assert place.until(ended).state is JobState.COMPLETED
    assert place.slurm.starts == {"a": 1}


def test_an_order_that_ran_out_while_the_job_was_held_is_cancelled_and_given_back(place: Place) -> None:
    place.order()
    place.until(lambda attempt: attempt.stage is Stage.HELD)
    place.slurm.stop()
    place.live(30)
    late = place.attempt().model_copy(update={"expires_at": place.clock.now()})
    place.journal.keep(late)
    place.slurm.start()
    attempt = place.until(ended)
    assert (attempt.fate, place.slurm.starts) == (Fate.REFUSED, {})


def test_what_the_owner_does_at_the_site_is_an_order(place: Place) -> None:
    place.slurm.busy = True
    place.order()
    place.until(lambda attempt: attempt.free)
    place.slurm.hold(1)
    place.slurm.busy = False
    place.live(600)
    assert (place.attempt().state, place.slurm.starts) == (JobState.CONFIGURING, {})
    assert place.attempt().message == "held at the site by its owner or an admin"
    assert place.slurm.owner_cancels("a")
    assert place.until(ended).state is JobState.CANCELLED


def test_a_release_alone_may_be_forgotten_while_the_name_is_not(place: Place) -> None:
    """The controller had the one on disk when it was killed, and not yet the other."""
    place.slurm.busy = True
    place.order()
    place.until(lambda attempt: attempt.stage is Stage.RELEASED)
    place.slurm.hold(1)
    place.slurm.busy = False
    assert place.until(ended).state is JobState.COMPLETED
    assert place.slurm.starts == {"a": 1}


def test_nothing_is_concluded_while_accounting_does_not_answer(place: Place) -> None:
    place.order()
    place.until(lambda attempt: attempt.stage is Stage.RELEASED)
    place.slurm.accounting_up = False
    place.slurm.pass_time(3600)
    place.live(600, step=30)
    assert place.attempt().stage is Stage.RELEASED
    place.slurm.accounting_up = True
    assert place.until(ended).state is JobState.COMPLETED


def test_many_jobs_that_vanish_at_once_raise_an_alarm_and_are_given_up_only_when_a_person_has_looked(
    place: Place,
) -> None:
    names = [place.order(f"job{number}") for number in range(6)]
    for name in names:
        place.until(lambda attempt: attempt.state is JobState.RUNNING, name)
    place.slurm.forget_everything()
    place.live(120)
    assert place.journal.alarm is not None
    assert {place.attempt(name).stage for name in names} == {Stage.RELEASED}
    place.watch.looked_into()
    place.live(30)
    assert {place.attempt(name).fate for name in names} == {Fate.VANISHED}
    assert place.slurm.starts == dict.fromkeys(names, 1)


def test_a_few_that_vanish_are_failures_and_are_not_begun_anew(place: Place) -> None:
    place.order()
    place.until(lambda attempt: attempt.state is JobState.RUNNING)
    place.slurm.forget_everything()
    attempt = place.until(ended)
    assert (attempt.state, attempt.fate, place.journal.alarm) == (JobState.NODE_FAIL, Fate.VANISHED, None)


def test_a_cancel_that_a_killed_controller_forgot_is_given_again(place: Place) -> None:
    name = place.order()
    place.until(lambda attempt: attempt.job_id is not None)
    attempt = place.attempt()
    place.journal.keep(attempts.ordered_to_end(attempt, place.clock.now()))
    place.until(ended)
    place.slurm.kill()
    place.slurm.start()
    assert [job.held for job in place.slurm.of(name) if not job.state.ended] == [True]
    place.live(5)
    assert [job for job in place.slurm.of(name) if not job.state.ended] == []
