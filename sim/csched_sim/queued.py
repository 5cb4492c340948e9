"""A world of queues: each job is routed once, at its submission, and the partition it goes to decides its true start.

The route says where, from when on, and in which pieces; from its release on the job waits in the partition's own
queue like any other. Routes differ between strategies; the queue does not.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from csched.accounting.costs import transfer_s
from csched.clock import epoch_s
from csched_sim.calendar import Calendar, Phase
from csched_sim.outcome import NeverRan, Outcome, Run, Stretch
from csched_sim.queueing import Claim, Discipline, PartitionQueue, Waiting
from csched_sim.setting import Berth, Setting, eligible_s
from csched_sim.traces.trace import TraceJob, submitted


class Piece(NamedTuple):
    """Work to be done without a break, not before `from_s`."""

    from_s: int
    length_s: int


class Route(NamedTuple):
    berth: Berth
    from_s: int
    """The local queue sees the job from here on; its data may arrive later still."""
    pieces: tuple[Piece, ...] = ()
    """Where the job is to be suspended in between; the last piece goes on until the job's end."""


class Refused(NamedTuple):
    why: str


@dataclass
class Desk:
    """One partition, its queue, and whether it will be served at this instant."""

    berth: Berth
    queue: PartitionQueue
    awake: bool = False
    asked: int = 0
    """GPUs that jobs hold, wait for here, or will wait for once they are released."""


Router = Callable[[TraceJob, "Queues"], Route | Refused]


def simulate_queued(trace: Iterable[TraceJob], setting: Setting, router: Router, discipline: Discipline) -> Outcome:
    """Every job of the ordered trace where its route leads; a job without a route is reported, not lost."""
    arrivals = iter(trace)
    first = next(arrivals, None)
    if first is None:
        return Outcome()
    queues = Queues(setting, router, discipline, Calendar(epoch_s(submitted(first))))
    queues.expect(first, arrivals)
    queues.calendar.run()
    return queues.outcome


class _Progress(NamedTuple):
    """What an interrupted job has behind it and before it."""

    done_s: int
    stretches: tuple[Stretch, ...]
    later: tuple[Piece, ...]


_FRESH = _Progress(0, (), ())


@dataclass
class Queues:
    setting: Setting
    router: Router
    discipline: Discipline
    calendar: Calendar
    outcome: Outcome = field(default_factory=Outcome)
    desks: dict[tuple[str, str], Desk] = field(default_factory=dict)
    _interrupted: dict[str, _Progress] = field(default_factory=dict)

    def desk(self, berth: Berth) -> Desk:
        key = (berth.site.id, berth.partition.name)
        desk = self.desks.get(key)
        if desk is None:
            desk = self.desks[key] = Desk(berth, PartitionQueue(berth.capacity))
        return desk

    def expect(self, traced: TraceJob, later: Iterable[TraceJob]) -> None:
        """Submit this job at its time, and then expect the next one: the trace is never held as a whole."""
        self.calendar.at(epoch_s(submitted(traced)), Phase.SUBMISSION, partial(self._submit, traced, later))

    def _submit(self, traced: TraceJob, later: Iterable[TraceJob]) -> None:
        following = next(iter(later), None)
        if following is not None:
            self.expect(following, later)
        route = self.router(traced, self)
        if isinstance(route, Refused):
            self.outcome.never_ran.append(NeverRan(traced, route.why))
            self.setting.progress(1)
            return
        desk = self.desk(route.berth)
        desk.asked += desk.berth.hardware.gpus_held(traced.job.gpus)
        if route.pieces:
            self._interrupted[traced.job.job] = _Progress(0, (), route.pieces)
        self._release(traced, desk, max(route.from_s, ready_s(traced, route.berth, self.setting)))

    def _release(self, traced: TraceJob, desk: Desk, at_s: int) -> None:
        if at_s > self.calendar.now_s:
            self.calendar.at(at_s, Phase.SUBMISSION, partial(self._enqueue, traced, desk))
        else:
            self._enqueue(traced, desk)

    def _enqueue(self, traced: TraceJob, desk: Desk) -> None:
        limit_s, runtime_s = traced.job.time_limit_s, traced.runtime_s
        progress = self._interrupted.get(traced.job.job)
        if progress is not None:
            limit_s, runtime_s = limit_s - progress.done_s, runtime_s - progress.done_s
            if len(progress.later) > 1:
                limit_s = min(limit_s, progress.later[0].length_s)
                runtime_s = min(runtime_s, limit_s)
        desk.queue.waiting.append(Waiting(traced, desk.berth.hardware.gpus_held(traced.job.gpus), limit_s, runtime_s))
        self._wake(desk)

    def _wake(self, desk: Desk) -> None:
        if not desk.awake:
            desk.awake = True
            self.calendar.at(self.calendar.now_s, Phase.DECISION, partial(self._serve, desk))

    def _serve(self, desk: Desk) -> None:
        desk.awake = False
        now_s = self.calendar.now_s
        self.outcome.decisions += 1
        for waiting, claim in self.discipline(desk.queue, now_s):
            self.calendar.at(now_s + waiting.runtime_s, Phase.END, partial(self._end, desk, waiting, claim, now_s))

    def _end(self, desk: Desk, waiting: Waiting, claim: Claim, start_s: int) -> None:
        desk.queue.end(claim)
        self._account(desk, waiting, start_s)
        if desk.queue.waiting:
            self._wake(desk)

    def _account(self, desk: Desk, waiting: Waiting, start_s: int) -> None:
        """Note the run of a job that is through; put back into its queue one that is only suspended."""
        traced, now_s = waiting.traced, self.calendar.now_s
        progress = self._interrupted.get(traced.job.job, _FRESH)
        stretches = (*progress.stretches, Stretch(desk.berth, start_s, now_s)) if progress is not _FRESH else ()
        done_s = progress.done_s + now_s - start_s
        if done_s < traced.runtime_s:
            later = progress.later[1:]
            self._interrupted[traced.job.job] = _Progress(done_s, stretches, later)
            self._release(traced, desk, later[0].from_s)
            return
        desk.asked -= waiting.gpus
        broken = stretches if len(stretches) > 1 else ()
        first_s = stretches[0].start_s if stretches else start_s
        self.outcome.runs.append(Run(traced, desk.berth, first_s, now_s, broken=broken))
        self.setting.progress(1)


def ready_s(traced: TraceJob, berth: Berth, setting: Setting) -> int:
    """From here on the job could run there: it is eligible, and its data has arrived."""
    return eligible_s(traced) + math.ceil(transfer_s(traced.job, berth.site, setting.fleet))
