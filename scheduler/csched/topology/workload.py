"""What a job computes and sends in one step, from its model and its parallel degrees, or from its pattern alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from csched.domain.job import Job, Pattern
from csched.topology.collectives import Collective

BF16_BYTES: Final = 2
FLOPS_PER_PARAMETER_AND_TOKEN: Final = 6


@dataclass(frozen=True)
class Model:
    name: str
    parameters: float
    layers: int
    hidden: int
    active_parameters: float | None = None
    """null: all of them (a dense model)."""
    expert_layers: int = 0
    top_k: int = 0


# Published configurations (model cards and technical reports); they stand for jobs that name only a pattern.
LLAMA_8B: Final = Model("Llama 3.1 8B", 8e9, layers=32, hidden=4096)
MISTRAL_24B: Final = Model("Mistral Small 24B", 24e9, layers=40, hidden=5120)
LLAMA_70B: Final = Model("Llama 3.1 70B", 70e9, layers=80, hidden=8192)
DEEPSEEK_V3: Final = Model(
    "DeepSeek-V3", 671e9, layers=61, hidden=7168, active_parameters=37e9, expert_layers=58, top_k=8
)

_HIDDEN_PER_LAYER: Final = 128
"""Width over depth of a model of which only the size is known: that of Llama 3.1 8B; Llama 3.1 70B has 102."""

REFERENCE_MODELS: Final[Mapping[Pattern, Model]] = MappingProxyType(
    {
        Pattern.DP: LLAMA_8B,
        Pattern.FSDP: MISTRAL_24B,
        Pattern.TP8: LLAMA_70B,
        Pattern.PP: LLAMA_70B,
        Pattern.EP: DEEPSEEK_V3,
        Pattern.RL: MISTRAL_24B,
    }
)


@dataclass(frozen=True)
class Degrees:
    """Ranks are numbered tensor first, then data, then pipeline; expert groups are runs of data ranks."""

    tensor: int = 1
    pipeline: int = 1
    data: int = 1
    expert: int = 1
    sharded: bool = False
    """FSDP: weights are gathered twice and gradients scattered, instead of one all-reduce of gradients."""

    @property
    def gpus(self) -> int:
        return self.tensor * self.pipeline * self.data


@dataclass(frozen=True)
class Batch:
    sequence: int = 8192
    microbatch: int = 1
    microbatches: int = 8


@dataclass(frozen=True)
class Group:
    """One kind of collective among one kind of group."""

    name: str
    """`TP`, `PP`, `DP`, `FSDP` or `EP`."""
    kind: Collective
    payload_bytes: float
    calls: float
    overlap: float
    """Share that hides behind computing."""
    must_share_domain: bool = False


@dataclass(frozen=True)
class Workload:
    model: Model
    degrees: Degrees
    batch: Batch = Batch()
    data_overlap: float = 0.7
    pipeline_overlap: float = 0.5
    split_allowed: bool = False
    """True: the user accepts that TP and EP groups leave their NVLink domain."""

    @property
    def flops_per_gpu(self) -> float:
        """Of one step: forward and backward of all microbatches, over the GPUs of one model copy."""
        tokens = self.batch.sequence * self.batch.microbatch * self.batch.microbatches
        parameters = self.model.active_parameters or self.model.parameters
        return FLOPS_PER_PARAMETER_AND_TOKEN * parameters * tokens / (self.degrees.tensor * self.degrees.pipeline)

    def groups(self) -> tuple[Group, ...]:
        """The collectives of one step; groups of one member are left out.

        Expert groups split the weights among them, so that data ranks exchange a part of the gradients only.
        """
        degrees, batch, model = self.degrees, self.batch, self.model
        activation = BF16_BYTES * batch.microbatch * batch.sequence * model.hidden
        weights = BF16_BYTES * model.parameters / (degrees.tensor * degrees.pipeline * degrees.expert)
        layers = model.layers / degrees.pipeline
        found: list[Group] = []
        if degrees.tensor > 1:
            calls = 4 * batch.microbatches * layers
            found.append(Group("TP", Collective.ALL_REDUCE, activation, calls, 0.0, must_share_domain=True))
        if degrees.expert > 1:
            calls = 4 * batch.microbatches * model.expert_layers / degrees.pipeline
            payload = activation * model.top_k
            found.append(Group("EP", Collective.ALL_TO_ALL, payload, calls, 0.0, must_share_domain=True))
        if degrees.pipeline > 1:
            calls = 2 * batch.microbatches
            found.append(Group("PP", Collective.POINT_TO_POINT, activation, calls, self.pipeline_overlap))
        if degrees.data > 1 and degrees.sharded:
            found.append(Group("FSDP", Collective.ALL_GATHER, weights, 2, self.data_overlap))
            found.append(Group("FSDP", Collective.REDUCE_SCATTER, weights, 1, self.data_overlap))
        elif degrees.data > 1:
            found.append(Group("DP", Collective.ALL_REDUCE, weights, 1, self.data_overlap))
        return tuple(found)


def asked_workload(job: Job) -> Workload | None:
    """What a job computes and sends, by its model's size and parallel degrees, else by its pattern alone.

    Degrees without a size are those of a published model; a size without degrees or pattern is sharded over all GPUs.
    """
    told = (job.tensor_parallel, job.pipeline_parallel, job.expert_parallel)
    if job.model_params_b is None and told == (None, None, None):
        return workload_of(job.pattern, job.gpus)
    tensor, pipeline, expert = (degree or 1 for degree in told)
    data, rest = divmod(job.gpus, tensor * pipeline)
    if rest or data % expert or job.gpus < 2:
        return None
    sized = job.model_params_b is not None
    model = _sized_model(job.model_params_b or 0.0, experts=expert > 1) if sized else _published(tensor, expert)
    degrees = Degrees(tensor, pipeline, data, expert, sharded=job.pattern is not Pattern.DP)
    return Workload(model, degrees)


def group_of(workload: Workload | None) -> int:
    """GPUs that must share an NVLink domain: an expert group with the tensor groups of its members."""
    return workload.degrees.tensor * workload.degrees.expert if workload else 1


def _published(tensor: int, expert: int) -> Model:
    if expert > 1:
        return DEEPSEEK_V3
    return LLAMA_70B if tensor > 1 else MISTRAL_24B


def _sized_model(billions: float, *, experts: bool) -> Model:
    """A transformer of so many parameters: 12 L h^2 of them with h = 128 L; with experts as sparse as DeepSeek-V3."""
    parameters = billions * 1e9
    active = parameters * (DEEPSEEK_V3.active_parameters or 0.0) / DEEPSEEK_V3.parameters if experts else parameters
    layers = max(1, round((active / (12 * _HIDDEN_PER_LAYER**2)) ** (1 / 3)))
    name = f"{billions:g}B"
    if not experts:
        return Model(name, parameters, layers, _HIDDEN_PER_LAYER * layers)
    return Model(name, parameters, layers, _HIDDEN_PER_LAYER * layers, active, layers, DEEPSEEK_V3.top_k)


def workload_of(pattern: Pattern | None, gpus: int) -> Workload | None:
    """What a job that names only a pattern is taken to be: a published model, split as `gpus` allow.

    null where there is nothing to reckon with: no pattern, `none`, or a single GPU. RL is its trainer, sharded; the
    generators' weight sync is not part of a step (`weight_sync_s`).
    """
    if pattern is None or pattern is Pattern.NONE or gpus < 2:
        return None
    model = REFERENCE_MODELS[pattern]
    if pattern is Pattern.TP8:
        tensor = _largest_power_of_two(gpus, 8)
        return Workload(model, Degrees(tensor=tensor, data=gpus // tensor))
    if pattern is Pattern.PP:
        pipeline = _largest_power_of_two(gpus, 8)
        return Workload(model, Degrees(pipeline=pipeline, data=gpus // pipeline))
    if pattern is Pattern.EP:
        return Workload(model, Degrees(data=gpus, expert=_largest_power_of_two(gpus, 8)))
    return Workload(model, Degrees(data=gpus, sharded=pattern is not Pattern.DP))


def _largest_power_of_two(number: int, most: int) -> int:
    """The largest power of two, at most `most`, that divides `number`."""
    return min(number & -number, most)
