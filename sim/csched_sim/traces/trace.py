"""What a trace is made of: jobs whose true run time is known, and the account of how they were read."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum
from pathlib import Path
from typing import Final, NamedTuple

from csched.domain.job import Job
from csched.errors import InputError, Where

_PLACES_KEPT: Final = 5

Place = int | Where
"""A line of the trace's own file, or somewhere else."""


class TraceJob(NamedTuple):
    """A job as its user described it, and what only a simulation knows."""

    job: Job
    runtime_s: int
    """True run time, at most the job's limit."""


class OnFault(StrEnum):
    """What to do about a line that is not in its format."""

    STOP = "stop"
    GO_ON = "go-on"


@dataclass
class ReadingNotes:
    """Everything a reader did not take as it stood, so that nothing is dropped or assumed in silence."""

    path: Path
    format: str
    on_fault: OnFault = OnFault.GO_ON
    zone: tzinfo | None = None
    """Of timestamps that do not tell theirs; null takes them as UTC and says so."""
    lines: int = 0
    """Lines, rows or records that could have been a job; each became one or was dropped."""
    dropped: Counter[str] = field(default_factory=Counter)
    """Why a line gave no job -> how often."""
    changed: Counter[str] = field(default_factory=Counter)
    """What was cut or assumed -> for how many jobs."""
    assumptions: list[str] = field(default_factory=list)
    """What was assumed of the trace as a whole."""
    places: dict[str, list[str]] = field(default_factory=dict)
    """Why a line gave no job -> the first few places."""

    @property
    def file(self) -> str:
        """Its name without folders: results are the same wherever the file lies."""
        return self.path.name

    def drop(self, why: str, place: Place) -> None:
        """Count a line that is in order and yet no job to replay."""
        self.dropped[why] += 1
        places = self.places.setdefault(why, [])
        if len(places) < _PLACES_KEPT:
            places.append(str(place if isinstance(place, Where) else Where(self.file, place)))

    def fault(self, what: str, place: Place, field: str | None = None) -> None:
        """Count a line that is not in its format.

        Raises:
            InputError: the reading is to stop at the first such line.
        """
        where = place if isinstance(place, Where) else Where(str(self.path), place, field)
        if self.on_fault is OnFault.STOP:
            raise InputError(what, hint="mend it, or count such lines and go on: --on-fault go-on", where=where)
        self.drop(f"malformed: {what}", place)

    def assume(self, what: str) -> None:
        """Say once what is assumed of the whole trace."""
        if what not in self.assumptions:
            self.assumptions.append(what)

    def instant(self, text: str) -> datetime:
        """An ISO 8601 time, in the zone of the trace unless it tells its own.

        Raises:
            ValueError: not such a time.
        """
        return self.placed(datetime.fromisoformat(text))

    def placed(self, instant: datetime) -> datetime:
        """The instant when clocks in the zone of the trace showed this, unless it has its own zone; in UTC.

        What clocks show twice in autumn is taken as the first of the two.
        """
        if instant.tzinfo is not None:
            return instant.astimezone(UTC)
        if self.zone is None:
            self.assume("the timestamps do not tell their zone: taken as UTC (--zone names another)")
            return instant.replace(tzinfo=UTC)
        return instant.replace(tzinfo=self.zone).astimezone(UTC)

    def as_dict(self) -> dict[str, object]:
        return {
            "lines": self.lines,
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
