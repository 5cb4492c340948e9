"""What the store gives back: frozen values, whatever the database behind it."""

from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import Field, StringConstraints

from csched.domain.array import ArrayTask, ArrayTasks
from csched.domain.base import Instant, Slug, Value
from csched.domain.job import Job
from csched.domain.plan import Placement, Plan, SiteOption
from csched.domain.run import ExitCode, JobState, Script
from csched.domain.snapshot import Snapshot

JobName = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f/]{1,64}$")]
"""What squeue shows: no control character and no slash, for it becomes part of a file name by `%x`."""

Label = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]{1,64}$")]


NEVER: Final = "DependencyNeverSatisfied"
"""squeue(1)'s reason of a job that waits for what can no longer come."""


class Submission(Value):
    """A job on its way into the store."""

    job: Job
    """`job.job` is replaced by the id that the store gives; `job.submit` is filled where it is null."""
    script: Script
    """`%j`, `%A`, `%a`, `%x`, `%u` and `%%` in `stdout` and `stderr` are replaced by the store, which knows the id."""
    name: JobName
    project: Label | None = None
    account: Label | None = None
    hold: Label | None = None
    """Who holds the job from the start, such as `user`."""
    key: Label | None = None
    """The user's own word for this submission; handed in again, it is the job that it was."""
    array: ArrayTasks | None = None
    """One job for each of these; null: one job."""
    kill_on_invalid_dependency: bool = False


class JobRecord(Value):
    """A job and all that became of it."""

    id: int
    job: Job
    """With `job.job == str(id)`."""
    name: str
    array: ArrayTask | None = None
    work_dir: str
    stdout: str
    stderr: str | None = None
    """null: with stdout."""
    state: JobState
    hold: str | None = None
    """Who holds it; null: nobody."""
    reason: str | None = None
    """Why it waits or how it ended: Slurm's REASON column, one CamelCase word."""
    message: str | None = None
    """One sentence of the dispatcher about the end."""
    project: str | None = None
    account: str | None = None
    submit: Instant
    start: Instant | None = None
    """True start; the planned one is `placement.start`."""
    end: Instant | None = None
    """True end."""
    placement: Placement | None = None
    """Where and when the newest plan puts it; once dispatched, where it runs."""
    plan: int | None = None
    """The plan that `placement` comes from."""
    attempt: str | None = None
    """The dispatch attempt that is under way, or the last one."""
    attempts: int = 0
    exit_code: ExitCode | None = None
    cancel_requested: bool = False
    revision: int
    """Rises with every change; a plan made from an older revision is stale for this job."""

    @property
    def user(self) -> str | None:
        return self.job.user

    @property
    def site(self) -> str | None:
        return self.placement.site if self.placement else None

    @property
    def label(self) -> str:
        """What users call it: `17`, or `17_3` for a task of an array."""
        return f"{self.array.job}_{self.array.task}" if self.array else str(self.id)


class PlanRecord(Value):
    """A plan that was committed, with the snapshot it was made from while that is still kept."""

    id: int
    plan: Plan
    snapshot: Snapshot | None


class VerdictRecord(Value):
    """What each site would have meant for a job when it was dispatched."""

    job: int
    plan: int
    options: tuple[SiteOption, ...]


class Token(Value):
    """An API token without its secret, of which only a SHA-256 is kept."""

    id: int
    name: str
    role: str
    created: Instant


class Drain(Value):
    site: Slug
    reason: str
    since: Instant


class Withdrawals(Value):
    """How often a dispatch was refused at the last moment."""

    disputed: int = 0
    """The two readers of the rules did not agree."""
    outdated: int = 0
    """The rules in force no longer allowed what had been planned."""
    held: int = 0
    """Jobs that wait for a person because of it."""
    last_at: Instant | None = None


class Health(Value):
    """What the daemon says of itself; read by `healthz`, `/metrics` and the queue's last line."""

    plan_at: Instant | None = None
    poll_at: Instant | None = None
    errors: Mapping[str, str] = Field(default={})
    """What the daemon does (`plan`, `poll`, `carbon`, `bill`) -> its last error, until it works again."""
