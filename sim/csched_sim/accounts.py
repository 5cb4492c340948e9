"""Energy and carbon of every run over its true start and end: the arithmetic of `csched.accounting.costs` on arrays."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from csched.accounting import costs
from csched.clock import from_epoch_s
from csched.domain.carbon import CarbonOutlook
from csched.units import G_PER_KG, SECONDS_PER_HOUR
from csched_sim.outcome import Run, Stretch
from csched_sim.setting import Setting, eligible_s

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

BOUNDED_SLOWDOWN_TAU_S: Final = 10.0
"""Feitelson's threshold: below it a short job does not count as slowed down."""


@dataclass(frozen=True, eq=False)
class Accounts:
    """One row per run, in their order; all arrays have shape (runs,). Instants are seconds since the epoch."""

    eligible_s: Ints
    start_s: Ints
    end_s: Ints
    busy_s: Ints
    """Seconds at work: less than from start to end where the job was interrupted."""
    gpus: Ints
    kwh: Floats
    """At the site's meter."""
    carbon_kg: Floats
    topology_kg: Floats
    egress_kg: Floats
    wait_h: Floats
    """From being eligible to the end, less the true run time: for an uninterrupted job, its wait for the start."""
    bounded_slowdown: Floats
    sigma: Floats

    @property
    def gpu_hours(self) -> float:
        return float(np.sum(self.gpus * self.busy_s) / SECONDS_PER_HOUR)


def true_intensities(setting: Setting, start_s: int, end_s: int) -> CarbonOutlook:
    """The grid as it turned out over [start, end): what is known once it is over."""
    end = from_epoch_s(end_s)
    return setting.carbon.outlook(setting.zones, end, from_epoch_s(start_s), end)


def account(runs: Sequence[Run], setting: Setting, carbon: CarbonOutlook) -> Accounts:
    """`carbon` reaches over all runs."""
    start_s = np.fromiter((run.start_s for run in runs), np.int64, len(runs))
    end_s = np.fromiter((run.end_s for run in runs), np.int64, len(runs))
    eligible = np.fromiter((eligible_s(run.traced) for run in runs), np.int64, len(runs))
    gpus = np.fromiter((run.traced.job.gpus for run in runs), np.int64, len(runs))
    sigma = np.fromiter((run.sigma for run in runs), np.float64, len(runs))
    power_kw = np.fromiter(
        (costs.it_kw(run.traced.job.gpus, run.berth.hardware.kw_per_gpu, run.traced.job.load) for run in runs),
        np.float64,
        len(runs),
    )
    pue = np.fromiter((setting.fleet.pue(run.berth.site) for run in runs), np.float64, len(runs))
    per_kw = power_kw * pue
    carbon_kg = per_kw * _intensity_h(runs, start_s, end_s, carbon) / G_PER_KG
    busy_s = end_s - start_s
    for index, run in enumerate(runs):
        if run.broken:
            busy_s[index] = sum(stretch.end_s - stretch.start_s for stretch in run.broken)
            carbon_kg[index] = sum(_stretch_kg(run, stretch, setting, carbon) for stretch in run.broken)
    run_s = np.fromiter((run.traced.runtime_s for run in runs), np.int64, len(runs))
    wait_s = end_s - eligible - run_s
    slowdown = (wait_s + run_s) / np.maximum(run_s, BOUNDED_SLOWDOWN_TAU_S)
    return Accounts(
        eligible_s=eligible,
        start_s=start_s,
        end_s=end_s,
        busy_s=busy_s,
        gpus=gpus,
        kwh=per_kw * busy_s / SECONDS_PER_HOUR,
        carbon_kg=carbon_kg,
        topology_kg=(sigma - 1.0) * carbon_kg,
        egress_kg=np.fromiter(
            (costs.egress_kg(run.traced.job, run.berth.site, setting.fleet) for run in runs), np.float64, len(runs)
        ),
        wait_h=wait_s / SECONDS_PER_HOUR,
        bounded_slowdown=np.maximum(slowdown, 1.0),
        sigma=sigma,
    )


def _stretch_kg(run: Run, stretch: Stretch, setting: Setting, carbon: CarbonOutlook) -> float:
    job, site = run.traced.job, stretch.berth.site
    power_kw = costs.it_kw(job.gpus, stretch.berth.hardware.kw_per_gpu, job.load)
    start, end = from_epoch_s(stretch.start_s), from_epoch_s(stretch.end_s)
    return costs.carbon_kg(power_kw, setting.fleet.pue(site), carbon.zone(site.grid_zone), start, end)


def _intensity_h(runs: Sequence[Run], start_s: Ints, end_s: Ints, carbon: CarbonOutlook) -> Floats:
    """Hours x gCO2e/kWh of each run."""
    zone_of = np.array([run.berth.site.grid_zone for run in runs], dtype=object)
    total = np.zeros(len(runs))
    for key, series in carbon.zones.items():
        here = np.flatnonzero(zone_of == key)
        total[here] = series.cumulative_g_h_per_kwh(end_s[here]) - series.cumulative_g_h_per_kwh(start_s[here])
    return total
