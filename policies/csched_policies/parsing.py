"""From the YAML of one clause to a Clause: every word is checked against the vocabulary, every mistake has a place."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from math import isfinite
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from csched.domain.base import Country
from csched.domain.site import Scheme
from csched.errors import InputError, Where
from csched.formats.validation import did_you_mean
from csched.formats.yaml_document import Document, Path
from csched_policies.clause import Clause
from csched_policies.groups import REFERENCE, Groups
from csched_policies.operators import COMPARE, Countries, Evidence, parse_version
from csched_policies.vocabulary import (
    ALSO_CALLED,
    COUNTRIES,
    COUNTRY_REFERENCES,
    LAW_PARAMETER,
    LEVELS,
    NOT_YET,
    TYPED_SCHEMES,
    VOCABULARY,
    Attribute,
    Kind,
)

_COUNTRY: Final[TypeAdapter[str]] = TypeAdapter(Country)
_HAS_KEYS: Final = ("scheme", "version_at_least", "type_at_least", "level_at_least", "valid")
_WORDS: Final = {
    "in": "one of",
    "not_in": "none of",
    "subset": "only",
    "disjoint": "none of",
    "eq": "",
    "ge": "at least",
    "le": "at most",
    "at_least": "at least",
    "at_most": "at most",
}


@dataclass(frozen=True)
class Place:
    """A value of a document: the path to it and, for errors, its line."""

    document: Document
    path: Path

    def inner(self, step: str | int) -> "Place":
        return Place(self.document, (*self.path, step))

    @property
    def where(self) -> Where:
        return self.document.where(self.path)


def find_attribute(path: str, where: Where) -> Attribute:
    """The vocabulary's entry for `path`.

    Raises:
        InputError: an unknown path, or one that csched cannot evaluate yet.
    """
    if path in VOCABULARY:
        return VOCABULARY[path]
    if path in NOT_YET:
        raise InputError(
            f"`{path}` is in the vocabulary but this version of csched cannot evaluate it",
            hint="leave the clause out and keep the promise by other means",
            where=where,
        )
    hint = f"did you mean `{ALSO_CALLED[path]}`?" if path in ALSO_CALLED else did_you_mean(path, list(VOCABULARY))
    raise InputError(
        f"`{path}` is not a fact that rules can read", hint=hint or "docs/policies.md lists all of them", where=where
    )


def read_label(path: str, raw: object, place: Place) -> object:
    """The value of a label that a case states, as the evaluator sees it; null is unknown.

    Raises:
        InputError: an unknown path, or a value that it cannot have.
    """
    attribute = find_attribute(path, place.where)
    if raw is None:
        return None
    if attribute.kind in {Kind.WORDS, Kind.NAMES, Kind.COUNTRIES}:
        items = _list([raw] if isinstance(raw, str) else raw, place)
        one = _country if attribute.is_country else partial(_word, attribute)
        return tuple(one(item, place.inner(index).where) for index, item in enumerate(items))
    return _single(attribute, raw, place)


def parse_clauses(path: str, comparison: object, place: Place, groups: Groups) -> tuple[Clause, ...]:
    """The clauses of one entry of `when` or `require`: one for each operator.

    Raises:
        InputError: unknown path, operator, word, country or group, or an operand of the wrong shape; with its place.
    """
    attribute = find_attribute(path, place.where)
    if not isinstance(comparison, dict) or not comparison:
        raise InputError(
            f"`{path}` needs an operator",
            hint=f"write {{{attribute.operators[0]}: …}}; known are {', '.join(attribute.operators)}",
            where=place.where,
        )
    return tuple(
        _parse(attribute, str(name), operand, place.inner(name), groups) for name, operand in comparison.items()
    )


def _parse(attribute: Attribute, operator: str, raw: object, place: Place, groups: Groups) -> Clause:
    if operator not in attribute.operators:
        known = operator in COMPARE
        raise InputError(
            f"`{operator}` cannot compare {attribute.path}, which is {attribute.kind}"
            if known
            else f"`{operator}` is not an operator",
            hint=(None if known else did_you_mean(operator, attribute.operators))
            or f"{attribute.path} knows {', '.join(attribute.operators)}",
            where=place.where,
        )
    if operator == "has":
        evidence, needed = _evidence(raw, place)
        return Clause(attribute, operator, evidence, needed)
    if operator in {"in", "not_in", "subset", "disjoint"}:
        items = _list(raw, place)
        operand = _countries(items, place, groups) if attribute.is_country else _words(attribute, items, place)
        return Clause(attribute, operator, operand, f"{_WORDS[operator]} {', '.join(items)}")
    value = _single(attribute, raw, place)
    return Clause(attribute, operator, value, f"{_WORDS[operator]} {_spelled(value)}".strip())


def _single(attribute: Attribute, raw: object, place: Place) -> str | float | bool:
    """One value that the fact can have."""
    if attribute.kind is Kind.NUMBER:
        return _number(raw, place)
    if attribute.kind is Kind.TRUTH:
        return _truth(raw, place)
    if attribute.is_country:
        return _country(_text(raw, place), place.where)
    return _word(attribute, _text(raw, place), place.where)


def _spelled(value: str | float | bool) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else value


def _list(raw: object, place: Place) -> list[str]:
    if not isinstance(raw, list) or not raw:
        raise InputError("a list with at least one entry was expected", hint="write [FR, DE]", where=place.where)
    items = [_text(item, place.inner(index)) for index, item in enumerate(raw)]
    for index, item in enumerate(items):
        if item in items[:index]:
            raise InputError(f"`{item}` is there twice", where=place.inner(index).where)
    return items


def _text(raw: object, place: Place) -> str:
    if not isinstance(raw, str) or not raw.strip():
        raise InputError(f"text was expected, got `{raw}`", hint="put it in quotes", where=place.where)
    if len(raw) > 64 or not raw.isprintable():
        raise InputError("at most 64 printable characters were expected", where=place.where)
    return raw


def _number(raw: object, place: Place) -> float:
    if isinstance(raw, bool) or not isinstance(raw, int | float) or not isfinite(raw):
        raise InputError(f"a number was expected, got `{raw}`", where=place.where)
    return float(raw)


def _truth(raw: object, place: Place) -> bool:
    if not isinstance(raw, bool):
        raise InputError(f"true or false was expected, got `{raw}`", where=place.where)
    return raw


def _word(attribute: Attribute, text: str, where: Where) -> str:
    if attribute.values and text not in attribute.values:
        raise InputError(
            f"`{text}` is not a value of {attribute.path}", hint=_nearest(text, attribute.values), where=where
        )
    return text


def _words(attribute: Attribute, items: list[str], place: Place) -> frozenset[str]:
    return frozenset(_word(attribute, item, place.inner(index).where) for index, item in enumerate(items))


def _nearest(text: str, known: Sequence[str]) -> str | None:
    folded = [word for word in known if word.casefold() == text.casefold()]
    return f"did you mean `{folded[0]}`?" if folded else did_you_mean(text, [str(word) for word in known])


def _country(text: str, where: Where) -> str:
    try:
        return _COUNTRY.validate_python(text)
    except ValidationError as error:
        message = str(error.errors()[0].get("ctx", {}).get("error", f"`{text}` is not a country"))
        hint = f"did you mean `{text.upper()}`?" if text.upper() in COUNTRIES else "groups are written `@EEA`"
        raise InputError(message, hint=hint, where=where) from error


def _countries(items: list[str], place: Place, groups: Groups) -> Countries:
    codes: set[str] = set()
    fixed: list[str] = []
    by_law: list[str] = []
    facts: list[str] = []
    for index, item in enumerate(items):
        where = place.inner(index).where
        if not item.startswith("@"):
            codes.add(_country(item, where))
        elif item[1:] in COUNTRY_REFERENCES:
            facts.append(item[1:])
        else:
            name, argument = _reference(item, groups, where)
            if argument == LAW_PARAMETER:
                by_law.append(name)
            else:
                fixed.append(f"{name}({argument})" if argument else name)
    return Countries(frozenset(codes), tuple(fixed), tuple(by_law), tuple(facts))


def _reference(item: str, groups: Groups, where: Where) -> tuple[str, str | None]:
    """Name and argument of `@EEA`, `@adequate(GDPR)` or `@adequate(data.law)`; the group exists."""
    match = REFERENCE.fullmatch(item)
    families = sorted({name.partition("(")[0] for name in groups.by_name if "(" in name})
    known = [
        *(f"@{name}" for name in sorted(groups.by_name)),
        *(f"@{family}({LAW_PARAMETER})" for family in families),
        *(f"@{path}" for path in COUNTRY_REFERENCES),
    ]
    if match and match["argument"] == LAW_PARAMETER and match["name"] in families:
        return match["name"], LAW_PARAMETER
    if match and item[1:] in groups.by_name:
        return match["name"], match["argument"]
    raise InputError(f"`{item}` is not a group of countries", hint=_nearest(item, known), where=where)


def _evidence(raw: object, place: Place) -> tuple[Evidence, str]:
    if not isinstance(raw, dict) or "scheme" not in raw:
        raise InputError(
            "`has` needs a scheme",
            hint='write {scheme: hds, version_at_least: "2024", valid: until_job_end}',
            where=place.where,
        )
    for key in raw:
        if key not in _HAS_KEYS:
            raise InputError(
                f"`{key}` is not part of `has`", hint=did_you_mean(key, _HAS_KEYS), where=place.inner(key).where
            )
    scheme_text = _text(raw["scheme"], place.inner("scheme"))
    if scheme_text not in tuple(Scheme):
        hint = _nearest(scheme_text, tuple(Scheme))
        raise InputError(f"`{scheme_text}` is not a scheme", hint=hint, where=place.inner("scheme").where)
    if raw.get("valid", "until_job_end") != "until_job_end":
        raise InputError(
            f"`{raw['valid']}` is not a validity", hint="write until_job_end", where=place.inner("valid").where
        )
    evidence = Evidence(
        scheme=Scheme(scheme_text),
        version_at_least=_version(raw, place),
        type_at_least=_type(raw, Scheme(scheme_text), place),
        level_at_least=_level(raw, Scheme(scheme_text), place),
    )
    asked = [
        f"{name.replace('_', ' ')} {raw[name]}" for name in _HAS_KEYS if name.endswith("_at_least") and name in raw
    ]
    return evidence, ", ".join([f"a certificate {scheme_text}", *asked, "valid until the job ends"])


def _version(raw: dict[str, Any], place: Place) -> tuple[int, ...] | None:
    if "version_at_least" not in raw:
        return None
    given = raw["version_at_least"]
    version = None if isinstance(given, bool) else parse_version(str(given))
    if version is None:
        raise InputError(
            f"`{given}` is not a version", hint='write "2024" or "3.2"', where=place.inner("version_at_least").where
        )
    return version


def _type(raw: dict[str, Any], scheme: Scheme, place: Place) -> int | None:
    if "type_at_least" not in raw:
        return None
    where = place.inner("type_at_least").where
    if scheme not in TYPED_SCHEMES:
        raise InputError(f"certificates of `{scheme}` have no type", where=where)
    if isinstance(raw["type_at_least"], bool) or raw["type_at_least"] not in (1, 2):
        raise InputError(f"type 1 or 2 was expected, got `{raw['type_at_least']}`", where=where)
    return int(raw["type_at_least"])


def _level(raw: dict[str, Any], scheme: Scheme, place: Place) -> str | None:
    if "level_at_least" not in raw:
        return None
    where = place.inner("level_at_least").where
    if scheme not in LEVELS:
        raise InputError(f"certificates of `{scheme}` have no ordered levels", where=where)
    level = str(raw["level_at_least"])
    if level not in LEVELS[scheme]:
        raise InputError(f"`{level}` is not a level of {scheme}", hint=_nearest(level, LEVELS[scheme]), where=where)
    return level
