"""List scheduling: one job after another to its cheapest start that still has room."""

from dataclasses import dataclass

import numpy as np

from csched.placement.dtypes import Flags, Floats, Ints
from csched.placement.oracle import HeldPrices, Oracle
from csched.placement.prices import usage
from csched.placement.problem import Problem


@dataclass(frozen=True, eq=False)
class Schedule:
    """Room and start slot of each job, -1 where it is left out; shapes (J,)."""

    room: Ints
    slot: Ints

    @staticmethod
    def empty(problem: Problem) -> "Schedule":
        return Schedule(np.full(len(problem.jobs), -1), np.full(len(problem.jobs), -1))


class Board:
    """What is left of each room and site while jobs are put in; integers throughout."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.gpus_left = problem.gpus_left.copy()
        self.power_left = problem.power_left.copy()

    @staticmethod
    def of(problem: Problem, schedule: Schedule) -> "Board":
        """What a schedule leaves."""
        board = Board(problem)
        gpus, power = usage(problem, schedule.room, schedule.slot)
        board.gpus_left -= gpus
        board.power_left -= power
        return board

    @property
    def valid(self) -> bool:
        """Nothing is overfilled."""
        return bool(self.gpus_left.min(initial=0) >= 0 and self.power_left.min(initial=0) >= 0)

    def fits(self, job: int) -> Flags:
        """Starts at which the job finds room for all of its hold, allowed or not; shape (P, H)."""
        problem = self.problem
        hold = problem.hold_slots[job][:, None]
        fits: Flags = problem.free_slots(self.gpus_left, problem.gpus_held[job]) >= hold
        fits &= problem.free_slots(self.power_left[problem.room_site], problem.power[job]) >= hold
        return fits

    def has_room(self, job: int, room: int, slot: int) -> bool:
        """Whether the job finds room for all of its hold at one start, allowed or not."""
        problem = self.problem
        end = int(problem.row_after(np.array([slot + problem.hold_slots[job, room]]))[0])
        free = self.gpus_left[room, slot:end].min() >= problem.gpus_held[job, room]
        return bool(free and self.power_left[problem.room_site[room], slot:end].min() >= problem.power[job, room])

    def occupy(self, room: int, rows: slice, gpus: int, power: int) -> None:
        """Take GPUs and power units away in some rows; less than nothing is never left."""
        site = self.problem.room_site[room]
        self.gpus_left[room, rows] = np.maximum(self.gpus_left[room, rows] - gpus, 0)
        self.power_left[site, rows] = np.maximum(self.power_left[site, rows] - power, 0)

    def put(self, job: int, room: int, slot: int) -> None:
        self._take(job, room, slot, 1)

    def lift(self, job: int, room: int, slot: int) -> None:
        self._take(job, room, slot, -1)

    def _take(self, job: int, room: int, slot: int, sign: int) -> None:
        problem = self.problem
        end = int(problem.row_after(np.array([slot + problem.hold_slots[job, room]]))[0])
        self.gpus_left[room, slot:end] -= sign * problem.gpus_held[job, room]
        self.power_left[problem.room_site[room], slot:end] -= sign * problem.power[job, room]


def insert(oracle: Oracle, board: Board, schedule: Schedule, jobs: Ints, held: HeldPrices | None = None) -> Schedule:
    """Put `jobs` in, in this order, each to its least reduced (without `held` prices: true) cost that fits."""
    room, slot = schedule.room.copy(), schedule.slot.copy()
    for job in jobs:
        one = np.array([job])
        price: Floats = oracle.costs_kg(one)[0] if held is None else oracle.reduced_kg(one, held)[0]
        price = np.where(board.fits(int(job)), price, np.inf)
        best = int(price.argmin())
        if np.isfinite(price.flat[best]):
            room[job], slot[job] = divmod(best, oracle.problem.start_slots)
            board.put(int(job), int(room[job]), int(slot[job]))
    return Schedule(room, slot)


def big_first(problem: Problem) -> Ints:
    """Jobs with the most GPU-slots first; of equals, higher priority, then the order of arrival."""
    size = problem.gpus_held.max(axis=1, initial=0) * problem.longest_hold
    priority = np.array([job.priority for job in problem.jobs], dtype=np.int64)
    return np.lexsort((np.arange(len(problem.jobs)), -priority, -size)).astype(np.int64)


def cost_kg(oracle: Oracle, schedule: Schedule) -> float:
    """Cost of the placed jobs and penalties of those left out that have one."""
    total = 0.0
    for jobs in oracle.chunks():
        every = oracle.costs_kg(jobs)
        for index, job in enumerate(jobs):
            room = schedule.room[job]
            total += (
                float(np.nan_to_num(oracle.penalty_kg[job]))
                if room < 0
                else float(every[index, room, schedule.slot[job]])
            )
    return total
