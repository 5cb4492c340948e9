"""The Standard Workload Format of the Parallel Workloads Archive (Feitelson), version 2.2.

Eighteen fields a line, -1 for unknown, header lines that begin with `;`. A processor counts as one GPU. The copies in
circulation have no header, or one that disagrees with the lines below it; lines out of order; unknown sizes and limits.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from csched.clock import from_epoch_s
from csched.errors import InputError, Where
from csched_sim.traces.intake import intake
from csched_sim.traces.trace import ReadingNotes, TraceJob

FIELDS: Final = 18
_START: Final = "unixstarttime"
_RECORDS: Final = "maxrecords"


def read_swf(lines: Iterable[str], notes: ReadingNotes) -> Iterator[TraceJob]:
    """The jobs of an SWF file, in its order; what is not taken as it stands goes into `notes`.

    Size is field 8, else 5. The limit is field 9, else the run time. A run longer than its limit is cut at the limit.
    Lines that are malformed, or have no positive run time, no size or no submission time, are dropped.

    Raises:
        InputError: a start time in the header that is none.
    """
    header: dict[str, str] = {}
    start_s: int | None = None
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if text.startswith(";"):
            label, _, value = text.lstrip("; \t").partition(":")
            header[label.strip().lower()] = value.strip()
            if label.strip().lower() == _START:
                start_s = _start_s(value, number, notes)
        elif text:
            notes.lines += 1
            if start_s is None:
                notes.assume("no UnixStartTime in the header: times count from 1970-01-01T00:00:00Z")
                start_s = 0
            job = _job(text.split(), number, start_s, notes)
            if job is not None:
                yield job
    _compare(header, notes)


def _start_s(value: str, line: int, notes: ReadingNotes) -> int:
    try:
        start_s = int(value.split(maxsplit=1)[0])
        from_epoch_s(start_s)
    except (ValueError, IndexError, OverflowError, OSError) as error:
        raise InputError(
            f"expected seconds since 1970 after UnixStartTime, got `{value.strip()[:60]}`",
            where=Where(notes.file, line, "UnixStartTime"),
        ) from error
    return start_s


def _compare(header: Mapping[str, str], notes: ReadingNotes) -> None:
    """Say where the header counts other records than there are: cleaned and shortened copies keep the old header."""
    told = header.get(_RECORDS, "").partition(" ")[0]
    if told.isdecimal() and int(told) != notes.lines:
        notes.assume(f"the header says {int(told):,} records, there are {notes.lines:,}: the lines are believed")


def _job(fields: list[str], line: int, start_s: int, notes: ReadingNotes) -> TraceJob | None:
    if len(fields) != FIELDS:
        notes.fault(f"not {FIELDS} fields", line)
        return None
    try:
        submit_s, run_s, used, asked, limit_s = (_whole(fields[index]) for index in (1, 3, 4, 7, 8))
        submit = from_epoch_s(start_s + submit_s)
    except (ValueError, OverflowError, OSError):
        notes.fault("not numbers, or out of range", line)
        return None
    if run_s > 0 and (submit_s < 0 or max(asked, used) <= 0):
        notes.drop("no submission time" if submit_s < 0 else "no size", line)
        return None
    facts = {"job": fields[0], "submit": submit, "user": f"user-{fields[11]}" if fields[11].isdecimal() else None}
    gpus = asked if asked > 0 else used
    job = intake(notes, line, facts, gpus=gpus, runtime_s=run_s, limit_s=max(limit_s, 0))
    if job is not None and asked <= 0:
        notes.changed["size assumed: processors used, for want of processors requested"] += 1
    return job


def _whole(text: str) -> int:
    """SWF is whole numbers; converters leave `12.00` here and there. Parts of a second count as a second."""
    return int(text) if text.lstrip("-").isdecimal() else math.ceil(float(text))
