"""Strategies that route each job once, at its submission; the partition it goes to decides its true start."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from csched.accounting.costs import transfer_s
from csched.clock import epoch_s
from csched_sim.calendar import Calendar, Phase
from csched_sim.floor import Floor, Piece, Progress
from csched_sim.outcome import NeverRan, Outcome
from csched_sim.queueing import Discipline
from csched_sim.setting import Berth, Setting, eligible_s
from csched_sim.traces.trace import TraceJob, submitted


class Route(NamedTuple):
    berth: Berth
    from_s: int
    """The local queue sees the job from here on; its data may arrive later still."""
    pieces: tuple[Piece, ...] = ()
    """Where the job is to be suspended in between; the last piece goes on until the job's end."""


class Refused(NamedTuple):
    why: str


Router = Callable[[TraceJob, Floor], Route | Refused]


def simulate_queued(trace: Iterable[TraceJob], setting: Setting, router: Router, discipline: Discipline) -> Outcome:
    """Every job of the ordered trace where its route leads; a job without a route is reported, not lost."""
    arrivals = iter(trace)
    first = next(arrivals, None)
    if first is None:
        return Outcome()
    floor = Floor(setting, discipline, Calendar(epoch_s(submitted(first))))
    _Arrivals(floor, router).expect(first, arrivals)
    floor.calendar.run()
    return floor.outcome


@dataclass
class _Arrivals:
    floor: Floor
    router: Router

    def expect(self, traced: TraceJob, later: Iterable[TraceJob]) -> None:
        """Submit this job at its time, and then expect the next one: the trace is never held as a whole."""
        self.floor.calendar.at(epoch_s(submitted(traced)), Phase.SUBMISSION, partial(self._submit, traced, later))

    def _submit(self, traced: TraceJob, later: Iterable[TraceJob]) -> None:
        floor = self.floor
        following = next(iter(later), None)
        if following is not None:
            floor.open_jobs += 1
            self.expect(following, later)
        route = self.router(traced, floor)
        if isinstance(route, Refused):
            floor.outcome.never_ran.append(NeverRan(traced, route.why))
            floor.setting.progress(1)
            floor.open_jobs -= 1
            return
        desk = floor.desk(route.berth)
        desk.asked += desk.berth.hardware.gpus_held(traced.job.gpus)
        if route.pieces:
            floor.progress[traced.job.job] = Progress(0, (), route.pieces)
        floor.hand_over(traced, desk, max(route.from_s, ready_s(traced, route.berth, floor.setting)))


def ready_s(traced: TraceJob, berth: Berth, setting: Setting) -> int:
    """From here on the job could run there: it is eligible, and its data has arrived."""
    eligible = eligible_s(traced)
    return eligible + math.ceil(transfer_s(traced.job, berth.site, setting.fleet)) if traced.job.data_site else eligible
