"""How csched speaks with one Slurm cluster, whatever carries the words.

Each answer says how much it is worth. A question is answered with `Known`, or it has `Failed`: no answer is never "no
jobs". An order is `Done`, plainly `Refused`, or its fate is `Unknown`: it may have been carried out, or still be.
A transport never raises for what a cluster does or fails to do.

`Observer` has no call that changes anything, which is what a site in observe mode is given. All calls may be made from
several threads at once.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, Protocol, TypeAlias, TypeVar

from pydantic import Field

from csched.domain.base import Value
from csched_slurm.cluster import (
    AccountedJob,
    Association,
    ClusterFacts,
    ClusterJob,
    ClusterReservation,
    Licence,
    NodeState,
    PartitionLimits,
    Ping,
    Qos,
)

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True)
class Known(Generic[T_co]):
    """A whole answer."""

    value: T_co


@dataclass(frozen=True)
class Failed:
    """No answer, or not a whole one. Nothing follows from it."""

    why: str


Answer: TypeAlias = Known[T_co] | Failed


@dataclass(frozen=True)
class Submitted:
    """The controller has taken the job, and has said its id. For about a second a crash may still lose both."""

    job_id: int


@dataclass(frozen=True)
class Done:
    """The order was carried out."""


@dataclass(frozen=True)
class Refused:
    """The order was not carried out and will not be; in the cluster's own words."""

    message: str


@dataclass(frozen=True)
class Unknown:
    """The order may have been carried out, or may yet be: look."""

    why: str


SubmitAnswer: TypeAlias = Submitted | Refused | Unknown
OrderAnswer: TypeAlias = Done | Refused | Unknown


class JobRequest(Value):
    """A job to be submitted: always held, and never requeued by Slurm itself."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")
    """csched's own, by which the job is found again."""
    user: str = Field(pattern=r"^[a-z_][a-z0-9_.-]{0,31}$")
    script: str = Field(max_length=4_194_304)
    """Begins with `#!`; its `#SBATCH` lines count, so they must have been made inert. It sets the user's variables
    itself: a job gets its user's login profile, and nothing of the environment of whoever submits it."""
    work_dir: str
    stdout: str
    stderr: str | None = None
    """None: with stdout."""
    account: str | None = None
    partition: str | None = None
    qos: str | None = None
    comment: str | None = None
    nodes: int = Field(ge=1)
    gpus_per_node: int = Field(default=0, ge=0)
    gpu_type: str | None = None
    exclusive: bool = False
    """Whole nodes."""
    cpus_per_task: int | None = Field(default=None, ge=1)
    tasks_per_node: int | None = Field(default=None, ge=1)
    memory_per_node_mib: int | None = Field(default=None, ge=0)
    time_limit_minutes: int = Field(ge=1)
    node_list: tuple[str, ...] = ()
    """These nodes and no others; never on topology/block."""
    segment: int | None = Field(default=None, ge=1)
    """Nodes that must share an NVLink domain (topology/block)."""
    switches: int | None = Field(default=None, ge=1)
    """Leaf switches at most (topology/tree)."""
    reservation: str | None = None
    licenses: str | None = None
    features: str | None = None
    dependency: str | None = None
    array: str | None = None
    signal: str | None = None
    options: tuple[str, ...] = ()
    """Other options of sbatch, each as one word such as `--mem-bind=local`, from csched's list of those allowed."""


class JobChange(Value):
    """What to change of a job; None leaves as it is."""

    name: str | None = None
    comment: str | None = None
    account: str | None = None
    partition: str | None = None
    qos: str | None = None
    time_limit_minutes: int | None = Field(default=None, ge=1)
    nodes: int | None = Field(default=None, ge=1)
    node_list: tuple[str, ...] | None = None
    features: str | None = None
    reservation: str | None = None
    dependency: str | None = None
    begin: datetime | None = None
    requeue: bool | None = None
    """Whether it may be requeued at all: a job that csched has submitted may not, until this says so."""


class Observer(Protocol):
    """Questions only."""

    cluster: str

    def ping(self) -> Answer[Ping]:
        """Whether the controller answers; at once, also when it does not."""
        ...

    def facts(self) -> Answer[ClusterFacts]: ...

    def job(self, job_id: int) -> Answer[ClusterJob | None]:
        """The job of this id; None where a controller that is up knows none. Compare its name: ids are reused."""
        ...

    def look_up(self, name: str) -> Answer[tuple[ClusterJob, ...]]:
        """All jobs of this name that the controller remembers, ended ones too, oldest first."""
        ...

    def jobs(self) -> Answer[tuple[ClusterJob, ...]]:
        """Every job that the controller remembers and this user may see, ended ones for MinJobAge."""
        ...

    def nodes(self) -> Answer[tuple[NodeState, ...]]: ...

    def partitions(self) -> Answer[tuple[PartitionLimits, ...]]: ...

    def reservations(self) -> Answer[tuple[ClusterReservation, ...]]: ...

    def licences(self) -> Answer[tuple[Licence, ...]]: ...

    def associations(self) -> Answer[tuple[Association, ...]]:
        """Of this cluster only."""
        ...

    def qos(self) -> Answer[tuple[Qos, ...]]: ...

    def accounting(self, *, ids: Collection[int] = (), names: Collection[str] = ()) -> Answer[tuple[AccountedJob, ...]]:
        """What slurmdbd knows of these jobs of this cluster, earlier runs of the same id too, oldest first. By name
        it never finds a job that is held or was cancelled while held."""
        ...


class Transport(Observer, Protocol):
    """Questions and orders."""

    def submit(self, request: JobRequest) -> SubmitAnswer:
        """Submit as the user, held."""
        ...

    def release(self, job_id: int) -> OrderAnswer: ...

    def hold(self, job_id: int) -> OrderAnswer:
        """As the operator: the owner cannot release it."""
        ...

    def cancel(self, job_id: int) -> OrderAnswer: ...

    def requeue(self, job_id: int, *, hold: bool = True) -> OrderAnswer:
        """End its run and let it wait again; refused for a job that may not be requeued."""
        ...

    def update(self, job_id: int, change: JobChange) -> OrderAnswer: ...

    def signal(self, job_id: int, signal: str) -> OrderAnswer:
        """Send `USR1` and the like to the batch script."""
        ...
