"""Associations and QOS: `sacctmgr --parsable2 show ...` with the columns named here, `GET /slurmdb/...`."""

from collections.abc import Mapping
from typing import Any, Final

from csched_slurm.cluster import Association, Limits, Qos
from csched_slurm.parsing.fields import (
    Unreadable,
    at,
    document,
    listed,
    minutes_as_s,
    required,
    resources,
    seconds,
    table,
    text,
    whole,
    words,
)

ASSOCIATION_COLUMNS: Final = (
    "cluster,account,user,partition,qos,defaultqos,parentname,fairshare,"
    "maxjobs,maxsubmit,grpjobs,grpsubmit,grptres,grptresmins,maxtres,maxwall,grpwall"
)
QOS_COLUMNS: Final = (
    "name,priority,flags,maxjobspu,maxsubmitpu,grpjobs,grpsubmit,grptres,grptresmins,maxtres,maxtrespu,maxwall,grpwall"
)


def read_printed_associations(printed: str) -> tuple[Association, ...]:
    """Raises Unreadable."""
    return tuple(
        Association(
            cluster=row["Cluster"],
            account=row["Account"],
            user=text(row["User"]),
            partition=text(row["Partition"]),
            qos=frozenset(words(row["QOS"])),
            default_qos=text(row["Def QOS"]),
            parent=text(row["ParentName"]),
            fair_share=whole(row["Share"]) if row["Share"].isdigit() else None,
            limits=_limits(row, ""),
        )
        for row in table(printed)
    )


def read_printed_qos(printed: str) -> tuple[Qos, ...]:
    """Raises Unreadable."""
    return tuple(
        Qos(
            name=row["Name"],
            priority=whole(row["Priority"]) or 0,
            flags=frozenset(words(row["Flags"])),
            limits=_limits(row, "PU"),
        )
        for row in table(printed)
    )


def _limits(row: Mapping[str, str], per_user: str) -> Limits:
    return Limits(
        max_jobs=whole(row[f"MaxJobs{per_user}"]),
        max_submit=whole(row[f"MaxSubmit{per_user}"]),
        group_jobs=whole(row["GrpJobs"]),
        group_submit=whole(row["GrpSubmit"]),
        group_tres=resources(row["GrpTRES"]),
        group_tres_minutes=resources(row["GrpTRESMins"]),
        max_tres_per_job=resources(row["MaxTRES"]),
        max_tres_per_user=resources(row.get("MaxTRESPU", "")),
        max_wall_s=seconds(row["MaxWall"]),
        group_wall_s=seconds(row["GrpWall"]),
    )


def read_associations(answer: str | bytes) -> tuple[Association, ...]:
    """Raises Unreadable."""
    return tuple(
        Association(
            cluster=required(raw, "cluster"),
            account=required(raw, "account"),
            user=text(raw.get("user")),
            partition=text(raw.get("partition")),
            qos=frozenset(words(raw.get("qos"))),
            default_qos=text(at(raw, "default.qos")),
            parent=text(raw.get("parent_account")),
            fair_share=whole(raw.get("shares_raw")),
            limits=Limits(
                max_jobs=whole(at(raw, "max.jobs.active")),
                max_submit=whole(at(raw, "max.jobs.total")),
                group_jobs=whole(at(raw, "max.jobs.per.count")),
                group_submit=whole(at(raw, "max.jobs.per.submitted")),
                group_tres=resources(at(raw, "max.tres.total")),
                group_tres_minutes=resources(at(raw, "max.tres.group.minutes")),
                max_tres_per_job=resources(at(raw, "max.tres.per.job")),
                max_wall_s=minutes_as_s(at(raw, "max.jobs.per.wall_clock")),
                group_wall_s=minutes_as_s(at(raw, "max.per.account.wall_clock")),
            ),
        )
        for raw in listed(document(answer), "associations")
    )


def read_qos(answer: str | bytes) -> tuple[Qos, ...]:
    """v0.0.42 and later.

    Raises:
        Unreadable: also an earlier API's answer, which leaves GrpTRESMins out, so that a limit would be missed.
    """
    return tuple(_qos(raw) for raw in listed(document(answer), "qos"))


def _qos(raw: Mapping[str, Any]) -> Qos:
    most = at(raw, "limits.max") or {}
    if at(most, "tres.minutes.total") is None:
        raise Unreadable("the answer leaves out the GrpTRESMins of a QOS")
    return Qos(
        name=required(raw, "name"),
        priority=whole(raw.get("priority")) or 0,
        flags=frozenset(words(raw.get("flags"))),
        limits=Limits(
            max_jobs=whole(at(most, "jobs.active_jobs.per.user")),
            max_submit=whole(at(most, "jobs.per.user")),
            group_jobs=whole(at(most, "active_jobs.count")),
            group_submit=whole(at(most, "jobs.count")),
            group_tres=resources(at(most, "tres.total")),
            group_tres_minutes=resources(at(most, "tres.minutes.total")),
            max_tres_per_job=resources(at(most, "tres.per.job")),
            max_tres_per_user=resources(at(most, "tres.per.user")),
            max_wall_s=minutes_as_s(at(most, "wall_clock.per.job")),
            group_wall_s=minutes_as_s(at(most, "wall_clock.per.qos")),
        ),
    )
