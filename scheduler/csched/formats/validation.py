"""From what pydantic found to what a person can mend."""

from collections.abc import Callable, Iterator, Sequence
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from csched.errors import InputError, Where
from csched.formats.yaml_document import Path

_SHOWN_CHARACTERS = 60


def input_error(
    error: ValidationError, where: Callable[[Path], Where], model: type[BaseModel] | None = None
) -> InputError:
    """The first mistake as an InputError, the others counted; `where` turns a path into a place.

    `model` lets an unknown key be answered with the key that was probably meant.
    """
    first, *others = input_errors(error, where, model)
    more = f" (and {len(others)} more)" if others else ""
    return InputError(first.message + more, hint=first.hint, where=first.where)


def input_errors(
    error: ValidationError, where: Callable[[Path], Where], model: type[BaseModel] | None = None
) -> list[InputError]:
    """Every mistake, in the order of the fields."""
    found = []
    for detail in _roots(error.errors(include_url=False)):
        message, hint = _told(detail, model)
        path = tuple(step for step in detail["loc"] if not _is_tag(step))
        found.append(InputError(message, hint=hint, where=where(path)))
    return found


def _roots(details: list[ErrorDetails]) -> list[ErrorDetails]:
    """Without what only follows: a list is "too short" because its one item is wrong."""
    paths = [detail["loc"] for detail in details]
    return [
        detail
        for detail in details
        if not any(len(path) > len(detail["loc"]) and path[: len(detail["loc"])] == detail["loc"] for path in paths)
    ]


def did_you_mean(word: str, known: Sequence[str]) -> str | None:
    """A hint for a misspelt word: the nearest known one, else all of them if they are few."""
    close = get_close_matches(word, known, n=1, cutoff=0.6)
    if close:
        return f"did you mean `{close[0]}`?"
    return f"known are {', '.join(sorted(known))}" if 0 < len(known) <= 40 else None


def _is_tag(step: str | int) -> bool:
    """Steps that pydantic adds where a key is wrong or one of several types was tried; no file has them."""
    return isinstance(step, str) and ("[" in step or step in {"float", "str", "int"})


def _told(detail: ErrorDetails, model: type[BaseModel] | None) -> tuple[str, str | None]:
    kind, context = detail["type"], detail.get("ctx", {})
    got = _shown(detail["input"])
    if kind == "extra_forbidden":
        key = str(detail["loc"][-1])
        known = list(_keys_at(model, detail["loc"][:-1])) if model else []
        return f"unknown key `{key}`", did_you_mean(key, known)
    if kind == "missing":
        return f"`{detail['loc'][-1]}` is missing", None
    if kind == "value_error":
        return str(context.get("error", detail["msg"])), None
    bounds = {
        "greater_than": "more than {gt}",
        "greater_than_equal": "at least {ge}",
        "less_than": "less than {lt}",
        "less_than_equal": "at most {le}",
        "too_short": "at least {min_length} entries",
        "too_long": "at most {max_length} entries",
        "string_too_long": "at most {max_length} characters",
        "literal_error": "{expected}",
        "enum": "{expected}",
        "finite_number": "a finite number",
        "string_pattern_mismatch": "text that matches {pattern}",
        "int_parsing": "a whole number",
        "int_type": "a whole number",
        "int_from_float": "a whole number",
        "float_parsing": "a number",
        "float_type": "a number",
        "bool_parsing": "true or false",
        "string_type": "text",
        "tuple_type": "a list",
        "dict_type": "a mapping",
        "mapping_type": "a mapping",
        "model_type": "a mapping",
        "model_attributes_type": "a mapping",
    }
    if kind in bounds:
        return f"expected {bounds[kind].format(**context)}, got {got}", None
    return f"{detail['msg'][:1].lower()}{detail['msg'][1:]}, got {got}", None


def _shown(value: object) -> str:
    text = repr(value) if not isinstance(value, str) else value
    printable = "".join(character if character.isprintable() else "?" for character in text)
    return f"`{printable[:_SHOWN_CHARACTERS]}{'…' if len(printable) > _SHOWN_CHARACTERS else ''}`"


def _keys_at(model: type[BaseModel], path: Path) -> Iterator[str]:
    """The keys a file may have at `path`: follows fields by name or alias through lists, mappings and unions."""
    models = [model]
    for step in path:
        if isinstance(step, int):
            continue
        named = [
            field.annotation
            for candidate in models
            for name, field in candidate.model_fields.items()
            if step in {name, field.alias}
        ]
        if named:
            models = [inner for annotation in named for inner in _models_in(annotation)]
    for candidate in models:
        for name, field in candidate.model_fields.items():
            yield field.alias or name


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)
