"""Arrays of which only so many tasks may run at once."""

from collections import defaultdict

import numpy as np

from csched.domain.verdict import Reason, ReasonCode
from csched.placement.dtypes import Flags, Ints
from csched.placement.problem import Problem


class Arrays:
    """How many tasks of each limited array hold GPUs in each start slot; written to while jobs are put in.

    After the last start slot none begins, hence there are never more at once than in some start slot.
    """

    def __init__(self, problem: Problem, hold: Ints) -> None:
        """`hold`: slots that each job holds in each room; shape (J, P)."""
        self._problem, self._hold = problem, hold
        self.limit: dict[str, int] = {}
        """Array -> the least limit that one of its tasks states."""
        for job in problem.snapshot.jobs:
            if job.array is not None and job.array_limit is not None:
                self.limit[job.array] = min(job.array_limit, self.limit.get(job.array, job.array_limit))
        self._of = self._tasks()
        self._at_once: dict[str, Ints] = defaultdict(lambda: np.zeros(problem.start_slots, dtype=np.int64))
        for task in problem.snapshot.running:
            if task.array in self.limit:
                since_s = 0.0 if task.since is None else max(0.0, (task.since - problem.now).total_seconds())
                slots = -(-(task.until - problem.now).total_seconds() // problem.slot_s)
                self._at_once[str(task.array)][int(since_s // problem.slot_s) : int(slots)] += 1

    def _tasks(self) -> dict[int, str]:
        return {index: str(job.array) for index, job in enumerate(self._problem.jobs) if job.array in self.limit}

    def like(self, larger: "Arrays") -> None:
        """Count what a larger problem of the same slots counts."""
        self.limit, self._at_once = larger.limit, larger._at_once
        self._of = self._tasks()

    @property
    def jobs(self) -> Ints:
        """Tasks of limited arrays; shape (n,)."""
        return np.array(sorted(self._of), dtype=np.int64)

    def put(self, job: int, slot: int, end: int, sign: int = 1) -> None:
        if job in self._of:
            self._at_once[self._of[job]][slot:end] += sign

    def allows(self, job: int) -> Flags | None:
        """Starts with which there are not too many tasks at once, shape (P, H); None for a job of no such array."""
        if job not in self._of:
            return None
        problem, array = self._problem, self._of[job]
        full = self._at_once[array] >= self.limit[array]
        before = np.concatenate([[0], np.cumsum(full)])
        slots = np.arange(problem.start_slots)
        ends = np.minimum(slots + self._hold[job][:, None], problem.start_slots)
        return np.asarray(before[ends] == before[slots])

    def reasons(self, job: int) -> tuple[Reason, ...]:
        """Why a task is kept back, where others of its array take up its starts."""
        allowed = self.allows(job)
        if allowed is None or allowed.all():
            return ()
        array = self._of[job]
        message = f"at most {self.limit[array]} tasks of array {array} run at once, and others are before it"
        return (
            Reason(
                site=None,
                code=ReasonCode.JOB_CONSTRAINT,
                clause="array_limit",
                seen=array,
                needed=self.limit[array],
                message=message,
            ),
        )
