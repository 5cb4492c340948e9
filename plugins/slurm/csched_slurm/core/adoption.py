"""Plain sbatch of a site, at the core: a job like any other, which stays where it is."""

from collections.abc import Iterable
from typing import Final

from csched.app import App
from csched.domain.job import Job
from csched.domain.run import Adopted, JobState, Script
from csched.store.records import JobRecord
from csched_slurm.protocol.adoption import AdoptedJob, AdoptionAnswer, AdoptionReport

_NOTE: Final = "#!/bin/sh\n# handed in at the site itself, which has the script\n"


def adopt(app: App, site: str, report: AdoptionReport) -> AdoptionAnswer:
    """Queue what is new, end what is gone, and say what the rest waits for."""
    for job in report.gone:
        record = _record(app, site, job)
        if record.state is JobState.PENDING:
            app.store.request_cancel(record.id)
    return AdoptionAnswer(waits_for=dict(_waits(app, site, report.waiting)))


def _waits(app: App, site: str, jobs: Iterable[AdoptedJob]) -> Iterable[tuple[str, str]]:
    for job in jobs:
        yield job.key, _words(_record(app, site, job))


def _record(app: App, site: str, told: AdoptedJob) -> JobRecord:
    """The job; handed in now where it was not before."""
    job = Job(
        job="new",
        user=told.owner,
        submit=told.submitted,
        gpus=told.gpus,
        time_limit_s=told.time_limit_s,
        data_class=told.data_class,
        home_site=site,
        portable=False,
    )
    there = Adopted(job_id=told.job_id, submitted=told.submitted)
    script = Script(body=_NOTE, work_dir="/", stdout="/dev/null", adopted=there)
    key = f"adopted:{site}:{told.key}"
    job_id = app.submit(job, script, name=told.name, project=told.account, account=told.account, key=key)
    return app.store.job(job_id)


def _words(record: JobRecord) -> str:
    if record.state.final:
        return f"job {record.id} has ended at csched ({record.state}); it waits for an operator"
    if record.placement is not None:
        return f"job {record.id} waits for its planned start {record.placement.start:%F %H:%M} UTC"
    return f"job {record.id} waits for a plan ({record.reason or 'new'})"
