"""`csched serve` while its signed policies change all the time, killed where it stands: it never serves half a set.

Whatever digest it says is in force is that of a set somebody signed whole; what is tampered with, cut short or rolled
back never is, and the next daemon takes up the newest set that was.
"""

import os
import random
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from csched import shipped
from csched.keys import generate_key, read_private_key
from csched_policies.load import load_policies
from csched_policies.manifest import MANIFEST, SIGNATURE, sign

_PATIENCE_S = 90
RULE = "health-fr-hds.yaml"


class Folder:
    """Signed policies, and every set that was ever signed whole."""

    def __init__(self, home: Path) -> None:
        self.home, self.folder, self.key, self.log = home, home / "policies", home / "policy.key", home / "serve.log"
        shutil.copytree(shipped.policy_library(), self.folder)
        shutil.copytree(shipped.policy_library().parent / "facts", self.folder / "facts")
        self.trust = generate_key(self.key)
        self.signed: list[str] = []
        self.version = 0
        self.sign_next()

    def sign_next(self) -> str:
        """The next version of a rule, signed; returns its digest."""
        self.version += 1
        file = self.folder / RULE
        file.write_text(re.sub(r"^version: \d+$", f"version: {self.version}", file.read_text(), flags=re.MULTILINE))
        self.signed.append(load_policies(self.folder).digest)
        sign(self.folder, read_private_key(self.key), datetime.now(UTC))
        return self.signed[-1]

    def told(self) -> list[str]:
        """Digests that daemons said to be in force, oldest first."""
        return re.findall(r'"digest": "([\w-]+)", "event": "policies in force"', self.log.read_text())

    @contextmanager
    def daemon(self) -> Iterator["subprocess.Popen[bytes]"]:
        """A real daemon that looks at its folder every second; killed, not stopped."""
        environment = {
            **os.environ,
            "CSCHED_HOME": str(self.home / "state"),
            "CSCHED_POLICIES": str(self.folder),
            "CSCHED_POLICY_KEYS": str(self.trust),
            "CSCHED_PLAN_EVERY": "1s",
        }
        command = [sys.executable, "-c", "from csched.cli import main; main(['serve', '--port', '0'])"]
        with self.log.open("a") as stream, subprocess.Popen(command, env=environment, stderr=stream) as process:
            try:
                wait_until(lambda: process.poll() is None and "started" in self.log.read_text(), self.log)
                yield process
            finally:
                process.kill()


def wait_until(true: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not true():
        assert time.monotonic() < deadline, log.read_text()[-2000:]
        time.sleep(0.05)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


@pytest.mark.timeout(400)
def test_whatever_is_in_force_was_signed_whole_and_the_next_daemon_takes_the_newest(folder: Folder) -> None:
    dice = random.Random(4)
    for _ in range(3):
        before, stop = len(folder.told()) if folder.log.exists() else 0, threading.Event()
        with folder.daemon():
            wait_until(lambda before=before: len(folder.told()) > before, folder.log)

            def write(stop: threading.Event = stop) -> None:
                while not stop.is_set():
                    folder.sign_next()

            writer = threading.Thread(target=write)
            writer.start()
            time.sleep(dice.uniform(0.5, 2.5))
        stop.set()
        writer.join()
        assert set(folder.told()) <= set(folder.signed)
    newest = folder.sign_next()
    with folder.daemon():
        wait_until(lambda: folder.told()[-1] == newest, folder.log)


@pytest.mark.timeout(300)
def test_a_set_that_is_tampered_with_cut_short_or_rolled_back_never_comes_into_force(folder: Folder) -> None:
    old = {name: (folder.folder / name).read_bytes() for name in (RULE, MANIFEST, SIGNATURE)}
    newest = folder.sign_next()
    good = (folder.folder / RULE).read_bytes()
    with folder.daemon():
        wait_until(lambda: folder.log.exists() and newest in folder.told(), folder.log)
        for wrong in (good.replace(b"FR", b"US"), good[: len(good) // 2]):
            (folder.folder / RULE).write_bytes(wrong)
            wait_until(lambda: "changed since it was signed" in folder.log.read_text(), folder.log)
            (folder.folder / RULE).write_bytes(good)
        for name, content in old.items():
            (folder.folder / name).write_bytes(content)
        wait_until(lambda: "only a newer set comes into force" in folder.log.read_text(), folder.log)
        assert folder.told()[-1] == newest
    with folder.daemon():  # a daemon that starts on the old set remembers that there is a newer one, and denies all
        wait_until(lambda: folder.told()[-1] != newest, folder.log)
    assert folder.told()[-1] == "deny-all"
