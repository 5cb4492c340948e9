"""The agent as it runs at a site: orders in, jobs held, released and watched, reports out.

One thread does all that changes anything; one waits for orders, one tells the core. Either of them may fail for as long
as it likes: the jobs of the site go on.
"""

import fcntl
import os
import pwd
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, Queue
from typing import Final

import structlog

from csched import __version__
from csched.clock import SystemClock
from csched.errors import CschedError, Refused
from csched.keys import read_trust
from csched.ports import Clock
from csched_slurm.agent.adoption import Adoption
from csched_slurm.agent.attempt import Attempt
from csched_slurm.agent.clerk import Clerk
from csched_slurm.agent.core_client import CoreClient
from csched_slurm.agent.intake import Intake
from csched_slurm.agent.journal import Journal
from csched_slurm.agent.settings import AgentSettings, read_users
from csched_slurm.agent.tokens import Tokens
from csched_slurm.agent.watch import Watch
from csched_slurm.command_line import CommandLine
from csched_slurm.looking_only import LookingOnly
from csched_slurm.protocol.admission import Door
from csched_slurm.protocol.messages import REPORTS_AT_ONCE, Alarm, OrderPage, ReportBatch, SiteFacts
from csched_slurm.rest import ByToken, Rest
from csched_slurm.transport import Known, Transport

_BEAT_S: Final = 0.5
"""How often the journal is looked at for something that is due."""
_AGAIN_AFTER_S: Final = 5.0


def require_unprivileged(slurm_user: str) -> None:
    """Raises Refused: whoever breaks into the agent must not have the cluster."""
    user = pwd.getpwuid(os.geteuid()).pw_name
    if os.geteuid() == 0 or user == slurm_user:
        raise Refused(
            f"the agent does not run as `{user}`",
            hint="give it an account of its own, such as csched; see docs/slurm.md",
        )


def transport_of(settings: AgentSettings) -> Transport:
    """Slurm's commands; a job is submitted as its user by the one wrapper that sudo allows. None that changes anything
    where the site is only looked at."""
    if settings.how_far.only_looks:
        return LookingOnly(
            settings.cluster, settings.slurm_conf, programs=settings.programs, timeout_s=settings.command_timeout_s
        )

    def run_as(user: str | None) -> list[str]:
        if user is None:
            return []
        return [str(settings.sudo), "-n", "-u", user, "--", str(settings.submit), settings.cluster]

    commands = CommandLine(
        settings.cluster,
        settings.slurm_conf,
        run_as=run_as,
        programs=settings.programs,
        timeout_s=settings.command_timeout_s,
    )
    if settings.slurmrestd is None:
        return commands
    environment = {"PATH": "/usr/bin:/bin", "SLURM_CONF": str(settings.slurm_conf)}
    tokens = Tokens(settings.account, settings.slurm_user, environment, settings.programs, settings.sudo)
    door = ByToken(settings.slurmrestd, settings.account, tokens.of)
    return Rest(settings.cluster, door, beside=commands, timeout_s=settings.command_timeout_s)


@dataclass
class Agent:
    """One for each state folder.

    Raises:
        Refused: another agent works on it.
    """

    settings: AgentSettings
    transport: Transport
    core: CoreClient
    clock: Clock = field(default_factory=SystemClock)

    def __post_init__(self) -> None:
        self.settings.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = _only_one(self.settings.state)
        self.journal = Journal(self.settings.state / "journal.db")
        timing = self.settings.timing
        self.clerk = Clerk(self.journal, self.transport, self.clock, timing, self.settings.at_once)
        self.watch = Watch(self.journal, self.transport, self.clock, timing)
        door = Door(self.settings.site, self.settings.cluster, read_trust(self.settings.trust))
        users = read_users(self.settings)
        self.adoption = Adoption(
            self.journal,
            self.transport,
            self.core,
            self.clock,
            users,
            self.settings.gate.accounts,
            self.settings.away_after,
            self.settings.most_held_gpu_hours,
            heard=self.clock.now(),
        )
        modes = self.settings.how_far
        self.intake = Intake(door, self.journal, users, self.clock, modes, self.adoption.own_comments)
        self._pages: Queue[OrderPage] = Queue(maxsize=1)
        self._stop = threading.Event()
        self._told_alarm: Alarm | None = None
        self._log = structlog.get_logger("csched.slurm.agent")

    def stop(self) -> None:
        self._stop.set()

    def run(self) -> None:
        """Work until `stop`."""
        self.clerk.recover()
        threads = [
            threading.Thread(target=self._repeat, args=(work, every_s), name=name, daemon=True)
            for name, work, every_s in (("orders", self._fetch, 0.0), ("reports", self._tell, _BEAT_S))
        ]
        for thread in threads:
            thread.start()
        self._log.info("started", site=self.settings.site, cluster=self.settings.cluster, pid=os.getpid())
        watch = _Every(self.settings.poll_every.total_seconds(), self.watch.look)
        adoption = _Every(self.settings.poll_every.total_seconds(), self.adoption.look)
        facts = _Every(self.settings.facts_every.total_seconds(), self._discover)
        while not self._stop.is_set():
            for work in (
                (facts, self._take)
                if self.settings.how_far.only_looks
                else (
                    facts,
                    self._take,
                    self._advance,
                    watch,
                    adoption,
                )
            ):
                self._attempt(work)
        self._log.info("stopped")
        self.journal.close()
        os.close(self._lock)

    def _fetch(self) -> None:
        """Wait for orders; the next page is asked for once this one is in the journal."""
        self._pages.join()
        page = self.core.orders(self.journal.cursor)
        self.adoption.heard = self.clock.now()
        self._pages.put(page)

    def _take(self) -> None:
        try:
            page = self._pages.get(timeout=_BEAT_S)
        except Empty:
            return
        try:
            alarm = self.journal.alarm
            if alarm is not None and page.alarm_cleared is not None and page.alarm_cleared >= alarm.since:
                self.watch.looked_into()
            self.intake.take(page.orders)
        finally:
            self._pages.task_done()

    def _advance(self) -> None:
        self.clerk.round(submit=self.journal.alarm is None)

    def _tell(self) -> None:
        """What is new; that the agent lives, its waiting for orders says."""
        reports, refusals = self.journal.untold(REPORTS_AT_ONCE), self.journal.refusals(REPORTS_AT_ONCE)
        alarm = self.journal.alarm
        if not (reports or refusals or alarm != self._told_alarm):
            return
        self.core.report(ReportBatch(reports=reports, refusals=refusals, alarm=alarm))
        self.journal.told(reports, refusals)
        self._told_alarm = alarm

    def _discover(self) -> None:
        answer = self.transport.facts()
        if not isinstance(answer, Known):
            self._log.warning("the cluster tells nothing of itself", why=answer.why)
            return
        self.intake.facts = answer.value
        found = {"facts": answer.value.model_dump(mode="json")}
        self.core.tell_facts(
            SiteFacts(at=self.clock.now(), cluster=self.settings.cluster, agent=__version__, document=found)
        )

    def _repeat(self, work: Callable[[], None], every_s: float) -> None:
        while not self._stop.is_set():
            self._stop.wait(every_s if self._attempt(work) else _AGAIN_AFTER_S)

    def _attempt(self, work: Callable[[], None]) -> bool:
        """False where it failed: that is logged, and tried again."""
        try:
            work()
        except CschedError as error:
            self._log.error("failed", error=str(error))
            return False
        return True


@dataclass
class _Every:
    """Calls no more often than that."""

    seconds: float
    work: Callable[[], None]
    _next: float = 0.0

    def __call__(self) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + self.seconds
            self.work()


@contextmanager
def journal_left_by(settings: AgentSettings) -> Iterator[tuple[Attempt, ...]]:
    """What an agent that has ended left undone; nothing where its folder is gone.

    Raises:
        Refused: it works still.
    """
    file = settings.state / "journal.db"
    if not file.exists():
        yield ()
        return
    lock = _only_one(settings.state)
    try:
        journal = Journal(file)
        yield journal.alive()
        journal.close()
    finally:
        os.close(lock)


def _only_one(state: Path) -> int:
    """The lock of the folder's only agent; the system frees it however the process ends."""
    descriptor = os.open(state / "agent.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise Refused(f"another agent works on `{state}`", hint="stop that one first") from error
    return descriptor
