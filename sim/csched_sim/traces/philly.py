"""Microsoft's Philly trace (Jeon et al., USENIX ATC 2019) as the CSV that Pollux and ElasticFlow hand round.

Columns: timestamp (local time, zone not stated), duration in seconds, num_gpus, gpu_time, cluster (virtual cluster).
"""

import csv
import math
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Final

from pydantic import ValidationError

from csched.domain.job import Job
from csched.errors import InputError, Where
from csched_sim.traces.trace import ReadingNotes, TraceJob

COLUMNS: Final = ("timestamp", "duration", "num_gpus", "cluster")


def read_philly(lines: Iterable[str], notes: ReadingNotes) -> Iterator[TraceJob]:
    """The jobs of a Philly CSV, in its order (which is not that of time); ids are `philly-` and the line.

    The trace has no time limits: each job's limit is its run time. The virtual cluster becomes the tenant.

    Raises:
        InputError: a column is missing.
    """
    rows = csv.reader(lines)
    header = [name.strip() for name in next(rows, [])]
    for name in COLUMNS:
        if name not in header:
            raise InputError(
                f"the column `{name}` is missing",
                hint=f"a Philly CSV has {', '.join(COLUMNS)}",
                where=Where(notes.file, 1, name),
            )
    notes.assumptions.append("the zone of the timestamps is not stated: taken as UTC")
    notes.assumptions.append("no time limits in this format: the limit of each job is its run time")
    position = {name: header.index(name) for name in COLUMNS}
    for cells in rows:
        line = rows.line_num
        if not cells:
            continue
        if len(cells) != len(header):
            notes.drop(f"malformed: not {len(header)} cells", line)
            continue
        job = _job({name: cells[index] for name, index in position.items()}, line, notes)
        if job is not None:
            yield job


def _job(row: dict[str, str], line: int, notes: ReadingNotes) -> TraceJob | None:
    try:
        submit = datetime.fromisoformat(row["timestamp"])
        duration = float(row["duration"])
        gpus = int(row["num_gpus"])
        runtime_s = math.ceil(duration)
    except (ValueError, OverflowError):
        notes.drop("malformed: not a time or a number", line)
        return None
    if runtime_s <= 0:
        notes.drop("run time 0 or less", line)
        return None
    if gpus <= 0:
        notes.drop("no size", line)
        return None
    try:
        job = Job(
            job=f"philly-{line}",
            submit=submit.replace(tzinfo=submit.tzinfo or UTC),
            tenant=row["cluster"] or None,
            gpus=gpus,
            time_limit_s=runtime_s,
        )
    except ValidationError:
        notes.drop("malformed: outside what a job may be", line)
        return None
    if runtime_s != duration:
        notes.changed["run time rounded up to a whole second"] += 1
    return TraceJob(job, runtime_s)
