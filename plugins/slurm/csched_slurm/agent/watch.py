"""Looks after released attempts, all of them in one question; nothing is concluded from an answer that is not whole."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from csched.ports import Clock
from csched_slurm.agent import attempts, reconciling
from csched_slurm.agent.attempt import Attempt, Stage, Timing
from csched_slurm.agent.journal import Journal
from csched_slurm.cluster import AccountedJob, ClusterJob
from csched_slurm.protocol.messages import Fate
from csched_slurm.transport import Failed, Transport

_ACCOUNTED_AT_ONCE: Final = 500


@dataclass
class Watch:
    """For one cluster; by the same thread as the clerk."""

    journal: Journal
    transport: Transport
    clock: Clock
    timing: Timing
    _looked_into: bool = False
    """A person has, so that what is lost is lost."""

    def look(self) -> None:
        released = [attempt for attempt in self.journal.alive() if attempt.stage is Stage.RELEASED]
        answer = self.transport.jobs()
        if isinstance(answer, Failed):
            return
        jobs = answer.value
        sorted_out = reconciling.compared(released, jobs, self.clock.now(), self.timing)
        self._keep(released, sorted_out.seen)
        self._search(sorted_out.missing, len(released))
        self._confirm_clean(jobs)
        self._sweep(jobs)

    def looked_into(self) -> None:
        """A person has let the site go on: the alarm is over, and what nobody knows is given up at the next look."""
        self.journal.clear_alarm()
        self._looked_into = True

    def _search(self, missing: Sequence[Attempt], released: int) -> None:
        """What the controller knows no more: it has ended some time ago, or is lost."""
        accounts = self._accounts(missing)
        if accounts is None:
            return
        now = self.clock.now()
        known, lost = reconciling.accounted_for(missing, accounts, now, self.timing)
        self._keep(missing, known)
        alarm = None if self._looked_into else reconciling.alarm_over(lost, released, now)
        if alarm is not None:
            self.journal.raise_alarm(alarm)
        elif self.journal.alarm is None:
            for attempt in lost:
                self.journal.keep(attempts.vanished(attempt, now))
            self._looked_into = False

    def _accounts(self, missing: Sequence[Attempt]) -> list[AccountedJob] | None:
        """Null where accounting does not answer every question."""
        found: list[AccountedJob] = []
        for first in range(0, len(missing), _ACCOUNTED_AT_ONCE):
            some = missing[first : first + _ACCOUNTED_AT_ONCE]
            answer = self.transport.accounting(ids=[attempt.job_id for attempt in some if attempt.job_id is not None])
            if isinstance(answer, Failed):
                return None
            found += answer.value
        return found

    def _confirm_clean(self, jobs: Sequence[ClusterJob]) -> None:
        """Failed attempts whose nodes are known to run nothing of them any more may be begun anew by the core."""
        failed = [
            attempt
            for attempt in self.journal.alive()
            if attempt.stage is Stage.RELEASED and attempt.fate in {Fate.NODE_FAILURE, Fate.PREEMPTED}
        ]
        if not failed:
            return
        answer = self.transport.nodes()
        if isinstance(answer, Failed):
            return
        nodes = {node.name: node for node in answer.value}
        now = self.clock.now()
        for attempt in failed:
            if reconciling.confirmed_clean(attempt, nodes, jobs, now, self.timing):
                self.journal.keep(attempts.nodes_clean(attempt, now))

    def _sweep(self, jobs: Sequence[ClusterJob]) -> None:
        """Held jobs that came up after everything was settled."""
        names = {job.name.removeprefix("csched-") for job in jobs if job.name.startswith("csched-") and job.held}
        known = {attempt.attempt: attempt for attempt in self._by_id(names)}
        for stray in reconciling.strays(jobs, known):
            self.transport.cancel(stray)

    def _by_id(self, ids: Iterable[str]) -> Iterator[Attempt]:
        for each in ids:
            if (attempt := self.journal.attempt(each)) is not None:
                yield attempt

    def _keep(self, earlier: Iterable[Attempt], now: Iterable[Attempt]) -> None:
        known = {attempt.attempt: attempt for attempt in earlier}
        for attempt in now:
            if attempt != known[attempt.attempt]:
                self.journal.keep(attempt)
