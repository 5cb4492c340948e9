"""A queue listed in another order gets the same plan."""

import random

import pytest

from csched.domain.snapshot import Snapshot, SolveBudget
from csched.placement.engine import solve
from csched.testing.builders import fleet, job, site, snapshot

JOBS = 500
ZONES = ("FR", "DE", "SE", "PL", "FI", "ES")


def queue(seed: int) -> Snapshot:
    """More than fits at once on six sites of different sizes; few jobs are alike."""
    pick = random.Random(seed)
    where = fleet(*[site(f"site-{zone.lower()}", zone=zone, nodes=pick.randint(5, 60)) for zone in ZONES])
    sky = {zone: [pick.randint(20, 600) for _ in range(24)] for zone in ZONES}
    jobs = [
        job(
            f"j{number}",
            gpus=pick.choice([1, 2, 4, 8, 16, 64]),
            hours=pick.choice([0.5, 1.0, 2.0, 3.5, 8.0]),
            load=pick.choice([0.5, 0.76, 0.9]),
            countries=pick.choice([(), (), ("FR", "DE"), ("SE", "FI", "PL")]),
        )
        for number in range(JOBS)
    ]
    return snapshot(jobs, fleet=where, carbon=sky)


def costs_kg(seed: int, work: int) -> tuple[float, float]:
    """As listed, and shuffled."""
    view, budget = queue(seed), SolveBudget(seconds=None, work=work, seed=seed)
    shuffled = random.Random(seed).sample(view.jobs, JOBS)
    again = view.model_copy(update={"jobs": tuple(shuffled)})
    return solve(view, None, budget).cost_kg, solve(again, None, budget).cost_kg


@pytest.mark.parametrize("seed", range(50))
def test_the_order_of_the_queue_is_worth_less_than_a_thousandth(seed: int) -> None:
    listed, shuffled = costs_kg(seed, work=20)
    assert shuffled == pytest.approx(listed, rel=1e-3)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(50, 150))
def test_nor_is_it_worth_more_when_the_engine_tries_hard(seed: int) -> None:
    listed, shuffled = costs_kg(seed, work=1000)
    assert shuffled == pytest.approx(listed, rel=1e-3)
