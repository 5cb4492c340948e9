"""Slurm's accounting as text: `sacct --parsable2`, with or without steps (-X), duplicates (-D) and clusters (-M).

Columns by their names in sacct(1), in any order; docs/traces.md has the command. Timestamps are in the zone of the
machine that ran sacct and do not tell it, unless SLURM_TIME_FORMAT=%s made them seconds since 1970. A name with `|` in
it shifts the cells of its row, which then counts as malformed: leave JobName out.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Final

from csched.clock import from_epoch_s
from csched.errors import InputError, Where
from csched_sim.traces.intake import intake
from csched_sim.traces.slurm_values import PARTIAL_STATES, clock_s, gpus_of, job_name, listed_resources
from csched_sim.traces.table import Row, table_rows
from csched_sim.traces.trace import ReadingNotes, TraceJob

REQUIRED: Final = ("JobID", "State", "Submit", "Start", "End")
OPTIONAL: Final = (
    "ElapsedRaw", "Elapsed", "TimelimitRaw", "Timelimit", "ReqTRES", "AllocTRES", "User", "Account", "Cluster",
)  # fmt: skip
_NEVER: Final = frozenset({"", "None", "Unknown"})


def read_sacct(lines: Iterable[str], notes: ReadingNotes) -> Iterator[TraceJob]:
    """The jobs that ran and ended, in the order of the text: as many GPUs as asked for, else as were allocated.

    Steps are left behind; each component of a heterogeneous job becomes a job. The account becomes the tenant.

    Raises:
        InputError: a required column is missing, or both columns of resources are.
    """
    for line, row in table_rows(lines, notes, required=REQUIRED, optional=OPTIONAL, delimiter="|", quoted=False):
        if "ReqTRES" not in row and "AllocTRES" not in row:
            raise InputError(
                "neither `ReqTRES` nor `AllocTRES` is among the columns, so that no job has a size",
                hint="add ReqTRES,AllocTRES to --format of sacct",
                where=Where(str(notes.path), 1),
            )
        why_not = _why_no_job(row)
        if why_not is not None:
            notes.drop(why_not, line)
            continue
        try:
            submit = _instant(row["Submit"], notes)
            runtime_s, limit_s = _runtime_s(row, notes), _limit_s(row)
            gpus = gpus_of(listed_resources(row.get("ReqTRES", ""))) or gpus_of(
                listed_resources(row.get("AllocTRES", ""))
            )
        except (ValueError, OverflowError, OSError):
            notes.fault("not a time, a number or a list of resources", line)
            continue
        cluster = f"{row['Cluster']}-" if row.get("Cluster") else ""
        facts = {
            "job": cluster + job_name(row["JobID"]),
            "submit": submit,
            "user": row.get("User") or None,
            "tenant": row.get("Account") or None,
        }
        job = intake(notes, line, facts, gpus=gpus, runtime_s=runtime_s, limit_s=limit_s)
        if job is not None:
            if "+" in row["JobID"]:
                notes.changed["component of a heterogeneous job taken as a job of its own"] += 1
            yield job


def _why_no_job(row: Row) -> str | None:
    state = row["State"].partition(" ")[0]
    if "." in row["JobID"]:
        return "a step of a job"
    if state in PARTIAL_STATES:
        return PARTIAL_STATES[state]
    if row["Start"] in _NEVER:
        return "never ran"
    return "had not ended" if row["End"] in _NEVER else None


def _instant(text: str, notes: ReadingNotes) -> datetime:
    return from_epoch_s(int(text)) if text.isdecimal() else notes.instant(text)


def _runtime_s(row: Row, notes: ReadingNotes) -> float:
    """Without the time a job was suspended, where sacct was asked for that."""
    if row.get("ElapsedRaw"):
        return int(row["ElapsedRaw"])
    if row.get("Elapsed"):
        return clock_s(row["Elapsed"])
    return (_instant(row["End"], notes) - _instant(row["Start"], notes)).total_seconds()


def _limit_s(row: Row) -> int | None:
    """Null for UNLIMITED and for Partition_Limit, which sacct says where no limit was set."""
    raw, text = row.get("TimelimitRaw", ""), row.get("Timelimit", "")
    if raw.isdecimal():
        return int(raw) * 60
    return clock_s(text) if ":" in text else None
