"""The fleet file. Any value may be written `{value, source, asserted_by, …}`; the reader keeps both apart."""

from pathlib import Path

from pydantic import ValidationError

from csched.domain.site import Evidence, Fleet
from csched.errors import InputError
from csched.formats.files import read_text
from csched.formats.validation import input_error
from csched.formats.yaml_document import Document, load_document, spell
from csched.formats.yaml_document import Path as DocumentPath

_EVIDENCE_KEYS = frozenset(Evidence.model_fields)


def read_fleet(path: Path) -> Fleet:
    """The fleet in a csched/fleet/1 YAML file.

    Raises:
        InputError: with file, line, field and what was expected.
    """
    return parse_fleet(read_text(path), str(path))


def parse_fleet(text: str, file: str) -> Fleet:
    """As `read_fleet`, from text; `file` is what errors call it."""
    document = load_document(text, file)
    if not isinstance(document.data, dict):
        raise InputError("a mapping with `schema`, `sites` and so on was expected", where=document.where())
    if "schema" not in document.data:
        raise InputError(
            "`schema` is missing", hint="begin the file with `schema: csched/fleet/1`", where=document.where()
        )
    evidence: dict[str, Evidence] = {}
    data = {key: _unwrap(value, (key,), document, evidence) for key, value in document.data.items()}
    if "evidence" in document.data:
        raise InputError(
            "unknown key `evidence`", hint="write {value, source} in place", where=document.where(("evidence",))
        )
    try:
        return Fleet.model_validate({**data, "evidence": evidence})
    except ValidationError as error:
        raise input_error(error, document.where, Fleet) from error


def _unwrap(node: object, path: DocumentPath, document: Document, evidence: dict[str, Evidence]) -> object:
    """`node` with every `{value, …}` replaced by its value; whence it comes goes to `evidence`."""
    if isinstance(node, list):
        return [_unwrap(item, (*path, index), document, evidence) for index, item in enumerate(node)]
    if not isinstance(node, dict):
        return node
    if "value" in node and node.keys() - {"value"} <= _EVIDENCE_KEYS:
        try:
            told = Evidence.model_validate({key: node[key] for key in node.keys() & _EVIDENCE_KEYS})
        except ValidationError as error:
            raise input_error(error, lambda inner: document.where((*path, *inner)), Evidence) from error
        evidence[spell(path)] = told
        return _unwrap(node["value"], path, document, evidence)
    return {key: _unwrap(value, (*path, key), document, evidence) for key, value in node.items()}
