"""How Slurm's accounting spells what a job asked for and did: states, resources, times; as text and as JSON.

Checked against the output of Slurm 22.05.8 and 24.11.5, and sacct(1).
"""

from collections.abc import Iterable
from typing import Final

from csched.units import SECONDS_PER_DAY

NO_VALUE: Final = 4_294_967_294
"""NO_VAL of slurm.h; INFINITE is the number after it. 24.11 gives it as the start of a job that never began."""
_GPU: Final = "gres/gpu"

# A record of one of these is not the whole story of a job: another record with the same id follows.
PARTIAL_STATES: Final = {
    "REQUEUED": "an earlier run of a requeued job",
    "RESIZING": "an earlier part of a resized job",
}


def clock_s(text: str) -> int:
    """`[D-]HH:MM:SS` in seconds.

    Raises:
        ValueError: another spelling.
    """
    days, _, clock = text.rpartition("-")
    hours, minutes, seconds = (int(part) for part in clock.split(":"))
    return int(days or 0) * SECONDS_PER_DAY + hours * 3600 + minutes * 60 + seconds


def gpus_of(resources: Iterable[tuple[str, int]]) -> int:
    """GPUs among (resource, count): `gres/gpu` counts all, `gres/gpu:gb200` those of one type.

    A cluster that accounts for types alone has no total, so then the types are added up.
    """
    counts = [(name, count) for name, count in resources if name == _GPU or name.startswith(f"{_GPU}:")]
    totals = [count for name, count in counts if name == _GPU]
    return totals[0] if totals else sum(count for _, count in counts)


def listed_resources(text: str) -> list[tuple[str, int]]:
    """`billing=2,cpu=2,gres/gpu:gb200=8,gres/gpu=8,mem=2000M` as its GPU entries; other counts may have units.

    Raises:
        ValueError: a count of GPUs that is no whole number.
    """
    pairs = (pair.partition("=") for pair in text.split(",") if pair.startswith(_GPU))
    return [(name, int(count)) for name, _, count in pairs]


def job_name(job_id: str) -> str:
    """`17`, `3_2` for a task of an array, `4-het1` for what Slurm calls `4+1`, a component of a heterogeneous job."""
    return job_id.replace("+", "-het")
