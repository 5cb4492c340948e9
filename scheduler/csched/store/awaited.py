"""What pending jobs wait for, as far as it has come: from the names that users gave to jobs and their states.

A dependency names a job (`17`), a task (`17_3`) or an array (`17`, the id of its first task), which means all tasks.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, Self

from sqlmodel import Session, col, or_, select

from csched.domain.job import Dependency, DependencyKind, Job
from csched.domain.run import JobState
from csched.errors import InputError, Where
from csched.store.rows import JobRow

_NAME: Final = re.compile(r"(\d{1,18})(?:_(\d{1,7}))?", re.ASCII)
_ASKED_AT_ONCE: Final = 10_000
_MOST_NAMED: Final = 1000
"""Living tasks of an array that a plan is told of, the last ones; whether all have come is seen before a start."""


@dataclass(frozen=True)
class Awaited:
    """The states of jobs that others wait for."""

    states: Mapping[int, JobState]
    arrays: Mapping[int, Sequence[int]]
    """Array -> ids of its tasks."""
    tasks: Mapping[str, int]
    """`17_3` -> id."""

    @classmethod
    def of(cls, session: Session, dependencies: Iterable[Dependency]) -> Self:
        """All that is known of the jobs these name; a name that no job has is not in the answer."""
        names = {name.partition("_")[0] for dependency in dependencies for name in dependency.jobs}
        numbers = iter(sorted(int(name) for name in names if name.isdecimal()))
        states: dict[int, JobState] = {}
        arrays: dict[int, list[int]] = {}
        tasks: dict[str, int] = {}
        query = select(JobRow.id, JobRow.state, JobRow.array_job, JobRow.array_task).order_by(col(JobRow.id))
        while some := list(islice(numbers, _ASKED_AT_ONCE)):
            asked = query.where(or_(col(JobRow.id).in_(some), col(JobRow.array_job).in_(some)))
            for job_id, state, array, task in session.exec(asked):
                states[int(job_id or 0)] = JobState(state)
                if array is not None:
                    arrays.setdefault(array, []).append(int(job_id or 0))
                    tasks[f"{array}_{task}"] = int(job_id or 0)
        return cls(states, arrays, tasks)

    def known(self, name: str) -> bool:
        return name in self.tasks if "_" in name else int(name) in self.states

    def open(self, dependency: Dependency) -> Dependency | None:
        """What is left of it, by the ids of jobs; None where all of it has come."""
        jobs = [str(job_id) for name in dependency.jobs for job_id in self._binding(dependency.kind, name)]
        return dependency.model_copy(update={"jobs": tuple(jobs[-_MOST_NAMED:])}) if jobs else None

    def met(self, dependency: Dependency) -> bool:
        return all(
            _met(dependency.kind, self.states[job_id])
            for name in dependency.jobs
            for job_id in self._binding(dependency.kind, name)
        )

    def never(self, dependency: Dependency) -> bool:
        """True where one of the jobs has ended in the way that it must not."""
        return any(
            self.states[job_id].final and not _met(dependency.kind, self.states[job_id])
            for name in dependency.jobs
            for job_id in self._binding(dependency.kind, name)
        )

    def _binding(self, kind: DependencyKind, name: str) -> Sequence[int]:
        """The jobs on whose state it hangs: of an array those that have not come so far, or one that never will."""
        if "_" in name:
            return [self.tasks[name]]
        if int(name) not in self.arrays:
            return [int(name)]
        left = [task for task in self.arrays[int(name)] if not _met(kind, self.states[task])]
        ended = [task for task in left if self.states[task].final]
        if kind is DependencyKind.AFTERNOTOK:  # one task that failed is enough, once all have ended
            living = [task for task in self.arrays[int(name)] if not self.states[task].final]
            return living or (ended[:1] if len(left) == len(self.arrays[int(name)]) else [])
        return ended[:1] or left


def _met(kind: DependencyKind, state: JobState) -> bool:
    """sbatch(1), --dependency."""
    if kind is DependencyKind.AFTER:
        return state is not JobState.PENDING
    if kind is DependencyKind.AFTEROK:
        return state is JobState.COMPLETED
    return state.final and (kind is DependencyKind.AFTERANY or state is not JobState.COMPLETED)


def resolved(session: Session, job: Job) -> tuple[Dependency, ...]:
    """The dependencies of a job on its way in, `last` replaced by the user's newest job.

    Raises:
        InputError: a name that no job has. Slurm would take it for met.
    """
    if not job.dependency:
        return ()
    named = [_without_last(session, dependency, job.user) for dependency in job.dependency]
    awaited = Awaited.of(session, named)
    for name in (name for dependency in named for name in dependency.jobs):
        if not awaited.known(name):
            raise InputError(
                f"there is no job `{name}` to wait for",
                hint="csched queue and csched history list the jobs",
                where=Where(field="--dependency"),
            )
    return tuple(named)


def _without_last(session: Session, dependency: Dependency, user: str | None) -> Dependency:
    return dependency.model_copy(update={"jobs": tuple(_number(session, name, user) for name in dependency.jobs)})


def _number(session: Session, name: str, user: str | None) -> str:
    if name == "last":
        newest = select(JobRow.id, JobRow.array_job).where(JobRow.user == user).order_by(col(JobRow.id).desc())
        found = session.exec(newest.limit(1)).first()
        if found is None:
            raise InputError("there is no job yet to wait for", where=Where(field="--dependency"))
        return str(found[1] or found[0])
    if not _NAME.fullmatch(name):
        raise InputError(
            f"`{name}` does not name a job",
            hint="write an id, such as 17, 17_3 or last",
            where=Where(field="--dependency"),
        )
    return name


def unmet(session: Session, rows: Collection[JobRow]) -> Mapping[int, bool]:
    """Those of the jobs that still wait for others -> whether they do so for ever."""
    waiting = {row.id: Job.model_validate(row.job).dependency for row in rows if row.depends}
    if not waiting:
        return {}
    asked = {dependency for dependencies in waiting.values() for dependency in dependencies}
    awaited = Awaited.of(session, asked)
    left = {dependency for dependency in asked if not awaited.met(dependency)}
    never = {dependency for dependency in left if awaited.never(dependency)}
    return {
        int(job_id or 0): not never.isdisjoint(dependencies)
        for job_id, dependencies in waiting.items()
        if not left.isdisjoint(dependencies)
    }
