"""What becomes of a job: Slurm's states and exit codes (squeue(1), sacct(1))."""

from collections.abc import Mapping
from enum import StrEnum

from pydantic import Field

from csched.domain.array import ArrayTask
from csched.domain.base import Instant, Slug, Value
from csched.domain.job import Component, DataClass
from csched.domain.verdict import Reason


class JobState(StrEnum):
    PENDING = "PENDING"
    CONFIGURING = "CONFIGURING"
    """Handed to a dispatcher; it is not yet known to run."""
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    TIMEOUT = "TIMEOUT"
    CANCELLED = "CANCELLED"
    NODE_FAIL = "NODE_FAIL"

    @property
    def final(self) -> bool:
        return self not in {JobState.PENDING, JobState.CONFIGURING, JobState.RUNNING}


class ExitCode(Value):
    """Slurm's `status:signal`."""

    status: int = Field(default=0, ge=0, le=255)
    signal: int = Field(default=0, ge=0, le=127)

    def __str__(self) -> str:
        return f"{self.status}:{self.signal}"


class Adopted(Value):
    """A job that its owner handed in at the site's own scheduler, where it lies held."""

    job_id: int = Field(ge=1)
    submitted: Instant


class Script(Value):
    """What a dispatcher runs, as the user handed it in."""

    body: str = Field(max_length=4_194_304)
    args: tuple[str, ...] = ()
    work_dir: str
    stdout: str
    """Absolute path; `%`-patterns are already replaced."""
    stderr: str | None = None
    """null: with stdout."""
    environment: Mapping[str, str] = {}
    """Only what the user named; the daemon's own environment never reaches a job."""
    signal: str | None = None
    options: tuple[str, ...] = ()
    """Options of sbatch that mean nothing to csched, such as `--mem=4G`, for a dispatcher to which they do.

    `:` stands between those of the parts of a heterogeneous job, as on sbatch's command line.
    """
    adopted: Adopted | None = None
    """Then the site has the script already, and the job is let go where it lies; the body is a mere note."""


class DispatchOrder(Value):
    """One placement on its way to a dispatcher. `attempt` is a fresh id, persisted before anything is started."""

    job: Slug
    attempt: Slug
    name: str
    user: str | None
    site: Slug
    partition: Slug
    gpus: int
    time_limit_s: int
    array: ArrayTask | None = None
    components: tuple[Component, ...] = ()
    """The parts of a heterogeneous job; empty for a job of one kind."""
    script: Script
    start: Instant | None = None
    """As planned; null is at once."""
    nodes: tuple[str, ...] | None = None
    """As planned; null leaves them to the site."""
    reservation: Slug | None = None
    """The reservation of the fleet file that it runs in."""
    tenant: str | None = None
    account: str | None = None
    data_class: DataClass | None = None


class GivenBack(Value):
    """The attempt is over, runs nowhere and never will: its job waits for another place, under rules read afresh."""

    reason: str
    """One CamelCase word for the queue."""
    had_started: bool
    """It counts as a restart; a job has only so many."""
    refusal: Reason | None = None
    """Why the site would not take it: the next decisions heed it."""


class RunReport(Value):
    """What a dispatcher knows of one attempt."""

    job: Slug
    attempt: Slug
    state: JobState
    exit_code: ExitCode | None = None
    start: Instant | None = None
    end: Instant | None = None
    nodes: tuple[str, ...] | None = None
    """Those it has, as the site calls them; null: as planned."""
    message: str | None = None
    given_back: GivenBack | None = None
    """Null: `state` is the attempt's, and where it is final it is the job's end."""
