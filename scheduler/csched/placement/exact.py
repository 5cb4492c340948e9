"""Small instances to proven optimality with CP-SAT, over the starts that fixing leaves.

Costs are floored to integers and caps of power are coarsened upwards, hence the solver's bound stays a bound on the
true cost; whether the schedule it finds is valid is for the caller to see.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from ortools.sat.python import cp_model

from csched.placement.cuts import can_exceed, rounded
from csched.placement.dtypes import Ints
from csched.placement.effort import Watch
from csched.placement.fixing import Columns
from csched.placement.oracle import Oracle
from csched.placement.schedule import Schedule
from csched.placement.timeline import UNCAPPED

BUILT_UNTIL = 0.7
"""A model that takes more of the time than this to write down is given up."""
MOST_LINEAR_COLUMNS = 25_000
"""The linear program of all limits proves most; of more columns it alone takes longer than a proof may."""
LEAST_S = 0.01
_POWER_BITS = 40


@dataclass(frozen=True, eq=False)
class Proof:
    schedule: Schedule
    bound_kg: float
    optimal: bool


def prove(oracle: Oracle, candidates: Columns, hint: Schedule, *, work: float, watch: Watch, seed: int) -> Proof | None:
    """The best of the candidates and a bound on every plan, or None where the solver or its time ended without either.

    `work` is in CP-SAT's deterministic seconds; the wall clock is a backstop.
    """
    model = _model(oracle, candidates, hint, watch)
    if model is None:
        return None
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.random_seed = seed
    solver.parameters.cp_model_presolve = False
    if len(candidates.job) <= MOST_LINEAR_COLUMNS:
        solver.parameters.linearization_level = 2
    solver.parameters.max_deterministic_time = work
    if watch.seconds is not None:
        solver.parameters.max_time_in_seconds = max(watch.left_s, LEAST_S)
    status = solver.solve(model)
    if status not in {cp_model.OPTIMAL, cp_model.FEASIBLE}:
        return None
    schedule = Schedule.empty(oracle.problem)
    for index in np.flatnonzero(np.array(solver.response_proto.solution)[: len(candidates.job)]):
        schedule.room[candidates.job[index]] = candidates.room[index]
        schedule.slot[candidates.job[index]] = candidates.slot[index]
    bound = (candidates.base_units + np.floor(solver.best_objective_bound)) / candidates.scale
    return Proof(schedule, float(bound), optimal=status == cp_model.OPTIMAL)


def _model(oracle: Oracle, candidates: Columns, hint: Schedule, watch: Watch) -> cp_model.CpModel | None:
    """One variable for each candidate, in their order, then what is left of each row that has a price.

    None where the time for writing it down ended. Written into the protocol buffer: expressions of so many variables
    would take ten times as long to make.
    """
    model = cp_model.CpModel()
    proto = model.proto
    for _ in candidates.job:
        proto.variables.add().domain.extend([0, 1])
    by_job = np.argsort(candidates.job, kind="stable")
    edges = np.flatnonzero(np.diff(candidates.job[by_job], prepend=-1, append=-1))
    for first, end in itertools.pairwise(edges.tolist()):  # each job starts once or is left out
        proto.constraints.add().exactly_one.literals.extend(by_job[first:end].tolist())
    for columns, amount, most in _limits(oracle, candidates):
        if watch.over(BUILT_UNTIL):
            return None
        _add_linear(proto, columns, amount, (0, most))
    hinted = (candidates.room == hint.room[candidates.job]) & (candidates.slot == hint.slot[candidates.job])
    units, hints = candidates.reduced_units.tolist(), hinted.astype(np.int64).tolist()
    for columns, held, most, price in _priced(oracle, candidates):
        proto.variables.add().domain.extend([0, most])
        _add_linear(proto, np.append(columns, len(units)), np.append(held, 1), (most, most))
        units.append(price)
        hints.append(most - int(held[hinted[columns]].sum()))
    proto.objective.vars.extend(range(len(units)))
    proto.objective.coeffs.extend(units)
    proto.solution_hint.vars.extend(range(len(units)))
    proto.solution_hint.values.extend(hints)
    return model


def _add_linear(proto: cp_model.CpModelProto, variables: Ints, coefficients: Ints, domain: tuple[int, int]) -> None:
    limit = proto.constraints.add().linear
    limit.vars.extend(variables.tolist())
    limit.coeffs.extend(coefficients.tolist())
    limit.domain.extend(domain)


def _priced(oracle: Oracle, candidates: Columns) -> Iterator[tuple[Ints, Ints, int, int]]:
    """Rows of GPUs that have a price: the starts that reach each, what they hold, what there is, and the price."""
    problem = oracle.problem
    ends = problem.row_after(candidates.slot + problem.hold_slots[candidates.job, candidates.room])
    held = problem.gpus_held[candidates.job, candidates.room]
    for room, row in np.argwhere(candidates.price_units > 0).tolist():
        reach = (candidates.room == room) & (candidates.slot <= row) & (row < ends)
        columns = np.flatnonzero(reach)
        yield columns, held[columns], int(problem.gpus_left[room, row]), int(candidates.price_units[room, row])


def _limits(oracle: Oracle, candidates: Columns) -> Iterator[tuple[Ints, Ints, int]]:
    """Starts that together could overfill something in some row: their columns, what each takes, what there is."""
    problem = oracle.problem
    ends = problem.row_after(candidates.slot + problem.hold_slots[candidates.job, candidates.room])
    held = problem.gpus_held[candidates.job, candidates.room]
    for room in range(len(problem.rooms)):
        here = np.flatnonzero(candidates.room == room)
        yield from _by_row(candidates, here, ends, held, problem.gpus_left[room])
    drawn = problem.power[candidates.job, candidates.room]
    sites = np.where(candidates.room >= 0, problem.room_site[candidates.room], -1)
    for site, left in enumerate(problem.power_left):
        capped = left < UNCAPPED
        if capped.any():
            shift = max(0, int(left[capped].max()).bit_length() - _POWER_BITS)
            coarse = np.where(capped, -(-left >> shift), UNCAPPED)
            here = np.flatnonzero(sites == site)
            yield from _by_row(candidates, here, ends, drawn >> shift, coarse)


def _by_row(candidates: Columns, here: Ints, ends: Ints, amount: Ints, left: Ints) -> Iterator[tuple[Ints, Ints, int]]:
    """Of the columns `here`, those that reach each row, and what the rounding of their amounts says besides."""
    starts, ends = candidates.slot[here], ends[here]
    for row, capacity in enumerate(left.tolist()):
        columns = here[(starts <= row) & (row < ends)]
        jobs, each = candidates.job[columns], amount[columns]
        if can_exceed(jobs, each, capacity):
            yield columns, each, capacity
            for weight, limit in rounded(jobs, each, capacity):
                yield columns[weight > 0], weight[weight > 0], limit
