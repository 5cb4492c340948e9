"""One result, three renderings: a view for people, a document for programs, lines for a shell loop."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import RenderableType

# Control characters and the marks that reorder text: on a terminal they would let a job's name redraw the screen.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True)
class Table:
    """Columns and rows of plain text; a column whose name begins with `>` is flush right, the last one may fold."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    title: str | None = None


@dataclass(frozen=True)
class Pairs:
    """Names and values, one pair a line."""

    rows: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Rendered:
    """What a command has to say."""

    document: object
    """Plain JSON values with stable field names."""
    lines: Iterable[object] = ()
    """Ids, or one figure per line."""
    view: "Iterable[Table | Pairs | RenderableType]" = ()
    """What a person sees, in order: tables, sentences, or anything that rich can draw."""


def together(key: str, parts: Sequence[Rendered]) -> Rendered:
    """One result of several: a single one as it is, more of them as a list under `key`."""
    if len(parts) == 1:
        return parts[0]
    return Rendered(
        {key: [part.document for part in parts]},
        [line for part in parts for line in part.lines],
        [drawn for part in parts for drawn in part.view],
    )


def printable(text: str) -> str:
    r"""`text` with every control and reordering character spelled out, such as `\x1b`; newlines and tabs stay."""
    return _UNPRINTABLE.sub(_spelled, text)


def to_json(document: object) -> str:
    """Indented JSON in which control characters stay escaped even where JSON itself would let them through."""
    return escaped(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False))


def escaped(text: str) -> str:
    """JSON text with its control characters escaped."""
    return _UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def _spelled(match: re.Match[str]) -> str:
    point = ord(match[0])
    return f"\\x{point:02x}" if point < 0x100 else f"\\u{point:04x}"
