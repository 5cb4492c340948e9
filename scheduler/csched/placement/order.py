"""The order in which a problem lists its jobs: by what they ask for, so that no plan hangs on how a file was sorted.

List scheduling breaks ties by position, and dice pick positions; were jobs to stand as they arrived, the same queue
listed in another order would get another plan, a few tenths of a percent dearer or cheaper.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from csched.clock import epoch_s
from csched.domain.job import Job


def by_demand(jobs: Iterable[Job]) -> tuple[Job, ...]:
    """Larger and longer ones first; jobs that ask for the same stay in the order of arrival."""
    return tuple(sorted(jobs, key=_demand))


def _demand(job: Job) -> tuple[Any, ...]:
    return (
        -job.gpus,
        -job.time_limit_s,
        -job.runtime_s,
        -job.priority,
        _at_s(job.submit),
        _at_s(job.earliest_start),
        _at_s(job.deadline),
        job.load,
        job.hardware,
        job.countries,
        job.data_gb,
        job.data_site or "",
        job.home_site or "",
        job.tenant or "",
        job.data_class or "",
        job.portable is False,
    )


def _at_s(instant: datetime | None) -> int:
    return -1 if instant is None else epoch_s(instant)
