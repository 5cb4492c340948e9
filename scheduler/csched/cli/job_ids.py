"""Choosing jobs on the command line: `17`, `3-8`, `1,3`, `last` and `all` (HyperQueue's selectors)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import click

from csched.domain.run import JobState
from csched.errors import InputError, UsageError

if TYPE_CHECKING:
    from csched.store.records import JobRecord
    from csched.store.repository import Repository

MOST_JOBS: Final = 10_000
ALIVE: Final = tuple(state for state in JobState if not state.final)

job_argument = click.argument("selector", metavar="ID")
jobs_argument = click.argument("selectors", metavar="ID...", nargs=-1, required=True)


def choose(store: "Repository", selectors: Sequence[str]) -> "tuple[JobRecord, ...]":
    """The jobs that are meant, by id, each once. `all` are those that wait or run; a range skips what is not there.

    Raises:
        UsageError: not a selector.
        InputError: an id that no job has, or no job at all.
    """
    chosen: dict[int, JobRecord] = {}
    for part in (part for selector in selectors for part in selector.split(",")):
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
        return [store.job(newest)]
    first, dash, last = part.partition("-")
    if not _is_id(first) or (dash and not _is_id(last)):
        raise UsageError(f"`{part}` does not name jobs", hint="write an id, 3-8, 1,3, last or all")
    if not dash:
        return [store.job(int(first))]
    return _range(store, int(first), int(last))


def _range(store: "Repository", first: int, last: int) -> "Sequence[JobRecord]":
    if last < first:
        raise UsageError(f"`{first}-{last}` runs backwards", hint=f"write {last}-{first}")
    if last - first >= MOST_JOBS:
        raise UsageError(f"`{first}-{last}` is more than {MOST_JOBS} jobs", hint="give a shorter range")
    found = store.jobs(ids=range(first, last + 1), limit=MOST_JOBS)
    if not found:
        raise InputError(f"there is no job in `{first}-{last}`", hint="csched queue lists the jobs that wait or run")
    return found


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 18
