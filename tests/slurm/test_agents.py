"""Core and agents of three sites on three real clusters: what is ordered runs there once, as its user, and says how."""

import os
import random
import time
from datetime import timedelta
from pathlib import Path

import pytest

from csched.domain.job import Job
from csched.domain.run import JobState, Script

from .sites import SITES, Federation

pytestmark = pytest.mark.slurm
HOUR = timedelta(hours=1)


def counted(sites: Federation, site: str, label: str, lines: str = "", **more: object) -> int:
    return sites.submit(site, f"CSCHED_TEST_JOB={label}\n{sites.counting(lines)}", **more)


def test_thirty_jobs_run_once_each_at_their_sites_under_their_own_names(sites: Federation) -> None:
    jobs = {
        counted(sites, site, f"{site}-{number}", name=f"job {number}"): (site, number)
        for site in SITES
        for number in range(10)
    }
    sites.await_state(list(jobs), JobState.COMPLETED)
    assert [sites.runs_of(f"{site}-{number}") for site, number in jobs.values()] == [1] * 30
    for job_id, (_, number) in jobs.items():
        shown = sites.slurm_job(job_id)
        assert (shown["name"], shown["user_name"], shown["account"]) == (f"job {number}", "alice", "physics")
        record = sites.record(job_id)
        assert str(record.exit_code) == "0:0"
        assert record.start is not None
        assert record.end is not None


def test_a_user_who_is_not_in_the_sites_table_gets_the_job_back_with_the_reason(sites: Federation) -> None:
    """Not opted in, unknown there, an account of the system, and root, whatever a table says."""
    jobs = [counted(sites, "essonne", f"nobody-{user}", user=user) for user in ("ben", "zoe", "dan", "eve")]
    sites.await_state(jobs, JobState.PENDING)
    records = [sites.record(job_id) for job_id in jobs]
    assert {record.reason for record in records} == {"NoAccount"}
    refusals = {refusal.job: refusal.reason for refusal in sites.app.store.site_refusals(sites.app.clock.now() - HOUR)}
    assert {refusals[str(job_id)].site for job_id in jobs} == {"essonne"}
    assert "has not opted in" in refusals[str(jobs[0])].message
    assert sum(sites.runs_of(f"nobody-{user}") for user in ("ben", "zoe", "dan", "eve")) == 0


def test_a_running_job_ends_when_its_owner_cancels_it_at_the_core(sites: Federation) -> None:
    job_id = counted(sites, "bologna", "cancelled", "sleep 300")
    sites.await_state([job_id], JobState.RUNNING)
    sites.app.store.request_cancel(job_id)
    sites.await_state([job_id], JobState.CANCELLED)
    assert sites.slurm_job(job_id)["job_state"] == "CANCELLED"


def test_what_the_owner_does_at_the_site_is_an_order(sites: Federation) -> None:
    """scancel ends it; a hold is reported and not undone."""
    cancelled = counted(sites, "kajaani", "scancelled", "sleep 300")
    sites.await_state([cancelled], JobState.RUNNING)
    sites.lab.run("kajaani", ["scancel", str(sites.slurm_job(cancelled)["job_id"])], user="alice")
    sites.await_state([cancelled], JobState.CANCELLED)


def test_how_a_job_ends_is_told_with_its_code(sites: Federation) -> None:
    failed, killed = counted(sites, "essonne", "failed", "exit 3"), counted(sites, "essonne", "killed", "kill -9 $$")
    sites.await_state([failed, killed], JobState.FAILED)
    assert (str(sites.record(failed).exit_code), str(sites.record(killed).exit_code)) == ("3:0", "0:9")


def test_a_script_is_run_by_its_own_interpreter_with_the_users_variables_and_no_directive_counts(
    sites: Federation,
) -> None:
    out = sites.home / "ran" / "python"
    told = "os.environ['GREETING'], os.environ['SLURM_JOB_NUM_NODES'], os.environ['SLURM_JOB_PARTITION'], sys.argv[1:]"
    lines = ["#SBATCH --partition=short --nodes=4", "#SBATCH hetjob", "import os, sys", f"said = repr(({told}))"]
    body = "\n".join([*lines, f"open({str(out)!r}, 'w').write(said)", ""])
    job_id = sites.app.submit(
        Job.model_validate({"job": "new", "user": "ada", "gpus": 1, "time_limit_s": 600, "data_class": "public"}),
        Script(
            body=f"#!/usr/bin/env python3\n{body}",
            args=("a b", "$(touch never)"),
            work_dir="/",
            stdout="/dev/null",
            environment={"GREETING": "it's `me`; $HOME"},
        ),
        name="python",
    )
    sites.place(job_id, "essonne")
    sites.await_state([job_id], JobState.COMPLETED)
    assert out.read_text() == repr(("it's `me`; $HOME", "1", "gpu", ["a b", "$(touch never)"]))


def test_agents_that_are_killed_at_any_moment_lose_nothing_and_start_nothing_twice(sites: Federation) -> None:
    seed = int(os.environ.get("CSCHED_DRILL_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
    print(f"CSCHED_DRILL_SEED={seed}")  # noqa: T201  (shown where the test fails)
    dice = random.Random(seed)
    labels = {f"drill-{site}-{number}": site for site in SITES for number in range(6)}
    jobs = {counted(sites, site, label): label for label, site in labels.items()}
    for _ in range(12):
        site = dice.choice(SITES)
        time.sleep(dice.uniform(0.0, 1.2))
        sites.kill_agent(site)
        sites.start_agent(site)
        sites.app.poll()
    sites.await_state(list(jobs), JobState.COMPLETED, within_s=150)
    assert [sites.runs_of(label) for label in jobs.values()] == [1] * len(jobs)


def test_a_controller_that_is_killed_again_and_again_loses_nothing_and_starts_nothing_twice(sites: Federation) -> None:
    jobs = {counted(sites, "bologna", f"reborn-{number}"): f"reborn-{number}" for number in range(8)}
    for pause_s in (1.0, 2.0, 1.5):
        time.sleep(pause_s)
        sites.app.poll()
        sites.lab.kill("bologna-slurmctld")
        sites.lab.start("bologna-slurmctld")
        sites.lab.await_controller("bologna")
    sites.await_state(list(jobs), JobState.COMPLETED, within_s=150)
    assert [sites.runs_of(label) for label in jobs.values()] == [1] * len(jobs)


def test_a_job_whose_node_fails_is_begun_anew_only_when_nothing_of_it_is_left(sites: Federation) -> None:
    """slurmd dies and the job's processes live on: to begin it anew then would run it twice at a time."""
    pid_file = sites.home / "ran" / "pid"
    first_run = f"[ $(wc -l < {sites.home}/ran/node-fail) -gt 1 ] || {{ echo $$ > {pid_file}; sleep 200; }}"
    job_id = counted(sites, "kajaani", "node-fail", first_run)
    sites.await_state([job_id], JobState.RUNNING)
    sites.until(lambda: pid_file.exists() and bool(pid_file.read_text().strip()))
    process = Path("/proc") / pid_file.read_text().strip()
    first, node = sites.record(job_id).attempt, sites.slurm_job(job_id)["nodes"]
    sites.lab.kill(f"kajaani-{node}")
    shown = ["squeue", "--states=all", "--noheader", "--format=%T"]
    sites.until(lambda: "NODE_FAIL" in sites.lab.run("kajaani", shown))
    for _ in range(20):
        sites.app.poll()
        time.sleep(0.3)
    assert process.exists(), "a test of nothing: the job's processes died with slurmd"
    assert sites.record(job_id).state is JobState.RUNNING
    sites.lab.start(f"kajaani-{node}")
    sites.await_state([job_id], JobState.PENDING)
    assert not process.exists()
    assert sites.record(job_id).reason == "NodeFailed"
    sites.place(job_id, "essonne")
    sites.await_state([job_id], JobState.COMPLETED)
    assert sites.record(job_id).attempt != first
    assert sites.runs_of("node-fail") == 2
