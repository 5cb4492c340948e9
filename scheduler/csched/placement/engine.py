"""Snapshot in, plan out: problem -> prices -> schedule -> proof -> report, each pure and testable alone."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from csched.accounting import costs
from csched.domain.plan import Certificate, Placement, Plan, PlanStatus, Stop, Unplaced
from csched.domain.snapshot import Snapshot, SolveBudget
from csched.domain.verdict import Verdicts
from csched.placement import reasons
from csched.placement.effort import MOST_PROVEN_JOBS, Effort, Watch
from csched.placement.fixing import columns
from csched.placement.oracle import Oracle
from csched.placement.pack import pack
from csched.placement.plain import fill
from csched.placement.plain import pursue as pursue_plainly
from csched.placement.prices import certificate, prices_of
from csched.placement.problem import Floats, Problem, build
from csched.placement.schedule import Board, Schedule, cost_kg
from csched.placement.standing import moved, moves_kg, standing
from csched.units import SECONDS_PER_HOUR

FEW_JOBS = 32
"""Up to here numpy has planned before the kernels are loaded."""
MOST_PROVEN_COLUMNS = 200_000
PROOF_S_PER_WORK, MOST_PROOF_S = 0.01, 20.0
"""CP-SAT's deterministic seconds for a unit of work, and at most."""
LEAST_PROOF_S = 0.1
"""With less time left a proof is not begun."""
SAME = 1e-9
"""Costs that differ by less than this share are equal: sums of floats in another order differ as much."""
COMPILED = "prices, squeaky wheel, descent, ruin and recreate"
PLAIN = "prices, list schedule"


@dataclass(frozen=True, eq=False)
class Solution:
    """A schedule, what proves how good it is, and what was done for both."""

    schedule: Schedule
    bound_kg: float
    penalty_kg: Floats
    """NaN without an allowed start; shape (J,)."""
    certificate: Certificate | None
    solver: str
    warnings: tuple[str, ...] = ()


def solve(snapshot: Snapshot, verdicts: Verdicts | None, budget: SolveBudget, policy_digest: str | None = None) -> Plan:
    """A valid plan and a proven bound on every plan. Without `verdicts` only the jobs' own wishes apply.

    The same snapshot, verdicts, seed and work give the same plan; `seconds` only stops what takes too long.
    """
    begun = time.perf_counter()
    problem = build(snapshot, verdicts)
    watch = Watch(budget.seconds, budget.gap or 0.0)
    build_s = watch.begun - begun
    solution = _solution(problem, budget, watch)
    return _report(problem, solution, budget, policy_digest, build_s=build_s, watch=watch)


def _solution(problem: Problem, budget: SolveBudget, watch: Watch) -> Solution:
    found = _compiled(problem, budget, watch) if len(problem.jobs) > FEW_JOBS else _plain(problem, watch)
    if len(problem.jobs) > MOST_PROVEN_JOBS or budget.work == 0:
        return found
    with watch.stage("proof"):
        try:
            return _proven(problem, found, budget, watch)
        except Exception as error:  # noqa: BLE001 # a solver that fails costs the proof, never the plan
            return replace(found, warnings=(*found.warnings, f"nothing was proven: the solver failed ({error})"))


def _compiled(problem: Problem, budget: SolveBudget, watch: Watch) -> Solution:
    """On the kernels; where those fail, whatever the reason, in plain numpy, and the plan says so."""
    try:
        from csched.placement.pursuit import pursue
        from csched.placement.search import exact_answer, load_kernels

        with watch.paused():
            load_kernels(problem)
        found = pursue(problem, Effort.of(problem, budget.work), watch, budget.seed, standing(problem))
        with watch.stage("bound"):
            bound_kg, penalty_kg = exact_answer(problem, found.prices)
    except Exception as error:  # noqa: BLE001 # numba may be missing, unable to compile or out of memory
        return replace(_plain(problem, watch), warnings=(f"planned without compiled kernels: {error}",))
    if not (found.prices.sane and np.isfinite(bound_kg) and Board.of(problem, found.schedule).valid):
        return replace(_plain(problem, watch), warnings=("planned anew in numpy: the kernels gave no valid plan",))
    return Solution(found.schedule, bound_kg, penalty_kg, certificate(problem, found.prices), COMPILED)


def _plain(problem: Problem, watch: Watch) -> Solution:
    oracle = Oracle(problem)
    found = pursue_plainly(oracle, watch)
    bound_kg = oracle.answer(found.prices).bound_kg
    if warm := standing(problem):
        stood = fill(oracle, warm.schedule)
        if _worth_kg(oracle, stood) <= _worth_kg(oracle, found.schedule):
            found = replace(found, schedule=stood)
    return Solution(found.schedule, bound_kg, oracle.penalty_kg, certificate(problem, found.prices), PLAIN)


def _worth_kg(oracle: Oracle, schedule: Schedule) -> float:
    """What the search makes smaller: the cost, and what moving announced starts counts for."""
    return cost_kg(oracle, schedule) + moves_kg(oracle.problem, schedule)


def _proven(problem: Problem, found: Solution, budget: SolveBudget, watch: Watch) -> Solution:
    """The better of two schedules with the better of two bounds; a bound not proven by prices has no certificate."""
    oracle = Oracle(problem)
    cost = cost_kg(oracle, found.schedule)
    if cost - found.bound_kg <= SAME * abs(cost) or found.certificate is None:
        return found
    candidates = columns(oracle, prices_of(problem, found.certificate), found.bound_kg, cost)
    if len(candidates.job) > MOST_PROVEN_COLUMNS or watch.left_s < LEAST_PROOF_S:
        return found
    from csched.placement.exact import prove  # loads the solver, which most commands and big instances never need

    work = MOST_PROOF_S if budget.work is None else min(PROOF_S_PER_WORK * budget.work, MOST_PROOF_S)
    proof = prove(oracle, candidates, found.schedule, work=work, watch=watch, seed=budget.seed)
    if proof is None:
        return found
    if Board.of(problem, proof.schedule).valid:
        filled = fill(oracle, proof.schedule)
        if _worth_kg(oracle, filled) <= _worth_kg(oracle, found.schedule):
            found = replace(found, schedule=filled)
    if proof.bound_kg <= found.bound_kg:
        return replace(found, solver=f"{found.solver}, cp-sat")
    proven = "proven optimal by cp-sat" if proof.optimal else "bound by cp-sat"
    return replace(found, bound_kg=proof.bound_kg, certificate=None, solver=f"{found.solver}, {proven}")


def _report(
    problem: Problem,
    solution: Solution,
    budget: SolveBudget,
    policy_digest: str | None,
    *,
    build_s: float,
    watch: Watch,
) -> Plan:
    snapshot, solve_s = problem.snapshot, watch.elapsed_s
    placements = _placements(problem, solution.schedule)
    unplaced = _unplaced(problem, solution)
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
        announced=int((problem.announced_room >= 0).sum()),
        moved=int(moved(problem, solution.schedule).sum()),
        stages=watch.stage_s,
        stopped=_stop(watch, optimal=optimal),
    )


def _stop(watch: Watch, *, optimal: bool) -> Stop:
    if optimal:
        return Stop.OPTIMAL
    if watch.near:
        return Stop.GAP
    return Stop.BUDGET if watch.ran_out else Stop.WORK


def _status(snapshot: Snapshot, placements: Sequence[Placement], *, optimal: bool) -> PlanStatus:
    if snapshot.jobs and not placements:
        return PlanStatus.INFEASIBLE
    return PlanStatus.OPTIMAL if optimal else PlanStatus.FEASIBLE


def _placements(problem: Problem, schedule: Schedule) -> tuple[Placement, ...]:
    snapshot = problem.snapshot
    packed = pack(problem, schedule)
    placements = []
    arrival = {job.job: index for index, job in enumerate(snapshot.jobs)}
    placed = np.flatnonzero(schedule.room >= 0).tolist()
    for index in sorted(placed, key=lambda index: arrival[problem.jobs[index].job]):
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


def _unplaced(problem: Problem, solution: Solution) -> tuple[Unplaced, ...]:
    schedule = solution.schedule
    board = Board.of(problem, schedule)
    held = set(problem.snapshot.held)
    left_out = {problem.jobs[index].job: index for index in np.flatnonzero(schedule.room < 0).tolist()}
    unplaced = []
    for job in problem.snapshot.jobs:
        if job.job in held:
            unplaced.append(Unplaced(job=job.job, penalty_kg=None, reasons=(reasons.HELD,)))
        elif job.job in left_out:
            index = left_out[job.job]
            penalty = float(solution.penalty_kg[index])
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
