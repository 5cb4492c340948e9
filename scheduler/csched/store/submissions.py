"""Jobs on their way in."""

from sqlmodel import Session, col, select

from csched.domain.run import JobState
from csched.errors import Refused
from csched.store.mapping import document, require_id, set_job
from csched.store.marks import count_change
from csched.store.part import Part
from csched.store.records import Submission
from csched.store.rows import JobRow
from csched.store.scripts import with_id


class Submissions(Part):
    """What users hand in."""

    def submit(self, submission: Submission) -> int:
        """Keep the job for ever and return its id; ids rise and are never used twice.

        A submission whose key the same user has used before is the job that it was then.

        Raises:
            Refused: the key was used for another script.
        """
        now = self._clock.now()
        job = submission.job
        with self._database.write() as session:
            if (earlier := _submitted_before(session, submission)) is not None:
                return earlier
            row = JobRow(
                submission_key=submission.key,
                name=submission.name,
                state=JobState.PENDING,
                hold=submission.hold,
                reason="Held" if submission.hold else None,
                project=submission.project,
                account=submission.account,
                submit=job.submit or now,
                job={},
                script={},
            )
            session.add(row)
            session.flush()
            job_id = require_id(row.id)
            set_job(row, job.model_copy(update={"job": str(job_id), "submit": row.submit}))
            row.script = document(with_id(submission.script, job_id, submission.name, job.user))
            count_change(session)
        return job_id


def _submitted_before(session: Session, submission: Submission) -> int | None:
    """The job that this user handed in under the same key, if there is one."""
    if submission.key is None:
        return None
    by_key = col(JobRow.submission_key) == submission.key
    row = session.exec(select(JobRow).where(by_key, col(JobRow.user) == submission.job.user)).first()
    if row is None:
        return None
    if row.script["body"] != submission.script.body:
        raise Refused(
            f"the key `{submission.key}` was used for another script, job {row.id}", hint="take a key of its own"
        )
    return row.id
