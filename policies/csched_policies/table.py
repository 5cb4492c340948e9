"""Rules turned into a table: what a clause says of a site is worked out once, not once for each job.

A row of the table is the verdict on one class of jobs: all jobs whose labels that any rule reads are equal share it.
The table holds from one instant at which evidence or a group changes to the next; after that it is made anew.
"""

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any, Final

from csched.clock import format_instant
from csched.domain.job import Job
from csched.domain.site import Fleet, Site
from csched.domain.verdict import ExceptionUse, Reason, ReasonCode, SiteVerdict
from csched_policies.clause import Clause, shown
from csched_policies.exceptions import Exemption, longest
from csched_policies.facts import COLUMN, Dataset, Facts, Tenant, ends_of_evidence, inputs, label_facts, site_facts
from csched_policies.groups import Groups
from csched_policies.operators import Sight
from csched_policies.rule import Rule
from csched_policies.satisfiable import contradiction, leave_no_site

Row = tuple[SiteVerdict, ...]

_EVER: Final = datetime.max.replace(tzinfo=UTC)
_NEVER: Final = datetime.min.replace(tzinfo=UTC)
_ROWS_KEPT: Final = 65_536


@dataclass(frozen=True)
class Finding:
    """What one clause says of one site: not met (`denial`), met for ever (neither), or met until an instant."""

    denial: Reason | None = None
    until: datetime | None = None
    until_reason: Reason | None = None


_MET: Final = Finding()


@dataclass(frozen=True)
class _Applies:
    """The rule is for such jobs."""

    asked: tuple[Any, ...]
    """Labels that its requirements read."""


@dataclass(frozen=True)
class _Unknown:
    """The rule reads labels that such jobs do not have."""

    clauses: tuple[tuple[Clause, tuple[str, ...]], ...]


_State = _Applies | _Unknown | None


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
        evidence_ends: Sequence[Mapping[str, datetime]] = (),
    ) -> None:
        instants = changes(rules, groups, sites) | {end for ends in evidence_ends for end in ends.values()}
        instants |= {instant for each in exemptions for instant in (each.since, each.until)}
        self.since = max((instant for instant in instants if instant <= now), default=_NEVER)
        self.before = min((instant for instant in instants if instant > now), default=_EVER)
        self.groups = groups
        self._now = now
        self._later = sorted(instant for instant in instants if instant > now)

    def finding(self, rule: Rule, clause: Clause, facts: Facts, ends: Mapping[str, datetime]) -> Finding:
        """What `clause` says of the site (and the labels) in `facts`, each of which counts until its end."""
        sight = Sight(facts, self.groups, self._now, ends)
        if not clause.holds(sight):
            return Finding(denial=_denial(rule, clause, sight))
        for instant in self._later if _changes(clause) or not clause.reads.isdisjoint(ends) else ():
            if not clause.holds(Sight(facts, self.groups, instant, ends)):
                return Finding(until=instant, until_reason=_expiry(rule, clause, facts, instant))
        return _MET

    def unknown_labels(self, rule: Rule, labels: Facts) -> tuple[tuple[Clause, tuple[str, ...]], ...]:
        """Clauses of `when` that read a fact which this job does not have."""
        sight = Sight(labels, self.groups, self._now)
        return tuple((clause, missing) for clause in rule.when if (missing := clause.missing(sight)))

    def applies(self, rule: Rule, labels: Facts) -> bool:
        """Whether the rule is for such a job, now or at any later change of a group: the job may run until then."""
        instants = [self._now, *self._later] if any(_changes(clause) for clause in rule.when) else [self._now]
        return any(
            all(clause.holds(Sight(labels, self.groups, instant)) for clause in rule.when) for instant in instants
        )


class _Judged:
    """What one rule makes of jobs, by number: jobs of which every rule makes the same get the same verdicts.

    A rule is asked once for each combination of the labels that it reads, however many others the jobs have.
    """

    def __init__(self, rule: Rule, judge: Judge) -> None:
        self.states: list[_State] = []
        self._rule = rule
        self._judge = judge
        self._asked = _labels_in(rule.require)
        self._reads = _labels_in(rule.clauses)
        self._numbers: dict[_State, int] = {}
        self._known: dict[tuple[Any, ...], int] = {}

    def number(self, labels: Facts) -> int:
        """Place in `states` of what the rule makes of jobs with these labels."""
        values = tuple(map(labels.get, self._reads))
        number = self._known.get(values)
        if number is None:
            state = self._state(labels)
            number = self._numbers.setdefault(state, len(self.states))
            if number == len(self.states):
                self.states.append(state)
            self._known[values] = number
        return number

    def forget(self) -> None:
        self.states.clear()
        self._numbers.clear()
        self._known.clear()

    def _state(self, labels: Facts) -> _State:
        unknown = self._judge.unknown_labels(self._rule, labels)
        if unknown:
            return _Unknown(unknown)
        if not self._judge.applies(self._rule, labels):
            return None
        return _Applies(tuple(map(labels.get, self._asked)))


class Table:
    """Verdicts of these rules over this fleet, for any job, as long as `holds_at` says so."""

    def __init__(
        self,
        rules: Sequence[Rule],
        groups: Groups,
        tenants: Mapping[str, Tenant],
        fleet: Fleet,
        now: datetime,
        *,
        unknown: Collection[str] = (),
        datasets: Mapping[str, Dataset] | None = None,
        exemptions: Sequence[Exemption] = (),
    ) -> None:
        """`unknown`: facts to overlook at every site."""
        self.fleet = fleet
        self._rules = rules
        self._tenants = tenants
        self._datasets = datasets or {}
        self._exemptions = exemptions
        self._now = now
        self._ends = ends_of_evidence(fleet)
        self._judge = Judge(rules, groups, fleet.sites, now, exemptions=exemptions, evidence_ends=self._ends)
        self._sites = [site_facts(site) | dict.fromkeys(unknown) for site in fleet.sites]
        self._fixed = {
            (rule.id, clause): [
                self._judge.finding(rule, clause, *known) for known in zip(self._sites, self._ends, strict=True)
            ]
            for rule in rules
            for clause in rule.require
            if all(path.startswith("site.") for path in clause.reads)
        }
        read = {path for rule in rules for path in rule.reads} | {path for each in exemptions for path in each.reads}
        columns = sorted({COLUMN[path] for path in read if path in COLUMN} | _datasets(read))
        self._columns = columns
        self._label_class: Callable[[Job], Any] = attrgetter(*columns) if columns else _no_labels
        self._judged = [_Judged(rule, self._judge) for rule in rules]
        self._rows: dict[Hashable, Row] = {}
        self._by_states: dict[Hashable, Row] = {}

    def holds_at(self, now: datetime) -> bool:
        return self._judge.since <= now < self._judge.before

    def screen(self, jobs: Sequence[Job]) -> dict[str, Row]:
        """Job id -> one verdict for each site; jobs with equal labels share one tuple."""
        rows, label_class = self._rows, self._label_class
        verdicts: dict[str, Row] = {}
        for job in jobs:
            labels = label_class(job)
            row = rows.get(labels)
            if row is None:
                row = self._keep(labels)
            verdicts[job.job] = row
        return verdicts

    def row(self, labels: Facts) -> Row:
        """The verdict on jobs with these labels at each site of the fleet."""
        numbers = tuple(judged.number(labels) for judged in self._judged)
        exempt = tuple(each for each in self._exemptions if each.covers(labels, self._now))
        key = (numbers, tuple(each.text.id for each in exempt))
        row = self._by_states.get(key)
        if row is None:
            states = tuple(judged.states[number] for judged, number in zip(self._judged, numbers, strict=True))
            row = tuple(self._verdict(states, exempt, index, labels) for index in range(len(self._sites)))
            if row and not any(verdict.allowed for verdict in row):
                row = self._contradicted(row, labels)
            self._by_states[key] = row
        return row

    def _contradicted(self, row: Row, labels: Facts) -> Row:
        """A row that allows nothing, with one reason more where it is the rules that leave no site between them."""
        excepted = {use.rule for verdict in row for use in verdict.exceptions}
        bind = [rule for rule in self._rules if rule.applied and rule.id not in excepted]
        rules = [rule for rule in bind if self._judge.applies(rule, labels)]
        found = contradiction(rules, labels, self._judge.groups, self._now)
        between, path = found or (leave_no_site(row), None)
        if len(between) == 1:
            return row
        return tuple(
            verdict.model_copy(update={"denials": _tiered([*verdict.denials, _contradiction(verdict, between, path)])})
            for verdict in row
        )

    def _keep(self, labels: Any) -> Row:
        if len(self._rows) >= _ROWS_KEPT:
            self._rows.clear()
            self._by_states.clear()
            for judged in self._judged:
                judged.forget()
        values = labels if len(self._columns) > 1 else (labels,) * len(self._columns)
        facts = label_facts(dict(zip(self._columns, values, strict=True)), self._tenants)
        first, *more = (self.row(each) for each in inputs(facts, self._datasets))
        self._rows[labels] = _narrowed(first, more) if more else first
        return self._rows[labels]

    def _verdict(
        self, states: tuple[_State, ...], exempt: Sequence[Exemption], index: int, labels: Facts
    ) -> SiteVerdict:
        site = self.fleet.sites[index].id
        denials: list[Reason] = []
        advice: list[Reason] = []
        ends: list[Finding] = []
        uses: list[ExceptionUse] = []
        for rule, state in zip(self._rules, states, strict=True):
            refused, bounds = self._of_rule(rule, state, index, labels)
            exemption = _exemption(rule, site, exempt) if refused else None
            if not rule.applied:
                advice += refused
            elif exemption is not None:
                uses.append(exemption.use(refused))
                ends.append(Finding(until=exemption.until, until_reason=exemption.end(site)))
            else:
                denials += refused
                ends += bounds
        first = min(ends, key=lambda finding: finding.until or _EVER, default=_MET)
        return SiteVerdict(
            site=site,
            denials=_tiered(denials),
            latest_end=first.until,
            latest_end_reason=first.until_reason,
            advice=tuple(advice),
            exceptions=tuple(uses),
        )

    def _of_rule(self, rule: Rule, state: _State, index: int, labels: Facts) -> tuple[list[Reason], list[Finding]]:
        """Why one rule says no at a site, and how long what it asks for is met."""
        if isinstance(state, _Unknown):
            site = self.fleet.sites[index].id
            return [_unknown(rule, clause, missing, site) for clause, missing in state.clauses], []
        asked = rule.require if isinstance(state, _Applies) else ()
        found = [self._finding(rule, clause, index, labels) for clause in asked]
        refused = [finding.denial for finding in found if finding.denial is not None]
        return refused, [finding for finding in found if finding.until is not None]

    def _finding(self, rule: Rule, clause: Clause, index: int, labels: Facts) -> Finding:
        fixed = self._fixed.get((rule.id, clause))
        if fixed:
            return fixed[index]
        return self._judge.finding(rule, clause, {**self._sites[index], **labels}, self._ends[index])


def changes(rules: Sequence[Rule], groups: Groups, sites: Sequence[Site]) -> set[datetime]:
    """Every instant at which an answer can change: a certificate or a member of a group begins or ends."""
    clauses = [clause for rule in rules for clause in rule.clauses]
    instants = groups.instants({name for clause in clauses for name in clause.group_names})
    if any(clause.path == "site.certs" for clause in clauses):
        for certificate in (certificate for site in sites for certificate in site.certs or ()):
            instants |= {instant for instant in (certificate.valid_from, certificate.valid_until) if instant}
    return instants


def _datasets(read: Collection[str]) -> set[str]:
    """The column that says which datasets a job reads, where a rule asks something of them."""
    return {"datasets"} if any(path.startswith("data.") for path in read) else set()


def _narrowed(first: Row, more: Sequence[Row]) -> Row:
    """What a job may do that is judged under several labels: a site must be allowed under each, for as long."""
    return tuple(_intersection(verdicts) for verdicts in zip(first, *more, strict=True))


def _intersection(verdicts: Sequence[SiteVerdict]) -> SiteVerdict:
    first = min(verdicts, key=lambda verdict: verdict.latest_end or _EVER)
    denials = dict.fromkeys(reason for verdict in verdicts for reason in verdict.denials)
    return SiteVerdict(
        site=first.site,
        denials=_tiered(denials),
        latest_end=first.latest_end,
        latest_end_reason=first.latest_end_reason,
        advice=tuple(dict.fromkeys(reason for verdict in verdicts for reason in verdict.advice)),
        exceptions=tuple(dict.fromkeys(use for verdict in verdicts for use in verdict.exceptions)),
    )


def _exemption(rule: Rule, site: str, exempt: Sequence[Exemption]) -> Exemption | None:
    return longest(each for each in exempt if each.counts_for(rule) and site in each.text.sites)


def _changes(clause: Clause) -> bool:
    return clause.path == "site.certs" or bool(clause.group_names)


def _no_labels(_job: Job) -> tuple[()]:
    return ()


def _denial(rule: Rule, clause: Clause, sight: Sight) -> Reason:
    """The reason why a clause that was just found not met is not met."""
    site, seen = sight.facts.get("site.id"), sight.fact(clause.path)
    if clause.holds(sight) is None:
        missing = clause.missing(sight)
        what = (
            " and ".join(missing) + (" are" if len(missing) > 1 else " is") if missing else f"part of {clause.path} is"
        )
        return Reason(
            site=site,
            code=ReasonCode.POLICY_UNKNOWN_FACT,
            rule=rule.id,
            clause=clause.path,
            seen=shown(seen),
            needed=clause.asks(sight.facts),
            message=f"{what} not known, and rule {rule.id} needs {clause.path} to be {clause.asks(sight.facts)}",
        )
    conditions = clause.conditions(sight)
    more = f"; it would count were the operator known to be covered by {' or '.join(conditions)}" if conditions else ""
    return Reason(
        site=site,
        code=ReasonCode.POLICY_HARD_DENY,
        rule=rule.id,
        clause=clause.path,
        seen=shown(seen),
        needed=clause.asks(sight.facts),
        message=f"{clause.path} is {_spelled(seen)}, and rule {rule.id} needs {clause.asks(sight.facts)}{more}",
    )


def _labels_in(clauses: Iterable[Clause]) -> tuple[str, ...]:
    return tuple(sorted({path for clause in clauses for path in clause.reads if not path.startswith("site.")}))


def _tiered(denials: Iterable[Reason]) -> tuple[Reason, ...]:
    return tuple(sorted(denials, key=lambda reason: reason.code.tier))


def _contradiction(verdict: SiteVerdict, rules: tuple[str, ...], path: str | None) -> Reason:
    names = f"{', '.join(rules[:-1])} and {rules[-1]}"
    why = f"no site can meet them, because of {path}" if path else "each leaves a site of this fleet, together none"
    return Reason(
        site=verdict.site,
        code=ReasonCode.POLICY_CONTRADICTION,
        rule=rules[0],
        clause=path or "site",
        needed=f"rules {names}",
        message=f"rules {names} contradict each other for such a job: {why}",
    )


def _unknown(rule: Rule, clause: Clause, missing: tuple[str, ...], site: str) -> Reason:
    return Reason(
        site=site,
        code=ReasonCode.POLICY_UNKNOWN_FACT,
        rule=rule.id,
        clause=clause.path,
        needed="a known value",
        message=f"{' and '.join(missing)} is not known of this job, and rule {rule.id} reads it",
    )


def _expiry(rule: Rule, clause: Clause, facts: Facts, until: datetime) -> Reason:
    return Reason(
        site=facts.get("site.id"),
        code=ReasonCode.POLICY_HARD_DENY,
        rule=rule.id,
        clause=clause.path,
        seen=shown(facts.get(clause.path)),
        needed=clause.asks(facts),
        message=f"{clause.path} satisfies rule {rule.id} only until {format_instant(until)}",
    )


def _spelled(seen: object) -> str:
    value = shown(seen)
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "an empty list"
    return str(value).lower() if isinstance(value, bool) else str(value)
