"""Every start that matters for a job whose future is known: by true run time and true intensities, nothing rounded.

A run's carbon, and any price of what it holds, is piecewise linear in its start if intensities and prices step at the
same edges. It bends only where the start or the end meets an edge, so a least value lies there or at either end of the
window, and no start in between, to the second, can be better.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from csched.accounting import costs
from csched.clock import epoch_s, from_epoch_s
from csched.domain.carbon import CarbonOutlook
from csched.domain.verdict import Verdicts
from csched.units import G_PER_KG
from csched_sim.lawfulness import lawful_berths
from csched_sim.queued import ready_s
from csched_sim.setting import Berth, Setting, eligible_s
from csched_sim.traces.trace import TraceJob

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class Chance(NamedTuple):
    """One job at one lawful partition, to start within [first, last]."""

    traced: TraceJob
    berth: Berth
    first_s: int
    last_s: int
    held: int
    """GPUs."""
    it_kw: float
    kg_per_intensity: float
    """kgCO2e for each hour x gCO2e/kWh."""


def chances(
    traced: TraceJob, setting: Setting, verdicts: Verdicts | None, window_s: int, *, staged: bool
) -> list[Chance]:
    """Where and when the job may start within `window_s` of being ready and, where possible, in time for its deadline.

    `staged`: its data has to arrive first; without, the window is wider and a bound over it holds all the more.
    """
    job = traced.job
    found = []
    for berth in lawful_berths(job, setting, verdicts):
        first_s = ready_s(traced, berth, setting) if staged else eligible_s(traced)
        last_s = max(first_s, eligible_s(traced) + window_s)
        if job.deadline is not None and (latest_s := epoch_s(job.deadline) - job.time_limit_s) >= first_s:
            last_s = min(last_s, latest_s)
        power_kw = costs.it_kw(job.gpus, berth.hardware.kw_per_gpu, job.load)
        held = berth.hardware.gpus_held(job.gpus)
        intensity_kg = power_kw * setting.fleet.pue(berth.site) / G_PER_KG
        found.append(Chance(traced, berth, first_s, last_s, held, power_kw, intensity_kg))
    return found


@dataclass(frozen=True, eq=False)
class Sky:
    """The true intensities of all zones, with their integrals, on common edges."""

    carbon: CarbonOutlook
    edges_s: Ints
    """Where any zone steps, rising; shape (T + 1,), the last one is the end."""

    @classmethod
    def of(cls, carbon: CarbonOutlook) -> "Sky":
        series = carbon.zones.values()
        ends = [min(one.end_s for one in series)]
        return cls(carbon, np.unique(np.concatenate([*(one.starts_s for one in series), ends])))

    def starts_s(self, chance: Chance) -> Ints:
        """All starts at which anything bends, rising; never empty."""
        first_s, last_s, runtime_s = chance.first_s, chance.last_s, chance.traced.runtime_s
        return np.unique(
            np.concatenate(
                (
                    [first_s, last_s],
                    self._between(first_s, last_s),
                    self._between(first_s + runtime_s, last_s + runtime_s) - runtime_s,
                )
            )
        )

    def carbon_kg(self, chance: Chance, starts_s: Ints) -> Floats:
        """What the run emits from each start."""
        series = self.carbon.zone(chance.berth.site.grid_zone)
        ends_s = starts_s + chance.traced.runtime_s
        integrals = series.cumulative_g_h_per_kwh(ends_s) - series.cumulative_g_h_per_kwh(starts_s)
        return chance.kg_per_intensity * integrals

    def _between(self, first_s: int, last_s: int) -> Ints:
        return self.edges_s[np.searchsorted(self.edges_s, first_s) : np.searchsorted(self.edges_s, last_s)]


def reach_s(found: Mapping[str, list[Chance]]) -> int:
    """When the last of the runs could end."""
    return max(chance.last_s + chance.traced.runtime_s for several in found.values() for chance in several)


def screened(trace: list[TraceJob], setting: Setting) -> Verdicts | None:
    """What the rules say of each job at the first submission; null without rules."""
    policies = setting.policies
    first = from_epoch_s(eligible_s(trace[0]))
    return policies.screen([traced.job for traced in trace], setting.fleet, first) if policies else None
