"""Nodes: `sinfo --json` of 22.05, `scontrol show nodes --json` of later ones, `GET /slurm/.../nodes`."""

import re
from collections.abc import Mapping
from typing import Any, Final

from csched_slurm.cluster import NodeState
from csched_slurm.parsing.fields import (
    document,
    instant,
    listed,
    required,
    resources,
    state_and_flags,
    text,
    whole,
    words,
)

_GRES: Final = re.compile(r"gpu:(?:([^:(,]+):)?(\d+)")


def read_nodes(answer: str | bytes) -> tuple[NodeState, ...]:
    """Raises Unreadable."""
    return tuple(_node(raw) for raw in listed(document(answer), "nodes"))


def _node(raw: Mapping[str, Any]) -> NodeState:
    state, flags = state_and_flags(raw.get("state"))
    kinds = _GRES.findall(str(raw.get("gres") or ""))
    return NodeState(
        name=required(raw, "name"),
        state=state,
        flags=flags | {flag.upper() for flag in words(raw.get("state_flags"))},
        reason=text(raw.get("reason")),
        partitions=words(raw.get("partitions")),
        features=frozenset(words(raw.get("active_features"))),
        gpus=sum(int(count) for _, count in kinds),
        gpus_used=int(resources(raw.get("tres_used")).get("gres/gpu", 0)),
        gpu_type=next((kind for kind, _ in kinds if kind), None),
        cpus=whole(raw.get("cpus")) or 0,
        cpus_used=whole(raw.get("alloc_cpus")) or 0,
        memory_mib=whole(raw.get("real_memory")) or 0,
        memory_used_mib=whole(raw.get("alloc_memory")) or 0,
        boot=instant(raw.get("boot_time")),
    )
