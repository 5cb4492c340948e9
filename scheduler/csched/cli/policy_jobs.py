"""The jobs that `csched policy` judges: those of a file, or those that were handed in during the last days."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from csched.cli.output import Output
from csched.cli.parameters import DURATION_S
from csched.errors import UsageError

if TYPE_CHECKING:
    from csched.domain.job import Job
    from csched.domain.site import Fleet

_PATH = click.Path(path_type=Path)


@dataclass(frozen=True)
class JudgedJobs:
    jobs: "Sequence[Job]"
    fleet: "Fleet"
    placed: Mapping[str, str]
    """Job -> the site where it ran, runs or is to run; empty for those of a file."""


def judged_jobs_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option(
            "--fleet", "fleet_file", type=_PATH, help="Fleet file; with --since, default: that of the settings."
        ),
        click.option("--since", "since_s", metavar="30d", type=DURATION_S, help="Instead: jobs handed in since then."),
        click.option(
            "--jobs", "jobs_file", metavar="JOBS", type=_PATH, help="A jobs file: each of its jobs is judged."
        ),
    ):
        command = option(command)
    return command


def judged_jobs(output: Output, jobs_file: Path | None, since_s: int | None, fleet_file: Path | None) -> JudgedJobs:
    from csched.formats.fleet import read_fleet
    from csched.formats.jobs import read_jobs

    if (jobs_file is None) == (since_s is None):
        raise UsageError("give the jobs by one of --jobs and --since", hint="--jobs FILE, or --since 30d")
    if jobs_file is not None:
        if fleet_file is None:
            raise UsageError("--jobs needs --fleet", hint="name the fleet that the jobs are judged at")
        return JudgedJobs(read_jobs(jobs_file), read_fleet(fleet_file), {})
    return _submitted(output, timedelta(seconds=since_s or 0), fleet_file)


def _submitted(output: Output, past: timedelta, fleet_file: Path | None) -> JudgedJobs:
    """The newest jobs that were handed in since; the store answers with so many at most."""
    from csched.app import open_app
    from csched.formats.fleet import read_fleet
    from csched.store.part import MOST_ROWS

    with closing(open_app()) as app:
        since = app.clock.now() - past
        records = app.store.jobs(submitted_from=since, newest_first=True, limit=MOST_ROWS)
        if len(records) == MOST_ROWS:
            output.remark(f"only the newest {MOST_ROWS} jobs are judged")
        fleet = read_fleet(fleet_file) if fleet_file else app.fleet
        placed = {record.job.job: record.site for record in records if record.site is not None}
        return JudgedJobs([record.job for record in reversed(records)], fleet, placed)
