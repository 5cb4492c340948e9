"""Deciding is a function; the world stands around it."""

from csched.domain.plan import Plan
from csched.domain.snapshot import Snapshot, SolveBudget
from csched.placement.check import require_valid
from csched.placement.engine import solve
from csched.ports import Policies, World


def decide(snapshot: Snapshot, policies: Policies | None, budget: SolveBudget) -> Plan:
    """Choose a site and a start for each pending job. Same snapshot, policies, seed and work: same plan.

    Without policies only the jobs' own wishes apply, and the plan says so in its warnings.
    """
    verdicts = policies.screen(snapshot.jobs, snapshot.fleet, snapshot.now) if policies else None
    quotas = policies.quotas(snapshot) if policies else ()
    plan = solve(snapshot, verdicts, budget, policy_digest=policies.digest if policies else None, quotas=quotas)
    require_valid(plan, snapshot, verdicts, quotas)
    return plan


def run_cycle(world: World, policies: Policies | None, budget: SolveBudget) -> Plan:
    """One round against a real or a simulated world."""
    plan = decide(world.snapshot(), policies, budget)
    for placement in world.commit(plan):
        world.dispatch(placement)
    return plan
