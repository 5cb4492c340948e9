"""Reading a user's file: bounded, UTF-8, plain or gzip."""

import gzip
import zlib
from pathlib import Path

from csched.errors import InputError, Where

MIB = 1024 * 1024


def read_text(path: Path, max_mib: int = 64) -> str:
    """The whole text of `path`; a name that ends in .gz is unpacked, bounded by its unpacked size.

    Raises:
        InputError: missing, not a file, unreadable, too large, not gzip, or not UTF-8.
    """
    where = Where(file=str(path))
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as stream:
            raw = stream.read(max_mib * MIB + 1)
    except FileNotFoundError as error:
        raise InputError("no such file", hint="check the path", where=where) from error
    except IsADirectoryError as error:
        raise InputError("a file was expected, this is a folder", where=where) from error
    except PermissionError as error:
        raise InputError("not readable for you", hint="check the file's permissions", where=where) from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"not a whole gzip file: {error}", where=where) from error
    if len(raw) > max_mib * MIB:
        raise InputError(f"larger than {max_mib} MiB", hint="split the file", where=where)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise InputError("not UTF-8 text", hint="save the file as UTF-8", where=Where(str(path), line)) from error
