"""The MIT Supercloud dataset (Samsi et al., HPEC 2021): its Slurm log, `slurm-log.csv` or `scheduler-log.csv`.

Columns as the dataset's own notebook prints them, among them id_job, id_array_job, id_array_task, id_user, state,
timelimit, time_submit, time_start, time_end, tres_alloc, tres_req: rows of Slurm's accounting database. Times are Unix
seconds, 0 for never; limits are minutes, with Slurm's NO_VAL (4294967294) and INFINITE (4294967295) for none; resources
are `id=count` pairs, where by the dataset's README 1001 is gpu:tesla and 1002 gpu:volta. Ids are anonymised.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from csched.clock import from_epoch_s
from csched_sim.traces.intake import intake
from csched_sim.traces.table import table_rows
from csched_sim.traces.trace import ReadingNotes, TraceJob

COLUMNS: Final = (
    "id_job", "id_user", "state", "timelimit", "time_submit", "time_start", "time_end", "tres_alloc", "tres_req",
)  # fmt: skip
GPU_TRES: Final = ("1001", "1002")
NO_LIMIT_MIN: Final = 4_294_967_294


def read_supercloud(lines: Iterable[str], notes: ReadingNotes) -> Iterator[TraceJob]:
    """The GPU jobs of the log, in its order: as many GPUs as asked for, else as many as were given.

    Raises:
        InputError: a column is missing.
    """
    for line, row in table_rows(lines, notes, required=COLUMNS):
        try:
            submit_s, start_s, end_s = (_seconds(row[name]) for name in ("time_submit", "time_start", "time_end"))
            limit_min = int(float(row["timelimit"] or 0))
            gpus = _gpus(row["tres_req"]) or _gpus(row["tres_alloc"])
            submit = from_epoch_s(submit_s)
        except (ValueError, OverflowError, OSError):
            notes.fault("not a time, a number or a list of resources", line)
            continue
        if start_s == 0 or end_s == 0:
            notes.drop("never ran" if start_s == 0 else "had not ended", line)
            continue
        limit_s = limit_min * 60 if limit_min < NO_LIMIT_MIN else None
        facts = {"job": row["id_job"], "submit": submit, "user": row["id_user"] or None}
        job = intake(notes, line, facts, gpus=gpus, runtime_s=end_s - start_s, limit_s=limit_s)
        if job is not None:
            yield job


def _seconds(cell: str) -> int:
    """Whole seconds; empty is never. Tables that went through pandas say `1609459200.0`."""
    return int(float(cell or 0))


def _gpus(resources: str) -> int:
    """`1=40,2=340000,4=1,1002=2` -> 2."""
    pairs = (pair.partition("=") for pair in resources.split(",") if pair)
    return sum(int(count) for kind, _, count in pairs if kind in GPU_TRES)
