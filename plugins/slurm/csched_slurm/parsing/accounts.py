"""Associations and QOS: `sacctmgr --parsable2 show ...` with the columns named here."""

from collections.abc import Mapping
from typing import Final

from csched_slurm.cluster import Association, Limits, Qos
from csched_slurm.parsing.fields import resources, seconds, table, text, whole, words

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
