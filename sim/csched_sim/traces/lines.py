"""The lines of a trace file, plain or gzip, as they are asked for: no file is ever held as a whole."""

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal, TextIO, cast

from csched.errors import InputError, Where


@contextmanager
def open_lines(path: Path, errors: Literal["strict", "replace"] = "replace") -> Iterator[TextIO]:
    """The text of `path`, its line ends as they are. Gzip is told by its first two bytes, not by the name.

    Archives hold stray Latin-1 in comments, so unless `errors` is strict a bad byte becomes U+FFFD.

    Raises:
        InputError: missing, a folder, unreadable, not a whole gzip file, or (strict) not UTF-8.
    """
    where = Where(file=str(path))
    try:
        with path.open("rb") as raw:
            packed = raw.peek(2)[:2] == b"\x1f\x8b"
            stream = cast(BinaryIO, gzip.GzipFile(fileobj=raw)) if packed else raw
            yield io.TextIOWrapper(stream, encoding="utf-8-sig", errors=errors, newline="")
    except FileNotFoundError as error:
        raise InputError("no such file", hint="check the path", where=where) from error
    except IsADirectoryError as error:
        raise InputError("a file was expected, this is a folder", where=where) from error
    except PermissionError as error:
        raise InputError("not readable for you", hint="check the file's permissions", where=where) from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"not a whole gzip file: {error}", where=where) from error
    except UnicodeDecodeError as error:
        raise InputError("not UTF-8 text", hint="save the file as UTF-8", where=where) from error
