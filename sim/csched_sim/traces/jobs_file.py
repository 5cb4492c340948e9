"""The jobs file of csched as a trace: the column `runtime_s` is the true run time, which planning never sees."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Final, TextIO

from csched.domain.job import Job
from csched.errors import InputError
from csched.formats import jobs as jobs_format
from csched_sim.traces.table import table_rows
from csched_sim.traces.trace import ReadingNotes, TraceJob

_COLUMNS: Final = (*jobs_format.COLUMNS, *jobs_format.SIMULATED_COLUMNS)
_REQUIRED: Final = ("job", "gpus", "time_limit_s")


def read_jobs_file(lines: Iterable[str], notes: ReadingNotes) -> Iterator[TraceJob]:
    """The jobs of a CSV or of JSON lines. The true run time is `runtime_s`, else the expected one, else the limit.

    Raises:
        InputError: a required column is missing, or one is unknown.
    """
    for line, row in _rows(lines, notes):
        try:
            job = jobs_format.job_of(row, notes.file, line)
            told_s = _told_runtime_s(row.get("runtime_s"))
        except InputError as error:
            notes.fault(error.message, line, field=error.where.field if error.where else None)
            continue
        except ValueError as error:
            notes.fault(str(error), line, field="runtime_s")
            continue
        if job.submit is None:
            notes.fault(f"job `{job.job}` has no submit time, so that there is nothing to replay", line, field="submit")
            continue
        yield TraceJob(job, _runtime_s(job, told_s, notes))


def _rows(lines: Iterable[str], notes: ReadingNotes) -> Iterator[tuple[int, Mapping[str, object]]]:
    """(line, field -> value) with empty cells left out."""
    remaining = iter(lines)
    first = next(remaining, "")
    whole = chain([first], remaining)
    if not first.lstrip().startswith("{"):
        for line, row in table_rows(whole, notes, required=_REQUIRED, optional=_COLUMNS, known=_COLUMNS):
            yield line, {name: cell for name, cell in row.items() if cell}
        return
    for line, text in enumerate(whole, start=1):
        if text.strip():
            notes.lines += 1
            values = _object(text)
            if values is None:
                notes.fault("one JSON object a line was expected", line)
            else:
                yield line, values


def _object(text: str) -> dict[str, object] | None:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return values if isinstance(values, dict) else None


def _told_runtime_s(cell: object) -> int | None:
    if cell is None:
        return None
    if not str(cell).isdecimal() or int(str(cell)) <= 0:
        raise ValueError(f"expected a positive whole number of seconds, got `{str(cell)[:60]}`")
    return int(str(cell))


def _runtime_s(job: Job, told_s: int | None, notes: ReadingNotes) -> int:
    if told_s is None:
        notes.changed["run time assumed: the expected one, else the limit, for want of `runtime_s`"] += 1
        return job.runtime_s
    if told_s > job.time_limit_s:
        notes.changed["run cut at its limit"] += 1
    return min(told_s, job.time_limit_s)


def write_jobs_file(stream: TextIO, trace: Iterable[TraceJob], columns: Sequence[str] = jobs_format.COLUMNS) -> None:
    """The trace as a jobs CSV that `csched plan` and `csched simulate` both read."""
    jobs_format.write_jobs(stream, ((traced.job, {"runtime_s": traced.runtime_s}) for traced in trace), columns)
