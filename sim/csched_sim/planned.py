"""The strategy csched: a SimPy world that implements the ports and is driven by the very `run_cycle` of production.

Planning cycles lie on the grid of slots, from the first submission on. A cycle plans anew only if something has
changed since the last one: a job came or lost its node, a site closed or opened, or a job ended while others competed
for what it held or the plan had grown old. In between, the plan's own starts are honoured.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from csched.accounting.costs import it_kw
from csched.clock import epoch_s, from_epoch_s
from csched.cycle import run_cycle
from csched.domain.job import Job
from csched.domain.plan import Placement, Plan
from csched.domain.snapshot import Occupation, Snapshot, SolveBudget
from csched.domain.verdict import Reason
from csched.placement.snapshots import assemble
from csched_sim.calendar import Calendar, Phase
from csched_sim.floor import Desk, Floor
from csched_sim.outcome import NeverRan, Outcome
from csched_sim.queueing import easy
from csched_sim.setting import Berth, Setting
from csched_sim.traces.trace import TraceJob, submitted

_PLAN_GROWS_OLD_S: Final = 3600
"""By then the forecast may be another."""


def simulate_planned(trace: Iterable[TraceJob], setting: Setting) -> Outcome:
    """Every job of the ordered trace where and when `decide` puts it; who is never placed is reported with reasons."""
    arrivals = iter(trace)
    first = next(arrivals, None)
    if first is None:
        return Outcome()
    world = SimulatedWorld(setting, epoch_s(submitted(first)))
    world.expect(first, arrivals)
    world.calendar.run()
    return world.concluded()


class SimulatedWorld:
    """Queue and time of a simulated fleet; implements `csched.ports.World` over the sites' own ground."""

    def __init__(self, setting: Setting, start_s: int) -> None:
        self.setting = setting
        self.calendar = Calendar(start_s)
        self.floor = Floor(setting, easy, self.calendar, ended=self._ended, lost=self._lost)
        self._grid_s = start_s
        self._budget = SolveBudget(seconds=None, work=setting.work, seed=setting.seed)
        self._pending: dict[str, TraceJob] = {}
        self._sent: dict[str, tuple[TraceJob, Placement]] = {}
        self._due: dict[str, Placement] = {}
        self._reasons: dict[str, str] = {}
        self._sigma: dict[str, float] = {}
        self._known: dict[tuple[str, int], Occupation] = {}
        self._decisions = 0
        self._changed = False
        self._contended = False
        self._planned_s = start_s
        self._more_to_come = True
        self._cycles_ahead: set[int] = set()
        for instant_s in self.floor.closings_s():
            self.calendar.at(instant_s, Phase.SUBMISSION, self._note_change)

    def snapshot(self) -> Snapshot:
        drained = {site.id: why for site in self.setting.fleet.sites if (why := self.floor.closed(site.id)) is not None}
        return assemble(
            self.setting.fleet,
            [self._left_of(traced) for traced in self._pending.values()],
            self.setting.carbon,
            self._now(),
            self.setting.horizon_s,
            self.setting.slot_s,
            running=tuple(self._occupations()),
            drained=drained,
        )

    def commit(self, plan: Plan) -> Sequence[Placement]:
        """Nothing goes stale between a simulated decision and its commit: all that is due now stands."""
        self._due = {placement.job: placement for placement in plan.placements}
        self._reasons = {unplaced.job: _told(unplaced.reasons) for unplaced in plan.unplaced}
        self._planned_s, self._contended = self.calendar.now_s, _contended(plan)
        return self._due_now()

    def dispatch(self, placement: Placement) -> None:
        """Hand the job to its site, whose own scheduler starts it; it ends after its true run time."""
        traced = self._pending.pop(placement.job)
        del self._due[placement.job]
        berth = self.setting.berth(placement.site, placement.partition)
        self._sent[placement.job] = (traced, placement)
        self._sigma[placement.job] = placement.sigma
        desk = self.floor.desk(berth)
        desk.asked += berth.hardware.gpus_held(traced.job.gpus)
        self.floor.hand_over(traced, desk, self.calendar.now_s)

    def expect(self, traced: TraceJob, later: Iterable[TraceJob]) -> None:
        """Submit this job at its time, and then expect the next one: the trace is never held as a whole."""
        self.calendar.at(epoch_s(submitted(traced)), Phase.SUBMISSION, partial(self._submit, traced, later))

    def concluded(self) -> Outcome:
        """What became of the trace, once nothing more can happen."""
        outcome = self.floor.outcome
        outcome.decisions = self._decisions
        outcome.runs = [run._replace(sigma=self._sigma[run.traced.job.job]) for run in outcome.runs]
        for name, traced in self._pending.items():
            outcome.never_ran.append(NeverRan(traced, self._reasons.get(name, "it was never planned")))
            self.setting.progress(1)
        return outcome

    def _occupations(self) -> Iterator[Occupation]:
        """What is held at the sites: by repairs and by whoever runs or queues there, strangers included."""
        now_s = self.calendar.now_s
        known, self._known = self._known, {}
        for desk in self.floor.desks.values():
            berth = desk.berth
            for name, work in desk.working.items():
                occupation = known.get((name, work.start_s))
                if occupation is None:
                    occupation = _occupation(berth, name, work.waiting.traced, work.claim.gpus, work.claim.until_s)
                self._known[name, work.start_s] = occupation
                yield occupation
            for waiting in desk.queue.waiting:
                until_s = now_s + waiting.limit_s
                yield _occupation(berth, waiting.traced.job.job, waiting.traced, waiting.gpus, until_s)
            for name, claim in desk.repairs.items():
                yield _occupation(berth, name, None, claim.gpus, claim.until_s)

    def _left_of(self, traced: TraceJob) -> Job:
        """The job as it is still to be planned: less what it has behind it."""
        if traced.job.job not in self.floor.progress:
            return traced.job
        limit_s, _ = self.floor.left_of(traced)
        expected_s = traced.job.expected_runtime_s
        left = {"time_limit_s": limit_s, "expected_runtime_s": None if expected_s is None else min(expected_s, limit_s)}
        return traced.job.model_copy(update=left)

    def _submit(self, traced: TraceJob, later: Iterable[TraceJob]) -> None:
        following = next(iter(later), None)
        self._more_to_come = following is not None
        if following is not None:
            self.floor.open_jobs += 1
            self.expect(following, later)
        self._pending[traced.job.job] = traced
        self._note_change()

    def _ended(self, traced: TraceJob) -> None:
        """More room betters no plan in which everybody has the start that is best for him alone."""
        del self._sent[traced.job.job]
        old = self.calendar.now_s - self._planned_s >= _PLAN_GROWS_OLD_S
        if self._pending and (self._contended or old):
            self._note_change()

    def _lost(self, traced: TraceJob, _desk: Desk) -> None:
        """Its node failed: it is to be placed anew."""
        del self._sent[traced.job.job]
        self._pending[traced.job.job] = traced
        self._note_change()

    def _note_change(self) -> None:
        self._changed = True
        self._plan_cycle(self.calendar.now_s)

    def _plan_cycle(self, time_s: int) -> None:
        """Make sure that there is a cycle at the first instant of the grid that is not before `time_s`."""
        slot_s = self.setting.slot_s
        at_s = self._grid_s + -(-(time_s - self._grid_s) // slot_s) * slot_s
        if at_s not in self._cycles_ahead:
            self._cycles_ahead.add(at_s)
            self.calendar.at(at_s, Phase.DECISION, partial(self._cycle, at_s))

    def _cycle(self, at_s: int) -> None:
        self._cycles_ahead.remove(at_s)
        if self._changed and self._pending:
            self._changed = False
            self._decisions += 1
            run_cycle(self, self.setting.policies, self._budget)
            self._look_out_for_far_starts()
        else:
            for placement in self._due_now():
                self.dispatch(placement)
        if self._due:
            self._plan_cycle(min(epoch_s(placement.start) for placement in self._due.values()))
        elif self._pending:
            self._wait_for_the_world()

    def _wait_for_the_world(self) -> None:
        """Nothing that waits has a start: plan again when a site opens; else give up once nothing else can change."""
        opening_s = self.floor.next_opening_s()
        if opening_s is not None:
            self.calendar.at(opening_s, Phase.SUBMISSION, self._note_change)
        elif self.floor.disturbed and (self._sent or self._more_to_come):
            self.calendar.at(self.calendar.now_s + self.setting.slot_s, Phase.SUBMISSION, self._note_change)
        elif not self._sent and not self._more_to_come:
            self.floor.open_jobs = 0

    def _look_out_for_far_starts(self) -> None:
        """A job whose earliest start lies past the horizon is planned again once the horizon reaches it."""
        reach = self._now() + timedelta(seconds=self.setting.horizon_s - self.setting.slot_s)
        far = [job.earliest_start for job in (traced.job for traced in self._pending.values()) if job.earliest_start]
        beyond = min((instant for instant in far if instant > reach), default=None)
        if beyond is not None:
            again_s = self.calendar.now_s + epoch_s(beyond) - epoch_s(reach)
            self.calendar.at(again_s, Phase.SUBMISSION, self._note_change)

    def _due_now(self) -> list[Placement]:
        now = self._now()
        return [placement for placement in self._due.values() if placement.start <= now]

    def _now(self) -> datetime:
        return from_epoch_s(self.calendar.now_s)


def _contended(plan: Plan) -> bool:
    """Whether some job was left out, or would have been better off without the others."""
    if plan.unplaced or plan.gap > 0 or plan.certificate is None:
        return True
    prices = (*plan.certificate.gpu.values(), *plan.certificate.power.values())
    return any(any(by_slot) for by_slot in prices)


def _occupation(berth: Berth, name: str, traced: TraceJob | None, gpus_held: int, until_s: int) -> Occupation:
    drawn_kw = it_kw(traced.job.gpus, berth.hardware.kw_per_gpu, traced.job.load) if traced else 0.0
    return Occupation(
        job=name,
        site=berth.site.id,
        partition=berth.partition.name,
        gpus_held=gpus_held,
        it_kw=drawn_kw,
        until=from_epoch_s(until_s),
    )


def _told(reasons: Sequence[Reason]) -> str:
    messages = dict.fromkeys(reason.message for reason in reasons)
    return "; ".join(messages) or "no reason was given"
