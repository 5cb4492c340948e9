"""The store: what csched was asked for, decided, started and paid in carbon. Values in, values out.

Every method is one transaction. What returned is on disk; what raised left nothing behind.
"""

import hashlib
import json
import secrets
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import uuid4

from pydantic import ValidationError
from sqlalchemy import delete, update
from sqlmodel import Session, col, func, select

from csched.clock import SystemClock
from csched.domain.job import Job
from csched.domain.ledger import LedgerEntry
from csched.domain.plan import Placement, Plan, SiteOption
from csched.domain.run import DispatchOrder, JobState, RunReport
from csched.domain.snapshot import Snapshot
from csched.errors import InputError, Refused, Where
from csched.formats.validation import did_you_mean, input_error
from csched.ports import Clock
from csched.store.carbon_cache import CarbonCacheTable
from csched.store.database import Database
from csched.store.mapping import (
    changed_job,
    document,
    packed,
    require_id,
    set_job,
    to_drain,
    to_job_record,
    to_ledger_row,
    to_order,
    to_plan_record,
    to_token,
    to_verdict_record,
)
from csched.store.records import Drain, Health, JobRecord, PlanRecord, Submission, Token, VerdictRecord, Withdrawals
from csched.store.rows import (
    AttemptRow,
    DrainRow,
    JobRow,
    LedgerRow,
    MarkRow,
    PlacementRow,
    PlanRow,
    TokenRow,
    VerdictRow,
)
from csched.store.scripts import with_id
from csched.store.transitions import may_follow

ALIVE: Final = (JobState.CONFIGURING, JobState.RUNNING)
MOST_ROWS: Final = 100_000
"""No answer is longer, whatever the limit asked for."""

POLICY_HOLD: Final = "policy"
"""Holds a job that the rules keep from starting although planning gave it a place."""

_LONGEST_MESSAGE: Final = 2000
_SNAPSHOTS_KEPT: Final = 50
_PLANS_KEPT: Final = 1000
_FIXED: Final = frozenset({"job", "submit", "user", "tenant"})
"""Fields of a job that nobody changes after submission."""


class Repository:
    """Everything csched remembers, behind one URL; opening it brings the schema up to date.

    Raises:
        InputError: an unusable URL, or a database of a newer csched.
        Unavailable: the database does not answer (also every method).
    """

    def __init__(self, url: str, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._database = Database(url)

    def close(self) -> None:
        self._database.close()

    @property
    def carbon_cache(self) -> CarbonCacheTable:
        return CarbonCacheTable(self._database)

    # Jobs: what users ask for

    def submit(self, submission: Submission) -> int:
        """Keep the job for ever and return its id; ids rise and are never used twice.

        A submission whose key the same user has used before is the job that it was then.

        Raises:
            Refused: the key was used for another script.
        """
        now = self._clock.now()
        job = submission.job
        with self._database.write() as session:
            if (earlier := _submitted_before(session, submission)) is not None:
                return earlier
            row = JobRow(
                submission_key=submission.key,
                name=submission.name,
                state=JobState.PENDING,
                hold=submission.hold,
                reason="Held" if submission.hold else None,
                project=submission.project,
                account=submission.account,
                submit=job.submit or now,
                job={},
                script={},
            )
            session.add(row)
            session.flush()
            job_id = require_id(row.id)
            set_job(row, job.model_copy(update={"job": str(job_id), "submit": row.submit}))
            row.script = document(with_id(submission.script, job_id, submission.name, job.user))
            _count_change(session)
        return job_id

    def job(self, job_id: int) -> JobRecord:
        """Raises InputError where there is no such job."""
        with self._database.read() as session:
            return _record(session, _require_row(session, job_id))

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
            row = _require_pending(session, job_id, "held")
            row.hold, row.reason = by, "Held"
            return self._changed(session, row)

    def release(self, job_id: int) -> JobRecord:
        with self._database.write() as session:
            row = _require_pending(session, job_id, "released")
            row.hold, row.reason = None, None
            return self._changed(session, row)

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
            row = _require_pending(session, job_id, "changed")
            try:
                set_job(row, changed_job(Job.model_validate(row.job), changes))
            except ValidationError as error:
                raise input_error(error, lambda path: Where(field=".".join(map(str, path))), Job) from error
            return self._changed(session, row)

    def request_cancel(self, job_id: int) -> JobRecord:
        """End a pending job at once; ask a dispatched one to end. Raises Refused where it has ended already."""
        with self._database.write() as session:
            row = _require_row(session, job_id)
            state = JobState(row.state)
            if state.final:
                raise Refused(f"job {job_id} has already ended: {state}", hint=f"csched show {job_id}")
            row.cancel_requested = True
            if state is JobState.PENDING:
                _advance(row, JobState.CANCELLED)
                row.end, row.reason, row.exit_status, row.exit_signal = self._clock.now(), "Cancelled", 0, 0
                session.exec(delete(PlacementRow).where(col(PlacementRow.job_id) == job_id))
                row.site = None
            return self._changed(session, row)

    def changes(self) -> int:
        """Rises whenever a user or admin changed what there is to plan; cheap, so that the daemon can look often."""
        with self._database.read() as session:
            mark = session.get(MarkRow, "changes")
            return int(mark.value) if mark else 0

    # Plans: what was decided

    def commit(
        self,
        plan: Plan,
        seen: Mapping[int, int],
        *,
        snapshot: Snapshot | None = None,
        options: Mapping[str, Sequence[SiteOption]] | None = None,
    ) -> tuple[Placement, ...]:
        """Keep the plan; return the placements that are due and stood, each with its dispatch intent written.

        `seen` is the revision of each job that the plan was made from. A placement falls where its job was held,
        changed, cancelled or dispatched since, or its site drained; that job waits for the next plan.
        `options` (by `Job.job`) are kept as the verdicts of the jobs that are due.
        """
        now = self._clock.now()
        with self._database.write() as session:
            plan_row = PlanRow(at=plan.now, plan=packed(plan), snapshot=packed(snapshot) if snapshot else None)
            session.add(plan_row)
            session.flush()
            plan_id = require_id(plan_row.id)
            standing, placed = _standing(session, seen), _placed(session)
            drained = set(session.exec(select(DrainRow.site)))
            due: list[Placement] = []
            for placement in plan.placements:
                row = standing.get(placement.job)
                if row is None or placement.site in drained:
                    continue
                _place(session, row, placement, plan_id, placed.get(require_id(row.id)))
                if placement.start <= max(now, plan.now):
                    _intend(session, row, placement, now)
                    _keep_verdicts(session, row, plan_id, (options or {}).get(placement.job))
                    due.append(placement)
            for unplaced in plan.unplaced:
                if row := standing.get(unplaced.job):
                    _unplace(session, row, str(unplaced.reasons[0].code) if unplaced.reasons else None)
            _prune_plans(session, plan_id)
        return tuple(due)

    def plan(self, plan_id: int | None = None) -> PlanRecord | None:
        """A committed plan, the newest where no id is given; null where it is not kept."""
        query = select(PlanRow).order_by(col(PlanRow.id).desc()).limit(1)
        if plan_id is not None:
            query = query.where(PlanRow.id == plan_id)
        with self._database.read() as session:
            row = session.exec(query).first()
            return to_plan_record(row) if row else None

    def verdicts(self, job_id: int) -> VerdictRecord | None:
        """What each site would have meant for the job when it was dispatched; null before."""
        with self._database.read() as session:
            _require_row(session, job_id)
            row = session.get(VerdictRow, job_id)
            return to_verdict_record(row) if row else None

    # Attempts: what was started

    def orders(self, attempts: Collection[str] | None = None, *, limit: int = MOST_ROWS) -> tuple[DispatchOrder, ...]:
        """The attempts of living jobs that no dispatcher is known to have, oldest job first.

        Handing one over may be repeated.
        """
        query = (
            select(JobRow, AttemptRow)
            .join(AttemptRow, col(AttemptRow.attempt) == col(JobRow.attempt))
            .where(col(JobRow.state).in_(ALIVE), col(AttemptRow.handed_over).is_(None))
            .order_by(col(JobRow.id))
            .limit(limit)
        )
        if attempts is not None:
            query = query.where(col(AttemptRow.attempt).in_(list(attempts)))
        with self._database.read() as session:
            return tuple(to_order(row, attempt) for row, attempt in session.exec(query))

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
                _advance(row, JobState.CANCELLED)
                row.end, row.reason, row.exit_status, row.exit_signal = now, "Cancelled", 0, 0
            else:
                row.state = JobState.PENDING  # the one way back: the job never left the store
                row.reason = "PolicyDisputed" if disputed else "PolicyOutdated"
                row.hold = POLICY_HOLD if hold else None
            session.exec(delete(PlacementRow).where(col(PlacementRow.job_id) == row.id))
            row.site = None
            session.exec(delete(VerdictRow).where(col(VerdictRow.job_id) == row.id))
            _count_withdrawal(session, now, disputed=disputed)
            _count_change(session)
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
            _advance(row, report.state)
            row.start = report.start or row.start
            row.reason = None
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

    # Sites

    def drain(self, site: str, reason: str) -> Drain:
        """The site takes no new jobs; what runs there goes on."""
        with self._database.write() as session:
            row = session.merge(DrainRow(site=site, reason=reason[:200], since=self._clock.now()))
            _count_change(session)
            return to_drain(row)

    def resume(self, site: str) -> bool:
        """False where the site was not drained."""
        with self._database.write() as session:
            row = session.get(DrainRow, site)
            if row is not None:
                session.delete(row)
                _count_change(session)
            return row is not None

    def drains(self) -> tuple[Drain, ...]:
        with self._database.read() as session:
            return tuple(to_drain(row) for row in session.exec(select(DrainRow).order_by(col(DrainRow.site))))

    # Ledger: what it cost

    def unbilled(self, limit: int = 1000) -> tuple[JobRecord, ...]:
        """Ended jobs that ran and have no entry in the ledger yet."""
        query = (
            select(JobRow, PlacementRow)
            .join(PlacementRow, isouter=True)
            .where(col(JobRow.end).is_not(None), col(JobRow.start).is_not(None), ~col(JobRow.billed))
            .order_by(col(JobRow.id))
            .limit(limit)
        )
        with self._database.read() as session:
            return tuple(to_job_record(row, placement) for row, placement in session.exec(query))

    def add(self, entry: LedgerEntry) -> None:
        """Bill an ended job. A job is billed once; a second entry changes nothing."""
        with self._database.write() as session:
            row = _require_row(session, int(entry.job))
            if session.get(LedgerRow, row.id) is None:
                session.add(to_ledger_row(entry))
            row.billed = True

    def ledger(
        self,
        *,
        user: str | None = None,
        project: str | None = None,
        site: str | None = None,
        ended_from: datetime | None = None,
        ended_to: datetime | None = None,
        limit: int = MOST_ROWS,
    ) -> tuple[LedgerEntry, ...]:
        """Entries of jobs that ended in [ended_from, ended_to), by end."""
        query = select(LedgerRow.entry)
        for column, wanted in ((LedgerRow.user, user), (LedgerRow.project, project), (LedgerRow.site, site)):
            if wanted is not None:
                query = query.where(col(column) == wanted)
        if ended_from is not None:
            query = query.where(col(LedgerRow.ended) >= ended_from)
        if ended_to is not None:
            query = query.where(col(LedgerRow.ended) < ended_to)
        query = query.order_by(col(LedgerRow.ended), col(LedgerRow.job_id)).limit(max(0, min(limit, MOST_ROWS)))
        with self._database.read() as session:
            return tuple(LedgerEntry.model_validate(entry) for entry in session.exec(query))

    # Tokens

    def create_token(self, name: str, role: str = "user") -> tuple[Token, str]:
        """A new API token and its secret, which is shown this once: only a SHA-256 of it is kept."""
        secret = secrets.token_urlsafe(32)
        with self._database.write() as session:
            row = TokenRow(name=name[:64], role=role[:32], sha256=_sha256(secret), created=self._clock.now())
            session.add(row)
            session.flush()
            return to_token(row), secret

    def token(self, secret: str) -> Token | None:
        """Whose secret this is; null where it is nobody's."""
        with self._database.read() as session:
            row = session.exec(select(TokenRow).where(TokenRow.sha256 == _sha256(secret))).first()
            return to_token(row) if row else None

    def tokens(self) -> tuple[Token, ...]:
        with self._database.read() as session:
            return tuple(to_token(row) for row in session.exec(select(TokenRow).order_by(col(TokenRow.id))))

    def revoke_token(self, token_id: int) -> bool:
        with self._database.write() as session:
            row = session.get(TokenRow, token_id)
            if row is not None:
                session.delete(row)
            return row is not None

    # Policies: what must not be forgotten of them

    def accept_policies(self, serial: int, sha256: str) -> tuple[int, str]:
        """Keep this signed set as the newest, unless one with a higher serial or the same is; return what is kept."""
        with self._database.write() as session:
            mark = session.get(MarkRow, "policies")
            kept = json.loads(mark.value) if mark else None
            if kept is None or kept["serial"] < serial:
                kept = {"serial": serial, "sha256": sha256}
                session.merge(MarkRow(key="policies", value=json.dumps(kept)))
            return kept["serial"], kept["sha256"]

    # Health of the daemon

    def health(self) -> Health:
        with self._database.read() as session:
            mark = session.get(MarkRow, "health")
            return Health.model_validate_json(mark.value) if mark else Health()

    def note_health(self, health: Health) -> None:
        with self._database.write() as session:
            session.merge(MarkRow(key="health", value=health.model_dump_json()))

    def _changed(self, session: Session, row: JobRow) -> JobRecord:
        row.revision += 1
        _count_change(session)
        session.flush()
        return _record(session, row)


def _record(session: Session, row: JobRow) -> JobRecord:
    return to_job_record(row, session.get(PlacementRow, row.id))


def _require_row(session: Session, job_id: int) -> JobRow:
    row = session.get(JobRow, job_id) if 0 < job_id < 2**63 else None
    if row is None:
        raise InputError(f"there is no job `{job_id}`", hint="csched queue lists the jobs that wait or run")
    return row


def _submitted_before(session: Session, submission: Submission) -> int | None:
    """The job that this user handed in under the same key, if there is one."""
    if submission.key is None:
        return None
    by_key = col(JobRow.submission_key) == submission.key
    row = session.exec(select(JobRow).where(by_key, col(JobRow.user) == submission.job.user)).first()
    if row is None:
        return None
    if row.script["body"] != submission.script.body:
        raise Refused(
            f"the key `{submission.key}` was used for another script, job {row.id}", hint="take a key of its own"
        )
    return row.id


def _require_pending(session: Session, job_id: int, verb: str) -> JobRow:
    row = _require_row(session, job_id)
    if row.state != JobState.PENDING:
        raise Refused(f"job {job_id} is {row.state} and can no longer be {verb}", hint=f"csched show {job_id}")
    return row


def _advance(row: JobRow, state: JobState) -> None:
    if not may_follow(JobState(row.state), state):
        raise ValueError(f"job {row.id} cannot go from {row.state} to {state}")
    row.state = state


def _row_with_news(session: Session, report: RunReport) -> JobRow | None:
    """The job of the report, where the report is about its attempt and says something new."""
    row = session.get(JobRow, int(report.job))
    if row is None or row.attempt != report.attempt or not may_follow(JobState(row.state), report.state):
        return None
    return row


def _standing(session: Session, seen: Mapping[int, int]) -> Mapping[str, JobRow]:
    """The jobs that may be placed and are as the plan saw them, by `Job.job`."""
    query = select(JobRow).where(JobRow.state == JobState.PENDING, col(JobRow.hold).is_(None))
    return {str(row.id): row for row in session.exec(query) if seen.get(require_id(row.id)) == row.revision}


def _placed(session: Session) -> Mapping[int, PlacementRow]:
    """What earlier plans said of the jobs that still wait; read at once, for there may be many."""
    query = select(PlacementRow).join(JobRow).where(JobRow.state == JobState.PENDING)
    return {row.job_id: row for row in session.exec(query)}


def _place(session: Session, row: JobRow, placement: Placement, plan_id: int, earlier: PlacementRow | None) -> None:
    if earlier is None:
        session.add(PlacementRow(job_id=require_id(row.id), plan_id=plan_id, placement=document(placement)))
    else:
        earlier.plan_id, earlier.placement = plan_id, document(placement)
    row.site, row.reason = placement.site, "Planned"


def _unplace(session: Session, row: JobRow, reason: str | None) -> None:
    session.exec(delete(PlacementRow).where(col(PlacementRow.job_id) == row.id))
    row.site, row.reason = None, reason


def _intend(session: Session, row: JobRow, placement: Placement, now: datetime) -> None:
    """Write down that the job is about to be started, under a fresh id: from now on it is never placed again."""
    _advance(row, JobState.CONFIGURING)
    row.attempts += 1
    row.attempt = uuid4().hex
    row.reason = None
    row.revision += 1
    session.add(
        AttemptRow(
            attempt=row.attempt,
            job_id=require_id(row.id),
            number=row.attempts,
            placement=document(placement),
            intended=now,
        )
    )


def _keep_verdicts(session: Session, row: JobRow, plan_id: int, options: Sequence[SiteOption] | None) -> None:
    if options:
        documents: list[dict[str, Any]] = [document(option) for option in options]
        session.merge(VerdictRow(job_id=require_id(row.id), plan_id=plan_id, options=documents))


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


def _prune_plans(session: Session, newest: int) -> None:
    """Old snapshots go, then old plans that no job refers to."""
    aged = (col(PlanRow.id) <= newest - _SNAPSHOTS_KEPT, col(PlanRow.snapshot).is_not(None))
    session.exec(update(PlanRow).where(*aged).values(snapshot=None))
    used = select(PlacementRow.plan_id).union(select(VerdictRow.plan_id))
    session.exec(delete(PlanRow).where(col(PlanRow.id) < newest - _PLANS_KEPT, col(PlanRow.id).not_in(used)))


def _count_change(session: Session) -> None:
    mark = session.get(MarkRow, "changes")
    session.merge(MarkRow(key="changes", value=str(int(mark.value) + 1 if mark else 1)))


def _count_withdrawal(session: Session, now: datetime, *, disputed: bool) -> None:
    mark = session.get(MarkRow, "withdrawals")
    counted = Withdrawals.model_validate_json(mark.value) if mark else Withdrawals()
    which = "disputed" if disputed else "outdated"
    more = counted.model_copy(update={which: getattr(counted, which) + 1, "last_at": now})
    session.merge(MarkRow(key="withdrawals", value=more.model_dump_json()))


def _sha256(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
