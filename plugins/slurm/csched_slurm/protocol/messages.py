"""What goes over HTTP between a site's agent and the core; every list and text is bounded."""

from enum import StrEnum
from typing import Final

from pydantic import Field, JsonValue

from csched.domain.base import Instant, Slug, Value
from csched.domain.run import ExitCode, JobState
from csched.domain.verdict import ReasonCode
from csched_slurm.protocol.signing import SignedOrder

ORDERS_AT_ONCE: Final = 100
REPORTS_AT_ONCE: Final = 1000
LONGEST_WAIT_S: Final = 20
LONGEST_MESSAGE: Final = 1000


class OrderPage(Value):
    """The oldest orders after the one the agent named."""

    orders: tuple[SignedOrder, ...] = Field(default=(), max_length=ORDERS_AT_ONCE)
    alarm_cleared: Instant | None = None
    """When a person last let the site take jobs again; an alarm raised before is over."""


class Fate(StrEnum):
    """Why an attempt is over without having ended as jobs do."""

    REFUSED = "refused"
    """The site would not take it; nothing was ever submitted, or what was is cancelled and never ran."""
    NODE_FAILURE = "node-failure"
    PREEMPTED = "preempted"
    VANISHED = "vanished"
    """Slurm knows it no more, and how it ended is lost."""


class AttemptReport(Value):
    """All that the site knows of an attempt; it replaces every earlier report of it."""

    attempt: Slug
    version: int = Field(ge=1, lt=2**53)
    """Rises with each change; the core keeps the highest."""
    state: JobState
    fate: Fate | None = None
    clean: bool = False
    """Nothing of the attempt runs anywhere: it may be begun anew under another id."""
    reason: ReasonCode | None = None
    """Why the site refuses."""
    job_id: int | None = Field(default=None, ge=1)
    """In Slurm."""
    exit_code: ExitCode | None = None
    start: Instant | None = None
    end: Instant | None = None
    nodes: tuple[Slug, ...] | None = Field(default=None, max_length=20_000)
    message: str | None = Field(default=None, max_length=LONGEST_MESSAGE)


class OrderRefusal(Value):
    """An order that the agent does not carry out."""

    sequence: int = Field(ge=1)
    attempt: Slug | None = None
    """null where not even that can be believed."""
    code: str = Field(pattern=r"^[A-Z][A-Za-z]{1,39}$")
    message: str = Field(max_length=LONGEST_MESSAGE)


class Alarm(Value):
    """Something that a person must look at before the site gets another job."""

    code: str = Field(pattern=r"^[A-Z][A-Za-z]{1,39}$")
    message: str = Field(max_length=LONGEST_MESSAGE)
    since: Instant


class ReportBatch(Value):
    """Sent as often as needed; the same batch again changes nothing."""

    reports: tuple[AttemptReport, ...] = Field(default=(), max_length=REPORTS_AT_ONCE)
    refusals: tuple[OrderRefusal, ...] = Field(default=(), max_length=REPORTS_AT_ONCE)
    alarm: Alarm | None = None
    """Null: none stands."""


class SiteFacts(Value):
    """What the agent found at its site. The document is shown and kept, and decides nothing by itself."""

    at: Instant
    cluster: Slug
    agent: str = Field(max_length=64)
    """Its version."""
    document: dict[str, JsonValue] = Field(max_length=1000)
