"""Alibaba's GPU cluster of 2023, "openb" (Weng et al., USENIX ATC 2023): a list of pods.

Columns: name, cpu_milli, memory_mib, num_gpu, gpu_milli (of each GPU), gpu_spec (types allowed, joined by `|`), qos,
pod_phase, creation_time, deletion_time, scheduled_time; times in seconds from the beginning of the trace. Pods that
stayed Pending were never scheduled, so that nothing tells how long they would have run.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from csched.clock import from_epoch_s
from csched_sim.traces.intake import intake
from csched_sim.traces.table import table_rows
from csched_sim.traces.trace import ReadingNotes, TraceJob

COLUMNS: Final = (
    "name", "num_gpu", "gpu_milli", "gpu_spec", "pod_phase", "creation_time", "deletion_time", "scheduled_time",
)  # fmt: skip


def read_openb(lines: Iterable[str], notes: ReadingNotes) -> Iterator[TraceJob]:
    """The pods that ran, in the order of the list: submitted when created, running from scheduled to deleted.

    Raises:
        InputError: a column is missing.
    """
    notes.assume("times count from the beginning of the trace, which is taken as 1970-01-01T00:00:00Z")
    for line, row in table_rows(lines, notes, required=COLUMNS):
        if not row["scheduled_time"]:
            notes.drop(f"never scheduled ({row['pod_phase'][:20]})", line)
            continue
        try:
            submit = from_epoch_s(int(row["creation_time"]))
            runtime_s = int(row["deletion_time"]) - int(row["scheduled_time"])
            gpus = int(row["num_gpu"]) * int(row["gpu_milli"] or 0) / 1000
        except (ValueError, OverflowError, OSError):
            notes.fault("not a time or a number", line)
            continue
        job = intake(notes, line, {"job": row["name"], "submit": submit}, gpus=gpus, runtime_s=runtime_s, limit_s=None)
        if job is not None:
            if row["gpu_spec"]:
                notes.changed["types of GPU asked for are not in csched's catalogue: left free"] += 1
            yield job
