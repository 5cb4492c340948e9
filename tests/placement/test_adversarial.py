"""Instances made to break a plan: whatever the engine is given, its plan passes the check and its bound is true."""

from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from csched.domain.job import Job
from csched.domain.plan import Plan
from csched.domain.site import Fleet
from csched.domain.snapshot import Snapshot, SolveBudget
from csched.domain.verdict import ReasonCode
from csched.placement import plain, search
from csched.placement.check import faults
from csched.placement.engine import solve
from csched.placement.prices import Prices
from csched.placement.problem import Problem
from csched.testing.builders import MONDAY, fleet, job, occupation, site, snapshot

SKY = {"FR": [60.0, 40.0, 20.0, 90.0], "DE": [400.0, 300.0, 350.0], "SE": [20.0], "PL": [700.0, 650.0]}
FEW_OR_MANY = st.sampled_from([1, 3, 12, 50])
"""On either side of the number of jobs from which the kernels plan."""


def four_sites(**facts: object) -> Fleet:
    return fleet(*[site(f"site-{zone.lower()}", zone=zone, nodes=2, **facts) for zone in SKY])


def mixed(draw: st.DrawFn, count: int) -> list[Job]:
    """Jobs that differ in size and length."""
    sizes, lengths = st.sampled_from([1, 3, 8, 16]), st.sampled_from([0.25, 1.0, 2.5, 7.0])
    return [job(f"j{number}", gpus=draw(sizes), hours=draw(lengths)) for number in range(count)]


@st.composite
def all_jobs_identical(draw: st.DrawFn) -> Snapshot:
    gpus, hours = draw(st.sampled_from([1, 5, 8, 16])), draw(st.sampled_from([0.5, 3.0, 11.0]))
    alike = [job(f"j{number}", gpus=gpus, hours=hours) for number in range(draw(FEW_OR_MANY))]
    return snapshot(alike, fleet=four_sites(), carbon=SKY)


@st.composite
def one_giant_gang(draw: st.DrawFn) -> Snapshot:
    """One job takes all of the largest site, among small ones and beside what runs there now."""
    where = fleet(site("large", zone="DE", nodes=25), site("small", zone="FR", nodes=2))
    giant = job("giant", gpus=200, hours=draw(st.sampled_from([1.0, 9.0, 24.0])))
    running = [occupation("old", draw(st.sampled_from([1, 100, 200])), draw(st.sampled_from([0.5, 5.0])), site="large")]
    return snapshot([*mixed(draw, draw(FEW_OR_MANY)), giant], fleet=where, carbon=SKY, running=running)


@st.composite
def zero_carbon(draw: st.DrawFn) -> Snapshot:
    """Nothing costs anything but waiting, or not even that."""
    free = draw(st.booleans())
    rates = {"wait_kg_per_gpu_h": 0.0, "egress_kg_per_gb": 0.0, "drop_kg_per_gpu_h": 0.0} if free else {}
    where = fleet(*[site(f"site-{zone.lower()}", zone=zone) for zone in SKY], objective=rates)
    return snapshot(mixed(draw, draw(FEW_OR_MANY)), fleet=where, carbon=dict.fromkeys(SKY, 0.0))


@st.composite
def one_site(draw: st.DrawFn) -> Snapshot:
    return snapshot(mixed(draw, draw(FEW_OR_MANY)), fleet=fleet(site(nodes=2)), carbon=SKY)


@st.composite
def no_capacity(draw: st.DrawFn) -> Snapshot:
    """Sites without nodes, or all nodes taken for longer than anybody can wait."""
    where = four_sites(partitions=[{"name": "gpu", "hardware": "box8", "nodes": 0}])
    running = []
    if draw(st.booleans()):
        where = four_sites()
        running = [occupation(f"old-{each.id}", 16, 100, site=each.id) for each in where.sites]
    return snapshot(mixed(draw, draw(FEW_OR_MANY)), fleet=where, carbon=SKY, running=running)


@st.composite
def windows_of_one_slot(draw: st.DrawFn) -> Snapshot:
    """Each job may start in one slot only: its deadline is its earliest start and its limit."""
    jobs = []
    for free in mixed(draw, draw(FEW_OR_MANY)):
        begin = MONDAY + timedelta(hours=draw(st.sampled_from([0, 1, 5])))
        limit = timedelta(seconds=free.time_limit_s)
        jobs.append(free.model_copy(update={"earliest_start": begin, "deadline": begin + limit}))
    return snapshot(jobs, fleet=four_sites(), carbon=SKY)


@st.composite
def power_cap_of_one_job(draw: st.DrawFn) -> Snapshot:
    """Sites of many nodes whose power is enough for the largest job alone, to the watt or with a kW to spare."""
    spare_kw = draw(st.sampled_from([0.0, 1.0]))
    jobs = mixed(draw, draw(FEW_OR_MANY))
    largest_kw = float(max(each.gpus for each in jobs))  # a box8 draws a kW for each GPU
    sites = [site(f"site-{zone.lower()}", zone=zone, nodes=9, it_power_cap_kw=largest_kw + spare_kw) for zone in SKY]
    return snapshot(jobs, fleet=fleet(*sites), carbon=SKY)


@st.composite
def twenty_sites_with_equal_prices(draw: st.DrawFn) -> Snapshot:
    where = fleet(*[site(f"site{number:02}", zone="FR") for number in range(20)])
    return snapshot(mixed(draw, draw(FEW_OR_MANY)), fleet=where, carbon=SKY)


ADVERSARIAL = {
    "all jobs identical": all_jobs_identical(),
    "one giant gang": one_giant_gang(),
    "zero carbon": zero_carbon(),
    "one site": one_site(),
    "no capacity": no_capacity(),
    "windows of one slot": windows_of_one_slot(),
    "power cap of one job": power_cap_of_one_job(),
    "twenty sites with equal prices": twenty_sites_with_equal_prices(),
}
WORK = SolveBudget(seconds=None, work=40)


def planned(view: Snapshot, budget: SolveBudget = WORK) -> Plan:
    plan = solve(view, None, budget)
    assert faults(plan, view, None) == []
    return plan


@pytest.mark.parametrize("kind", ADVERSARIAL)
@settings(deadline=None, max_examples=8, derandomize=True)
@given(data=st.data())
def test_every_plan_of_an_adversarial_instance_is_valid(kind: str, data: st.DataObject) -> None:
    planned(data.draw(ADVERSARIAL[kind]))


@pytest.mark.soak
@pytest.mark.parametrize("kind", ADVERSARIAL)
@settings(deadline=None, max_examples=300)
@given(data=st.data())
def test_every_plan_of_many_adversarial_instances_is_valid(kind: str, data: st.DataObject) -> None:
    planned(data.draw(ADVERSARIAL[kind]), SolveBudget(seconds=None, work=200))


@settings(deadline=None, max_examples=8, derandomize=True)
@given(one_giant_gang())
def test_a_gang_as_large_as_its_site_is_placed_where_it_fits(view: Snapshot) -> None:
    """Its site is free soon enough, and leaving it out costs more than all others together."""
    giant = planned(view).placement_of["giant"]
    assert giant.site == "large"


@settings(deadline=None, max_examples=8, derandomize=True)
@given(no_capacity())
def test_nothing_is_placed_where_nothing_is_free(view: Snapshot) -> None:
    plan = planned(view)
    assert not plan.placements
    codes = {reason.code for unplaced in plan.unplaced for reason in unplaced.reasons}
    assert codes <= {ReasonCode.TOO_LARGE, ReasonCode.CAPACITY}


@settings(deadline=None, max_examples=8, derandomize=True)
@given(power_cap_of_one_job())
def test_a_job_that_draws_the_whole_cap_runs_alone(view: Snapshot) -> None:
    """One job per site fits at once; the day is long enough for several after another."""
    assert len(planned(view).placements) >= min(len(view.jobs), 4)


@pytest.mark.parametrize("poison", [np.nan, np.inf, -1.0, 1e300])
@pytest.mark.parametrize("kind", ["one giant gang", "power cap of one job", "windows of one slot"])
@settings(deadline=None, max_examples=3, derandomize=True)
@given(data=st.data())
def test_a_poisoned_price_vector_still_gives_a_valid_plan(kind: str, poison: float, data: st.DataObject) -> None:
    """Prices that are no prices cost quality, never the plan."""
    view = data.draw(ADVERSARIAL[kind])

    def poisoned(problem: Problem, start: Prices, *_: object, **__: object) -> Prices:
        gpu = np.array(start.gpu)
        gpu[0, 0] = poison
        return Prices(gpu, np.array(start.power))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "improve", poisoned)
        patch.setattr(plain, "improve", poisoned)
        plan = planned(view)
    assert np.isfinite((plan.cost_kg, plan.bound_kg)).all()
