"""An order of the core to one site: start this attempt, or end it. Frozen, complete and valid for a while only."""

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, TypeAdapter

from csched.domain.base import Instant, Slug, Value
from csched.domain.job import DataClass
from csched.domain.run import Script


class OrderPlacement(Value):
    """Where the plan puts the job. Which option of sbatch says so is the agent's business: it knows its cluster."""

    partition: Slug
    nodes: int = Field(ge=1)
    gpus: int = Field(ge=1)
    gpus_per_node: int = Field(ge=1)
    whole_nodes: bool
    node_list: tuple[Slug, ...] = Field(default=(), max_length=10_000)
    """The nodes the plan names; empty where it names none."""
    domain_nodes: int = Field(default=1, ge=1)
    """Nodes in one NVLink domain of that hardware."""
    time_limit_s: int = Field(ge=1)
    start: Instant


class OrderJob(Value):
    """The job as its owner handed it in at the core."""

    id: Slug
    name: str = Field(pattern=r"^[^\x00-\x1f\x7f/]{1,64}$")
    owner: str = Field(max_length=64)
    """The user's name at the core; the site's own table says which account of the machine that is."""
    tenant: str | None = Field(default=None, max_length=64)
    account: str | None = Field(default=None, max_length=64)
    """A wish; the site's table says which accounts the user may charge."""
    data_class: DataClass | None = None
    parts: int = Field(default=1, ge=1)
    """Above 1 for a heterogeneous job."""
    script: Script


class _Order(Value):
    schema_: Literal["csched/order/1"] = Field(default="csched/order/1", alias="schema")
    site: Slug
    cluster: Slug
    attempt: Slug
    sequence: int = Field(ge=1, lt=2**53)
    """Rises with each order to the site."""
    issued_at: Instant
    expires_at: Instant


class StartOrder(_Order):
    kind: Literal["start"] = "start"
    placement: OrderPlacement
    job: OrderJob
    policy_digest: str = Field(max_length=128)
    """The rules by which the job may run there."""


class CancelOrder(_Order):
    kind: Literal["cancel"] = "cancel"


Order: TypeAlias = Annotated[StartOrder | CancelOrder, Field(discriminator="kind")]
ORDER: TypeAdapter[StartOrder | CancelOrder] = TypeAdapter(Order)
