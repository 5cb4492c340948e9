"""What happens without csched: each job queues at its home site, and each partition serves its own queue."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial

from csched.accounting.costs import transfer_s
from csched.clock import epoch_s
from csched_sim.calendar import Calendar, Phase
from csched_sim.outcome import NeverRan, Outcome, Run
from csched_sim.queueing import Claim, Discipline, PartitionQueue, Waiting
from csched_sim.setting import Berth, Setting, eligible_s
from csched_sim.traces.trace import TraceJob, submitted


def simulate_at_home(trace: Iterable[TraceJob], setting: Setting, discipline: Discipline) -> Outcome:
    """Every job of the ordered trace at its home site; a job that can never run there is reported, not lost."""
    arrivals = iter(trace)
    first = next(arrivals, None)
    if first is None:
        return Outcome()
    homes = _Homes(setting, discipline, Calendar(epoch_s(submitted(first))))
    homes.expect(first, arrivals)
    homes.calendar.run()
    return homes.outcome


def home_berth(traced: TraceJob, setting: Setting) -> Berth | None:
    """The first partition of the job's home site that has its kind of hardware and is large enough."""
    job = traced.job
    home = setting.fleet.home_site(job.home_site, job.tenant)
    return next((berth for berth in setting.berths.get(home, ()) if berth.fits(job)), None)


@dataclass
class _Desk:
    """One partition, its queue, and whether it will be served at this instant."""

    berth: Berth
    queue: PartitionQueue
    awake: bool = False


@dataclass
class _Homes:
    setting: Setting
    discipline: Discipline
    calendar: Calendar
    outcome: Outcome = field(default_factory=Outcome)
    desks: dict[tuple[str, str], _Desk] = field(default_factory=dict)

    def expect(self, traced: TraceJob, later: Iterable[TraceJob]) -> None:
        """Submit this job at its time, and then expect the next one: the trace is never held as a whole."""
        self.calendar.at(epoch_s(submitted(traced)), Phase.SUBMISSION, partial(self._submit, traced, later))

    def _submit(self, traced: TraceJob, later: Iterable[TraceJob]) -> None:
        following = next(iter(later), None)
        if following is not None:
            self.expect(following, later)
        berth = home_berth(traced, self.setting)
        if berth is None:
            home = self.setting.fleet.home_site(traced.job.home_site, traced.job.tenant)
            self.outcome.never_ran.append(NeverRan(traced, f"no partition of its home site `{home}` can ever hold it"))
            self.setting.progress(1)
            return
        ready_s = eligible_s(traced) + math.ceil(transfer_s(traced.job, berth.site, self.setting.fleet))
        if ready_s > self.calendar.now_s:
            self.calendar.at(ready_s, Phase.SUBMISSION, partial(self._enqueue, traced, berth))
        else:
            self._enqueue(traced, berth)

    def _enqueue(self, traced: TraceJob, berth: Berth) -> None:
        key = (berth.site.id, berth.partition.name)
        desk = self.desks.get(key)
        if desk is None:
            desk = self.desks[key] = _Desk(berth, PartitionQueue(berth.capacity))
        desk.queue.waiting.append(Waiting(traced, berth.hardware.gpus_held(traced.job.gpus)))
        self._wake(desk)

    def _wake(self, desk: _Desk) -> None:
        if not desk.awake:
            desk.awake = True
            self.calendar.at(self.calendar.now_s, Phase.DECISION, partial(self._serve, desk))

    def _serve(self, desk: _Desk) -> None:
        desk.awake = False
        now_s = self.calendar.now_s
        self.outcome.decisions += 1
        for waiting, claim in self.discipline(desk.queue, now_s):
            self.outcome.runs.append(Run(waiting.traced, desk.berth, now_s))
            self.calendar.at(now_s + waiting.traced.runtime_s, Phase.END, partial(self._end, desk, claim))

    def _end(self, desk: _Desk, claim: Claim) -> None:
        desk.queue.end(claim)
        self.setting.progress(1)
        if desk.queue.waiting:
            self._wake(desk)
