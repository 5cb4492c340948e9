"""The lock of a home's only daemon; the system frees it however the process ends."""

import fcntl
import os
import time
from pathlib import Path
from typing import Final

from csched.errors import Refused

LOCK_FILE: Final = "daemon.lock"

_TRIES: Final = 10
_BETWEEN_TRIES_S: Final = 0.05


def take(home: Path) -> int:
    """The descriptor that holds the lock until it is closed.

    Raises:
        Refused: another daemon works on this home.
    """
    descriptor = os.open(home / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    for left in reversed(range(_TRIES)):  # a command that looks whether it is held, holds it for an instant
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if left:
                time.sleep(_BETWEEN_TRIES_S)
                continue
            other = os.pread(descriptor, 32, 0).decode().strip() or "unknown"
            os.close(descriptor)
            raise Refused(
                f"another csched daemon (process {other}) works on `{home}`", hint="stop that one, or set CSCHED_HOME"
            ) from error
        break
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


def is_held(home: Path) -> bool:
    """Whether a daemon lives that works on this home."""
    try:
        descriptor = os.open(home / LOCK_FILE, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
