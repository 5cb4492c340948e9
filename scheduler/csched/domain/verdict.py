"""Why a job may or may not run at a site. Reasons are data; commands, JSON and metrics only render them."""

from collections.abc import Mapping
from enum import StrEnum

from pydantic import Field

from csched.domain.base import Instant, Slug, Value
from csched.domain.start_ban import StartBan

Scalar = str | int | float | bool | None


class ReasonCode(StrEnum):
    """In precedence order: of several reasons for one site, the first says most."""

    POLICY_HARD_DENY = "PolicyHardDeny"
    POLICY_UNKNOWN_FACT = "PolicyUnknownFact"
    POLICY_CONTRADICTION = "PolicyContradiction"
    JOB_CONSTRAINT = "JobConstraint"
    NO_ACCOUNT = "NoAccount"
    NOT_PORTABLE = "NotPortable"
    NO_SUCH_HARDWARE = "NoSuchHardware"
    TOO_LARGE = "TooLarge"
    WINDOW = "Window"
    DEADLINE_IMPOSSIBLE = "DeadlineImpossible"
    SITE_UNAVAILABLE = "SiteUnavailable"
    MAINTENANCE = "Maintenance"
    SITE_LIMIT = "SiteLimit"
    LICENSE = "License"
    POWER_CAP = "PowerCap"
    CAPACITY = "Capacity"
    DEPENDENCY = "Dependency"
    HELD = "Held"

    @property
    def tier(self) -> int:
        return list(ReasonCode).index(self)


class Reason(Value):
    """One clause that one site does not meet for one job."""

    site: Slug | None
    """null where the reason has nothing to do with a site, such as Held."""
    code: ReasonCode
    rule: str | None = None
    """The policy's id; null for reasons that are not policy."""
    clause: str | None = None
    """The path the clause reads, such as `site.country`, or the job's field, such as `gpus`."""
    seen: Scalar | tuple[Scalar, ...] = None
    needed: Scalar | tuple[Scalar, ...] = None
    message: str
    """One sentence for a person: lower case, no full stop."""


class ExceptionUse(Value):
    """An approved exception that lets a job through where a rule says no; part of every decision that uses it."""

    exception: Slug
    ticket: str
    rule: str
    version: int
    reason: str
    approved_by: tuple[str, ...]
    until: Instant
    """The job's time limit must run out by then."""
    overridden: tuple[Reason, ...]
    """What the rule would have refused."""


class Preference(Value):
    """What one `prefer` of a rule makes of a site, among the fleet. It excludes none and costs nothing."""

    rule: str
    clause: str
    seen: Scalar | tuple[Scalar, ...] = None
    points: float = Field(ge=0)
    """0 where the fact is not known, up to the weight that the rule gives."""


class SiteVerdict(Value):
    """What policy says of one job at one site: allowed if `denials` is empty, then only until `latest_end`."""

    site: Slug
    denials: tuple[Reason, ...] = ()
    latest_end: Instant | None = None
    """The job's time limit must run out by then (evidence expires); null is no such bound."""
    latest_end_reason: Reason | None = None
    bans: tuple[StartBan, ...] = ()
    """Hours of the day at which the job must not be started there, though it may at others."""
    advice: tuple[Reason, ...] = ()
    """Clauses not met of rules that only advise or audit: reported, never applied."""
    exceptions: tuple[ExceptionUse, ...] = ()
    """Rules that say no and were set aside for such jobs at this site."""
    preferences: tuple[Preference, ...] = ()
    """Advice only: which of the sites that are allowed the rules would rather see."""

    @property
    def allowed(self) -> bool:
        return not self.denials

    @property
    def points(self) -> float:
        """How much the rules prefer the site; comparable among the sites of one job only."""
        return sum(each.points for each in self.preferences)


class Objection(Value):
    """Why an order must not be handed over after all."""

    message: str
    disputed: bool
    """The first reader of the rules allows it at this very moment: one of the two readers is wrong."""


Verdicts = Mapping[str, tuple[SiteVerdict, ...]]
"""Job id -> one verdict per site, in the order of the fleet. Jobs with equal labels share one tuple."""
