"""csched verify: every figure of a plan recomputed, by code that shares nothing with the engine."""

from pathlib import Path

import click

from csched.cli.documents import read_document
from csched.cli.output import Output, output_options
from csched.cli.planning_input import PlanningInput, planning_input, screened
from csched.errors import InputError
from csched.report.rendering import Rendered


@click.command()
@click.argument("plan_file", metavar="PLAN.json", type=click.Path(dir_okay=False, path_type=Path))
@planning_input
@output_options
def command(output: Output, *, plan_file: Path, given: PlanningInput) -> int:
    """Recompute every figure of a plan and its bound: exit 0, or 3 with the faults.

    \b
    Example:
      csched verify plan.json --fleet fleet.yaml --jobs jobs.csv --carbon climatology
    """
    from csched.domain.plan import Plan
    from csched.placement.check import faults

    plan = read_document(plan_file, Plan)
    with output.working("verifying"):
        snapshot, policies = given.read(plan.now, round(plan.horizon_h * 3600), round(plan.slot_min * 60))
        quotas = policies.quotas(snapshot) if policies else ()
        found = faults(plan, snapshot, screened(snapshot, policies), quotas)
    if plan.policy_digest != (policies.digest if policies else None):
        found.insert(0, "the plan was made under other policies than these")
    if plan.carbon_source != snapshot.carbon.source:
        output.remark(
            f"the plan was made with {plan.carbon_source}; its figures are held against {snapshot.carbon.source}"
        )
    verdict = f"{plan_file}: {len(found)} faults" if found else f"{plan_file}: every figure and the bound are true"
    document = {"valid": not found, "faults": found, "cost_kg": plan.cost_kg, "bound_kg": plan.bound_kg}
    output.show(Rendered(document, found or ["valid"], [verdict, *found]))
    return InputError.exit_code if found else 0
