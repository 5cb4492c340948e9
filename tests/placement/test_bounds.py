"""What a bound promises: never above the cheapest plan, and never higher for more capacity or fewer rules."""

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from csched.domain.site import Fleet
from csched.domain.snapshot import Snapshot, SolveBudget
from csched.placement import engine
from csched.placement.dtypes import Floats
from csched.placement.engine import solve
from csched.placement.oracle import Oracle
from csched.placement.prices import Prices, prices_of
from csched.placement.problem import Problem, build

from .instances import snapshots
from .outside_model import optimum_kg

SAME = 1e-6


@settings(deadline=None, max_examples=300, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(snapshots(most_jobs=6))
def test_the_bound_is_at_most_the_optimum_and_the_optimum_at_most_the_cost(view: Snapshot) -> None:
    """300 instances; the bound from prices, without the help of a proof."""
    best = optimum_kg(view)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "MOST_PROVEN_JOBS", 0)
        plan = solve(view, None, SolveBudget(seconds=None, work=100))
    assert plan.certificate is not None
    assert plan.bound_kg <= best + SAME * max(1.0, best)
    assert best <= plan.cost_kg + SAME * max(1.0, best)


@settings(deadline=None, max_examples=60, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(snapshots(most_jobs=6))
def test_a_proven_plan_costs_what_the_optimum_costs(view: Snapshot) -> None:
    plan = solve(view, None, SolveBudget(seconds=None, work=1000))
    best = optimum_kg(view)
    assert plan.bound_kg <= best + SAME * max(1.0, best)
    assert plan.cost_kg == pytest.approx(best, rel=SAME, abs=SAME)


@settings(deadline=None, max_examples=80, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(
    snapshots(most_jobs=8), st.sampled_from(["more nodes", "more power", "no caps", "all countries", "no deadlines"])
)
def test_more_capacity_or_fewer_rules_never_raise_the_bound(view: Snapshot, relief: str) -> None:
    """Prices prove the less the more is possible: of the same jobs, at the penalties that they had before.

    It holds for all prices, so also for the best ones of either side: those that prove most of the relieved instance
    prove as much of the one it came from.
    """
    relieved = _relieved(view, relief)
    assume(relieved != view)
    before, after = build(view, None), build(relieved, None)
    penalty_kg = Oracle(before).penalty_kg
    for stated_by in (view, relieved):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(engine, "MOST_PROVEN_JOBS", 0)
            certificate = solve(stated_by, None, SolveBudget(seconds=None, work=100)).certificate
        assert certificate is not None
        least = proven_kg(before, prices_of(before, certificate), penalty_kg)
        assert proven_kg(after, prices_of(after, certificate), penalty_kg) <= least + SAME * max(1.0, abs(least))


def proven_kg(problem: Problem, prices: Prices, penalty_kg: Floats) -> float:
    """What the prices prove of the jobs that have a penalty, at that penalty."""
    counted = np.flatnonzero(np.isfinite(penalty_kg))
    oracle = Oracle(problem.part(counted, problem.gpus_left, problem.power_left))
    oracle.penalty_kg = penalty_kg[counted]
    return oracle.answer(prices).bound_kg


def _relieved(view: Snapshot, relief: str) -> Snapshot:
    if relief == "all countries":
        return view.model_copy(update={"jobs": tuple(job.model_copy(update={"countries": ()}) for job in view.jobs)})
    if relief == "no deadlines":
        return view.model_copy(update={"jobs": tuple(job.model_copy(update={"deadline": None}) for job in view.jobs)})
    return view.model_copy(update={"fleet": _larger(view.fleet, relief)})


def _larger(fleet: Fleet, relief: str) -> Fleet:
    sites = []
    for site in fleet.sites:
        cap = site.it_power_cap_kw
        if relief == "more nodes":
            parts = tuple(part.model_copy(update={"nodes": (part.nodes or 0) + 2}) for part in site.partitions)
            sites.append(site.model_copy(update={"partitions": parts}))
        elif relief == "no caps":
            sites.append(site.model_copy(update={"it_power_cap_kw": None}))
        elif isinstance(cap, tuple):
            raised = tuple(each.model_copy(update={"kw": each.kw + 7.0}) for each in cap)
            sites.append(site.model_copy(update={"it_power_cap_kw": raised}))
        else:
            sites.append(site.model_copy(update={"it_power_cap_kw": None if cap is None else cap + 7.0}))
    return fleet.model_copy(update={"sites": tuple(sites)})
