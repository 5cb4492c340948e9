"""What a trace holds, in figures: the content of `csched trace info`."""

from array import array
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import Final

import numpy as np

from csched.domain.base import Instant, Value
from csched.errors import InputError
from csched.units import SECONDS_PER_DAY, SECONDS_PER_HOUR
from csched_sim.traces.trace import TraceJob, submitted

_MINUTE: Final = 60
DURATION_CLASSES: Final = (
    ("under 1 min", _MINUTE),
    ("1-10 min", 10 * _MINUTE),
    ("10-60 min", SECONDS_PER_HOUR),
    ("1-6 h", 6 * SECONDS_PER_HOUR),
    ("6-24 h", SECONDS_PER_DAY),
    ("1-7 d", 7 * SECONDS_PER_DAY),
)
LONGEST_CLASS: Final = "over 7 d"
WEEKDAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
OPTIONAL: Final = ("user", "tenant", "data_class", "pattern", "expected_runtime_s", "deadline", "home_site")
"""Fields of a job that a plan or a report makes use of and a trace may well lack."""


class TraceSummary(Value):
    jobs: int
    first_submit: Instant
    last_submit: Instant
    gpu_hours: float
    largest_gpus: int
    median_runtime_s: float
    mean_runtime_s: float
    p90_runtime_s: float
    median_limit_over_runtime: float
    """How much more time users asked for than they needed."""
    jobs_by_gpus: dict[str, int]
    """Size class (powers of two) -> jobs."""
    jobs_by_runtime: dict[str, int]
    jobs_by_hour: dict[str, int]
    """Hour of the submission in UTC, 00 to 23 -> jobs."""
    jobs_by_weekday: dict[str, int]
    jobs_by_data_class: dict[str, int]
    jobs_by_pattern: dict[str, int]
    users: int
    tenants: int
    missing: dict[str, int]
    """Field of a job -> jobs that lack it, where some do."""


class _Tally:
    """Counts that grow with the trace by some bytes for each job only."""

    def __init__(self) -> None:
        self.first: datetime | None = None
        self.last: datetime | None = None
        self.runtimes_s = array("q")
        self.limit_ratios = array("d")
        self.gpu_seconds = 0
        self.sizes: Counter[int] = Counter()
        self.hours: Counter[int] = Counter()
        self.weekdays: Counter[int] = Counter()
        self.seen: dict[str, Counter[str | None]] = {name: Counter() for name in OPTIONAL[:4]}
        self.missing: Counter[str] = Counter()

    def add(self, traced: TraceJob) -> None:
        job, submit = traced.job, submitted(traced)
        self.first = submit if self.first is None or submit < self.first else self.first
        self.last = submit if self.last is None or submit > self.last else self.last
        self.runtimes_s.append(traced.runtime_s)
        self.limit_ratios.append(job.time_limit_s / traced.runtime_s)
        self.gpu_seconds += job.gpus * traced.runtime_s
        self.sizes[job.gpus] += 1
        self.hours[submit.hour] += 1
        self.weekdays[submit.weekday()] += 1
        for name, counts in self.seen.items():
            value = getattr(job, name)
            counts[None if value is None else str(value)] += 1
        for name in OPTIONAL:
            if getattr(job, name) is None:
                self.missing[name] += 1


def summarise(trace: Iterable[TraceJob]) -> TraceSummary:
    """The trace may be in any order; it is gone through once and never held.

    Raises:
        InputError: no job in it.
    """
    tally = _Tally()
    for traced in trace:
        tally.add(traced)
    if tally.first is None or tally.last is None:
        raise InputError("no job in it")
    runtimes_s = np.frombuffer(tally.runtimes_s, dtype=np.int64)
    return TraceSummary(
        jobs=len(runtimes_s),
        first_submit=tally.first,
        last_submit=tally.last,
        gpu_hours=tally.gpu_seconds / SECONDS_PER_HOUR,
        largest_gpus=max(tally.sizes),
        median_runtime_s=float(np.median(runtimes_s)),
        mean_runtime_s=float(np.mean(runtimes_s)),
        p90_runtime_s=float(np.percentile(runtimes_s, 90)),
        median_limit_over_runtime=float(np.median(np.frombuffer(tally.limit_ratios))),
        jobs_by_gpus=_by_size_class(tally.sizes),
        jobs_by_runtime=_by_duration_class(runtimes_s),
        jobs_by_hour={f"{hour:02}": tally.hours[hour] for hour in range(24)},
        jobs_by_weekday={name: tally.weekdays[day] for day, name in enumerate(WEEKDAYS)},
        jobs_by_data_class=_named(tally.seen["data_class"]),
        jobs_by_pattern=_named(tally.seen["pattern"]),
        users=len(tally.seen["user"].keys() - {None}),
        tenants=len(tally.seen["tenant"].keys() - {None}),
        missing={name: tally.missing[name] for name in OPTIONAL if tally.missing[name]},
    )


def _by_size_class(sizes: Counter[int]) -> dict[str, int]:
    powers: Counter[int] = Counter()
    for gpus, count in sizes.items():
        powers[(gpus - 1).bit_length()] += count
    return {_size_class(power): powers[power] for power in sorted(powers)}


def _size_class(power: int) -> str:
    low, high = 2 ** (power - 1) + 1 if power > 0 else 1, 2**power
    return str(high) if low >= high else f"{low}-{high}"


def _by_duration_class(runtimes_s: "np.typing.NDArray[np.int64]") -> dict[str, int]:
    classes = np.searchsorted([below_s for _, below_s in DURATION_CLASSES], runtimes_s, side="right")
    counts = np.bincount(classes, minlength=len(DURATION_CLASSES) + 1).tolist()
    names = (*(name for name, _ in DURATION_CLASSES), LONGEST_CLASS)
    return {name: count for name, count in zip(names, counts, strict=True) if count}


def _named(counts: Counter[str | None]) -> dict[str, int]:
    return {name or "unknown": count for name, count in sorted(counts.items(), key=lambda item: item[0] or "unknown")}
