"""Small instances to proven optimality with CP-SAT, over the starts that fixing leaves.

Costs are floored to integers and caps of power are coarsened upwards, hence the solver's bound stays a bound on the
true cost; whether the schedule it finds is valid is for the caller to see.
"""

from dataclasses import dataclass

import numpy as np
from ortools.sat.python import cp_model

from csched.placement.fixing import Columns
from csched.placement.oracle import Oracle
from csched.placement.problem import UNCAPPED, Flags, Ints
from csched.placement.schedule import Schedule

_POWER_BITS = 40


@dataclass(frozen=True, eq=False)
class Proof:
    schedule: Schedule
    bound_kg: float
    optimal: bool


def prove(
    oracle: Oracle, candidates: Columns, hint: Schedule, *, work: float, seconds: float | None, seed: int
) -> Proof | None:
    """The best of the candidates and a bound on every plan, or None where the solver ended without either.

    `work` is in CP-SAT's deterministic seconds; the wall clock is a backstop.
    """
    model = cp_model.CpModel()
    chosen = [model.new_bool_var("") for _ in candidates.job]
    _each_job_once(model, candidates, chosen)
    _within_capacity(model, oracle, candidates, chosen)
    model.minimize(cp_model.LinearExpr.weighted_sum(chosen, candidates.cost_units.tolist()))
    hinted = (candidates.room == hint.room[candidates.job]) & (candidates.slot == hint.slot[candidates.job])
    for variable, value in zip(chosen, hinted.tolist(), strict=True):
        model.add_hint(variable, value)
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.random_seed = seed
    solver.parameters.max_deterministic_time = work
    if seconds is not None:
        solver.parameters.max_time_in_seconds = max(seconds, 0.01)
    status = solver.solve(model)
    if status not in {cp_model.OPTIMAL, cp_model.FEASIBLE}:
        return None
    schedule = Schedule.empty(oracle.problem)
    for index in np.flatnonzero([solver.boolean_value(variable) for variable in chosen]):
        schedule.room[candidates.job[index]] = candidates.room[index]
        schedule.slot[candidates.job[index]] = candidates.slot[index]
    bound = np.floor(solver.best_objective_bound) / candidates.scale
    return Proof(schedule, float(bound), optimal=status == cp_model.OPTIMAL)


def _each_job_once(model: cp_model.CpModel, candidates: Columns, chosen: list[cp_model.IntVar]) -> None:
    """Each job starts once or is left out."""
    of_job: dict[int, list[cp_model.IntVar]] = {}
    for job, variable in zip(candidates.job.tolist(), chosen, strict=True):
        of_job.setdefault(job, []).append(variable)
    for variables in of_job.values():
        model.add_exactly_one(variables)


def _within_capacity(
    model: cp_model.CpModel, oracle: Oracle, candidates: Columns, chosen: list[cp_model.IntVar]
) -> None:
    """In each row, the starts that reach it hold no more GPUs and no more power than is left."""
    problem = oracle.problem
    starts = candidates.slot
    ends = problem.row_after(starts + problem.hold_slots[candidates.job])
    held = problem.gpus_held[candidates.job, candidates.room]
    for room in range(len(problem.rooms)):
        _cover(
            model, chosen, candidates.room == room, starts=starts, ends=ends, amount=held, left=problem.gpus_left[room]
        )
    drawn = problem.power[candidates.job, candidates.room]
    sites = np.where(candidates.room >= 0, problem.room_site[candidates.room], -1)
    for site, left in enumerate(problem.power_left):
        capped = left < UNCAPPED
        if capped.any():
            shift = max(0, int(left[capped].max()).bit_length() - _POWER_BITS)
            coarse = np.where(capped, -(-left >> shift), UNCAPPED)
            _cover(model, chosen, sites == site, starts=starts, ends=ends, amount=drawn >> shift, left=coarse)


def _cover(
    model: cp_model.CpModel,
    chosen: list[cp_model.IntVar],
    here: Flags,
    *,
    starts: Ints,
    ends: Ints,
    amount: Ints,
    left: Ints,
) -> None:
    """One capacity constraint for each row that the starts `here` could overfill."""
    index = np.flatnonzero(here)
    for row, capacity in enumerate(left.tolist()):
        covering = index[(starts[index] <= row) & (row < ends[index])]
        if amount[covering].sum() > capacity:
            variables = [chosen[column] for column in covering]
            model.add(cp_model.LinearExpr.weighted_sum(variables, amount[covering].tolist()) <= capacity)
