"""Rules that cannot all be kept. The vocabulary is finite, so every kind of job is tried before the first one waits.

Without a fleet: rules that no imaginable site meets together, because one fact would need two values at once. With a
fleet: rules of which each leaves a site, and all together none.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations, islice, product
from math import prod
from typing import Any, Final

from csched.domain.site import Fleet
from csched.errors import InputError
from csched_policies.clause import Clause
from csched_policies.facts import Facts, Tenant, label_facts
from csched_policies.judging import Judge
from csched_policies.policy_content import Content
from csched_policies.rule import Rule
from csched_policies.satisfiable import (
    OTHER,
    contradiction,
    labels_told_apart,
    leave_no_site,
    scalars_told_apart,
)
from csched_policies.table import Table
from csched_policies.vocabulary import VOCABULARY, Law, Sector

MAX_COMBINATIONS: Final = 200_000

_Clash = tuple[tuple[str, ...], str | None]
"""Rules, and the fact that would need two values; null where it is the fleet that has no such site."""


@dataclass(frozen=True)
class Conflict:
    """Rules that together leave no site to some kinds of jobs."""

    rules: tuple[str, ...]
    path: str | None
    """The fact that would need two values; null where it is the fleet that has no such site."""
    combinations: int
    example: Mapping[str, Any]
    """Labels of one such kind of job."""

    @property
    def is_contradiction(self) -> bool:
        """False where one rule alone finds no site in this fleet: the rule is sound, the fleet has no such site."""
        return self.path is not None or len(self.rules) > 1

    @property
    def message(self) -> str:
        labels = ", ".join(f"{path}: {_plain(value)}" for path, value in self.example.items() if value is not None)
        where = "no site can meet" if self.path else "no site of this fleet meets"
        what = f"rule {self.rules[0]}" if len(self.rules) == 1 else f"rules {' and '.join(self.rules)} together"
        why = f", because of {self.path}" if self.path else ""
        return f"{where} {what} for {_counted(self.combinations)}, such as {labels or 'any'}{why}"


class LabelSpace:
    """Every kind of job that these rules can tell apart."""

    def __init__(self, content: Content) -> None:
        self._content = content
        self._paths = sorted({path for rule in content.rules for path in rule.reads if not path.startswith("site.")})
        own = [path for path in self._paths if not path.startswith("tenant.") and path != "data.law"]
        self._values = {
            path: labels_told_apart(VOCABULARY[path], list(_clauses_on(path, content.rules)), content.groups)
            for path in own
        }
        of_tenant = {*self._paths, "tenant.id", "tenant.country", "tenant.sector", "tenant.law", "data.law"}
        known = _tenants(content) if len(own) < len(self._paths) else [{}]
        self._tenants = [{path: told for path, told in each.items() if path in of_tenant} for each in known]

    def __len__(self) -> int:
        return prod(map(len, self._values.values())) * len(self._tenants)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for tenant in self._tenants:
            for values in product(*self._values.values()):
                yield {**dict(zip(self._values, values, strict=True)), **tenant}


def count_kinds(content: Content) -> int:
    """How many kinds of jobs the applied rules can tell apart."""
    return len(LabelSpace(_applied(content)))


def tries_all_together(content: Content) -> bool:
    """Whether the applied rules are few enough that each kind of job is judged by all of them."""
    return count_kinds(content) <= MAX_COMBINATIONS


def find_conflicts(content: Content, fleet: Fleet | None, now: datetime) -> tuple[Conflict, ...]:
    """All conflicts among the rules that are applied, smallest sets of rules first.

    Rules that tell too many kinds of jobs apart are tried alone and two by two (`tries_all_together`).

    Raises:
        InputError: two rules that tell more kinds of jobs apart than can be tried.
    """
    applied = _applied(content)
    found: dict[_Clash, list[Facts]] = {}
    for some in _tried_together(applied):
        for clash, examples in _clashes(some, fleet, now).items():
            found.setdefault(clash, examples)
    conflicts = [Conflict(rules, path, len(examples), examples[0]) for (rules, path), examples in found.items()]
    return tuple(sorted(conflicts, key=lambda conflict: (len(conflict.rules), conflict.rules)))


def _tried_together(content: Content) -> Iterator[Content]:
    """All rules, or each alone and then every two of them."""
    if tries_all_together(content):
        yield content
        return
    for size in (1, 2):
        for rules in combinations(content.rules, size):
            yield Content(rules, content.groups, content.tenants)


def _clashes(content: Content, fleet: Fleet | None, now: datetime) -> dict[_Clash, list[Facts]]:
    """Each with the kinds of jobs to which it leaves no site."""
    space = LabelSpace(content)
    if len(space) > MAX_COMBINATIONS:
        names = " and ".join(rule.id for rule in content.rules)
        raise InputError(
            f"rules {names} tell {len(space)} kinds of jobs apart, more than the {MAX_COMBINATIONS} that can be tried",
            hint="let them read fewer names and numbers",
        )
    imaginable = _Imaginable(content, now)
    table = Table(content.rules, content.groups, content.tenants, fleet, now) if fleet else None
    found: dict[_Clash, list[Facts]] = {}
    for labels in space:
        clash = imaginable.conflict(labels) or (table and _fleet_conflict(table, labels))
        if clash:
            found.setdefault(clash, []).append(labels)
    return found


def dead_rules(content: Content, now: datetime) -> tuple[str, ...]:
    """Rules that are for no job at all: nothing that a job may say meets their `when`, now or later."""
    return tuple(rule.id for rule in content.rules if _is_dead(rule, content, now))


def _is_dead(rule: Rule, content: Content, now: datetime) -> bool:
    alone = Content((rule,), content.groups, content.tenants)
    judge = Judge(alone.rules, alone.groups, (), now)
    return not any(judge.applies(rule, labels) for labels in islice(LabelSpace(alone), MAX_COMBINATIONS))


def _applied(content: Content) -> Content:
    return Content(tuple(rule for rule in content.rules if rule.applied), content.groups, content.tenants)


class _Imaginable:
    """Whether any site at all could meet the rules for a kind of job."""

    def __init__(self, content: Content, now: datetime) -> None:
        self._content = content
        self._now = now
        self._judge = Judge(content.rules, content.groups, (), now)

    def conflict(self, labels: Facts) -> tuple[tuple[str, ...], str] | None:
        applicable = [rule for rule in self._content.rules if self._judge.applies(rule, labels)]
        return contradiction(applicable, labels, self._content.groups, self._now)


def _fleet_conflict(table: Table, labels: Facts) -> tuple[tuple[str, ...], None] | None:
    """The smallest set of rules that leaves no site of the fleet."""
    row = table.row(labels)
    return None if any(verdict.allowed for verdict in row) else (leave_no_site(row), None)


def _clauses_on(path: str, rules: Sequence[Rule]) -> Iterator[Clause]:
    return (clause for rule in rules for clause in rule.clauses if clause.attribute.fact == path)


def _tenants(content: Content) -> Iterator[dict[str, Any]]:
    """Labels of each tenant that facts or rules name, and of strangers of every sector and law."""
    for name in sorted(content.tenants):
        yield label_facts({"tenant": name}, content.tenants)
    named = set(scalars_told_apart(VOCABULARY["tenant.id"], list(_clauses_on("tenant.id", content.rules))))
    for name in sorted(named - content.tenants.keys() - {OTHER}):
        yield from _strangers(name, content)
    yield from _strangers(OTHER, content)


def _strangers(name: str, content: Content) -> Iterator[dict[str, Any]]:
    reads = {path for rule in content.rules for path in rule.reads}
    sectors = list(Sector) if "tenant.sector" in reads else [None]
    laws = list(Law) if reads & {"tenant.law", "data.law"} else [None]
    countries = _home_countries(content) if "tenant.country" in reads else [None]
    for sector, law, country in product(sectors, laws, countries):
        tenant = Tenant(country=country, sector=sector, law=(law,) if law else None)
        yield label_facts({"tenant": name}, {name: tenant})


def _home_countries(content: Content) -> list[str | None]:
    """Countries that rules name for sites or tenants: others differ in nothing from one of these or from none."""
    clauses = [clause for rule in content.rules for clause in rule.clauses if clause.attribute.is_country]
    named = {code for clause in clauses for code in getattr(clause.operand, "codes", ())}
    return [*sorted(named), None]


def _counted(combinations: int) -> str:
    return "1 combination of labels" if combinations == 1 else f"{combinations} combinations of labels"


def _plain(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
