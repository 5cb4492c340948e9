"""Jobs as users ask for them, find them and change them."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Final

from pydantic import ValidationError
from sqlalchemy import delete
from sqlmodel import col, func, select

from csched.domain.job import Job
from csched.domain.run import JobState
from csched.errors import InputError, Refused, Where
from csched.formats.validation import did_you_mean, input_error
from csched.store.job_rows import advance, changed, record_of, require_pending, require_row
from csched.store.mapping import changed_job, set_job, to_job_record
from csched.store.part import MOST_ROWS, Part
from csched.store.records import JobRecord
from csched.store.rows import JobRow, PlacementRow

_FIXED: Final = frozenset({"job", "submit", "user", "tenant"})
"""Fields of a job that nobody changes after submission."""


class Jobs(Part):
    """What users asked for."""

    def job(self, job_id: int) -> JobRecord:
        """Raises InputError where there is no such job."""
        with self._database.read() as session:
            return record_of(session, require_row(session, job_id))

    def jobs(
        self,
        *,
        ids: Collection[int] | None = None,
        states: Collection[JobState] | None = None,
        user: str | None = None,
        project: str | None = None,
        site: str | None = None,
        submitted_from: datetime | None = None,
        submitted_to: datetime | None = None,
        newest_first: bool = False,
        limit: int = 10_000,
    ) -> tuple[JobRecord, ...]:
        """The jobs that meet every condition given, by id; at most `limit` (and never above MOST_ROWS)."""
        query = select(JobRow, PlacementRow).join(PlacementRow, isouter=True)
        if ids is not None:
            query = query.where(col(JobRow.id).in_(list(ids)[:MOST_ROWS]))
        if states is not None:
            query = query.where(col(JobRow.state).in_([state.value for state in states]))
        for column, wanted in ((JobRow.user, user), (JobRow.project, project), (JobRow.site, site)):
            if wanted is not None:
                query = query.where(col(column) == wanted)
        if submitted_from is not None:
            query = query.where(col(JobRow.submit) >= submitted_from)
        if submitted_to is not None:
            query = query.where(col(JobRow.submit) < submitted_to)
        order = col(JobRow.id).desc() if newest_first else col(JobRow.id)
        query = query.order_by(order).limit(max(0, min(limit, MOST_ROWS)))
        with self._database.read() as session:
            return tuple(to_job_record(row, placement) for row, placement in session.exec(query))

    def count_by_state(self) -> Mapping[JobState, int]:
        """How many jobs there are in each state, those with none included."""
        query = select(JobRow.state, func.count()).group_by(JobRow.state)
        with self._database.read() as session:
            counted = {JobState(state): count for state, count in session.exec(query)}
        return {state: counted.get(state, 0) for state in JobState}

    def last_job_id(self, user: str | None = None) -> int | None:
        """The newest job, of this user if one is named; null where there is none."""
        query = select(func.max(JobRow.id))
        if user is not None:
            query = query.where(JobRow.user == user)
        with self._database.read() as session:
            return session.exec(query).one()

    def hold(self, job_id: int, by: str = "user") -> JobRecord:
        """Keep a pending job from being placed. Raises Refused once it has been dispatched or has ended."""
        with self._database.write() as session:
            row = require_pending(session, job_id, "held")
            row.hold, row.reason = by, "Held"
            return changed(session, row)

    def release(self, job_id: int) -> JobRecord:
        with self._database.write() as session:
            row = require_pending(session, job_id, "released")
            row.hold, row.reason = None, None
            return changed(session, row)

    def update(self, job_id: int, changes: Mapping[str, object]) -> JobRecord:
        """Replace fields of a pending job (`domain.job.Job`'s names).

        Raises:
            InputError: an unknown field, or values that make no valid job.
            Refused: a field that is fixed, or a job that is no longer pending.
        """
        for field in changes:
            if field not in Job.model_fields:
                hint = did_you_mean(field, sorted(Job.model_fields.keys() - _FIXED))
                raise InputError(f"a job has no `{field}`", hint=hint, where=Where(field=field))
            if field in _FIXED:
                raise Refused(f"`{field}` stays as it was submitted", hint="cancel the job and submit it anew")
        with self._database.write() as session:
            row = require_pending(session, job_id, "changed")
            try:
                set_job(row, changed_job(Job.model_validate(row.job), changes))
            except ValidationError as error:
                raise input_error(error, lambda path: Where(field=".".join(map(str, path))), Job) from error
            return changed(session, row)

    def request_cancel(self, job_id: int) -> JobRecord:
        """End a pending job at once; ask a dispatched one to end. Raises Refused where it has ended already."""
        with self._database.write() as session:
            row = require_row(session, job_id)
            state = JobState(row.state)
            if state.final:
                raise Refused(f"job {job_id} has already ended: {state}", hint=f"csched show {job_id}")
            row.cancel_requested = True
            if state is JobState.PENDING:
                advance(row, JobState.CANCELLED)
                row.end, row.reason, row.exit_status, row.exit_signal = self._clock.now(), "Cancelled", 0, 0
                session.exec(delete(PlacementRow).where(col(PlacementRow.job_id) == job_id))
                row.site = None
            return changed(session, row)
