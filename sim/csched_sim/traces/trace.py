"""What a trace is made of: jobs whose true run time is known, and the account of how they were read."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from csched.domain.job import Job
from csched.errors import InputError, Where

_PLACES_KEPT: Final = 5


class TraceJob(NamedTuple):
    """A job as its user described it, and what only a simulation knows."""

    job: Job
    runtime_s: int
    """True run time, at most the job's limit."""


@dataclass
class ReadingNotes:
    """Everything a reader did not take as it stood, so that nothing is dropped or assumed in silence."""

    file: str
    """Its name without folders: results are the same wherever the file lies."""
    format: str
    dropped: Counter[str] = field(default_factory=Counter)
    """Why a line gave no job -> how often."""
    changed: Counter[str] = field(default_factory=Counter)
    """What was cut or assumed -> for how many jobs."""
    assumptions: list[str] = field(default_factory=list)
    """What was assumed of the trace as a whole."""
    places: dict[str, list[str]] = field(default_factory=dict)
    """Why a line gave no job -> the first few places."""

    def drop(self, why: str, line: int) -> None:
        self.dropped[why] += 1
        places = self.places.setdefault(why, [])
        if len(places) < _PLACES_KEPT:
            places.append(str(Where(self.file, line)))

    def as_dict(self) -> dict[str, object]:
        return {
            "dropped": [
                {"why": why, "count": count, "first": self.places[why]} for why, count in sorted(self.dropped.items())
            ],
            "changed": [{"what": what, "count": count} for what, count in sorted(self.changed.items())],
            "assumptions": self.assumptions,
        }


def in_order(trace: Iterable[TraceJob]) -> list[TraceJob]:
    """By submission; jobs of the same instant stay in the order of the file."""
    return sorted(trace, key=submitted)


def submitted(traced: TraceJob) -> datetime:
    """When the job was submitted.

    Raises:
        InputError: the job has no submission time, so that there is nothing to replay.
    """
    if traced.job.submit is None:
        raise InputError(
            f"job `{traced.job.job}` has no submit time", hint="a simulation needs one for each job; fill the column"
        )
    return traced.job.submit


def begun_at(trace: list[TraceJob], start: datetime) -> Iterator[TraceJob]:
    """The ordered trace, moved in time so that its first submission is at `start`."""
    if trace:
        shift = start - submitted(trace[0])
        for traced in trace:
            yield moved_by(traced, shift)


def moved_by(traced: TraceJob, shift: timedelta) -> TraceJob:
    """The same job `shift` later: submission, earliest start and deadline together."""
    job = traced.job
    moved = {
        name: instant + shift
        for name in ("submit", "earliest_start", "deadline")
        if (instant := getattr(job, name)) is not None
    }
    return traced._replace(job=job.model_copy(update=moved))
