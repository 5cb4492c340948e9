"""Jobs as users ask for them, find them and change them."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Final

from pydantic import ValidationError
from sqlmodel import Session, col, func, or_, select

from csched.domain.job import Job
from csched.domain.run import JobState
from csched.errors import InputError, Refused, Where
from csched.formats.validation import did_you_mean, input_error
from csched.store.awaited import resolved
from csched.store.job_rows import changed, record_of, require_pending, require_row, withdraw_pending
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
        arrays: Collection[int] = (),
        states: Collection[JobState] | None = None,
        user: str | None = None,
        project: str | None = None,
        site: str | None = None,
        submitted_from: datetime | None = None,
        submitted_to: datetime | None = None,
        newest_first: bool = False,
        limit: int = MOST_ROWS,
    ) -> tuple[JobRecord, ...]:
        """The jobs that meet every condition given, by id; at most `limit` (and never above MOST_ROWS).

        `arrays` adds their tasks to the `ids`.
        """
        query = select(JobRow, PlacementRow).join(PlacementRow, isouter=True)
        if ids is not None:
            named = col(JobRow.id).in_(list(ids)[:MOST_ROWS])
            query = query.where(or_(named, col(JobRow.array_job).in_(list(arrays)[:MOST_ROWS])) if arrays else named)
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
        return self.hold_all([job_id], by)[0]

    def hold_all(self, job_ids: Iterable[int], by: str = "user") -> tuple[JobRecord, ...]:
        with self._database.write() as session:
            return tuple(_set_hold(session, job_id, by) for job_id in job_ids)

    def release(self, job_id: int) -> JobRecord:
        return self.release_all([job_id])[0]

    def release_all(self, job_ids: Iterable[int]) -> tuple[JobRecord, ...]:
        with self._database.write() as session:
            return tuple(_set_hold(session, job_id, None) for job_id in job_ids)

    def update(self, job_id: int, changes: Mapping[str, object]) -> JobRecord:
        """Replace fields of a pending job (`domain.job.Job`'s names).

        Raises:
            InputError: an unknown field, or values that make no valid job.
            Refused: a field that is fixed, or a job that is no longer pending.
        """
        return self.update_all([job_id], changes)[0]

    def update_all(self, job_ids: Iterable[int], changes: Mapping[str, object]) -> tuple[JobRecord, ...]:
        """As `update`, for all or for none."""
        for field in changes:
            if field not in Job.model_fields:
                hint = did_you_mean(field, sorted(Job.model_fields.keys() - _FIXED))
                raise InputError(f"a job has no `{field}`", hint=hint, where=Where(field=field))
            if field in _FIXED:
                raise Refused(f"`{field}` stays as it was submitted", hint="cancel the job and submit it anew")
        with self._database.write() as session:
            return tuple(_replace(session, job_id, changes) for job_id in job_ids)

    def request_cancel(self, job_id: int) -> JobRecord:
        """End a pending job at once; ask a dispatched one to end. Raises Refused where it has ended already."""
        return self.request_cancel_all([job_id])[0]

    def request_cancel_all(self, job_ids: Iterable[int]) -> tuple[JobRecord, ...]:
        """As `request_cancel`, for all or for none."""
        with self._database.write() as session:
            return tuple(_cancel(session, job_id, self._clock.now()) for job_id in job_ids)


def _set_hold(session: Session, job_id: int, by: str | None) -> JobRecord:
    row = require_pending(session, job_id, "held" if by else "released")
    row.hold, row.reason = by, "Held" if by else None
    return changed(session, row)


def _replace(session: Session, job_id: int, changes: Mapping[str, object]) -> JobRecord:
    row = require_pending(session, job_id, "changed")
    try:
        job = changed_job(Job.model_validate(row.job), changes)
    except ValidationError as error:
        raise input_error(error, lambda path: Where(field=".".join(map(str, path))), Job) from error
    if "dependency" in changes:
        job = job.model_copy(update={"dependency": resolved(session, job)})
        row.reason = None
    set_job(row, job)
    return changed(session, row)


def _cancel(session: Session, job_id: int, now: datetime) -> JobRecord:
    row = require_row(session, job_id)
    state = JobState(row.state)
    if state.final:
        raise Refused(f"job {job_id} has already ended: {state}", hint=f"csched show {job_id}")
    row.cancel_requested = True
    if state is JobState.PENDING:
        withdraw_pending(session, row, "Cancelled", now)
    return changed(session, row)
