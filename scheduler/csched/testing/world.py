"""A world in memory that keeps the promises of the real one: for the simulator's kind of tests, and for plugins."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from csched.clock import FixedClock
from csched.domain.job import Job
from csched.domain.plan import Placement, Plan
from csched.domain.run import DispatchOrder, JobState, RunReport, Script
from csched.domain.site import Fleet
from csched.domain.snapshot import Snapshot, StandingPlan
from csched.placement.snapshots import assemble
from csched.ports import CarbonSource, Dispatcher


@dataclass
class MemoryWorld:
    """Implements csched.ports.World. `submit`, `hold` and `drain` are what users and admins do meanwhile."""

    fleet: Fleet
    carbon: CarbonSource
    dispatcher: Dispatcher
    clock: FixedClock
    horizon_s: int = 48 * 3600
    slot_s: int = 900
    jobs: dict[str, Job] = field(default_factory=dict)
    """Pending jobs by id, in order of arrival."""
    held: set[str] = field(default_factory=set)
    drained: dict[str, str] = field(default_factory=dict)
    attempts: dict[str, str] = field(default_factory=dict)
    """Job -> attempt, of every job that was due."""
    _placements: dict[str, tuple[Job, Placement]] = field(default_factory=dict)
    _seen: Mapping[str, Job] = field(default_factory=dict)
    _standing: StandingPlan | None = None

    def submit(self, job: Job) -> str:
        """Queue the job under the next free number."""
        number = str(len(self.jobs) + len(self.attempts) + 1)
        self.jobs[number] = job.model_copy(update={"job": number, "submit": job.submit or self.clock.now()})
        return number

    def hold(self, job: str) -> None:
        self.held.add(job)

    def drain(self, site: str, reason: str) -> None:
        self.drained[site] = reason

    def snapshot(self) -> Snapshot:
        self._seen = {job: value for job, value in self.jobs.items() if job not in self.held}
        return assemble(
            self.fleet,
            list(self.jobs.values()),
            self.carbon,
            self.clock.now(),
            self.horizon_s,
            self.slot_s,
            drained=self.drained,
            held=sorted(self.held),
            standing=self._standing,
        )

    def commit(self, plan: Plan) -> Sequence[Placement]:
        self._standing = StandingPlan.of(plan, self._standing)
        due = []
        for placement in plan.placements:
            job = self.jobs.get(placement.job)
            stale = job is None or job != self._seen.get(placement.job) or placement.job in self.held
            if job is None or stale or placement.site in self.drained or placement.start > self.clock.now():
                continue
            del self.jobs[placement.job]
            self.attempts[placement.job] = f"attempt-{placement.job}"
            self._placements[placement.job] = (job, placement)
            due.append(placement)
        return due

    def dispatch(self, placement: Placement) -> None:
        job, _ = self._placements[placement.job]
        self.dispatcher.dispatch(
            DispatchOrder(
                job=job.job,
                attempt=self.attempts[job.job],
                name=f"job-{job.job}",
                user=job.user,
                site=placement.site,
                partition=placement.partition,
                gpus=job.gpus,
                time_limit_s=job.time_limit_s,
                script=Script(body="#!/bin/sh\n", work_dir="/", stdout="/dev/null"),
            )
        )


@dataclass
class RecordingDispatcher:
    """Implements csched.ports.Dispatcher: keeps what it is given and ends what it is told to, without any process."""

    clock: FixedClock
    orders: dict[str, DispatchOrder] = field(default_factory=dict)
    """Attempt -> order, in the order of the first dispatch."""
    _ends: dict[str, RunReport] = field(default_factory=dict)

    def dispatch(self, order: DispatchOrder) -> None:
        self.orders.setdefault(order.attempt, order)

    def poll(self, attempts: Mapping[str, str]) -> Sequence[RunReport]:
        return [self._report(self.orders[attempt]) for attempt in attempts if attempt in self.orders]

    def cancel(self, attempt: str) -> None:
        if attempt in self.orders:
            self.end(attempt, JobState.CANCELLED)

    def forget(self, attempt: str) -> None:
        if self.orders.pop(attempt, None):
            self._ends.pop(attempt, None)

    def end(self, attempt: str, state: JobState = JobState.COMPLETED) -> None:
        """Let the attempt end now; the first end stays."""
        now = self.clock.now()
        ended = RunReport(job=self.orders[attempt].job, attempt=attempt, state=state, start=now, end=now)
        self._ends.setdefault(attempt, ended)

    def _report(self, order: DispatchOrder) -> RunReport:
        running = RunReport(job=order.job, attempt=order.attempt, state=JobState.RUNNING, start=self.clock.now())
        return self._ends.get(order.attempt, running)
