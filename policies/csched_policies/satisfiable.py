"""Whether any site at all could meet what several rules ask for together.

A fact of a site has one value. Two clauses that no value meets together contradict each other, whatever the fleet.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import chain, combinations
from typing import Any, Final, TypeVar, get_args

from csched.domain.verdict import ReasonCode, SiteVerdict
from csched_policies.clause import Clause
from csched_policies.facts import Facts
from csched_policies.groups import CONDITION_PATH, Groups, Member
from csched_policies.operators import Countries, Sight
from csched_policies.rule import Rule
from csched_policies.vocabulary import COUNTRIES, VOCABULARY, Attribute, Kind

T = TypeVar("T")

_FEW: Final = 24

OTHER: Final = "another"
"""Stands for every name that no rule and no fact mentions."""
_NEVER_EMPTY: Final = frozenset({"site.storage_countries", "site.support.countries"})
_CONDITIONS: Final = tuple(
    word for part in get_args(Member.model_fields["condition"].annotation) for word in get_args(part)
)


def contradiction(
    rules: Sequence[Rule], labels: Facts, groups: Groups, now: datetime
) -> tuple[tuple[str, ...], str] | None:
    """The first fact, and the fewest of these rules, that would need two values of it; null where a site could be."""
    by_path: dict[str, list[tuple[str, Clause]]] = {}
    for rule in rules:
        for clause in rule.require:
            by_path.setdefault(clause.path, []).append((rule.id, clause))
    for path, asked in by_path.items():
        for some in _smallest_first(asked):
            if not _satisfiable(path, [clause for _, clause in some], labels, groups, now):
                return tuple(sorted({rule for rule, _ in some})), path
    return None


def leave_no_site(row: Sequence[SiteVerdict]) -> tuple[str, ...]:
    """The fewest rules that together refuse every site of a row in which none is allowed."""
    refused: dict[str, set[str]] = {}
    for verdict in row:
        for reason in verdict.denials:
            if reason.code is not ReasonCode.POLICY_CONTRADICTION:
                refused.setdefault(str(reason.rule), set()).add(verdict.site)
    for some in _smallest_first(sorted(refused)):
        if len(set().union(*(refused[rule] for rule in some))) == len(row):
            return tuple(some)
    raise AssertionError(row)


def _satisfiable(path: str, clauses: Sequence[Clause], labels: Facts, groups: Groups, now: datetime) -> bool:
    """Some value of the fact meets all clauses; what hangs on an unknown label might."""
    attribute = VOCABULARY[path]
    if not attribute.of_site or attribute.kind is Kind.CERTIFICATES:
        return True
    if attribute.kind is Kind.COUNTRIES and path not in _NEVER_EMPTY:
        return True
    facts: Mapping[str, Any] = {**labels, CONDITION_PATH: _CONDITIONS}
    return any(
        all(clause.holds(Sight({**facts, path: value}, groups, now)) is not False for clause in clauses)
        for value in values_told_apart(attribute, clauses)
    )


def _smallest_first(items: Sequence[T]) -> Iterator[tuple[T, ...]]:
    """One, two or three of the items, then all; of very many, one or all."""
    sizes = range(1, (min(3, len(items)) if len(items) <= _FEW else 1) + 1)
    yield from chain.from_iterable(combinations(items, size) for size in sizes)
    yield tuple(items)


def values_told_apart(attribute: Attribute, clauses: Sequence[Clause]) -> list[Any]:
    """Values of a label, one for each answer the clauses can give."""
    if attribute.kind in {Kind.WORDS, Kind.NAMES, Kind.COUNTRIES}:
        return [(value,) for value in scalars_told_apart(attribute, clauses)]
    return scalars_told_apart(attribute, clauses)


def labels_told_apart(attribute: Attribute, clauses: Sequence[Clause], groups: Groups) -> list[Any]:
    """As `values_told_apart`, for a label: of countries that no clause tells apart, one stands for all."""
    values = values_told_apart(attribute, clauses)
    operands = [clause.operand for clause in clauses if isinstance(clause.operand, Countries)]
    if not attribute.is_country or any(operand.facts for operand in operands):
        return values
    named = {code for operand in operands for code in operand.codes}
    named |= {clause.operand for clause in clauses if isinstance(clause.operand, str)}
    names = {name for clause in clauses for name in clause.group_names}
    alike: dict[object, Any] = {}
    for value in values:
        code = value[0] if isinstance(value, tuple) else value
        entries = [
            (name, *member.model_dump(exclude={"country", "note"}).values())
            for name in sorted(names & groups.by_name.keys())
            for member in groups.by_name[name].members
            if member.country == code
        ]
        alike.setdefault((code if code in named else None, tuple(entries)), value)
    return list(alike.values())


def scalars_told_apart(attribute: Attribute, clauses: Sequence[Clause]) -> list[Any]:
    if attribute.kind is Kind.TRUTH:
        return [False, True]
    if attribute.kind is Kind.CLOCK:
        return [0.0]
    if attribute.kind is Kind.NUMBER:
        edges = sorted({float(clause.operand) for clause in clauses if isinstance(clause.operand, int | float)})
        return [edges[0] - 1, *edges, edges[-1] + 1] if edges else [0.0]
    if attribute.is_country:
        return sorted(COUNTRIES)
    if attribute.values:
        return list(attribute.values)
    named = {name for clause in clauses if isinstance(clause.operand, frozenset) for name in clause.operand}
    named |= {clause.operand for clause in clauses if isinstance(clause.operand, str)}
    return [*sorted(named), OTHER]
