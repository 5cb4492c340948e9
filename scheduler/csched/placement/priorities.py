"""Where not all jobs fit: those of higher priority first, and of equals as it costs least.

A job left out goes to one of the starts it would have were there no job of lower priority; of those in its way as few
as need be are lifted, least urgent first, and put in again where they still fit. Of several such starts the one is
taken with which the plan costs least. A job on which more urgent ones wait counts as urgent as they are. Where all
priorities are equal nothing is moved for anybody.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from csched.placement.arrangement import Arrangement, Spot
from csched.placement.dtypes import Flags, Floats, Ints
from csched.placement.effort import Watch
from csched.placement.schedule import Board

MOST_EXCHANGES = 200
"""Jobs for which others of the same priority are moved, where that costs less."""
MOST_TRIED = 1000
"""Starts that are tried for the jobs left out, shared among them; each job has at least one."""


def make_room(standing: Arrangement, penalty_kg: Floats, watch: Watch) -> bool:
    """Let no job be left out for others of lower priority; whether anything changed."""
    before = standing.schedule
    urgency, left_out = _urgency(standing), standing.left_out()
    tries = max(1, MOST_TRIED // max(1, len(left_out)))
    for level in sorted({int(urgency[job]) for job in left_out}, reverse=True):
        lower = urgency < level
        if (lower & (standing.room >= 0)).any():
            _raise_level(_Room(standing, lower, urgency, penalty_kg), level, tries)
    for job in standing.left_out()[: MOST_EXCHANGES if standing.ties.bound else 0]:
        if not watch.over() and not np.isnan(penalty_kg[job]):
            equal = urgency <= standing.problem.jobs[job].priority
            _exchange(_Room(standing, equal, urgency, penalty_kg), job)
    after = standing.schedule
    return not (np.array_equal(before.room, after.room) and np.array_equal(before.slot, after.slot))


def _urgency(standing: Arrangement) -> Ints:
    """Priority of each job, or of the most urgent one that waits for it; shape (J,)."""
    urgency = np.array([job.priority for job in standing.problem.jobs], dtype=np.int64)
    for job in standing.ties.dependencies.order[::-1].tolist():
        for wait in standing.ties.dependencies.behind.get(job, ()):
            urgency[job] = max(urgency[job], urgency[wait.job])
    return urgency


def _raise_level(room: "_Room", level: int, tries: int) -> None:
    standing, above = room.standing, room.without_others()
    for job in standing.left_out():
        if room.urgency[job] != level:
            continue
        spots = _spots(standing, job, above, tries)
        spot = spots[0] if len(spots) == 1 else min(spots, key=lambda spot: room.rise_kg(job, spot), default=None)
        if spot is None:
            continue
        room.put_in(job, spot)
        if standing.placed(job):
            standing.take(job, spot, above)


def _spots(standing: Arrangement, job: int, board: Board, most: int) -> list[Spot]:
    """The cheapest start of each room, the cheapest first."""
    taken = np.zeros(len(standing.problem.rooms), dtype=bool)
    found: list[Spot] = []
    while len(found) < most and (spot := standing.best(job, board, but=taken)) is not None:
        found.append(spot)
        taken[spot.rooms[0]] = True
    return found


def _exchange(room: "_Room", job: int) -> None:
    """Put a job in at the expense of others of its own priority, where the plan as a whole then costs less."""
    standing = room.standing
    spot = standing.best(job, room.without_others())
    if spot is None:
        return
    lifted = room.put_in(job, spot)
    if not standing.placed(job):
        return
    dearer = spot.cost_kg + room.moved_kg(lifted) >= room.penalty_kg[job]
    if dearer or any(not standing.placed(other) for other in lifted if room.urgency[other] > room.urgency[job]):
        room.undo(job, lifted)


@dataclass(frozen=True, eq=False)
class _Room:
    """Making room for one job after another at the expense of some others."""

    standing: Arrangement
    others: Flags
    """Who may be lifted; shape (J,)."""
    urgency: Ints
    penalty_kg: Floats

    def without_others(self) -> Board:
        """What all but those who may be lifted leave."""
        standing = self.standing
        board = Board(standing.problem)
        board.gpus_left, board.power_left = standing.board.gpus_left.copy(), standing.board.power_left.copy()
        for job in np.flatnonzero(self.others & (standing.room >= 0)).tolist():
            standing.take(job, standing.spot(job), board, sign=-1)
        return board

    def put_in(self, job: int, spot: Spot) -> dict[int, Spot]:
        """Put a job in and lift those in its way; where these were. They are put in again where they fit.

        Where that does not make room enough everything stays as it was, and nobody is lifted.
        """
        standing = self.standing
        standing.put(job, spot)
        lifted: dict[int, Spot] = {}
        for other in self._in_the_way(job):
            if standing.board.valid:
                break
            if standing.placed(other) and _presses(standing, other):
                lifted |= standing.lift_with_followers(other)
        if not standing.board.valid or not standing.placed(job):
            self.undo(job, lifted)
            return {}
        for other in standing.left_out():
            if other in lifted:
                standing.put_best(other)
        return lifted

    def undo(self, job: int, lifted: Mapping[int, Spot]) -> None:
        for other in (job, *lifted):
            if self.standing.placed(other):
                self.standing.lift(other)
        for other, old in lifted.items():
            if other != job:
                self.standing.put(other, old)

    def rise_kg(self, job: int, spot: Spot) -> float:
        """What the plan would cost more with the job there, infinite where there is no room; nothing is changed."""
        lifted = self.put_in(job, spot)
        if not self.standing.placed(job):
            return np.inf
        rise_kg = spot.cost_kg + self.moved_kg(lifted)
        self.undo(job, lifted)
        return rise_kg

    def moved_kg(self, lifted: Mapping[int, Spot]) -> float:
        """What those lifted cost more where they now are, or left out, than where they were."""
        standing, rise_kg = self.standing, 0.0
        for other, old in lifted.items():
            now_kg = standing.cost_kg(other, standing.spot(other)) if standing.placed(other) else self.penalty_kg[other]
            rise_kg += float(now_kg) - standing.cost_kg(other, old)
        return rise_kg

    def _in_the_way(self, job: int) -> list[int]:
        """Placed jobs at the same site at the same time: the least urgent first, of these the smallest that is enough.

        Behind those that are enough come the others, the biggest first; of equals the latest.
        """
        standing, problem = self.standing, self.standing.problem
        sites = problem.room_site
        here = self.others & (standing.room >= 0) & (sites[np.maximum(standing.room, 0)] == sites[standing.room[job]])
        here &= (standing.slot < standing.end[job]) & (standing.end > standing.slot[job])
        here[job] = False
        each = np.flatnonzero(here)
        held = problem.gpus_held[each, standing.room[each]]
        short = held < problem.gpus_held[job, standing.room[job]]
        by_size = np.where(short, -held, held)
        order = np.lexsort((each, -standing.slot[each], by_size, short, self.urgency[each]))
        ordered: list[int] = each[order].tolist()
        return ordered


def _presses(standing: Arrangement, job: int) -> bool:
    """Whether a placed job holds something of which there is too little."""
    board, rooms = standing.board, list(standing.spot(job).rooms)
    end = int(standing.problem.row_after(np.array([standing.end[job]]))[0])
    rows = slice(int(standing.slot[job]), end)
    site = standing.problem.room_site[rooms[0]]
    return bool((board.gpus_left[rooms, rows] < 0).any() or (board.power_left[site, rows] < 0).any())
