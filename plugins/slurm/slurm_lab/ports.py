"""Which ports a lab may have: labs on one machine, of several test runs, must not meet."""

import fcntl
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from slurm_lab.layout import PORTS

_FIRST, _LAST = 17_000, 30_000
"""Below what the kernel gives to clients (32,768 and above)."""
_TAKEN: Final = Path("/tmp/csched-lab-ports")  # noqa: S108  (labs of all users must see it; it holds names only)


@contextmanager
def _locked() -> Iterator[None]:
    _TAKEN.mkdir(exist_ok=True)
    with (_TAKEN / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def take(home: Path) -> int:
    """The first of a block of free ports, the lab's until it gives them back or its folder is gone."""
    with _locked():
        for first in range(_FIRST, _LAST, PORTS):
            record = _TAKEN / str(first)
            if record.exists() and Path(record.read_text()) != home and Path(record.read_text()).is_dir():
                continue  # also a lab that is only about to come up: its folder is there first
            if all(_free(port) for port in range(first, first + PORTS)):
                record.write_text(str(home))
                return first
    raise RuntimeError(f"no {PORTS} free ports side by side between {_FIRST} and {_LAST}")


def give_back(first: int) -> None:
    with _locked():
        (_TAKEN / str(first)).unlink(missing_ok=True)


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
