"""The one place where the plugin starts programs: never by a shell, in a session of their own, for a limited time and
with a limited answer."""

import contextlib
import os
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

MAX_OUTPUT_BYTES: Final = 256 * 1024 * 1024
"""squeue writes 3 kB for each job on 22.05, and 12 kB and more on 24.11."""
_CHUNK: Final = 1 << 16


@dataclass(frozen=True)
class Ended:
    code: int
    stdout: bytes
    stderr: str

    @property
    def words(self) -> str:
        """What it said of its fate, in one bounded line."""
        lines = (line.strip() for line in self.stderr.splitlines())
        return "; ".join(filter(None, lines))[:2000] or f"exit code {self.code} without a word"


@dataclass(frozen=True)
class Cut:
    """It was ended here, or never began; what it did until then is not known."""

    why: str


def run(
    argv: Sequence[str], environment: Mapping[str, str], *, timeout_s: float, stdin: str | None = None
) -> Ended | Cut:
    """Run a program to its end. It sees `environment` and nothing else of this process's."""
    with contextlib.ExitStack() as stack:
        given = stack.enter_context(tempfile.TemporaryFile())
        given.write((stdin or "").encode())
        given.seek(0)
        try:
            process = stack.enter_context(
                subprocess.Popen(  # noqa: S603
                    argv,
                    stdin=given,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    env=dict(environment),
                    start_new_session=True,
                )
            )
        except OSError as error:
            return Cut(f"`{argv[0]}` cannot be started: {error.strerror}")
        try:
            return _watched(process, argv[0], timeout_s)
        finally:
            if process.poll() is None:
                _kill(process)


def _watched(process: subprocess.Popen[bytes], name: str, timeout_s: float) -> Ended | Cut:
    end = time.monotonic() + timeout_s
    said: dict[str, bytearray] = {"stdout": bytearray(), "stderr": bytearray()}
    with selectors.DefaultSelector() as selector:
        for channel, pipe in (("stdout", process.stdout), ("stderr", process.stderr)):
            assert pipe is not None  # noqa: S101  (asked for above)
            selector.register(pipe, selectors.EVENT_READ, channel)
        while selector.get_map():
            ready = selector.select(max(0.0, end - time.monotonic()))
            if not ready:
                return Cut(f"`{name}` did not end within {timeout_s:g} s")
            for key, _ in ready:
                chunk = os.read(key.fd, _CHUNK)
                said[key.data] += chunk
                if not chunk:
                    selector.unregister(key.fileobj)
            if sum(map(len, said.values())) > MAX_OUTPUT_BYTES:
                return Cut(f"`{name}` said more than {MAX_OUTPUT_BYTES // 1024**2} MiB")
    try:
        code = process.wait(max(0.0, end - time.monotonic()))
    except subprocess.TimeoutExpired:
        return Cut(f"`{name}` did not end within {timeout_s:g} s")
    return Ended(code, bytes(said["stdout"]), said["stderr"].decode(errors="replace"))


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End it and what it started; a program that runs as another user can only be left alone."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(1)
