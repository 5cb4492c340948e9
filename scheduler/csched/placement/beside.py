"""What a plan leaves for one of its jobs: where the others stand, while that one is asked about.

The plan may be older than the snapshot: its starts need not lie on the slots of this moment.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import timedelta

import numpy as np

from csched.domain.plan import Placement, Plan
from csched.domain.quota import QuotaRow
from csched.placement.arrangement import Arrangement, Spot, Ties
from csched.placement.problem import Problem
from csched.placement.schedule import Schedule


def others_of(problem: Problem, quotas: Sequence[QuotaRow], plan: Plan, job_id: str) -> Arrangement:
    """The plan without one job."""
    ties = Ties(problem, quotas)
    alone = ties.gangs.without(problem)
    arranged = Arrangement(alone, ties, Schedule.empty(alone))
    index_of = {job.job: index for index, job in enumerate(problem.jobs)}
    room_of = rooms_by_key(problem)
    for placement in plan.placements:
        job, spot = index_of.get(placement.job), spot_of(problem, room_of, placement)
        if job is not None and spot is not None and placement.job != job_id:
            _occupy(arranged, job, spot, (placement.start - problem.now) / timedelta(seconds=problem.slot_s))
    return arranged


def rooms_by_key(problem: Problem) -> Mapping[str, int]:
    return {room.key: index for index, room in enumerate(problem.rooms)}


def spot_of(problem: Problem, room_of: Mapping[str, int], placement: Placement) -> Spot | None:
    """Where a placement is in this problem, from the slot on in which it begins; None where its rooms are gone."""
    rooms = [room_of[key] for key in _keys(placement) if key in room_of]
    begin = (placement.start - problem.now) / timedelta(seconds=problem.slot_s)
    return Spot(max(0, math.floor(begin)), tuple(rooms)) if len(rooms) == len(_keys(placement)) else None


def _keys(placement: Placement) -> list[str]:
    """`site/partition` of each part, with the reservation where it runs in one."""
    if not placement.components:
        return [placement.room]
    return [placement.model_copy(update={"partition": part.partition}).room for part in placement.components]


def _occupy(arranged: Arrangement, job: int, spot: Spot, begin: float) -> None:
    """Put a job where the plan has it, for all slots that it touches; less than nothing is never left."""
    problem = arranged.problem
    for held in arranged.ties.holdings(job, spot.rooms):
        rows = problem.row_after(np.array([max(0, math.floor(begin)), max(0, math.ceil(begin + held.slots))]))
        arranged.board.occupy(held.room, slice(int(rows[0]), int(rows[1])), held.gpus, held.power)
    arranged.note(job, spot)
