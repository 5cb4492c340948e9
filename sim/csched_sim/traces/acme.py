"""Shanghai AI Lab's Acme traces (Hu et al., NSDI 2024): `trace_seren.csv` and `trace_kalos.csv`.

Columns as the README of InternLM/AcmeTrace gives them: job_id, user, node_num, gpu_num, cpu_num, type, state,
submit_time, start_time, end_time (ISO 8601 with an offset), duration, queue, gpu_time; Kalos has some more between
them. By that README `duration` is from start to end; its own rows of Kalos count from the submission. So the run time
is taken from the two instants, and where `duration` says something else that is counted. There are no time limits.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from csched_sim.traces.intake import intake
from csched_sim.traces.table import table_rows
from csched_sim.traces.trace import ReadingNotes, TraceJob

COLUMNS: Final = ("job_id", "user", "gpu_num", "type", "submit_time", "start_time", "end_time", "duration")


def read_acme(lines: Iterable[str], notes: ReadingNotes) -> Iterator[TraceJob]:
    """The jobs of an Acme trace, in its order.

    Raises:
        InputError: a column is missing.
    """
    for line, row in table_rows(lines, notes, required=COLUMNS):
        if not row["start_time"] or not row["end_time"]:
            notes.drop("never ran" if not row["start_time"] else "had not ended", line)
            continue
        try:
            submit = notes.instant(row["submit_time"])
            runtime_s = (notes.instant(row["end_time"]) - notes.instant(row["start_time"])).total_seconds()
            gpus, told_s = float(row["gpu_num"]), float(row["duration"] or "nan")
        except (ValueError, OverflowError):
            notes.fault("not a time or a number", line)
            continue
        facts = {"job": row["job_id"], "submit": submit, "user": row["user"] or None}
        job = intake(notes, line, facts, gpus=gpus, runtime_s=runtime_s, limit_s=None)
        if job is not None:
            if told_s != runtime_s:
                notes.changed["run time from start to end, where `duration` says something else"] += 1
            yield job
