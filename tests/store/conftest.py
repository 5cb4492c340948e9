"""Each test of the store runs twice: on a SQLite file and on a real PostgreSQL server."""

import getpass
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from csched.clock import FixedClock
from csched.domain.job import Job
from csched.domain.run import Script
from csched.store.records import Submission
from csched.store.repository import Repository
from csched.testing.builders import MONDAY


def _binaries() -> Path:
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if installed:
        return installed[-1].parent
    answer = subprocess.run(["pg_config", "--bindir"], capture_output=True, text=True, check=True)
    return Path(answer.stdout.strip())


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[Path]:
    """The folder of the server's socket. It listens nowhere else, so that servers of several runs never meet."""
    binaries = _binaries()
    folder = Path(tempfile.mkdtemp(prefix="csched-pg-"))
    owner = getpass.getuser()
    as_owner: list[str] = []
    if os.getuid() == 0:  # PostgreSQL refuses to run as root
        owner = "postgres"
        shutil.chown(folder, owner)
        as_owner = ["runuser", "-u", owner, "--"]

    def run(*command: str) -> None:
        subprocess.run([*as_owner, *command], check=True, cwd="/", stdout=subprocess.DEVNULL, timeout=120)

    data = str(folder / "data")
    run(str(binaries / "initdb"), "-D", data, "-A", "trust", "-U", "csched", "-E", "UTF8", "--no-sync")
    control = [str(binaries / "pg_ctl"), "-D", data, "-w"]
    run(*control, "-l", str(folder / "log"), "-o", f"-k {folder} -c listen_addresses='' -c fsync=off", "start")
    yield folder
    run(*control, "-m", "immediate", "stop")
    shutil.rmtree(folder)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database of its own for each test."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'csched.db'}"
    folder = request.getfixturevalue("postgresql_server")
    name = f"t{os.urandom(6).hex()}"
    with psycopg.connect(host=str(folder), user="csched", dbname="postgres", autocommit=True) as connection:
        connection.execute(psycopg.sql.SQL("CREATE DATABASE {}").format(psycopg.sql.Identifier(name)))
    return f"postgresql://csched@/{name}?host={folder}"


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(MONDAY)


@pytest.fixture
def store(url: str, clock: FixedClock) -> Iterator[Repository]:
    repository = Repository(url, clock)
    yield repository
    repository.close()


@pytest.fixture
def submission() -> Callable[..., Submission]:
    """A plain job; columns of the job by keyword, the rest of the submission by `name`, `project`, `hold`."""

    def made(*, name: str = "train", project: str | None = None, hold: str | None = None, **columns: Any) -> Submission:
        job = Job.model_validate({"job": "new", "gpus": 8, "time_limit_s": 3600, "user": "ann", **columns})
        script = Script(body="#!/bin/sh\n", work_dir="/home/ann", stdout="/home/ann/%x-%j.out")
        return Submission(job=job, script=script, name=name, project=project, hold=hold)

    return made
