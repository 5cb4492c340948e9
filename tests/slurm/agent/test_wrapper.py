"""The one program that sudo lets the agent run as a user: it submits held jobs of csched, and can do nothing else."""

import json
import os
import pwd
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from csched.formats.batch_options import Argument
from csched_slurm.agent.submission import PASSED_ON
from csched_slurm.commands import sbatch_words
from csched_slurm.transport import JobRequest

WRAPPER = Path(__file__).parents[3] / "plugins/slurm/libexec/submit"
ALWAYS = ["--parsable", "--hold", "--no-requeue", "--export=NONE"]
SOUND = [*ALWAYS, "--job-name=csched-1"]


@pytest.fixture
def place() -> Iterator[Path]:
    """A site with one cluster, whose sbatch prints what it is given; every user can reach it."""
    with tempfile.TemporaryDirectory(prefix="csched-site-") as folder:
        Path(folder).chmod(0o755)
        yield _furnished(Path(folder))


def _furnished(folder: Path) -> Path:
    sbatch = folder / "sbatch"
    sbatch.write_text(
        "#!/usr/bin/python3 -IS\nimport os, sys, json\nprint(json.dumps([sys.argv[1:], dict(os.environ)]))\n"
    )
    sbatch.chmod(0o755)
    table = folder / "clusters.json"
    table.write_text(json.dumps({"essonne": {"slurm_conf": "/etc/slurm/slurm.conf", "sbatch": str(sbatch)}}))
    wrapper = folder / "submit"
    wrapper.write_text(WRAPPER.read_text().replace("/etc/csched/clusters.json", str(table)))
    wrapper.chmod(0o755)
    return folder


def called(place: Path, *words: str, cluster: str = "essonne", program: str | None = None, uid: int = 1500):
    command = [str(place / "submit"), cluster, program or str(place / "sbatch"), *words]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "SBATCH_PARTITION": "secret", "CANARY": "sings"},
        user=uid,
    )


pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="left out: becoming other users needs root")


def test_a_sound_request_reaches_sbatch_with_a_clean_environment(place: Path) -> None:
    done = called(place, *SOUND, "--partition=gpu", "--exclusive")
    words, environment = json.loads(done.stdout)
    assert words == [*SOUND, "--partition=gpu", "--exclusive"]
    assert environment["SLURM_CONF"] == "/etc/slurm/slurm.conf"
    assert not {"CANARY", "SBATCH_PARTITION"} & environment.keys()


@pytest.mark.parametrize(
    "words",
    [
        [*SOUND, "--uid=0"],
        [*SOUND, "--gid=0"],
        [*SOUND, "--clusters=bologna"],
        [*SOUND, "-M", "bologna"],
        [*SOUND, "--get-user-env"],
        [*SOUND, "--wrap=id"],
        [*SOUND, "--export=ALL"],
        [*SOUND, "--requeue"],
        [*SOUND, "/etc/passwd"],
        [*SOUND, "--comment=two\nlines"],
        [*SOUND, "--job-name=mine"],
        [*SOUND, "--bb=x"],
        *([word for word in SOUND if word != left_out] for left_out in ALWAYS),
    ],
)
def test_nothing_else_goes_through(place: Path, words: list[str]) -> None:
    done = called(place, *words)
    assert (done.returncode, done.stdout) == (1, "")
    assert "Invalid request" in done.stderr


def test_only_the_tables_clusters_and_their_sbatch_and_only_as_a_person(place: Path) -> None:
    assert called(place, *SOUND, cluster="elsewhere").returncode == 1
    assert called(place, *SOUND, program="/bin/sh").returncode == 1
    assert called(place, *SOUND, uid=pwd.getpwnam("daemon").pw_uid).returncode == 1
    assert called(place, *SOUND, uid=0).returncode == 1


def test_a_table_that_others_can_write_is_not_read(place: Path) -> None:
    (place / "clusters.json").chmod(0o666)
    assert "others than root can write" in called(place, *SOUND).stderr


def test_whatever_the_agent_may_ask_for_goes_through(place: Path) -> None:
    passed = [f"--{name}" + ("" if argument is Argument.NONE else "=1") for name, argument in PASSED_ON.items()]
    request = JobRequest(
        name="csched-1",
        user="alice",
        script="#!/bin/sh\n",
        work_dir="/",
        stdout="/dev/null",
        stderr="/dev/null",
        account="a",
        partition="p",
        qos="q",
        comment="c",
        nodes=2,
        gpus_per_node=4,
        gpu_type="gb200",
        exclusive=True,
        cpus_per_task=1,
        tasks_per_node=1,
        memory_per_node_mib=1,
        time_limit_minutes=1,
        node_list=("e1", "e2"),
        segment=2,
        switches=1,
        reservation="r",
        licenses="l",
        features="f",
        dependency="afterok:1",
        array="0-1",
        signal="USR1",
        options=tuple(passed),
    )
    done = called(place, *sbatch_words(request))
    assert done.returncode == 0, done.stderr
