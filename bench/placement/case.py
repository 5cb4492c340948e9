"""One case in a process of its own: `python bench/placement/case.py F 10000 10 0.5 0` prints one line of JSON.

Memory is the peak of the process once it has planned, before the rivals run.
"""

import json
import resource
import sys
import time

from families import instance
from rivals import RIVALS

from csched.domain.snapshot import SolveBudget
from csched.placement.check import require_valid
from csched.placement.engine import solve
from csched.placement.oracle import Oracle
from csched.placement.problem import build
from csched.placement.schedule import cost_kg


def main(family: str, jobs: int, sites: int, rho: float, seed: int) -> dict[str, object]:
    view = instance(family, jobs, sites, rho, seed)
    warm_up(family)
    before_cpu, before = time.process_time(), time.perf_counter()
    plan = solve(view, None, SolveBudget(seconds=None, seed=seed))
    cpu_s, wall_s = time.process_time() - before_cpu, time.perf_counter() - before
    peak_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    begun = time.process_time()
    require_valid(plan, view, None)
    check_s = time.process_time() - begun
    oracle = Oracle(build(view, None))
    rivals = {}
    for name, place in RIVALS.items():
        begun = time.process_time()
        cost = cost_kg(oracle, place(oracle))
        rivals[name] = {
            "cpu_s": round(time.process_time() - begun, 2),
            "over_bound": round((cost - plan.bound_kg) / plan.bound_kg, 5),
        }
    return {
        "family": family, "jobs": jobs, "sites": sites, "rho": rho, "seed": seed,
        "cpu_s": round(cpu_s, 2), "wall_s": round(wall_s, 2), "build_s": round(plan.build_s, 2),
        "check_cpu_s": round(check_s, 2), "peak_gib": round(peak_gib, 3), "gap": round(plan.gap, 5),
        "cost_kg": round(plan.cost_kg, 3), "bound_kg": round(plan.bound_kg, 3),
        "over_bound": round((plan.cost_kg - plan.bound_kg) / plan.bound_kg, 5), "unplaced": len(plan.unplaced),
        "status": plan.status.value, "solver": plan.solver, "rivals": rivals,
    }  # fmt: skip


def warm_up(family: str) -> None:
    """Load the kernels: a daemon does so once, and this is about planning."""
    solve(instance(family, 400, 3, 0.5, 0), None, SolveBudget(seconds=None, work=100))


if __name__ == "__main__":
    told = main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5]))
    sys.stdout.write(json.dumps(told) + "\n")
