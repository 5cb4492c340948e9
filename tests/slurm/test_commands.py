"""What the ends of Slurm's commands and the answers of slurmrestd mean, and how programs are kept within bounds."""

import sys
import time
from pathlib import Path
from typing import Any

import pytest

from csched_slurm import bounded_process, rest_bodies
from csched_slurm.bounded_process import Cut, Ended, run
from csched_slurm.commands import read_order, read_submitted, sbatch_words, update_words
from csched_slurm.transport import Done, JobChange, JobRequest, Refused, Submitted, Unknown

REQUEST = JobRequest(
    name="csched-1",
    user="alice",
    script="#!/bin/sh\n",
    work_dir="/home/alice",
    stdout="/home/alice/out",
    nodes=2,
    gpus_per_node=4,
    gpu_type="gb200",
    time_limit_minutes=5,
)
FAILED = "sbatch: error: Batch job submission failed: "


def failed(words: str, code: int = 1) -> Ended:
    return Ended(code, b"", words)


def test_a_job_is_always_submitted_held_and_without_the_submitters_environment() -> None:
    words = sbatch_words(REQUEST)
    assert {"--hold", "--no-requeue", "--export=NONE", "--parsable"} <= set(words)
    assert "--gpus-per-node=gb200:4" in words
    assert not [word for word in words if not word.startswith("--")], "a value never stands alone"


@pytest.mark.parametrize("printed", [b"17\n", b"17;essonne\n"])
def test_the_id_is_read(printed: bytes) -> None:
    assert read_submitted(Ended(0, printed, "")) == Submitted(17)


@pytest.mark.parametrize("printed", [b"", b"Submitted batch job 17", b"17 18", b"-1"])
def test_a_success_without_an_id_is_unknown(printed: bytes) -> None:
    assert isinstance(read_submitted(Ended(0, printed, "")), Unknown)


@pytest.mark.parametrize(
    "words",
    [
        FAILED + "Invalid partition name specified",
        "sbatch: error: the site takes no such jobs\n" + FAILED + "Unspecified error",
        "/usr/bin/sbatch: unrecognized option '--nosuch'",
        "sbatch: error: This does not look like a batch script.",
        "sudo: a password is required",
    ],
)
def test_plain_refusals(words: str) -> None:
    assert isinstance(read_submitted(failed(words)), Refused)


@pytest.mark.parametrize(
    "words",
    [
        FAILED + "Socket timed out on send/recv operation",
        FAILED + "Unable to contact slurm controller (connect failure)",
        FAILED + "Zero Bytes were transmitted or received",
        FAILED + "Unspecified error",
        FAILED + "I/O error writing script/environment to file",
        "",
        "Killed",
    ],
)
def test_everything_else_is_unknown(words: str) -> None:
    assert isinstance(read_submitted(failed(words)), Unknown)


def test_a_refusal_beside_a_lost_answer_is_no_refusal() -> None:
    words = "sbatch: error: Invalid job id specified\n" + FAILED + "Socket timed out on send/recv operation"
    assert isinstance(read_submitted(failed(words)), Unknown)


def test_scancel_succeeds_with_a_job_that_it_does_not_find() -> None:
    said = "scancel: Terminating job 9\nscancel: error: Kill job error on job id 9: Invalid job id specified"
    assert isinstance(read_order(failed(said, code=0)), Refused)
    assert read_order(failed("scancel: Terminating job 9", code=0)) == Done()


def test_only_what_is_asked_for_is_changed() -> None:
    assert update_words(JobChange(name="a b", requeue=False)) == ["JobName=a b", "Requeue=0"]


@pytest.mark.parametrize("api", rest_bodies.TESTED)
def test_every_api_is_told_to_hold_and_never_to_requeue(api: str) -> None:
    job = rest_bodies.submit_body(REQUEST, api)["job"]
    assert job["hold"] is True
    assert job.get("no_requeue") is True or job.get("requeue") is False


@pytest.mark.parametrize(
    ("changes", "api", "lacking"),
    [
        ({"segment": 2}, "v0.0.40", ["segment"]),
        ({"segment": 2}, "v0.0.42", []),
        ({"node_list": ("e1",)}, "v0.0.38", ["node_list"]),
        ({"options": ("--mem-bind=local",)}, "v0.0.42", ["options"]),
    ],
)
def test_what_an_api_would_ignore_is_not_sent(changes: dict[str, Any], api: str, lacking: list[str]) -> None:
    assert rest_bodies.unsaid(REQUEST.model_copy(update=changes), api) == lacking


def test_a_name_that_22_05_would_forget_is_not_sent() -> None:
    assert rest_bodies.unchanged(JobChange(name="mine"), "v0.0.38") == ["name"]
    assert rest_bodies.unchanged(JobChange(name="mine"), "v0.0.42") == []


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ({"job_id": 3, "errors": []}, Submitted),
        ({"job_id": 3, "errors": [{"error_code": 2042, "error": "Job is in held state"}]}, Submitted),
        ({"errors": [{"error_code": 2000, "error": "Invalid partition name specified"}]}, Refused),
        ({"errors": [{"error_code": -1, "error": "Unspecified error"}]}, Refused),
        (
            {"errors": [{"description": "Unknown key"}, {"error_code": 9001, "error": "Failure during parsing"}]},
            Refused,
        ),
        ({"errors": [{"error_code": 5004, "error": "Socket timed out on send/recv operation"}]}, Unknown),
        ({"errors": []}, Unknown),
        ({"job_id": 0}, Unknown),
    ],
)
def test_slurmrestds_answers_to_a_submission(answer: dict[str, Any], kind: type) -> None:
    assert isinstance(rest_bodies.read_submitted(answer), kind)


def test_a_cancel_of_a_newer_slurm_hides_its_fault_in_the_status() -> None:
    fault = {"code": 2017, "message": "Invalid job id specified"}
    assert isinstance(rest_bodies.read_order({"errors": [], "status": [{"error": fault}]}), Refused)
    assert rest_bodies.read_order({"errors": [], "status": []}) == Done()


def program(text: str) -> list[str]:
    return [sys.executable, "-c", text]


def test_a_program_gets_its_input_and_a_bare_environment() -> None:
    script = "import os, sys; print(sys.stdin.read(), sorted(os.environ))"
    end = run(program(script), {"ONLY": "this"}, timeout_s=30, stdin="ü" * 100_000)
    assert isinstance(end, Ended)
    said = end.stdout.decode()
    assert said.startswith("ü" * 100_000)
    assert "ONLY" in said
    assert "HOME" not in said


def test_a_program_that_does_not_end_is_ended_with_all_it_started(tmp_path: Path) -> None:
    script = f"""
import pathlib, subprocess, time
child = subprocess.Popen(["sleep", "600"])
pathlib.Path({str(tmp_path / "pid")!r}).write_text(str(child.pid))
time.sleep(600)
"""
    assert isinstance(run(program(script), {"PATH": "/usr/bin:/bin"}, timeout_s=3), Cut)
    pid = (tmp_path / "pid").read_text()
    end = time.monotonic() + 30
    while (status := Path(f"/proc/{pid}/stat")).exists() and " Z " not in status.read_text():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_program_that_says_too_much_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_process, "MAX_OUTPUT_BYTES", 1 << 20)
    end = run(program("import sys\nwhile True: sys.stdout.write('x' * 65536)"), {}, timeout_s=60)
    assert isinstance(end, Cut)
    assert "more than" in end.why


def test_a_program_that_is_not_there_is_said() -> None:
    end = run(["/nowhere/sbatch"], {}, timeout_s=5)
    assert isinstance(end, Cut)
    assert "cannot be started" in end.why
