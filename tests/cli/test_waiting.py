"""Commands that last: they wait for what can happen, follow what is written, and leave quietly when nobody reads."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Event, Thread

import pytest

from csched.app import open_app
from csched.domain.run import JobState
from csched.testing.planner import everything_at


@pytest.fixture
def runs_at_once(home: Path) -> Iterator[None]:
    """What the daemon does, without a solver: every job is started at once and its end is taken over."""
    over = Event()

    def work() -> None:
        with closing(open_app()) as app:
            while not over.wait(0.05):
                pending = app.store.jobs(states=[JobState.PENDING])
                if pending:
                    plan = everything_at([record.job for record in pending], "munich", "b200", app.clock.now())
                    app.store.commit(plan, {record.id: record.revision for record in pending})
                app.poll()

    thread = Thread(target=work)
    thread.start()
    yield
    over.set()
    thread.join()


@pytest.fixture
def hopeless(tmp_path: Path) -> Path:
    path = tmp_path / "hopeless.sh"
    path.write_text("#!/bin/sh\n#SBATCH -G 1 -t 5\n")
    return path


def test_nobody_waits_for_a_job_that_no_site_may_run(csched, hopeless: Path) -> None:
    csched("submit", hopeless)
    ran = csched("wait", "last")
    assert ran.code == 4
    assert "no site may run job 1 as it stands: " in ran.err
    assert "nothing to wait for" in ran.err
    assert "csched explain 1" in ran.err


@pytest.mark.usefixtures("runs_at_once")
def test_nobody_waits_for_a_job_that_waits_in_vain(csched) -> None:
    plain = ["--data-class=public", "-G", "1", "-t", "5"]
    csched("submit", "--hold", *plain, "--wrap", "true")
    csched("submit", "--dependency=afterok:1", *plain, "--wrap", "true")
    csched("cancel", 1)
    with closing(open_app()) as app:
        app.store.end_invalid()
    assert csched("wait", 2).code == 4
    assert "DependencyNeverSatisfied" in csched("queue").out


def test_with_a_timeout_someone_may_still_change_the_job(csched, hopeless: Path) -> None:
    csched("submit", "--hold", hopeless)
    ran = csched("wait", "last", "--timeout", "1s")
    assert ran.code == 5
    assert "no site may run job 1" in ran.err
    assert "`csched release 1`" in ran.err


@pytest.mark.usefixtures("runs_at_once")
def test_waiting_gives_the_exit_code_of_the_job(csched) -> None:
    csched("submit", "--data-class=public", "-G", "1", "-t", "5", "--wrap", "exit 7")
    ran = csched("wait", "last", "--json")
    assert (ran.code, ran.json["jobs"][0]["exit_code"]) == (7, "7:0")


@pytest.mark.usefixtures("runs_at_once")
def test_an_array_gives_its_highest_exit_code(csched) -> None:
    body = "exit $SLURM_ARRAY_TASK_ID"
    csched("submit", "--array=0,4,2", "--data-class=public", "-G", "1", "-t", "5", "--wrap", body)
    ran = csched("wait", "last", "--json")
    assert (ran.code, [job["exit_code"] for job in ran.json["jobs"]]) == (4, ["0:0", "2:0", "4:0"])
    assert csched("wait", "1_2").code == 2


@pytest.mark.usefixtures("runs_at_once")
def test_logs_are_told_to_programs(csched, tmp_path: Path) -> None:
    csched("submit", "--array=3", "--data-class=public", "-G", "1", "-t", "5", "--wrap", "printf 'a\\377'")
    csched("wait", "last")
    file = str(tmp_path / "slurm-1_3.out")
    told = {"id": 1, "file": file, "bytes": 2, "truncated": False, "text": "a\ufffd"}
    assert csched("logs", "1_3", "--json").json == told
    assert csched("logs", "1_3", "--quiet").out == f"{file}\n"
    assert csched("logs", "1_3", "--json", "--follow").code == 2


@pytest.mark.usefixtures("runs_at_once")
def test_logs_say_why_a_job_never_started(csched) -> None:
    csched("submit", "--data-class=public", "-G", "1", "-t", "5", "-D", "/nowhere", "--wrap", "true")
    assert csched("wait", "last").code == 1
    ran = csched("logs", "last")
    assert ran.code == 6
    assert "job 1 never started: No such file or directory: /nowhere" in ran.err


@pytest.mark.usefixtures("runs_at_once")
def test_logs_are_followed_to_the_end(home: Path, csched) -> None:
    body = "echo first; sleep 0.5; echo last"
    csched("submit", "--data-class=public", "-G", "1", "-t", "5", "--wrap", body)
    command = "from csched.cli import main; import sys; sys.exit(main(['logs', '-f', 'last']))"
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "first\nlast\n"


def test_a_reader_that_goes_away_is_no_error(csched, script: Path) -> None:
    for _ in range(3):
        csched("submit", script)
    command = "from csched.cli import main; import sys; sys.exit(main(['queue']))"
    process = subprocess.Popen([sys.executable, "-c", command], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()  # before it has written anything
    assert process.stderr is not None
    said = process.stderr.read().decode()
    process.stderr.close()
    assert process.wait(60) == 141
    assert "Traceback" not in said
    assert "BrokenPipe" not in said
