"""Time is aware UTC. This is the only module that reads the machine's clock."""

from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo


class SystemClock:
    """The machine's clock, to the second: finer instants would only look exact."""

    def now(self) -> datetime:
        return datetime.now(UTC).replace(microsecond=0)


class FixedClock:
    """A clock that stands until it is set; what the simulator and the tests use."""

    def __init__(self, now: datetime) -> None:
        self._now = now

    def now(self) -> datetime:
        return self._now

    def set(self, now: datetime) -> None:
        self._now = now


def parse_instant(text: str) -> datetime:
    """`2026-11-22T12:00:00Z` or with an offset, as aware UTC.

    Raises:
        ValueError: not ISO 8601, or without a zone; a naive time would mean another instant on another machine.
    """
    try:
        instant = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise ValueError(f"`{text}` is not an ISO 8601 time such as 2026-11-22T12:00:00Z") from error
    if instant.tzinfo is None:
        raise ValueError(f"`{text}` has no zone; write {text.strip()}Z for UTC")
    try:
        return instant.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"`{text}` lies outside the years 1 to 9999 in UTC") from error


def format_instant(instant: datetime) -> str:
    """ISO 8601 in UTC with a `Z`, seconds precision unless there are fractions."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def epoch_s(instant: datetime) -> int:
    """Whole seconds since 1970-01-01T00:00Z (floor)."""
    return int(instant.timestamp() // 1)


def from_epoch_s(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def parse_zone(name: str) -> tzinfo:
    """The zone with this IANA name, such as `Europe/Paris` or `UTC`.

    Raises:
        ValueError: no such zone.
    """
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError) as error:
        raise ValueError(f"`{name}` is not a time zone such as Europe/Paris or UTC") from error
