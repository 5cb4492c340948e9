"""Everything a decision may know, frozen at one instant; a file, so that any past decision can be replayed."""

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import Field, model_validator

from csched.domain.base import Instant, Slug, Value
from csched.domain.carbon import CarbonOutlook
from csched.domain.hardware import Hardware
from csched.domain.job import Job
from csched.domain.site import Fleet


class Occupation(Value):
    """What a dispatched or running job holds, until its time limit runs out."""

    job: Slug
    site: Slug
    partition: Slug
    gpus_held: int = Field(ge=0)
    it_kw: float = Field(ge=0)
    until: Instant


class Snapshot(Value):
    schema_: Literal["csched/snapshot/1"] = Field(default="csched/snapshot/1", alias="schema")
    now: Instant
    horizon_s: int = Field(default=48 * 3600, ge=1)
    slot_s: int = Field(default=900, ge=1)
    fleet: Fleet
    hardware: Mapping[Slug, Hardware]
    """The catalogue entries that the fleet's partitions name, overrides applied."""
    jobs: tuple[Job, ...] = ()
    """Pending jobs, in order of arrival; their ids are unique."""
    running: tuple[Occupation, ...] = ()
    carbon: CarbonOutlook
    drained: Mapping[Slug, str] = {}
    """Site -> why it takes no new jobs."""
    held: tuple[Slug, ...] = ()
    """Pending jobs that a user or admin holds."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        seen: set[str] = set()
        for job in self.jobs:
            if job.job in seen:
                raise ValueError(f"job `{job.job}` is there twice")
            seen.add(job.job)
        for site in self.fleet.sites:
            for partition in site.partitions:
                if partition.hardware not in self.hardware:
                    raise ValueError(
                        f"partition `{site.id}/{partition.name}` has unknown hardware `{partition.hardware}`"
                    )
            if site.grid_zone not in self.carbon.zones:
                raise ValueError(
                    f"site `{site.id}` is in zone {site.grid_zone}, for which there is no carbon intensity"
                )
        return self


class SolveBudget(Value):
    """How hard to try. `work` is deterministic (same work, same plan); `seconds` is a wall-clock backstop."""

    seconds: float | None = Field(default=30.0, gt=0)
    work: int | None = Field(default=None, ge=0)
    seed: int = Field(default=0, ge=0, lt=2**31)
