"""What a newcomer sees first ends with a queue, an explanation and a report, and leaves nothing behind."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the demo prints, by heading; it runs in a place of its own."""
    place = tmp_path_factory.mktemp("demo")
    done = subprocess.run(
        [ROOT / "docs" / "demo" / "run.sh"],
        env={
            "HOME": str(place),
            "TMPDIR": str(place),
            "PATH": f"{Path(sys.executable).parent}:{os.defpath}",
            "LANG": "C.UTF-8",
            "CSCHED_POLICIES": "/nowhere",
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert list(place.iterdir()) == []
    return done.stdout


def part(said: str, number: int) -> str:
    """What stands under one of the numbered headings."""
    return re.split(r"^\d\. ", said, flags=re.MULTILINE)[number]


def test_a_place_is_shown_before_anything_is_handed_in(said: str) -> None:
    assert "CHOSEN" in part(said, 2)


def test_the_queue_and_the_history_show_what_became_of_the_jobs(said: str) -> None:
    queue, _, history = part(said, 5).partition("$ csched history")
    assert "training" in queue
    assert "registry" in queue
    assert len(re.findall("oncology.*COMPLETED|release.*COMPLETED", history)) == 2


def test_the_explanation_names_each_site_and_the_rule(said: str) -> None:
    explanation = part(said, 6)
    for site in ("essonne", "munich", "kajaani", "bologna"):
        assert site in explanation
    assert "health-fr-hds" in explanation


def test_the_output_of_a_job_is_there(said: str) -> None:
    assert "batch 3 of 3 done" in part(said, 7)


def test_the_report_accounts_for_the_jobs_that_ran(said: str) -> None:
    assert re.search(r"^ total +2 ", part(said, 8), flags=re.MULTILINE)
