"""Rules turned into a table: what a clause says of a site is worked out once, not once for each job.

A row of the table is the verdict on one class of jobs: all jobs whose labels that any rule reads are equal share it.
The table holds from one instant at which evidence or a group changes to the next; after that it is made anew.
"""

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any, Final

from csched.domain.job import Job
from csched.domain.site import Fleet
from csched.domain.verdict import ExceptionUse, Preference, Reason, SiteVerdict
from csched_policies.clause import Clause
from csched_policies.contradicting import Contradictions
from csched_policies.exceptions import Exemption, longest
from csched_policies.facts import COLUMN, Dataset, Facts, Tenant, ends_of_evidence, inputs, label_facts, site_facts
from csched_policies.groups import Groups
from csched_policies.judging import EVER, MET, Finding, Judge, lapsing, reason_of, unknown
from csched_policies.parts import (
    Applies,
    AtSites,
    Demanded,
    DemandPart,
    Numbering,
    Part,
    RulePart,
    Seen,
    State,
    Unknown,
    Vouched,
    columns_read,
)
from csched_policies.preferring import prefer
from csched_policies.rule import Mode, Rule
from csched_policies.transfers import Transfers
from csched_policies.vocabulary import Law, is_of_pair, is_of_site

Row = tuple[SiteVerdict, ...]

_ROWS_KEPT: Final = 65_536


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
        self._transfers = Transfers(fleet, self._ends)
        self._judge = Judge(
            rules,
            groups,
            fleet.sites,
            now,
            exemptions=exemptions,
            evidence_ends=_all_ends(fleet),
            groups_used=_groups_of_datasets(self._datasets),
        )
        self._sites = [site_facts(site) | dict.fromkeys(unknown) for site in fleet.sites]
        self._fixed = {
            (rule.id, number): [
                self._judge.finding(rule, clause, *known) for known in zip(self._sites, self._ends, strict=True)
            ]
            for rule in rules
            for number, clause in enumerate(rule.require)
            if all(is_of_site(path) for path in clause.reads)
        }
        self._labels_read = {
            (rule.id, number): tuple(sorted(path for path in clause.reads if not is_of_site(path)))
            for rule in rules
            for number, clause in enumerate(rule.require)
            if not any(is_of_pair(path) for path in clause.reads)
        }
        of_datasets = any(dataset.egress or dataset.egress_hours for dataset in self._datasets.values())
        parts: tuple[Part, ...] = (
            *(RulePart(rule, self._judge, self._seen) for rule in rules),
            DemandPart(of_datasets=of_datasets),
        )
        more = {COLUMN[path] for each in exemptions for path in each.reads if path in COLUMN}
        self._columns = sorted({"datasets", *columns_read(parts), *more})
        self._at_datasets = self._columns.index("datasets")
        self._values: Callable[[Job], Any] = attrgetter(*self._columns)
        self._numberings = [Numbering(part, self._columns) for part in parts]
        self._contradictions = Contradictions(groups, now)
        self._findings: dict[Hashable, Finding] = {}
        self._rows: dict[Hashable, Row] = {}
        self._by_states: dict[Hashable, Row] = {}

    def holds_at(self, now: datetime) -> bool:
        return self._judge.since <= now < self._judge.before

    def screen(self, jobs: Sequence[Job]) -> dict[str, Row]:
        """Job id -> one verdict for each site; jobs with equal labels share one tuple."""
        rows, values_of = self._rows, self._values
        verdicts: dict[str, Row] = {}
        for job in jobs:
            values = values_of(job)
            row = rows.get(values)
            if row is None:
                row = self._keep(values)
            verdicts[job.job] = row
        return verdicts

    def row(self, labels: Facts) -> Row:
        """The verdict on jobs with these labels at each site of the fleet."""
        return self._row(tuple(numbering.number(labels) for numbering in self._numberings), labels)

    def _keep(self, values: tuple[Any, ...]) -> Row:
        if len(self._rows) >= _ROWS_KEPT:
            self._rows.clear()
            self._by_states.clear()
            self._findings.clear()
            for numbering in self._numberings:
                numbering.clear()
        row = self._rows[values] = self._judged(values) if values[self._at_datasets] else self._alone(values)
        return row

    def _alone(self, values: tuple[Any, ...]) -> Row:
        """Of a job that names no dataset: its columns alone say to which class it belongs."""
        numbers = [numbering.known(values) for numbering in self._numberings]
        row = None if self._exemptions or None in numbers else self._by_states.get((tuple(numbers), ()))
        if row is not None:
            return row
        (labels,) = inputs(self._labels(values), self._datasets)
        return self._row(tuple(numbering.learn(values, labels) for numbering in self._numberings), labels)

    def _judged(self, values: tuple[Any, ...]) -> Row:
        """Of a job that reads datasets: a site must be allowed under each of them, for as long."""
        first, *more = (self.row(each) for each in inputs(self._labels(values), self._datasets))
        return _narrowed(first, more) if more else first

    def _labels(self, values: tuple[Any, ...]) -> Facts:
        return label_facts(dict(zip(self._columns, values, strict=True)), self._tenants)

    def _row(self, numbers: tuple[int, ...], labels: Facts) -> Row:
        exempt = tuple(each for each in self._exemptions if each.covers(labels, self._now))
        key = (numbers, tuple(each.text.id for each in exempt))
        row = self._by_states.get(key)
        if row is None:
            states = tuple(
                numbering.states[number] for numbering, number in zip(self._numberings, numbers, strict=True)
            )
            row = _Row(self, states, exempt, labels).verdicts()
            if row and not any(verdict.allowed for verdict in row):
                row = self._contradictions.told(row, self._for_such_jobs(states, labels), labels)
            self._by_states[key] = row
        return row

    def _for_such_jobs(self, states: Sequence[State], labels: Facts) -> list[Rule]:
        """Rules that are for these jobs, wherever they run."""
        return [
            rule
            for rule, state in zip(self._rules, states, strict=False)
            if isinstance(state, Applies) or (isinstance(state, AtSites) and self._judge.applies(rule, labels))
        ]

    # What the rows of this table are worked out with

    @property
    def judge(self) -> Judge:
        return self._judge

    @property
    def rules(self) -> Sequence[Rule]:
        return self._rules

    def facts_at(self, index: int, labels: Facts) -> Facts:
        """Site, way and labels together; what a label says of the way is believed."""
        site = self.fleet.sites[index]
        return {**self._sites[index], **self._transfers.facts(labels, site), **labels}

    def ends_at(self, index: int, labels: Facts) -> Mapping[str, datetime]:
        return {**self._ends[index], **self._transfers.ends(labels, self.fleet.sites[index])}

    def finding(self, rule: Rule, number: int, index: int, labels: Facts) -> Finding | None:
        """What the clause of that number says which reads the site and labels alone, found once for each of their
        values; null where it reads facts of the way."""
        fixed = self._fixed.get((rule.id, number))
        if fixed is not None:
            return fixed[index]
        reads = self._labels_read.get((rule.id, number))
        if reads is None:
            return None
        key = (rule.id, number, index, *map(labels.get, reads))
        found = self._findings.get(key)
        if found is None:
            known = {**self._sites[index], **labels}
            found = self._judge.finding(rule, rule.require[number], known, self._ends[index])
            self._findings[key] = found
        return found

    def seen_at(self, index: int, labels: Facts) -> Seen:
        return self.facts_at(index, labels), self.ends_at(index, labels)

    def _seen(self, labels: Facts) -> list[Seen]:
        return [self.seen_at(index, labels) for index in range(len(self._sites))]


class _Row:
    """One class of jobs at every site."""

    def __init__(self, table: Table, states: Sequence[State], exempt: Sequence[Exemption], labels: Facts) -> None:
        self._table = table
        self._exempt = exempt
        self._labels = labels
        self._states = list(zip(table.rules, states, strict=False))
        demanded = states[-1]
        self._demands = demanded.demands if isinstance(demanded, Demanded) else ()
        self._count = len(table.fleet.sites)
        self._facts: dict[int, Seen] = {}

    def verdicts(self) -> Row:
        liked = self._preferences()
        return tuple(self._verdict(index, liked[index]) for index in range(self._count))

    def _verdict(self, index: int, liked: Sequence[Preference]) -> SiteVerdict:
        site = self._table.fleet.sites[index].id
        denials: list[Reason] = []
        advice: list[Reason] = []
        findings: list[Finding] = []
        uses: list[ExceptionUse] = []
        for rule, state in self._states:
            found = self._of_rule(rule, state.each[index] if isinstance(state, AtSites) else state, index)
            refused = _refused(found, site)
            exemption = _exemption(rule, site, self._exempt) if refused else None
            if not rule.applied:
                advice += refused
            elif exemption is not None:
                uses.append(exemption.use(refused))
                findings.append(Finding(until=exemption.until, until_reason=exemption.end(site)))
            else:
                findings += found
        for demand in self._demands:
            findings += [self._finding(demand, clause, index) for clause in demand.require]
        denials = [finding.denial for finding in findings if finding.denial is not None]
        first = min(findings, key=lambda finding: finding.until or EVER, default=MET)
        return SiteVerdict(
            site=site,
            denials=tiered(denials),
            latest_end=first.until,
            latest_end_reason=first.until_reason,
            bans=tuple(dict.fromkeys(finding.ban for finding in findings if finding.ban is not None)),
            advice=tuple(advice),
            exceptions=tuple(uses),
            preferences=tuple(liked),
        )

    def _of_rule(self, rule: Rule, state: State, index: int) -> list[Finding]:
        site = self._table.fleet.sites[index].id
        if isinstance(state, Vouched):
            bound = Finding(until=state.until, until_reason=lapsing(rule, state.clause, state.until, site))
            return [bound, *self._of_rule(rule, state.before, index)]
        if isinstance(state, Unknown):
            return [Finding(denial=unknown(rule, clause, missing, site)) for clause, missing in state.clauses]
        if not isinstance(state, Applies):
            return []
        found = []
        for number, clause in enumerate(rule.require):
            known = self._table.finding(rule, number, index, self._labels)
            found.append(known or self._finding(rule, clause, index))
        return found

    def _finding(self, asker: Any, clause: Clause, index: int) -> Finding:
        return self._table.judge.finding(asker, clause, *self._known(index))

    def _known(self, index: int) -> Seen:
        if index not in self._facts:
            self._facts[index] = self._table.seen_at(index, self._labels)
        return self._facts[index]

    def _preferences(self) -> list[list[Preference]]:
        """For each site, what the rules that are for such jobs prefer about it."""
        found: list[list[Preference]] = [[] for _ in range(self._count)]
        for rule, state in self._states:
            if not rule.prefer or rule.text.mode is not Mode.ENFORCE:
                continue
            each = [_now(one) for one in (state.each if isinstance(state, AtSites) else (state,) * self._count)]
            sights = [self._table.judge.sight(*self._known(index)) for index in range(self._count)]
            for liking in rule.prefer:
                for index, preference in enumerate(prefer(rule.id, liking, sights)):
                    if isinstance(each[index], Applies):
                        found[index].append(preference)
        return found


def _now(state: State) -> State:
    return state.before if isinstance(state, Vouched) else state


def tiered(denials: Iterable[Reason]) -> tuple[Reason, ...]:
    return tuple(sorted(denials, key=lambda reason: reason.code.tier))


def _refused(findings: Iterable[Finding], site: str) -> list[Reason]:
    """What a rule says no to: at once, or at some hours."""
    refused = []
    for finding in findings:
        if finding.denial is not None:
            refused.append(finding.denial)
        elif finding.ban is not None:
            refused.append(reason_of(finding.ban, site))
    return refused


def _narrowed(first: Row, more: Sequence[Row]) -> Row:
    """What a job may do that is judged under several labels: a site must be allowed under each, for as long."""
    return tuple(_intersection(verdicts) for verdicts in zip(first, *more, strict=True))


def _intersection(verdicts: Sequence[SiteVerdict]) -> SiteVerdict:
    first = min(verdicts, key=lambda verdict: verdict.latest_end or EVER)

    def all_of(name: str) -> dict[Any, None]:
        return dict.fromkeys(each for verdict in verdicts for each in getattr(verdict, name))

    return SiteVerdict(
        site=first.site,
        denials=tiered(all_of("denials")),
        latest_end=first.latest_end,
        latest_end_reason=first.latest_end_reason,
        **{name: tuple(all_of(name)) for name in ("bans", "advice", "exceptions", "preferences")},
    )


def _exemption(rule: Rule, site: str, exempt: Sequence[Exemption]) -> Exemption | None:
    return longest(each for each in exempt if each.counts_for(rule) and site in each.text.sites)


def _all_ends(fleet: Fleet) -> frozenset[datetime]:
    """Every instant from which nobody vouches for some part of the fleet any more."""
    return frozenset(told.valid_until for told in fleet.evidence.values() if told.valid_until is not None)


def _groups_of_datasets(datasets: Mapping[str, Dataset]) -> frozenset[str]:
    """Groups by which datasets bind themselves (csched_policies.demands)."""
    if not any(dataset.egress for dataset in datasets.values()):
        return frozenset()
    return frozenset({"EEA", *(f"{family}({law})" for family in ("territory", "adequate") for law in Law)})
