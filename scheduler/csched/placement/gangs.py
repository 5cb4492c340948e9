"""Heterogeneous jobs: parts that start together at one site, each whole in one room.

The kernels know one gang in one room, so these are placed beside them: a start is a site, a slot and a room for each
part. At given prices the parts are independent but for site and slot, which makes their exact dual a sum of minima.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from csched.domain.job import Job
from csched.domain.verdict import Reason, ReasonCode
from csched.placement import reasons
from csched.placement.domains import Domains
from csched.placement.dtypes import Flags, Floats
from csched.placement.gang_rooms import RoomChoice
from csched.placement.oracle import Oracle
from csched.placement.prices import Prices
from csched.placement.problem import Problem, build
from csched.placement.schedule import Board


class Gangs:
    """The parts of the heterogeneous jobs of one problem, as jobs of a problem of their own."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        own = {index: parts_of(job) for index, job in enumerate(problem.jobs) if job.components}
        self.parts = self._parts_problem(own) if own else None
        index_of = {part.job: index for index, part in enumerate(self.parts.jobs)} if self.parts else {}
        self.parts_of = {job: [index_of[part.job] for part in parts] for job, parts in own.items()}
        """Job -> its parts, by index."""
        self._torn: Mapping[int, Flags] = Domains(self.parts).too_small if self.parts else {}

    def __bool__(self) -> bool:
        return bool(self.parts_of)

    def _parts_problem(self, own: Mapping[int, Sequence[Job]]) -> Problem:
        """The rows of capacity are those of the whole problem."""
        whole = self._problem
        parts = [part for of_job in own.values() for part in of_job]
        snapshot = whole.snapshot.model_copy(update={"jobs": tuple(parts), "held": (), "standing": None})
        verdicts = whole.verdicts
        if verdicts is not None:
            of_whole = {job: verdicts.get(whole.jobs[job].job, ()) for job in own}
            verdicts = {part.job: of_whole[job] for job, of_job in own.items() for part in of_job}
        problem = build(snapshot, verdicts)
        return replace(
            problem,
            row_slots=whole.row_slots,
            gpus_left=whole.gpus_left,
            gpus_nominal=whole.gpus_nominal,
            power_left=whole.power_left,
            power_nominal=whole.power_nominal,
        )

    def without(self, problem: Problem) -> Problem:
        """The problem in which these jobs have no start and hold nothing: what the kernels plan."""
        if not self:
            return problem
        rows = list(self.parts_of)
        first, last, held, power = (getattr(problem, name).copy() for name in ("first", "last", "gpus_held", "power"))
        first[rows], last[rows], held[rows], power[rows] = problem.start_slots, -1, 0, 0
        return replace(problem, first=first, last=last, gpus_held=held, power=power)

    def windows(self, problem: Problem) -> Problem:
        """The problem with each of these jobs' windows as wide as that of its most bound part."""
        if self.parts is None:
            return problem
        first, last = problem.first.copy(), problem.last.copy()
        for job, own in self.parts_of.items():
            first[job] = self.parts.first[own].min(axis=1).max()
            last[job] = self.parts.last[own].max(axis=1).min()
        return replace(problem, first=first, last=last)

    def longest_hold(self, job: int) -> int:
        """Slots until the last part's limit has run out, wherever they run."""
        return max(int(np.max(self._of_parts.hold_slots[part])) for part in self.parts_of[job])

    @property
    def _of_parts(self) -> Problem:
        if self.parts is None:
            raise ValueError("there is no job of several parts")
        return self.parts

    # --- starts ------------------------------------------------------------------------------------------------

    def best(self, job: int, board: Board, window: Flags) -> tuple[int, tuple[int, ...], float] | None:
        """Slot, room of each part and true cost of the cheapest start in a window (S or P, H) that fits on the board.

        Starts are tried by the sum of their parts' cheapest rooms, which no choice of rooms undercuts.
        """
        costs = np.stack([self._fitting(part, board) for part in self.parts_of[job]])
        costs = np.where(window[None], costs, np.inf)
        least = np.asarray(sum(self._by_site(each, np.minimum) for each in costs))
        best: tuple[int, tuple[int, ...], float] | None = None
        for flat in np.argsort(least, axis=None, kind="stable").tolist():
            site, slot = divmod(flat, self._problem.start_slots)
            if not np.isfinite(least[site, slot]) or (best is not None and least[site, slot] >= best[2]):
                break
            rooms = self._rooms(job, board, costs, site, slot)
            if rooms is not None:
                cost = float(sum(costs[number, room, slot] for number, room in enumerate(rooms)))
                if best is None or cost < best[2]:
                    best = slot, rooms, cost
        return best

    def _fitting(self, part: int, board: Board) -> Floats:
        """True cost of a part's starts, infinite where it alone does not fit; shape (P, H)."""
        problem = self._of_parts
        alone = Board(replace(problem, gpus_left=board.gpus_left, power_left=board.power_left))
        fits = alone.fits(part)
        if (torn := self._torn.get(part)) is not None:
            fits &= ~torn[:, None]
        return np.where(fits, problem.costs_kg(part), np.inf)

    def _by_site(self, costs: Floats, best: np.ufunc) -> Floats:
        """Of each site's rooms the least or the most; shape (S, H)."""
        sites = len(self._problem.snapshot.fleet.sites)
        worst = np.inf if best is np.minimum else -np.inf
        found = np.full((sites, costs.shape[1]), worst)
        best.at(found, self._problem.room_site, costs)
        return found

    def _rooms(self, job: int, board: Board, costs: Floats, site: int, slot: int) -> tuple[int, ...] | None:
        own = self.parts_of[job]
        sizes = [part.gpus for part in self._problem.jobs[job].components]
        here = np.flatnonzero(self._problem.room_site == site)

        def take(number: int, room: int, sign: int) -> None:
            self.take(own[number], room, slot, board, sign)

        return RoomChoice(board, take, costs[:, :, slot], here, sizes).found()

    def take(self, part: int, room: int, slot: int, board: Board, sign: int = 1) -> None:
        problem = self._of_parts
        end = int(problem.row_after(np.array([slot + self._hold(part, room)]))[0])
        board.gpus_left[room, slot:end] -= sign * problem.gpus_held[part, room]
        board.power_left[problem.room_site[room], slot:end] -= sign * problem.power[part, room]

    def _hold(self, part: int, room: int) -> int:
        return int(self._of_parts.hold_slots[part, room])

    def cost_kg(self, job: int, slot: int, rooms: Sequence[int]) -> float:
        """True cost of a start."""
        own = zip(self.parts_of[job], rooms, strict=True)
        return float(sum(self._of_parts.costs_kg(part)[room, slot] for part, room in own))

    def end(self, job: int, slot: int, rooms: Sequence[int]) -> int:
        """One past the last slot of the longest part's limit."""
        return slot + max(self._hold(part, room) for part, room in zip(self.parts_of[job], rooms, strict=True))

    # --- bound -------------------------------------------------------------------------------------------------

    def penalties_kg(self) -> dict[int, float]:
        """What leaving each out costs: its dearest allowed start and the drop; NaN without an allowed start."""
        found = {}
        for job, own in self.parts_of.items():
            each = [self._of_parts.costs_kg(part) for part in own]
            dearest = sum(self._by_site(np.where(np.isfinite(cost), cost, -np.inf), np.maximum) for cost in each)
            most = float(np.max(dearest))
            found[job] = most + float(self._problem.drop_kg[job]) if np.isfinite(most) else np.nan
        return found

    def bound_kg(self, prices: Prices) -> float:
        """Sum over these jobs of the least of penalty and starts with rent, beside running jobs only."""
        if self.parts is None:
            return 0.0
        oracle = Oracle(self.parts)
        held, penalties = oracle.held(prices), self.penalties_kg()
        total = 0.0
        for job, own in self.parts_of.items():
            reduced = oracle.reduced_kg(np.array(own), held)
            least = float(np.min(sum(self._by_site(each, np.minimum) for each in reduced)))
            total += 0.0 if np.isnan(penalties[job]) else min(least, penalties[job])
        return total

    def refusals(self, job: int, site_index: int) -> tuple[Reason, ...]:
        """Why some part of the job has no start at a site, other jobs aside; empty where all have one."""
        of_parts = (reasons.of_site(self._of_parts, part, site_index) for part in self.parts_of[job])
        return next((refused for refused in of_parts if refused), ())

    def reasons(self, job: int, board: Board) -> tuple[Reason, ...]:
        """Site by site: why a part has no start there, else that the parts never fit at once."""
        found: list[Reason] = []
        beside = Board(replace(self._of_parts, gpus_left=board.gpus_left, power_left=board.power_left))
        for index, site in enumerate(self._problem.snapshot.fleet.sites):
            lacks = (reasons.of_lack(self._of_parts, beside, part, index) for part in self.parts_of[job])
            told = self.refusals(job, index) or next((lack for lack in lacks if lack), ())
            message = f"{site.id} has never room for all parts of the job at once"
            found += told or (Reason(site=site.id, code=ReasonCode.CAPACITY, clause="components", message=message),)
        return tuple(found)


def parts_of(job: Job) -> list[Job]:
    """Each part as a job of its own; the data moves with the first. Empty for a job of one kind."""
    alone = {"components": (), "dependency": (), "array": None, "array_limit": None}
    return [
        job.model_copy(
            update={
                **alone,
                "job": f"{job.job}+{number}",
                "gpus": part.gpus,
                "hardware": part.hardware or job.hardware,
                "data_gb": job.data_gb if number == 0 else 0.0,
            }
        )
        for number, part in enumerate(job.components)
    ]
