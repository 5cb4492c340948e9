"""The daemon: plans, polls, refreshes carbon and bills, each on its own beat, until it is told to stop.

A failing beat is logged and shown (`Repository.health`) and tried again; it never ends the daemon.
"""

import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import FrameType
from typing import Final

import structlog
from apscheduler.events import (
    EVENT_JOB_ERROR,
    EVENT_JOB_EXECUTED,
    JobExecutionEvent,
)
from apscheduler.schedulers.background import BackgroundScheduler

from csched.app import App
from csched.domain.plan import Plan
from csched.errors import CschedError, Unavailable
from csched.home_lock import take
from csched.ports import RefreshableCarbon
from csched.store.records import Health

PLAN, POLL, CARBON, BILL, POLICIES = "plan", "poll", "carbon", "bill", "policies"

_POLL_NOTED_EVERY: Final = timedelta(seconds=10)
_LONGEST_ERROR: Final = 2000


class Daemon:
    """One for each home. `cycle` is one planning round; another one may stand in where no solver is wanted.

    Raises:
        Refused: another daemon works on this home.
    """

    def __init__(self, app: App, cycle: Callable[[], Plan | None] | None = None) -> None:
        self._app = app
        self._cycle = cycle or app.plan_once
        self._log = structlog.get_logger("csched.daemon")
        self._planned_changes = -1
        self._replan = threading.Event()
        self._under_way: set[str] = set()
        self._stopping = False
        self._ordering = threading.Lock()
        """Held while a beat is moved forward, which must not happen to a scheduler that shuts down: it would wait for
        the beat, and the beat for it."""
        self._health = _HealthBook(app)
        self._lock = take(app.home())
        self._scheduler = BackgroundScheduler(
            timezone=UTC, job_defaults={"max_instances": 1, "coalesce": True, "misfire_grace_time": None}
        )
        self._scheduler.add_listener(self._took_place, EVENT_JOB_ERROR | EVENT_JOB_EXECUTED)
        self._add(PLAN, self._plan, app.settings.plan_every)
        self._add(POLL, self._poll, app.settings.poll_every)
        self._add(BILL, self._bill, app.settings.plan_every)
        self._digest: str | None = None
        if app.signed_policies is not None:
            self._add(POLICIES, self._policies, app.settings.plan_every)
        if isinstance(app.carbon, RefreshableCarbon):
            self._add(CARBON, app.carbon.refresh, app.settings.carbon_every)

    def start(self) -> None:
        log_to_stderr()
        self._log.info("started", home=str(self._app.settings.home), pid=os.getpid())
        self._scheduler.start()

    def stop(self) -> None:
        """Wait for the beats under way, then end. Jobs that run go on; the next daemon takes them over."""
        with self._ordering:
            self._stopping = True
        self._scheduler.shutdown(wait=True)
        self._log.info("stopped")
        os.close(self._lock)

    def run(self) -> None:
        """Work until SIGTERM or SIGINT; for the main thread."""
        told = threading.Event()

        def tell(_number: int, _frame: FrameType | None) -> None:
            told.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, tell)
        self.start()
        told.wait()
        self.stop()

    def _add(self, name: str, beat: Callable[[], None], every: timedelta) -> None:
        def marked() -> None:
            if self._stopping:
                return
            self._under_way.add(name)
            try:
                beat()
            finally:
                self._under_way.discard(name)

        seconds = every.total_seconds()
        self._scheduler.add_job(
            marked, "interval", id=name, name=name, seconds=seconds, next_run_time=datetime.now(UTC)
        )

    def _plan(self) -> None:
        self._replan.clear()
        self._planned_changes = self._app.store.changes()
        plan = self._cycle()
        if plan is not None:
            self._log.info(
                "planned",
                placed=len(plan.placements),
                unplaced=len(plan.unplaced),
                status=plan.status,
                cost_kg=round(plan.cost_kg, 6),
                gap=round(plan.gap, 6),
            )

    def _poll(self) -> None:
        """Take over news; and plan at once where the queue changed, or GPUs became free."""
        changed = self._app.poll()
        for record in changed:
            self._log.info("job", id=record.id, state=record.state, site=record.site, exit_code=str(record.exit_code))
        if any(record.state.final for record in changed):
            self._replan.set()
            self._soon(BILL)
        if self._replan.is_set() or self._app.store.changes() != self._planned_changes:
            self._soon(PLAN)

    def _policies(self) -> None:
        """Bring a newer signed set into force, and plan by it at once; raises why the folder's set is refused."""
        try:
            self._app.check_policies()
        finally:
            digest = self._app.policies.digest
            if digest != self._digest:
                self._log.info("policies in force", digest=digest)
                self._digest = digest
                self._replan.set()

    def _bill(self) -> None:
        if billed := self._app.bill():
            self._log.info("billed", jobs=billed)

    def _soon(self, name: str) -> None:
        """A beat that is under way is left alone: the next poll asks again."""
        with self._ordering:
            if name not in self._under_way and not self._stopping:
                self._scheduler.modify_job(name, next_run_time=datetime.now(UTC))

    def _took_place(self, event: JobExecutionEvent) -> None:
        error = event.exception
        told = None if error is None else str(error) if isinstance(error, CschedError) else repr(error)
        if isinstance(error, CschedError):
            self._log.error("failed", beat=event.job_id, error=told, hint=error.hint)
        elif error is not None:  # a defect: whoever mends it needs to know where it was
            self._log.error("failed", beat=event.job_id, error=told, traceback=event.traceback)
        self._health.note(event.job_id, told)


class _HealthBook:
    """Keeps what anyone may ask of the daemon: when it planned and polled last, and what does not work."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._lock = threading.Lock()
        self._written = Health()

    def note(self, beat: str, error: str | None) -> None:
        with self._lock:
            now = self._app.clock.now()
            errors = {other: text for other, text in self._written.errors.items() if other != beat}
            if error is not None:
                errors[beat] = error[:_LONGEST_ERROR]
            times = {f"{beat}_at": now} if error is None and beat in {PLAN, POLL} else {}
            health = self._written.model_copy(update={"errors": errors, **times})
            if beat == POLL and errors == self._written.errors and not self._stale(now):
                return
            with contextlib.suppress(Unavailable):  # the store itself is what fails: the log has it
                self._app.store.note_health(health)
                self._written = health

    def _stale(self, now: datetime) -> bool:
        """A poll takes place every second; writing that down ten times as rarely is enough."""
        return self._written.poll_at is None or now - self._written.poll_at >= _POLL_NOTED_EVERY


def log_to_stderr() -> None:
    """One line an event: JSON for a collector, colours for a person at a terminal."""
    person = sys.stderr.isatty()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.dev.ConsoleRenderer() if person else structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    logging.getLogger("apscheduler").setLevel(logging.CRITICAL)  # what it would say, the events have told us
