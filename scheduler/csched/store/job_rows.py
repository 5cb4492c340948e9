"""One row of a job, inside somebody's transaction."""

from datetime import datetime
from typing import Final

from sqlalchemy import delete
from sqlmodel import Session, col

from csched.domain.run import JobState
from csched.errors import InputError, Refused
from csched.store.mapping import to_job_record
from csched.store.marks import count_change
from csched.store.records import JobRecord
from csched.store.rows import JobRow, PlacementRow
from csched.store.transitions import may_follow

ALIVE: Final = (JobState.CONFIGURING, JobState.RUNNING)


def record_of(session: Session, row: JobRow) -> JobRecord:
    return to_job_record(row, session.get(PlacementRow, row.id))


def require_row(session: Session, job_id: int) -> JobRow:
    row = session.get(JobRow, job_id) if 0 < job_id < 2**63 else None
    if row is None:
        raise InputError(f"there is no job `{job_id}`", hint="csched queue lists the jobs that wait or run")
    return row


def require_pending(session: Session, job_id: int, verb: str) -> JobRow:
    row = require_row(session, job_id)
    if row.state != JobState.PENDING:
        raise Refused(f"job {job_id} is {row.state} and can no longer be {verb}", hint=f"csched show {job_id}")
    return row


def advance(row: JobRow, state: JobState) -> None:
    if not may_follow(JobState(row.state), state):
        raise ValueError(f"job {row.id} cannot go from {row.state} to {state}")
    row.state = state


def withdraw_pending(session: Session, row: JobRow, reason: str, now: datetime) -> None:
    """End a job that has not been started."""
    advance(row, JobState.CANCELLED)
    row.end, row.reason, row.exit_status, row.exit_signal = now, reason, 0, 0
    session.exec(delete(PlacementRow).where(col(PlacementRow.job_id) == row.id))
    row.site = None
    row.revision += 1


def changed(session: Session, row: JobRow) -> JobRecord:
    """Count the change, so that no plan made before it stands."""
    row.revision += 1
    count_change(session)
    session.flush()
    return record_of(session, row)
