"""An attempt as the agent's journal keeps it, and the steps that can be taken with it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, TypeAlias

from pydantic import Field

from csched.domain.base import Instant, Slug, Value
from csched.domain.run import ExitCode, JobState
from csched.domain.verdict import ReasonCode
from csched_slurm.cluster import AccountedJob, ClusterJob
from csched_slurm.protocol.messages import LONGEST_MESSAGE, AttemptReport, Fate


class Stage(StrEnum):
    INTENDED = "intended"
    """Nothing has left the agent yet."""
    SUBMITTING = "submitting"
    """The cluster is being asked. Found so after a crash: it may have been."""
    LOOKING = "looking"
    """Whether there is such a job is unknown."""
    HELD = "held"
    """The cluster has said an id, which is read back before anything is made of it."""
    RELEASING = "releasing"
    """Read back; its owner's name comes back, and then it is let go."""
    RELEASED = "released"
    """The cluster's own scheduler decides."""
    ENDED = "ended"


def mark_of(attempt: str, job: str) -> str:
    return f"csched:id={attempt};job={job}"


def is_marked(job: ClusterJob | AccountedJob, mark: str) -> bool:
    return any(text == mark or (text or "").startswith(f"{mark};") for text in (job.admin_comment, job.comment))


ADOPTED: Final = "csched:adopt"
"""What the gate's admin comment on a plain sbatch begins with; behind `;comment=` stands the owner's own."""
WAITS: Final = "csched: "
"""What the comment of an adopted job begins with until it is let go."""


def is_waiting(job: ClusterJob) -> bool:
    """Whether csched's words stand in the comment of an adopted job."""
    return (job.admin_comment or "").startswith(ADOPTED) and (job.comment or "").startswith(WAITS)


def own_comment(job: ClusterJob) -> str:
    """What the owner of an adopted job wrote; empty where it was nothing."""
    return (job.admin_comment or "").removeprefix(ADOPTED).removeprefix(";comment=")


@dataclass(frozen=True)
class Timing:
    """How long to wait for what. The defaults are what crashes of real controllers taught."""

    quiet_s: float = 15.0
    """After a controller answers again, before it is asked for jobs whose submission may still be under way: at least
    its MessageTimeout."""
    apart_s: float = 10.0
    """Between two looks of which both must find nothing."""
    read_back_s: float = 5.0
    """Before an id is believed: by then the controller has it on disk."""
    settle_s: float = 30.0
    """The same for a job that a crash of the controller has set back behind its release: nodes report meanwhile."""
    retry_s: float = 5.0
    """After an answer that was none."""


class Attempt(Value):
    """All that the agent knows; one row of its journal."""

    attempt: Slug
    job: Slug
    """Its id at the core."""
    user: str
    """The site's."""
    own_name: str
    """What its owner called it."""
    expires_at: Instant
    """Not released after that: the rules may have changed."""
    stage: Stage = Stage.INTENDED
    since: Instant
    """When it came to this stage."""
    not_before: Instant | None = None
    """The next step waits until then."""
    own_comment: str | None = None
    """What its owner's comment says; of an adopted job only, which bears csched's while it waits."""
    adopted: bool = False
    """Its owner handed it in at the site itself, under its own name: it is let go, and never submitted."""
    job_id: int | None = None
    submitted: Instant | None = None
    """When the cluster took it, in the cluster's words."""
    answered: bool = False
    """While looking: the controller has answered since."""
    empty_looks: int = 0
    duplicates: tuple[int, ...] = ()
    """Other jobs of its name, to be cancelled before it is released."""
    named: bool = False
    """It bears its owner's name again."""
    releases: int = 0
    """How often the cluster was asked to let it go. Above 0 it may have run, and is never submitted anew."""
    free: bool = False
    """Seen without any hold, long enough after it was let go that the controller cannot forget it. From then on a hold
    is somebody's order; before, it is a release that a killed controller has lost."""
    cancel: bool = False
    expired: bool = False
    """To be cancelled because its order has run out: then it goes back to the core."""

    state: JobState = JobState.CONFIGURING
    fate: Fate | None = None
    clean: bool = False
    reason: ReasonCode | None = None
    exit_code: ExitCode | None = None
    start: Instant | None = None
    end: Instant | None = None
    nodes: tuple[str, ...] | None = None
    message: str | None = Field(default=None, max_length=LONGEST_MESSAGE)
    version: int = 1

    @property
    def name(self) -> str:
        """Its name in the cluster until it is released."""
        return f"csched-{self.attempt}"

    @property
    def mark(self) -> str:
        """What its comment begins with, and its admin comment where the site has csched's gate."""
        return mark_of(self.attempt, self.job)

    def report(self) -> AttemptReport:
        return AttemptReport(
            attempt=self.attempt,
            version=self.version,
            state=self.state,
            fate=self.fate,
            clean=self.clean,
            reason=self.reason,
            job_id=self.job_id,
            exit_code=self.exit_code,
            start=self.start,
            end=self.end,
            nodes=self.nodes,
            message=self.message,
        )

    def is_mine(self, job: ClusterJob) -> bool:
        """Ids are given anew after a crash, and anyone may call a job as he likes."""
        if job.user not in {None, self.user}:
            return False
        return job.name == self.name or is_marked(job, self.mark) or self._is_same_submission(job)

    def _is_same_submission(self, job: ClusterJob) -> bool:
        """At a site without a gate its owner may have changed the comment."""
        seen = self.submitted is not None and job.submit == self.submitted
        return seen and (job.id, job.name) == (self.job_id, self.own_name)


@dataclass(frozen=True)
class Submit:
    """Submit it, held."""


@dataclass(frozen=True)
class AskPing:
    """Whether the controller answers."""


@dataclass(frozen=True)
class LookUp:
    """All jobs of its name."""


@dataclass(frozen=True)
class AskAccounts:
    """What accounting knows under its name, or under the id it has."""


@dataclass(frozen=True)
class Inspect:
    """The job of its id."""


@dataclass(frozen=True)
class Rename:
    """Give it its owner's name, or an adopted job its owner's comment."""


@dataclass(frozen=True)
class Release:
    """Let it go."""


@dataclass(frozen=True)
class Cancel:
    """Cancel these jobs, of which each is of this attempt."""

    ids: tuple[int, ...]


@dataclass(frozen=True)
class Rest:
    """Nothing to do before then; None: before something else happens to it."""

    until: datetime | None


Step: TypeAlias = Submit | AskPing | LookUp | AskAccounts | Inspect | Rename | Release | Cancel | Rest
