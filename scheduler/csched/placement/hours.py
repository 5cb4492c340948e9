"""Hours of the day at which policy lets a job start nowhere, or not at some sites: start slots that are closed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt

from csched.domain.job import Job
from csched.domain.start_ban import StartBan
from csched.domain.verdict import Verdicts
from csched.placement.dtypes import Flags, Slots
from csched.placement.rooms import Room


@dataclass(frozen=True, eq=False)
class Hours:
    """Jobs and rooms with the same hours share one row; row 0 is open throughout."""

    closed: Flags
    """Shape (B, H)."""
    row_of: Slots
    """Shape (J, P)."""

    def closed_to(self, jobs: npt.NDArray[np.signedinteger[Any]], column: int) -> Flags:
        """Start slots that are closed to each of some jobs in one room; shape (len(jobs), H)."""
        shut: Flags = self.closed[self.row_of[jobs, column]]
        return shut


def hours(
    verdicts: Verdicts | None, jobs: Sequence[Job], rooms: Sequence[Room], now: datetime, slots: tuple[int, int]
) -> Hours:
    """`slots`: how many starts there are, and seconds from one to the next."""
    start_slots, slot_s = slots
    row_of = np.zeros((len(jobs), len(rooms)), dtype=np.int64)
    rows: dict[tuple[StartBan, ...], int] = {(): 0}
    for index, job in enumerate(jobs if verdicts else ()):
        bans = {verdict.site: verdict.bans for verdict in (verdicts or {}).get(job.job, ()) if verdict.bans}
        for column, room in enumerate(rooms if bans else ()):
            row_of[index, column] = rows.setdefault(bans.get(room.site.id, ()), len(rows))
    closed = np.zeros((len(rows), start_slots), dtype=bool)
    until = now + timedelta(seconds=start_slots * slot_s)
    for shut, row in rows.items():
        for begins, ends in (stretch for ban in shut for stretch in ban.intervals(now, until)):
            first, last = ((instant - now) / timedelta(seconds=slot_s) for instant in (begins, ends))
            closed[row, int(np.ceil(first)) : int(np.ceil(last))] = True
    return Hours(closed, row_of)
