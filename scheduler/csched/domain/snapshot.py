"""Everything a decision may know, frozen at one instant; a file, so that any past decision can be replayed."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Literal, Self

from pydantic import Field, model_validator

from csched.domain.base import Instant, Slug, Value
from csched.domain.carbon import CarbonOutlook
from csched.domain.hardware import Hardware
from csched.domain.job import Job
from csched.domain.plan import Certificate, Plan
from csched.domain.run import JobState
from csched.domain.site import MOST_GPUS, MOST_KW, Fleet
from csched.domain.verdict import Reason


class Occupation(Value):
    """What a job that a plan leaves as it is holds until its time limit runs out: dispatched, running or announced."""

    job: Slug
    site: Slug
    partition: Slug
    reservation: Slug | None = None
    gpus_held: int = Field(ge=0, le=MOST_GPUS)
    it_kw: float = Field(ge=0, le=MOST_KW)
    since: Instant | None = None
    """The announced start of a job that does not run yet; null: it holds already."""
    until: Instant
    """When its time limit runs out."""
    likely_until: Instant | None = None
    """When it will have ended at the quantile that the operator plans with; from then on its GPUs count as free.
    null counts to the limit."""
    array: Slug | None = None
    """The array it is a task of."""
    nodes: tuple[str, ...] | None = None
    """Nodes that it has, called as in a plan; null: nobody has told."""

    @property
    def room(self) -> str:
        """Key of what it holds GPUs of, as in a certificate."""
        whole = f"{self.site}/{self.partition}"
        return whole if self.reservation is None else f"{whole}/{self.reservation}"

    @property
    def counted_until(self) -> datetime:
        """From then on its GPUs count as free for starts after now."""
        return self.until if self.likely_until is None else min(self.until, self.likely_until)


class AnnouncedStart(Value):
    """What the last plan told the user of a job that still waits."""

    site: Slug
    partition: Slug
    reservation: Slug | None = None
    start: Instant

    @property
    def room(self) -> str:
        """Key as in a certificate."""
        whole = f"{self.site}/{self.partition}"
        return whole if self.reservation is None else f"{whole}/{self.reservation}"


class StandingPlan(Value):
    """Where the last cycle stood: the next one begins there and moves what was announced only for a gain."""

    now: Instant
    slot_s: int = Field(ge=1)
    starts: Mapping[Slug, AnnouncedStart] = {}
    """Job -> announced start."""
    certificate: Certificate | None = None
    """Its prices."""

    @classmethod
    def of(cls, plan: Plan, before: "StandingPlan | None" = None) -> "StandingPlan":
        """What `plan` tells users and the next plan.

        A job that stands where `before` announced it, less than a slot off, keeps that very instant: slots lie on the
        grid of each plan's own now, and what is rounded at every plan would never come.
        """
        slot_s = round(plan.slot_min * 60)
        told = before.starts if before else {}
        starts = {}
        for placed in plan.placements:
            old = told.get(placed.job)
            stands = (
                old is not None and old.room == placed.room and abs((placed.start - old.start).total_seconds()) < slot_s
            )
            new = AnnouncedStart.model_construct(
                site=placed.site, partition=placed.partition, reservation=placed.reservation, start=placed.start
            )
            starts[placed.job] = old if old is not None and stands else new
        return cls.model_construct(now=plan.now, slot_s=slot_s, starts=starts, certificate=plan.certificate)

    def for_jobs(self, jobs: Collection[str]) -> Self:
        """What it says of these jobs alone."""
        return self.model_copy(update={"starts": {job: self.starts[job] for job in jobs if job in self.starts}})


class SiteRefusal(Value):
    """Why a site itself would not take a job, as its agent found: accounts, limits, licences."""

    job: Slug
    partition: Slug | None = None
    """null is every partition of the reason's site."""
    reason: Reason

    def concerns(self, site: str, partition: str) -> bool:
        return self.reason.site == site and self.partition in {None, partition}


class Usage(Value):
    """GPU-hours that a tenant's jobs have had at a site this calendar month (UTC), running ones to their limit."""

    tenant: str
    site: Slug
    gpu_h: float = Field(ge=0)


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
    ended: Mapping[Slug, JobState] = {}
    """Final states of jobs that pending ones depend on."""
    refusals: tuple[SiteRefusal, ...] = ()
    usage: tuple[Usage, ...] = ()
    standing: StandingPlan | None = None

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
    gap: float | None = Field(default=None, ge=0)
    """Close enough: the search ends once the plan is proven within this share of the best."""
    seed: int = Field(default=0, ge=0, lt=2**31)
    resident: bool = False
    """The process plans again and again: the compiled kernels are loaded for small plans, too."""
