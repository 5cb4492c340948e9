"""One rule, or all that jobs ask for themselves, over classes of jobs: jobs of which every part makes the same get the
same verdicts.

A part is asked once for each combination of the labels that it reads, however many others the jobs have.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from csched_policies.clause import Clause
from csched_policies.demands import OF_DATASET, OF_JOB, Demand, demands
from csched_policies.facts import COLUMN, Facts
from csched_policies.judging import Judge
from csched_policies.rule import Rule
from csched_policies.transfers import MOVES, rests_on
from csched_policies.vocabulary import Kind, is_of_pair, is_of_site


@dataclass(frozen=True)
class Applies:
    """The rule is for such jobs."""

    asked: tuple[Any, ...]
    """Facts of the job, and of its data's way, that its requirements read."""


@dataclass(frozen=True)
class Unknown:
    """The rule reads labels that such jobs do not have."""

    clauses: tuple[tuple[Clause, tuple[str, ...]], ...]


@dataclass(frozen=True)
class Vouched:
    """Whether the rule is for such jobs is known only until nobody vouches any more for what its `when` reads."""

    before: Applies | None
    until: datetime
    clause: Clause
    """Of `when`; not known from then on."""


@dataclass(frozen=True)
class AtSites:
    """The rule speaks of a way, or of countries that count for some operators only: of each site otherwise."""

    each: tuple["State", ...]


@dataclass(frozen=True)
class Demanded:
    demands: tuple[Demand, ...]
    asked: tuple[Any, ...]
    """Facts that the demands compare, beside those of the site."""


State = Applies | Unknown | Vouched | AtSites | Demanded | None

Seen = tuple[Facts, Mapping[str, datetime]]
"""Facts of a site, of the way to it and of the job, and the instants from which some of them are not known."""


class Part(Protocol):
    @property
    def reads(self) -> tuple[str, ...]:
        """Labels on which its state depends."""

    @property
    def edges(self) -> Mapping[str, Sequence[float]]:
        """Numbers among them of which only the place between these edges counts."""

    def state(self, labels: Facts) -> State: ...


class RulePart:
    """`sees`: what such labels meet at every site, in the order of the fleet."""

    def __init__(self, rule: Rule, judge: Judge, sees: Callable[[Facts], Sequence[Seen]]) -> None:
        self.rule = rule
        self._judge = judge
        self._sees = sees
        self._by_site = any(is_of_pair(path) for path in rule.reads) or any(
            judge.groups.is_conditional(name) for clause in rule.when for name in clause.group_names
        )
        required = frozenset(path for clause in rule.require for path in clause.reads)
        asked = required | frozenset(path for liking in rule.prefer for path in liking.reads)
        self._asked = tuple(sorted(path for path in asked if not is_of_site(path)))
        self.reads = tuple(sorted(path for path in rests_on(rule.reads) if not is_of_site(path)))
        self.edges = _edges(rule, asked)

    def state(self, labels: Facts) -> State:
        if not self._by_site:
            return self._at(labels, {})
        return AtSites(tuple(self._at(facts, ends) for facts, ends in self._sees(labels)))

    def _at(self, facts: Facts, ends: Mapping[str, datetime]) -> State:
        unknown = self._judge.unknown_labels(self.rule, facts, ends)
        if unknown:
            return Unknown(unknown)
        state = None
        if self._judge.applies(self.rule, facts, ends):
            asked = (*map(facts.get, self._asked), *map(ends.get, self._asked))
            state = Applies((facts.get(MOVES), *asked))
        lapse = self._judge.lapse(self.rule, facts, ends)
        return Vouched(state, *lapse) if lapse else state


class DemandPart:
    """What jobs and datasets ask for themselves."""

    edges: Mapping[str, Sequence[float]] = {}

    def __init__(self, *, of_datasets: bool) -> None:
        """`of_datasets`: whether any dataset asks for something."""
        self.reads = OF_JOB + (OF_DATASET if of_datasets else ())
        self._nothing = Demanded((), ())

    def state(self, labels: Facts) -> State:
        found = demands(labels)
        return Demanded(found, tuple(map(labels.get, self.reads))) if found else self._nothing


def _edges(rule: Rule, asked: frozenset[str]) -> dict[str, list[float]]:
    """Operands for each number that `when` compares and no requirement shows."""
    found: dict[str, list[float]] = {}
    for clause in rule.when:
        attribute = clause.attribute
        shows = attribute.fact in rests_on(asked) or any(is_of_pair(path) for path in rule.reads)
        if attribute.kind is Kind.NUMBER and not shows and isinstance(clause.operand, float):
            found.setdefault(attribute.fact, []).append(clause.operand)
    return {path: sorted(operands) for path, operands in found.items()}


class Numbering:
    """States of one part by number, found by the columns of a job or by its labels."""

    def __init__(self, part: Part, columns: Sequence[str]) -> None:
        """`columns`: those of a job, in the order in which `by_columns` gets their values."""
        self.part = part
        self.states: list[State] = []
        own = sorted({columns.index(COLUMN[path]) for path in part.reads if COLUMN.get(path) in columns})
        by_column = {COLUMN[path]: edges for path, edges in part.edges.items()}
        self._edges = [(at, by_column[columns[at]]) for at in own if columns[at] in by_column]
        self._plain = [at for at in own if columns[at] not in by_column]
        self._numbers: dict[State, int] = {}
        self._by_columns: dict[tuple[Any, ...], int] = {}
        self._by_labels: dict[tuple[Any, ...], int] = {}

    def known(self, values: Sequence[Any]) -> int | None:
        """The number of a job with these columns, where one like it has been seen."""
        return self._by_columns.get(self._key(values))

    def learn(self, values: Sequence[Any], labels: Facts) -> int:
        number = self._by_columns[self._key(values)] = self.number(labels)
        return number

    def number(self, labels: Facts) -> int:
        key = tuple(map(labels.get, self.part.reads))
        number = self._by_labels.get(key)
        if number is None:
            state = self.part.state(labels)
            number = self._numbers.setdefault(state, len(self.states))
            if number == len(self.states):
                self.states.append(state)
            self._by_labels[key] = number
        return number

    def clear(self) -> None:
        for kept in (self.states, self._numbers, self._by_columns, self._by_labels):
            kept.clear()

    def _key(self, values: Sequence[Any]) -> tuple[Any, ...]:
        key = [values[at] for at in self._plain]
        for at, edges in self._edges:
            value = values[at]
            key.append(None if value is None else bisect_left(edges, value) + bisect_right(edges, value))
        return tuple(key)


def columns_read(parts: Iterable[Part]) -> frozenset[str]:
    """Columns of a job that any part reads."""
    return frozenset(COLUMN[path] for part in parts for path in part.reads if path in COLUMN)
