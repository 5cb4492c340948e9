"""What was decided: plans, the placements that stand, and why."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import uuid4

from sqlalchemy import delete, update
from sqlmodel import Session, col, func, select

from csched.domain.plan import Placement, Plan, SiteOption
from csched.domain.run import JobState
from csched.domain.snapshot import Snapshot
from csched.store.awaited import unmet
from csched.store.job_rows import ALIVE, advance, require_row
from csched.store.mapping import document, packed, require_id, to_plan_record, to_verdict_record
from csched.store.part import Part
from csched.store.records import NEVER, PlanRecord, VerdictRecord
from csched.store.rows import AttemptRow, DrainRow, JobRow, PlacementRow, PlanRow, VerdictRow

_SNAPSHOTS_KEPT: Final = 50
_PLANS_KEPT: Final = 1000


class Plans(Part):
    """What was decided."""

    def commit(
        self,
        plan: Plan,
        seen: Mapping[int, int],
        *,
        snapshot: Snapshot | None = None,
        options: Mapping[str, Sequence[SiteOption]] | None = None,
        limits_s: Mapping[str, int] | None = None,
    ) -> tuple[Placement, ...]:
        """Keep the plan; return the placements that are due and stood, each with its dispatch intent written.

        `seen` is the revision of each job that the plan was made from. A placement falls where its job was held,
        changed, cancelled or dispatched since, or its site drained; that job waits for the next plan.
        `options` (by `Job.job`) are kept as the verdicts of the jobs that are due; `limits_s` are the time limits of
        jobs that have another one where they are placed.
        """
        now = self._clock.now()
        with self._database.write() as session:
            plan_row = PlanRow(at=plan.now, plan=packed(plan), snapshot=packed(snapshot) if snapshot else None)
            session.add(plan_row)
            session.flush()
            plan_id = require_id(plan_row.id)
            standing, placed = _standing(session, seen), _placed(session)
            drained = set(session.exec(select(DrainRow.site)))
            at_once = [each.job for each in plan.placements if each.start <= max(now, plan.now)]
            gate = _Gate(session, [standing[job] for job in at_once if job in standing])
            due: list[Placement] = []
            for placement in plan.placements:
                row = standing.get(placement.job)
                if row is None or placement.site in drained:
                    continue
                _place(session, row, placement, plan_id, placed.get(require_id(row.id)))
                if placement.start <= max(now, plan.now) and gate.lets(row):
                    _intend(session, row, placement, now, (limits_s or {}).get(placement.job))
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
            require_row(session, job_id)
            row = session.get(VerdictRow, job_id)
            return to_verdict_record(row) if row else None


class _Gate:
    """Which jobs may start now, whatever a plan thought: all they wait for has come, and their array has room."""

    def __init__(self, session: Session, rows: Sequence[JobRow]) -> None:
        self._waiting = unmet(session, rows)
        limited = {row.array_job for row in rows if row.job.get("array_limit")}
        alive = (
            select(JobRow.array_job, func.count()).where(col(JobRow.state).in_(ALIVE)).group_by(col(JobRow.array_job))
        )
        counted = session.exec(alive.where(col(JobRow.array_job).in_(limited))) if limited else ()
        self._at_once = Counter({array: count for array, count in counted if array})

    def lets(self, row: JobRow) -> bool:
        """Counts the job as started where it does."""
        limit = row.job.get("array_limit")
        if require_id(row.id) in self._waiting:
            row.reason = NEVER if self._waiting[require_id(row.id)] else "Dependency"
            return False
        if limit and row.array_job and self._at_once[row.array_job] >= limit:
            row.reason = "JobArrayTaskLimit"
            return False
        if row.array_job:
            self._at_once[row.array_job] += 1
        return True


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
    row.site = None
    if row.reason != NEVER:
        row.reason = reason


def _intend(session: Session, row: JobRow, placement: Placement, now: datetime, limit_s: int | None) -> None:
    """Write down that the job is about to be started, under a fresh id: from now on it is never placed again."""
    advance(row, JobState.CONFIGURING)
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
            time_limit_s=limit_s,
        )
    )


def _keep_verdicts(session: Session, row: JobRow, plan_id: int, options: Sequence[SiteOption] | None) -> None:
    if options:
        documents: list[dict[str, Any]] = [document(option) for option in options]
        session.merge(VerdictRow(job_id=require_id(row.id), plan_id=plan_id, options=documents))


def _prune_plans(session: Session, newest: int) -> None:
    """Old snapshots go, then old plans that no job refers to."""
    aged = (col(PlanRow.id) <= newest - _SNAPSHOTS_KEPT, col(PlanRow.snapshot).is_not(None))
    session.exec(update(PlanRow).where(*aged).values(snapshot=None))
    used = select(PlacementRow.plan_id).union(select(VerdictRow.plan_id))
    session.exec(delete(PlanRow).where(col(PlanRow.id) < newest - _PLANS_KEPT, col(PlanRow.id).not_in(used)))
