"""The tasks of an array are one class: their prices are the best there are, whatever else binds the sites."""

from datetime import timedelta

import numpy as np
import pytest

from csched.domain.job import Job
from csched.domain.snapshot import Snapshot, SolveBudget
from csched.placement.check import faults
from csched.placement.class_program import class_prices
from csched.placement.classes import MANY_JOBS, MOST_CLASSES, few_classes
from csched.placement.engine import solve
from csched.placement.oracle import Oracle
from csched.placement.prices import Prices
from csched.placement.problem import build
from csched.testing.builders import MONDAY, fleet, job, occupation, site, snapshot

SKY = {"FR": [60.0, 40.0, 20.0, 90.0], "DE": [400.0, 300.0, 350.0]}


def tasks(count: int = MANY_JOBS, *, kinds: int = 1) -> list[Job]:
    return [job(f"t{number}", gpus=8, hours=1 + number % kinds / 60) for number in range(count)]


def crowded(jobs: list[Job]) -> Snapshot:
    """Two sites that cannot take all of them in a day; one is short of power in the afternoon, one has a job."""
    cap = {"from": MONDAY + timedelta(hours=12), "to": MONDAY + timedelta(hours=18), "kw": 60.0}
    two = fleet(site("alpha", zone="FR", nodes=10, it_power_cap_kw=[cap]), site("beta", zone="DE", nodes=8))
    return snapshot(jobs, fleet=two, carbon=SKY, running=[occupation("old", 32, 5, site="beta")])


@pytest.mark.parametrize("kinds", [1, 3])
def test_no_prices_prove_more_than_those_of_the_program(kinds: int) -> None:
    problem = build(crowded(tasks(kinds=kinds)), None)
    classes = few_classes(problem)
    assert classes is not None
    assert classes.counts.sum() == MANY_JOBS
    prices = class_prices(problem, classes)
    assert prices is not None
    oracle = Oracle(problem)
    bound_kg = oracle.answer(prices).bound_kg
    assert bound_kg > 1.1 * oracle.answer(Prices.zero(problem)).bound_kg
    for shaken in np.random.default_rng(1).normal(1, 0.05, (5, *prices.gpu.shape)):
        assert oracle.answer(Prices(prices.gpu * shaken.clip(0), prices.power)).bound_kg <= bound_kg + 1e-9


def test_a_plan_of_an_array_is_valid_and_near_its_bound() -> None:
    view = crowded(tasks())
    plan = solve(view, None, SolveBudget(seconds=None, work=50))
    assert faults(plan, view, None) == []
    assert plan.certificate is not None
    assert plan.gap < 0.02


@pytest.mark.parametrize("jobs", [tasks(MANY_JOBS - 1), tasks(kinds=MOST_CLASSES + 1)], ids=["few jobs", "many kinds"])
def test_few_jobs_and_many_kinds_are_priced_as_they_are(jobs: list[Job]) -> None:
    assert few_classes(build(crowded(jobs), None)) is None
