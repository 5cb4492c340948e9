"""There is a plan at any budget; what ended the search and where its time went is part of it."""

import json
import os
import subprocess
import sys
from pathlib import Path

from csched.domain.plan import Plan, Stop
from csched.domain.snapshot import SolveBudget, StandingPlan
from csched.placement.check import faults
from csched.placement.engine import solve
from csched.testing.builders import fleet, job, site, snapshot

from .test_warm import JOBS, queue

DECIDE = """
import json, sys
from csched.domain.snapshot import Snapshot, SolveBudget
from csched.placement.engine import solve
views = [Snapshot.model_validate(view) for view in json.load(sys.stdin)]
print(json.dumps([solve(view, None, SolveBudget(seconds=None, work=150, seed=7)).decision() for view in views]))
"""


def planned(**budget: float | None) -> Plan:
    view = queue()
    plan = solve(view, None, SolveBudget.model_validate({"seconds": None, "work": 200, **budget}))
    assert faults(plan, view, None) == []
    return plan


def test_without_time_there_is_a_list_schedule() -> None:
    plan = planned(seconds=1e-6, work=10_000)
    assert plan.stopped is Stop.BUDGET
    assert len(plan.placements) + len(plan.unplaced) == JOBS
    assert "descent" not in plan.stages


def test_work_that_is_done_ends_the_search() -> None:
    plan = planned()
    assert plan.stopped is Stop.WORK
    assert {"list", "prices", "schedule", "descent", "polish", "bound"} <= plan.stages.keys()


def test_more_work_is_never_worse() -> None:
    costs = [planned(work=work).cost_kg for work in (0, 100, 400)]
    assert costs == sorted(costs, reverse=True)


def test_a_gap_that_is_reached_ends_the_search() -> None:
    thorough = planned()
    asked = 2 * thorough.gap
    plan = planned(gap=asked)
    assert plan.stopped is Stop.GAP
    assert thorough.gap <= plan.gap <= asked * 1.01


def test_a_plan_that_cannot_be_better_is_optimal() -> None:
    view = snapshot([job("a"), job("b")], fleet=fleet(site(nodes=4)))
    assert solve(view, None, SolveBudget(seconds=None)).stopped is Stop.OPTIMAL


def test_how_long_it_took_is_no_part_of_the_decision() -> None:
    decision = planned(work=50).decision()
    assert not {"build_s", "solve_s", "stages", "stopped"} & decision.keys()
    assert {"announced", "moved"} <= decision.keys()


def test_one_thread_and_two_give_the_same_plans_bit_for_bit() -> None:
    cold = queue(noise=0.05)
    warm = cold.model_copy(update={"standing": StandingPlan.of(planned(work=50))})
    text = json.dumps([view.model_dump(mode="json", by_alias=True) for view in (cold, warm)])
    told = []
    for threads in ("1", "2"):
        names = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        ended = subprocess.run(
            [sys.executable, "-c", DECIDE],
            input=text,
            capture_output=True,
            text=True,
            check=True,
            env={
                **os.environ,
                **dict.fromkeys(names, threads),
                "PYTHONHASHSEED": threads,
                "PYTHONPATH": str(Path(__file__).parents[2] / "scheduler"),
            },
        )
        told.append(json.loads(ended.stdout))
    assert told[0] == told[1]
    assert [decision["announced"] > 0 for decision in told[0]] == [False, True]
