"""The strategy csched: a SimPy world that implements the ports and is driven by the very `run_cycle` of production.

Planning cycles lie on the grid of slots, from the first submission on. A cycle plans all that waits anew only if there
is reason to: the forecast is another, a job lost its node or found no room, a site closed or opened, or a job ended for
whose GPUs others competed, or when the plan had grown old. Otherwise jobs that came are planned beside the announced
starts, which stand; a cycle in which nothing has changed honours them.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial

from csched.clock import epoch_s, from_epoch_s
from csched.cycle import run_cycle
from csched.domain.job import Job
from csched.domain.plan import Placement, Plan
from csched.domain.snapshot import Occupation, Snapshot, SolveBudget
from csched.domain.verdict import Reason
from csched.placement.snapshots import assemble
from csched_sim.announcements import GROWS_OLD_S, Announcements, occupation
from csched_sim.calendar import Calendar, Phase
from csched_sim.floor import Desk, Floor
from csched_sim.outcome import NeverRan, Outcome
from csched_sim.queueing import easy
from csched_sim.setting import Setting
from csched_sim.traces.trace import TraceJob, submitted


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
        self._sigma: dict[str, float] = {}
        self.floor = Floor(
            setting, easy, self.calendar, ended=self._ended, lost=self._lost, sigma_of=self._sigma.__getitem__
        )
        self._grid_s = start_s
        self._budget = SolveBudget(seconds=None, work=setting.work, seed=setting.seed, resident=True)
        self._pending: dict[str, TraceJob] = {}
        self._sent: dict[str, tuple[TraceJob, Placement]] = {}
        self._announced = Announcements(setting)
        self._reasons: dict[str, str] = {}
        self._known: dict[tuple[str, int], Occupation] = {}
        self._decisions = 0
        self._changed = False
        self._anew = True
        """Whether the next cycle plans all that waits, not only the jobs that came."""
        self._planned_s = start_s
        self._view: Snapshot | None = None
        self._more_to_come = True
        self._cycles_ahead: set[int] = set()
        for instant_s in self.floor.closings_s():
            self.calendar.at(instant_s, Phase.SUBMISSION, self._plan_anew)

    def snapshot(self) -> Snapshot:
        """All that waits, or the jobs that came since beside what was announced to the others."""
        self._anew = self._anew or not self._announced.starts
        self._announced.call()
        view = self._seen()
        if not self._anew and self._announced.sky_turned(view.carbon):
            self._anew = True
            view = self._seen()
        self._view = view
        return view

    def _seen(self) -> Snapshot:
        stands = () if self._anew else self._announced.starts.keys() - self._announced.called
        waiting = [traced for name, traced in self._pending.items() if name not in stands]
        drained = {site.id: why for site in self.setting.fleet.sites if (why := self.floor.closed(site.id)) is not None}
        return assemble(
            self.setting.fleet,
            [self._left_of(traced) for traced in waiting],
            self.setting.carbon,
            self._now(),
            self.setting.horizon_s,
            self.setting.slot_s,
            running=(*self._occupations(), *(() if self._anew else self._announced.occupations())),
            drained=drained,
            standing=self._announced.standing() if self._anew else None,
        )

    def commit(self, plan: Plan) -> Sequence[Placement]:
        """Nothing goes stale between a simulated decision and its commit: all that is due now stands."""
        if self._view is None:
            raise ValueError("a plan without a snapshot")
        self._reasons = {unplaced.job: _told(unplaced.reasons) for unplaced in plan.unplaced}
        if self._anew:
            self._anew = False
            self._planned_s = self.calendar.now_s
            self._announced.renew(plan, self._view)
            self._look_again_later()
        else:
            self._announced.join(plan, self._view)
            if self._announced.found_no_room(plan.unplaced):
                self._plan_anew()
        return self._due_now()

    def dispatch(self, placement: Placement) -> None:
        """Hand the job to its site, whose own scheduler starts it; it ends after its true run time."""
        traced = self._pending.pop(placement.job)
        self._announced.take(placement.job)
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
                held = known.get((name, work.start_s))
                if held is None:
                    held = occupation(berth, name, work.waiting.traced.job, work.claim.gpus, work.claim.until_s)
                self._known[name, work.start_s] = held
                yield held
            for waiting in desk.queue.waiting:
                job = waiting.traced.job
                yield occupation(berth, job.job, job, waiting.gpus, now_s + waiting.limit_s)
            for name, claim in desk.repairs.items():
                yield occupation(berth, name, None, claim.gpus, claim.until_s)

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
        """More room betters no plan in which nobody competed for it."""
        _, placement = self._sent.pop(traced.job.job)
        del self._sigma[traced.job.job]
        if not self._pending:
            return
        now_s, berth = self.calendar.now_s, self.setting.berth(placement.site, placement.partition)
        if self._announced.is_old(now_s):
            self._plan_anew()
        elif self._announced.has_a_price(berth, now_s):
            self._announced.free(berth, berth.hardware.gpus_held(traced.job.gpus))
            self._note_change()

    def _lost(self, traced: TraceJob, _desk: Desk) -> None:
        """Its node failed: it is to be placed anew."""
        del self._sent[traced.job.job]
        self._pending[traced.job.job] = traced
        self._plan_anew()

    def _plan_anew(self) -> None:
        self._anew = True
        self._note_change()

    def _look_again(self, planned_s: int) -> None:
        """The forecast may be another than at the newest plan of everything, though nothing else has happened."""
        if planned_s != self._planned_s or not self._announced.starts:
            return
        now = self._now()
        until = now + timedelta(seconds=self.setting.horizon_s)
        if self._announced.sky_turned(self.setting.carbon.outlook(self.setting.zones, now, now, until)):
            self._plan_anew()
        else:
            self._look_again_later()

    def _look_again_later(self) -> None:
        at_s = self.calendar.now_s + GROWS_OLD_S
        self.calendar.at(at_s, Phase.SUBMISSION, partial(self._look_again, self._planned_s))

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
        if self._announced.starts:
            self._plan_cycle(min(epoch_s(placement.start) for placement in self._announced.starts.values()))
        elif self._pending:
            self._wait_for_the_world()

    def _wait_for_the_world(self) -> None:
        """Nothing that waits has a start: plan again when a site opens; else give up once nothing else can change."""
        opening_s = self.floor.next_opening_s()
        if opening_s is not None:
            self.calendar.at(opening_s, Phase.SUBMISSION, self._plan_anew)
        elif self.floor.disturbed and (self._sent or self._more_to_come):
            self.calendar.at(self.calendar.now_s + self.setting.slot_s, Phase.SUBMISSION, self._plan_anew)
        elif not self._sent and not self._more_to_come:
            self.floor.open_jobs = 0

    def _look_out_for_far_starts(self) -> None:
        """A job whose earliest start lies past the horizon is planned again once the horizon reaches it."""
        reach = self._now() + timedelta(seconds=self.setting.horizon_s - self.setting.slot_s)
        far = [job.earliest_start for job in (traced.job for traced in self._pending.values()) if job.earliest_start]
        beyond = min((instant for instant in far if instant > reach), default=None)
        if beyond is not None:
            again_s = self.calendar.now_s + epoch_s(beyond) - epoch_s(reach)
            self.calendar.at(again_s, Phase.SUBMISSION, self._plan_anew)

    def _due_now(self) -> list[Placement]:
        now = self._now()
        return [placement for placement in self._announced.starts.values() if placement.start <= now]

    def _now(self) -> datetime:
        return from_epoch_s(self.calendar.now_s)


def _told(reasons: Sequence[Reason]) -> str:
    messages = dict.fromkeys(reason.message for reason in reasons)
    return "; ".join(messages) or "no reason was given"
