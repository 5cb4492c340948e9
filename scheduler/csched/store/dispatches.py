"""What was started: orders on their way to a dispatcher and what it tells of them."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Final

from sqlalchemy import delete, update
from sqlmodel import Session, col, func, select

from csched.domain.run import DispatchOrder, JobState, RunReport
from csched.store.job_rows import ALIVE, advance
from csched.store.mapping import to_order
from csched.store.marks import count_change
from csched.store.part import MOST_ROWS, Part
from csched.store.records import Withdrawals
from csched.store.rows import AttemptRow, JobRow, MarkRow, PlacementRow, ScriptRow, VerdictRow
from csched.store.transitions import may_follow

POLICY_HOLD: Final = "policy"
"""Holds a job that the rules keep from starting although planning gave it a place."""

_LONGEST_MESSAGE: Final = 2000


class Dispatches(Part):
    """What was started."""

    def orders(self, attempts: Collection[str] | None = None, *, limit: int = MOST_ROWS) -> tuple[DispatchOrder, ...]:
        """The attempts of living jobs that no dispatcher is known to have, oldest job first.

        Handing one over may be repeated.
        """
        query = (
            select(JobRow, AttemptRow, ScriptRow.body)
            .join(AttemptRow, col(AttemptRow.attempt) == col(JobRow.attempt))
            .join(ScriptRow, col(ScriptRow.sha256) == col(JobRow.script_sha256))
            .where(col(JobRow.state).in_(ALIVE), col(AttemptRow.handed_over).is_(None))
            .order_by(col(JobRow.id))
            .limit(limit)
        )
        if attempts is not None:
            query = query.where(col(AttemptRow.attempt).in_(list(attempts)))
        with self._database.read() as session:
            return tuple(to_order(row, attempt, body) for row, attempt, body in session.exec(query))

    def handed_over(self, attempt: str) -> None:
        """A dispatcher has the attempt safely."""
        with self._database.write() as session:
            row = session.get(AttemptRow, attempt)
            if row is not None and row.handed_over is None:
                row.handed_over = self._clock.now()

    def withdraw(self, attempt: str, why: str, *, disputed: bool, hold: bool) -> bool:
        """Take back an order that no dispatcher has; its job waits again, or ends where that was asked for.

        False where the order has been handed over meanwhile, or is no longer the job's newest.
        """
        with self._database.write() as session:
            intent = session.get(AttemptRow, attempt)
            row = session.get(JobRow, intent.job_id) if intent else None
            if intent is None or row is None or intent.handed_over or row.attempt != attempt or intent.ended:
                return False
            now = self._clock.now()
            intent.ended, intent.forgotten = now, True
            row.revision += 1
            row.message = why[:_LONGEST_MESSAGE]
            if row.cancel_requested:
                advance(row, JobState.CANCELLED)
                row.end, row.reason, row.exit_status, row.exit_signal = now, "Cancelled", 0, 0
            else:
                row.state = JobState.PENDING  # the one way back: the job never left the store
                row.reason = "PolicyDisputed" if disputed else "PolicyOutdated"
                row.hold = POLICY_HOLD if hold else None
            session.exec(delete(PlacementRow).where(col(PlacementRow.job_id) == row.id))
            row.site = None
            session.exec(delete(VerdictRow).where(col(VerdictRow.job_id) == row.id))
            _count_withdrawal(session, now, disputed=disputed)
            count_change(session)
            return True

    def withdrawals(self) -> Withdrawals:
        held = select(func.count()).where(JobRow.state == JobState.PENDING, JobRow.hold == POLICY_HOLD)
        with self._database.read() as session:
            mark = session.get(MarkRow, "withdrawals")
            counted = Withdrawals.model_validate_json(mark.value) if mark else Withdrawals()
            return counted.model_copy(update={"held": session.exec(held).one()})

    def alive(self) -> Mapping[str, str]:
        """Attempt -> job, of all that were handed over and are not known to have ended."""
        query = (
            select(JobRow.attempt, JobRow.id)
            .join(AttemptRow, col(AttemptRow.attempt) == col(JobRow.attempt))
            .where(col(JobRow.state).in_(ALIVE), col(AttemptRow.handed_over).is_not(None))
        )
        with self._database.read() as session:
            return {str(attempt): str(job_id) for attempt, job_id in session.exec(query)}

    def to_cancel(self) -> tuple[str, ...]:
        """Attempts whose job shall end and has not yet."""
        query = select(JobRow.attempt).where(col(JobRow.state).in_(ALIVE), col(JobRow.cancel_requested))
        with self._database.read() as session:
            return tuple(str(attempt) for attempt in session.exec(query))

    def apply(self, report: RunReport) -> bool:
        """Take over what a dispatcher says; false where it says nothing new, or speaks of an older attempt."""
        with self._database.read() as session:  # most reports are no news, and writers wait for each other
            if _row_with_news(session, report) is None:
                return False
        with self._database.write() as session:
            row = _row_with_news(session, report)
            if row is None:
                return False
            advance(row, report.state)
            row.start = report.start or row.start
            row.reason = None
            _believe_nodes(session, row, report)
            if report.state.final:
                _end(session, row, report, self._clock.now())
            return True

    def ended_attempts(self, limit: int = 1000) -> tuple[str, ...]:
        """Attempts whose end is kept here and whose dispatcher may still keep something of them."""
        query = (
            select(AttemptRow.attempt)
            .where(~col(AttemptRow.forgotten), col(AttemptRow.ended).is_not(None))
            .order_by(col(AttemptRow.ended))
            .limit(limit)
        )
        with self._database.read() as session:
            return tuple(session.exec(query))

    def forgotten(self, attempts: Collection[str]) -> None:
        """Their dispatcher keeps nothing of these any more."""
        if attempts:
            with self._database.write() as session:
                session.exec(update(AttemptRow).where(col(AttemptRow.attempt).in_(attempts)).values(forgotten=True))


def _row_with_news(session: Session, report: RunReport) -> JobRow | None:
    """The job of the report, where the report is about its attempt and says something new."""
    row = session.get(JobRow, int(report.job))
    if row is None or row.attempt != report.attempt or not may_follow(JobState(row.state), report.state):
        return None
    return row


def _believe_nodes(session: Session, row: JobRow, report: RunReport) -> None:
    """A site that chose other nodes than the plan is right."""
    kept = session.get(PlacementRow, row.id)
    if kept is not None and report.nodes and set(report.nodes) != set(kept.placement.get("nodes") or ()):
        kept.placement = {**kept.placement, "nodes": list(report.nodes), "domains": None}


def _end(session: Session, row: JobRow, report: RunReport, now: datetime) -> None:
    row.end = report.end or now
    row.message = report.message
    row.revision += 1
    if report.exit_code is not None:
        row.exit_status, row.exit_signal = report.exit_code.status, report.exit_code.signal
    attempt = session.get(AttemptRow, report.attempt)
    if attempt is not None:
        attempt.ended = row.end
        attempt.handed_over = attempt.handed_over or now


def _count_withdrawal(session: Session, now: datetime, *, disputed: bool) -> None:
    mark = session.get(MarkRow, "withdrawals")
    counted = Withdrawals.model_validate_json(mark.value) if mark else Withdrawals()
    which = "disputed" if disputed else "outdated"
    more = counted.model_copy(update={which: getattr(counted, which) + 1, "last_at": now})
    session.merge(MarkRow(key="withdrawals", value=more.model_dump_json()))
