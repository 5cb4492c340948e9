"""One CP-SAT model of everything; `python bench/placement/monolith.py intervals N 100 10 0.5 0` prints it as JSON.

`intervals`: for each job and room an optional interval, one cumulative a room, cost by an element constraint.
`booleans`: one variable for each allowed start, one row for each room and slot. Two workers, 30 s, no hint. It is what
one would write first, and what the engine is held against; power caps are left out, because the families have none.
A solver whose time ends in presolve has proven nothing, whatever it calls its bound then: zero and less were seen. No
start costs less than nothing, hence only a bound above zero is told.
"""

import json
import resource
import sys
import time

import numpy as np
from families import instance
from ortools.sat.python import cp_model

from csched.placement.oracle import Oracle
from csched.placement.problem import Problem, build

LIMIT_S, WORKERS = 30.0, 2
UNITS_PER_KG = 1_000


def main(shape: str, case: tuple[str, int, int, float, int]) -> dict[str, object]:
    oracle = Oracle(build(instance(*case), None))
    begun = time.process_time()
    model = SHAPES[shape](oracle)
    build_s = time.process_time() - begun
    solver = cp_model.CpSolver()
    solver.parameters.num_workers, solver.parameters.max_time_in_seconds = WORKERS, LIMIT_S
    begun = time.process_time()
    status = solver.solve(model)
    solve_s = time.process_time() - begun
    found = status in {cp_model.OPTIMAL, cp_model.FEASIBLE}
    bound = solver.best_objective_bound
    return {
        "shape": shape, "build_cpu_s": round(build_s, 1), "cpu_s": round(solve_s, 1),
        "status": solver.status_name(status).lower(),
        "cost_kg": round(solver.objective_value / UNITS_PER_KG, 3) if found else None,
        "bound_kg": round(bound / UNITS_PER_KG, 3) if bound > 0 else None,
        "peak_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 3),
    }  # fmt: skip


def _intervals(oracle: Oracle) -> cp_model.CpModel:
    problem, model = oracle.problem, cp_model.CpModel()
    in_room: list[list[tuple[cp_model.IntervalVar, int]]] = [[] for _ in problem.rooms]
    for room, left in enumerate(problem.gpus_left):
        in_room[room] += [
            (model.new_fixed_size_interval_var(slot, 1, ""), int(left.max() - free))
            for slot, free in enumerate(left.tolist())
            if free < left.max()
        ]
    objective = []
    for job in range(len(problem.jobs)):
        costs = oracle.costs_kg(np.array([job]))[0]
        chosen = []
        for room in np.flatnonzero(np.isfinite(costs).any(axis=1)).tolist():
            slots = np.flatnonzero(np.isfinite(costs[room]))
            units = np.round(costs[room, slots] * UNITS_PER_KG).astype(np.int64)
            here = model.new_bool_var("")
            start = model.new_int_var(int(slots[0]), int(slots[-1]), "")
            cost = model.new_int_var(0, int(units.max()), "")
            priced = model.new_int_var(0, int(units.max()), "")
            model.add_element(start - int(slots[0]), units.tolist(), priced)
            model.add(cost >= priced).only_enforce_if(here)
            objective.append(cost)
            chosen.append(here)
            hold = int(problem.hold_slots[job, room])
            interval = model.new_optional_interval_var(start, hold, start + hold, here, "")
            in_room[room].append((interval, int(problem.gpus_held[job, room])))
        if chosen:
            out = model.new_bool_var("")
            objective.append(_penalty(oracle, job) * out)
            model.add_exactly_one([*chosen, out])
    for room, held in enumerate(in_room):
        model.add_cumulative(
            [interval for interval, _ in held], [gpus for _, gpus in held], int(problem.gpus_left[room].max())
        )
    model.minimize(sum(objective))
    return model


def _booleans(oracle: Oracle) -> cp_model.CpModel:
    problem, model = oracle.problem, cp_model.CpModel()
    rows: dict[tuple[int, int], list[tuple[cp_model.IntVar, int]]] = {}
    objective: list[tuple[cp_model.IntVar, int]] = []
    for job in range(len(problem.jobs)):
        costs = oracle.costs_kg(np.array([job]))[0]
        chosen = []
        for room, slot in np.argwhere(np.isfinite(costs)).tolist():
            start = model.new_bool_var("")
            chosen.append(start)
            objective.append((start, round(costs[room, slot] * UNITS_PER_KG)))
            for row in _rows(problem, job, room, slot):
                rows.setdefault((room, row), []).append((start, int(problem.gpus_held[job, room])))
        if chosen:
            out = model.new_bool_var("")
            objective.append((out, _penalty(oracle, job)))
            model.add_exactly_one([*chosen, out])
    for (room, row), held in rows.items():
        variables, gpus = zip(*held, strict=True)
        model.add(cp_model.LinearExpr.weighted_sum(variables, gpus) <= int(problem.gpus_left[room, row]))
    variables, units = zip(*objective, strict=True)
    model.minimize(cp_model.LinearExpr.weighted_sum(variables, units))
    return model


def _rows(problem: Problem, job: int, room: int, slot: int) -> range:
    return range(slot, int(problem.row_after(np.array([slot + problem.hold_slots[job, room]]))[0]))


def _penalty(oracle: Oracle, job: int) -> int:
    return round(float(oracle.penalty_kg[job]) * UNITS_PER_KG)


SHAPES = {"intervals": _intervals, "booleans": _booleans}

if __name__ == "__main__":
    told = main(sys.argv[1], (sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]), int(sys.argv[6])))
    sys.stdout.write(json.dumps(told) + "\n")
