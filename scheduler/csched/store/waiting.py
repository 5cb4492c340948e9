"""Jobs that wait for other jobs: what a plan may know of it, and what becomes of those that wait in vain."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlmodel import col, select

from csched.domain.job import Dependency, Job
from csched.domain.run import JobState
from csched.store.awaited import Awaited, unmet
from csched.store.job_rows import withdraw_pending
from csched.store.mapping import require_id
from csched.store.marks import count_change
from csched.store.part import Part
from csched.store.records import NEVER
from csched.store.rows import JobRow


@dataclass(frozen=True)
class Waits:
    """Pending job -> what it still waits for, by ids; and the final states of the jobs named there."""

    dependencies: Mapping[str, tuple[Dependency, ...]]
    ended: Mapping[str, JobState]

    def job(self, job: Job) -> Job:
        """The job as a plan shall see it: arrays it waits for are their tasks."""
        return job.model_copy(update={"dependency": self.dependencies[job.job]}) if job.dependency else job


class Waiting(Part):
    """Who waits for whom."""

    def waits(self, jobs: Collection[Job]) -> Waits:
        """How far what these pending jobs wait for has come."""
        waiting = [job for job in jobs if job.dependency]
        if not waiting:
            return Waits({}, {})
        asked = {one for job in waiting for one in job.dependency}  # thousands of tasks may wait for the same
        with self._database.read() as session:
            awaited = Awaited.of(session, asked)
        left = {one: awaited.open(one) for one in asked}
        named = {int(name) for one in left.values() if one for name in one.jobs}
        return Waits(
            {job.job: tuple(still for one in job.dependency if (still := left[one])) for job in waiting},
            {str(job_id): awaited.states[job_id] for job_id in sorted(named) if awaited.states[job_id].final},
        )

    def end_invalid(self) -> int:
        """Mark the jobs whose dependency can never be met, and end those that asked for it; how many were ended."""
        pending = select(JobRow).where(JobRow.state == JobState.PENDING, col(JobRow.depends))
        with self._database.read() as session:
            if not any(unmet(session, session.exec(pending).all()).values()):
                return 0
        ended = 0
        with self._database.write() as session:
            while True:
                rows = session.exec(pending).all()
                in_vain = unmet(session, rows)
                never = [row for row in rows if in_vain.get(require_id(row.id))]
                for row in never:
                    row.reason = NEVER
                doomed = [row for row in never if row.kill_on_invalid_dependency]
                for row in doomed:  # those that wait for these may be next
                    withdraw_pending(session, row, NEVER, self._clock.now())
                session.flush()
                ended += len(doomed)
                if not doomed:
                    break
            if ended:
                count_change(session)
        return ended
