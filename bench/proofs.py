"""How many small instances are proven optimal, by size and load, and how far the others are from it.

Family N on ten sites and 96 slots with the usual work; writes bench/placement/proofs.json. A case takes up to a minute.

python -m bench.proofs [SEEDS]        5 of each kind unless said otherwise
"""

import json
import statistics
import sys
import time
from pathlib import Path

from bench.placement.families import instance
from csched.domain.plan import PlanStatus
from csched.domain.snapshot import SolveBudget
from csched.placement.engine import solve

HERE = Path(__file__).parent / "placement"
JOBS, LOADS = (25, 50, 100, 200), (0.4, 0.7)


def main(seeds: int) -> None:
    told = []
    for jobs in JOBS:
        for rho in LOADS:
            begun = time.process_time()
            budget = SolveBudget(seconds=None)
            plans = [solve(instance("N", jobs, 10, rho, seed), None, budget) for seed in range(seeds)]
            proven = sum(plan.status is PlanStatus.OPTIMAL for plan in plans)
            row = {
                "jobs": jobs,
                "rho": rho,
                "seeds": seeds,
                "proven": proven,
                "median_gap": round(statistics.median(plan.gap for plan in plans), 5),
                "largest_gap": round(max(plan.gap for plan in plans), 5),
                "cpu_s_each": round((time.process_time() - begun) / seeds, 1),
            }
            told.append(row)
            sys.stdout.write(f"{json.dumps(row)}\n")
            sys.stdout.flush()
    (HERE / "proofs.json").write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
