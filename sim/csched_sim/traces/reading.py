"""From a file to an ordered trace, whatever its format."""

import gzip
import io
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final

from csched.errors import InputError, Where
from csched_sim.traces.jobs_file import read_jobs_file
from csched_sim.traces.philly import read_philly
from csched_sim.traces.swf import read_swf
from csched_sim.traces.trace import ReadingNotes, TraceJob, begun_at, in_order

Reader = Callable[[Iterable[str], ReadingNotes], Iterator[TraceJob]]

CSCHED: Final = "csched"
_READERS: Final[Mapping[str, Reader]] = {"swf": read_swf, "philly": read_philly}
FORMATS: Final = (*_READERS, CSCHED)


def read_trace(
    path: Path, trace_format: str | None = None, *, start: datetime | None = None, limit: int | None = None
) -> tuple[list[TraceJob], ReadingNotes]:
    """The first `limit` jobs by submission, moved so that the first is submitted at `start`, and how they were read.

    Raises:
        InputError: missing, unreadable, not in its format, without any job, or with an id that is there twice.
    """
    named = trace_format or guessed_format(path)
    notes = ReadingNotes(path.name, named)
    if named == CSCHED:
        trace = in_order(read_jobs_file(path, notes))
    else:
        with _lines(path) as lines:
            trace = in_order(_READERS[named](lines, notes))
    if not trace:
        raise InputError("no job in it", hint=f"is it in the format {named}?", where=Where(str(path)))
    _refuse_twice(trace, path)
    if limit is not None:
        trace = trace[:limit]
    return (trace if start is None else list(begun_at(trace, start))), notes


def guessed_format(path: Path) -> str:
    """By name: `.swf` is SWF; a CSV is told by its first line."""
    if ".swf" in path.suffixes:
        return "swf"
    with _lines(path) as lines:
        columns = {name.strip() for name in next(iter(lines), "").split(",")}
    return "philly" if {"duration", "num_gpus"} <= columns else CSCHED


@contextmanager
def _lines(path: Path) -> Iterator[Iterable[str]]:
    """The lines of a plain or gzip file as they are asked for; archives hold stray Latin-1 in comments."""
    where = Where(file=str(path))
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as stream:
            yield io.TextIOWrapper(stream, encoding="utf-8-sig", errors="replace", newline="")
    except FileNotFoundError as error:
        raise InputError("no such file", hint="check the path", where=where) from error
    except IsADirectoryError as error:
        raise InputError("a file was expected, this is a folder", where=where) from error
    except PermissionError as error:
        raise InputError("not readable for you", hint="check the file's permissions", where=where) from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"not a whole gzip file: {error}", where=where) from error


def _refuse_twice(trace: list[TraceJob], path: Path) -> None:
    seen: set[str] = set()
    for traced in trace:
        if traced.job.job in seen:
            raise InputError(f"job `{traced.job.job}` is there twice", where=Where(str(path)))
        seen.add(traced.job.job)
