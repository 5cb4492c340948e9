"""How the second reader compares: three answers, orders of words, certificates and instants, as plain data.

Shares nothing with the first reader.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from csched.clock import parse_instant

YES, NO, UNKNOWN = "yes", "no", "unknown"

VOID = "void"
"""Asked of a transfer, where nothing is moved."""


CLASSES: Final = ("public", "internal", "personal", "special", "health")
ORDERED: Final = {
    "data.class": CLASSES,
    "data.egress": ("forbidden", "eea", "adequacy", "any"),
    "job.requires.confidential": ("none", "cpu", "gpu"),
    "job.requires.tenancy": ("shared", "exclusive_node", "exclusive_partition"),
    "outputs.export": ("none", "EU27", "EEA", "any"),
}
LEVELS: Final = {
    "ens": ("basica", "media", "alta"),
    "eucs": ("basic", "substantial", "high"),
    "gaiax": ("standard", "l1", "l2", "l3"),
}
_DATES: Final = frozenset({"valid_from", "valid_until", "expires", "on"})


def said(truth: bool) -> str:
    return YES if truth else NO


def all_of(answers: Iterator[str] | list[str]) -> str:
    found = set(answers)
    return NO if NO in found else UNKNOWN if UNKNOWN in found else YES


def any_of(answers: Iterator[str] | list[str]) -> str:
    found = set(answers)
    return YES if YES in found else UNKNOWN if UNKNOWN in found else NO


COMPARE: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "eq": lambda seen, operand: bool(seen == operand),
    "ge": lambda seen, operand: bool(seen >= operand),
    "le": lambda seen, operand: bool(seen <= operand),
    "at_least": lambda seen, operand: bool(seen >= operand),
    "at_most": lambda seen, operand: bool(seen <= operand),
}


def shows(certificate: Mapping[str, Any], asked: Mapping[str, Any], at: datetime) -> str:
    """Whether one certificate of the right scheme is good enough; one whose end is unknown is not known to be."""
    answers = [said(in_force(certificate, at))]
    if certificate.get("valid_until") is None:
        answers.append(UNKNOWN)
    if "version_at_least" in asked:
        answers.append(_at_least(_numbers(certificate.get("version")), _numbers(asked["version_at_least"])))
    if "type_at_least" in asked:
        answers.append(_at_least(certificate.get("type"), asked["type_at_least"]))
    if "level_at_least" in asked:
        order = LEVELS.get(asked["scheme"], ())
        level, wanted = certificate.get("level"), asked["level_at_least"]
        known = level in order and wanted in order
        answers.append(said(order.index(level) >= order.index(wanted)) if known else UNKNOWN)
    return all_of(answers)


def _numbers(version: object) -> list[int] | None:
    parts = str(version).split(".")
    return [int(part) for part in parts] if all(part.isascii() and part.isdecimal() for part in parts) else None


def _at_least(seen: Any, asked: Any) -> str:
    return UNKNOWN if seen is None or asked is None else said(seen >= asked)


def in_force(entry: Mapping[str, Any], at: datetime) -> bool:
    begins, ends = entry.get("valid_from"), entry.get("valid_until")
    return (begins is None or instant(begins) <= at) and (ends is None or at < instant(ends))


def approved(exception: Mapping[str, Any]) -> datetime:
    """When the last of at least two people approved, or later where it says so; never, where they are not two."""
    approvals = exception["approved_by"]
    if len({str(approval["name"]).strip().casefold() for approval in approvals}) < 2:
        return instant("9999-12-31")
    begins = [exception["valid_from"]] if exception.get("valid_from") else []
    return max(instant(text) for text in [*(approval["on"] for approval in approvals), *begins])


def instant(text: str) -> datetime:
    return parse_instant(f"{text}T00:00:00Z" if len(text.strip()) == len("2026-11-22") else text)


def instants(written: Any) -> Iterator[datetime]:
    """Every instant anywhere in plain data at which something begins or ends."""
    if isinstance(written, dict):
        for key, value in written.items():
            if key in _DATES and isinstance(value, str):
                yield instant(value)
            else:
                yield from instants(value)
    elif isinstance(written, list):
        for value in written:
            yield from instants(value)
