"""Work that a scenario describes instead of naming a trace: streams of like jobs, drawn from the seed."""

import math
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

import numpy as np
from pydantic import Field

from csched.domain.base import Country, Instant, Slug, Value
from csched.domain.job import DataClass, Job, Pattern
from csched.units import SECONDS_PER_DAY
from csched_sim.conditions import Duration
from csched_sim.traces.trace import TraceJob, in_order

# Weight of each hour of the day (UTC): people submit while they are at work.
HOUR_WEIGHTS: Final = (3, 2, 2, 2, 2, 3, 5, 8, 11, 12, 12, 11, 9, 11, 12, 12, 11, 9, 7, 5, 4, 4, 4, 3)
LIMIT_STEP_S: Final = 900


class Stream(Value):
    """Like jobs, submitted over all the days, more of them by day than by night."""

    name: Slug
    jobs: int = Field(ge=1, le=10_000_000)
    gpus: tuple[int, ...] = Field(min_length=1)
    """Each as likely as the others; name one twice to see it twice as often."""
    median_length: Duration
    spread: float = Field(default=0.6, ge=0, le=3)
    """Standard deviation of the logarithm of the lengths."""
    over_estimate: float = Field(default=2.0, ge=1, le=20)
    """Limits are up to so many times the length, in steps of 15 minutes."""
    within: Duration | None = None
    """Deadline: so long after submission and limit."""
    tenants: tuple[str, ...] = ()
    data_class: DataClass | None = None
    pattern: Pattern | None = None
    hardware: tuple[Slug, ...] = ()
    countries: tuple[Country, ...] = ()
    home_site: Slug | None = None
    portable: bool | None = None
    data_site: Slug | None = None
    data_gb: float = Field(default=0.0, ge=0)
    load: float = Field(default=0.76, gt=0, le=1)


class Workload(Value):
    start: Instant
    days: int = Field(ge=1, le=3660)
    streams: tuple[Stream, ...] = Field(min_length=1, max_length=1000)

    def share_of(self, share: float) -> "Workload":
        """The same streams with only so large a share of their jobs, at least one each."""
        fewer = [stream.model_copy(update={"jobs": math.ceil(stream.jobs * share)}) for stream in self.streams]
        return self.model_copy(update={"streams": tuple(fewer)})


def draw(workload: Workload, seed: int) -> list[TraceJob]:
    """All jobs by submission. The same workload and seed, the same jobs; a stream does not depend on the others."""
    return in_order(
        traced
        for number, stream in enumerate(workload.streams)
        for traced in _jobs(stream, workload, np.random.default_rng((seed, number)))
    )


def _jobs(stream: Stream, workload: Workload, random: np.random.Generator) -> Iterator[TraceJob]:
    hours = np.array(HOUR_WEIGHTS, dtype=np.float64)
    day = random.integers(0, workload.days, stream.jobs) * SECONDS_PER_DAY
    hour = random.choice(24, stream.jobs, p=hours / hours.sum()) * 3600
    submits_s = np.sort(day + hour + random.integers(0, 3600, stream.jobs))
    lengths_s = stream.median_length * np.exp(random.normal(0, stream.spread, stream.jobs))
    asked_s = lengths_s * random.uniform(1, stream.over_estimate, stream.jobs)
    gpus = random.choice(stream.gpus, stream.jobs)
    for number in range(stream.jobs):
        limit_s = LIMIT_STEP_S * math.ceil(asked_s[number] / LIMIT_STEP_S)
        submit = workload.start + timedelta(seconds=int(submits_s[number]))
        tenant = stream.tenants[number % len(stream.tenants)] if stream.tenants else None
        job = _job(stream, f"{stream.name}-{number + 1}", submit, tenant, gpus=int(gpus[number]), limit_s=limit_s)
        yield TraceJob(job, max(60, min(round(lengths_s[number]), limit_s)))


def _job(stream: Stream, name: str, submit: datetime, tenant: str | None, *, gpus: int, limit_s: int) -> Job:
    slack_s = stream.within
    return Job(
        job=name,
        submit=submit,
        user=f"{tenant or stream.name}-user",
        tenant=tenant,
        gpus=gpus,
        time_limit_s=limit_s,
        deadline=None if slack_s is None else submit + timedelta(seconds=limit_s + slack_s),
        hardware=stream.hardware,
        data_class=stream.data_class,
        data_site=stream.data_site,
        data_gb=stream.data_gb,
        countries=stream.countries,
        pattern=stream.pattern,
        load=stream.load,
        home_site=stream.home_site,
        portable=stream.portable,
    )
