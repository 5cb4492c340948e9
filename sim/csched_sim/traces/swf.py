"""The Standard Workload Format of the Parallel Workloads Archive (Feitelson), version 2.2.

Eighteen fields a line, -1 for unknown, header lines that begin with `;`. A processor counts as one GPU. The copies in
circulation have no header, or one that disagrees with the lines below it; lines out of order; unknown sizes and limits.
"""

import math
from collections.abc import Iterable, Iterator
from typing import Final

from csched.clock import from_epoch_s
from csched.domain.job import Job
from csched.errors import InputError, Where
from csched_sim.traces.trace import ReadingNotes, TraceJob

FIELDS: Final = 18
_START: Final = "unixstarttime"


def read_swf(lines: Iterable[str], notes: ReadingNotes) -> Iterator[TraceJob]:
    """The jobs of an SWF file, in its order; what is not taken as it stands goes into `notes`.

    Size is field 8, else 5. The limit is field 9, else the run time. A run longer than its limit is cut at the limit.
    Lines that are malformed, or have no positive run time, no size or no submission time, are dropped.
    """
    start_s: int | None = None
    assumed_start = False
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text:
            continue
        if text.startswith(";"):
            start_s = _header_start(text, notes, number) or start_s
            continue
        if start_s is None and not assumed_start:
            assumed_start = True
            notes.assumptions.append("no UnixStartTime in the header: times count from 1970-01-01T00:00:00Z")
        job = _job(text.split(), number, start_s or 0, notes)
        if job is not None:
            yield job


def _header_start(text: str, notes: ReadingNotes, line: int) -> int | None:
    label, _, value = text.lstrip("; \t").partition(":")
    if label.strip().lower() != _START:
        return None
    try:
        start_s = int(value.split()[0])
        from_epoch_s(start_s)
    except (ValueError, IndexError, OverflowError, OSError) as error:
        raise InputError(
            f"expected seconds since 1970 after UnixStartTime, got `{value.strip()[:60]}`",
            where=Where(notes.file, line, "UnixStartTime"),
        ) from error
    return start_s


def _job(fields: list[str], line: int, start_s: int, notes: ReadingNotes) -> TraceJob | None:
    try:
        submit_s, run_s, used, asked, limit = (_whole(fields[index]) for index in (1, 3, 4, 7, 8))
    except (ValueError, OverflowError, IndexError):
        notes.drop("malformed: not numbers", line)
        return None
    gpus = asked if asked > 0 else used
    limit_s = limit if limit > 0 else run_s
    fault = _fault(len(fields), submit_s, run_s, gpus)
    if fault is not None:
        notes.drop(fault, line)
        return None
    try:
        job = Job(
            job=fields[0],
            submit=from_epoch_s(start_s + submit_s),
            user=f"user-{fields[11]}" if fields[11].isdecimal() else None,
            gpus=gpus,
            time_limit_s=limit_s,
        )
    except (ValueError, OverflowError, OSError):
        notes.drop("malformed: outside what a job may be", line)
        return None
    if asked <= 0:
        notes.changed["size assumed: processors used, for want of processors requested"] += 1
    if limit <= 0:
        notes.changed["limit assumed: the run time, for want of a time requested"] += 1
    if run_s > limit_s:
        notes.changed["run cut at its limit"] += 1
    return TraceJob(job, min(run_s, limit_s))


def _fault(fields: int, submit_s: int, run_s: int, gpus: int) -> str | None:
    """Why a line gives no job; null where it does."""
    if fields != FIELDS:
        return f"malformed: not {FIELDS} fields"
    if run_s <= 0:
        return "run time 0 or less"
    if submit_s < 0:
        return "no submission time"
    return "no size" if gpus <= 0 else None


def _whole(text: str) -> int:
    """SWF is whole numbers; converters leave `12.00` here and there. Parts of a second count as a second."""
    return int(text) if text.lstrip("-").isdecimal() else math.ceil(float(text))
