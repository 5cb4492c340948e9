"""The arithmetic of a plan, one quantity a function: exact, scalar, and the same for plan, ledger, simulator and check.

Energies include the site's PUE where the name says `kwh`; `it_kw` is what the IT equipment draws. All kg are
kgCO2e or, for waiting and leaving out, kgCO2e-equivalents by the fleet's exchange rates. Nothing is rounded.
"""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

from csched.domain.carbon import CarbonOutlook, CarbonSeries
from csched.domain.hardware import Hardware
from csched.domain.job import Job
from csched.domain.site import Fleet, Site
from csched.units import G_PER_KG, SECONDS_PER_HOUR

BITS_PER_BYTE = 8


def it_kw(gpus: int, kw_per_gpu: float, load: float) -> float:
    """IT power of a job. Idle GPUs of nodes it holds beside its own are not counted: they sleep or serve nobody."""
    return gpus * kw_per_gpu * load


def kwh(it_power_kw: float, hours: float, pue: float) -> float:
    """Energy at the site's meter."""
    return it_power_kw * hours * pue


def carbon_kg(it_power_kw: float, pue: float, series: CarbonSeries, start: datetime, end: datetime) -> float:
    """Exact integral of power x PUE x intensity over [start, end); ValueError where the series does not reach."""
    return it_power_kw * pue * series.integral_g_h_per_kwh(start, end) / G_PER_KG


def topology_kg(sigma: float, carbon: float) -> float:
    """Extra carbon of a placement that makes each step `sigma` (>= 1) times as long as the best shape would."""
    return (sigma - 1.0) * carbon


def egress_kg_per_gb(data_site: str | None, site: Site, fleet: Fleet) -> float:
    """The link's own rate, else the fleet's; nothing where no data moves."""
    if not _data_moves(data_site, site):
        return 0.0
    link = fleet.link(str(data_site), site.id)
    if link is None or link.g_co2_per_gb is None:
        return fleet.objective.egress_kg_per_gb
    return link.g_co2_per_gb / G_PER_KG


def egress_kg(job: Job, site: Site, fleet: Fleet) -> float:
    """Carbon of moving the job's data to `site`."""
    return job.data_gb * egress_kg_per_gb(job.data_site, site, fleet)


def transfer_gbit_per_s(data_site: str | None, site: Site, fleet: Fleet) -> float:
    """How fast data reaches `site`; infinite where none moves or where no link says how fast it would."""
    link = fleet.link(str(data_site), site.id) if _data_moves(data_site, site) else None
    return link.gbit_per_s if link else math.inf


def transfer_s(job: Job, site: Site, fleet: Fleet) -> float:
    """Seconds the start waits for the job's data."""
    return job.data_gb * BITS_PER_BYTE / transfer_gbit_per_s(job.data_site, site, fleet)


def ready(job: Job, now: datetime) -> datetime:
    """From here on a job waits: the latest of its submission, its earliest start and now."""
    return max(instant for instant in (job.submit, job.earliest_start, now) if instant is not None)


def wait_h(job: Job, start: datetime, now: datetime) -> float:
    """Hours between being ready and starting, at least 0."""
    return max(0.0, (start - ready(job, now)).total_seconds() / SECONDS_PER_HOUR)


def wait_kg(gpus: int, hours: float, fleet: Fleet) -> float:
    return fleet.objective.wait_kg_per_gpu_h * gpus * hours


def drop_kg(job: Job, fleet: Fleet) -> float:
    """What leaving a job out costs above its dearest allowed start: by its stated limit, whatever the hardware."""
    return fleet.objective.drop_kg_per_gpu_h * job.gpus * job.time_limit_s / SECONDS_PER_HOUR


@dataclass(frozen=True)
class Bill:
    """What one job at one site from one start on amounts to."""

    end: datetime
    kwh: float
    carbon_kg: float
    topology_kg: float
    egress_kg: float
    wait_h: float
    cost_kg: float


def bill(
    job: Job,
    site: Site,
    hardware: Hardware,
    start: datetime,
    *,
    fleet: Fleet,
    carbon: CarbonOutlook,
    now: datetime,
    sigma: float = 1.0,
) -> Bill:
    """All lines of one placement; the run time is the expected one, else the limit, times the hardware's factor."""
    power, pue = it_kw(job.gpus, hardware.kw_per_gpu, job.load), fleet.pue(site)
    run_s = job.runtime_s_on(hardware.key)
    end = start + timedelta(seconds=run_s)
    run = carbon_kg(power, pue, carbon.zone(site.grid_zone), start, end)
    detour, moved, hours = topology_kg(sigma, run), egress_kg(job, site, fleet), wait_h(job, start, now)
    return Bill(
        end=end,
        kwh=kwh(power, run_s / SECONDS_PER_HOUR, pue),
        carbon_kg=run,
        topology_kg=detour,
        egress_kg=moved,
        wait_h=hours,
        cost_kg=run + detour + moved + wait_kg(job.gpus, hours, fleet),
    )


def _data_moves(data_site: str | None, site: Site) -> bool:
    return data_site is not None and data_site != site.id
