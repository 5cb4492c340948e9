"""What a trace holds, in figures: the content of `csched trace info`."""

from collections import Counter
from collections.abc import Sequence
from statistics import median
from typing import Final

from csched.domain.base import Instant, Value
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


class TraceSummary(Value):
    jobs: int
    first_submit: Instant
    last_submit: Instant
    gpu_hours: float
    largest_gpus: int
    median_runtime_s: float
    median_limit_over_runtime: float
    """How much more time users asked for than they needed."""
    jobs_by_gpus: dict[str, int]
    """Size class (powers of two) -> jobs."""
    jobs_by_runtime: dict[str, int]
    jobs_by_data_class: dict[str, int]
    users: int
    tenants: int


def summarise(trace: Sequence[TraceJob]) -> TraceSummary:
    """`trace` is in order of submission and not empty."""
    sizes = Counter((traced.job.gpus - 1).bit_length() for traced in trace)
    durations = Counter(_duration_class(traced.runtime_s) for traced in trace)
    classes = Counter(str(traced.job.data_class or "unknown") for traced in trace)
    return TraceSummary(
        jobs=len(trace),
        first_submit=submitted(trace[0]),
        last_submit=submitted(trace[-1]),
        gpu_hours=sum(traced.job.gpus * traced.runtime_s for traced in trace) / SECONDS_PER_HOUR,
        largest_gpus=max(traced.job.gpus for traced in trace),
        median_runtime_s=median(traced.runtime_s for traced in trace),
        median_limit_over_runtime=median(traced.job.time_limit_s / traced.runtime_s for traced in trace),
        jobs_by_gpus={_size_class(power): count for power, count in sorted(sizes.items())},
        jobs_by_runtime={name: durations[name] for name in _duration_names() if durations[name]},
        jobs_by_data_class=dict(sorted(classes.items())),
        users=len({traced.job.user for traced in trace} - {None}),
        tenants=len({traced.job.tenant for traced in trace} - {None}),
    )


def _size_class(power: int) -> str:
    low, high = 2 ** (power - 1) + 1 if power > 0 else 1, 2**power
    return str(high) if low >= high else f"{low}-{high}"


def _duration_class(runtime_s: int) -> str:
    return next((name for name, below_s in DURATION_CLASSES if runtime_s < below_s), LONGEST_CLASS)


def _duration_names() -> tuple[str, ...]:
    return (*(name for name, _ in DURATION_CLASSES), LONGEST_CLASS)
