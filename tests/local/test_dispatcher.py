"""Scripts run as real processes: once, with their output, exit code, limits and nothing of the daemon's."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from csched.domain.array import ArrayTask
from csched.domain.job import Component
from csched.domain.run import DispatchOrder, ExitCode, JobState, RunReport, Script
from csched.errors import InputError, Unavailable
from csched.local import runner
from csched.local.dispatcher import LocalDispatcher, warning_of

_PATIENCE_S = 60


@pytest.fixture
def dispatcher(tmp_path: Path) -> LocalDispatcher:
    return LocalDispatcher(tmp_path / "spool", kill_wait_s=1)


@pytest.fixture
def order(tmp_path: Path) -> Callable[..., DispatchOrder]:
    def made(body: str, *, job: str = "7", time_limit_s: int = 600, shebang: str = "#!/bin/sh", **script: Any):  # type: ignore[no-untyped-def]
        given = {"body": f"{shebang}\n{body}\n", "work_dir": str(tmp_path), "stdout": str(tmp_path / f"{job}.out")}
        return DispatchOrder(
            job=job, attempt=f"attempt-{job}", name="train", user="ann", site="essonne", partition="gpu", gpus=8,
            time_limit_s=time_limit_s, script=Script.model_validate({**given, **script}),
        )  # fmt: skip

    return made


Orders = Callable[..., DispatchOrder]


def report(dispatcher: LocalDispatcher, order: DispatchOrder) -> RunReport:
    (answer,) = dispatcher.poll({order.attempt: order.job})
    return answer


def until(dispatcher: LocalDispatcher, order: DispatchOrder, reached: Callable[[RunReport], bool]) -> RunReport:
    deadline = time.monotonic() + _PATIENCE_S
    while not reached(answer := report(dispatcher, order)):
        assert time.monotonic() < deadline, answer
        time.sleep(0.02)
    return answer


def ended(dispatcher: LocalDispatcher, order: DispatchOrder) -> RunReport:
    return until(dispatcher, order, lambda answer: answer.state.final)


def running(dispatcher: LocalDispatcher, order: DispatchOrder) -> RunReport:
    return until(dispatcher, order, lambda answer: answer.state is JobState.RUNNING)


def wait_for(file: Path) -> str:
    deadline = time.monotonic() + _PATIENCE_S
    while not file.exists() or not file.read_text():
        assert time.monotonic() < deadline, f"{file.name} has not been written"
        time.sleep(0.02)
    return file.read_text()


def wait_until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def gone(pid: int) -> bool:
    """True once the process is no more, or only waits to be buried."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.mark.parametrize(
    ("body", "state", "exit_code"),
    [
        ("exit 0", JobState.COMPLETED, ExitCode()),
        ("exit 3", JobState.FAILED, ExitCode(status=3)),
        ("kill -SEGV $$", JobState.FAILED, ExitCode(signal=11)),
    ],
)
def test_the_end_is_told_as_slurm_tells_it(
    dispatcher: LocalDispatcher, order: Orders, body: str, state: JobState, exit_code: ExitCode
) -> None:
    wanted = order(body)
    dispatcher.dispatch(wanted)
    answer = ended(dispatcher, wanted)
    assert (answer.state, answer.exit_code) == (state, exit_code)
    assert answer.start is not None
    assert answer.end is not None
    assert answer.start <= answer.end


def test_output_goes_to_its_files_and_arguments_arrive_whole(
    dispatcher: LocalDispatcher, order: Orders, tmp_path: Path
) -> None:
    wanted = order('printf "%s|" "$@"; echo oops >&2', args=("a b", "$(id)", ""), stderr=str(tmp_path / "err"))
    dispatcher.dispatch(wanted)
    ended(dispatcher, wanted)
    assert Path(wanted.script.stdout).read_text() == "a b|$(id)||"
    assert (tmp_path / "err").read_text() == "oops\n"


def test_a_task_knows_its_array_and_a_script_its_parts(dispatcher: LocalDispatcher, order: Orders) -> None:
    task = ArrayTask(job="5", task=9, count=3, lowest=1, highest=9, step=4)
    parts = (Component(gpus=6), Component(gpus=2))
    wanted = order("env | grep -E 'ARRAY|HET' | sort").model_copy(update={"array": task, "components": parts})
    dispatcher.dispatch(wanted)
    ended(dispatcher, wanted)
    assert Path(wanted.script.stdout).read_text().split() == [
        "SLURM_ARRAY_JOB_ID=5",
        "SLURM_ARRAY_TASK_COUNT=3",
        "SLURM_ARRAY_TASK_ID=9",
        "SLURM_ARRAY_TASK_MAX=9",
        "SLURM_ARRAY_TASK_MIN=1",
        "SLURM_ARRAY_TASK_STEP=4",
        "SLURM_GPUS_HET_GROUP_0=6",
        "SLURM_GPUS_HET_GROUP_1=2",
        "SLURM_HET_SIZE=2",
        "SLURM_JOB_ID_HET_GROUP_0=7",
        "SLURM_JOB_ID_HET_GROUP_1=7",
    ]


def test_the_shebang_decides_who_reads_the_script(dispatcher: LocalDispatcher, order: Orders) -> None:
    wanted = order("import sys; print(sys.version_info.major)", shebang=f"#!{sys.executable}")
    dispatcher.dispatch(wanted)
    ended(dispatcher, wanted)
    assert Path(wanted.script.stdout).read_text() == "3\n"


def test_nothing_of_the_daemons_environment_reaches_a_job(
    dispatcher: LocalDispatcher, order: Orders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CSCHED_DATABASE", "postgresql://csched:secret@db/csched")
    wanted = order("env", environment={"EPOCHS": "3", "SLURM_JOB_ID": "forged"})
    dispatcher.dispatch(wanted)
    ended(dispatcher, wanted)
    seen = dict(line.split("=", 1) for line in Path(wanted.script.stdout).read_text().splitlines())
    assert "CSCHED_DATABASE" not in seen
    told = {"EPOCHS": "3", "SLURM_JOB_ID": "7", "SLURM_JOB_NAME": "train", "SLURM_CLUSTER_NAME": "essonne"}
    assert {**seen, **told, "CSCHED_SITE": "essonne", "SLURM_JOB_PARTITION": "gpu"} == seen


def test_dispatching_again_starts_nothing_again(dispatcher: LocalDispatcher, order: Orders, tmp_path: Path) -> None:
    wanted = order(f"echo ran >> {tmp_path}/ran; sleep 0.2")
    for _ in range(3):
        dispatcher.dispatch(wanted)
    ended(dispatcher, wanted)
    dispatcher.dispatch(wanted)
    assert ended(dispatcher, wanted).state is JobState.COMPLETED
    assert (tmp_path / "ran").read_text() == "ran\n"


def test_many_dispatchers_at_once_start_it_once(order: Orders, tmp_path: Path) -> None:
    wanted = order(f"echo ran >> {tmp_path}/ran")
    dispatchers = [LocalDispatcher(tmp_path / "spool") for _ in range(6)]
    threads = [threading.Thread(target=each.dispatch, args=(wanted,)) for each in dispatchers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ended(dispatchers[0], wanted).state is JobState.COMPLETED
    assert (tmp_path / "ran").read_text() == "ran\n"


@pytest.mark.parametrize("body", ["exec sleep 60", "trap '' TERM; sleep 60; sleep 60"])
def test_the_time_limit_ends_a_job_politely_then_surely(dispatcher: LocalDispatcher, order: Orders, body: str) -> None:
    wanted = order(body, time_limit_s=1)
    dispatcher.dispatch(wanted)
    assert ended(dispatcher, wanted).state is JobState.TIMEOUT


def test_cancelling_ends_the_whole_process_group(dispatcher: LocalDispatcher, order: Orders, tmp_path: Path) -> None:
    wanted = order(f"sleep 60 & echo $! > {tmp_path}/child; wait")
    dispatcher.dispatch(wanted)
    child = int(wait_for(tmp_path / "child"))
    dispatcher.cancel(wanted.attempt)
    assert ended(dispatcher, wanted).state is JobState.CANCELLED
    assert gone(child)


def test_what_a_script_leaves_behind_is_ended_with_it(
    dispatcher: LocalDispatcher, order: Orders, tmp_path: Path
) -> None:
    body = f"setsid sh -c 'echo $$ > {tmp_path}/stray; exec sleep 60' &\n"
    wanted = order(f"{body}while [ ! -s {tmp_path}/stray ]; do sleep 0.05; done")
    dispatcher.dispatch(wanted)
    assert ended(dispatcher, wanted).state is JobState.COMPLETED
    assert gone(int((tmp_path / "stray").read_text()))


def test_a_running_job_outlives_its_dispatcher_and_is_adopted(order: Orders, tmp_path: Path) -> None:
    wanted = order(f"while [ ! -e {tmp_path}/go ]; do sleep 0.05; done; exit 5")
    first = LocalDispatcher(tmp_path / "spool")
    first.dispatch(wanted)
    running(first, wanted)
    second = LocalDispatcher(tmp_path / "spool")
    assert report(second, wanted).state is JobState.RUNNING
    (tmp_path / "go").touch()
    assert ended(second, wanted).exit_code == ExitCode(status=5)


def runner_of(order: DispatchOrder) -> int:
    """The process that watches the attempt: it has the attempt's folder as its last argument."""
    for process in Path("/proc").iterdir():
        if process.name.isdecimal():
            arguments = (process / "cmdline").read_bytes().split(b"\0")
            if any(argument.endswith(f"/spool/{order.attempt}".encode()) for argument in arguments):
                return int(process.name)
    raise AssertionError("there is no runner")


def test_a_job_whose_runner_is_killed_is_ended_and_never_run_again(
    dispatcher: LocalDispatcher, order: Orders, tmp_path: Path
) -> None:
    wanted = order(f"echo $$ >> {tmp_path}/ran; exec sleep 60")
    dispatcher.dispatch(wanted)
    script = int(wait_for(tmp_path / "ran"))
    os.kill(runner_of(wanted), signal.SIGKILL)
    answer = ended(dispatcher, wanted)
    assert answer.state is JobState.NODE_FAIL
    assert gone(script)
    dispatcher.dispatch(wanted)
    assert ended(dispatcher, wanted) == answer
    assert (tmp_path / "ran").read_text() == f"{script}\n"


def test_a_process_killed_before_it_became_the_script_is_started_again(
    dispatcher: LocalDispatcher, order: Orders, tmp_path: Path
) -> None:
    wanted = order(f"echo ran >> {tmp_path}/ran")
    folder = tmp_path / "spool" / wanted.attempt
    dispatcher._lay_down(wanted, folder)
    with (folder / runner.SCRIPT).open("a"):  # nobody can execute a file that is open for writing
        dispatcher.dispatch(wanted)
        first = json.loads(wait_for(folder / runner.STARTED))["pid"]
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: f'"pid": {first},' not in wait_for(folder / runner.STARTED))
    assert ended(dispatcher, wanted).state is JobState.COMPLETED
    assert (tmp_path / "ran").read_text() == "ran\n"


def test_a_script_that_is_killed_has_failed_and_is_not_started_again(
    dispatcher: LocalDispatcher, order: Orders, tmp_path: Path
) -> None:
    wanted = order(f"echo $$ >> {tmp_path}/ran; exec sleep 60")
    dispatcher.dispatch(wanted)
    os.kill(int(wait_for(tmp_path / "ran")), signal.SIGKILL)
    assert ended(dispatcher, wanted).exit_code == ExitCode(signal=9)
    assert len((tmp_path / "ran").read_text().splitlines()) == 1


def test_an_ended_attempt_is_forgotten_whole(dispatcher: LocalDispatcher, order: Orders, tmp_path: Path) -> None:
    wanted = order("true")
    dispatcher.dispatch(wanted)
    ended(dispatcher, wanted)
    spool = tmp_path / "spool"
    (spool / f".{wanted.attempt}.half").mkdir()  # left by a dispatcher that was killed while it laid it down
    for _ in range(2):
        dispatcher.forget(wanted.attempt)
        assert list(spool.iterdir()) == []
        assert dispatcher.poll({wanted.attempt: wanted.job}) == []


def test_a_late_runner_of_a_forgotten_attempt_runs_nothing(
    dispatcher: LocalDispatcher, order: Orders, tmp_path: Path
) -> None:
    wanted = order(f"echo ran >> {tmp_path}/ran")
    dispatcher.dispatch(wanted)
    ended(dispatcher, wanted)
    dispatcher.forget(wanted.attempt)
    late = [sys.executable, "-I", "-S", runner.__file__, str(tmp_path / "spool" / wanted.attempt)]
    assert subprocess.run(late, check=False, stderr=subprocess.DEVNULL, timeout=60).returncode != 0
    assert (tmp_path / "ran").read_text() == "ran\n"


def test_an_attempt_that_never_started_is_started_by_the_next_look(
    dispatcher: LocalDispatcher, order: Orders, tmp_path: Path
) -> None:
    wanted = order(f"echo ran >> {tmp_path}/ran")
    held = tmp_path / "spool" / wanted.attempt
    dispatcher._lay_down(wanted, held)  # all that a dispatcher killed in the middle has done
    assert report(dispatcher, wanted).state is JobState.CONFIGURING
    assert ended(dispatcher, wanted).state is JobState.COMPLETED
    assert (tmp_path / "ran").read_text() == "ran\n"


def test_a_job_cancelled_before_its_start_never_starts(
    dispatcher: LocalDispatcher, order: Orders, tmp_path: Path
) -> None:
    wanted = order(f"echo ran >> {tmp_path}/ran")
    dispatcher._lay_down(wanted, tmp_path / "spool" / wanted.attempt)
    dispatcher.cancel(wanted.attempt)
    dispatcher.dispatch(wanted)
    answer = ended(dispatcher, wanted)
    assert (answer.state, answer.start) == (JobState.CANCELLED, None)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ({"work_dir": "/nonexistent"}, "No such file or directory: /nonexistent"),
        ({"stdout": "/nonexistent/out"}, "No such file or directory: /nonexistent/out"),
    ],
)
def test_a_job_that_cannot_start_says_why(
    dispatcher: LocalDispatcher, order: Orders, script: dict[str, str], message: str
) -> None:
    wanted = order("true", **script)
    dispatcher.dispatch(wanted)
    answer = ended(dispatcher, wanted)
    assert (answer.state, answer.exit_code, answer.message) == (JobState.FAILED, ExitCode(status=1), message)


def test_a_missing_interpreter_is_told_in_the_output(dispatcher: LocalDispatcher, order: Orders) -> None:
    wanted = order("true", shebang="#!/nonexistent/python")
    dispatcher.dispatch(wanted)
    assert ended(dispatcher, wanted).exit_code == ExitCode(status=2)
    assert "could not be started: No such file" in Path(wanted.script.stdout).read_text()


def test_a_warning_signal_comes_before_the_limit(dispatcher: LocalDispatcher, order: Orders) -> None:
    wanted = order("trap 'echo warned; exit 0' USR1; while :; do sleep 0.05; done", signal="B:USR1@599")
    dispatcher.dispatch(wanted)
    assert ended(dispatcher, wanted).state is JobState.COMPLETED
    assert Path(wanted.script.stdout).read_text() == "warned\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, None),
        ("USR1", (signal.SIGUSR1, 60, False)),
        ("b:sigterm@5", (signal.SIGTERM, 5, True)),
        ("10@120", (signal.SIGUSR1, 120, False)),
    ],
)
def test_signals_are_spelled_as_for_sbatch(text: str | None, expected: object) -> None:
    assert warning_of(text) == expected


@pytest.mark.parametrize("text", ["", "B:", "NOSUCH@5", "99", "USR1@later"])
def test_other_signals_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="signal"):
        warning_of(text)


def test_an_attempt_that_is_unknown_here_is_not_in_the_answer(dispatcher: LocalDispatcher) -> None:
    assert list(dispatcher.poll({"nobodys": "1"})) == []
    dispatcher.cancel("nobodys")


def test_what_csched_keeps_of_a_job_is_its_owners_alone(
    dispatcher: LocalDispatcher, order: Orders, tmp_path: Path
) -> None:
    wanted = order("true")
    dispatcher.dispatch(wanted)
    ended(dispatcher, wanted)
    spool = tmp_path / "spool"
    assert {oct(folder.stat().st_mode & 0o777) for folder in (spool, spool / wanted.attempt)} == {"0o700"}
    assert oct(Path(wanted.script.stdout).stat().st_mode & 0o777) == "0o600"


def test_a_spool_that_cannot_be_written_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Unavailable, match="cannot be made"):
        LocalDispatcher(tmp_path / "file" / "spool")


def test_the_runner_needs_the_standard_library_only() -> None:
    command = [sys.executable, "-I", "-S", "-c", "import runpy, sys; runpy.run_path(sys.argv[1])", runner.__file__]
    subprocess.run(command, check=True, timeout=60)
