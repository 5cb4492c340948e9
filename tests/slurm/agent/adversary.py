"""A Slurm in memory that behaves as badly as real ones were seen to, and an agent on top of it that may be killed.

Replies get lost, submissions come up late, a killed controller forgets its last second and gives ids away again, a job
that had just started lies there held; accounting knows nothing of held jobs. What is counted is starts of processes.
"""

from collections import Counter, deque
from collections.abc import Collection
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, TypeVar

from csched.clock import FixedClock
from csched_slurm.cluster import AccountedJob, ClusterFacts, ClusterJob, NodeShare, NodeState, Ping, State
from csched_slurm.transport import (
    Answer,
    Done,
    Failed,
    JobChange,
    JobRequest,
    Known,
    OrderAnswer,
    Refused,
    SubmitAnswer,
    Submitted,
    Unknown,
)

T = TypeVar("T")

Fault = Literal["none", "fails", "lost", "late", "crash before", "crash after"]
FAULTS: tuple[Fault, ...] = ("none", "fails", "lost", "late", "crash before", "crash after")

FORGETS_S = 1.0
"""A killed controller forgets this much."""
LATE_S = 1.5
REMEMBERS_S = 300
RUNS_S = 60


class AgentKilled(Exception):
    """kill -9."""


@dataclass
class Job:
    id: int
    name: str
    user: str
    submit: datetime
    held: bool = True
    state: State = State.PENDING
    reason: str | None = None
    comment: str | None = None
    attempt: str = ""
    """Whose processes it starts, whatever it is called by then."""
    start: datetime | None = None
    end: datetime | None = None
    released: datetime | None = None

    def shown(self, cluster: str) -> ClusterJob:
        return ClusterJob(
            cluster=cluster,
            id=self.id,
            name=self.name,
            state=self.state,
            reason=self.reason,
            user=self.user,
            priority=0 if self.held else 100,
            nodes=(NodeShare(node="e1"),) if self.start else (),
            submit=self.submit,
            start=self.start,
            end=self.end,
            comment=self.comment,
        )

    def booked(self, cluster: str) -> AccountedJob:
        return AccountedJob(
            cluster=cluster,
            id=self.id,
            name=self.name,
            state=self.state,
            user=self.user,
            nodes=("e1",) if self.start else (),
            submit=self.submit,
            start=self.start,
            end=self.end,
        )


@dataclass
class Controller:
    """What a controller keeps, and would lose."""

    jobs: dict[int, Job] = field(default_factory=dict)
    next_id: int = 1


@dataclass
class BadSlurm:
    """Implements csched_slurm.transport.Transport."""

    clock: FixedClock
    cluster: str = "essonne"
    faults: deque[Fault] = field(default_factory=deque)
    """Of the next calls, one each."""
    up: Literal["up", "stopped", "dead"] = "up"
    accounting_up: bool = True
    starts: Counter[str] = field(default_factory=Counter)
    """Attempt -> how often its processes were started."""
    kills: int = 0
    busy: bool = False
    """Nothing can start."""
    _now: Controller = field(default_factory=Controller)
    _past: list[tuple[datetime, Controller]] = field(default_factory=list)
    _books: dict[tuple[int, datetime], AccountedJob] = field(default_factory=dict)
    _on_the_way: list[tuple[float, JobRequest]] = field(default_factory=list)
    """Seconds that the controller must have been up, request."""

    # The world's side

    def pass_time(self, seconds: float) -> None:
        """In steps, so that things happen in their order."""
        while seconds > 0:
            step = min(seconds, 0.5)
            seconds -= step
            self.clock.set(self.clock.now() + timedelta(seconds=step))
            if self.up == "up":
                self._deliver(step)
                self._schedule()

    def kill(self) -> None:
        """Its last second is forgotten, and what was on its way to it."""
        if self.up == "dead":
            return
        self.kills += 1
        then = self.clock.now() - timedelta(seconds=FORGETS_S)
        kept = [state for at, state in self._past if at <= then]
        ran = {job.id: job for job in self._now.jobs.values() if job.start is not None}
        self._now = deepcopy(kept[-1]) if kept else Controller()
        self._past = self._past[: len(kept)]
        for job in self._now.jobs.values():
            known = ran.get(job.id)
            if known is not None and known.submit == job.submit and job.state is State.PENDING:
                if known.state is State.RUNNING:  # its node reports it as soon as the controller is back
                    job.held, job.reason = True, "launch failed requeued held"
            elif known is not None and known.submit == job.submit:
                job.state, job.end = known.state, known.end
        self._on_the_way.clear()
        self.up = "dead"

    def stop(self) -> None:
        if self.up == "up":
            self.up = "stopped"

    def start(self) -> None:
        self.up = "up"

    def forget_everything(self) -> None:
        """Its state and its books are gone, as after a restore from nothing."""
        self._now, self._books = Controller(next_id=self._now.next_id), {}
        self._past.clear()

    def of(self, attempt: str) -> list[Job]:
        return [job for job in self._now.jobs.values() if job.attempt == attempt]

    def strangers(self) -> list[Job]:
        return [job for job in self._now.jobs.values() if not job.attempt]

    def someone_submits(self, name: str) -> None:
        if self.up == "up":
            self._create(name, "mallory", "")

    def owner_cancels(self, attempt: str) -> bool:
        """Whether there was anything to cancel."""
        alive = [job for job in self.of(attempt) if not job.state.ended]
        if self.up != "up" or len(alive) != 1:
            return False
        self._end(alive[0], State.CANCELLED)
        return True

    # The transport's side

    def ping(self) -> Answer[Ping]:
        return self._read(lambda: Ping(up=True)) if self.up == "up" else Known(Ping(up=False))

    def facts(self) -> Answer[ClusterFacts]:
        return self._read(ClusterFacts)

    def job(self, job_id: int) -> Answer[ClusterJob | None]:
        def found() -> ClusterJob | None:
            job = self._now.jobs.get(job_id)
            return job.shown(self.cluster) if job else None

        return self._read(found)

    def look_up(self, name: str) -> Answer[tuple[ClusterJob, ...]]:
        return self._read(lambda: tuple(job.shown(self.cluster) for job in self._now.jobs.values() if job.name == name))

    def jobs(self) -> Answer[tuple[ClusterJob, ...]]:
        return self._read(lambda: tuple(job.shown(self.cluster) for job in self._now.jobs.values()))

    def nodes(self) -> Answer[tuple[NodeState, ...]]:
        return self._read(lambda: (NodeState(name="e1", state="IDLE"),))

    def accounting(self, *, ids: Collection[int] = (), names: Collection[str] = ()) -> Answer[tuple[AccountedJob, ...]]:
        fault = self._fault()
        if not self.accounting_up or fault in {"fails", "lost", "late"}:
            return Failed("slurmdbd does not answer")
        self._die_if(fault, "crash after")
        by_id = [job for (job_id, _), job in self._books.items() if job_id in ids]
        return Known((*by_id, *(job for job in self._books.values() if job.name in names)))

    def submit(self, request: JobRequest) -> SubmitAnswer:
        fault = self._fault()
        if self.up == "dead" or fault == "fails":
            return Unknown("unable to contact slurm controller")
        if self.up == "stopped" or fault == "late":
            self._on_the_way.append((LATE_S, request))
            self._die_if(fault, "crash after")
            return Unknown("socket timed out on send/recv operation")
        job = self._create(request.name, request.user, request.name.removeprefix("csched-"), request.comment)
        self._die_if(fault, "crash after")
        return Unknown("socket timed out on send/recv operation") if fault == "lost" else Submitted(job.id)

    def release(self, job_id: int) -> OrderAnswer:
        return self._change(job_id, self._let_go)

    def hold(self, job_id: int) -> OrderAnswer:
        return self._change(job_id, lambda job: setattr(job, "held", True))

    def cancel(self, job_id: int) -> OrderAnswer:
        return self._change(job_id, lambda job: self._end(job, State.CANCELLED))

    def requeue(self, job_id: int, *, hold: bool = True) -> OrderAnswer:
        raise NotImplementedError

    def signal(self, job_id: int, signal: str) -> OrderAnswer:
        raise NotImplementedError

    def update(self, job_id: int, change: JobChange) -> OrderAnswer:
        def apply(job: Job) -> None:
            job.name = change.name or job.name

        return self._change(job_id, apply)

    # Inside

    def _fault(self) -> Fault:
        fault: Fault = self.faults.popleft() if self.faults else "none"
        self._die_if(fault, "crash before")
        return fault

    def _die_if(self, fault: Fault, kind: Fault) -> None:
        if fault == kind:
            raise AgentKilled

    def _read(self, answer) -> Answer:  # type: ignore[no-untyped-def, type-arg]
        fault = self._fault()
        if self.up != "up" or fault in {"fails", "lost", "late"}:
            return Failed("unable to contact slurm controller")
        self._die_if(fault, "crash after")
        return Known(answer())

    def _change(self, job_id: int, apply) -> OrderAnswer:  # type: ignore[no-untyped-def]
        fault = self._fault()
        if self.up != "up" or fault in {"fails", "late"}:
            return Unknown("unable to contact slurm controller")
        job = self._now.jobs.get(job_id)
        if job is None or job.state.ended:
            return Refused("Invalid job id specified")
        apply(job)
        self._remember()
        self._die_if(fault, "crash after")
        return Unknown("socket timed out") if fault == "lost" else Done()

    def _create(self, name: str, user: str, attempt: str, comment: str | None = None) -> Job:
        job = Job(self._now.next_id, name, user, self.clock.now(), comment=comment, attempt=attempt)
        self._now.jobs[job.id] = job
        self._now.next_id += 1
        self._remember()
        return job

    def _let_go(self, job: Job) -> None:
        job.held, job.released = False, self.clock.now()

    def _deliver(self, seconds: float) -> None:
        self._on_the_way = [(left - seconds, request) for left, request in self._on_the_way]
        for left, request in self._on_the_way:
            if left <= 0:
                self._create(request.name, request.user, request.name.removeprefix("csched-"), request.comment)
        self._on_the_way = [(left, request) for left, request in self._on_the_way if left > 0]

    def _schedule(self) -> None:
        now = self.clock.now()
        changed = False
        for job in list(self._now.jobs.values()):
            if job.state is State.PENDING and not job.held and not self.busy:
                job.state, job.start = State.RUNNING, now
                self.starts[job.attempt] += 1
                self._books[job.id, job.submit] = job.booked(self.cluster)
                changed = True
            elif job.state is State.RUNNING and job.start and now >= job.start + timedelta(seconds=RUNS_S):
                self._end(job, State.COMPLETED)
                changed = True
            elif job.state.ended and job.end and now >= job.end + timedelta(seconds=REMEMBERS_S):
                del self._now.jobs[job.id]
                changed = True
        if changed:
            self._remember()

    def _end(self, job: Job, state: State) -> None:
        job.state, job.end, job.held = state, self.clock.now(), False
        self._books[job.id, job.submit] = job.booked(self.cluster)

    def _remember(self) -> None:
        self._past.append((self.clock.now(), deepcopy(self._now)))
        del self._past[:-200]
