"""Two families of instances, both heavy-tailed, with running jobs, residency, deadlines and data to move.

F: about 60,000 GPUs whatever the number of jobs, so more jobs are smaller jobs (the exponent of the sizes is fitted).
N: sizes as they come (exponent 0.9), so more jobs are more GPUs (the fleet is scaled).

The load `rho` is the demand over the GPU-hours that running jobs leave free within the horizon.
"""

from datetime import UTC, datetime, timedelta

import numpy as np

from csched.clock import epoch_s
from csched.domain.carbon import CarbonOutlook, CarbonSeries, Method
from csched.domain.job import Job
from csched.domain.site import Fleet
from csched.domain.snapshot import Occupation, Snapshot
from csched.topology.catalogue import hardware_of

NOW = datetime(2026, 3, 2, tzinfo=UTC)
SLOT_S = 1800
LARGEST_JOB = 2304
F_GPUS = 60_000
N_EXPONENT = 0.9
LIMIT_H = (0.5, 1, 2, 4, 6, 8, 12, 16, 24)
LIMIT_ODDS = (0.05, 0.1, 0.15, 0.15, 0.12, 0.13, 0.15, 0.07, 0.08)
HARDWARE = ("dgx-h200", "gb300-nvl72", "dgx-b200", "gh200-quad")
COUNTRIES = (
    "FR",
    "DE",
    "SE",
    "PL",
    "FI",
    "ES",
    "IT",
    "NL",
    "AT",
    "IE",
    "DK",
    "PT",
    "CZ",
    "BE",
    "GR",
    "HU",
    "RO",
    "BG",
    "SK",
    "LT",
)
MASKS = 12
DEADLINE_SHARE, DATA_SHARE = 0.2, 0.3


def instance(family: str, jobs: int, sites: int, rho: float, seed: int, *, slots: int = 96) -> Snapshot:
    """One snapshot of family `F` or `N`. The same arguments give the same snapshot."""
    dice = np.random.default_rng([seed, jobs, sites, round(rho * 100), ord(family)])
    limits_h = dice.choice(LIMIT_H, size=jobs, p=LIMIT_ODDS)
    shares = dice.dirichlet(np.full(sites, 4.0))
    busy, drain_h = dice.uniform(0.6, 0.95, sites), dice.uniform(6.0, 18.0, sites)
    horizon_h = slots * SLOT_S / 3600
    free_h = float((shares * (horizon_h - busy * drain_h / 2)).sum())  # per GPU of the fleet
    uniform = dice.uniform(size=jobs)
    if family == "N":
        sizes = _sizes(uniform, N_EXPONENT)
        gpus = float((sizes * limits_h).sum()) / (rho * free_h)
    else:
        gpus = float(F_GPUS)
        sizes = fitted_sizes(uniform, limits_h, rho * free_h * gpus)
    fleet = _fleet(shares * gpus, dice)
    running = _running(fleet, busy, drain_h, dice)
    work = _jobs(sizes, limits_h, fleet, horizon_h, dice)
    end = NOW + timedelta(hours=horizon_h + max(LIMIT_H) + 1)
    return Snapshot(
        now=NOW,
        horizon_s=slots * SLOT_S,
        slot_s=SLOT_S,
        fleet=fleet,
        hardware=hardware_of(fleet),
        jobs=work,
        running=running,
        carbon=_sky(fleet, end, dice),
    )


def _sizes(uniform: np.ndarray, exponent: float, largest: int = LARGEST_JOB) -> np.ndarray:
    """Pareto sizes cut at the largest job; whole GPUs."""
    tail = largest**-exponent
    return np.maximum(1, np.floor((1 - uniform * (1 - tail)) ** (-1 / exponent))).astype(np.int64)


def fitted_sizes(uniform: np.ndarray, limits_h: np.ndarray, demand: float, largest: int = LARGEST_JOB) -> np.ndarray:
    """Such sizes that the jobs ask for `demand` GPU-hours in all."""
    low, high = 0.05, 6.0  # a larger exponent is smaller jobs
    for _ in range(60):
        middle = (low + high) / 2
        if float((_sizes(uniform, middle, largest) * limits_h).sum()) > demand:
            low = middle
        else:
            high = middle
    return _sizes(uniform, high, largest)


def _fleet(gpus: np.ndarray, dice: np.random.Generator) -> Fleet:
    kinds = [HARDWARE[index % len(HARDWARE)] for index in range(len(gpus))]
    per_node = {"dgx-h200": 8, "gb300-nvl72": 4, "dgx-b200": 8, "gh200-quad": 4}
    sites = [
        {
            "id": f"site{index:02}",
            "country": COUNTRIES[index],
            "grid_zone": COUNTRIES[index],
            "pue": round(float(dice.uniform(1.05, 1.5)), 2),
            "partitions": [
                {"name": "gpu", "hardware": kind, "nodes": max(1, round(float(gpus[index]) / per_node[kind]))}
            ],
        }
        for index, kind in enumerate(kinds)
    ]
    links = [
        {
            "between": [sites[one]["id"], sites[other]["id"]],
            "gbit_per_s": float(dice.choice([10, 40, 100])),
            "g_co2_per_gb": round(float(dice.uniform(0.5, 4.0)), 2),
        }
        for one in range(len(sites))
        for other in range(one)
    ]
    return Fleet.model_validate({"sites": sites, "links": links})


def _running(fleet: Fleet, busy: np.ndarray, drain_h: np.ndarray, dice: np.random.Generator) -> tuple[Occupation, ...]:
    """What runs now, in forty pieces per site that end one after another."""
    hardware = hardware_of(fleet)
    pieces = 40
    running = []
    for index, site in enumerate(fleet.sites):
        kind = hardware[site.partitions[0].hardware]
        held = int(site.partitions[0].gpu_count(kind) * busy[index] / pieces)
        for piece in range(pieces):
            until = NOW + timedelta(hours=float(drain_h[index]) * (piece + float(dice.uniform())) / pieces)
            if held > 0 and until > NOW:
                running.append(
                    Occupation(
                        job=f"old-{index}-{piece}",
                        site=site.id,
                        partition="gpu",
                        gpus_held=held,
                        it_kw=held * kind.kw_per_gpu,
                        until=until,
                    )
                )
    return tuple(running)


def _jobs(
    sizes: np.ndarray, limits_h: np.ndarray, fleet: Fleet, horizon_h: float, dice: np.random.Generator
) -> tuple[Job, ...]:
    countries = [site.country for site in fleet.sites]
    masks: list[tuple[str, ...]] = [()]
    for _ in range(MASKS - 1):
        count = int(dice.integers(2, len(countries) + 1))
        masks.append(tuple(str(one) for one in dice.choice(countries, size=count, replace=False)))
    count = len(sizes)
    mask = dice.integers(0, MASKS, count)
    late = dice.uniform(size=count) < DEADLINE_SHARE
    slack_h = dice.uniform(4, horizon_h, count)
    moves = dice.uniform(size=count) < DATA_SHARE
    data_gb = np.round(10 ** dice.uniform(1, 4, count))
    data_site = dice.integers(0, len(fleet.sites), count)
    load = dice.choice([0.5, 0.76, 0.9], size=count)
    priority = dice.integers(0, 3, count)
    return tuple(
        Job(
            job=f"j{index}",
            gpus=int(sizes[index]),
            time_limit_s=round(float(limits_h[index]) * 3600),
            countries=masks[int(mask[index])],
            deadline=NOW + timedelta(hours=float(np.round(limits_h[index] + slack_h[index], 2)))
            if late[index]
            else None,
            data_site=fleet.sites[int(data_site[index])].id if moves[index] else None,
            data_gb=float(data_gb[index]) if moves[index] else 0.0,
            load=float(load[index]),
            priority=int(priority[index]),
        )
        for index in range(count)
    )


def _sky(fleet: Fleet, end: datetime, dice: np.random.Generator) -> CarbonOutlook:
    """Hourly intensities: a level of the country, a daily wave and weather that drifts."""
    hours = int((end - NOW).total_seconds() // 3600) + 1
    first = epoch_s(NOW)
    hour = np.arange(hours)
    zones = {}
    for site in fleet.sites:
        level, depth, phase = 10 ** dice.uniform(1.5, 2.85), dice.uniform(0.1, 0.4), dice.uniform(0, 24)
        weather = np.cumsum(dice.normal(0, 0.03, hours))
        values = level * np.maximum(0.2, 1 + depth * np.cos(2 * np.pi * (hour - phase) / 24) + weather)
        zones[site.grid_zone] = CarbonSeries(
            zone=site.grid_zone,
            starts_s=tuple(int(first + 3600 * each) for each in hour),
            g_per_kwh=tuple(np.round(values, 2).tolist()),
            end_s=first + 3600 * hours,
        )
    return CarbonOutlook(source="synthetic", method=Method.LIFECYCLE, zones=zones)
