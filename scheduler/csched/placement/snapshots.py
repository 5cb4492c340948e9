"""Putting together what a decision may know."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from csched.domain.job import Job
from csched.domain.run import JobState
from csched.domain.site import Fleet
from csched.domain.snapshot import Occupation, SiteRefusal, Snapshot, StandingPlan, Usage
from csched.ports import CarbonSource
from csched.topology.catalogue import hardware_of


def assemble(
    fleet: Fleet,
    jobs: Sequence[Job],
    carbon_source: CarbonSource,
    now: datetime,
    horizon_s: int,
    slot_s: int,
    running: Sequence[Occupation] = (),
    drained: Mapping[str, str] | None = None,
    held: Sequence[str] = (),
    standing: StandingPlan | None = None,
    ended: Mapping[str, JobState] | None = None,
    usage: Sequence[Usage] = (),
    refusals: Sequence[SiteRefusal] = (),
) -> Snapshot:
    """One frozen view, with an outlook that reaches past the end of the longest job that starts in the last slot.

    Raises:
        InputError: unknown hardware, or a zone that the carbon source does not know.
        Unavailable: a remote carbon source that does not answer.
    """
    hardware = hardware_of(fleet)
    longest_s = max((_longest_s(job, hardware) for job in jobs), default=0)
    zones = sorted({site.grid_zone for site in fleet.sites})
    until = now + timedelta(seconds=horizon_s + longest_s + slot_s)
    return Snapshot(
        now=now,
        horizon_s=horizon_s,
        slot_s=slot_s,
        fleet=fleet,
        hardware=hardware,
        jobs=tuple(jobs),
        running=tuple(running),
        carbon=carbon_source.outlook(zones, now, now, until),
        drained=drained or {},
        held=tuple(held),
        ended=ended or {},
        usage=tuple(usage),
        refusals=tuple(refusals),
        standing=standing.for_jobs([job.job for job in jobs]) if standing else None,
    )


def _longest_s(job: Job, hardware: Iterable[str]) -> int:
    """The job's limit on the hardware where it takes longest."""
    return max(map(job.limit_s_on, hardware)) if job.runtime_factors else job.time_limit_s
