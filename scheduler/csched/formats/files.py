"""Reading a user's file: bounded, UTF-8, plain or gzip."""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final, cast

from csched.errors import InputError, Where

MIB: Final = 1024 * 1024
_GZIP: Final = b"\x1f\x8b"


@contextmanager
def open_bytes(path: Path) -> Iterator[BinaryIO]:
    """The unpacked bytes of `path`. Gzip is told by its name or its first two bytes.

    Raises:
        InputError: missing, a folder, unreadable, or not a whole gzip file; also while the stream is read.
    """
    where = Where(file=str(path))
    try:
        with path.open("rb") as raw:
            packed = path.suffix == ".gz" or raw.peek(2)[:2] == _GZIP
            yield cast(BinaryIO, gzip.GzipFile(fileobj=raw)) if packed else raw
    except FileNotFoundError as error:
        raise InputError("no such file", hint="check the path", where=where) from error
    except IsADirectoryError as error:
        raise InputError("a file was expected, this is a folder", where=where) from error
    except PermissionError as error:
        raise InputError("not readable for you", hint="check the file's permissions", where=where) from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"not a whole gzip file: {error}", where=where) from error


def read_text(path: Path, max_mib: int = 64) -> str:
    """The whole text of `path`, bounded by its unpacked size.

    Raises:
        InputError: as `open_bytes`, too large, or not UTF-8.
    """
    with open_bytes(path) as stream:
        raw = stream.read(max_mib * MIB + 1)
    if len(raw) > max_mib * MIB:
        raise InputError(f"larger than {max_mib} MiB", hint="split the file", where=Where(file=str(path)))
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise InputError("not UTF-8 text", hint="save the file as UTF-8", where=Where(str(path), line)) from error
