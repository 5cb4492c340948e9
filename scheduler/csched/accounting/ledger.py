"""The bill of an ended job: what it really took, what was planned, and what "at once, at home" would have taken."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from csched.accounting.costs import carbon_kg, egress_kg, it_kw, kwh
from csched.domain.carbon import CarbonOutlook
from csched.domain.hardware import Hardware
from csched.domain.job import Job
from csched.domain.ledger import EnergyMethod, LedgerEntry
from csched.domain.plan import Placement
from csched.domain.run import JobState
from csched.domain.site import Fleet, Site
from csched.errors import InputError
from csched.units import SECONDS_PER_HOUR


@dataclass(frozen=True)
class Run:
    """What truly happened to a job that has ended."""

    job: Job
    project: str | None
    placement: Placement
    state: JobState
    submit: datetime
    start: datetime
    end: datetime


@dataclass(frozen=True)
class Need:
    """What the bill of a run must know of the grid: these zones, over all of [start, end) in whole seconds."""

    zones: tuple[str, ...]
    start: datetime
    end: datetime


def needs(run: Run, fleet: Fleet) -> Need:
    """Raises InputError where the run's site has left the fleet."""
    sites = {run.placement.site, home_site(run.job, fleet)}
    first, last = min(run.submit, run.start), max(run.end, run.submit + (run.end - run.start))
    return Need(
        zones=tuple(sorted({_site(fleet, site).grid_zone for site in sites})),
        start=first.replace(microsecond=0),
        end=last.replace(microsecond=0) + timedelta(seconds=1),
    )


def home_site(job: Job, fleet: Fleet) -> str:
    return fleet.home_site(job.home_site, job.tenant)


def entry(run: Run, fleet: Fleet, hardware: Mapping[str, Hardware], carbon: CarbonOutlook) -> LedgerEntry:
    """The bill, by the arithmetic of the plan over the true start and end.

    The baseline is the same power for the same duration, begun at submission at the submitter's home site; on the
    home site's first partition of the same hardware where there is one, else on its first partition.

    Raises:
        InputError: the site or the partition has left the fleet.
        ValueError: the outlook does not reach as far as `needs` says.
    """
    site, home = _site(fleet, run.placement.site), _site(fleet, home_site(run.job, fleet))
    parts = [(_hardware_of(site, partition), gpus) for partition, gpus in run.placement.parts]
    power_kw = sum(it_kw(gpus, hardware[kind].kw_per_gpu, run.job.load) for kind, gpus in parts)
    home_kw = sum(it_kw(gpus, hardware[_like(home, kind)].kw_per_gpu, run.job.load) for kind, gpus in parts)
    duration = run.end - run.start
    hours = duration.total_seconds() / SECONDS_PER_HOUR
    return LedgerEntry(
        job=run.job.job,
        user=run.job.user,
        tenant=run.job.tenant,
        project=run.project,
        site=site.id,
        state=run.state,
        gpus=run.job.gpus,
        submit=run.submit,
        start=run.start,
        end=run.end,
        planned_kwh=run.placement.kwh,
        planned_carbon_kg=run.placement.carbon_kg,
        kwh=kwh(power_kw, hours, fleet.pue(site)),
        carbon_kg=carbon_kg(power_kw, fleet.pue(site), carbon.zone(site.grid_zone), run.start, run.end),
        egress_kg=egress_kg(run.job, site, fleet),
        energy_method=EnergyMethod.MODEL,
        baseline_site=home.id,
        baseline_kwh=kwh(home_kw, hours, fleet.pue(home)),
        baseline_carbon_kg=carbon_kg(
            home_kw, fleet.pue(home), carbon.zone(home.grid_zone), run.submit, run.submit + duration
        ),
        carbon_source=carbon.source,
        carbon_method=carbon.method,
    )


def _site(fleet: Fleet, site: str) -> Site:
    try:
        return fleet.site(site)
    except KeyError as error:
        raise InputError(f"site `{site}` has left the fleet", hint="keep it there until its jobs are billed") from error


def _hardware_of(site: Site, partition: str) -> str:
    for known in site.partitions:
        if known.name == partition:
            return known.hardware
    raise InputError(
        f"partition `{site.id}/{partition}` has left the fleet", hint="keep it there until its jobs are billed"
    )


def _like(site: Site, hardware: str) -> str:
    """The hardware that the job would have used at `site`."""
    kinds = [partition.hardware for partition in site.partitions]
    return hardware if hardware in kinds else kinds[0]
