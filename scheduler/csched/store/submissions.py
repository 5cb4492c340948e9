"""Jobs on their way in."""

import hashlib
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import insert
from sqlmodel import Session, col, select

from csched.domain.array import ArrayTask
from csched.domain.job import Job
from csched.domain.run import JobState
from csched.errors import Refused
from csched.store.awaited import resolved
from csched.store.database import take_ids
from csched.store.mapping import document
from csched.store.marks import count_change
from csched.store.part import Part
from csched.store.records import Submission
from csched.store.rows import JobRow, ScriptRow
from csched.store.scripts import with_id


class Submissions(Part):
    """What users hand in."""

    def submit(self, submission: Submission) -> int:
        """Keep the job for ever and return its id; ids rise and are never used twice.

        An array is one job for each task, with ids that follow each other; the first one is the array's.
        A submission whose key the same user has used before is the job that it was then.

        Raises:
            InputError: a dependency on a job that there is not.
            Refused: the key was used for another script.
        """
        now = self._clock.now()
        with self._database.write() as session:
            if (earlier := _submitted_before(session, submission)) is not None:
                return earlier
            job = submission.job.model_copy(update={"dependency": resolved(session, submission.job)})
            sha256 = _keep_body(session, submission.script.body)
            first = take_ids(session, JobRow, len(submission.array.tasks) if submission.array else 1)
            session.execute(insert(JobRow), list(_rows(submission, job, first, sha256, now)))
            count_change(session)
        return first


def _rows(submission: Submission, job: Job, first: int, sha256: str, now: datetime) -> Iterator[dict[str, Any]]:
    """The columns of each job; what all tasks share is made once, for there may be thousands of them."""
    job = job.model_copy(update={"submit": job.submit or now})
    if submission.array:
        job = job.model_copy(update={"array": str(first)})
    of_job = document(job)
    shared = {
        "name": submission.name,
        "state": JobState.PENDING,
        "hold": submission.hold,
        "reason": "Held" if submission.hold else None,
        "user": job.user,
        "tenant": job.tenant,
        "project": submission.project,
        "account": submission.account,
        "submit": job.submit,
        "depends": bool(job.dependency),
        "kill_on_invalid_dependency": submission.kill_on_invalid_dependency,
        "script_sha256": sha256,
    }
    for job_id, task in enumerate(_tasks(submission, first), start=first):
        script = document(with_id(submission.script, job_id, submission.name, job.user, task))
        del script["body"]
        yield {
            **shared,
            "id": job_id,
            "submission_key": submission.key if job_id == first else None,
            "array_job": first if task else None,
            "array_task": task.task if task else None,
            "array": document(task) if task else None,
            "job": {**of_job, "job": str(job_id)},
            "script": script,
        }


def _tasks(submission: Submission, first: int) -> Iterator[ArrayTask | None]:
    array = submission.array
    if array is None:
        yield None
        return
    lowest, highest = array.tasks[0], array.tasks[-1]
    for number in array.tasks:
        yield ArrayTask(
            job=str(first), task=number, count=len(array.tasks), lowest=lowest, highest=highest, step=array.step
        )


def _keep_body(session: Session, body: str) -> str:
    """The key under which the body is kept, once however many jobs run it."""
    sha256 = hashlib.sha256(body.encode()).hexdigest()
    if session.get(ScriptRow, sha256) is None:
        session.add(ScriptRow(sha256=sha256, body=body))
        session.flush()
    return sha256


def _submitted_before(session: Session, submission: Submission) -> int | None:
    """The job that this user handed in under the same key, if there is one."""
    if submission.key is None:
        return None
    by_key = col(JobRow.submission_key) == submission.key
    row = session.exec(select(JobRow).where(by_key, col(JobRow.user) == submission.job.user)).first()
    if row is None:
        return None
    if row.script_sha256 != hashlib.sha256(submission.script.body.encode()).hexdigest():
        raise Refused(
            f"the key `{submission.key}` was used for another script, job {row.id}", hint="take a key of its own"
        )
    return row.id
