"""From the facts of one line to a job: the rules that all formats share."""

import math
from collections.abc import Mapping
from typing import Final

from pydantic import ValidationError

from csched.domain.job import Job
from csched_sim.traces.trace import Place, ReadingNotes, TraceJob

_OUT_OF_RANGE: Final = 1e15
"""Far beyond what a job may be, and still a whole number to the last digit."""


def intake(
    notes: ReadingNotes,
    place: Place,
    facts: Mapping[str, object],
    *,
    gpus: float,
    runtime_s: float,
    limit_s: int | None,
) -> TraceJob | None:
    """The job of one line, or null where it gives none; the notes say why.

    A part of a GPU counts as a whole one, a part of a second as a whole one. Without a limit the run time is the limit;
    a run longer than its limit is cut at the limit.

    Args:
        facts: other fields of `Job`; null is unknown.
        limit_s: null or 0 where the user set none or the format does not tell.
    """
    if not (abs(runtime_s) < _OUT_OF_RANGE and abs(gpus) < _OUT_OF_RANGE):
        notes.fault("a number is none, or out of range", place)
        return None
    if runtime_s <= 0:
        notes.drop("run time 0 or less", place)
        return None
    if gpus <= 0:
        notes.drop("asks for no GPU", place)
        return None
    whole_gpus, whole_s = math.ceil(gpus), math.ceil(runtime_s)
    try:
        job = Job.model_validate({**facts, "gpus": whole_gpus, "time_limit_s": limit_s or whole_s})
    except ValidationError as error:
        notes.fault(f"`{'.'.join(map(str, error.errors()[0]['loc']))}` is outside what a job may be", place)
        return None
    changed = notes.changed
    if whole_gpus != gpus:
        changed["a part of a GPU counted as a whole one"] += 1
    if whole_s != runtime_s:
        changed["run time rounded up to a whole second"] += 1
    if not limit_s:
        changed["limit assumed: the run time, for want of a time requested"] += 1
    elif whole_s > limit_s:
        changed["run cut at its limit"] += 1
    return TraceJob(job, min(whole_s, job.time_limit_s))
