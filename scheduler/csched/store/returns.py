"""Attempts that came back: a site would not take them, or a node failed under them. Their jobs wait again, or end."""

from datetime import datetime
from typing import Final

from sqlalchemy import delete
from sqlmodel import Session, col, select

from csched.domain.run import GivenBack, JobState, RunReport
from csched.domain.snapshot import SiteRefusal
from csched.domain.verdict import Reason
from csched.store.job_rows import ALIVE, advance
from csched.store.mapping import document, require_id
from csched.store.marks import count_change
from csched.store.part import Part
from csched.store.rows import AttemptRow, JobRow, PlacementRow, SiteRefusalRow, VerdictRow

MOST_RESTARTS: Final = 3
"""A job that nodes fail under so often may be what fails them."""
REFUSED_AT_MOST: Final = 3
"""A job that sites give back so often waits for a person."""
SITE_HOLD: Final = "site"


class Returns(Part):
    """What was started and came back."""

    def take_back(self, report: RunReport, given_back: GivenBack) -> bool:
        """The attempt is over and nothing of it runs: its job is planned anew, or ends where that must not be.

        False where the job is with another attempt by now, or has ended.
        """
        with self._database.write() as session:
            row = session.get(JobRow, int(report.job))
            if row is None or row.attempt != report.attempt or row.state not in ALIVE:
                return False
            now = self._clock.now()
            _end_attempt(session, report.attempt, now)
            row.message = report.message
            row.revision += 1
            if row.cancel_requested:
                _end(row, JobState.CANCELLED, report, now)
            elif given_back.had_started and (row.restarts >= MOST_RESTARTS or not _may_be_restarted(row)):
                _end(row, JobState.NODE_FAIL, report, now)
            else:
                _queue_again(session, row, given_back, now)
            count_change(session)
            return True

    def site_refusals(self, since: datetime) -> tuple[SiteRefusal, ...]:
        """Why sites would not take jobs that still wait, as found since then."""
        query = (
            select(SiteRefusalRow)
            .join(JobRow, col(JobRow.id) == col(SiteRefusalRow.job_id))
            .where(JobRow.state == JobState.PENDING, col(SiteRefusalRow.at) >= since)
            .order_by(col(SiteRefusalRow.job_id), col(SiteRefusalRow.site))
        )
        with self._database.read() as session:
            return tuple(
                SiteRefusal(job=str(row.job_id), reason=Reason.model_validate(row.reason))
                for row in session.exec(query)
            )


def _may_be_restarted(row: JobRow) -> bool:
    """sbatch's --no-requeue says that a job must never be run twice, not even in part."""
    return "--no-requeue" not in row.script.get("options", [])


def _queue_again(session: Session, row: JobRow, given_back: GivenBack, now: datetime) -> None:
    row.state = JobState.PENDING  # the other way back: nothing of the attempt runs, as its dispatcher has made sure
    row.start, row.reason = None, given_back.reason
    if given_back.had_started:
        row.restarts += 1
    elif row.attempts - row.restarts >= REFUSED_AT_MOST:
        row.hold = SITE_HOLD
    if given_back.refusal is not None and given_back.refusal.site is not None:
        session.merge(
            SiteRefusalRow(
                job_id=require_id(row.id), site=given_back.refusal.site, at=now, reason=document(given_back.refusal)
            )
        )
    session.exec(delete(PlacementRow).where(col(PlacementRow.job_id) == row.id))
    session.exec(delete(VerdictRow).where(col(VerdictRow.job_id) == row.id))
    row.site = None


def _end(row: JobRow, state: JobState, report: RunReport, now: datetime) -> None:
    advance(row, state)
    row.start, row.end = report.start or row.start, report.end or now
    exit_code = report.exit_code
    row.exit_status, row.exit_signal = (exit_code.status, exit_code.signal) if exit_code else (0, 0)


def _end_attempt(session: Session, attempt: str, now: datetime) -> None:
    intent = session.get(AttemptRow, attempt)
    if intent is not None:
        intent.ended = now
        intent.handed_over = intent.handed_over or now
