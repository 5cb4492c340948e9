"""Choosing jobs on the command line: `17`, `3-8`, `1,3`, `last`, `all`, and tasks of arrays: `17_3`, `17_[3-5,9]`.

The id of an array stands for all of its tasks.
"""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import click

from csched.domain.run import JobState
from csched.errors import InputError, UsageError
from csched.formats.array_option import parse_array

if TYPE_CHECKING:
    from csched.store.records import JobRecord
    from csched.store.repository import Repository

MOST_JOBS: Final = 100_000
_LONGEST_RANGE: Final = 10_000
ALIVE: Final = tuple(state for state in JobState if not state.final)

_OUTSIDE_BRACKETS: Final = re.compile(r",(?![^\[\]]*\])")
_TASKS: Final = re.compile(r"(\d{1,18})_(?:(\d{1,7})|\[([\d,:-]{1,2000})\])", re.ASCII)

job_argument = click.argument("selector", metavar="ID")
jobs_argument = click.argument("selectors", metavar="ID...", nargs=-1, required=True)


def choose(store: "Repository", selectors: Sequence[str]) -> "tuple[JobRecord, ...]":
    """The jobs that are meant, by id, each once. `all` are those that wait or run; a range skips what is not there.

    Raises:
        UsageError: not a selector.
        InputError: an id that no job has, or no job at all.
    """
    chosen: dict[int, JobRecord] = {}
    for part in (part for selector in selectors for part in _OUTSIDE_BRACKETS.split(selector)):
        for record in _jobs(store, part.strip()):
            chosen[record.id] = record
    return tuple(chosen[job_id] for job_id in sorted(chosen))


def choose_one(store: "Repository", selector: str) -> "JobRecord":
    """Raises UsageError where more than one job is meant."""
    chosen = choose(store, [selector])
    if len(chosen) != 1:
        raise UsageError(f"`{selector}` means {len(chosen)} jobs, but this takes one", hint="give one id, or `last`")
    return chosen[0]


def _jobs(store: "Repository", part: str) -> "Sequence[JobRecord]":
    if part == "all":
        return store.jobs(states=ALIVE, limit=MOST_JOBS)
    if part == "last":
        newest = store.last_job_id()
        if newest is None:
            raise InputError("there is no job yet", hint="hand one in: csched submit SCRIPT")
        array = store.job(newest).array
        return _whole(store, int(array.job) if array else newest)
    if tasks := _TASKS.fullmatch(part):
        return _tasks(store, int(tasks[1]), tasks[2] or tasks[3])
    first, dash, last = part.partition("-")
    if not _is_id(first) or (dash and not _is_id(last)):
        raise UsageError(f"`{part}` does not name jobs", hint="write an id, 17_3, 17_[3-5], 3-8, 1,3, last or all")
    if not dash:
        return _whole(store, int(first))
    return _range(store, int(first), int(last))


def _whole(store: "Repository", job_id: int) -> "Sequence[JobRecord]":
    """The job, or all tasks of the array."""
    return store.jobs(ids=[job_id], arrays=[job_id], limit=MOST_JOBS) or [store.job(job_id)]


def _tasks(store: "Repository", array: int, wanted: str) -> "Sequence[JobRecord]":
    try:
        numbers = frozenset(parse_array(wanted)[0].tasks)
    except ValueError as error:
        raise UsageError(str(error), hint="write 17_3 or 17_[3-5,9]") from error
    of_array = store.jobs(ids=(), arrays=[array], limit=MOST_JOBS)
    if not of_array:
        raise InputError(f"there is no array `{array}`", hint="csched queue lists the jobs that wait or run")
    found = [record for record in of_array if record.array and record.array.task in numbers]
    if not found:
        raise InputError(f"array {array} has no task `{wanted}`", hint=f"csched queue lists those of {array}")
    return found


def _range(store: "Repository", first: int, last: int) -> "Sequence[JobRecord]":
    if last < first:
        raise UsageError(f"`{first}-{last}` runs backwards", hint=f"write {last}-{first}")
    if last - first >= _LONGEST_RANGE:
        raise UsageError(f"`{first}-{last}` is more than {_LONGEST_RANGE} jobs", hint="give a shorter range")
    chosen = range(first, last + 1)
    found = store.jobs(ids=chosen, arrays=chosen, limit=MOST_JOBS)
    if not found:
        raise InputError(f"there is no job in `{first}-{last}`", hint="csched queue lists the jobs that wait or run")
    return found


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 18
