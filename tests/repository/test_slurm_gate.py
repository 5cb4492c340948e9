"""The gate for Slurm's submissions, run by the Lua that Slurm embeds."""

import subprocess
from pathlib import Path

import pytest

from csched import shipped

SLURMCTLD = Path(__file__).with_name("slurmctld.lua")
PASSED, REFUSED = 0, -1
UUID = "0b9f6a1e-1c2d-4e3f-8a9b-0123456789ab"


def gate(*comment: str, function: str = "slurm_job_submit") -> tuple[int, str]:
    """What the gate answers to a job with this comment, and what it says."""
    done = subprocess.run(
        ["lua5.1", SLURMCTLD, shipped.slurm_gate(), function, *comment],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    answer, _, said = done.stdout.partition("\n")
    return int(answer), said.strip()


@pytest.mark.parametrize(
    "comment",
    [
        "nil",
        "",
        "a comment of the user's own",
        "see csched: the scheduler",
        f"csched:id={UUID}",
        f"csched:id={UUID.upper()}",
        f"csched:id={UUID};site=essonne;plan=2026-11-22T12:00:00Z",
    ],
)
def test_jobs_of_others_and_well_formed_marks_pass(comment: str) -> None:
    assert gate(comment) == (PASSED, "")


@pytest.mark.parametrize(
    ("comment", "fault"),
    [
        ("csched:", "is not csched:id=<uuid>"),
        ("csched:id=", "is not csched:id=<uuid>"),
        ("csched:id=17", "is not a uuid"),
        (f"csched:id={UUID[:-1]}", "is not a uuid"),
        (f"csched:id={UUID}0", "is not a uuid"),
        (f"csched:site=essonne;plan={UUID}", "has no id"),
        (f"csched:id={UUID};id={UUID}", "has `id` twice"),
        (f"csched:id={UUID};;site=essonne", "is not csched:id=<uuid>"),
        (f"csched:id={UUID};site=%s%s%s%n", "is not csched:id=<uuid>"),
        (f"csched:id={UUID};site=$(reboot)", "is not csched:id=<uuid>"),
        (f"csched:id={UUID};note=" + "x" * 2000, "is longer than 1024 characters"),
    ],
)
def test_a_mark_that_csched_cannot_have_written_is_refused(comment: str, fault: str) -> None:
    answer, said = gate(comment)
    assert answer == REFUSED
    assert said.startswith("user: csched: ")
    assert fault in said
    assert said.endswith("leave the comment out, or submit with `csched submit`")


def test_a_changed_comment_is_held_to_the_same_rule() -> None:
    assert gate(f"csched:id={UUID}", function="slurm_job_modify") == (PASSED, "")
    assert gate("csched:id=17", function="slurm_job_modify")[0] == REFUSED


def test_a_fault_in_the_gate_lets_the_job_pass() -> None:
    answer, said = gate()
    assert answer == PASSED
    assert said.startswith("error: csched: the gate failed and let the job pass: ")
