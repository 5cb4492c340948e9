"""The size the engine promises to prove: 30 jobs over 4 sites and 48 slots, with too few GPUs for all at once."""

import math
import random

import pytest

from csched.clock import from_epoch_s
from csched.domain.plan import PlanStatus
from csched.domain.snapshot import Snapshot, SolveBudget
from csched.placement.check import faults
from csched.placement.engine import solve
from csched.testing.builders import MONDAY, fleet, job, site, snapshot

HOUR_S = 3600


def crowded(seed: int) -> Snapshot:
    """30 jobs of 1 to 32 GPUs for 4 x 32 GPUs and a day; each zone's intensity waves at its own hour."""
    rng = random.Random(seed)
    zones = {"FR": 60, "DE": 350, "FI": 90, "IT-NO": 290}
    sites = [site(f"site-{zone.lower()}", zone=zone, nodes=4) for zone in zones]
    sky = {
        zone: [mean * (1 + 0.4 * math.sin((hour + rng.random()) / 24 * 2 * math.pi)) for hour in range(72)]
        for zone, mean in zones.items()
    }
    jobs = []
    for number in range(30):
        limit_s = rng.randint(1, 12) * 1800
        latest = rng.choice([None, 18, 24])
        jobs.append(
            job(
                f"j{number}",
                gpus=rng.choice([1, 2, 4, 8, 8, 16, 32]),
                time_limit_s=limit_s,
                expected_runtime_s=max(1, int(limit_s * rng.uniform(0.3, 1))),
                earliest_start=from_epoch_s(MONDAY.timestamp() + rng.randint(0, 6) * HOUR_S),
                deadline=from_epoch_s(MONDAY.timestamp() + latest * HOUR_S) if latest else None,
                countries=rng.choice([(), ("FR", "DE"), ("IT", "DE"), ("FI",)]),
            )
        )
    return snapshot(jobs, fleet=fleet(*sites), carbon=sky, horizon_s=24 * HOUR_S, slot_s=1800)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_thirty_jobs_on_four_sites_and_48_slots_are_proven_optimal(seed: int) -> None:
    view = crowded(seed)
    plan = solve(view, None, SolveBudget(seconds=None, work=2000))
    assert plan.status is PlanStatus.OPTIMAL, (plan.gap, plan.solver)
    assert plan.bound_kg == pytest.approx(plan.cost_kg, rel=1e-6)
    assert not faults(plan, view, None)
    at_once = solve(view, None, SolveBudget(seconds=None, work=0))
    assert plan.cost_kg <= at_once.cost_kg
