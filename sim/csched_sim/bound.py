"""A lower bound on the carbon of any schedule: each job alone, at its best lawful site and start, all foreseen.

Capacity is left out, so no schedule that keeps policy, deadlines and windows can emit less. A job's window is the
horizon of planning, or as long as any strategy let that job wait: so the bound holds for every schedule shown.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from csched.accounting import costs
from csched.clock import epoch_s
from csched.domain.carbon import CarbonOutlook, CarbonSeries
from csched.domain.job import Job
from csched.domain.verdict import Verdicts
from csched.units import G_PER_KG, SECONDS_PER_HOUR
from csched_sim.setting import Berth, Setting, eligible_s
from csched_sim.traces.trace import TraceJob


@dataclass(frozen=True)
class Bound:
    """Zero jobs have a bound of zero."""

    carbon_kg: float
    method: str


def carbon_bound(
    choices: Sequence[tuple[TraceJob, Sequence[Berth]]],
    setting: Setting,
    carbon: CarbonOutlook,
    windows_s: Mapping[str, int],
) -> Bound:
    """The bound over jobs that each have a lawful berth; `carbon` reaches past every window (of job id) and run."""
    skies = {key: _Sky.of(series) for key, series in carbon.zones.items()}
    total_kg = sum(
        min(
            _least_kg(traced, berth, setting, skies[berth.site.grid_zone], windows_s[traced.job.job])
            for berth in berths
        )
        for traced, berths in choices
    )
    return Bound(
        total_kg,
        "each compared job alone at its best lawful site and start, within "
        f"{setting.horizon_s / SECONDS_PER_HOUR:g} h of being ready (longer where some strategy made it wait longer) "
        "and, where possible, in time for its deadline; true run times and intensities; no capacity, no power caps: "
        "a lower bound on every lawful schedule in those windows, not one that can always be reached",
    )


def lawful_berths(job: Job, setting: Setting, verdicts: Verdicts | None) -> list[Berth]:
    """Partitions that policy, the job's own wishes and its size permit."""
    allowed = {verdict.site for verdict in verdicts[job.job] if verdict.allowed} if verdicts else None
    home = setting.fleet.home_site(job.home_site, job.tenant)
    return [
        berth
        for site in setting.fleet.sites
        if (allowed is None or site.id in allowed)
        and (not job.countries or site.country in job.countries)
        and (job.portable is not False or site.id == home)
        for berth in setting.berths[site.id]
        if berth.fits(job)
    ]


@dataclass(frozen=True, eq=False)
class _Sky:
    """One zone's series and the instants at which it steps; shape (steps,), seconds since the epoch."""

    series: CarbonSeries
    steps_s: npt.NDArray[np.int64]

    @classmethod
    def of(cls, series: CarbonSeries) -> "_Sky":
        return cls(series, np.array(series.starts_s, dtype=np.int64))

    def least_g_h_per_kwh(self, first_s: int, last_s: int, runtime_s: int) -> float:
        """Least integral over a run that starts in [first, last].

        The integral as a function of the start is piecewise linear and bends only where the start or the end meets a
        step of the series, so the least lies at one of those starts, or at either end.
        """
        starts = np.concatenate(
            (
                [first_s, last_s],
                self._between(first_s, last_s),
                self._between(first_s + runtime_s, last_s + runtime_s) - runtime_s,
            )
        )
        integrals = self.series.cumulative_g_h_per_kwh(starts + runtime_s) - self.series.cumulative_g_h_per_kwh(starts)
        return float(np.min(integrals))

    def _between(self, first_s: int, last_s: int) -> npt.NDArray[np.int64]:
        return self.steps_s[np.searchsorted(self.steps_s, first_s) : np.searchsorted(self.steps_s, last_s)]


def _least_kg(traced: TraceJob, berth: Berth, setting: Setting, sky: _Sky, window_s: int) -> float:
    job = traced.job
    first_s = eligible_s(traced)
    last_s = first_s + window_s
    if job.deadline is not None and (latest_s := epoch_s(job.deadline) - job.time_limit_s) >= first_s:
        last_s = min(last_s, latest_s)
    power_kw = costs.it_kw(job.gpus, berth.hardware.kw_per_gpu, job.load) * setting.fleet.pue(berth.site)
    return power_kw * sky.least_g_h_per_kwh(first_s, last_s, traced.runtime_s) / G_PER_KG
