"""XML without its dangers: no entities, no document type of its own, nothing fetched, everything bounded.

Every element knows its line. Built on expat, because the standard library's trees keep no line numbers to show with
a mistake.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final
from xml.parsers import expat

from csched.errors import InputError, Where

MAX_ELEMENTS: Final = 400_000
MAX_DEPTH: Final = 64
MAX_TEXT: Final = 1024 * 1024
_HINT: Final = "give the file as the tool wrote it"


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    line: int
    text: str = ""
    children: list["Element"] = field(default_factory=list)

    def find(self, *path: str) -> "Element | None":
        """The first descendant along these tags."""
        found: Element | None = self
        for tag in path:
            found = next((child for child in found.children if child.tag == tag), None) if found else None
        return found

    def text_of(self, *path: str) -> str:
        """The text along these tags, empty where there is none."""
        found = self.find(*path)
        return found.text.strip() if found else ""

    def walk(self) -> Iterator["Element"]:
        """This element and all below it, in the order of the file."""
        yield self
        for child in self.children:
            yield from child.walk()


def read_elements(text: str, file: str) -> Element:
    """The root element.

    Raises:
        InputError: not whole XML, entities or an inner document type, too deep, too many elements.
    """
    builder = _Builder(file)
    parser = expat.ParserCreate("utf-8")
    builder.listen(parser)
    try:
        parser.Parse(text.encode(), True)
    except expat.ExpatError as error:
        reason = expat.errors.messages[error.code]
        raise InputError(f"not whole XML: {reason}", hint=_HINT, where=Where(file, error.lineno)) from error
    return builder.root[0]


class _Builder:
    def __init__(self, file: str) -> None:
        self.root: list[Element] = []
        self._file = file
        self._open: list[Element] = []
        self._count = 0

    def listen(self, parser: expat.XMLParserType) -> None:
        self._parser = parser
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        parser.StartDoctypeDeclHandler = self._document_type
        # Without an inner document type no entity can be declared, and expat reads no outer one: it skips its entities.
        parser.SkippedEntityHandler = self._refuse_entity

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._count += 1
        if self._count > MAX_ELEMENTS:
            raise InputError(f"more than {MAX_ELEMENTS} XML elements", where=self._where())
        if len(self._open) >= MAX_DEPTH:
            raise InputError(f"XML nested deeper than {MAX_DEPTH} levels", where=self._where())
        element = Element(tag, attributes, self._parser.CurrentLineNumber)
        (self._open[-1].children if self._open else self.root).append(element)
        self._open.append(element)

    def _end(self, _tag: str) -> None:
        self._open.pop()

    def _characters(self, text: str) -> None:
        element = self._open[-1]
        element.text += text
        if len(element.text) > MAX_TEXT:
            raise InputError(f"more than {MAX_TEXT} characters in `{element.tag}`", where=self._where())

    def _document_type(self, _name: str, _system: str | None, _public: str | None, has_inner: int) -> None:
        if has_inner:
            raise InputError("an XML document type of its own is not allowed", hint=_HINT, where=self._where())

    def _refuse_entity(self, _name: str, _is_parameter_entity: bool) -> None:
        raise InputError("XML entities are not allowed", hint=_HINT, where=self._where())

    def _where(self) -> Where:
        return Where(self._file, self._parser.CurrentLineNumber)
