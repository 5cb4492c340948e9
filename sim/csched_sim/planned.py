"""The strategy csched: a SimPy world that implements the ports and is driven by the very `run_cycle` of production.

Planning cycles lie on the grid of slots, from the first submission on. A cycle plans anew only if something has
changed since the last one: a job came, ended, or was due. In between, the plan's own starts are honoured.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial

from csched.accounting.costs import it_kw
from csched.clock import epoch_s, from_epoch_s
from csched.cycle import run_cycle
from csched.domain.plan import Placement, Plan
from csched.domain.snapshot import Occupation, Snapshot, SolveBudget
from csched.domain.verdict import Reason
from csched.placement.snapshots import assemble
from csched_sim.calendar import Calendar, Phase
from csched_sim.outcome import NeverRan, Outcome, Run
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
    """Queue, running jobs and time of a simulated fleet; implements `csched.ports.World`."""

    def __init__(self, setting: Setting, start_s: int) -> None:
        self.setting = setting
        self.calendar = Calendar(start_s)
        self._grid_s = start_s
        self._budget = SolveBudget(seconds=None, work=setting.work, seed=setting.seed)
        self._pending: dict[str, TraceJob] = {}
        self._running: dict[str, Occupation] = {}
        self._due: dict[str, Placement] = {}
        self._reasons: dict[str, str] = {}
        self._changed = False
        self._cycles_ahead: set[int] = set()
        self._outcome = Outcome()

    def snapshot(self) -> Snapshot:
        return assemble(
            self.setting.fleet,
            [traced.job for traced in self._pending.values()],
            self.setting.carbon,
            self._now(),
            self.setting.horizon_s,
            self.setting.slot_s,
            running=tuple(self._running.values()),
        )

    def commit(self, plan: Plan) -> Sequence[Placement]:
        """Nothing goes stale between a simulated decision and its commit: all that is due now stands."""
        self._due = {placement.job: placement for placement in plan.placements}
        self._reasons = {unplaced.job: _told(unplaced.reasons) for unplaced in plan.unplaced}
        return self._due_now()

    def dispatch(self, placement: Placement) -> None:
        """Start the job; it ends after its true run time, which the plan did not know."""
        traced = self._pending.pop(placement.job)
        del self._due[placement.job]
        berth = self.setting.berth(placement.site, placement.partition)
        start_s = epoch_s(placement.start)
        self._running[placement.job] = Occupation(
            job=placement.job,
            site=placement.site,
            partition=placement.partition,
            gpus_held=berth.hardware.gpus_held(placement.gpus),
            it_kw=it_kw(placement.gpus, berth.hardware.kw_per_gpu, traced.job.load),
            until=placement.start + timedelta(seconds=traced.job.time_limit_s),
        )
        self._outcome.runs.append(Run(traced, berth, start_s, start_s + traced.runtime_s, placement.sigma))
        self.calendar.at(start_s + traced.runtime_s, Phase.END, partial(self._end, placement.job))

    def expect(self, traced: TraceJob, later: Iterable[TraceJob]) -> None:
        """Submit this job at its time, and then expect the next one: the trace is never held as a whole."""
        self.calendar.at(epoch_s(submitted(traced)), Phase.SUBMISSION, partial(self._submit, traced, later))

    def concluded(self) -> Outcome:
        """What became of the trace, once nothing more can happen."""
        for name, traced in self._pending.items():
            self._outcome.never_ran.append(NeverRan(traced, self._reasons.get(name, "it was never planned")))
            self.setting.progress(1)
        return self._outcome

    def _submit(self, traced: TraceJob, later: Iterable[TraceJob]) -> None:
        following = next(iter(later), None)
        if following is not None:
            self.expect(following, later)
        self._pending[traced.job.job] = traced
        self._note_change()

    def _end(self, job: str) -> None:
        del self._running[job]
        self.setting.progress(1)
        if self._pending:
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
            self._outcome.decisions += 1
            run_cycle(self, self.setting.policies, self._budget)
            self._look_out_for_far_starts()
        else:
            for placement in self._due_now():
                self.dispatch(placement)
        if self._due:
            self._plan_cycle(min(epoch_s(placement.start) for placement in self._due.values()))

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


def _told(reasons: Sequence[Reason]) -> str:
    messages = dict.fromkeys(reason.message for reason in reasons)
    return "; ".join(messages) or "no reason was given"
