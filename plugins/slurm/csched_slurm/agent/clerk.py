"""Carries attempts from order to release, one step after the other: journal, cluster, journal.

Whatever ends this process at whatever moment, the journal says enough for the next one to go on.
"""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from csched.ports import Clock
from csched_slurm.agent import attempts
from csched_slurm.agent.attempt import (
    AskAccounts,
    AskPing,
    Attempt,
    Cancel,
    Inspect,
    LookUp,
    Release,
    Rename,
    Rest,
    Step,
    Submit,
    Timing,
)
from csched_slurm.agent.journal import Journal
from csched_slurm.cluster import ClusterJob
from csched_slurm.transport import Answer, Failed, JobChange, Known, Transport

_STEPS_AT_ONCE: Final = 20
"""Of one attempt, before the others have their turn."""
_ASKED_TOGETHER: Final = 4
"""From so many look-ups on, one list of all jobs costs the controller less."""

Listing = Mapping[str, tuple[ClusterJob, ...]]
"""Name -> jobs."""


@dataclass
class Clerk:
    """For one cluster. `round` may be called as often as wanted, by one thread."""

    journal: Journal
    transport: Transport
    clock: Clock
    timing: Timing
    at_once: int = 8
    """Attempts that are worked on at the same time."""

    def recover(self) -> None:
        """First thing of a new process."""
        now = self.clock.now()
        for attempt in self.journal.alive():
            found = attempts.recovered(attempt, now)
            if found != attempt:
                self.journal.keep(found)

    def round(self, *, submit: bool = True) -> None:
        """Do whatever is due. With `submit` false nothing new is submitted: an alarm stands."""
        now = self.clock.now()
        due = [attempt for attempt in self.journal.alive() if self._due(attempt, now, submit=submit)]
        listing = self._listing(due, now)
        work: Callable[[Attempt], None] = lambda attempt: self._advance(attempt, listing, submit=submit)  # noqa: E731
        self._each(work, due)

    def _each(self, work: Callable[[Attempt], None], due: Iterable[Attempt]) -> None:
        if self.at_once == 1:
            for attempt in due:
                work(attempt)
            return
        with ThreadPoolExecutor(self.at_once, thread_name_prefix="attempt") as pool:
            for done in [pool.submit(work, attempt) for attempt in due]:
                done.result()

    def _due(self, attempt: Attempt, now: datetime, *, submit: bool) -> bool:
        step = attempts.next_step(attempt, now)
        return not isinstance(step, Rest) and (submit or not isinstance(step, Submit))

    def _advance(self, attempt: Attempt, listing: Listing | None, *, submit: bool) -> None:
        for _ in range(_STEPS_AT_ONCE):
            now = self.clock.now()
            step = attempts.next_step(attempt, now)
            if isinstance(step, Rest) or (isinstance(step, Submit) and not submit):
                return
            ready = attempts.before(attempt, step, now)
            if ready != attempt:
                self.journal.keep(ready)
            known = listing if isinstance(step, LookUp) else None
            attempt = self._taken(ready, step, known)
            listing = None  # it was of before this step
            self.journal.keep(attempt)

    def _taken(self, attempt: Attempt, step: Step, listing: Listing | None) -> Attempt:
        """The attempt after the step; the time is that of the answer."""
        slurm, timing, clock = self.transport, self.timing, self.clock
        job_id = attempt.job_id or 0
        after = attempt
        match step:
            case Submit():
                answer = slurm.submit(self.journal.request(attempt.attempt))
                after = attempts.after_submit(attempt, answer, clock.now(), timing)
            case AskPing():
                after = attempts.after_ping(attempt, slurm.ping(), clock.now(), timing)
            case LookUp():
                found = slurm.look_up(attempt.name) if listing is None else Known(listing.get(attempt.name, ()))
                after = attempts.after_look_up(attempt, found, clock.now(), timing)
            case AskAccounts():
                accounts = slurm.accounting(ids=[job_id] if job_id else [], names=[attempt.name])
                after = attempts.after_accounts(attempt, accounts, clock.now(), timing)
            case Inspect():
                after = attempts.after_inspect(attempt, slurm.job(job_id), clock.now(), timing)
            case Rename():
                own = (
                    JobChange(comment=attempt.own_comment or "")
                    if attempt.adopted
                    else JobChange(name=attempt.own_name)
                )
                after = attempts.after_rename(attempt, slurm.update(job_id, own), clock.now(), timing)
            case Release():
                after = attempts.after_release(attempt, slurm.release(job_id), clock.now(), timing)
            case Cancel():
                for each in step.ids:
                    slurm.cancel(each)
                after = attempts.after_cancel(attempt, step, clock.now(), timing)
        return after

    def _listing(self, due: list[Attempt], now: datetime) -> Listing | None:
        """All jobs by name, where many attempts are looked up at once; None where each is better asked for."""
        if sum(isinstance(attempts.next_step(attempt, now), LookUp) for attempt in due) < _ASKED_TOGETHER:
            return None
        answer: Answer[tuple[ClusterJob, ...]] = self.transport.jobs()
        if isinstance(answer, Failed):
            return None
        by_name: dict[str, tuple[ClusterJob, ...]] = {}
        for job in answer.value:
            by_name[job.name] = (*by_name.get(job.name, ()), job)
        return by_name
