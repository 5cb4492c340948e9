"""Plain values of a document, each with its place: what every part of a rule is read with."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from csched.errors import InputError, Where
from csched.formats.validation import did_you_mean
from csched.formats.yaml_document import Document, Path


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


def items(raw: object, place: Place, *, distinct: bool = True) -> list[str]:
    if not isinstance(raw, list) or not raw:
        raise InputError("a list with at least one entry was expected", hint="write [FR, DE]", where=place.where)
    texts = [text_of(item, place.inner(index)) for index, item in enumerate(raw)]
    for index, text in enumerate(texts):
        if distinct and text in texts[:index]:
            raise InputError(f"`{text}` is there twice", where=place.inner(index).where)
    return texts


def text_of(raw: object, place: Place) -> str:
    if not isinstance(raw, str) or not raw.strip():
        raise InputError(f"text was expected, got `{raw}`", hint="put it in quotes", where=place.where)
    if len(raw) > 64 or not raw.isprintable():
        raise InputError("at most 64 printable characters were expected", where=place.where)
    return raw


def number_of(raw: object, place: Place) -> float:
    if isinstance(raw, bool) or not isinstance(raw, int | float) or not isfinite(raw):
        raise InputError(f"a number was expected, got `{raw}`", where=place.where)
    return float(raw)


def truth_of(raw: object, place: Place) -> bool:
    if not isinstance(raw, bool):
        raise InputError(f"true or false was expected, got `{raw}`", where=place.where)
    return raw


def nearest(text: str, known: Sequence[str]) -> str | None:
    folded = [word for word in known if word.casefold() == text.casefold()]
    return f"did you mean `{folded[0]}`?" if folded else did_you_mean(text, [str(word) for word in known])


def only_keys(raw: object, keys: Sequence[str], what: str, place: Place, hint: str) -> dict[str, Any]:
    """The mapping `raw`, which has no other keys."""
    if not isinstance(raw, dict):
        raise InputError(f"`{what}` needs a mapping", hint=hint, where=place.where)
    for key in raw:
        if key not in keys:
            raise InputError(
                f"`{key}` is not part of `{what}`",
                hint=did_you_mean(str(key), keys) or hint,
                where=place.inner(key).where,
            )
    return raw
