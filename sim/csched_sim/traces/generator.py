"""A seeded workload in the shape that real traces have; the figures below are choices, not a fit to one machine.

Sizes are powers of two with a heavy tail and a bump at whole nodes; run times are log-normal; arrivals follow the hour
and the weekday; users ask for more time than they need, in round numbers, and some for the day; tenants differ in the
data they hold.
"""

import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar

import numpy as np

from csched.domain.job import DataClass, Job, Pattern
from csched.units import SECONDS_PER_DAY, SECONDS_PER_HOUR
from csched_sim.traces.trace import TraceJob

SIZES: Final = (1, 2, 4, 8, 16, 32, 64)
SIZE_WEIGHTS: Final = (40, 10, 12, 22, 9, 5, 2)
MEDIAN_RUNTIME_S: Final = 1.5 * SECONDS_PER_HOUR
RUNTIME_SIGMA: Final = 1.5
SHORTEST_S: Final = 60
LONGEST_S: Final = 2 * SECONDS_PER_DAY
LIMIT_STEP_S: Final = 900
DAY_LIMIT_SHARE: Final = 0.15
"""Share of short jobs whose user asks for a whole day rather than think of a limit."""
EXPECTED_SHARE: Final = 0.6
"""Share of jobs with a guess of their run time beside the limit."""
DEADLINE_SHARE: Final = 0.1

# Weight of each hour of the day (UTC) and each day of the week, Monday first.
HOUR_WEIGHTS: Final = (3, 2, 2, 2, 2, 3, 5, 8, 11, 12, 12, 11, 9, 11, 12, 12, 11, 9, 7, 5, 4, 4, 4, 3)
WEEKDAY_WEIGHTS: Final = (10, 11, 11, 11, 9, 4, 4)

# Tenant -> users, and the weights of the classes of data they hold, in the order of DataClass.
TENANTS: Final[dict[str, tuple[int, tuple[int, ...]]]] = {
    "acme": (6, (4, 5, 1, 0, 0)),
    "uni-lyon": (8, (8, 2, 0, 0, 0)),
    "uni-lund": (5, (8, 2, 0, 0, 0)),
    "stat-office": (3, (2, 3, 5, 0, 0)),
    "hospital": (4, (1, 1, 2, 2, 4)),
}
TENANT_WEIGHTS: Final = (35, 30, 15, 10, 10)

_SMALL_PATTERNS: Final = (Pattern.NONE, Pattern.DP)
_LARGE_PATTERNS: Final = (Pattern.DP, Pattern.FSDP, Pattern.TP8, Pattern.PP, Pattern.EP, Pattern.RL)

Choice = TypeVar("Choice")


def generate(jobs: int, seed: int, start: datetime, days: int) -> Iterator[TraceJob]:
    """`jobs` jobs submitted over `days` days from `start`, in order. Same arguments, same jobs."""
    random = np.random.default_rng(seed)
    for number, submit in enumerate(_arrivals(jobs, random, start, days), start=1):
        yield _job(f"job-{number}", submit, random)


def _arrivals(jobs: int, random: np.random.Generator, start: datetime, days: int) -> list[datetime]:
    first = start.astimezone(UTC)
    hours = [first + timedelta(hours=hour) for hour in range(days * 24)]
    weights = np.array([HOUR_WEIGHTS[hour.hour] * WEEKDAY_WEIGHTS[hour.weekday()] for hour in hours], dtype=np.float64)
    chosen = random.choice(len(hours), size=jobs, p=weights / weights.sum())
    seconds = np.sort(chosen * SECONDS_PER_HOUR + random.integers(0, SECONDS_PER_HOUR, size=jobs))
    return [first + timedelta(seconds=int(second)) for second in seconds]


def _job(name: str, submit: datetime, random: np.random.Generator) -> TraceJob:
    tenant = _weighted(tuple(TENANTS), TENANT_WEIGHTS, random)
    users, class_weights = TENANTS[tenant]
    gpus = _weighted(SIZES, SIZE_WEIGHTS, random)
    drawn_s = MEDIAN_RUNTIME_S * math.exp(random.normal(0, RUNTIME_SIGMA))
    runtime_s = round(min(max(drawn_s, SHORTEST_S), LONGEST_S))
    limit_s = _limit_s(runtime_s, random)
    patterns = _SMALL_PATTERNS if gpus < 8 else _LARGE_PATTERNS
    job = Job(
        job=name,
        submit=submit,
        user=f"{tenant}-{random.integers(1, users + 1)}",
        tenant=tenant,
        gpus=gpus,
        time_limit_s=limit_s,
        expected_runtime_s=_expected_s(runtime_s, limit_s, random),
        deadline=_deadline(submit, limit_s, random),
        data_class=_weighted(tuple(DataClass), class_weights, random),
        pattern=patterns[random.integers(len(patterns))],
    )
    return TraceJob(job, runtime_s)


def _limit_s(runtime_s: int, random: np.random.Generator) -> int:
    if random.random() < DAY_LIMIT_SHARE and runtime_s <= SECONDS_PER_DAY:
        return SECONDS_PER_DAY
    asked_s = runtime_s * random.uniform(1, 4)
    return LIMIT_STEP_S * math.ceil(asked_s / LIMIT_STEP_S)


def _expected_s(runtime_s: int, limit_s: int, random: np.random.Generator) -> int | None:
    guess_s = runtime_s * math.exp(random.normal(0, 0.3))
    told = random.random() < EXPECTED_SHARE
    return min(60 * math.ceil(guess_s / 60), limit_s) if told else None


def _deadline(submit: datetime, limit_s: int, random: np.random.Generator) -> datetime | None:
    spare_s = round(random.uniform(0.5, 3) * limit_s) + 6 * SECONDS_PER_HOUR
    return submit + timedelta(seconds=limit_s + spare_s) if random.random() < DEADLINE_SHARE else None


def _weighted(choices: Sequence[Choice], weights: Sequence[int], random: np.random.Generator) -> Choice:
    shares = np.array(weights, dtype=np.float64)
    return choices[int(random.choice(len(choices), p=shares / shares.sum()))]
