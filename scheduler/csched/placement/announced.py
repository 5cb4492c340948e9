"""What users were told of jobs that still wait, in the terms of one problem."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

import numpy as np
import numpy.typing as npt

from csched.domain.snapshot import Snapshot

NOT_ANNOUNCED = -1


class Announced:
    """Announced starts and what moving one counts for in the search; room and slot are NOT_ANNOUNCED without one.

    Slots lie on the grid of this `now`, hence the first one that is not before the announced instant stands for it. A
    start that passed less than a slot ago is meant for now; one that passed longer ago is free.
    """

    def __init__(self, snapshot: Snapshot, jobs: Sequence[str], gpus: npt.NDArray[np.int64], rooms: Sequence[str]):
        """`rooms` are keys as in a certificate."""
        self.room = np.full(len(jobs), NOT_ANNOUNCED)
        self.slot = np.full(len(jobs), NOT_ANNOUNCED)
        if snapshot.standing is not None:
            self._look_up(snapshot, jobs, {key: index for index, key in enumerate(rooms)})
        self.move_kg = np.where(self.room >= 0, snapshot.fleet.objective.move_kg_per_gpu * gpus, 0.0)
        """Shapes (J,)."""

    def _look_up(self, snapshot: Snapshot, jobs: Sequence[str], room_of: Mapping[str, int]) -> None:
        starts = snapshot.standing.starts if snapshot.standing else {}
        step = timedelta(seconds=snapshot.slot_s)
        for index, job in enumerate(jobs):
            told = starts.get(job)
            room = room_of.get(told.room) if told else None
            slot = -((snapshot.now - told.start) // step) if told else NOT_ANNOUNCED
            if room is not None and slot >= 0:
                self.room[index], self.slot[index] = room, slot
