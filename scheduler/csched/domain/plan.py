"""The answer: which jobs start where and when, what that costs, and how far from the best it can be at most."""

from collections.abc import Mapping
from enum import StrEnum
from functools import cached_property
from typing import Literal

from pydantic import Field

from csched.domain.base import Instant, Slug, Value
from csched.domain.verdict import ExceptionUse, Reason, Scalar


class PlanStatus(StrEnum):
    OPTIMAL = "optimal"
    FEASIBLE = "feasible"
    INFEASIBLE = "infeasible"
    UNKNOWN = "unknown"


class Stop(StrEnum):
    """What ended the search."""

    OPTIMAL = "optimal"
    GAP = "gap reached"
    BUDGET = "budget"
    WORK = "work done"


class ComponentPlacement(Value):
    """One part of a heterogeneous job: at the job's site, from the job's start on."""

    partition: Slug
    gpus: int
    end: Instant
    nodes: tuple[str, ...] | None = None
    domains: tuple[str, ...] | None = None
    kwh: float
    carbon_kg: float


class Placement(Value):
    """One job at one partition from `start` on. Costs are kgCO2e and kgCO2e-equivalents, not rounded."""

    job: Slug
    site: Slug
    partition: Slug
    reservation: Slug | None = None
    """The reservation of the partition that it runs in."""
    start: Instant
    end: Instant
    """start + expected run time (else the limit); capacity is held until the limit."""
    gpus: int
    nodes: tuple[str, ...] | None = None
    domains: tuple[str, ...] | None = None
    kwh: float
    carbon_kg: float
    topology_kg: float
    egress_kg: float
    wait_h: float
    cost_kg: float
    sigma: float = 1.0
    """Step time on this placement over the step time on the best shape (>= 1)."""
    bottleneck: str | None = None
    """What makes sigma more than 1, as a sentence: `8 of 72 FSDP ranks cross InfiniBand: +14 % step time, ...`."""
    components: tuple[ComponentPlacement, ...] = ()
    """Parts of a heterogeneous job, in its order; `partition` is that of the first, `end` the last to end."""

    @property
    def parts(self) -> tuple[tuple[str, int], ...]:
        """(partition, GPUs) of each part; of a job of one kind just that."""
        return tuple((part.partition, part.gpus) for part in self.components) or ((self.partition, self.gpus),)

    @property
    def room(self) -> str:
        """Key of what it holds GPUs of, as in a certificate."""
        whole = f"{self.site}/{self.partition}"
        return whole if self.reservation is None else f"{whole}/{self.reservation}"


class Unplaced(Value):
    job: Slug
    penalty_kg: float | None
    """null where the job has no allowed start at all."""
    reasons: tuple[Reason, ...]


class Certificate(Value):
    """Prices >= 0 from which anyone recomputes the bound; see docs/formats.md."""

    gpu: Mapping[str, tuple[float, ...]]
    """`site/partition` -> kg per GPU held and slot, from now on to the last slot any job can reach."""
    power: Mapping[str, tuple[float, ...]] = {}
    """site -> kg per kW of IT power and slot."""


class Plan(Value):
    schema_: Literal["csched/plan/1"] = Field(default="csched/plan/1", alias="schema")
    now: Instant
    horizon_h: float
    slot_min: float
    status: PlanStatus
    placed_cost_kg: float
    cost_kg: float
    bound_kg: float
    gap: float
    certificate: Certificate | None
    solver: str
    seed: int
    policy_digest: str | None
    carbon_source: str
    warnings: tuple[str, ...] = ()
    announced: int = 0
    """Jobs of this plan for which the standing plan had announced a start that has not passed."""
    moved: int = 0
    """How many of those start elsewhere or at another time now, or not at all."""
    build_s: float = 0.0
    solve_s: float = 0.0
    stages: Mapping[str, float] = {}
    """Seconds of each stage of solving."""
    stopped: Stop | None = None
    placements: tuple[Placement, ...]
    unplaced: tuple[Unplaced, ...]

    @cached_property
    def placement_of(self) -> Mapping[str, Placement]:
        return {placement.job: placement for placement in self.placements}

    @cached_property
    def unplaced_of(self) -> Mapping[str, Unplaced]:
        return {unplaced.job: unplaced for unplaced in self.unplaced}

    def decision(self) -> dict[str, object]:
        """All of the plan but how long it took: equal for equal snapshots, policies, seed and work."""
        return self.model_dump(mode="json", by_alias=True, exclude={"build_s", "solve_s", "stages", "stopped"})


class CheaperStart(Value):
    """A start that would cost less, were it not for others."""

    start: Instant
    saving_kg: float
    """Cost of the chosen start less cost of this one."""
    congestion_kg_per_gpu_h: float
    """What its GPUs are worth to others then, by the plan's prices."""


class SiteOption(Value):
    """What one site would mean for one job: the row of the options table and of `explain`."""

    site: Slug
    partition: Slug | None = None
    verdict: Literal["allowed", "denied"]
    chosen: bool = False
    start: Instant | None = None
    """The best start at this site beside the rest of the plan; null where there is none."""
    wait_h: float | None = None
    kwh: float | None = None
    carbon_kg: float | None = None
    topology_kg: float | None = None
    egress_kg: float | None = None
    cost_kg: float | None = None
    bottleneck: str | None = None
    """Why `topology_kg` is more than 0, as in a placement."""
    congestion_kg: float | None = None
    """What the GPUs and the power it would hold at `start` are worth to others, by the plan's prices; no part of a
    cost. null where the plan has none."""
    congestion_kg_per_gpu_h: float | None = None
    cheaper: CheaperStart | None = None
    """The cheapest start here, were the job alone; null where it is not cheaper than the chosen one."""
    reasons: tuple[Reason, ...] = ()
    note: str | None = None
    """One sentence that compares this site with the chosen one."""
    exceptions: tuple[ExceptionUse, ...] = ()
    """Exceptions without which policy would refuse the site."""


class Relaxation(Value):
    """One wish that, given up so far and no further, would place a job that is left out."""

    field: str
    """The job's column; `hold`; or `policy`, whose rules are never broken: facts would have to be different."""
    seen: Scalar | tuple[Scalar, ...] = None
    needed: Scalar | tuple[Scalar, ...] = None
    """What it would have to be; of a list, what would have to be in it too."""
    size: float = Field(ge=0)
    """How much is given up: a share of what was asked for, 0.5 for one more kind, 1 for each fact of policy."""
    site: Slug
    start: Instant
    message: str


class Explanation(Value):
    """What `explain` and `submit --test-only` say of a job."""

    options: tuple[SiteOption, ...]
    relaxations: tuple[Relaxation, ...] = ()
    """The smallest three, for a job that is left out."""
