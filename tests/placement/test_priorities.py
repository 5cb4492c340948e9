"""Who gives way to jobs of higher priority, and that nobody does where all priorities are equal."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from csched.domain.snapshot import Snapshot, SolveBudget
from csched.placement.arrangement import Arrangement, Ties
from csched.placement.effort import Watch
from csched.placement.engine import solve
from csched.placement.priorities import make_room
from csched.placement.problem import build
from csched.placement.schedule import Schedule
from csched.testing.builders import fleet, job, site, snapshot

WORK = SolveBudget(seconds=None, work=20)


def too_many(priorities: list[int]) -> Snapshot:
    """One job of a node and single GPUs, one more than the two nodes hold; each lasts all day."""
    small = [job(f"small{number}", gpus=1, hours=24, priority=each) for number, each in enumerate(priorities)]
    return snapshot([job("big", gpus=8, hours=24, priority=min(priorities)), *small], fleet=fleet(site(nodes=2)))


def test_the_smallest_that_is_enough_gives_way() -> None:
    plan = solve(too_many([0] * 8 + [1]), None, WORK)
    assert {"big", "small8"} <= plan.placement_of.keys()
    assert len(plan.unplaced) == 1


@settings(deadline=None, max_examples=20, derandomize=True)
@given(st.integers(-3, 3), st.permutations(range(10)))
def test_among_equals_nobody_gives_way(priority: int, order: list[int]) -> None:
    """Whichever of them is left out stays out: what any exchange would gain is the search's to find."""
    problem = build(too_many([priority] * 9), None)
    ties = Ties(problem, ())
    standing = Arrangement(problem, ties, Schedule.empty(problem))
    for index in order:
        standing.put_best(index)
    before = standing.schedule
    assert not make_room(standing, np.full(len(problem.jobs), 1e9), Watch(None, 0.0))
    assert standing.schedule.room.tolist() == before.room.tolist()
    assert (before.room < 0).any()
