"""kill -9 of the daemon and of the dispatcher's processes at random moments: no accepted job is lost, none runs twice.

Scripts count their own runs: each appends one line to a file of its own, so what is counted is processes, not what
csched believes. The seed is printed; CSCHED_DRILL_SEED=N throws the same dice again, though not at the same instants.
"""

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from csched.app import App
from csched.domain.job import Job
from csched.domain.run import JobState, Script
from csched.settings import Settings
from csched.store.records import JobRecord

_DAEMON = Path(__file__).parent / "light_daemon.py"
_PATIENCE_S = 300
_POSSIBLE = {(JobState.COMPLETED, "0:0"), (JobState.NODE_FAIL, "0:0"), (JobState.FAILED, "0:9")}
"""0:9: what was to be killed became the script in the instant before; then it is the script that was killed."""


@dataclass
class Drill:
    """A home, its daemon, and a driver that submits and kills."""

    home: Path
    dice: random.Random
    most_pause_s: float
    accepted: list[int] = field(default_factory=list)
    killed: set[int] = field(default_factory=set)
    """Runners, and processes that were about to be one or its script."""
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
        pause = self.dice.choice(["0", "0.1", "0.5", "1"])
        body = f"#!/bin/sh\necho $$ >> {self.home}/ran/$SLURM_JOB_ID\nsleep {pause}\n"
        script = Script(body=body, work_dir=str(self.home), stdout=os.devnull)
        job = Job(job="new", gpus=1, time_limit_s=600, data_class="public")
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
        """Processes whose last argument is a folder in our spool: not the scripts, which are files in there."""
        a_folder_of_ours = re.compile(rb"\0" + re.escape(f"{self.home}/spool/".encode()) + rb"[^/\0]+\0\Z")
        found = []
        for process in Path("/proc").iterdir():
            if process.name.isdecimal():
                with suppress(OSError):
                    if a_folder_of_ours.search((process / "cmdline").read_bytes()):
                        found.append(int(process.name))
        return found

    def round(self) -> None:
        """Some jobs, then a kill at any moment: of a busy daemon, of an idle one, of one that is still starting."""
        for _ in range(self.dice.randrange(1, 4)):
            self.submit()
        time.sleep(self.dice.uniform(0, self.most_pause_s))
        self.kill()

    def settle(self) -> dict[int, JobRecord]:
        """All jobs, once each has ended and nothing of it is left in the spool."""
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            records = {record.id: record for record in self.app.store.jobs()}
            spool = self.home / "spool"  # not there yet where every daemon died before its first start of a job
            left = [file.name for file in spool.iterdir()] if spool.is_dir() else []
            if all(record.state.final for record in records.values()) and not left:
                return records
            alive = {number: record.state for number, record in records.items() if not record.state.final}
            assert time.monotonic() < deadline, f"not ended: {alive}; in the spool: {left}"
            time.sleep(0.1)

    def runs(self, job_id: int) -> list[int]:
        """The process of each run of the job's script."""
        file = self.home / "ran" / str(job_id)
        return [int(line) for line in file.read_text().splitlines()] if file.exists() else []

    def _kill(self, pid: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            self.killed.add(pid)


def drill(home: Path, kills: int, most_pause_s: float) -> None:
    seed = int(os.environ.get("CSCHED_DRILL_SEED") or random.SystemRandom().randrange(2**32))
    sys.stdout.write(f"seed {seed}\n")
    scene = Drill(home, random.Random(seed), most_pause_s)
    scene.start()
    try:
        scene.require_light()
        for _ in range(kills):
            scene.round()
        records = scene.settle()
    finally:
        scene.stop()
        scene.app.close()
    assert sorted(records) == sorted(scene.accepted), "jobs were lost or invented"
    for job_id, record in records.items():
        runs = scene.runs(job_id)
        assert len(runs) <= 1, f"job {job_id} ran {len(runs)} times"
        assert record.state is not JobState.COMPLETED or runs, f"job {job_id} is {record.state} and never ran"
        assert (record.state, str(record.exit_code)) in _POSSIBLE, f"{job_id} ended {record.state} {record.exit_code}"
        assert record.state is not JobState.FAILED or scene.killed.issuperset(runs), f"job {job_id} failed by itself"
    ends = Counter(str(record.state) for record in records.values())
    sys.stdout.write(f"{len(records)} jobs: {dict(ends)}\n")
    assert ends["COMPLETED"]


def test_twenty_kills(tmp_path: Path) -> None:
    drill(tmp_path / "home", kills=20, most_pause_s=0.5)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_two_hundred_kills(tmp_path: Path) -> None:
    drill(tmp_path / "home", kills=200, most_pause_s=2)
