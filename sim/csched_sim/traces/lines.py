"""The lines of a trace file, plain or gzip, as they are asked for: no file is ever held as a whole."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, TextIO

from csched.errors import InputError, Where
from csched.formats.files import open_bytes


@contextmanager
def open_lines(path: Path, errors: Literal["strict", "replace"] = "replace") -> Iterator[TextIO]:
    """The text of `path`, its line ends as they are.

    Archives hold stray Latin-1 in comments, so unless `errors` is strict a bad byte becomes U+FFFD.

    Raises:
        InputError: missing, a folder, unreadable, not a whole gzip file, or (strict) not UTF-8.
    """
    try:
        with open_bytes(path) as stream:
            yield io.TextIOWrapper(stream, encoding="utf-8-sig", errors=errors, newline="")
    except UnicodeDecodeError as error:
        raise InputError("not UTF-8 text", hint="save the file as UTF-8", where=Where(file=str(path))) from error
