"""The jobs file: CSV with a header, or JSON lines; plain or gzip; one job each."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final, TextIO

from pydantic import ValidationError

from csched.clock import format_instant
from csched.domain.job import Job
from csched.errors import InputError, Where
from csched.formats.files import read_text
from csched.formats.job_cells import CELLS
from csched.formats.validation import did_you_mean, input_error

COLUMNS: Final = tuple(Job.model_fields)
SIMULATED_COLUMNS: Final = ("runtime_s",)
"""Only a simulator knows how long a job will truly run; planning accepts the column and does not look."""
MAX_JOBS: Final = 2_000_000
_REQUIRED: Final = ("job", "gpus", "time_limit_s")


def read_jobs(path: Path) -> tuple[Job, ...]:
    """The jobs of a file, in its order. A name with .json or .jsonl in it is JSON lines, every other one CSV.

    Raises:
        InputError: with file, line, column and what was expected; also for an id that is there twice.
    """
    return parse_jobs(read_text(path, max_mib=512), str(path), json_lines=_is_json(path))


def parse_jobs(text: str, file: str, *, json_lines: bool) -> tuple[Job, ...]:
    """As `read_jobs`, from text; `file` is what errors call it."""
    jobs: list[Job] = []
    first_line: dict[str, int] = {}
    for line, row in _json_rows(text, file) if json_lines else csv_rows(text, file):
        job = job_of(row, file, line)
        if job.job in first_line:
            raise InputError(
                f"job `{job.job}` is there twice, first in line {first_line[job.job]}", where=Where(file, line, "job")
            )
        first_line[job.job] = line
        jobs.append(job)
        if len(jobs) > MAX_JOBS:
            raise InputError(f"more than {MAX_JOBS} jobs", hint="split the file", where=Where(file, line))
    return tuple(jobs)


def write_jobs(
    stream: TextIO, rows: Iterable[tuple[Job, Mapping[str, object]]], columns: Sequence[str] = COLUMNS
) -> None:
    """Jobs as CSV, each with its further columns (see SIMULATED_COLUMNS); the same bytes for the same jobs.

    Fewer `columns` are for whoever knows that the jobs have nothing else to tell.
    """
    writer: csv.DictWriter[str] | None = None
    for job, further in rows:
        if writer is None:
            writer = csv.DictWriter(stream, (*columns, *further), lineterminator="\n")
            writer.writeheader()
        writer.writerow({**{name: _cell(name, getattr(job, name)) for name in columns}, **further})
    if writer is None:
        csv.writer(stream, lineterminator="\n").writerow(columns)


def csv_rows(text: str, file: str) -> Iterator[tuple[int, dict[str, str]]]:
    """(line, column -> cell) of each row of a jobs CSV; empty cells are left out, unknown columns refused."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        _check_header(header, file)
        for cells in reader:
            line = reader.line_num
            if not cells:
                continue
            if len(cells) != len(header):
                raise InputError(
                    f"{len(cells)} cells, but the header has {len(header)} columns",
                    hint="quote a cell that has a comma in it; write lists with |",
                    where=Where(file, line),
                )
            yield line, {name: cell.strip() for name, cell in zip(header, cells, strict=True) if cell.strip()}
    except csv.Error as error:
        raise InputError(f"not CSV: {error}", where=Where(file, reader.line_num)) from error


def _check_header(header: list[str], file: str) -> None:
    for name in _REQUIRED:
        if name not in header:
            raise InputError(f"the column `{name}` is missing", where=Where(file, 1, name))
    for name in header:
        if name not in COLUMNS + SIMULATED_COLUMNS:
            raise InputError(f"unknown column `{name}`", hint=did_you_mean(name, COLUMNS), where=Where(file, 1, name))
        if header.count(name) > 1:
            raise InputError(f"the column `{name}` is there twice", where=Where(file, 1, name))


def _json_rows(text: str, file: str) -> Iterator[tuple[int, dict[str, object]]]:
    for line, row in enumerate(text.split("\n"), start=1):
        if not row.strip():
            continue
        try:
            values = json.loads(row)
        except (ValueError, RecursionError) as error:
            raise InputError(f"not JSON: {error}", hint="write one object a line", where=Where(file, line)) from error
        if not isinstance(values, dict):
            raise InputError("one JSON object a line was expected", where=Where(file, line))
        yield line, values


def job_of(row: Mapping[str, object], file: str, line: int) -> Job:
    """The job of one row, field -> value, empty ones left out; columns for the simulator alone are passed over.

    Raises:
        InputError: with the line, the column and what was expected.
    """
    values = {name: value for name, value in row.items() if name not in SIMULATED_COLUMNS and value is not None}
    for name in CELLS.keys() & values.keys():
        if isinstance(cell := values[name], str):
            values[name] = CELLS[name].read(cell, Where(file, line, name))
    if isinstance(values.get("job"), int):
        values["job"] = str(values["job"])
    try:
        return Job.model_validate(values)
    except ValidationError as error:
        raise input_error(error, lambda path: Where(file, line, str(path[0]) if path else None), Job) from error


def _cell(name: str, value: object) -> object:
    if name in CELLS:
        return CELLS[name].write(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return format_instant(value)
    return "" if value is None else value


def _is_json(path: Path) -> bool:
    return any(suffix in {".json", ".jsonl", ".ndjson"} for suffix in path.suffixes)
