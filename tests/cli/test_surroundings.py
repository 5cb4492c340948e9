"""What the surroundings may do to a command: it says so, and is never taken for a defect."""

import os
import re
from contextlib import closing
from pathlib import Path

import pytest

from csched import home_lock
from csched.app import open_app
from csched.store.records import Health


@pytest.mark.parametrize("home", ["/proc/csched", "/dev/null"])
def test_a_home_that_cannot_be_made_is_said(csched, monkeypatch: pytest.MonkeyPatch, home: str) -> None:
    monkeypatch.setenv("CSCHED_HOME", home)
    ran = csched("queue")
    assert (ran.code, ran.out) == (5, "")
    assert f"the folder `{home}` cannot be made" in ran.err
    assert "set CSCHED_HOME" in ran.err


def test_a_database_that_is_none_is_said(csched, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "x.db").write_text("garbage " * 200)
    monkeypatch.setenv("CSCHED_DATABASE", f"sqlite:///{tmp_path / 'x.db'}")
    ran = csched("queue")
    assert ran.code == 5
    assert "x.db` does not answer: file is not a database" in ran.err


def test_settings_that_are_a_list_are_refused_with_their_place(csched, home: Path) -> None:
    home.mkdir()
    (home / "config.yaml").write_text("- carbon: climatology\n")
    ran = csched("config", "check", "--json")
    assert ran.code == 3
    assert ran.json["error"]["where"] == {"file": str(home / "config.yaml"), "line": 1}
    assert "a mapping such as" in ran.json["error"]["message"]


def test_all_wrong_settings_are_named_at_once(csched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CSCHED_SLOT", "soon")
    monkeypatch.setenv("CSCHED_END_QUANTILE", "2")
    ran = csched("config", "check", "--json")
    assert ran.code == 3
    assert [part["error"]["where"]["field"] for part in ran.json["parts"]] == ["CSCHED_SLOT", "CSCHED_END_QUANTILE"]


def test_a_daemon_that_was_killed_is_missed_at_once(csched, home: Path, script: Path) -> None:
    csched("submit", script)
    with closing(open_app()) as app:
        app.store.note_health(Health(poll_at=app.clock.now()))
        lock = home_lock.take(home)
        assert "no daemon is running" not in csched("queue").err
        os.close(lock)  # as the system does for a process that dies
    assert "no daemon is running" in csched("queue").err


def test_show_and_explain_take_several_jobs(csched, script: Path) -> None:
    for _ in range(2):
        csched("submit", script)
    assert [job["id"] for job in csched("show", "all", "--json").json["jobs"]] == [1, 2]
    assert csched("show", "last", "--json").json["id"] == 2
    assert [told["job_id"] for told in csched("explain", "1-2", "--json").json["jobs"]] == [1, 2]
    assert csched("explain", "1", "--json").json["job_id"] == 1


def test_a_narrow_terminal_cuts_nothing(csched, monkeypatch: pytest.MonkeyPatch, script: Path) -> None:
    csched("submit", "--gpus=100000", script)
    monkeypatch.setenv("COLUMNS", "80")
    lines = csched("queue").out.splitlines()
    assert max(map(len, lines)) <= 80
    told = re.sub(r"\s", "", "".join(lines))
    assert "ST" in told
    assert "PD" in told
    row = [re.sub(r"\s", "", line[:72]) for line in lines]
    assert any("100000" in part for part in row), lines
    assert "REASON" in told
