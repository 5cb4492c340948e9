"""SURF's Slurm trace of 2022 as OpenDC's experiments hand it round: id, submission_time and duration (both in ms).

The table has no sizes: its CPU count is the same for every job, and it counts no GPUs.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from csched.errors import InputError, Where
from csched_sim.traces.trace import ReadingNotes, TraceJob

COLUMNS: Final = ("id", "submission_time", "duration")


def read_surf(_lines: Iterable[str], notes: ReadingNotes) -> Iterator[TraceJob]:
    """Refuse: a size is not to be guessed.

    Raises:
        InputError: always, with the way to state a size of one's own.
    """
    raise InputError(
        "this trace of SURF does not say how large its jobs are",
        hint="state a size of your own with --mapping: `gpus: {value: 1}`; docs/traces.md has the file",
        where=Where(notes.file),
    )
