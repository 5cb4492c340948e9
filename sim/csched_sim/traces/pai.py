"""Alibaba's PAI trace of 2020 (Weng et al., NSDI 2022): the job table, with the task table beside it.

The tables are published without header rows; their columns stand in files of their own and in the README of
alibaba/clusterdata, cluster-trace-gpu-v2020 (CC BY 4.0):

    pai_job_table       job_name, inst_id, user, status, start_time (the submission), end_time
    pai_task_table      job_name, task_name, inst_num, status, start_time, end_time, plan_cpu, plan_mem, plan_gpu,
                        gpu_type
    pai_instance_table  job_name, task_name, inst_name, worker_name, inst_id, status, start_time, end_time, machine

`plan_gpu` is in percent of a GPU for each instance. Times are seconds, shifted by a constant so that in UTC+8 the hour
and the weekday are true and the date is not.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final

from csched.clock import from_epoch_s
from csched.errors import InputError, Where
from csched_sim.traces.intake import intake
from csched_sim.traces.lines import open_lines
from csched_sim.traces.table import Row, table_rows
from csched_sim.traces.trace import ReadingNotes, TraceJob

JOB_COLUMNS: Final = ("job_name", "inst_id", "user", "status", "start_time", "end_time")
TASK_COLUMNS: Final = (
    "job_name", "task_name", "inst_num", "status", "start_time", "end_time", "plan_cpu", "plan_mem", "plan_gpu",
    "gpu_type",
)  # fmt: skip
INSTANCE_COLUMNS: Final = (
    "job_name", "task_name", "inst_name", "worker_name", "inst_id", "status", "start_time", "end_time", "machine",
)  # fmt: skip
STATUSES: Final = frozenset({"Running", "Terminated", "Failed", "Waiting"})


@dataclass(slots=True)
class _Work:
    """What the tasks of one job add up to. Times in seconds; NaN once a part of it has not begun or ended."""

    gpu_percent: float = 0.0
    begin_s: float = math.inf
    end_s: float = -math.inf

    def run(self, begin_s: float, end_s: float) -> None:
        if math.isnan(begin_s) or math.isnan(end_s):
            self.begin_s = self.end_s = math.nan
        elif not math.isnan(self.begin_s):
            self.begin_s, self.end_s = min(self.begin_s, begin_s), max(self.end_s, end_s)


def read_pai(lines: Iterable[str], notes: ReadingNotes) -> Iterator[TraceJob]:
    """The jobs of the job table, in its order; each holds the GPUs of all its tasks together, as one gang.

    The run is from the launch of the first task to the end of the last. Where the instance table lies beside the other
    two, it is from the launch of the first instance to the end of the last one instead.

    Raises:
        InputError: this is not the job table, or no task table lies beside it.
    """
    folder = notes.path.parent
    work = _work_by_job(folder, notes)
    notes.assume("dates are shifted by the publisher; in UTC+8 the hours and weekdays are true")
    for line, row in _rows(lines, notes, JOB_COLUMNS):
        known = work.get(row["job_name"])
        if known is None:
            notes.drop("no task of it is known", line)
            continue
        if not math.isfinite(known.begin_s) or not math.isfinite(known.end_s):
            notes.drop("never ran, or had not ended", line)
            continue
        try:
            submit = from_epoch_s(float(row["start_time"]))
        except (ValueError, OverflowError, OSError):
            notes.fault("not a time", line)
            continue
        facts = {"job": row["job_name"], "submit": submit, "user": row["user"] or None}
        runtime_s = known.end_s - known.begin_s
        job = intake(notes, line, facts, gpus=known.gpu_percent / 100, runtime_s=runtime_s, limit_s=None)
        if job is not None:
            yield job


def _work_by_job(folder: Path, notes: ReadingNotes) -> dict[str, _Work]:
    tasks = _beside(folder, "pai_task_table")
    if tasks is None:
        raise InputError(
            "the task table does not lie beside it: the sizes of the jobs are there",
            hint="put pai_task_table.csv or pai_task_table.csv.gz into the same folder",
            where=Where(notes.file),
        )
    instances = _beside(folder, "pai_instance_table")
    work: dict[str, _Work] = {}
    for place, row in _side_rows(tasks, notes, TASK_COLUMNS):
        try:
            percent = float(row["inst_num"] or 0) * float(row["plan_gpu"] or 0)
            begin_s, end_s = float(row["start_time"] or "nan"), float(row["end_time"] or "nan")
        except ValueError:
            notes.fault("not a time or a number", place)
            continue
        known = work.setdefault(row["job_name"], _Work())
        known.gpu_percent += percent
        if instances is None:
            known.run(begin_s, end_s)
    if instances is not None:
        _run_by_instances(work, instances, notes)
    return work


def _run_by_instances(work: dict[str, _Work], instances: Path, notes: ReadingNotes) -> None:
    for place, row in _side_rows(instances, notes, INSTANCE_COLUMNS):
        known = work.get(row["job_name"])
        if known is None:
            continue
        try:
            known.run(float(row["start_time"] or "nan"), float(row["end_time"] or "nan"))
        except ValueError:
            notes.fault("not a time or a number", place)


def _beside(folder: Path, table: str) -> Path | None:
    return next((path for suffix in (".csv", ".csv.gz") if (path := folder / f"{table}{suffix}").is_file()), None)


def _side_rows(path: Path, notes: ReadingNotes, columns: tuple[str, ...]) -> Iterator[tuple[Where, Row]]:
    """The rows of a table beside the job table: its faults are counted, its lines are not lines of the trace."""
    counted = notes.lines
    with open_lines(path) as lines:
        for line, row in _rows(lines, notes, columns):
            yield Where(path.name, line), row
    notes.lines = counted


def _rows(lines: Iterable[str], notes: ReadingNotes, columns: tuple[str, ...]) -> Iterator[tuple[int, Row]]:
    """Rows with or without a header row."""
    remaining = iter(lines)
    first = next(remaining, "")
    cells = [cell.strip() for cell in first.split(",")]
    if first and len(cells) != len(columns):
        raise InputError(
            f"{len(columns)} columns were expected: {', '.join(columns)}",
            hint="give pai_job_table.csv; the other tables are found beside it",
            where=Where(notes.file, 1),
        )
    whole = chain([first], remaining)
    header = None if cells[0] == columns[0] else columns
    yield from table_rows(whole, notes, required=columns, header=header)
