"""Snapshot in, plan out: problem -> prices -> schedule -> proof -> what binds jobs -> report, each pure."""

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from csched.domain.plan import Plan
from csched.domain.quota import QuotaRow
from csched.domain.snapshot import Snapshot, SolveBudget
from csched.domain.verdict import Verdicts
from csched.placement.arrangement import Arrangement, Ties
from csched.placement.dtypes import Floats
from csched.placement.effort import MOST_PROVEN_JOBS, Effort, Watch
from csched.placement.fixing import columns
from csched.placement.oracle import Oracle
from csched.placement.pack import pack
from csched.placement.plain import fill
from csched.placement.plain import pursue as pursue_plainly
from csched.placement.prices import Prices, certificate, prices_of
from csched.placement.problem import Problem, build
from csched.placement.reporting import SAME, Solution, report
from csched.placement.schedule import Board, Schedule, cost_kg
from csched.placement.settle import settle
from csched.placement.standing import moves_kg, standing

FEW_JOBS = 32
"""Up to here numpy has planned before the kernels are loaded; where they stay loaded it has not."""
PROOF_S_PER_WORK, MOST_PROOF_S = 0.01, 20.0
"""CP-SAT's deterministic seconds for a unit of work, and at most."""
COLUMNS_PER_PROOF_S = 5_000
"""With more starts for each of these seconds a proof is not begun: it would end in presolve."""
NEARLY_ALL = 0.95
"""Of the time: a solver that stops at its limit stops a little before it."""
LEAST_PROOF_S = 0.1
"""With less time left a proof is not begun."""
COMPILED = "prices, squeaky wheel, descent, ruin and recreate"
PLAIN = "prices, list schedule"


def solve(
    snapshot: Snapshot,
    verdicts: Verdicts | None,
    budget: SolveBudget,
    policy_digest: str | None = None,
    quotas: Sequence[QuotaRow] = (),
) -> Plan:
    """A valid plan and a proven bound on every plan. Without `verdicts` only the jobs' own wishes apply.

    The same snapshot, verdicts, quotas, seed and work give the same plan; `seconds` only stops what takes too long.
    """
    begun = time.perf_counter()
    problem = build(snapshot, verdicts)
    ties = Ties(problem, quotas)
    watch = Watch(budget.seconds, budget.gap or 0.0)
    build_s = watch.begun - begun
    if ties.bound:
        arranged, solution = _together(problem, ties, budget, watch)
    else:
        solution = _solution(problem, budget, watch)
        arranged = settle(problem, ties, solution.schedule, solution.penalty_kg, watch)
    with watch.stage("nodes"):
        places = pack(arranged)
    return report(arranged, places, solution, budget, policy_digest, build_s=build_s, watch=watch)


def _together(problem: Problem, ties: Ties, budget: SolveBudget, watch: Watch) -> tuple[Arrangement, Solution]:
    """Jobs that are bound to each other: found as if they were not, in windows that chains fit in, then settled.

    Penalties and bound are those of the jobs without what binds them: no plan that keeps it costs less.
    """
    found = _searched(ties.searched(problem), budget, watch)
    alone = ties.gangs.without(problem)
    prices = prices_of(problem, found.certificate) if found.certificate else Prices.zero(problem)
    with watch.stage("bound"):
        bound_kg, penalty_kg = _bound(alone, prices)
        bound_kg += ties.gangs.bound_kg(prices)
        for job, each in ties.gangs.penalties_kg().items():
            penalty_kg[job] = each
    found = replace(found, bound_kg=bound_kg, penalty_kg=penalty_kg, certificate=certificate(problem, prices))
    with watch.stage("settle"):
        arranged = settle(alone, ties, found.schedule, penalty_kg, watch)
    if ties.gangs:
        return arranged, found
    settled = replace(found, schedule=arranged.schedule)
    proven = _with_proof(problem, settled, budget, watch)
    if proven.schedule is not settled.schedule:
        other = settle(alone, ties, proven.schedule, penalty_kg, watch)
        arranged = min(arranged, other, key=lambda each: each.total_kg(penalty_kg))
    return arranged, proven


def _solution(problem: Problem, budget: SolveBudget, watch: Watch) -> Solution:
    return _with_proof(problem, _searched(problem, budget, watch), budget, watch)


def _searched(problem: Problem, budget: SolveBudget, watch: Watch) -> Solution:
    few = len(problem.jobs) <= FEW_JOBS and not budget.resident
    return _plain(problem, watch) if few else _compiled(problem, budget, watch)


def _with_proof(problem: Problem, found: Solution, budget: SolveBudget, watch: Watch) -> Solution:
    if len(problem.jobs) > MOST_PROVEN_JOBS or budget.work == 0 or watch.near:
        return found
    with watch.stage("proof"):
        try:
            return _proven(problem, found, budget, watch)
        except Exception as error:  # noqa: BLE001 # a solver that fails costs the proof, never the plan
            return replace(found, warnings=(*found.warnings, f"nothing was proven: the solver failed ({error})"))


def _compiled(problem: Problem, budget: SolveBudget, watch: Watch) -> Solution:
    """On the kernels; where those fail, whatever the reason, in plain numpy, and the plan says so."""
    try:
        with watch.paused():  # loading numba, and the first time compiling, is no planning
            from csched.placement.pursuit import pursue
            from csched.placement.search import exact_answer, load_kernels

            load_kernels(problem)
        found = pursue(problem, Effort.of(problem, budget.work), watch, budget.seed, standing(problem))
        with watch.stage("bound"):
            bound_kg, penalty_kg = exact_answer(problem, found.prices)
    except Exception as error:  # noqa: BLE001 # numba may be missing, unable to compile or out of memory
        return replace(_plain(problem, watch), warnings=(f"planned without compiled kernels: {error}",))
    if not (found.prices.sane and np.isfinite(bound_kg) and Board.of(problem, found.schedule).valid):
        return replace(_plain(problem, watch), warnings=("planned anew in numpy: the kernels gave no valid plan",))
    return Solution(found.schedule, bound_kg, penalty_kg, certificate(problem, found.prices), COMPILED)


def _bound(problem: Problem, prices: Prices) -> tuple[float, Floats]:
    """What prices prove, and the penalties (NaN without an allowed start)."""
    if len(problem.jobs) > FEW_JOBS:
        try:
            from csched.placement.search import exact_answer

            bound_kg, penalty_kg = exact_answer(problem, prices)
            if np.isfinite(bound_kg):
                return bound_kg, penalty_kg
        except Exception:  # noqa: BLE001, S110 # the search has already told that there are no kernels
            pass
    oracle = Oracle(problem)
    return oracle.answer(prices).bound_kg, oracle.penalty_kg


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
    work = MOST_PROOF_S if budget.work is None else min(PROOF_S_PER_WORK * budget.work, MOST_PROOF_S)
    if len(candidates.job) > COLUMNS_PER_PROOF_S * work or watch.left_s < LEAST_PROOF_S:
        return found
    from csched.placement.exact import prove  # loads the solver, which most commands and big instances never need

    proof = prove(oracle, candidates, found.schedule, work=work, watch=watch, seed=budget.seed)
    watch.over(NEARLY_ALL)  # remembered where the clock ended the proof
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
