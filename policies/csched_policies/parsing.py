"""From the YAML of one clause to a Clause: every word is checked against the vocabulary, every mistake has a place."""

from functools import partial
from typing import Final

from csched.errors import InputError, Where
from csched.formats.validation import did_you_mean
from csched_policies.clause import Clause
from csched_policies.groups import Groups
from csched_policies.operators import COMPARE
from csched_policies.parsing_countries import countries_of, country_of
from csched_policies.parsing_evidence import evidence_of
from csched_policies.parsing_months import hours_clause, share_clause
from csched_policies.reading import Place, items, nearest, number_of, text_of, truth_of
from csched_policies.vocabulary import ALSO_CALLED, VOCABULARY, Attribute, Kind

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


def find_attribute(path: str, where: Where) -> Attribute:
    """The vocabulary's entry for `path`.

    Raises:
        InputError: an unknown path.
    """
    if path in VOCABULARY:
        return VOCABULARY[path]
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
        texts = items([raw] if isinstance(raw, str) else raw, place)
        one = country_of if attribute.is_country else partial(_word, attribute)
        return tuple(one(item, place.inner(index).where) for index, item in enumerate(texts))
    if attribute.kind in {Kind.CLOCK, Kind.QUOTA}:
        hint = "give the case a `start`" if attribute.kind is Kind.CLOCK else "give the case `used`"
        raise InputError(f"`{path}` is nothing that a case states", hint=hint, where=place.where)
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
    if attribute.kind is Kind.CLOCK:
        return (hours_clause(attribute, comparison, place),)
    if attribute.kind is Kind.QUOTA:
        return (share_clause(attribute, comparison, place, groups),)
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
        evidence, needed = evidence_of(raw, place)
        return Clause(attribute, operator, evidence, needed)
    if operator in {"in", "not_in", "subset", "disjoint"}:
        texts = items(raw, place)
        operand = countries_of(texts, place, groups) if attribute.is_country else _words(attribute, texts, place)
        return Clause(attribute, operator, operand, f"{_WORDS[operator]} {', '.join(texts)}")
    value = _single(attribute, raw, place)
    return Clause(attribute, operator, value, f"{_WORDS[operator]} {_spelled(value)}".strip())


def _single(attribute: Attribute, raw: object, place: Place) -> str | float | bool:
    """One value that the fact can have."""
    if attribute.kind is Kind.NUMBER:
        return number_of(raw, place)
    if attribute.kind is Kind.TRUTH:
        return truth_of(raw, place)
    if attribute.is_country:
        return country_of(text_of(raw, place), place.where)
    return _word(attribute, text_of(raw, place), place.where)


def _spelled(value: str | float | bool) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else value


def _word(attribute: Attribute, text: str, where: Where) -> str:
    if attribute.values and text not in attribute.values:
        raise InputError(
            f"`{text}` is not a value of {attribute.path}", hint=nearest(text, attribute.values), where=where
        )
    return text


def _words(attribute: Attribute, texts: list[str], place: Place) -> frozenset[str]:
    return frozenset(_word(attribute, text, place.inner(index).where) for index, text in enumerate(texts))
