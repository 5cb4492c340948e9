"""Slurm's accounting as JSON: `sacct --json`, in the shapes of Slurm 22.05 and of 23.02 and later.

22.05 writes bare numbers and null; later versions write `{"set", "infinite", "number"}` and lists of states. Records
are decoded one at a time: a year of a busy cluster is larger than memory. Times are seconds since 1970.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, TextIO

from csched.clock import from_epoch_s
from csched.errors import InputError, Where
from csched_sim.traces.intake import intake
from csched_sim.traces.slurm_values import NO_VALUE, PARTIAL_STATES, gpus_of, job_name
from csched_sim.traces.trace import ReadingNotes, TraceJob

CHUNK_CHARACTERS: Final = 1024 * 1024
LARGEST_RECORD_CHARACTERS: Final = 64 * CHUNK_CHARACTERS
_JOBS = re.compile(r'"jobs"\s*:\s*\[')
_BETWEEN = re.compile(r"[\s,]*")

Record = Mapping[str, Any]


def read_sacct_json(stream: TextIO, notes: ReadingNotes) -> Iterator[TraceJob]:
    """The jobs that ran and ended, in the order of the document; else as for the text of sacct.

    Raises:
        InputError: not JSON, without a list `jobs`, or cut off within it.
    """
    for index, record in enumerate(_records(stream, notes)):
        notes.lines += 1
        place = Where(notes.file, None, f"jobs[{index}]")
        try:
            why_not = _why_no_job(record)
            if why_not is None:
                job = _job(record, place, notes)
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError, OSError):
            notes.fault("not a job record of sacct", place)
            continue
        if why_not is not None:
            notes.drop(why_not, place)
        elif job is not None:
            yield job


def _why_no_job(record: Record) -> str | None:
    current = record["state"]["current"]
    for state in [current] if isinstance(current, str) else current:
        if state in PARTIAL_STATES:
            return PARTIAL_STATES[state]
    if not _number(record["time"]["start"]):
        return "never ran"
    return None if _number(record["time"]["end"]) else "had not ended"


def _job(record: Record, place: Where, notes: ReadingNotes) -> TraceJob | None:
    time, resources = record["time"], record["tres"]
    limit_min = _number(time["limit"])
    facts = {
        "job": _job_name(record),
        "submit": from_epoch_s(int(time["submission"])),
        "user": record.get("user") or None,
        "tenant": record.get("account") or None,
    }
    gpus = _gpus(resources["requested"]) or _gpus(resources["allocated"])
    limit_s = limit_min * 60 if limit_min else None
    job = intake(notes, place, facts, gpus=gpus, runtime_s=int(time["elapsed"]), limit_s=limit_s)
    if job is not None and record["het"]["job_id"]:
        notes.changed["component of a heterogeneous job taken as a job of its own"] += 1
    return job


def _job_name(record: Record) -> str:
    array, het = record["array"], record["het"]
    task = _number(array["task_id"])
    if array["job_id"] and task is not None:
        return f"{array['job_id']}_{task}"
    if het["job_id"]:
        return job_name(f"{het['job_id']}+{_number(het['job_offset'])}")
    return str(record["job_id"])


def _gpus(resources: list[Record]) -> int:
    return gpus_of((f"{entry['type']}/{entry['name']}", int(entry["count"] or 0)) for entry in resources)


def _number(value: Any) -> int | None:
    """Null where Slurm says unset, infinite, null, NO_VAL or INFINITE."""
    if isinstance(value, Mapping):
        return int(value["number"]) if value["set"] else None
    return None if value is None or value >= NO_VALUE else int(value)


def _records(stream: TextIO, notes: ReadingNotes) -> Iterator[Record]:
    """The elements of the list `jobs`, decoded one at a time."""
    decoder = json.JSONDecoder()
    text, at = _until_jobs(stream, notes)
    while True:
        between = _BETWEEN.match(text, at)
        at = between.end() if between else at
        if text.startswith("]", at):
            return
        try:
            record, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            more = stream.read(max(CHUNK_CHARACTERS, len(text) - at))
            if not more or len(text) - at > LARGEST_RECORD_CHARACTERS:
                raise InputError(f"not JSON to its end: {error}", where=Where(str(notes.path))) from error
            text, at = text[at:] + more, 0
            continue
        yield record


def _until_jobs(stream: TextIO, notes: ReadingNotes) -> tuple[str, int]:
    """The text up to somewhere behind `"jobs": [`, and the place right behind it."""
    text = ""
    while (found := _JOBS.search(text)) is None:
        more = stream.read(CHUNK_CHARACTERS)
        if not more or len(text) > LARGEST_RECORD_CHARACTERS:
            raise InputError("no list `jobs` in it", hint="sacct --json writes one", where=Where(str(notes.path)))
        text += more
    return text, found.end()
