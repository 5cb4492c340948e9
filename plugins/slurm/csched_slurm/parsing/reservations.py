"""Reservations and licences: `scontrol --oneliner show ...` and slurmrestd."""

from collections.abc import Mapping
from typing import Any

from csched_slurm.cluster import ClusterReservation, Licence
from csched_slurm.parsing.fields import (
    Unreadable,
    document,
    hosts,
    instant,
    lines_of_pairs,
    listed,
    text,
    whole,
    words,
)


def read_reservations(answer: str | bytes) -> tuple[ClusterReservation, ...]:
    """Raises Unreadable."""
    return tuple(_reservation(raw) for raw in listed(document(answer), "reservations"))


def read_printed_reservations(printed: str) -> tuple[ClusterReservation, ...]:
    """Raises Unreadable."""
    names = {
        "ReservationName": "name",
        "StartTime": "start_time",
        "EndTime": "end_time",
        "Nodes": "node_list",
        "PartitionName": "partition",
        "Users": "users",
        "Accounts": "accounts",
        "Flags": "flags",
        "Licenses": "licenses",
    }
    entries = [pairs for pairs in lines_of_pairs(printed) if "ReservationName" in pairs]
    return tuple(_reservation({names[key]: value for key, value in pairs.items() if key in names}) for pairs in entries)


def _reservation(raw: Mapping[str, Any]) -> ClusterReservation:
    start, end = instant(raw.get("start_time")), instant(raw.get("end_time"))
    if start is None or end is None:
        raise Unreadable("the answer has a reservation without a beginning or an end")
    return ClusterReservation(
        name=str(raw.get("name") or ""),
        start=start,
        end=end,
        nodes=hosts(raw.get("node_list")),
        partition=text(raw.get("partition")),
        users=frozenset(words(raw.get("users"))),
        accounts=frozenset(words(raw.get("accounts"))),
        flags=frozenset(words(raw.get("flags"))),
        licenses=text(raw.get("licenses")),
    )


def read_licences(answer: str | bytes) -> tuple[Licence, ...]:
    """Raises Unreadable."""
    return tuple(
        _licence(raw.get("LicenseName"), raw.get("Total"), raw.get("Used"), raw.get("Reserved"))
        for raw in listed(document(answer), "licenses")
    )


def read_printed_licences(printed: str) -> tuple[Licence, ...]:
    """Raises Unreadable."""
    return tuple(
        _licence(pairs["LicenseName"], pairs.get("Total"), pairs.get("Used"), pairs.get("Reserved"))
        for pairs in lines_of_pairs(printed)
        if "LicenseName" in pairs
    )


def _licence(name: object, total: object, used: object, reserved: object) -> Licence:
    count = whole(total)
    if not isinstance(name, str) or count is None:
        raise Unreadable("the answer has a licence without a name or a number")
    return Licence(name=name, total=count, used=whole(used) or 0, reserved=whole(reserved) or 0)
