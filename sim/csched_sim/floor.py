"""The sites' own ground: local queues that decide the true starts, and everything that befalls nodes and jobs there.

Whoever plans hands a job over to a partition, not before an instant; from then on the partition's own scheduler is in
charge, beside jobs of others of which nobody told the planner.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from csched.clock import from_epoch_s
from csched.domain.job import Job
from csched_sim.calendar import Calendar, Phase
from csched_sim.disturbances import Closure, Failure, Intruder, closures, failures, intruders
from csched_sim.outcome import Outcome, Run, Stretch
from csched_sim.queueing import Claim, Discipline, PartitionQueue, Waiting, id_order
from csched_sim.setting import Berth, Setting
from csched_sim.traces.trace import TraceJob


class Piece(NamedTuple):
    """Work to be done without a break, not before `from_s`."""

    from_s: int
    length_s: int


class Progress(NamedTuple):
    """What an interrupted job has behind it and before it."""

    done_s: int
    stretches: tuple[Stretch, ...]
    later: tuple[Piece, ...]


NOTHING_YET = Progress(0, (), ())


class Work(NamedTuple):
    waiting: Waiting
    claim: Claim
    start_s: int


@dataclass
class Desk:
    """One partition, its queue, and whether it will be served at this instant."""

    berth: Berth
    queue: PartitionQueue
    awake: bool = False
    asked: int = 0
    """GPUs that jobs hold, wait for here, or will wait for once they are released."""
    working: dict[str, Work] = field(default_factory=dict)
    repairs: dict[str, Claim] = field(default_factory=dict)


@dataclass
class Floor:
    setting: Setting
    discipline: Discipline
    calendar: Calendar
    outcome: Outcome = field(default_factory=Outcome)
    desks: dict[tuple[str, str], Desk] = field(default_factory=dict)
    ended: Callable[[TraceJob], None] = lambda _traced: None
    """Told of each job that is through."""
    lost: Callable[[TraceJob, Desk], None] | None = None
    """Told of each job whose node failed; null puts it back into the same queue."""
    sigma_of: Callable[[str], float] = lambda _job: 1.0
    """Told of a job that is through, says how much longer each of its steps took than on the best shape."""
    open_jobs: int = 1
    """Jobs not yet through, and one for the submissions still to come: when 0, nothing more need befall."""
    progress: dict[str, Progress] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._closures: list[Closure] = closures(self.setting.world)
        for number, (site, berths) in enumerate(self.setting.berths.items()):
            for index, berth in enumerate(berths):
                desk = self.desks[site, berth.partition.name] = Desk(berth, PartitionQueue(berth.capacity))
                self._befall(desk, (self.setting.seed, number, index))
        for closure in self._closures:
            if closure.to_s > self.calendar.now_s:
                self.calendar.at(closure.to_s, Phase.WORLD, partial(self._reopen, closure.site))

    def desk(self, berth: Berth) -> Desk:
        return self.desks[berth.site.id, berth.partition.name]

    def closed(self, site: str) -> str | None:
        """Why the site starts nothing now; null where it does."""
        now_s = self.calendar.now_s
        return next((c.why for c in self._closures if c.site == site and c.from_s <= now_s < c.to_s), None)

    @property
    def disturbed(self) -> bool:
        """Whether nodes fail or strangers come, so that what is free changes without any job of the trace."""
        return self.setting.world.failures is not None or bool(self.setting.world.background)

    def closings_s(self) -> list[int]:
        """When sites close that are open yet."""
        return sorted({closure.from_s for closure in self._closures if closure.from_s > self.calendar.now_s})

    def next_opening_s(self) -> int | None:
        """When the next of the sites that are closed now opens."""
        now_s = self.calendar.now_s
        return min((c.to_s for c in self._closures if c.from_s <= now_s < c.to_s), default=None)

    def hand_over(self, traced: TraceJob, desk: Desk, at_s: int) -> None:
        """Let the job wait in this queue from `at_s` on."""
        if at_s > self.calendar.now_s:
            self.calendar.at(at_s, Phase.SUBMISSION, partial(self._enqueue, traced, desk))
        else:
            self._enqueue(traced, desk)

    def left_of(self, traced: TraceJob) -> tuple[int, int]:
        """(seconds of its limit, seconds of its true run time) that the job's next piece may and will take."""
        limit_s, runtime_s = traced.job.time_limit_s, traced.runtime_s
        progress = self.progress.get(traced.job.job)
        if progress is not None:
            limit_s, runtime_s = limit_s - progress.done_s, runtime_s - progress.done_s
            if len(progress.later) > 1:
                limit_s = min(limit_s, progress.later[0].length_s)
                runtime_s = min(runtime_s, limit_s)
        return limit_s, runtime_s

    def _enqueue(self, traced: TraceJob, desk: Desk) -> None:
        limit_s, runtime_s = self.left_of(traced) if self.progress else (traced.job.time_limit_s, traced.runtime_s)
        gpus = desk.berth.hardware.gpus_held(traced.job.gpus)
        desk.queue.waiting.append(Waiting(traced, gpus, limit_s, runtime_s))
        self._wake(desk)

    def _wake(self, desk: Desk) -> None:
        if not desk.awake:
            desk.awake = True
            self.calendar.at(self.calendar.now_s, Phase.DECISION, partial(self._serve, desk))

    def _serve(self, desk: Desk) -> None:
        desk.awake = False
        if self._closures and self.closed(desk.berth.site.id) is not None:
            return
        now_s = self.calendar.now_s
        self.outcome.decisions += 1
        for waiting, claim in self.discipline(desk.queue, now_s):
            work = Work(waiting, claim, now_s)
            desk.working[waiting.traced.job.job] = work
            self.calendar.at(now_s + waiting.runtime_s, Phase.END, partial(self._end, desk, work))

    def _end(self, desk: Desk, work: Work) -> None:
        name = work.waiting.traced.job.job
        if desk.working.get(name) is not work:
            return  # its node failed meanwhile
        del desk.working[name]
        desk.queue.end(work.claim)
        if desk.queue.waiting:
            self._wake(desk)
        if not isinstance(work.waiting.traced, _Stranger):
            self._account(desk, work)

    def _account(self, desk: Desk, work: Work) -> None:
        """Note the run of a job that is through; put back into its queue one that is only suspended."""
        traced, start_s, now_s = work.waiting.traced, work.start_s, self.calendar.now_s
        progress = self.progress.get(traced.job.job, NOTHING_YET)
        stretches = progress.stretches
        if progress is not NOTHING_YET:
            stretches = (*stretches, Stretch(desk.berth, start_s, now_s))
            done_s = progress.done_s + now_s - start_s
            if done_s < traced.runtime_s:
                later = progress.later[1:]
                self.progress[traced.job.job] = Progress(done_s, stretches, later)
                self.hand_over(traced, desk, later[0].from_s)
                return
        desk.asked -= work.waiting.gpus
        self.open_jobs -= 1
        first_s = stretches[0].start_s if stretches else start_s
        broken = stretches if len(stretches) > 1 else ()
        self._keep(Run(traced, desk.berth, first_s, now_s, self.sigma_of(traced.job.job), broken))
        self.progress.pop(traced.job.job, None)
        self.setting.progress(1)
        self.ended(traced)

    def _keep(self, run: Run) -> None:
        if self.setting.sink is None:
            self.outcome.runs.append(run)
        else:
            self.setting.sink(run)

    def _reopen(self, site: str) -> None:
        for desk in self.desks.values():
            if desk.berth.site.id == site and desk.queue.waiting:
                self._wake(desk)

    def _befall(self, desk: Desk, seed: tuple[int, ...]) -> None:
        start_s = self.calendar.now_s
        self._next_failure(desk, failures(self.setting.world, desk.berth, start_s, seed))
        self._next_intruder(desk, intruders(self.setting.world, desk.berth, start_s, seed))

    def _next_failure(self, desk: Desk, coming: Iterator[Failure]) -> None:
        failure = next(coming, None)
        if failure is not None:
            self.calendar.at(failure.at_s, Phase.WORLD, partial(self._fail, desk, failure, coming))

    def _fail(self, desk: Desk, failure: Failure, coming: Iterator[Failure]) -> None:
        """One node goes; of the jobs there, the one that holds the GPU that was hit is lost."""
        if self.open_jobs == 0:
            return
        self._next_failure(desk, coming)
        hit = int(failure.where * desk.berth.capacity)
        for work in list(desk.working.values()):
            hit -= work.claim.gpus
            if hit < 0:
                self._lose(desk, work)
                break
        gpus = min(desk.berth.hardware.gpus_per_node, desk.queue.free)
        if gpus:
            name = f"repair-{failure.at_s}"
            claim = desk.repairs[name] = desk.queue.claim(failure.repaired_s, id_order(name), gpus)
            self.calendar.at(failure.repaired_s, Phase.END, partial(self._repaired, desk, name, claim))

    def _repaired(self, desk: Desk, name: str, claim: Claim) -> None:
        del desk.repairs[name]
        desk.queue.end(claim)
        if desk.queue.waiting:
            self._wake(desk)

    def _lose(self, desk: Desk, work: Work) -> None:
        """The job goes on from its last checkpoint, or from the beginning."""
        traced, now_s = work.waiting.traced, self.calendar.now_s
        del desk.working[traced.job.job]
        desk.queue.end(work.claim)
        if isinstance(traced, _Stranger):
            return
        progress = self.progress.get(traced.job.job, NOTHING_YET)
        every_s = self.setting.world.checkpoint
        done_s = progress.done_s + now_s - work.start_s
        kept_s = done_s // every_s * every_s if every_s else 0
        stretches = (*progress.stretches, Stretch(desk.berth, work.start_s, now_s))
        self.progress[traced.job.job] = Progress(kept_s, stretches, progress.later[-1:])
        if self.lost is None:
            self.hand_over(traced, desk, now_s)
        else:
            desk.asked -= work.waiting.gpus
            self.lost(traced, desk)

    def _next_intruder(self, desk: Desk, coming: Iterator[Intruder]) -> None:
        intruder = next(coming, None)
        if intruder is not None:
            self.calendar.at(intruder.at_s, Phase.SUBMISSION, partial(self._intrude, desk, intruder, coming))

    def _intrude(self, desk: Desk, intruder: Intruder, coming: Iterator[Intruder]) -> None:
        if self.open_jobs == 0:
            return
        self._next_intruder(desk, coming)
        limit_s = 2 * intruder.runtime_s
        job = Job(
            job=f"other-{intruder.at_s}-{desk.berth.partition.name}",
            submit=from_epoch_s(intruder.at_s),
            gpus=intruder.gpus,
            time_limit_s=limit_s,
        )
        gpus = desk.berth.hardware.gpus_held(intruder.gpus)
        desk.queue.waiting.append(Waiting(_Stranger(job, intruder.runtime_s), gpus, limit_s, intruder.runtime_s))
        self._wake(desk)


class _Stranger(TraceJob):
    """A job of the site's own users."""
