"""The jobs file of csched as a trace: the column `runtime_s` is the true run time, which planning never sees."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TextIO

from csched.domain.job import Job
from csched.errors import InputError, Where
from csched.formats import jobs as jobs_format
from csched.formats.files import read_text
from csched_sim.traces.trace import ReadingNotes, TraceJob


def read_jobs_file(path: Path, notes: ReadingNotes) -> Iterator[TraceJob]:
    """The jobs of a CSV. The true run time is `runtime_s`, else the expected one, else the limit.

    Raises:
        InputError: as for any jobs file, and for a run time that is no positive whole number of seconds.
    """
    jobs = jobs_format.read_jobs(path)
    rows = jobs_format.csv_rows(read_text(path, max_mib=512), str(path))
    for job, (line, row) in zip(jobs, rows, strict=True):
        yield TraceJob(job, _runtime_s(job, row.get("runtime_s"), Where(str(path), line, "runtime_s"), notes))


def _runtime_s(job: Job, cell: str | None, where: Where, notes: ReadingNotes) -> int:
    if cell is None:
        notes.changed["run time assumed: the expected one, else the limit, for want of `runtime_s`"] += 1
        return job.runtime_s
    if not cell.isdecimal() or int(cell) <= 0:
        raise InputError(f"expected a positive whole number of seconds, got `{cell[:60]}`", where=where)
    if int(cell) > job.time_limit_s:
        notes.changed["run cut at its limit"] += 1
    return min(int(cell), job.time_limit_s)


def write_jobs_file(stream: TextIO, trace: Iterable[TraceJob]) -> None:
    """The trace as a jobs CSV that `csched plan` and `csched simulate` both read."""
    jobs_format.write_jobs(stream, ((traced.job, {"runtime_s": traced.runtime_s}) for traced in trace))
