"""How a site begins with csched, by being looked at, and how it leaves."""

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from csched.domain.run import JobState
from csched_slurm.gate import BEGIN
from slurm_lab.configuration import write_configuration

from .sites import ROOT, Federation

pytestmark = pytest.mark.slurm

SITE = "kajaani"
WRITES = ("SUBMIT", "UPDATE", "CANCEL", "KILL", "SUSPEND", "REQUEUE", "SIGNAL", "CREATE", "DELETE", "RECONFIGURE")


@pytest.fixture
def looked_at(sites: Federation) -> Iterator[Federation]:
    sites.configure(SITE, mode="observe")
    yield sites
    sites.configure(SITE, mode="enforce")


def test_a_site_in_observe_mode_is_asked_and_never_told(looked_at: Federation) -> None:
    looked_at.lab.run(SITE, ["sdiag", "--reset"])
    job_id = looked_at.submit(SITE, "true")
    looked_at.await_state([job_id], JobState.PENDING)
    assert looked_at.record(job_id).reason == "SiteUnavailable"
    looked_at.until(lambda: "REQUEST_BUILD_INFO" in rpcs(looked_at))
    time.sleep(3)
    assert [rpc for rpc in rpcs(looked_at) if any(word in rpc for word in WRITES)] == []


def rpcs(sites: Federation) -> list[str]:
    """What the controller was asked since the reset, by anybody."""
    said = sites.lab.run(SITE, ["sdiag"]).partition("statistics by message type")[2].partition("statistics by user")[0]
    return [line.split()[0] for line in said.splitlines() if line.strip().startswith(("REQUEST_", "MESSAGE_"))]


def test_an_account_may_be_looked_at_while_others_are_served(sites: Federation) -> None:
    sites.configure(SITE, modes={"climate": "advise"})
    try:
        served, advised = sites.submit(SITE, "true"), sites.submit(SITE, "true", account="climate")
        sites.await_state([served], JobState.COMPLETED)
        sites.await_state([advised], JobState.PENDING)
        assert sites.record(advised).reason == "SiteUnavailable"
    finally:
        sites.configure(SITE, modes={})


def csched(*words: object) -> str:
    done = subprocess.run(
        [".venv/bin/csched", "slurm", *map(str, words)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_is_installed_is_never_overwritten_and_begins_by_looking(tmp_path: Path) -> None:
    conf = Path("/etc/slurm/slurm.conf")
    words = ["install", "--site=essonne", "--cluster=essonne", "--core=https://core.example", "--account=alice"]
    there = tmp_path / "etc/csched/users.yaml"
    there.parent.mkdir(parents=True)
    there.write_text("users: {ada: {local: alice, opted_in: true}}\n")
    csched(*words, f"--root={tmp_path}")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [there]
    said = csched(*words, f"--root={tmp_path}", "--write", "--json")
    assert f"{there}: there already, differs, left alone" in said
    assert "ada" in there.read_text()
    assert "mode: observe" in (tmp_path / "etc/csched/agent.yaml").read_text()
    script = tmp_path / conf.with_name("job_submit.lua").relative_to("/")
    assert BEGIN in script.read_text()
    before = {path: path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
    script.write_text("-- the site's own\nreturn slurm.SUCCESS\n")
    said = csched(*words, f"--root={tmp_path}", "--write", "--json")
    assert "put the lines of csched_lines.lua before its last" in said
    assert script.with_name("csched_lines.lua").read_text().startswith(BEGIN)
    assert script.read_text() == "-- the site's own\nreturn slurm.SUCCESS\n"
    assert {path: path.read_text() for path in before if path != script} == {
        path: text for path, text in before.items() if path != script
    }


def test_ejecting_releases_everything_and_removes_every_hook_with_the_core_gone(
    sites: Federation, tmp_path: Path
) -> None:
    """The last test of this core: it does not come back."""
    sites.configure(SITE, away_after="1d", waits={"read_back_s": 600})
    before = held(sites)
    plain = ["sbatch", "--parsable", "--account=climate", "--gres=gpu:1", "--time=5", "--chdir=/", "--output=/dev/null"]
    counted = f"#!/bin/sh\nCSCHED_TEST_JOB=plain\n{sites.counting()}\n"
    sites.lab.run(SITE, plain, user="alice", stdin=counted)
    sites.submit(SITE, f"CSCHED_TEST_JOB=placed\n{sites.counting()}")
    sites.until(lambda: len(held(sites) - before) == 2)
    sites.server.should_exit = True
    sites.server_thread.join(30)
    sites.kill_agent(SITE)
    folder = sites.lab.layout.conf(SITE).parent
    try:
        said = csched("eject", f"--config={sites.config_of(SITE)}", f"--root={tmp_path}", "--json")
        lines = json.loads(said)["jobs"]
        assert len(lines) >= 2
        assert all(line.endswith("released") for line in lines)
        assert not (folder / "csched_gate.lua").exists()
        assert BEGIN not in (folder / "job_submit.lua").read_text()
        sites.lab.run(SITE, [*plain, "--comment=after"], user="alice", stdin=counted)
        end = time.monotonic() + 90
        while (sites.runs_of("plain"), sites.runs_of("placed")) != (2, 1):
            assert time.monotonic() < end, held(sites)
            time.sleep(0.3)
    finally:
        write_configuration(sites.lab.layout)


def held(sites: Federation) -> set[int]:
    """Ids of held jobs; other tests on the same lab may have left some."""
    jobs = json.loads(sites.lab.run(SITE, ["squeue", "--json"]))["jobs"]
    return {job["job_id"] for job in jobs if job["priority"] == 0}
