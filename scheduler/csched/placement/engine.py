"""Snapshot in, plan out: problem -> prices -> schedule -> proof -> report, each pure and testable alone."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from csched.accounting import costs
from csched.domain.plan import Certificate, Placement, Plan, PlanStatus, Unplaced
from csched.domain.snapshot import Snapshot, SolveBudget
from csched.domain.verdict import Verdicts
from csched.placement import reasons
from csched.placement.fixing import columns
from csched.placement.pack import pack
from csched.placement.prices import Oracle, Prices, certificate, improve
from csched.placement.problem import Problem, build
from csched.placement.schedule import Board, Schedule, big_first, cost_kg, insert
from csched.units import SECONDS_PER_HOUR

if TYPE_CHECKING:
    from csched.placement.exact import Proof

MOST_PROVEN_JOBS = 300
"""A bound without a certificate is allowed up to here."""
MOST_PROVEN_COLUMNS = 200_000
PRICE_ROUNDS = 120
PROOF_S_PER_WORK = 0.01
"""CP-SAT's deterministic seconds for one unit of `work`, which is one round of the searches: some 10 ms."""
MOST_PROOF_S = 20.0
"""CP-SAT's deterministic seconds when no `work` is given, and at most."""
SAME = 1e-9
"""Costs that differ by less than this share are equal: sums of floats in another order differ as much."""


@dataclass(frozen=True, eq=False)
class Solution:
    schedule: Schedule
    bound_kg: float
    certificate: Certificate | None
    solver: str
    warnings: tuple[str, ...] = ()


def solve(snapshot: Snapshot, verdicts: Verdicts | None, budget: SolveBudget, policy_digest: str | None = None) -> Plan:
    """A valid plan and a proven bound on every plan. Without `verdicts` only the jobs' own wishes apply.

    The same snapshot, verdicts, seed and work give the same plan; `seconds` only stops what takes too long.
    """
    begun = time.perf_counter()
    problem = build(snapshot, verdicts)
    oracle = Oracle(problem)
    built = time.perf_counter()
    solution = _search(oracle, budget, built)
    solve_s = time.perf_counter() - built
    return _report(oracle, solution, budget, policy_digest, build_s=built - begun, solve_s=solve_s)


def _search(oracle: Oracle, budget: SolveBudget, built: float) -> Solution:
    problem = oracle.problem
    prices, bound = improve(oracle, Prices.zero(problem), PRICE_ROUNDS)
    schedule = _list_schedule(oracle, prices)
    cost = cost_kg(oracle, schedule)
    by_prices = Solution(schedule, bound, certificate(problem, prices), "prices + list schedule")
    if budget.work == 0 or len(problem.jobs) > MOST_PROVEN_JOBS or cost - bound <= SAME * abs(cost):
        return by_prices
    candidates = columns(oracle, prices, bound, cost)
    if len(candidates.job) > MOST_PROVEN_COLUMNS:
        return by_prices
    work = MOST_PROOF_S if budget.work is None else min(budget.work * PROOF_S_PER_WORK, MOST_PROOF_S)
    left_s = None if budget.seconds is None else budget.seconds - (time.perf_counter() - built)
    from csched.placement.exact import prove  # loads the solver, which most commands and big instances never need

    proof = prove(oracle, candidates, schedule, work=work, seconds=left_s, seed=budget.seed)
    return by_prices if proof is None else _better(oracle, by_prices, cost, proof)


def _better(oracle: Oracle, found: Solution, cost: float, proof: "Proof") -> Solution:
    """The better of two schedules with the better of two bounds; a bound not proven by prices has no certificate."""
    best = found.schedule
    if Board.of(oracle.problem, proof.schedule).valid:
        filled = _fill(oracle, proof.schedule)
        best = filled if cost_kg(oracle, filled) <= cost else best
    if proof.bound_kg <= found.bound_kg:
        return Solution(best, found.bound_kg, found.certificate, f"{found.solver} + cp-sat")
    return Solution(best, proof.bound_kg, None, "cp-sat: proven" if proof.optimal else "cp-sat: bound")


def _list_schedule(oracle: Oracle, prices: Prices) -> Schedule:
    """Big jobs first at least reduced cost, then each in turn to where it is cheapest beside the others."""
    problem = oracle.problem
    order = big_first(problem)
    board = Board(problem)
    schedule = insert(oracle, board, Schedule.empty(problem), order, oracle.held(prices))
    for job in order:
        if schedule.room[job] >= 0:
            board.lift(int(job), int(schedule.room[job]), int(schedule.slot[job]))
            schedule.room[job] = schedule.slot[job] = -1
            schedule = insert(oracle, board, schedule, np.array([job]))
    return _fill(oracle, schedule)


def _fill(oracle: Oracle, schedule: Schedule) -> Schedule:
    """Put in what still fits: no job is left out that has room."""
    order = big_first(oracle.problem)
    board = Board.of(oracle.problem, schedule)
    return insert(oracle, board, schedule, order[schedule.room[order] < 0])


def _report(
    oracle: Oracle,
    solution: Solution,
    budget: SolveBudget,
    policy_digest: str | None,
    *,
    build_s: float,
    solve_s: float,
) -> Plan:
    problem, snapshot = oracle.problem, oracle.problem.snapshot
    placements = _placements(problem, solution.schedule)
    unplaced = _unplaced(oracle, solution.schedule)
    placed_kg = sum(placement.cost_kg for placement in placements)
    cost = placed_kg + sum(job.penalty_kg for job in unplaced if job.penalty_kg is not None)
    bound = min(solution.bound_kg, cost)
    optimal = cost - bound <= SAME * max(abs(cost), 1e-9)
    return Plan(
        now=snapshot.now,
        horizon_h=snapshot.horizon_s / SECONDS_PER_HOUR,
        slot_min=snapshot.slot_s / 60,
        status=_status(snapshot, placements, optimal=optimal),
        placed_cost_kg=placed_kg,
        cost_kg=cost,
        bound_kg=bound,
        gap=0.0 if cost == bound else (cost - bound) / (placed_kg or cost),
        certificate=solution.certificate,
        solver=solution.solver,
        seed=budget.seed,
        policy_digest=policy_digest,
        carbon_source=snapshot.carbon.source,
        warnings=(*_warnings(snapshot, problem), *solution.warnings),
        build_s=build_s,
        solve_s=solve_s,
        placements=placements,
        unplaced=unplaced,
    )


def _status(snapshot: Snapshot, placements: Sequence[Placement], *, optimal: bool) -> PlanStatus:
    if snapshot.jobs and not placements:
        return PlanStatus.INFEASIBLE
    return PlanStatus.OPTIMAL if optimal else PlanStatus.FEASIBLE


def _placements(problem: Problem, schedule: Schedule) -> tuple[Placement, ...]:
    snapshot = problem.snapshot
    packed = pack(problem, schedule)
    placements = []
    for index in np.flatnonzero(schedule.room >= 0).tolist():
        job, room = problem.jobs[index], problem.rooms[schedule.room[index]]
        start = problem.start(schedule.slot[index])
        lines = costs.bill(
            job, room.site, room.hardware, start, fleet=snapshot.fleet, carbon=snapshot.carbon, now=snapshot.now
        )
        place = packed.get(index)
        placements.append(
            Placement(
                job=job.job,
                site=room.site.id,
                partition=room.partition.name,
                start=start,
                end=lines.end,
                gpus=job.gpus,
                nodes=place.nodes if place else None,
                domains=place.domains if place else None,
                kwh=lines.kwh,
                carbon_kg=lines.carbon_kg,
                topology_kg=lines.topology_kg,
                egress_kg=lines.egress_kg,
                wait_h=lines.wait_h,
                cost_kg=lines.cost_kg,
            )
        )
    return tuple(placements)


def _unplaced(oracle: Oracle, schedule: Schedule) -> tuple[Unplaced, ...]:
    problem = oracle.problem
    board = Board.of(problem, schedule)
    held = set(problem.snapshot.held)
    left_out = {problem.jobs[index].job: index for index in np.flatnonzero(schedule.room < 0).tolist()}
    unplaced = []
    for job in problem.snapshot.jobs:
        if job.job in held:
            unplaced.append(Unplaced(job=job.job, penalty_kg=None, reasons=(reasons.HELD,)))
        elif job.job in left_out:
            index = left_out[job.job]
            penalty = float(oracle.penalty_kg[index])
            unplaced.append(
                Unplaced(
                    job=job.job,
                    penalty_kg=None if np.isnan(penalty) else penalty,
                    reasons=reasons.of_unplaced(problem, board, index),
                )
            )
    return tuple(unplaced)


def _warnings(snapshot: Snapshot, problem: Problem) -> list[str]:
    warnings = list(snapshot.carbon.warnings)
    if problem.verdicts is None:
        warnings.append("no policies: only the jobs' own wishes were applied")
    without_pue = [site for site in snapshot.fleet.sites if site.pue is None]
    warnings += [
        f"{site.id} has no PUE of its own; the default {snapshot.fleet.pue(site):g} is used" for site in without_pue
    ]
    assumed = sorted({room.hardware.key for room in problem.rooms if room.hardware.assumed})
    warnings += [f"the power of {key} is an assumption" for key in assumed]
    return warnings
