"""What plans have announced to jobs that still wait, and what happens that makes these plans out of date."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Final

from csched.accounting.costs import it_kw
from csched.clock import epoch_s, from_epoch_s
from csched.domain.carbon import CarbonOutlook, CarbonSeries
from csched.domain.job import Job
from csched.domain.plan import Placement, Plan, Unplaced
from csched.domain.snapshot import AnnouncedStart, Occupation, Snapshot, StandingPlan
from csched_sim.setting import Berth, Setting

GROWS_OLD_S: Final = 3600
"""What has joined a plan since was planned beside it and never with it; by then it may be worth planning all anew."""


class Announcements:
    """Announced starts, and the newest plan that planned everything anew."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self.starts: dict[str, Placement] = {}
        """Job -> where and when it was told to start."""
        self._held: dict[str, Occupation] = {}
        self._plan: Plan | None = None
        self._sky: CarbonOutlook | None = None
        self._joined = False
        self._freed: Counter[tuple[str, str]] = Counter()
        self.called: set[str] = set()
        """Jobs that the next plan may move, though it is not one of everything."""
        self._left_out: set[str] = set()
        """Jobs for which the newest plan of everything had no place."""

    def renew(self, plan: Plan, view: Snapshot) -> None:
        """All that waits has been planned anew."""
        self.starts.clear()
        self._held.clear()
        self.called.clear()
        self._freed.clear()
        self._plan, self._sky, self._joined = plan, view.carbon, False
        self._left_out = {unplaced.job for unplaced in plan.unplaced}
        self._announce(plan, view)

    def join(self, plan: Plan, view: Snapshot) -> None:
        """New jobs, and those that were called, have been planned beside what was announced."""
        self._joined = True
        for unplaced in plan.unplaced:
            self._held.pop(unplaced.job, None)
            self.starts.pop(unplaced.job, None)
        self.called.clear()
        self._announce(plan, view)

    def take(self, job: str) -> Placement:
        """The job starts: it waits no more."""
        del self._held[job]
        self.called.discard(job)
        return self.starts.pop(job)

    def free(self, berth: Berth, gpus: int) -> None:
        """So many GPUs are free there before their time."""
        self._freed[berth.site.id, berth.partition.name] += gpus

    def call(self) -> None:
        """Where GPUs are free before their time, who is next in line may start sooner; the others stand."""
        if not self._freed:
            return
        for start in sorted(self.starts.values(), key=lambda start: (start.start, start.job)):
            place = start.site, start.partition
            if self._freed[place] > 0:
                self._freed[place] -= self._held[start.job].gpus_held
                self.called.add(start.job)
        self._freed.clear()

    def occupations(self) -> Iterable[Occupation]:
        """What the announced starts will hold that stand."""
        return (held for job, held in self._held.items() if job not in self.called)

    def found_no_room(self, unplaced: Iterable[Unplaced]) -> bool:
        """Whether among these, planned beside what was announced, is one that could have a place if all moved."""
        return any(each.penalty_kg is not None and each.job not in self._left_out for each in unplaced)

    def standing(self) -> StandingPlan | None:
        """The prices that stood. Announced starts too, where the planner works enough to move what is worth it."""
        if self._plan is None:
            return None
        told = self.starts.items() if self._setting.work else ()
        starts = {
            job: AnnouncedStart.model_construct(
                site=start.site, partition=start.partition, reservation=start.reservation, start=start.start
            )
            for job, start in told
        }
        return StandingPlan.model_construct(
            now=self._plan.now, slot_s=self._setting.slot_s, starts=starts, certificate=self._plan.certificate
        )

    def sky_turned(self, sky: CarbonOutlook) -> bool:
        """Whether what is known of the grid now differs from what the newest plan of everything knew of these hours."""
        then = self._sky
        return then is None or any(not _foretold(then.zones[zone], series) for zone, series in sky.zones.items())

    def is_old(self, now_s: int) -> bool:
        """Whether an end may better a plan that is an hour old: somebody joined it, or competed in it."""
        if self._plan is None:
            return True
        return now_s - epoch_s(self._plan.now) >= GROWS_OLD_S and (self._joined or _contended(self._plan))

    def has_a_price(self, berth: Berth, now_s: int) -> bool:
        """Whether somebody who waits would start there at this hour if he could."""
        plan = self._plan
        if plan is None or plan.unplaced or plan.certificate is None:
            return True
        slot = (now_s - epoch_s(plan.now)) // self._setting.slot_s
        gpu = plan.certificate.gpu.get(f"{berth.site.id}/{berth.partition.name}", ())
        power = plan.certificate.power.get(berth.site.id, ())
        return any(gpu[slot : slot + 1]) or any(power[slot : slot + 1])

    def _announce(self, plan: Plan, view: Snapshot) -> None:
        jobs: Mapping[str, Job] = {job.job: job for job in view.jobs}
        for placement in plan.placements:
            self.starts[placement.job] = placement
            berth = self._setting.berth(placement.site, placement.partition)
            self._held[placement.job] = announced(berth, jobs[placement.job], placement)


def announced(berth: Berth, job: Job, placement: Placement) -> Occupation:
    """What a start will hold once it comes."""
    return Occupation.model_construct(
        job=job.job,
        site=berth.site.id,
        partition=berth.partition.name,
        gpus_held=berth.hardware.gpus_held(job.gpus),
        it_kw=it_kw(job.gpus, berth.hardware.kw_per_gpu, job.load),
        since=placement.start,
        until=placement.start + timedelta(seconds=job.limit_s_on(berth.hardware.key)),
    )


def occupation(berth: Berth, name: str, job: Job | None, gpus_held: int, until_s: int) -> Occupation:
    """What is held already; by nobody's job where there is none."""
    return Occupation.model_construct(
        job=name,
        site=berth.site.id,
        partition=berth.partition.name,
        gpus_held=gpus_held,
        it_kw=it_kw(job.gpus, berth.hardware.kw_per_gpu, job.load) if job else 0.0,
        until=from_epoch_s(until_s),
    )


def _contended(plan: Plan) -> bool:
    """Whether some job was left out, or would have been better off without the others."""
    if plan.unplaced or plan.gap > 0 or plan.certificate is None:
        return True
    prices = (*plan.certificate.gpu.values(), *plan.certificate.power.values())
    return any(any(by_slot) for by_slot in prices)


def _foretold(then: CarbonSeries, now: CarbonSeries) -> bool:
    """Whether the two agree where both reach."""
    first = bisect_right(then.starts_s, now.start_s) - 1
    steps = min(len(then.starts_s) - first, len(now.starts_s))
    same = then.g_per_kwh[first : first + steps] == now.g_per_kwh[:steps]
    return same and then.starts_s[first + 1 : first + steps] == now.starts_s[1:steps]
