"""Does a plan keep what binds jobs to each other: dependencies, limits of arrays, shares of GPU-hours?

Recomputed from the snapshot and the plan's own figures; shares no code with the engine.
"""

import math
from bisect import bisect_right, insort
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property

from csched.domain.job import Dependency, DependencyKind, Job
from csched.domain.plan import Placement, Plan
from csched.domain.quota import QuotaRow
from csched.domain.run import JobState
from csched.domain.snapshot import Snapshot
from csched.placement.check_parts import parts, unfolded

NEVER = None
TOLERANCE_GPU_H = 1e-6


@dataclass(frozen=True)
class Held:
    """From when until when something is held, time limits counted."""

    start: datetime
    until: datetime
    site: str
    gpu_h: float


class Together:
    """One plan beside one snapshot."""

    def __init__(self, plan: Plan, snapshot: Snapshot, quotas: Sequence[QuotaRow]) -> None:
        self._snapshot, self._quotas = snapshot, quotas
        self._jobs = {job.job: job for job in snapshot.jobs}
        self._running = {held.job: held for held in snapshot.running}
        kind_of = {(site.id, part.name): part.hardware for site in snapshot.fleet.sites for part in site.partitions}
        self._placed = {
            placed.job: self._held(self._jobs[placed.job], placed.site, kinds, placed.start)
            for placed in plan.placements
            if placed.job in self._jobs
            and (kinds := [kind_of[key] for key in _rooms(placed, self._jobs[placed.job]) if key in kind_of])
        }

    def faults(self) -> Iterator[str]:
        for name, held in self._placed.items():
            ready = self.ready(self._jobs[name])
            if ready is NEVER:
                yield f"{name} is placed, though what it depends on can never be met"
            elif held.start < ready:
                at = f"{held.start.isoformat()}, what it depends on is met at {ready.isoformat()}"
                yield f"{name} starts too early: at {at}"
        for array in self._limits:
            yield from self._crowded(array)
        for row in self._quotas:
            inside, planned = self._spent(row, self._placed)
            if inside and self._excess_gpu_h(row, inside, planned) > TOLERANCE_GPU_H:
                spent, total = row.used_gpu_h + inside, row.total_gpu_h + planned
                yield f"{row.rule}: {row.tenant} spends {spent:g} of {total:g} GPU-hours, a share above {row.share:g}"

    def waits_in_vain(self, job: Job) -> bool:
        """Whether no start at all would meet the job's dependencies beside this plan."""
        return self.ready(job) is NEVER

    def permits(self, job: Job, site: str, kinds: Sequence[str], start: datetime) -> bool:
        """Whether a job that is left out could start there, as far as others are bound to it.

        `kinds`: the hardware of each of its parts.
        """
        ready = self.ready(job)
        if ready is NEVER or start < ready:
            return False
        held = self._held(job, site, kinds, start)
        limit = self._limits.get(job.array)
        if limit is not None and self._tasks[job.array].most(held) >= limit:
            return False
        return not any(self._would_break(row, held) for row in self._rows_of.get(job.job, ()))

    # --- dependencies ------------------------------------------------------------------------------------------

    def ready(self, job: Job) -> datetime | None:
        """The first instant at which all that the job depends on will have come to pass, NEVER without one."""
        latest = self._snapshot.now
        for dependency in job.dependency:
            for name in dependency.jobs:
                met = self._met(dependency, name)
                if met is NEVER:
                    return NEVER
                latest = max(latest, met)
        return latest

    def _met(self, dependency: Dependency, name: str) -> datetime | None:
        """Nothing that is still to come is met at this very instant: it is met in the next slot at the earliest."""
        begun = dependency.kind is DependencyKind.AFTER
        soon = self._snapshot.now + timedelta(seconds=self._snapshot.slot_s)
        if name in self._jobs:
            held = self._placed.get(name)
            return NEVER if held is None else max(soon, held.start if begun else held.until)
        if name in self._running:
            awaited = self._running[name]
            begins = self._snapshot.now if awaited.since is None else max(soon, awaited.since)
            return begins if begun else max(soon, awaited.until)
        state = self._snapshot.ended.get(name)
        wanted = {
            DependencyKind.AFTEROK: state is JobState.COMPLETED,
            DependencyKind.AFTERNOTOK: state is not JobState.COMPLETED,
        }.get(dependency.kind, True)
        return self._snapshot.now if state is not None and state.final and wanted else NEVER

    # --- arrays ------------------------------------------------------------------------------------------------

    @cached_property
    def _limits(self) -> Mapping[str | None, int]:
        """Array -> how many of its tasks may run at once: the least that one of them states."""
        limits: dict[str | None, int] = {}
        for job in self._snapshot.jobs:
            if job.array is not None and job.array_limit is not None:
                limits[job.array] = min(job.array_limit, limits.get(job.array, job.array_limit))
        return limits

    @cached_property
    def _tasks(self) -> Mapping[str | None, "_Spans"]:
        """Spans in which tasks of each limited array hold GPUs, the running ones first."""
        spans: dict[str | None, _Spans] = defaultdict(_Spans)
        for task in self._snapshot.running:
            spans[task.array].add(task.since or self._snapshot.now, task.until)
        for name, held in self._placed.items():
            spans[self._jobs[name].array].add(held.start, held.until)
        return spans

    def _crowded(self, array: str | None) -> Iterator[str]:
        begun = [held for name, held in self._placed.items() if self._jobs[name].array == array]
        most = max((self._tasks[array].at(held.start) for held in begun), default=0)
        if most > self._limits[array]:
            yield f"{most} tasks of array {array} run at once, {self._limits[array]} may"

    # --- shares of GPU-hours -----------------------------------------------------------------------------------

    @staticmethod
    def _spent(row: QuotaRow, placed: Mapping[str, Held]) -> tuple[float, float]:
        """Planned GPU-hours at the row's sites, and everywhere."""
        counted = [placed[job] for job in row.jobs if job in placed]
        inside = math.fsum(held.gpu_h for held in counted if held.site in row.sites)
        return inside, math.fsum(held.gpu_h for held in counted)

    @staticmethod
    def _excess_gpu_h(row: QuotaRow, inside: float, planned: float) -> float:
        return row.used_gpu_h + inside - row.share * (row.total_gpu_h + planned)

    @cached_property
    def _rows_of(self) -> Mapping[str, Sequence[QuotaRow]]:
        rows: dict[str, list[QuotaRow]] = defaultdict(list)
        for row in self._quotas:
            for job in row.jobs:
                rows[job].append(row)
        return rows

    @cached_property
    def _spent_on(self) -> Mapping[int, tuple[float, float]]:
        return {id(row): self._spent(row, self._placed) for row in self._quotas}

    def _would_break(self, row: QuotaRow, newcomer: Held) -> bool:
        """Whether the row would not hold; one that counts nothing at its sites binds nobody."""
        inside, planned = self._spent_on[id(row)]
        inside += newcomer.gpu_h if newcomer.site in row.sites else 0.0
        return inside > 0 and self._excess_gpu_h(row, inside, planned + newcomer.gpu_h) > -TOLERANCE_GPU_H

    def _held(self, job: Job, site: str, kinds: Sequence[str], start: datetime) -> Held:
        limits_s = [job.limit_s_on(kind) for kind in kinds]
        gpus = [part.gpus for part in parts(job)]
        slots = max(math.ceil(limit_s / self._snapshot.slot_s) for limit_s in limits_s)
        until = start + timedelta(seconds=slots * self._snapshot.slot_s)
        gpu_s = sum(count * limit_s for count, limit_s in zip(gpus, limits_s, strict=False))
        return Held(start, until, site, gpu_s / 3600)


def _rooms(placed: Placement, job: Job) -> list[tuple[str, str]]:
    return [(part.site, part.partition) for part, _ in unfolded(placed, job)]


class _Spans:
    """Intervals of time, and how many of them there are at once."""

    def __init__(self) -> None:
        self._starts: list[float] = []
        self._untils: list[float] = []

    def add(self, start: datetime, until: datetime) -> None:
        insort(self._starts, start.timestamp())
        insort(self._untils, until.timestamp())

    def at(self, instant: datetime) -> int:
        moment = instant.timestamp()
        return bisect_right(self._starts, moment) - bisect_right(self._untils, moment)

    def most(self, held: Held) -> int:
        """At once at any time while `held` lasts."""
        begun = self._starts[bisect_right(self._starts, held.start.timestamp()) :]
        later = [moment for moment in begun if moment < held.until.timestamp()]
        return max(self.at(datetime.fromtimestamp(each, UTC)) for each in [held.start.timestamp(), *later])
