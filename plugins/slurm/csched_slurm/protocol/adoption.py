"""Jobs that their owners handed in at the site itself, by plain sbatch: the agent tells the core of them, the core says
what each waits for."""

from collections.abc import Mapping
from typing import Final

from pydantic import Field

from csched.domain.base import Instant, Value
from csched.domain.job import MOST_LIMIT_S, DataClass

ADOPTED_AT_ONCE: Final = 1000


class AdoptedJob(Value):
    """One that lies held at the site until the core lets it start there."""

    job_id: int = Field(ge=1)
    """In Slurm."""
    submitted: Instant
    name: str = Field(max_length=64)
    owner: str = Field(max_length=64)
    """The user's name at the core."""
    account: str | None = Field(default=None, max_length=64)
    partition: str | None = Field(default=None, max_length=64)
    gpus: int = Field(ge=1)
    time_limit_s: int = Field(ge=1, le=MOST_LIMIT_S)
    data_class: DataClass | None = None
    """That of its account in the site's own table."""

    @property
    def key(self) -> str:
        """Ids are given anew after a crash; with the time of submission they are not."""
        return f"{self.job_id}@{self.submitted.timestamp():.0f}"


class AdoptionReport(Value):
    """All that lie there, and those told of before that do so no more. The same again changes nothing."""

    waiting: tuple[AdoptedJob, ...] = Field(default=(), max_length=ADOPTED_AT_ONCE)
    gone: tuple[AdoptedJob, ...] = Field(default=(), max_length=ADOPTED_AT_ONCE)
    """Cancelled or let go at the site, which counts as an order."""


class AdoptionAnswer(Value):
    waits_for: Mapping[str, str] = Field(default={}, max_length=ADOPTED_AT_ONCE)
    """Key of a job -> what its owner is to read, in one line."""
