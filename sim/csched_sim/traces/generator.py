"""Invented work, the same for the same seed: a profile's sizes, times and users, tenants that differ in their data."""

import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np

from csched.domain.job import DataClass, Job, Pattern
from csched.units import SECONDS_PER_HOUR
from csched_sim.traces.profiles import MIXED, Profile, Random, drawn
from csched_sim.traces.trace import TraceJob

SIZES: Final = MIXED.sizes
COLUMNS: Final = (
    "job", "submit", "user", "tenant", "gpus", "time_limit_s", "expected_runtime_s", "deadline", "data_class",
    "pattern",
)  # fmt: skip
"""What generated jobs have to tell; they are the same bytes whatever else a job may one day say."""
EXPECTED_SHARE: Final = 0.6
"""Share of jobs with a guess of their run time beside the limit."""
DEADLINE_SHARE: Final = 0.1

# Tenant -> users, and the weights of the classes of data they hold, in the order of DataClass. Choices.
TENANTS: Final[dict[str, tuple[int, tuple[int, ...]]]] = {
    "acme": (6, (4, 5, 1, 0, 0)),
    "uni-lyon": (8, (8, 2, 0, 0, 0)),
    "uni-lund": (5, (8, 2, 0, 0, 0)),
    "stat-office": (3, (2, 3, 5, 0, 0)),
    "hospital": (4, (1, 1, 2, 2, 4)),
}
TENANT_WEIGHTS: Final = (35, 30, 15, 10, 10)

# How the ranks of a job talk to each other: choices, by whether it fills a node.
_SMALL_PATTERNS: Final = (Pattern.NONE, Pattern.DP)
_LARGE_PATTERNS: Final = (Pattern.DP, Pattern.FSDP, Pattern.TP8, Pattern.PP, Pattern.EP, Pattern.RL)
_CLASSES: Final = tuple(DataClass)
_TENANT_NAMES: Final = tuple(TENANTS)


def generate(jobs: int, seed: int, start: datetime, days: int, profile: Profile = MIXED) -> Iterator[TraceJob]:
    """`jobs` jobs submitted over `days` days from `start`, in order. Same arguments, same jobs."""
    random = np.random.default_rng(seed)
    first = start.astimezone(UTC)
    for number, second in enumerate(_arrivals_s(jobs, random, first, days, profile), start=1):
        yield _job(f"job-{number}", first + timedelta(seconds=int(second)), random, profile)


def _arrivals_s(
    jobs: int, random: Random, first: datetime, days: int, profile: Profile
) -> "np.typing.NDArray[np.int64]":
    """Seconds after `first`, in order."""
    hours = [first + timedelta(hours=hour) for hour in range(days * 24)]
    weights = np.array(
        [profile.hour_weights[hour.hour] * profile.weekday_weights[hour.weekday()] for hour in hours], dtype=np.float64
    )
    chosen = random.choice(len(hours), size=jobs, p=weights / weights.sum())
    return np.sort(chosen * SECONDS_PER_HOUR + random.integers(0, SECONDS_PER_HOUR, size=jobs))


def _job(name: str, submit: datetime, random: Random, profile: Profile) -> TraceJob:
    tenant = _TENANT_NAMES[drawn(TENANT_WEIGHTS, random)]
    users, class_weights = TENANTS[tenant]
    gpus = profile.sizes[drawn(profile.size_weights, random)]
    runtime_s = profile.runtime_s(gpus, random)
    limit_s = profile.limit_s(runtime_s, random)
    patterns: Sequence[Pattern] = _SMALL_PATTERNS if gpus < 8 else _LARGE_PATTERNS
    job = Job(
        job=name,
        submit=submit,
        user=f"{tenant}-{profile.user(users * profile.users, random)}",
        tenant=tenant,
        gpus=gpus,
        time_limit_s=limit_s,
        expected_runtime_s=_expected_s(runtime_s, limit_s, random),
        deadline=_deadline(submit, limit_s, random),
        data_class=_CLASSES[drawn(class_weights, random)],
        pattern=patterns[int(random.integers(len(patterns)))],
    )
    return TraceJob(job, runtime_s)


def _expected_s(runtime_s: int, limit_s: int, random: Random) -> int | None:
    guess_s = runtime_s * math.exp(random.normal(0, 0.3))
    told = random.random() < EXPECTED_SHARE
    return min(60 * math.ceil(guess_s / 60), limit_s) if told else None


def _deadline(submit: datetime, limit_s: int, random: Random) -> datetime | None:
    spare_s = round(random.uniform(0.5, 3) * limit_s) + 6 * SECONDS_PER_HOUR
    return submit + timedelta(seconds=limit_s + spare_s) if random.random() < DEADLINE_SHARE else None
