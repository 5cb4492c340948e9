"""YAML, safely: bounded in size, depth and aliases, no tags, no surprises, and every value knows its line.

Plain scalars follow the YAML 1.2 core schema. YAML 1.1, PyYAML's own, reads the country `NO` as false, the time
`22:00` as 1320 and the version `2024` with a date beside it as something else again.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import yaml
from yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from csched.errors import InputError, Where

MAX_CHARACTERS: Final = 16 * 1024 * 1024
MAX_DEPTH: Final = 32
MAX_NODES: Final = 1_000_000
"""Counted with every alias unfolded, so that ten lines of nested aliases cannot become a billion nodes."""

Path = tuple[str | int, ...]

_INT = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_CONSTANTS: Final[Mapping[str, bool | float | None]] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
    ".nan": float("nan"), ".NaN": float("nan"), ".inf": float("inf"), "-.inf": float("-inf"),
}  # fmt: skip


@dataclass(frozen=True)
class Document:
    """One YAML document: plain dicts, lists and scalars, and the line of each of them."""

    data: object
    file: str
    lines: Mapping[Path, int] = field(repr=False)

    def where(self, path: Path = ()) -> Where:
        """The place of `path`, or of the nearest thing around it that was written."""
        known = path
        while known and known not in self.lines:
            known = known[:-1]
        return Where(self.file, self.lines.get(known), spell(path) or None)


def spell(path: Path) -> str:
    """`sites[0].operator.country`."""
    spelled = ""
    for step in path:
        spelled += f"[{step}]" if isinstance(step, int) else f".{step}" if spelled else step
    return spelled


def load_documents(text: str, file: str) -> list[Document]:
    """All documents of a YAML text; an empty one is left out.

    Raises:
        InputError: not YAML, a tag, a key twice, a key that is no text, too large, too deep, too many aliases.
    """
    if len(text) > MAX_CHARACTERS:
        raise InputError(f"more than {MAX_CHARACTERS // 2**20} Mi characters of YAML", where=Where(file))
    try:
        reader = _Reader(yaml.parse(text, Loader=yaml.CSafeLoader), file)
        return list(reader.documents())
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or str(error)
        raise InputError(
            f"not YAML: {problem}",
            hint="check the indentation and the quotes on this line and the one above",
            where=Where(file, mark.line + 1 if mark else None),
        ) from error


def load_document(text: str, file: str) -> Document:
    """The one document of a YAML text.

    Raises:
        InputError: as `load_documents`, or none or several documents.
    """
    documents = load_documents(text, file)
    if len(documents) != 1:
        raise InputError(f"one YAML document was expected, there are {len(documents)}", where=Where(file, 1))
    return documents[0]


@dataclass
class _Built:
    """A value and how many nodes it stands for once its aliases are unfolded."""

    value: object
    nodes: int


class _Reader:
    """Builds values from parser events, one recursion per level of nesting, with the caps checked on the way."""

    def __init__(self, events: Iterator[Event], file: str) -> None:
        self._events = events
        self._file = file
        self._anchors: dict[str, _Built] = {}
        self._lines: dict[Path, int] = {}
        self._nodes = 0

    def documents(self) -> Iterator[Document]:
        for event in self._events:
            if not isinstance(event, DocumentStartEvent):
                continue
            self._anchors, self._lines, self._nodes = {}, {}, 0
            value = self._build(next(self._events), ()).value
            while not isinstance(next(self._events), DocumentEndEvent):
                pass
            if value is not None:
                yield Document(value, self._file, self._lines)

    def _build(self, event: Event, path: Path) -> _Built:
        line = _line(event)
        self._lines.setdefault(path, line)
        if len(path) > MAX_DEPTH:
            raise InputError(f"nested deeper than {MAX_DEPTH} levels", where=Where(self._file, line))
        if isinstance(event, AliasEvent):
            built = self._alias(event, line)
        else:
            self._refuse_tag(event, line)
            built = self._content(event, path)
            if isinstance(event, NodeEvent) and event.anchor:
                self._anchors[event.anchor] = built
        self._count(built.nodes if isinstance(event, AliasEvent) else 1, line)
        return built

    def _content(self, event: Event, path: Path) -> _Built:
        if isinstance(event, ScalarEvent):
            return _Built(_scalar(event), 1)
        if isinstance(event, SequenceStartEvent):
            return self._sequence(path)
        if isinstance(event, MappingStartEvent):
            return self._mapping(path)
        raise AssertionError(event)

    def _sequence(self, path: Path) -> _Built:
        items: list[object] = []
        nodes = 1
        while not isinstance(event := next(self._events), SequenceEndEvent):
            built = self._build(event, (*path, len(items)))
            items.append(built.value)
            nodes += built.nodes
        return _Built(items, nodes)

    def _mapping(self, path: Path) -> _Built:
        entries: dict[str, object] = {}
        nodes = 1
        while not isinstance(event := next(self._events), MappingEndEvent):
            line = _line(event)
            if not isinstance(event, ScalarEvent):
                raise InputError("a key must be plain text", where=Where(self._file, line, spell(path) or None))
            key = event.value
            if key in entries:
                raise InputError(f"the key `{key}` is there twice", where=Where(self._file, line, spell((*path, key))))
            self._lines[(*path, key)] = line
            built = self._build(next(self._events), (*path, key))
            entries[key] = built.value
            nodes += built.nodes
        return _Built(entries, nodes)

    def _alias(self, event: AliasEvent, line: int) -> _Built:
        built = self._anchors.get(event.anchor or "")
        if built is None:
            raise InputError(
                f"`*{event.anchor}` stands for nothing that is complete above it",
                hint=f"write `&{event.anchor}` at the value it repeats",
                where=Where(self._file, line),
            )
        return built

    def _refuse_tag(self, event: Event, line: int) -> None:
        tag = getattr(event, "tag", None)
        if tag not in {None, "!"}:
            raise InputError(
                f"the YAML tag `{tag}` is not allowed", hint="write the plain value", where=Where(self._file, line)
            )

    def _count(self, nodes: int, line: int) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            raise InputError(f"more than {MAX_NODES} values once aliases are unfolded", where=Where(self._file, line))


def _line(event: Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 1


def _scalar(event: ScalarEvent) -> object:
    text = str(event.value)
    if not event.implicit[0]:  # quoted, or a block: text as it stands
        return text
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INT.fullmatch(text):
        return int(text) if len(text) < 20 else float(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text
