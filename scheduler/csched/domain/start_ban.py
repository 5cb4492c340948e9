"""Hours of the day, by the clock of some zone, at which a job must not be started."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Annotated, Final, Self
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from csched.domain.base import Value

ClockTime = Annotated[str, StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
"""`22:00`."""

_DAY_S: Final = 24 * 3600
_LOOK_S: Final = 900
"""Clocks are changed on whole quarters of an hour (UTC), and never twice within half a day."""


def _zone(name: str) -> str:
    if name not in known_zones():
        raise ValueError(f"`{name}` is not a time zone such as Europe/Paris")
    return name


@lru_cache(maxsize=1)
def known_zones() -> frozenset[str]:
    return frozenset(available_timezones())


ZoneName = Annotated[str, AfterValidator(_zone)]


class StartBan(Value):
    """Something that happens `lead_s` before the start and lasts `span_s` must not touch these hours of any day.

    The hours are [from, to) on the wall clock of `zone`, over midnight where `to` is earlier; a change of clocks is
    taken as the clock shows it.
    """

    from_: ClockTime = Field(alias="from")
    to: ClockTime
    zone: ZoneName
    lead_s: float = Field(default=0.0, ge=0)
    span_s: float = Field(default=0.0, ge=0)
    """0 is an instant."""
    rule: str
    clause: str
    message: str
    """Why a start within it is refused: lower case, no full stop."""

    @model_validator(mode="after")
    def _some_of_the_day(self) -> Self:
        if self.from_ == self.to:
            raise ValueError("the hours begin and end at the same time")
        return self

    def intervals(self, since: datetime, until: datetime) -> tuple[tuple[datetime, datetime], ...]:
        """Every [a, b) of [since, until) in which no start may lie, in order; they may touch or overlap."""
        lead, span = timedelta(seconds=self.lead_s), timedelta(seconds=self.span_s)
        just_done = timedelta(microseconds=1) if span else span  # what ends as the hours begin does not touch them
        found = (
            (max(since, begins + lead - span + just_done), min(until, ends + lead))
            for begins, ends in shown(self.from_, self.to, self.zone, since - lead, until - lead + span)
        )
        return tuple((begins, ends) for begins, ends in found if begins < ends)

    def forbids(self, start: datetime) -> bool:
        """Whether a job must not be started at `start`."""
        return any(a <= start < b for a, b in self.intervals(start, start + timedelta(seconds=1)))


def shown(from_: str, to: str, zone: str, since: datetime, until: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Every stretch that meets [since, until) throughout which a clock of `zone` shows a time in [from, to).

    A stretch is cut where clocks are changed, and may reach beyond `since` and `until`.
    """
    first, last = _seconds(from_), _seconds(to)
    length = timedelta(seconds=(last - first) % _DAY_S)
    for begins, ends, offset in _even(ZoneInfo(zone), since - timedelta(days=1), until + timedelta(days=1)):
        midnight = (begins + offset).replace(hour=0, minute=0, second=0, microsecond=0) - offset
        opens = midnight - timedelta(days=1) + timedelta(seconds=first)
        while opens < ends:
            a, b = max(begins, opens), min(ends, opens + length)
            if a < b and a < until and b > since:
                yield a, b
            opens += timedelta(days=1)


def _even(zone: ZoneInfo, since: datetime, until: datetime) -> Iterator[tuple[datetime, datetime, timedelta]]:
    """(begins, ends, offset from UTC) of the stretches of [since, until) within which the clock is not changed."""
    step = timedelta(seconds=_LOOK_S)
    begins = since - timedelta(seconds=since.timestamp() % _LOOK_S)
    at, offset = begins, _offset(begins, zone)
    while at < until:
        # Half a day ahead at once; only where the offset has changed by then is the quarter of an hour looked for.
        leap = at + 48 * step
        if _offset(leap, zone) == offset:
            at = leap
            continue
        while _offset(at, zone) == offset:
            at += step
        yield begins, at, offset
        begins, offset = at, _offset(at, zone)
    if begins < until:
        yield begins, max(at, until), offset


def _offset(at: datetime, zone: ZoneInfo) -> timedelta:
    return at.astimezone(zone).utcoffset() or timedelta(0)


def _seconds(clock: str) -> int:
    hours, minutes = clock.split(":")
    return int(hours) * 3600 + int(minutes) * 60
