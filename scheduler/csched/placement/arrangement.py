"""A schedule while jobs are moved about in it, with all that binds them to each other; plain numpy, a job at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from csched.domain.quota import QuotaRow
from csched.placement.arrays import Arrays
from csched.placement.dependencies import Dependencies
from csched.placement.domains import Domains
from csched.placement.dtypes import Flags, Floats, Ints
from csched.placement.gangs import Gangs
from csched.placement.problem import Problem
from csched.placement.quotas import Quotas
from csched.placement.schedule import Board, Schedule


class Ties:
    """What binds the jobs of a problem beyond room and power."""

    def __init__(self, problem: Problem, quotas: Sequence[QuotaRow]) -> None:
        self._problem = problem
        self.gangs = Gangs(problem)
        self.hold: Ints = problem.hold_slots.astype(np.int64)
        """Slots that each job holds in each room; of several parts the longest; shape (J, P)."""
        for job in self.gangs.parts_of:
            self.hold[job] = self.gangs.longest_hold(job)
        self.dependencies = Dependencies(problem, self.hold)
        self.domains = Domains(problem)
        self.rows = tuple(quotas)
        self.bound = bool(
            self.gangs or self.dependencies or Arrays(problem, self.hold).limit or self.rows or self.domains.too_small
        )
        """Whether anything binds any job."""

    def searched(self, problem: Problem) -> Problem:
        """What the kernels plan: windows in which chains fit, only rooms whose NVLink domains hold the job together,
        jobs of several parts left to be put in later."""
        if self.dependencies:
            problem = self.dependencies.tightened(self.gangs.windows(problem))
        return self.gangs.without(self.domains.without(problem))

    def holdings(self, job: int, rooms: Sequence[int]) -> list["Holding"]:
        """What each part of the job holds in its room."""
        several = self.gangs.parts if job in self.gangs.parts_of else None
        parts, problem = self.gangs.parts_of.get(job, [job]), several or self._problem
        return [
            Holding(
                room,
                int(problem.hold_slots[part, room]),
                int(problem.gpus_held[part, room]),
                int(problem.power[part, room]),
            )
            for part, room in zip(parts, rooms, strict=True)
        ]


class Holding(NamedTuple):
    """What a part of a job holds from its start on."""

    room: int
    slots: int
    gpus: int
    power: int
    """Power units."""


@dataclass(frozen=True)
class Spot:
    """Where a job is: its slot and a room for each of its parts (one, but for heterogeneous jobs)."""

    slot: int
    rooms: tuple[int, ...]
    cost_kg: float = np.nan


class Arrangement:
    """Who is where. `slot` and `end` are -1 for jobs that are left out; shapes (J,)."""

    def __init__(self, problem: Problem, ties: Ties, schedule: Schedule) -> None:
        """`problem` has no starts for jobs of several parts; `schedule` leaves them out."""
        self.problem, self.ties = problem, ties
        self.board = Board.of(problem, schedule)
        self.room, self.slot = schedule.room.copy(), schedule.slot.copy()
        self.end = np.where(self.room >= 0, self.slot + self._holds(self.room), -1)
        self.rooms: dict[int, tuple[int, ...]] = {}
        """Rooms of the parts of placed jobs that have several."""
        self.not_now: set[tuple[int, int]] = set()
        """(job, room): its nodes as they lie now cannot hold the job, though the GPUs would do."""
        self.arrays, self.quotas = Arrays(problem, ties.hold), Quotas(problem, ties.rows)
        if ties.bound:
            for job in np.flatnonzero(self.room >= 0).tolist():
                self._count(job, 1)

    def _holds(self, room: Ints) -> Ints:
        return self.ties.hold[np.arange(len(room)), np.maximum(room, 0)]

    @property
    def schedule(self) -> Schedule:
        """A job of several parts stands in the room of its first."""
        return Schedule(self.room.copy(), self.slot.copy())

    def total_kg(self, penalty_kg: Floats) -> float:
        """Cost of the placed jobs and the penalties of the others that have one."""
        placed = [self.cost_kg(job, self.spot(job)) for job in np.flatnonzero(self.room >= 0).tolist()]
        return sum(placed) + float(np.nansum(penalty_kg[self.room < 0]))

    def placed(self, job: int) -> bool:
        return bool(self.room[job] >= 0)

    def spot(self, job: int) -> Spot:
        """Of a placed job."""
        return Spot(int(self.slot[job]), self.rooms.get(job, (int(self.room[job]),)))

    def window(self, job: int, *, heed_followers: bool = True) -> Flags | None:
        """Starts that dependencies, arrays, shares and NVLink domains leave it, shape (P, H); None without one."""
        dependencies = self.ties.dependencies
        ready = dependencies.ready(job, self)
        if ready is None:
            return None
        slots = np.arange(self.problem.start_slots)
        window = np.broadcast_to(slots >= ready, (len(self.problem.rooms), len(slots)))
        if heed_followers and job in dependencies.behind:
            window = window & (slots <= dependencies.latest(job, self)[:, None])
        if (few := self.arrays.allows(job)) is not None:
            window = window & few
        if (rooms := self.quotas.allows(job)) is not None:
            window = window & rooms[:, None]
        if (small := self.ties.domains.too_small.get(job)) is not None:
            window = window & ~small[:, None]
        if full := [room for each, room in self.not_now if each == job]:
            window = window & ~((slots == 0) & np.isin(np.arange(len(window)), full)[:, None])
        return window

    def best(
        self,
        job: int,
        board: Board | None = None,
        *,
        but: Flags | None = None,
        heed_followers: bool = True,
        soonest: bool = False,
    ) -> Spot | None:
        """The cheapest start that fits on the board, in no room of `but` (shape (P,)); None without one.

        `soonest`: of a job of one kind the start whose limit runs out first.
        """
        window = self.window(job, heed_followers=heed_followers)
        if window is not None and but is not None:
            window = window & ~but[:, None]
        if window is None or not window.any():
            return None
        board = board or self.board
        if job in self.ties.gangs.parts_of:
            found = self.ties.gangs.best(job, board, window)
            return None if found is None else Spot(*found)
        if (self.problem.first[job] > self.problem.last[job]).all():
            return None
        fits = window & board.fits(job)
        return self._least(job, fits, soonest=soonest) if fits.any() else None

    def _least(self, job: int, fits: Flags, *, soonest: bool) -> Spot | None:
        cost = np.where(fits, self.problem.costs_kg(job), np.inf)
        if not np.isfinite(cost).any():
            return None
        ends = np.arange(self.problem.start_slots) + self.ties.hold[job][:, None]
        best = int(np.where(np.isfinite(cost), ends, np.inf).argmin() if soonest else cost.argmin())
        room, slot = divmod(best, self.problem.start_slots)
        return Spot(slot, (room,), float(cost.flat[best]))

    def cost_kg(self, job: int, spot: Spot) -> float:
        """True cost of a start; of all parts of a job of several."""
        if job in self.ties.gangs.parts_of:
            return self.ties.gangs.cost_kg(job, spot.slot, spot.rooms)
        return float(self.problem.costs_kg(job)[spot.rooms[0], spot.slot])

    def put(self, job: int, spot: Spot) -> None:
        self.take(job, spot, self.board)
        self.note(job, spot)

    def note(self, job: int, spot: Spot) -> None:
        """The job is there now; the board is as it was."""
        self.room[job], self.slot[job] = spot.rooms[0], spot.slot
        if job in self.ties.gangs.parts_of:
            self.rooms[job] = spot.rooms
            self.end[job] = self.ties.gangs.end(job, spot.slot, spot.rooms)
        else:
            self.end[job] = spot.slot + self.ties.hold[job, spot.rooms[0]]
        self._count(job, 1)

    def lift(self, job: int) -> Spot:
        spot = self.spot(job)
        self._count(job, -1)
        self.take(job, spot, self.board, sign=-1)
        self.room[job] = self.slot[job] = self.end[job] = -1
        self.rooms.pop(job, None)
        return spot

    def take(self, job: int, spot: Spot, board: Board, sign: int = 1) -> None:
        """Take what the job holds there off a board; the schedule stays as it is."""
        if job in self.ties.gangs.parts_of:
            for part, room in zip(self.ties.gangs.parts_of[job], spot.rooms, strict=True):
                self.ties.gangs.take(part, room, spot.slot, board, sign)
        elif sign > 0:
            board.put(job, spot.rooms[0], spot.slot)
        else:
            board.lift(job, spot.rooms[0], spot.slot)

    def _count(self, job: int, sign: int) -> None:
        self.arrays.put(job, int(self.slot[job]), int(self.end[job]), sign)
        self.quotas.put(job, self.spot(job).rooms, sign)

    @cached_property
    def bound_jobs(self) -> list[int]:
        """Jobs to which others are bound, the awaited first."""
        ties = self.ties
        bound = (
            {*ties.dependencies.jobs} | {*self.arrays.jobs.tolist()} | {*self.quotas.of_job} | {*ties.gangs.parts_of}
        )
        return sorted(bound, key=lambda job: (self.depth.get(job, 0), job))

    def left_out(self) -> list[int]:
        """Jobs without a place, the most urgent first: by priority, those awaited first, then big ones."""
        problem = self.problem
        size = (problem.gpus_held.max(axis=1, initial=0) * self.ties.hold.max(axis=1, initial=0)).tolist()
        depth = self.depth
        out = np.flatnonzero(self.room < 0).tolist()
        return sorted(out, key=lambda job: (-problem.jobs[job].priority, depth.get(job, 0), -size[job], job))

    @cached_property
    def depth(self) -> dict[int, int]:
        """Length of the longest chain that ends with each job that waits for others."""
        depth: dict[int, int] = {}
        for job in self.ties.dependencies.order.tolist():
            waits = self.ties.dependencies.before.get(job, ())
            depth[job] = 1 + max((depth.get(wait.job, 0) for wait in waits), default=-1)
        return depth

    def lift_with_followers(self, job: int) -> dict[int, Spot]:
        """Lift a job and all placed jobs that wait for it; where they were."""
        followers = [each for each in self.ties.dependencies.followers(job) if self.placed(each)]
        return {each: self.lift(each) for each in (*followers, job)}

    def fill(self) -> None:
        """Put in what fits; a place given may free another, hence until nothing changes."""
        changed = True
        while changed:
            spots = [self.put_best(job) for job in self.left_out()]
            changed = self.ties.bound and any(spots)

    def put_best(self, job: int) -> bool:
        """Whether there was a place."""
        spot = self.best(job)
        if spot is not None:
            self.put(job, spot)
        return spot is not None
