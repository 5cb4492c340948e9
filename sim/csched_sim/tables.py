"""Breakdowns of a simulation for its report: by size, user and data class, and from where to where work went."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from csched.units import SECONDS_PER_HOUR
from csched_sim.outcome import Run
from csched_sim.setting import Setting
from csched_sim.simulation import Simulation, StrategyResult

_MOST_GROUPS: Final = 12
UNSTATED: Final = "not stated"

SIZE_CLASSES: Final = ((1, "1 GPU"), (7, "2 to 7"), (8, "8"), (63, "9 to 63"), (255, "64 to 255"))
_LARGEST: Final = "256 and more"


@dataclass(frozen=True)
class Group:
    """Jobs that have something in common, under one strategy."""

    name: str
    strategy: str
    jobs: int
    gpu_hours: float
    carbon_kg: float
    mean_wait_h: float
    p95_wait_h: float


def size_class(gpus: int) -> str:
    return next((name for most, name in SIZE_CLASSES if gpus <= most), _LARGEST)


def breakdowns(simulation: Simulation) -> Mapping[str, tuple[Group, ...]]:
    """Heading -> groups by strategy; of many groups, those with most GPU-hours."""
    kinds: Mapping[str, Callable[[Run], str]] = {
        "size": lambda run: size_class(run.traced.job.gpus),
        "data class": lambda run: str(run.traced.job.data_class or UNSTATED),
        "user": lambda run: run.traced.job.user or UNSTATED,
    }
    return {
        title: tuple(group for result in simulation.results for group in _groups(result, kind))
        for title, kind in kinds.items()
    }


def _groups(result: StrategyResult, kind: Callable[[Run], str]) -> list[Group]:
    rows: dict[str, list[int]] = defaultdict(list)
    for row, run in enumerate(result.outcome.runs):
        rows[kind(run)].append(row)
    accounts = result.accounts
    found = [
        Group(
            name=name,
            strategy=result.name,
            jobs=len(of_group),
            gpu_hours=float((accounts.gpus[of_group] * accounts.busy_s[of_group]).sum() / SECONDS_PER_HOUR),
            carbon_kg=float(accounts.carbon_kg[of_group].sum()),
            mean_wait_h=float(accounts.wait_h[of_group].mean()),
            p95_wait_h=float(np.percentile(accounts.wait_h[of_group], 95)),
        )
        for name, of_group in rows.items()
    ]
    most = sorted(found, key=lambda group: (-group.gpu_hours, group.name))[:_MOST_GROUPS]
    order = {name: place for place, name in enumerate([name for _, name in SIZE_CLASSES] + [_LARGEST])}
    return sorted(most, key=lambda group: (order.get(group.name, 0), group.name))


def flows_gpu_h(result: StrategyResult, setting: Setting) -> Mapping[tuple[str, str], float]:
    """(home site, site where it ran) -> GPU-hours, by home and then by site."""
    total: dict[tuple[str, str], float] = defaultdict(float)
    for run in result.outcome.runs:
        job = run.traced.job
        home = setting.fleet.home_site(job.home_site, job.tenant)
        for stretch in run.stretches:
            hours = (stretch.end_s - stretch.start_s) / SECONDS_PER_HOUR
            total[home, stretch.berth.site.id] += job.gpus * hours
    return dict(sorted(total.items()))


def embodied_kg(result: StrategyResult) -> tuple[float, float] | None:
    """What making the machines emitted, by GPU-hours used, as a range; null where the catalogue has no figure."""
    low = high = 0.0
    for run in result.outcome.runs:
        for stretch in run.stretches:
            known = stretch.berth.hardware.embodied_kg_per_gpu_h
            if known is None:
                return None
            gpu_h = run.traced.job.gpus * (stretch.end_s - stretch.start_s) / SECONDS_PER_HOUR
            low, high = low + known.low * gpu_h, high + known.high * gpu_h
    return low, high
