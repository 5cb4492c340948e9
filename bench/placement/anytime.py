"""How the gap falls with effort: `python bench/placement/anytime.py F 10000 10 0.5 0` prints one line of JSON.

The same instance with more and more `work`, each plan made from nothing; the gap is to the best of all their bounds.
"""

import json
import sys
import time

from case import warm_up
from families import instance

from csched.domain.snapshot import SolveBudget
from csched.placement.engine import solve

WORKS = (0, 10, 30, 100, 300, 1000, 3000)


def main(family: str, jobs: int, sites: int, rho: float, seed: int) -> dict[str, object]:
    view = instance(family, jobs, sites, rho, seed)
    warm_up(family)
    took_s, plans = [], []
    for work in WORKS:
        begun = time.process_time()
        plans.append(solve(view, None, SolveBudget(seconds=None, work=work, seed=seed)))
        took_s.append(round(time.process_time() - begun, 2))
    bound_kg = max(plan.bound_kg for plan in plans)
    return {
        "family": family, "jobs": jobs, "sites": sites, "rho": rho, "seed": seed, "work": WORKS, "cpu_s": took_s,
        "gap": [round((plan.cost_kg - bound_kg) / plan.placed_cost_kg, 5) for plan in plans],
        "bound_gap": [round((bound_kg - plan.bound_kg) / bound_kg, 5) for plan in plans],
    }  # fmt: skip


if __name__ == "__main__":
    told = main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5]))
    sys.stdout.write(json.dumps(told) + "\n")
