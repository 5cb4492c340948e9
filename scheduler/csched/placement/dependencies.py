"""Jobs that wait for others: how far the others have come, in which order to place them, and why never.

A dependency on a pending job is met by its planned start (`after`) or by the end of its time limit; on a running one
by the end of its limit; on an ended one by its state. What is still to come is met in the next slot at the earliest,
so that no job is released before its dependency is known to be met.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter
from typing import NamedTuple, Protocol

import numpy as np

from csched.domain.job import Dependency, DependencyKind
from csched.domain.run import JobState
from csched.domain.verdict import Reason, ReasonCode
from csched.placement.dtypes import Ints, Slots
from csched.placement.problem import Problem


class Wait(NamedTuple):
    """One pending job waits for another."""

    job: int
    begun: bool
    """For its start only, not for its end."""


class Times(Protocol):
    """When jobs hold GPUs: shapes (J,)."""

    @property
    def slot(self) -> Ints:
        """-1 where the job is left out."""
        ...

    @property
    def end(self) -> Ints:
        """One past the last slot of the time limit."""
        ...


class Dependencies:
    """What the jobs of one problem wait for, by index."""

    def __init__(self, problem: Problem, hold: Ints) -> None:
        """`hold`: slots that each job holds in each room; shape (J, P)."""
        self._problem, self._hold = problem, hold
        self._index = {job.job: index for index, job in enumerate(problem.jobs)}
        self._running = {held.job: held for held in problem.snapshot.running}
        self.before: dict[int, list[Wait]] = defaultdict(list)
        """Job -> pending jobs that it waits for."""
        self.behind: dict[int, list[Wait]] = defaultdict(list)
        """Job -> pending jobs that wait for it."""
        self.earliest: dict[int, int] = {}
        """Job -> first slot that running jobs, and the next cycle, leave it."""
        self.never: dict[int, Reason] = {}
        """Job -> why nothing that this plan could do would meet its dependencies."""
        for index, job in enumerate(problem.jobs):
            for dependency in job.dependency:
                for name in dependency.jobs:
                    self._read(index, dependency, name)
        self.order = self._sorted()
        """Jobs that wait or are waited for, the awaited first; shape (n,)."""

    def _read(self, index: int, dependency: Dependency, name: str) -> None:
        begun = dependency.kind is DependencyKind.AFTER
        if name in self._index:
            self.before[index].append(Wait(self._index[name], begun))
            self.behind[self._index[name]].append(Wait(index, begun))
            self._no_sooner(index, 1)
        elif name in self._running:
            met = self._running[name].since if begun else self._running[name].until
            if met is not None:
                elapsed_s = (met - self._problem.now).total_seconds()
                self._no_sooner(index, max(1, math.ceil(elapsed_s / self._problem.slot_s)))
        elif why := self._unmet(dependency.kind, name):
            self.never.setdefault(index, because(why, name))

    def _no_sooner(self, index: int, slot: int) -> None:
        self.earliest[index] = max(slot, self.earliest.get(index, 0))

    def _unmet(self, kind: DependencyKind, name: str) -> str | None:
        """Why a job that neither waits for a place nor runs does not meet a dependency; None where it does."""
        snapshot = self._problem.snapshot
        state = snapshot.ended.get(name)
        if name in snapshot.held:
            return f"waits for job {name}, which is held"
        if state is None or not state.final:
            return f"job {name} is not known"
        if kind is DependencyKind.AFTEROK and state is not JobState.COMPLETED:
            return f"waits for job {name}, which {_ENDED[state]}: afterok can never be met"
        if kind is DependencyKind.AFTERNOTOK and state is JobState.COMPLETED:
            return f"waits for job {name}, which {_ENDED[state]}: afternotok can never be met"
        return None

    def _sorted(self) -> Ints:
        """Awaited first; jobs that wait for each other in a circle, and those behind them, never start."""
        graph = {job: [wait.job for wait in waits] for job, waits in self.before.items()}
        while True:
            try:
                order = np.array(list(TopologicalSorter(graph).static_order()), dtype=np.int64)
            except CycleError as error:
                circle: Sequence[int] = error.args[1]
                names = [self._problem.jobs[index].job for index in reversed(circle)]
                for index in circle:
                    self.never[index] = because(f"jobs wait for each other: {' after '.join(names)}", names[0])
                    graph[index] = []
            else:
                return order

    def __bool__(self) -> bool:
        return bool(self.before or self.earliest or self.never)

    @property
    def jobs(self) -> list[int]:
        """All that wait or are waited for, the awaited first."""
        return list(dict.fromkeys([*self.order.tolist(), *self.earliest, *self.never]))

    def ready(self, job: int, times: Times) -> int | None:
        """First slot that the jobs it waits for leave it, None where one of those is left out or will never do."""
        if job in self.never:
            return None
        ready = self.earliest.get(job, 0)
        for wait in self.before.get(job, ()):
            if times.slot[wait.job] < 0:
                return None
            ready = max(ready, int((times.slot if wait.begun else times.end)[wait.job]))
        return ready

    def latest(self, job: int, times: Times) -> Ints:
        """Last slot that the placed jobs which wait for it leave it, by room; shape (P,)."""
        latest = np.full(len(self._problem.rooms), self._problem.start_slots - 1)
        for wait in self.behind.get(job, ()):
            if (slot := int(times.slot[wait.job])) >= 0:
                latest = np.minimum(latest, slot if wait.begun else slot - self._hold[job])
        return latest

    def followers(self, job: int) -> Iterator[int]:
        """All that wait for it, directly or not, each once."""
        seen = {job}
        stack = [job]
        while stack:
            for wait in self.behind.get(stack.pop(), ()):
                if wait.job not in seen:
                    seen.add(wait.job)
                    stack.append(wait.job)
                    yield wait.job

    def awaited(self, job: int) -> list[int]:
        """All that it waits for, directly or not, the first of them first."""
        seen: set[int] = set()
        stack = [job]
        while stack:
            new = {wait.job for wait in self.before.get(stack.pop(), ())} - seen
            seen |= new
            stack += sorted(new)
        return [each for each in self.order.tolist() if each in seen]

    def tightened(self, problem: Problem) -> Problem:
        """Windows in which chains fit one after another: where the search begins, not what the bound is proven on."""
        first, last = problem.first.copy(), problem.last.copy()
        for job in self.order.tolist():
            first[job] = np.maximum(first[job], self._soonest(job, first, last))
        for job, slot in self.earliest.items():
            first[job] = np.maximum(first[job], slot)
        for job in reversed(self.order.tolist()):
            for wait in self.behind.get(job, ()):
                if (first[wait.job] <= last[wait.job]).any():
                    leaves = int(last[wait.job].max()) - (0 if wait.begun else self._hold[job])
                    if (first[job] <= np.minimum(last[job], leaves)).any():
                        last[job] = np.minimum(last[job], leaves)
        for job in self.never:
            last[job] = -1
        empty = first > last
        return replace(problem, first=np.where(empty, problem.start_slots, first), last=np.where(empty, -1, last))

    def _soonest(self, job: int, first: Slots, last: Slots) -> int:
        """First slot in which the jobs it waits for could have come so far, were each alone."""
        soonest = 0
        for wait in self.before.get(job, ()):
            open_ = first[wait.job] <= last[wait.job]
            if not open_.any():
                return self._problem.start_slots
            met = first[wait.job] + (0 if wait.begun else self._hold[wait.job])
            soonest = max(soonest, int(met[open_].min()))
        return soonest

    def reason(self, job: int, times: Times) -> Reason | None:
        """Why the job has no start for what it waits for; None where that leaves it one."""
        if job in self.never:
            return self.never[job]
        out = [wait.job for wait in self.before.get(job, ()) if times.slot[wait.job] < 0]
        if out:
            name = self._problem.jobs[out[0]].job
            return because(f"waits for job {name}, which this plan leaves out", name)
        ready = self.ready(job, times)
        if ready is None or not self._problem.allowed(job).any() or self._problem.allowed(job)[:, ready:].any():
            return None
        return self.too_late(job, times)[0]

    def too_late(self, job: int, times: Times) -> tuple[Reason]:
        """Said of a job for which there would be a place, were it sooner."""
        until = f"{self._problem.start(self.ready(job, times) or 0):%Y-%m-%d %H:%MZ}"
        return (because(f"what it waits for is met at {until} by plan, and from then on it has no place", until),)


def because(message: str, seen: str) -> Reason:
    return Reason(site=None, code=ReasonCode.DEPENDENCY, clause="dependency", seen=seen, message=message)


_ENDED: Mapping[JobState, str] = {
    JobState.COMPLETED: "ended well",
    JobState.FAILED: "failed",
    JobState.TIMEOUT: "ran into its time limit",
    JobState.CANCELLED: "was cancelled",
    JobState.NODE_FAIL: "lost a node",
}
