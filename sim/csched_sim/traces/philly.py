"""Microsoft's Philly trace (Jeon et al., USENIX ATC 2019) as the CSV that Pollux and ElasticFlow hand round.

Columns: timestamp (local time, zone not stated), duration in seconds, num_gpus, gpu_time, cluster (virtual cluster).
There are no time limits, no users and no failures.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from csched_sim.traces.intake import intake
from csched_sim.traces.table import table_rows
from csched_sim.traces.trace import ReadingNotes, TraceJob

COLUMNS: Final = ("timestamp", "duration", "num_gpus", "cluster")


def read_philly(lines: Iterable[str], notes: ReadingNotes) -> Iterator[TraceJob]:
    """The jobs of a Philly CSV, in its order (which is not that of time); ids are `philly-` and the line.

    The virtual cluster becomes the tenant.

    Raises:
        InputError: a column is missing.
    """
    for line, row in table_rows(lines, notes, required=COLUMNS):
        try:
            submit = notes.instant(row["timestamp"])
            runtime_s, gpus = float(row["duration"]), int(row["num_gpus"])
        except (ValueError, OverflowError):
            notes.fault("not a time or a number", line)
            continue
        facts = {"job": f"philly-{line}", "submit": submit, "tenant": row["cluster"] or None}
        job = intake(notes, line, facts, gpus=gpus, runtime_s=runtime_s, limit_s=None)
        if job is not None:
            yield job
