"""SenseTime's Helios traces (Hu et al., SC 2021): `cluster_log.csv` of one cluster.

Columns as the README of S-Lab-System-Group/HeliosData (CC BY 4.0) gives them: job_id, user, vc (virtual cluster),
gpu_num, cpu_num, node_num, state, submit_time, start_time, end_time, duration (s, from start to end), queue (s).
Timestamps have no zone. There are no time limits; more than half of the jobs ask for no GPU.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from csched_sim.traces.intake import intake
from csched_sim.traces.table import table_rows
from csched_sim.traces.trace import ReadingNotes, TraceJob

COLUMNS: Final = ("job_id", "user", "vc", "gpu_num", "submit_time", "start_time", "duration")


def read_helios(lines: Iterable[str], notes: ReadingNotes) -> Iterator[TraceJob]:
    """The jobs of a Helios log, in its order; the virtual cluster becomes the tenant.

    Raises:
        InputError: a column is missing.
    """
    for line, row in table_rows(lines, notes, required=COLUMNS):
        if not row["start_time"]:
            notes.drop("never ran", line)
            continue
        try:
            submit = notes.instant(row["submit_time"])
            gpus, runtime_s = int(row["gpu_num"]), float(row["duration"])
        except (ValueError, OverflowError):
            notes.fault("not a time or a number", line)
            continue
        facts = {"job": row["job_id"], "submit": submit, "user": row["user"] or None, "tenant": row["vc"] or None}
        job = intake(notes, line, facts, gpus=gpus, runtime_s=runtime_s, limit_s=None)
        if job is not None:
            yield job
