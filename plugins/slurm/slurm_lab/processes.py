"""The lab's processes: each is started in a session of its own, recorded by pid and birth, and ended by these only."""

import contextlib
import os
import pwd
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_SEARCH_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Daemon:
    """What to run, as whom."""

    name: str
    argv: Sequence[str]
    user: str | None = None
    """None is root."""
    environment: Mapping[str, str] = field(default_factory=dict)


class Processes:
    """Starts daemons and finds them again by the files in `run/`, from any process."""

    def __init__(self, home: Path) -> None:
        self._run = home / "run"
        self._log = home / "log"
        self._children: dict[int, subprocess.Popen[bytes]] = {}

    def start(self, daemon: Daemon) -> None:
        with (self._log / f"{daemon.name}.out").open("ab") as log:
            user = pwd.getpwnam(daemon.user or "root")
            child = subprocess.Popen(  # noqa: S603
                daemon.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={"PATH": _SEARCH_PATH, "LANG": "C.UTF-8", **daemon.environment},
                start_new_session=True,
                user=user.pw_uid,
                group=user.pw_gid,
                extra_groups=os.getgrouplist(user.pw_name, user.pw_gid),
            )
        self._children[child.pid] = child
        self._file(daemon.name).write_text(f"{child.pid} {_birth(child.pid)}")

    def pid(self, name: str) -> int | None:
        """None where it does not run."""
        try:
            pid, birth = self._file(name).read_text().split()
        except (FileNotFoundError, ValueError):
            return None
        return int(pid) if _birth(int(pid)) == birth else None

    def running(self) -> list[str]:
        """Names, those started first first."""
        files = sorted(self._run.glob("*.pid"), key=lambda file: file.stat().st_mtime_ns)
        return [file.stem for file in files if self.pid(file.stem) is not None]

    def send(self, name: str, number: signal.Signals) -> None:
        pid = self.pid(name)
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def stop(self, names: Sequence[str], *, patience_s: float = 15) -> None:
        """SIGTERM to all of them, SIGKILL to those that have not gone in time."""
        for name in names:
            self.send(name, signal.SIGCONT)
            self.send(name, signal.SIGTERM)
        end = time.monotonic() + patience_s
        for name in names:
            while self.pid(name) is not None and time.monotonic() < end:
                time.sleep(0.05)
            self.send(name, signal.SIGKILL)
            self.await_end(name)

    def await_end(self, name: str) -> None:
        """Wait for one that is about to end; it leaves no record and no zombie."""
        wait_for(f"the end of {name}", lambda: self.pid(name) is None, 15)
        self._file(name).unlink(missing_ok=True)
        self._children = {pid: child for pid, child in self._children.items() if child.poll() is None}

    def _file(self, name: str) -> Path:
        return self._run / f"{name}.pid"


def wait_for(what: str, is_true: Callable[[], bool], within_s: float) -> None:
    """Raises TimeoutError where it does not come true in time."""
    if not _comes_true(is_true, within_s):
        raise TimeoutError(f"waited {within_s:g} s for {what}")


def succeeds(argv: Sequence[str], environment: Mapping[str, str] | None = None, *, says: str = "") -> bool:
    """Whether this command ends well within 5 s, and prints `says`."""
    try:
        done = subprocess.run(  # noqa: S603
            argv,
            env={"PATH": _SEARCH_PATH, **(environment or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0 and says in done.stdout


def _comes_true(is_true: Callable[[], bool], within_s: float) -> bool:
    end = time.monotonic() + within_s
    while not is_true():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def _birth(pid: int) -> str | None:
    """When the process began, in clock ticks since boot; None for one that is gone or a zombie. A pid is reused."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in {"Z", "X"} else fields[19]
