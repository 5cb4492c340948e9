"""Three days of synthetic jobs on ten sites and a real grid, and the ways to start them; all in whole hours.

Jobs run as long as their limits. The cluster is empty at the beginning, and nothing arrives after 72 hours. An hour is
known when it begins: who arrives in it arrives at its beginning.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import NamedTuple

import numpy as np

from bench.placement.families import fitted_sizes
from csched.accounting.costs import it_kw
from csched.clock import epoch_s
from csched.cycle import decide
from csched.domain.carbon import CarbonOutlook
from csched.domain.hardware import Hardware
from csched.domain.job import Job
from csched.domain.site import Fleet
from csched.domain.snapshot import Occupation, Snapshot, SolveBudget, StandingPlan
from csched.placement.dtypes import Floats
from csched.ports import CarbonSource
from csched.topology.catalogue import hardware_of
from csched_sim.queueing import PartitionQueue, Waiting, easy
from csched_sim.traces.trace import TraceJob

HOUR_S = 3600
ARRIVING_H, HORIZON_H, REACH_H = 72, 48, 14 * 24
JOBS, LOAD, LARGEST_JOB = 5_360, 0.65, 192
NODES = {"FI": 100, "SE": 60, "FR": 150, "DE": 125, "ES": 100, "IT-NO": 80, "NL": 40, "PL": 40, "AT": 30, "IE": 25}
"""Zone -> nodes of eight GPUs: 6,000 GPUs in all."""
LIMIT_H = (1, 2, 4, 6, 8, 12, 16, 24)
LIMIT_ODDS = (0.2, 0.15, 0.15, 0.12, 0.13, 0.12, 0.06, 0.07)
DEFERRAL_H = (24, 12, 6)
"""By priority: so long after its arrival a job may start."""
HOME_ONLY, FOUR_SITES = 0.30, 0.25
"""Shares of the jobs; the others may run anywhere."""
CYCLE = SolveBudget(seconds=None, work=30, gap=0.01)
FORESEEN = SolveBudget(seconds=None, work=4_000)


class Started(NamedTuple):
    site: int
    hour: int


Outcome = dict[int, Started]
"""Job -> where and when it started."""
Policy = Callable[["ThreeDays"], Outcome]


@dataclass(frozen=True)
class ThreeDays:
    start: datetime
    fleet: Fleet
    jobs: tuple[Job, ...]
    """In order of arrival."""
    carbon: CarbonOutlook

    @staticmethod
    def of(source: CarbonSource, start: datetime, seed: int) -> "ThreeDays":
        fleet = _fleet()
        reach = start + timedelta(hours=REACH_H)
        return ThreeDays(start, fleet, _jobs(fleet, start, seed), source.outlook(tuple(NODES), start, start, reach))

    @cached_property
    def hardware(self) -> Hardware:
        return next(iter(hardware_of(self.fleet).values()))

    @cached_property
    def intensities(self) -> Floats:
        """g/kWh of each site and hour from the start on; shape (sites, REACH_H)."""
        hours = [self.start + timedelta(hours=hour) for hour in range(REACH_H)]
        return np.array([[self.carbon.zone(site.grid_zone).at(hour) for hour in hours] for site in self.fleet.sites])

    def arrival_h(self, job: Job) -> int:
        assert job.submit is not None  # noqa: S101 # every job here has one
        return (epoch_s(job.submit) - epoch_s(self.start)) // HOUR_S

    def length_h(self, job: Job) -> int:
        return job.time_limit_s // HOUR_S

    def carbon_kg(self, job: Job, started: Started) -> float:
        site = self.fleet.sites[started.site]
        kw = it_kw(job.gpus, self.hardware.kw_per_gpu, job.load) * self.fleet.pue(site)
        run = self.intensities[started.site, started.hour : started.hour + self.length_h(job)]
        return kw * float(run.sum()) / 1000

    def allowed(self, job: Job) -> list[int]:
        return [
            index for index, site in enumerate(self.fleet.sites) if not job.countries or site.country in job.countries
        ]

    def at(self, hour: int) -> datetime:
        return self.start + timedelta(hours=hour)


def easy_at_home(days: ThreeDays) -> Outcome:
    """First come first served with EASY backfilling, each job at its home site."""
    queues = [PartitionQueue(site.partitions[0].gpu_count(days.hardware)) for site in days.fleet.sites]
    index_of = {site.id: index for index, site in enumerate(days.fleet.sites)}
    arriving: dict[int, list[int]] = {}
    for index, job in enumerate(days.jobs):
        arriving.setdefault(days.arrival_h(job), []).append(index)
    number_of = {job.job: index for index, job in enumerate(days.jobs)}
    outcome: Outcome = {}
    for hour in range(REACH_H):
        now_s = epoch_s(days.at(hour))
        for index in arriving.get(hour, ()):
            job = days.jobs[index]
            gpus, limit_s = days.hardware.gpus_held(job.gpus), job.time_limit_s
            queue = queues[index_of[str(job.home_site)]]
            queue.waiting.append(Waiting(TraceJob(job, limit_s), gpus, limit_s, limit_s))
        for site, queue in enumerate(queues):
            for claim in [claim for claim in queue.running if claim.until_s <= now_s]:
                queue.end(claim)
            for waiting, _ in easy(queue, now_s):
                outcome[number_of[waiting.traced.job.job]] = Started(site, hour)
    return outcome


def booked(threshold_h: int) -> Policy:
    """At its arrival each job books the start of least carbon that it need not wait for longer than the threshold.

    Where all of them are taken it books the earliest start there is.
    """

    def policy(days: ThreeDays) -> Outcome:
        free = np.array([[site.partitions[0].gpu_count(days.hardware)] * REACH_H for site in days.fleet.sites])
        before = np.concatenate([np.zeros((len(free), 1)), np.cumsum(days.intensities, axis=1)], axis=1)
        outcome: Outcome = {}
        for index, job in enumerate(days.jobs):
            arrival, length, held = days.arrival_h(job), days.length_h(job), days.hardware.gpus_held(job.gpus)
            patience = min(threshold_h, DEFERRAL_H[job.priority])
            starts = np.arange(arrival, REACH_H - length)
            sites = np.array(days.allowed(job))
            room = np.lib.stride_tricks.sliding_window_view(free[sites], length, axis=1).min(axis=2)[:, starts] >= held
            run = before[sites][:, starts + length] - before[sites][:, starts]
            in_time = room & (starts <= arrival + patience)
            wish = np.where(in_time, run, np.inf) if in_time.any() else np.where(room, starts * 1e6 + run, np.inf)
            row, column = np.unravel_index(int(wish.argmin()), wish.shape)
            site, hour = int(sites[row]), int(starts[column])
            free[site, hour : hour + length] -= held
            outcome[index] = Started(site, hour)
        return outcome

    return policy


def planned(wait_kg_per_gpu_h: float) -> Policy:
    """csched: every hour a plan of all that waits, begun where the last one stood; what is due starts."""

    def policy(days: ThreeDays) -> Outcome:
        fleet = _priced(days.fleet, wait_kg_per_gpu_h)
        index_of = {site.id: index for index, site in enumerate(fleet.sites)}
        outcome: Outcome = {}
        waiting: list[int] = []
        standing: StandingPlan | None = None
        arrivals = [days.arrival_h(job) for job in days.jobs]
        for hour in range(REACH_H - HORIZON_H):
            waiting += [index for index, arrival in enumerate(arrivals) if arrival == hour]
            if not waiting:
                continue
            jobs = {days.jobs[index].job: index for index in waiting}
            pending = [_patient(days, days.jobs[index], hour) for index in waiting]
            announced = standing.for_jobs(jobs) if standing else None
            snapshot = _snapshot(days, fleet, hour, pending, outcome).model_copy(update={"standing": announced})
            plan = decide(snapshot, None, CYCLE)
            standing = StandingPlan.of(plan, announced)
            for placement in plan.placements:
                if placement.start == snapshot.now:
                    outcome[jobs[placement.job]] = Started(index_of[placement.site], hour)
            waiting = [index for index in waiting if index not in outcome]
        return outcome

    return policy


def clairvoyant(days: ThreeDays) -> tuple[Outcome, float]:
    """The schedule of somebody who knows all jobs at the beginning and minds carbon alone.

    And the kg that are proven to be the least of any schedule that starts every job in time.
    """
    fleet = _priced(days.fleet, 0.0)
    index_of = {site.id: index for index, site in enumerate(fleet.sites)}
    snapshot = _snapshot(days, fleet, 0, days.jobs, {}).model_copy(update={"horizon_s": (ARRIVING_H + 24) * HOUR_S})
    plan = decide(snapshot, None, FORESEEN)
    number_of = {job.job: index for index, job in enumerate(days.jobs)}
    starts = {
        number_of[each.job]: Started(index_of[each.site], (epoch_s(each.start) - epoch_s(days.start)) // HOUR_S)
        for each in plan.placements
    }
    return starts, plan.bound_kg


def _patient(days: ThreeDays, job: Job, hour: int) -> Job:
    """A job too late for its deadline goes without one: it is late, not lost."""
    late = job.deadline is not None and days.at(hour) + timedelta(seconds=job.time_limit_s) > job.deadline
    return job.model_copy(update={"deadline": None}) if late else job


def _snapshot(days: ThreeDays, fleet: Fleet, hour: int, jobs: Sequence[Job], outcome: Outcome) -> Snapshot:
    running = []
    for index, started in outcome.items():
        job, until_h = days.jobs[index], started.hour + days.length_h(days.jobs[index])
        if until_h > hour:
            site, hardware = fleet.sites[started.site], days.hardware
            running.append(
                Occupation(
                    job=job.job,
                    site=site.id,
                    partition="gpu",
                    gpus_held=hardware.gpus_held(job.gpus),
                    it_kw=it_kw(job.gpus, hardware.kw_per_gpu, job.load),
                    until=days.at(until_h),
                )
            )
    return Snapshot(
        now=days.at(hour),
        horizon_s=HORIZON_H * HOUR_S,
        slot_s=HOUR_S,
        fleet=fleet,
        hardware=hardware_of(fleet),
        jobs=tuple(jobs),
        running=tuple(running),
        carbon=days.carbon,
    )


def _priced(fleet: Fleet, wait_kg_per_gpu_h: float) -> Fleet:
    objective = fleet.objective.model_copy(update={"wait_kg_per_gpu_h": wait_kg_per_gpu_h})
    return fleet.model_copy(update={"objective": objective})


def _fleet() -> Fleet:
    sites = [
        {
            "id": f"site-{zone.lower()}",
            "country": zone[:2],
            "grid_zone": zone,
            "pue": 1.2,
            "partitions": [{"name": "gpu", "hardware": "dgx-h200", "nodes": nodes}],
        }
        for zone, nodes in NODES.items()
    ]
    return Fleet.model_validate({"sites": sites})


def _jobs(fleet: Fleet, start: datetime, seed: int) -> tuple[Job, ...]:
    dice = np.random.default_rng(seed)
    limits_h = dice.choice(LIMIT_H, size=JOBS, p=LIMIT_ODDS)
    gpus = sum(NODES.values()) * 8
    sizes = fitted_sizes(dice.uniform(size=JOBS), limits_h, LOAD * gpus * ARRIVING_H, LARGEST_JOB)
    arrivals_h = np.sort(dice.integers(0, ARRIVING_H, JOBS))
    homes = dice.choice(len(fleet.sites), size=JOBS, p=np.array(list(NODES.values())) / sum(NODES.values()))
    freedom, priority = dice.uniform(size=JOBS), dice.integers(0, len(DEFERRAL_H), JOBS)
    countries = [str(site.country) for site in fleet.sites]
    jobs = []
    for index in range(JOBS):
        home = fleet.sites[homes[index]]
        narrowed: tuple[str, ...] = ()
        if freedom[index] < HOME_ONLY:
            narrowed = (str(home.country),)
        elif freedom[index] < HOME_ONLY + FOUR_SITES:
            others = [country for country in countries if country != home.country]
            narrowed = (str(home.country), *map(str, dice.choice(others, size=3, replace=False)))
        submit, limit = start + timedelta(hours=int(arrivals_h[index])), timedelta(hours=int(limits_h[index]))
        jobs.append(
            Job(
                job=f"j{index}",
                submit=submit,
                gpus=int(sizes[index]),
                time_limit_s=int(limits_h[index]) * HOUR_S,
                deadline=submit + timedelta(hours=DEFERRAL_H[priority[index]]) + limit,
                countries=narrowed,
                home_site=home.id,
                priority=int(priority[index]),
            )
        )
    return tuple(jobs)
