"""Partitions: `scontrol --oneliner show partition`, `GET /slurm/.../partitions`."""

from collections.abc import Mapping
from typing import Any

from csched_slurm.cluster import PartitionLimits
from csched_slurm.parsing.fields import (
    allowed,
    at,
    document,
    hosts,
    lines_of_pairs,
    listed,
    minutes_as_s,
    required,
    seconds,
    text,
    whole,
    words,
)


def read_partitions(answer: str | bytes) -> tuple[PartitionLimits, ...]:
    """Raises Unreadable."""
    return tuple(_of_json(raw) for raw in listed(document(answer), "partitions"))


def read_printed_partitions(printed: str) -> tuple[PartitionLimits, ...]:
    """Raises Unreadable."""
    return tuple(_of_pairs(pairs) for pairs in lines_of_pairs(printed) if "PartitionName" in pairs)


def _of_json(raw: Mapping[str, Any]) -> PartitionLimits:
    nodes, flags = raw.get("nodes"), raw.get("flags")
    return PartitionLimits(
        name=required(raw, "name"),
        state=(words(at(raw, "partition.state", "state")) or ("UNKNOWN",))[0],
        nodes=hosts(nodes.get("configured") if isinstance(nodes, dict) else nodes),
        default=None if flags is None else "DEFAULT" in {flag.upper() for flag in words(flags)},
        max_time_s=minutes_as_s(at(raw, "maximums.time", "max_time_limit")),
        default_time_s=minutes_as_s(at(raw, "defaults.time", "default_time_limit")),
        min_nodes=whole(at(raw, "minimums.nodes", "min nodes per job")),
        max_nodes=whole(at(raw, "maximums.nodes", "maximum_nodes_per_job")),
        allow_accounts=allowed(at(raw, "accounts.allowed", "allowed_accounts")),
        deny_accounts=frozenset(words(at(raw, "accounts.deny", "denied_accounts"))),
        allow_qos=allowed(at(raw, "qos.allowed", "allowed_qos")),
        deny_qos=frozenset(words(at(raw, "qos.deny", "denied_qos"))),
        allow_groups=allowed(at(raw, "groups.allowed", "allowed_groups")),
        qos=text(at(raw, "qos.assigned", "qos")),
        priority_tier=whole(at(raw, "priority.tier", "priority_tier")),
    )


def _of_pairs(pairs: Mapping[str, str]) -> PartitionLimits:
    return PartitionLimits(
        name=pairs["PartitionName"],
        state=pairs.get("State", "UNKNOWN"),
        nodes=hosts(pairs.get("Nodes")),
        default=pairs.get("Default") == "YES",
        max_time_s=seconds(pairs.get("MaxTime")),
        default_time_s=seconds(pairs.get("DefaultTime")),
        min_nodes=whole(pairs.get("MinNodes")),
        max_nodes=whole(pairs.get("MaxNodes")),
        allow_accounts=allowed(pairs.get("AllowAccounts")),
        deny_accounts=frozenset(words(pairs.get("DenyAccounts"))),
        allow_qos=allowed(pairs.get("AllowQos")),
        deny_qos=frozenset(words(pairs.get("DenyQos"))),
        allow_groups=allowed(pairs.get("AllowGroups")),
        qos=text(pairs.get("QoS")),
        priority_tier=whole(pairs.get("PriorityTier")),
        preempt_mode=pairs.get("PreemptMode"),
        exclusive=pairs.get("OverSubscribe") == "EXCLUSIVE",
    )
