"""Plain sbatch of an account that has opted in: planned by the core, started where it lies, never stuck."""

import json
from typing import Any

import pytest

from csched.domain.run import JobState
from csched.store.records import JobRecord

from .sites import Federation

pytestmark = pytest.mark.slurm

SITE = "essonne"


def handed_in(sites: Federation, label: str, *options: str, gpus: int = 1) -> int:
    """Slurm's id of a job that alice submits herself."""
    words = ["sbatch", "--parsable", "--account=climate", "--time=5", "--chdir=/", "--output=/dev/null", *options]
    asked = [f"--gres=gpu:{gpus}"] if gpus else []
    script = f"#!/bin/sh\nCSCHED_TEST_JOB={label}\n{sites.counting()}\n"
    return int(sites.lab.run(SITE, [*words, *asked, f"--job-name={label}"], user="alice", stdin=script))


def shown(sites: Federation, job_id: int) -> dict[str, Any]:
    jobs = json.loads(sites.lab.run(SITE, ["squeue", "--json", "--states=all"]))["jobs"]
    return next(job for job in jobs if job["job_id"] == job_id)


def adopted(sites: Federation, label: str) -> JobRecord:
    found: list[JobRecord] = []

    def known() -> bool:
        found[:] = [record for record in sites.app.store.jobs() if record.name == label]
        return bool(found)

    sites.until(known)
    return found[0]


def test_it_is_planned_and_started_where_it_lies(sites: Federation) -> None:
    job_id = handed_in(sites, "adopted", "--comment=of my own")
    record = adopted(sites, "adopted")
    assert (record.user, record.job.gpus, record.job.time_limit_s) == ("ada", 1, 300)
    assert (record.job.home_site, record.job.portable, record.job.data_class) == (SITE, False, "public")
    sites.until(lambda: shown(sites, job_id)["comment"] == f"csched: job {record.id} waits for a plan (new)")
    assert sites.runs_of("adopted") == 0
    sites.place(record.id, SITE)
    sites.await_state([record.id], JobState.COMPLETED)
    assert sites.runs_of("adopted") == 1
    assert shown(sites, job_id)["comment"] == "of my own"


def test_what_waits_for_it_waits_in_slurm_as_ever(sites: Federation) -> None:
    first = handed_in(sites, "first")
    second = handed_in(sites, "second", f"--dependency=afterok:{first}")
    record = adopted(sites, "first")
    sites.until(lambda: shown(sites, second)["priority"] > 0)
    assert sites.runs_of("second") == 0
    sites.place(record.id, SITE)
    sites.until(lambda: sites.runs_of("second") == 1)
    assert sites.runs_of("first") == 1


def test_its_owners_scancel_ends_it_at_the_core_too(sites: Federation) -> None:
    job_id = handed_in(sites, "regretted")
    record = adopted(sites, "regretted")
    sites.lab.run(SITE, ["scancel", str(job_id)], user="alice")
    sites.await_state([record.id], JobState.CANCELLED)
    assert sites.runs_of("regretted") == 0


def test_what_csched_cannot_plan_runs_at_once(sites: Federation) -> None:
    for label, options, gpus in (("processors", (), 0), ("tasks", ("--array=1-2",), 1)):
        handed_in(sites, label, *options, gpus=gpus)
    sites.until(lambda: (sites.runs_of("processors"), sites.runs_of("tasks")) == (1, 2))


def test_a_core_that_is_away_for_long_keeps_nobody_waiting(sites: Federation) -> None:
    """The last test of this core: it does not come back."""
    handed_in(sites, "patient")
    record = adopted(sites, "patient")
    assert record.state is JobState.PENDING
    sites.server.should_exit = True
    sites.server_thread.join(30)
    sites.until(lambda: sites.runs_of("patient") == 1)
