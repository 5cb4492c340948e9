"""How one fact is compared: one small function an operator. True is met, False is not met, None is not known.

None never counts as met, neither for positive nor for negative operators.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from csched.domain.site import Certificate, Scheme
from csched_policies.facts import Facts
from csched_policies.groups import CONDITION_PATH, Groups, Membership
from csched_policies.vocabulary import LAW_PARAMETER, LEVELS

_VERSION = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9}){0,5}")


@dataclass(frozen=True)
class Sight:
    """What a comparison may look at besides the two values: other facts, the groups and the instant."""

    facts: Facts
    groups: Groups
    at: datetime
    ends: Mapping[str, datetime] = field(default_factory=dict)
    """Path -> the instant from which nobody vouches for the fact any more."""

    def fact(self, path: str) -> Any:
        """The value of a fact; None where it is not known, or no longer vouched for."""
        end = self.ends.get(path)
        return None if end is not None and end <= self.at else self.facts.get(path)


@dataclass(frozen=True)
class Countries:
    """The operand of an operator on countries: codes, `@GROUP`, `@GROUP(data.law)`, `@tenant.country`."""

    codes: frozenset[str]
    groups: tuple[str, ...] = ()
    by_law: tuple[str, ...] = ()
    """Families of groups of which the exporting law picks one: `adequate` for `@adequate(data.law)`."""
    facts: tuple[str, ...] = ()
    """Paths of facts whose country is meant."""

    @property
    def reads(self) -> frozenset[str]:
        """Facts that decide what the operand stands for."""
        paths = set(self.facts)
        if self.by_law:
            paths.add(LAW_PARAMETER)
        if self.groups or self.by_law:
            paths.add(CONDITION_PATH)
        return frozenset(paths)

    def group_names(self, laws: tuple[str, ...]) -> frozenset[str]:
        """All groups the operand can stand for under these laws."""
        return frozenset(self.groups) | {f"{family}({law})" for family in self.by_law for law in laws}

    def contains(self, country: str, sight: Sight, *, conditional: bool) -> bool | None:
        """Whether `country` is meant; None where that hangs on a fact which is not known.

        `conditional`: what a member counts as whose condition nobody knows to hold.
        """
        if country in self.codes:
            return True
        found = {self._in_group(name, country, sight, conditional) for name in self.groups}
        found |= {self._under_law(family, country, sight, conditional) for family in self.by_law}
        found |= {_same(country, sight.fact(path)) for path in self.facts}
        if True in found:
            return True
        return None if None in found else False

    @staticmethod
    def _in_group(name: str, country: str, sight: Sight, conditional: bool) -> bool | None:
        if name not in sight.groups.by_name:
            return None
        found = sight.groups.membership(name, country, sight.at, sight.fact(CONDITION_PATH))
        return conditional if found is Membership.CONDITIONAL else found is Membership.YES

    def _under_law(self, family: str, country: str, sight: Sight, conditional: bool) -> bool | None:
        """In the family's group for every law of the tenant: a transfer must be lawful under each."""
        laws = sight.fact(LAW_PARAMETER)
        if laws is None:
            return None
        return _all([self._in_group(f"{family}({law})", country, sight, conditional) for law in laws])


def _same(country: str, other: str | tuple[str, ...] | None) -> bool | None:
    if other is None:
        return None
    return country in other if isinstance(other, tuple) else country == other


@dataclass(frozen=True)
class Evidence:
    """The operand of `has`: a certificate of one scheme, valid until the job's end."""

    scheme: Scheme
    version_at_least: tuple[int, ...] | None = None
    type_at_least: int | None = None
    level_at_least: str | None = None


@dataclass(frozen=True)
class ClosedHours:
    """The operand of `between` and `not_between`: hours of each day, by the clock of a zone, that are refused."""

    from_: str
    to: str
    zone: str


@dataclass(frozen=True)
class Share:
    """The operand of `at_most_pct`: at most so much of a month outside these countries."""

    at_most: float
    """0 to 1."""
    outside: Countries


def parse_version(text: str) -> tuple[int, ...] | None:
    """`2024` or `3.2` in numbers; None for anything that has no order."""
    return tuple(int(part) for part in text.split(".")) if _VERSION.fullmatch(text) else None


def _in(seen: str, operand: Countries | frozenset[str], sight: Sight) -> bool | None:
    """A conditional member is not in: adequacy that nobody has shown does not count."""
    return seen in operand if isinstance(operand, frozenset) else operand.contains(seen, sight, conditional=False)


def _not_in(seen: str, operand: Countries | frozenset[str], sight: Sight) -> bool | None:
    """A conditional member might be in, so it is not surely out."""
    if isinstance(operand, frozenset):
        return seen not in operand
    found = operand.contains(seen, sight, conditional=True)
    return None if found is None else not found


def _all(answers: list[bool | None]) -> bool | None:
    if False in answers:
        return False
    return None if None in answers else True


def _subset(seen: tuple[str, ...], operand: Countries | frozenset[str], sight: Sight) -> bool | None:
    return _all([_in(each, operand, sight) for each in seen])


def _disjoint(seen: tuple[str, ...], operand: Countries | frozenset[str], sight: Sight) -> bool | None:
    return _all([_not_in(each, operand, sight) for each in seen])


def _eq(seen: object, operand: object, _sight: Sight) -> bool:
    return seen == operand


def _ge(seen: float, operand: float, _sight: Sight) -> bool:
    return seen >= operand


def _le(seen: float, operand: float, _sight: Sight) -> bool:
    return seen <= operand


def _has(seen: tuple[Certificate, ...], operand: Evidence, sight: Sight) -> bool | None:
    answers = [_shows(certificate, operand, sight.at) for certificate in seen if certificate.scheme is operand.scheme]
    if True in answers:
        return True
    return None if None in answers else False


def _shows(certificate: Certificate, operand: Evidence, at: datetime) -> bool | None:
    """Whether one certificate of the right scheme is good enough and in force at `at`."""
    answers: list[bool | None] = [
        certificate.valid_from is None or certificate.valid_from <= at,
        None if certificate.valid_until is None else at < certificate.valid_until,
    ]
    if operand.version_at_least is not None:
        version = parse_version(certificate.version or "")
        answers.append(None if version is None else version >= operand.version_at_least)
    if operand.type_at_least is not None:
        answers.append(None if certificate.type is None else certificate.type >= operand.type_at_least)
    if operand.level_at_least is not None:
        levels = LEVELS[operand.scheme]
        level = certificate.level
        answers.append(None if level not in levels else levels.index(level) >= levels.index(operand.level_at_least))
    return _all(answers)


def _someday(_seen: object, _operand: object, _sight: Sight) -> bool:
    """What hangs on the hour of the start, or on all jobs of a month, refuses no site by itself."""
    return True


COMPARE: Final[Mapping[str, Callable[[Any, Any, Sight], bool | None]]] = {
    "in": _in,
    "not_in": _not_in,
    "subset": _subset,
    "disjoint": _disjoint,
    "eq": _eq,
    "ge": _ge,
    "le": _le,
    "at_least": _ge,
    "at_most": _le,
    "has": _has,
    "between": _someday,
    "not_between": _someday,
    "at_most_pct": _someday,
}
"""`at_least` and `at_most` compare ranks: the clause turns ordered words into their places."""
