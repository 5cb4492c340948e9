"""One kind of GPU node, as the hardware catalogue describes it. Bandwidths are in one direction, per GPU."""

from typing import Literal

from pydantic import Field

from csched.domain.base import Slug, Value


class EmbodiedCarbon(Value):
    """Manufacturing carbon spread over five years of use; a range, because published figures differ 3.5-fold."""

    low: float = Field(ge=0)
    high: float = Field(ge=0)


class Measured(Value):
    """What collectives were measured to get of one medium's bandwidth, and what each step of them costs beside."""

    medium: Literal["nvlink", "pcie", "fabric"]
    share: float = Field(gt=0, le=2)
    """Of the catalogue's figure, which rounds: hardware may do better."""
    latency_s: float = Field(ge=0, le=1)


class Hardware(Value):
    key: Slug
    kw_per_gpu: float = Field(gt=0, le=1000)
    """Rated power of the node or rack divided by its GPUs."""
    gpus_per_node: int = Field(ge=1, le=1000)
    nodes_per_domain: int = Field(ge=1, le=1000)
    """Nodes in one NVLink domain: 18 for an NVL72 rack, else 1."""
    nvlink_gb_per_s: float | None = Field(default=None, ge=0)
    """null: no NVLink."""
    nvlink_graph: Literal["switch", "mesh", "pcie", "irregular"] = "switch"
    nic_gb_per_s: float | None = Field(default=None, ge=0)
    gpu_memory_gb: float | None = Field(default=None, gt=0)
    embodied_kg_per_gpu_h: EmbodiedCarbon | None = None
    measured: tuple[Measured, ...] = Field(default=(), max_length=3)
    """Goes before the cost model's defaults; `csched topo calibrate` finds it."""
    assumed: bool = False
    """True where the power is an assumption; every report says so."""

    @property
    def gpus_per_domain(self) -> int:
        return self.gpus_per_node * self.nodes_per_domain

    def gpus_held(self, gpus: int) -> int:
        """GPUs that a job of `gpus` GPUs keeps from others: a part of one node, or whole nodes."""
        if gpus < self.gpus_per_node:
            return gpus
        return self.gpus_per_node * -(-gpus // self.gpus_per_node)
