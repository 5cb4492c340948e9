"""JSON as its standard has it: no NaN, no half of a surrogate pair, and a mistake has its line."""

import json
from typing import Any

from csched.errors import InputError, Where


def read_json(text: str, file: str) -> Any:
    """The value.

    Raises:
        InputError: not JSON, nested too deep, or text in it that no encoding can carry.
    """
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
        if "\\ud" in text.lower():
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise InputError("half of a surrogate pair stands in a text", where=Where(file)) from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"not JSON: {error}", where=Where(file, getattr(error, "lineno", None))) from error
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"`{name}` is no number in JSON")
