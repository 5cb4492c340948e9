"""kill -9 of the daemon and of the dispatcher's processes at random moments: no accepted job is lost, none runs twice.

Scripts count their own runs: each appends one line to a file of its own, so what is counted is processes, not what
csched believes.
"""

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from csched.app import App
from csched.domain.job import Job
from csched.domain.run import JobState, Script
from csched.settings import Settings

_DAEMON = Path(__file__).parent / "light_daemon.py"
_PATIENCE_S = 120
_POSSIBLE = {JobState.COMPLETED, JobState.NODE_FAIL, JobState.FAILED}
"""FAILED: the kill met the very process that was about to become the script."""


@dataclass
class Drill:
    """A home, its daemon, and a driver that submits and kills."""

    home: Path
    dice: random.Random
    accepted: list[int] = field(default_factory=list)
    daemon: subprocess.Popen[str] | None = None

    def __post_init__(self) -> None:
        self.app = App(Settings(home=self.home))
        (self.home / "ran").mkdir(parents=True)

    def start(self) -> None:
        log = (self.home / "daemon.log").open("a")
        with log:
            self.daemon = subprocess.Popen(
                [sys.executable, str(_DAEMON), str(self.home)], stdout=subprocess.PIPE, stderr=log, text=True
            )

    def require_light(self) -> None:
        assert self.daemon is not None
        assert self.daemon.stdout is not None
        assert self.daemon.stdout.readline() == "ready []\n"

    def submit(self) -> None:
        pause = self.dice.choice(["0", "0.1", "0.5", "2"])
        body = f"#!/bin/sh\necho $$ >> {self.home}/ran/$SLURM_JOB_ID\nsleep {pause}\n"
        script = Script(body=body, work_dir=str(self.home), stdout=os.devnull)
        job = Job(job="new", gpus=1, time_limit_s=600)
        self.accepted.append(self.app.submit(job, script, name="drill"))

    def kill(self) -> None:
        """The daemon, or one of the processes that watch the jobs, or one of each; no warning."""
        if self.dice.random() < 0.6:
            runners = self.runners()
            if runners:
                self._kill(self.dice.choice(runners))
        if self.dice.random() < 0.8:
            self.stop()
            self.start()
            if self.dice.random() < 0.7:  # else the next kill may meet it half started
                self.require_light()

    def stop(self) -> None:
        assert self.daemon is not None
        self.daemon.kill()
        self.daemon.wait()
        assert self.daemon.stdout is not None
        self.daemon.stdout.close()

    def runners(self) -> list[int]:
        """Processes whose last argument is a folder in our spool."""
        mark = f"{self.home}/spool/".encode()
        found = []
        for process in Path("/proc").iterdir():
            if process.name.isdecimal():
                with suppress(OSError):
                    if any(part.startswith(mark) for part in (process / "cmdline").read_bytes().split(b"\0")[-2:-1]):
                        found.append(int(process.name))
        return found

    def settle(self) -> dict[int, JobState]:
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            states = {record.id: record.state for record in self.app.store.jobs()}
            if all(state.final for state in states.values()):
                return states
            assert time.monotonic() < deadline, f"not ended: {states}"
            time.sleep(0.1)

    def runs(self, job_id: int) -> int:
        file = self.home / "ran" / str(job_id)
        return len(file.read_text().splitlines()) if file.exists() else 0

    @staticmethod
    def _kill(pid: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def drill(home: Path, kills: int, seed: int) -> None:
    told = f"seed {seed}"
    scene = Drill(home, random.Random(seed))
    scene.start()
    try:
        scene.require_light()
        for _ in range(kills):
            for _ in range(scene.dice.randrange(1, 4)):
                scene.submit()
            time.sleep(scene.dice.uniform(0, 2))
            scene.kill()
        states = scene.settle()
    finally:
        scene.stop()
        scene.app.close()
    assert sorted(states) == sorted(scene.accepted), f"{told}: jobs were lost or invented"
    for job_id, state in states.items():
        runs = scene.runs(job_id)
        assert runs <= 1, f"{told}: job {job_id} ran {runs} times"
        assert state is not JobState.COMPLETED or runs == 1, f"{told}: job {job_id} is {state} and never ran"
        assert state in _POSSIBLE, f"{told}: job {job_id} ended {state}"
    assert JobState.COMPLETED in states.values(), told


def test_twenty_kills(tmp_path: Path) -> None:
    drill(tmp_path / "home", kills=20, seed=random.SystemRandom().randrange(2**32))


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_two_hundred_kills(tmp_path: Path) -> None:
    drill(tmp_path / "home", kills=200, seed=random.SystemRandom().randrange(2**32))
