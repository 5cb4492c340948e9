"""What one clause says of one job at one site: met or not and why, met until an instant, or met at some hours only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol

from csched.clock import format_instant
from csched.domain.site import Site
from csched.domain.start_ban import StartBan
from csched.domain.verdict import Reason, ReasonCode
from csched_policies.clause import Clause, shown
from csched_policies.exceptions import Exemption
from csched_policies.facts import Facts
from csched_policies.groups import Groups
from csched_policies.operators import ClosedHours, Sight
from csched_policies.rule import Rule
from csched_policies.transfers import MOVES
from csched_policies.vocabulary import is_label

EVER: Final = datetime.max.replace(tzinfo=UTC)
NEVER: Final = datetime.min.replace(tzinfo=UTC)
NO_ENDS: Final[Mapping[str, datetime]] = {}


class Asker(Protocol):
    """A rule, or whoever else asks something of a site."""

    @property
    def id(self) -> str: ...
    @property
    def spoken(self) -> str: ...
    @property
    def code(self) -> ReasonCode: ...


@dataclass(frozen=True)
class Finding:
    """Not met (`denial`), met for ever (nothing), until an instant, or outside of some hours of the day."""

    denial: Reason | None = None
    until: datetime | None = None
    until_reason: Reason | None = None
    ban: StartBan | None = None


MET: Final = Finding()


class Judge:
    """Compares clauses with facts as of one instant, and finds when an answer will change."""

    def __init__(
        self,
        rules: Sequence[Rule],
        groups: Groups,
        sites: Sequence[Site],
        now: datetime,
        *,
        exemptions: Sequence[Exemption] = (),
        evidence_ends: frozenset[datetime] = frozenset(),
        groups_used: frozenset[str] = frozenset(),
    ) -> None:
        instants = changes(rules, groups, sites) | evidence_ends | groups.instants(groups_used)
        instants |= {instant for each in exemptions for instant in (each.since, each.until)}
        self.since = max((instant for instant in instants if instant <= now), default=NEVER)
        self.before = min((instant for instant in instants if instant > now), default=EVER)
        self.groups = groups
        self._now = now
        self._later = sorted(instant for instant in instants if instant > now)

    def sight(self, facts: Facts, ends: Mapping[str, datetime]) -> Sight:
        return Sight(facts, self.groups, self._now, ends)

    def finding(self, asker: Asker, clause: Clause, facts: Facts, ends: Mapping[str, datetime]) -> Finding:
        """What `clause` says of site, labels and way in `facts`, each of which counts until its end."""
        if _of_no_transfer(clause, facts):
            return MET
        sight = self.sight(facts, ends)
        if not clause.holds(sight):
            return Finding(denial=_denial(asker, clause, sight))
        ban = _ban(asker, clause, sight)
        for instant in self._later if _changes(clause) or not clause.reads.isdisjoint(ends) else ():
            if not clause.holds(Sight(facts, self.groups, instant, ends)):
                return Finding(until=instant, until_reason=_expiry(asker, clause, facts, instant), ban=ban)
        return Finding(ban=ban) if ban else MET

    def unknown_labels(
        self, rule: Rule, facts: Facts, ends: Mapping[str, datetime] = NO_ENDS
    ) -> tuple[tuple[Clause, tuple[str, ...]], ...]:
        """Clauses of `when` that read a fact which is not known of this job, though another might decide; none where
        the rule is about a transfer and nothing moves."""
        return self._unknown_at(self._now, rule, facts, ends)

    def _unknown_at(
        self, instant: datetime, rule: Rule, facts: Facts, ends: Mapping[str, datetime]
    ) -> tuple[tuple[Clause, tuple[str, ...]], ...]:
        if any(_of_no_transfer(clause, facts) for clause in rule.when):
            return ()
        sight = Sight(facts, self.groups, instant, ends)
        found = ((clause, clause.missing(sight)) for clause in rule.when)
        return tuple((clause, missing) for clause, missing in found if missing or clause.holds(sight) is None)

    def lapse(self, rule: Rule, facts: Facts, ends: Mapping[str, datetime]) -> tuple[datetime, Clause] | None:
        """The first later instant from which a clause of `when` reads what nobody vouches for any more."""
        if all(clause.reads.isdisjoint(ends) for clause in rule.when):
            return None
        unknown = ((instant, self._unknown_at(instant, rule, facts, ends)) for instant in self._later)
        return next(((instant, clauses[0][0]) for instant, clauses in unknown if clauses), None)

    def applies(self, rule: Rule, facts: Facts, ends: Mapping[str, datetime] = NO_ENDS) -> bool:
        """Whether the rule is for such a job, now or at any later change of a group: the job may run until then."""
        if any(_of_no_transfer(clause, facts) for clause in rule.when):
            return False
        instants = [self._now, *self._later] if any(_changes(clause) for clause in rule.when) else [self._now]
        return any(
            all(clause.holds(Sight(facts, self.groups, instant, ends)) for clause in rule.when) for instant in instants
        )


def changes(rules: Sequence[Rule], groups: Groups, sites: Sequence[Site]) -> set[datetime]:
    """Every instant at which an answer can change: a certificate or a member of a group begins or ends."""
    clauses = [clause for rule in rules for clause in rule.clauses]
    instants = groups.instants({name for clause in clauses for name in clause.group_names})
    for certificate in (certificate for site in sites for certificate in site.certs or ()):
        instants |= {instant for instant in (certificate.valid_from, certificate.valid_until) if instant}
    return instants


def unknown(rule: Rule, clause: Clause, missing: tuple[str, ...], site: str) -> Reason:
    what = " and ".join(missing) or f"part of {clause.path}"
    return Reason(
        site=site,
        code=ReasonCode.POLICY_UNKNOWN_FACT,
        rule=rule.id,
        clause=clause.path,
        needed="a known value",
        message=f"{what} is not known of this job, and rule {rule.id} reads it",
    )


def lapsing(rule: Rule, clause: Clause, until: datetime, site: str) -> Reason:
    """Why a job must have ended by then: nobody knows afterwards whether the rule is for it."""
    return Reason(
        site=site,
        code=ReasonCode.POLICY_UNKNOWN_FACT,
        rule=rule.id,
        clause=clause.path,
        needed="a known value",
        message=f"{clause.path} is vouched for only until {format_instant(until)}, and rule {rule.id} reads it",
    )


def _of_no_transfer(clause: Clause, facts: Facts) -> bool:
    """Nothing is moved for the job to this site, so what is asked of its transfer is not asked."""
    return facts.get(MOVES) is False and clause.path.startswith("transfer.")


def _changes(clause: Clause) -> bool:
    return clause.path == "site.certs" or bool(clause.group_names)


def _denial(asker: Asker, clause: Clause, sight: Sight) -> Reason:
    """The reason why a clause that was just found not met is not met."""
    seen, needed = sight.fact(clause.attribute.fact), clause.asks(sight.facts)
    if clause.holds(sight) is None:
        missing = clause.missing(sight)
        what = (
            " and ".join(missing) + (" are" if len(missing) > 1 else " is") if missing else f"part of {clause.path} is"
        )
        verb = "" if isinstance(clause.operand, ClosedHours) else "to be "
        code, message = (
            ReasonCode.POLICY_UNKNOWN_FACT,
            f"{what} not known, and {asker.spoken} needs {clause.path} {verb}{needed}",
        )
    else:
        conditions = clause.conditions(sight)
        more = (
            f"; it would count were the operator known to be covered by {' or '.join(conditions)}" if conditions else ""
        )
        code, message = asker.code, f"{clause.path} is {_spelled(seen)}, and {asker.spoken} needs {needed}{more}"
    site = sight.facts.get("site.id")
    return Reason(
        site=site, code=code, rule=asker.id, clause=clause.path, seen=shown(seen), needed=needed, message=message
    )


def _expiry(asker: Asker, clause: Clause, facts: Facts, until: datetime) -> Reason:
    return Reason(
        site=facts.get("site.id"),
        code=ReasonCode.POLICY_HARD_DENY,
        rule=asker.id,
        clause=clause.path,
        seen=shown(facts.get(clause.attribute.fact)),
        needed=clause.asks(facts),
        message=f"{clause.path} satisfies {asker.spoken} only until {format_instant(until)}",
    )


def _ban(asker: Asker, clause: Clause, sight: Sight) -> StartBan | None:
    closed = clause.closed_hours(sight)
    if closed is None:
        return None
    hours, lead_s, span_s = closed
    what = f"{clause.path} must be {clause.needed}, {asker.spoken} says"
    if lead_s:
        what += f"; the data is under way for {lead_s / 3600:.3g} h before the start"
    return StartBan(
        from_=hours.from_,
        to=hours.to,
        zone=hours.zone,
        lead_s=lead_s,
        span_s=span_s,
        rule=asker.id,
        clause=clause.path,
        message=what,
    )


def reason_of(ban: StartBan, site: str, needed: str | None = None) -> Reason:
    """A ban as a reason, for a start that it forbids."""
    return Reason(
        site=site,
        code=ReasonCode.POLICY_HARD_DENY,
        rule=ban.rule,
        clause=ban.clause,
        needed=needed or f"outside {ban.from_} to {ban.to} {ban.zone}",
        message=ban.message,
    )


def _spelled(seen: object) -> str:
    value = shown(seen)
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "an empty list"
    return str(value).lower() if isinstance(value, bool) else str(value)


def labels_in(paths: frozenset[str]) -> tuple[str, ...]:
    return tuple(sorted(path for path in paths if is_label(path)))
