"""From a file to an ordered trace, whatever its format."""

from array import array
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from heapq import heappop, heappush
from itertools import islice
from pathlib import Path
from typing import Final, TextIO

import numpy as np

from csched.errors import InputError, Where
from csched_sim.traces.acme import read_acme
from csched_sim.traces.detection import CSCHED, guessed_format
from csched_sim.traces.helios import read_helios
from csched_sim.traces.jobs_file import read_jobs_file
from csched_sim.traces.lines import open_lines
from csched_sim.traces.mapping import mapped_reader, read_mapping
from csched_sim.traces.openb import read_openb
from csched_sim.traces.pai import read_pai
from csched_sim.traces.philly import read_philly
from csched_sim.traces.sacct import read_sacct
from csched_sim.traces.sacct_json import read_sacct_json
from csched_sim.traces.supercloud import read_supercloud
from csched_sim.traces.surf import read_surf
from csched_sim.traces.swf import read_swf
from csched_sim.traces.trace import OnFault, ReadingNotes, TraceJob, moved_by, submitted

Reader = Callable[[TextIO, ReadingNotes], Iterator[TraceJob]]

MAPPED: Final = "mapped"
READERS: Final[Mapping[str, Reader]] = {
    "swf": read_swf,
    "sacct": read_sacct,
    "sacct-json": read_sacct_json,
    "philly": read_philly,
    "helios": read_helios,
    "acme": read_acme,
    "pai": read_pai,
    "openb": read_openb,
    "supercloud": read_supercloud,
    "surf": read_surf,
    CSCHED: read_jobs_file,
}
FORMATS: Final = tuple(READERS)
REPEATING: Final = frozenset({"sacct", "sacct-json"})
"""Formats in which several jobs may have one id: an id is used again after a restart, or for each run of a job."""
HELD_JOBS: Final = 100_000
"""A trace of up to so many jobs is kept in memory; a longer one is read again where it is wanted again."""


@dataclass(frozen=True)
class HowToRead:
    """What a user may say about a trace; null leaves it to the file and its format."""

    format: str | None = None
    mapping: Path | None = None
    zone: tzinfo | None = None
    on_fault: OnFault | None = None
    """null: an archive is read on, a jobs file of csched's own stops at its first fault."""


@dataclass(frozen=True)
class _Opened:
    path: Path
    format: str
    reader: Reader
    how: HowToRead

    def notes(self) -> ReadingNotes:
        default = OnFault.STOP if self.format == CSCHED else OnFault.GO_ON
        return ReadingNotes(self.path, self.format, self.how.on_fault or default, self.how.zone)

    def jobs(self, notes: ReadingNotes) -> Iterator[TraceJob]:
        """In the order of the file."""
        with open_lines(self.path, "strict" if self.format == CSCHED else "replace") as stream:
            jobs = self.reader(stream, notes)
            yield from _numbered(jobs, notes) if self.format in REPEATING else jobs


@dataclass(frozen=True)
class Trace:
    """A trace by submission, which may be gone through any number of times and never has to fit into memory.

    Going through a long one reads the file again and holds no more jobs than stand before their turn in it.
    """

    notes: ReadingNotes
    jobs: int
    first_submit: datetime
    opened: _Opened
    read_ahead: int
    """How many jobs stand in the file before one that was submitted earlier, at most."""
    kept: list[TraceJob] | None
    """All jobs in their order, where they are few."""
    shift: timedelta

    def __len__(self) -> int:
        return self.jobs

    def __iter__(self) -> Iterator[TraceJob]:
        ordered = iter(self.kept) if self.kept is not None else self._read_again()
        jobs = islice(ordered, self.jobs)
        return (moved_by(traced, self.shift) for traced in jobs) if self.shift else jobs

    def _read_again(self) -> Iterator[TraceJob]:
        waiting: list[tuple[datetime, int, TraceJob]] = []
        for index, traced in enumerate(self.opened.jobs(self.opened.notes())):
            heappush(waiting, (submitted(traced), index, traced))
            if len(waiting) > self.read_ahead:
                yield heappop(waiting)[2]
        while waiting:
            yield heappop(waiting)[2]


def open_trace(
    path: Path, how: HowToRead = HowToRead(), *, start: datetime | None = None, limit: int | None = None
) -> Trace:
    """The first `limit` jobs by submission, moved so that the first is submitted at `start`, and how they were read.

    Raises:
        InputError: missing, unreadable, not in its format, without any job, or with an id that is there twice.
    """
    opened = _opened(path, how)
    notes = opened.notes()
    kept: list[TraceJob] | None = []
    submits_us = array("q")
    for traced in _unique(opened.jobs(notes), path):
        submits_us.append(round(submitted(traced).timestamp() * 1_000_000))
        if kept is not None:
            kept.append(traced)
            kept = kept if len(kept) <= HELD_JOBS else None
    if not submits_us:
        raise InputError("no job in it", hint=_why_none(notes), where=Where(str(path)))
    if kept is not None:
        kept.sort(key=submitted)
    first_submit = datetime.fromtimestamp(min(submits_us) / 1_000_000, UTC)
    return Trace(
        notes=notes,
        jobs=min(len(submits_us), limit or len(submits_us)),
        first_submit=start or first_submit,
        opened=opened,
        read_ahead=_read_ahead(submits_us),
        kept=kept,
        shift=start - first_submit if start else timedelta(0),
    )


def read_trace(
    path: Path,
    trace_format: str | None = None,
    *,
    start: datetime | None = None,
    limit: int | None = None,
    how: HowToRead | None = None,
) -> tuple[list[TraceJob], ReadingNotes]:
    """As `open_trace`, held in memory."""
    trace = open_trace(path, how or HowToRead(format=trace_format), start=start, limit=limit)
    return list(trace), trace.notes


def jobs_as_they_stand(path: Path, how: HowToRead = HowToRead()) -> tuple[Iterator[TraceJob], ReadingNotes]:
    """The jobs in the order of the file, each read when it is asked for; the notes are whole when the jobs are.

    Raises:
        InputError: as `open_trace`, partly while the jobs are read.
    """
    opened = _opened(path, how)
    notes = opened.notes()
    return _unique(opened.jobs(notes), path), notes


def _opened(path: Path, how: HowToRead) -> _Opened:
    if how.mapping is not None:
        return _Opened(path, MAPPED, mapped_reader(read_mapping(how.mapping)), how)
    named = how.format or guessed_format(path)
    return _Opened(path, named, READERS[named], how)


def _read_ahead(submits_us: "array[int]") -> int:
    """The most jobs that ever have to be read before the next one in time is among them."""
    order = np.argsort(np.frombuffer(submits_us, dtype=np.int64), kind="stable")
    return int((np.maximum.accumulate(order) - np.arange(len(order))).max())


def _numbered(jobs: Iterator[TraceJob], notes: ReadingNotes) -> Iterator[TraceJob]:
    """`17`, then `17.2`: a number for every further job with the same id."""
    times: dict[str, int] = {}
    for traced in jobs:
        name = traced.job.job
        times[name] = times.get(name, 0) + 1
        if times[name] > 1:
            notes.changed["an id that is there again given a number"] += 1
            yield traced._replace(job=traced.job.model_copy(update={"job": f"{name}.{times[name]}"}))
        else:
            yield traced


def _unique(jobs: Iterator[TraceJob], path: Path) -> Iterator[TraceJob]:
    seen: set[str] = set()
    for traced in jobs:
        if traced.job.job in seen:
            raise InputError(f"job `{traced.job.job}` is there twice", where=Where(str(path)))
        seen.add(traced.job.job)
        yield traced


def _why_none(notes: ReadingNotes) -> str:
    if not notes.dropped:
        return f"is it in the format {notes.format}?"
    why, count = notes.dropped.most_common(1)[0]
    return f"dropped {count:,} of {notes.lines:,} lines: {why} (first: {notes.places[why][0]})"
