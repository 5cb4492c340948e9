"""What a Slurm cluster tells about itself: jobs, nodes, partitions, reservations, accounts, limits, as frozen values.

They are the same for every version of Slurm and for both transports; csched_slurm.parsing makes them. What a cluster
does not tell is None, which is never the same as nothing: an empty tuple is an answer.
"""

from collections.abc import Mapping
from enum import StrEnum

from pydantic import Field

from csched.domain.base import Instant, Value
from csched.domain.run import ExitCode


class State(StrEnum):
    """The base states of a job (squeue(1), JOB STATE CODES)."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    SUSPENDED = "SUSPENDED"
    COMPLETED = "COMPLETED"
    CANCELLED = "CANCELLED"
    FAILED = "FAILED"
    TIMEOUT = "TIMEOUT"
    NODE_FAIL = "NODE_FAIL"
    PREEMPTED = "PREEMPTED"
    BOOT_FAIL = "BOOT_FAIL"
    DEADLINE = "DEADLINE"
    OUT_OF_MEMORY = "OUT_OF_MEMORY"

    @property
    def ended(self) -> bool:
        return self not in {State.PENDING, State.RUNNING, State.SUSPENDED}


class NodeShare(Value):
    """What a job holds on one node."""

    node: str
    gpus: tuple[int, ...] | None = None
    """Indices of its GPUs on the node, ascending; None where the cluster does not tell: once the job has ended."""


class ClusterJob(Value):
    """A job as its controller knows it. Ids are reused after a crash: cluster, id, name and submit say which one."""

    cluster: str
    id: int
    name: str
    state: State
    flags: frozenset[str] = frozenset()
    """What stands beside the base state: COMPLETING, CONFIGURING, REQUEUED, REQUEUE_HOLD, ..."""
    reason: str | None = None
    """Why it waits or how it ended, in Slurm's words; None is Slurm's `None`."""
    user: str | None = None
    account: str | None = None
    partition: str | None = None
    """As asked for; may be a list `a,b` until the job starts."""
    qos: str | None = None
    priority: int | None = None
    nodes: tuple[NodeShare, ...] = ()
    """Empty until the job starts; in Slurm's order, the batch host first."""
    node_count: int | None = None
    """As asked for while it waits, as given once it runs."""
    tres: Mapping[str, float] = {}
    """Given while it runs or has run, else asked for: `gres/gpu`, `cpu`, `mem` (MiB), `node`, ..."""
    submit: Instant | None = None
    eligible: Instant | None = None
    start: Instant | None = None
    """While it waits: when the local scheduler expects it to start."""
    end: Instant | None = None
    """While it runs: when its limit ends."""
    time_limit_s: int | None = None
    """None is no limit, or the partition's."""
    exit_code: ExitCode | None = None
    restart_count: int = 0
    comment: str | None = None
    admin_comment: str | None = None
    dependency: str | None = None
    reservation: str | None = None
    licenses: str | None = None
    work_dir: str | None = None
    stdout: str | None = None
    requeue: bool | None = None
    array_job: int | None = None
    """Id of the array that it is a task of."""
    array_task: str | None = None
    """Its index, `7`; or the indices that wait as one record, `1-5%2`."""
    het_job: int | None = None
    """Id of the heterogeneous job that it is a component of."""
    het_offset: int | None = None

    @property
    def held(self) -> bool:
        """Held by somebody; a running job is not."""
        return self.state is State.PENDING and self.priority == 0


class AccountedJob(Value):
    """A job as slurmdbd knows it. Held jobs are missing there, and a comment comes with the end only."""

    cluster: str
    id: int
    name: str
    state: State
    user: str | None = None
    account: str | None = None
    partition: str | None = None
    qos: str | None = None
    nodes: tuple[str, ...] = ()
    tres: Mapping[str, float] = {}
    """What it was given; `energy` in joules where the cluster measures."""
    submit: Instant | None = None
    start: Instant | None = None
    end: Instant | None = None
    elapsed_s: int = 0
    exit_code: ExitCode | None = None
    restart_count: int | None = None
    comment: str | None = None
    admin_comment: str | None = None
    array_job: int | None = None
    array_task: int | None = None


class NodeState(Value):
    name: str
    state: str
    """Base state: IDLE, MIXED, ALLOCATED, DOWN, UNKNOWN, FUTURE, ERROR."""
    flags: frozenset[str] = frozenset()
    """DRAIN, MAINTENANCE, NOT_RESPONDING, RESERVED, COMPLETING, POWERED_DOWN, ..."""
    reason: str | None = None
    partitions: tuple[str, ...] = ()
    features: frozenset[str] = frozenset()
    gpus: int = 0
    gpus_used: int = 0
    gpu_type: str | None = None
    cpus: int = 0
    cpus_used: int = 0
    memory_mib: int = 0
    memory_used_mib: int = 0
    boot: Instant | None = None

    @property
    def takes_jobs(self) -> bool:
        """In service: up, answering, and neither drained nor in maintenance."""
        return self.state in {"IDLE", "MIXED", "ALLOCATED"} and not self.flags & _OUT_OF_SERVICE


_OUT_OF_SERVICE = frozenset({"DRAIN", "FAIL", "MAINTENANCE", "NOT_RESPONDING", "NO_RESPOND", "REBOOT_REQUESTED"})


class PartitionLimits(Value):
    name: str
    state: str
    """UP, DOWN, DRAIN or INACTIVE; only UP starts jobs, UP and DOWN take them."""
    nodes: tuple[str, ...] = ()
    default: bool | None = None
    """Where jobs go that name none; newer slurmrestds do not tell."""
    max_time_s: int | None = None
    """None is no limit."""
    default_time_s: int | None = None
    min_nodes: int | None = None
    max_nodes: int | None = None
    allow_accounts: frozenset[str] | None = None
    """None: all but those denied."""
    deny_accounts: frozenset[str] = frozenset()
    allow_qos: frozenset[str] | None = None
    deny_qos: frozenset[str] = frozenset()
    allow_groups: frozenset[str] | None = None
    qos: str | None = None
    """The QOS whose limits hold for the whole partition."""
    priority_tier: int | None = None
    preempt_mode: str | None = None
    exclusive: bool | None = None
    """Whole nodes only; slurmrestd does not tell."""


class ClusterReservation(Value):
    name: str
    start: Instant
    end: Instant
    nodes: tuple[str, ...] = ()
    partition: str | None = None
    users: frozenset[str] = frozenset()
    accounts: frozenset[str] = frozenset()
    flags: frozenset[str] = frozenset()
    licenses: str | None = None

    @property
    def maintenance(self) -> bool:
        return "MAINT" in self.flags


class Limits(Value):
    """Limits of an association or a QOS; None or a missing resource is no limit. Time in `*_minutes` is resource times
    minutes."""

    max_jobs: int | None = None
    """Running at once, of one user or association."""
    max_submit: int | None = None
    """Waiting and running, of one user or association."""
    group_jobs: int | None = None
    group_submit: int | None = None
    group_tres: Mapping[str, float] = {}
    group_tres_minutes: Mapping[str, float] = {}
    max_tres_per_job: Mapping[str, float] = {}
    max_tres_per_user: Mapping[str, float] = {}
    max_wall_s: int | None = None
    group_wall_s: int | None = None


class Association(Value):
    """That a user may charge an account; without a user, the account's own limits for all below it."""

    cluster: str
    account: str
    user: str | None = None
    partition: str | None = None
    """The only partition it holds for; None is all."""
    qos: frozenset[str] = frozenset()
    default_qos: str | None = None
    parent: str | None = None
    fair_share: int | None = None
    limits: Limits = Limits()


class Qos(Value):
    name: str
    priority: int = 0
    flags: frozenset[str] = frozenset()
    limits: Limits = Limits()


class Licence(Value):
    name: str
    total: int
    used: int = 0
    reserved: int = 0


class ClusterFacts(Value):
    """What a site's Slurm is and can do; None is unknown."""

    cluster: str | None = None
    version: str | None = None
    """Such as `22.05.8`."""
    api: str | None = None
    """The API that the transport speaks: `v0.0.38`, or `cli`."""
    api_tested: bool = True
    """csched was tested with this API; else it only looks."""
    topology_plugin: str | None = None
    gres_types: frozenset[str] | None = None
    private_data: frozenset[str] | None = None
    """Of what users see only their own: jobs, usage, accounts, ...; then what is not seen is unknown, not zero."""
    job_submit_plugins: tuple[str, ...] | None = None
    gate: bool | None = None
    """csched's gate answers in job_submit.lua."""
    accounting_enforced: frozenset[str] | None = None
    message_timeout_s: int | None = None
    min_job_age_s: int | None = None
    """How long the controller remembers a job that has ended."""
    kill_wait_s: int | None = None
    max_array_size: int | None = None
    clock_skew_s: float | None = None
    """The cluster's clock minus this machine's."""

    @property
    def release(self) -> tuple[int, int] | None:
        """(22, 5) for `22.05.8`."""
        parts = (self.version or "").split(".")
        return (int(parts[0]), int(parts[1])) if len(parts) >= 2 and all(map(str.isdigit, parts[:2])) else None

    @property
    def segments(self) -> bool:
        """`--segment` places a job within NVLink domains."""
        return self.topology_plugin == "topology/block" and (self.release or (0, 0)) >= (23, 11)


class Ping(Value):
    """Whether the controller answers right now."""

    up: bool
    message: str = Field(default="", max_length=2000)
