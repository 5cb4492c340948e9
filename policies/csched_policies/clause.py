"""One clause of a rule, such as `site.country: {in: [FR]}`: parsed once, then only compared."""

from dataclasses import dataclass
from functools import cached_property

from csched.clock import format_instant
from csched.domain.site import Certificate
from csched.domain.verdict import Scalar
from csched_policies.facts import Facts
from csched_policies.groups import CONDITION_PATH
from csched_policies.operators import COMPARE, ClosedHours, Countries, Evidence, Share, Sight
from csched_policies.vocabulary import LAW_PARAMETER, Attribute, Law

Operand = Countries | Evidence | ClosedHours | Share | frozenset[str] | str | float | bool


@dataclass(frozen=True)
class Clause:
    attribute: Attribute
    operator: str
    operand: Operand
    needed: str
    """What is asked for, in words as the rule has them: `one of FR, @tenant.country`."""

    @property
    def path(self) -> str:
        return self.attribute.path

    @cached_property
    def reads(self) -> frozenset[str]:
        """Every fact that can change the answer."""
        more = self.operand.reads if isinstance(self.operand, Countries) else frozenset()
        return more | {self.attribute.fact}

    @cached_property
    def means(self) -> frozenset[str]:
        """Labels that decide what the operand stands for."""
        return self.operand.reads - {CONDITION_PATH} if isinstance(self.operand, Countries) else frozenset()

    @cached_property
    def group_names(self) -> frozenset[str]:
        return self.operand.group_names(tuple(Law)) if isinstance(self.operand, Countries) else frozenset()

    def holds(self, sight: Sight) -> bool | None:
        """True: met. False: not met. None: a fact that it needs is not known."""
        seen = sight.fact(self.attribute.fact)
        if seen is None:
            return None
        if self.operator in {"at_least", "at_most"}:
            ranks = self.attribute.values
            return COMPARE[self.operator](ranks.index(seen), ranks.index(str(self.operand)), sight)
        return COMPARE[self.operator](seen, self.operand, sight)

    def closed_hours(self, sight: Sight) -> tuple[ClosedHours, float, float] | None:
        """Hours that are refused to something which begins so many seconds before the start and lasts so long.

        Where it is known when that begins: where the clause `holds`.
        """
        if not isinstance(self.operand, ClosedHours):
            return None
        lead_s = float(sight.fact(self.attribute.fact))
        return self.operand, lead_s, lead_s if self.path == "transfer.hours" else 0.0

    def asks(self, facts: Facts) -> str:
        """`needed` with what a reference stands for here: `one of FR, @tenant.country (DE)`."""
        words = self.needed
        for path in self.operand.facts if isinstance(self.operand, Countries) else ():
            if facts.get(path) is not None:
                words = words.replace(f"@{path}", f"@{path} ({_joined(facts[path])})")
        return words

    def missing(self, sight: Sight) -> tuple[str, ...]:
        """Facts that the clause reads and nobody has stated."""
        return tuple(path for path in sorted(self.reads) if path != CONDITION_PATH and sight.fact(path) is None)

    def conditions(self, sight: Sight) -> tuple[str, ...]:
        """Conditions that would make countries seen count, were the operator known to meet them."""
        if not isinstance(self.operand, Countries):
            return ()
        seen = sight.fact(self.attribute.fact) or ()
        laws = sight.fact(LAW_PARAMETER) or ()
        names = sorted(self.operand.group_names(laws) & sight.groups.by_name.keys())
        found = [
            condition
            for country in ([seen] if isinstance(seen, str) else seen)
            for name in names
            for condition in sight.groups.conditions(name, country, sight.at)
        ]
        return tuple(dict.fromkeys(found))


def _joined(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def shown(value: object) -> Scalar | tuple[Scalar, ...]:
    """A fact as a reason shows it."""
    if isinstance(value, tuple):
        return tuple(_certificate(item) if isinstance(item, Certificate) else str(item) for item in value)
    if value is None or isinstance(value, bool | int | float):
        return value
    return str(value)


def _certificate(certificate: Certificate) -> str:
    """`hds 2024 until 2027-05-01T00:00:00Z`."""
    parts = [str(certificate.scheme)]
    if certificate.type is not None:
        parts.append(f"type {certificate.type}")
    parts += [part for part in (certificate.level, certificate.version) if part]
    until = format_instant(certificate.valid_until) if certificate.valid_until else "an unknown day"
    return f"{' '.join(parts)} until {until}"
