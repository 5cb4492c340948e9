"""Shares of a tenant's GPU-hours: how much may still be spent at the sites of each row, and who is kept from them.

A row over jobs J and sites Q with share a: used + hours of J planned at Q <= a x (total + hours of J planned).
So an hour planned at Q takes 1 - a of what is left, and an hour planned elsewhere adds a to it.
"""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from csched.domain.quota import QuotaRow
from csched.domain.verdict import Reason, ReasonCode
from csched.placement.dtypes import Flags, Floats
from csched.placement.problem import Problem
from csched.units import SECONDS_PER_HOUR

SLACK_GPU_H = 1e-9
"""Hours are sums of floats; a share is full where less than this is left."""


class Quotas:
    """What is left of each row; written to while jobs are put in."""

    def __init__(self, problem: Problem, rows: Sequence[QuotaRow]) -> None:
        self.rows = tuple(rows)
        self._problem = problem
        index_of = {job.job: index for index, job in enumerate(problem.jobs)}
        self.left_gpu_h = np.array([row.share * row.total_gpu_h - row.used_gpu_h for row in self.rows])
        """Below zero where more has been used than the share allows."""
        self.planned_gpu_h, self.inside_gpu_h = np.zeros(len(self.rows)), np.zeros(len(self.rows))
        self.of_job: dict[int, list[int]] = defaultdict(list)
        """Job -> its rows."""
        for number, row in enumerate(self.rows):
            for name in row.jobs:
                if name in index_of:
                    self.of_job[index_of[name]].append(number)
        self.inside = [np.array([room.site.id in row.sites for room in problem.rooms]) for row in self.rows]
        """Rooms at which a row counts; each of shape (P,)."""

    def like(self, larger: "Quotas") -> None:
        """Have spent what a larger problem of the same rows has."""
        self.left_gpu_h, self.planned_gpu_h, self.inside_gpu_h = (
            larger.left_gpu_h.copy(),
            larger.planned_gpu_h.copy(),
            larger.inside_gpu_h.copy(),
        )

    def gpu_h(self, job: int) -> Floats:
        """GPU-hours of the job in each room, by its time limit there; of several parts at most; shape (P,)."""
        wanted = self._problem.jobs[job]
        limits_s = np.array([wanted.limit_s_on(room.partition.hardware) for room in self._problem.rooms])
        if wanted.components:
            limits_s = np.full(len(limits_s), limits_s.max())
        return np.asarray(wanted.gpus * limits_s / SECONDS_PER_HOUR)

    def put(self, job: int, rooms: Sequence[int], sign: int = 1) -> None:
        """`rooms`: one for each part of the job."""
        for row in self.of_job.get(job, ()):
            hours = sign * self._hours(job, rooms)
            self.planned_gpu_h[row] += hours
            self.left_gpu_h[row] += self.rows[row].share * hours
            if self.inside[row][rooms[0]]:
                self.left_gpu_h[row] -= hours
                self.inside_gpu_h[row] += hours

    def _hours(self, job: int, rooms: Sequence[int]) -> float:
        """GPU-hours by the time limit in these rooms."""
        wanted = self._problem.jobs[job]
        gpus = [part.gpus for part in wanted.components] or [wanted.gpus]
        kinds = [self._problem.rooms[room].partition.hardware for room in rooms]
        limits_s = [wanted.limit_s_on(kind) for kind in kinds]
        return sum(count * limit_s for count, limit_s in zip(gpus, limits_s, strict=True)) / SECONDS_PER_HOUR

    def allows(self, job: int) -> Flags | None:
        """Rooms where the job leaves all of its rows unbroken, shape (P,); None for a job of no row."""
        if job not in self.of_job:
            return None
        allowed = np.ones(len(self._problem.rooms), dtype=bool)
        for row in self.of_job[job]:
            left = self.left_gpu_h[row] - (1 - self.rows[row].share) * self.gpu_h(job)
            allowed &= ~self.inside[row] | (left >= -SLACK_GPU_H)
        return allowed

    def broken(self) -> list[int]:
        """Rows of which more is planned at their sites than may be."""
        return np.flatnonzero((self.left_gpu_h < -SLACK_GPU_H) & (self.inside_gpu_h > SLACK_GPU_H)).tolist()

    def reasons(self, job: int) -> tuple[Reason, ...]:
        """For each site that a row keeps the job from: rule, clause and figures."""
        found = []
        for number in self.of_job.get(job, ()):
            row, hours = self.rows[number], self.gpu_h(job)
            used = row.used_gpu_h + self.inside_gpu_h[number]
            total = row.total_gpu_h + self.planned_gpu_h[number]
            for site in row.sites:
                rooms = [index for index, room in enumerate(self._problem.rooms) if room.site.id == site]
                if not rooms or not self._kept_back(number, float(hours[rooms].min())):
                    continue
                found.append(
                    Reason(
                        site=site,
                        code=ReasonCode.POLICY_HARD_DENY,
                        rule=row.rule,
                        clause=row.clause,
                        seen=(used + float(hours[rooms].min())) / max(total + float(hours[rooms].min()), SLACK_GPU_H),
                        needed=row.share,
                        message=(
                            f"{row.tenant} may spend {row.share:.0%} of its GPU-hours there: "
                            f"{used:.6g} of {total:.6g} are used or planned, the job would add {hours[rooms].min():.6g}"
                        ),
                    )
                )
        return tuple(found)

    def _kept_back(self, row: int, gpu_h: float) -> bool:
        return bool(self.left_gpu_h[row] - (1 - self.rows[row].share) * gpu_h < -SLACK_GPU_H)
