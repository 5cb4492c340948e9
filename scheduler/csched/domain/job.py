"""What a user asks for: one gang of GPUs for a limited time, with facts about its data and wishes about its place."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from csched.domain.base import Country, Instant, Slug, Value

TRAINING_LOAD = 0.76
"""Share of rated power that heavy training draws (arXiv 2506.14551); the default load of a job."""


class DataClass(StrEnum):
    """Ordered: a rule for `at_least: personal` also covers special and health."""

    PUBLIC = "public"
    INTERNAL = "internal"
    PERSONAL = "personal"
    SPECIAL = "special"
    HEALTH = "health"

    @property
    def rank(self) -> int:
        return list(DataClass).index(self)


class Pattern(StrEnum):
    """How the ranks of a job talk to each other."""

    NONE = "none"
    DP = "dp"
    FSDP = "fsdp"
    TP8 = "tp8"
    PP = "pp"
    EP = "ep"
    RL = "rl"


class Purpose(StrEnum):
    """What a job is for; systems may be open to some purposes only."""

    CIVILIAN_RESEARCH = "civilian_research"
    CIVILIAN_INDUSTRIAL = "civilian_industrial"
    PUBLIC_SECTOR = "public_sector"
    DEFENCE = "defence"


class Restriction(StrEnum):
    """A marking beside the class of the data."""

    NONE = "none"
    EU_RESTRICTED = "eu_restricted"
    NATIONAL_RESTRICTED = "national_restricted"
    EXPORT_CONTROLLED = "export_controlled"


class OutputKind(StrEnum):
    """What a job leaves behind."""

    RESULTS = "results"
    MODEL_WEIGHTS = "model_weights"
    RL_DELTAS = "rl_deltas"
    DATASET = "dataset"


class Confidentiality(StrEnum):
    """What must be a trusted execution environment."""

    NONE = "none"
    CPU = "cpu"
    GPU = "gpu"
    """CPU and GPU, attested."""


class Tenancy(StrEnum):
    """With whom a machine is shared, ordered from everybody to nobody."""

    SHARED = "shared"
    EXCLUSIVE_NODE = "exclusive_node"
    EXCLUSIVE_PARTITION = "exclusive_partition"


class Export(StrEnum):
    """How far what a job leaves behind may be taken."""

    NONE = "none"
    EU27 = "EU27"
    EEA = "EEA"
    ANY = "any"


class Locality(StrEnum):
    """How the nodes of a job should lie to each other, where both are possible."""

    CONSOLIDATE = "consolidate"
    """As few NVLink domains as possible: the default."""
    SPREAD = "spread"
    """As many as possible, so that the loss of one costs the job least."""


class DependencyKind(StrEnum):
    """sbatch(1) --dependency."""

    AFTER = "after"
    """They have started or been cancelled."""
    AFTERANY = "afterany"
    """They have ended, whatever became of them."""
    AFTEROK = "afterok"
    AFTERNOTOK = "afternotok"


class Dependency(Value):
    """All of `jobs` must have come so far before the job may start."""

    kind: DependencyKind
    jobs: tuple[Slug, ...] = Field(min_length=1, max_length=1000)


class Component(Value):
    """One part of a heterogeneous job; all parts start together at one site, each in one partition."""

    gpus: int = Field(ge=1, le=1_000_000)
    hardware: tuple[Slug, ...] = ()
    """Kinds of hardware the part can use; empty is any."""


RuntimeFactor = Annotated[float, Field(ge=0.001, le=1000)]
MOST_LIMIT_S = 316_224_000
"""Ten years, on any hardware."""


class Job(Value):
    """One row of a jobs file. Fields are the file's columns; null is unknown or default."""

    job: Slug
    submit: Instant | None = None
    user: str | None = Field(default=None, max_length=64)
    tenant: str | None = Field(default=None, max_length=64)
    gpus: int = Field(ge=1, le=1_000_000)
    time_limit_s: int = Field(ge=1, le=MOST_LIMIT_S)
    expected_runtime_s: int | None = Field(default=None, ge=1)
    earliest_start: Instant | None = None
    deadline: Instant | None = None
    """Latest finish, kept for sure: start + time_limit_s <= deadline."""
    hardware: tuple[Slug, ...] = ()
    """Kinds of hardware the job can use; empty is any."""
    runtime_factors: Mapping[Slug, RuntimeFactor] = Field(default={}, max_length=100)
    """Kind of hardware -> how many times as long as stated the job takes there, time limit included; else once."""
    components: tuple[Component, ...] = Field(default=(), max_length=128)
    """Parts of a heterogeneous job; `gpus` is their sum. Empty for a job of one kind."""
    data_class: DataClass | None = None
    data_site: Slug | None = None
    data_gb: float = Field(default=0.0, ge=0)
    countries: tuple[Country, ...] = ()
    """Countries the user allows; empty is any. A wish only narrows what policy allows."""
    pattern: Pattern | None = None
    model_params_b: float | None = Field(default=None, gt=0, le=1_000_000)
    """Parameters of the model in billions; with the degrees below it says what a split over NVLink domains costs."""
    tensor_parallel: int | None = Field(default=None, ge=1, le=4096)
    """Megatron's tensor-model-parallel-size: so many GPUs share an NVLink domain."""
    pipeline_parallel: int | None = Field(default=None, ge=1, le=4096)
    """Megatron's pipeline-model-parallel-size."""
    expert_parallel: int | None = Field(default=None, ge=1, le=4096)
    """Megatron's expert-model-parallel-size; an expert group, with its tensor groups, shares an NVLink domain."""
    load: float = Field(default=TRAINING_LOAD, gt=0, le=1)
    """Share of the rated power the job draws."""
    home_site: Slug | None = None
    priority: int = Field(default=0, ge=-1_000_000, le=1_000_000)
    """Where not all jobs fit, those of higher priority are placed first."""
    dependency: tuple[Dependency, ...] = Field(default=(), max_length=100)
    """All must be met."""
    array: Slug | None = None
    """The array this job is a task of."""
    array_limit: int | None = Field(default=None, ge=1)
    """How many tasks of the array may run at once; null is all of them."""
    reservation: Slug | None = None
    """The reservation it runs in; without one it stays out of all of them."""
    locality: Locality | None = None
    datasets: tuple[Slug, ...] = ()
    """What it reads, by the names of facts/datasets.yaml; each of them must allow the site."""
    data_restricted: Restriction | None = None
    purpose: Purpose | None = None
    run_id: Slug | None = None
    """Groups the jobs that train one model."""
    outputs_kind: OutputKind | None = None
    outputs_return_to: Country | None = None
    """Where the outputs are brought."""
    outputs_retain_at_site_h: float | None = Field(default=None, ge=0)
    """Hours for which a copy stays at the site after the end; null is unknown."""
    outputs_export: Export | None = None
    outputs_aggregated_only: bool | None = None
    """Nothing but aggregates leaves the site."""
    outputs_inherit_class: bool | None = None
    """False lowers the class of the outputs below that of the data; null inherits it."""
    requires_confidential: Confidentiality | None = None
    requires_tenancy: Tenancy | None = None
    requires_min_seal: int | None = Field(default=None, ge=0, le=4)
    """In each of the eight objectives."""
    requires_min_ual: int | None = Field(default=None, ge=0, le=4)
    portable: bool | None = None
    """False keeps the job at its home site; null leaves the question to the site that runs it."""

    @field_validator("expected_runtime_s")
    @classmethod
    def _within_the_limit(cls, expected_s: int | None, told: ValidationInfo) -> int | None:
        if expected_s is not None and expected_s > told.data.get("time_limit_s", expected_s):
            raise ValueError("expected_runtime_s is longer than time_limit_s")
        return expected_s

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.components and sum(part.gpus for part in self.components) != self.gpus:
            raise ValueError("gpus is not the sum of the components' GPUs")
        degrees = (self.tensor_parallel or 1) * (self.pipeline_parallel or 1)
        if degrees * (self.expert_parallel or 1) > 1 and self.components:
            raise ValueError("parallel degrees are for jobs of one kind, not for components")
        if self.gpus % (degrees * (self.expert_parallel or 1)):
            raise ValueError("tensor_parallel x pipeline_parallel x expert_parallel does not divide gpus")
        for kind in self.runtime_factors:
            if self.limit_s_on(kind) > MOST_LIMIT_S:
                raise ValueError(f"the time limit times the factor for `{kind}` is longer than ten years")
        return self

    @property
    def runtime_s(self) -> int:
        """What the plan reckons with: the expected run time, else the limit."""
        return self.expected_runtime_s or self.time_limit_s

    def limit_s_on(self, hardware: str) -> int:
        """For how long at most it runs on one kind of hardware, to the second."""
        return self._on(hardware, self.time_limit_s)

    def runtime_s_on(self, hardware: str) -> int:
        """What the plan reckons with on one kind of hardware, to the second."""
        return self._on(hardware, self.runtime_s)

    def _on(self, hardware: str, seconds: int) -> int:
        factor = self.runtime_factors.get(hardware)
        return seconds if factor is None else max(1, round(seconds * factor))
