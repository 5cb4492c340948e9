"""Whatever a cluster does to it and whenever it is killed: no attempt is lost, and none is started twice."""

import shutil
import tempfile
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from csched.clock import FixedClock
from csched.domain.run import JobState
from csched.testing.builders import MONDAY
from csched_slurm.agent import attempts
from csched_slurm.agent.attempt import Attempt, Stage, Timing, mark_of
from csched_slurm.agent.clerk import Clerk
from csched_slurm.agent.journal import Journal
from csched_slurm.agent.watch import Watch
from csched_slurm.protocol.messages import Fate
from csched_slurm.protocol.signing import SignedOrder
from csched_slurm.transport import JobRequest

from .adversary import FAULTS, AgentKilled, BadSlurm

_SIGNED = SignedOrder(sequence=1, key_id="0" * 16, document="", signature="")
_NEVER_RUNS_OUT = 100_000
_HEALING_ROUNDS = 400


class Site(RuleBasedStateMachine):
    """A cluster, its agent, and all that befalls both."""

    @initialize()
    def open(self) -> None:
        self.folder = Path(tempfile.mkdtemp(dir=_fast_folder()))
        self.clock = FixedClock(MONDAY)
        self.slurm = BadSlurm(self.clock)
        self.ordered: list[str] = []
        self.ended_by_people: set[str] = set()
        self._start_agent()
        self.an_order_comes(minutes=_NEVER_RUNS_OUT)

    def _start_agent(self) -> None:
        self.journal = Journal(self.folder / "journal.db")
        self.clerk = Clerk(self.journal, self.slurm, self.clock, Timing(), at_once=1)
        self.watch = Watch(self.journal, self.slurm, self.clock, Timing())
        self.clerk.recover()

    def _killed_agent_starts_again(self) -> None:
        self.journal.close()
        self._start_agent()

    @rule(minutes=st.sampled_from([1, _NEVER_RUNS_OUT]))
    def an_order_comes(self, minutes: int) -> None:
        name = f"{len(self.ordered):032x}"
        request = JobRequest(
            name=f"csched-{name}",
            user="ada",
            comment=mark_of(name, "1"),
            script="#!/bin/sh\n",
            work_dir="/",
            stdout="/dev/null",
            nodes=1,
            time_limit_minutes=10,
        )
        now = self.clock.now()
        attempt = Attempt(
            attempt=name, job="1", user="ada", own_name="train", since=now, expires_at=now + timedelta(minutes=minutes)
        )
        self.journal.begin(attempt, request)
        self.ordered.append(name)
        if minutes < _NEVER_RUNS_OUT:
            self.ended_by_people.add(name)  # it may run out

    @rule(faults=st.lists(st.sampled_from(FAULTS), max_size=8))
    def the_agent_works(self, faults: list) -> None:
        self.slurm.faults.extend(faults)
        try:
            self.clerk.round()
            self.watch.look()
        except AgentKilled:
            self._killed_agent_starts_again()
        self.slurm.faults.clear()

    @rule(seconds=st.sampled_from([0.5, 1.0, 3.0, 6.0, 15.0, 60.0, 400.0]))
    def time_passes(self, seconds: float) -> None:
        self.slurm.pass_time(seconds)

    @rule()
    def the_controller_is_killed(self) -> None:
        self.slurm.kill()

    @rule()
    def the_controller_hangs(self) -> None:
        self.slurm.stop()

    @rule()
    def the_controller_is_back(self) -> None:
        self.slurm.start()

    @rule(up=st.booleans())
    def accounting_comes_and_goes(self, up: bool) -> None:
        self.slurm.accounting_up = up

    @rule(data=st.data())
    def someone_takes_an_id_or_a_name(self, data: st.DataObject) -> None:
        names = ["other", *(f"csched-{name}" for name in self.ordered)]
        self.slurm.someone_submits(data.draw(st.sampled_from(names)))

    @rule(data=st.data())
    def the_owner_cancels(self, data: st.DataObject) -> None:
        if self.ordered and self.slurm.owner_cancels(name := data.draw(st.sampled_from(self.ordered))):
            self.ended_by_people.add(name)

    @rule(data=st.data())
    def the_core_cancels(self, data: st.DataObject) -> None:
        if self.ordered:
            name = data.draw(st.sampled_from(self.ordered))
            attempt = self.journal.attempt(name)
            assert attempt is not None
            self.journal.keep(attempts.ordered_to_end(attempt, self.clock.now()))
            self.ended_by_people.add(name)

    @rule()
    def the_agent_is_killed(self) -> None:
        self._killed_agent_starts_again()

    @invariant()
    def nothing_is_started_twice(self) -> None:
        assert all(count == 1 for count in self.slurm.starts.values()), self.slurm.starts

    @invariant()
    def jobs_of_others_are_left_alone(self) -> None:
        assert all(job.held and not job.comment for job in self.slurm.strangers())

    def teardown(self) -> None:
        """Everything works again for some hours: then every attempt has ended, and those that ran say so."""
        if not hasattr(self, "journal"):
            return
        self.slurm.start()
        self.slurm.accounting_up = True
        for _ in range(_HEALING_ROUNDS):
            self.clerk.round()
            self.watch.look()
            if not self.journal.alive():
                break
            self.slurm.pass_time(5)
            if self.journal.alarm is not None:
                self.watch.looked_into()
        for name in self.ordered:
            self._accounted_for(name)
        self.nothing_is_started_twice()
        assert [job for name in self.ordered for job in self.slurm.of(name) if not job.state.ended] == []
        self.journal.close()
        shutil.rmtree(self.folder)

    def _accounted_for(self, name: str) -> None:
        attempt = self.journal.attempt(name)
        assert attempt is not None
        assert attempt.stage is Stage.ENDED, attempt
        ran = self.slurm.starts[name]
        if attempt.state is JobState.COMPLETED:
            assert ran == 1
        elif attempt.fate is Fate.REFUSED:
            assert ran == 0, "given back although it ran: the core would run it again"
        elif attempt.fate is Fate.VANISHED:
            assert self.slurm.kills, "a job is lost only where a controller lost it"
            assert ran == 1 or name in self.ended_by_people
        else:
            assert attempt.state is JobState.CANCELLED
            assert name in self.ended_by_people


def _fast_folder() -> str | None:
    """Thousands of syncs to a disk would take the test's time and prove nothing here."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108


Site.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestExactlyOnce = Site.TestCase


class SiteForLong(Site):
    """The same, for longer."""


SiteForLong.TestCase.settings = settings(max_examples=10_000, stateful_step_count=80, deadline=None)
TestExactlyOnceForLong = pytest.mark.soak(SiteForLong.TestCase)
