"""csched plan: where and when each job of a file would best run; nothing is started."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from csched.cli.documents import read_document
from csched.cli.output import Output, pass_output
from csched.cli.parameters import DURATION_S, INSTANT, SHARE
from csched.cli.planning_input import PlanningInput, planning_input
from csched.errors import InputError, NothingPlaced, UsageError, Where
from csched.report.rendering import Rendered, escaped

if TYPE_CHECKING:
    from csched.domain.plan import Plan
    from csched.domain.snapshot import StandingPlan

MOST_SLOTS = 100_000
MOST_ROWS = 200
"""A longer table is of no use to a person; the file has every row."""
STDOUT = Path("-")
DEFAULT_BUDGET_S = 30
TIRELESS_WORK = 10_000_000
"""More than any budget lets be done."""
_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@planning_input
@click.option("--now", type=INSTANT, help="The instant to decide at [default: this moment].")
@click.option("--horizon", type=DURATION_S, default="48h", show_default=True, help="Jobs start within this time.")
@click.option("--slot", type=DURATION_S, default="15m", show_default=True, help="Jobs start at multiples of this.")
@click.option("--budget", type=DURATION_S, help="Search this long [default: till little is gained, at most 30s].")
@click.option("--work", type=click.IntRange(min=0), help="How hard to search; the same plan on any machine.")
@click.option("--gap", type=SHARE, help="Stop once the plan is proven within this of the best, such as 1%.")
@click.option("--standing", type=_FILE, help="The last plan: begin there and keep to its starts.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True)
@click.option(
    "--json",
    "json_file",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    is_flag=False,
    flag_value=STDOUT,
    help="Write the plan as csched/plan/1 to this file; - or nothing is stdout.",
)
@pass_output
def command(
    output: Output,
    *,
    now: datetime | None,
    horizon: int,
    slot: int,
    budget: int | None,
    work: int | None,
    gap: float | None,
    standing: Path | None,
    seed: int,
    json_file: Path | None,
    given: PlanningInput,
) -> int:
    """Plan a file of jobs on a fleet, with a proven bound on how much better any other plan could be.

    \b
    Examples:
      csched plan --fleet fleet.yaml --jobs jobs.csv --carbon climatology
      csched plan --fleet fleet.yaml --jobs jobs.csv --carbon intensities/ --policies policies/ --json plan.json
    """
    from csched.clock import SystemClock
    from csched.cycle import decide
    from csched.domain.snapshot import SolveBudget

    if horizon > MOST_SLOTS * slot:
        raise UsageError(f"--horizon has more than {MOST_SLOTS} slots", hint="take a longer --slot")
    seconds = DEFAULT_BUDGET_S if budget is None and work is None else budget
    if budget is not None and work is None:
        work = TIRELESS_WORK
    with output.working("planning"):
        last = _standing(standing) if standing else None
        snapshot, policies = given.read(now or SystemClock().now(), horizon, slot, last)
        plan = decide(snapshot, policies, SolveBudget(seconds=seconds, work=work, gap=gap, seed=seed))
    if json_file is not None:
        _write(plan, json_file)
    if json_file != STDOUT:
        output.show(_rendered(plan, json_file))
    return NothingPlaced.exit_code if plan.unplaced and not plan.placements else 0


def _standing(file: Path) -> "StandingPlan":
    from csched.domain.plan import Plan
    from csched.domain.snapshot import StandingPlan

    return StandingPlan.of(read_document(file, Plan))


def _write(plan: "Plan", file: Path) -> None:
    text = escaped(plan.model_dump_json(by_alias=True, indent=2)) + "\n"
    if file == STDOUT:
        click.echo(text, nl=False)
        return
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"the plan cannot be written: {error.strerror}", where=Where(file=str(file))) from error


def _rendered(plan: "Plan", json_file: Path | None) -> Rendered:
    """The whole plan for a person, or its headline and warnings where the tables would be endless."""
    from csched.report.plans import effort, headline
    from csched.report.plans import plan as rendered

    if len(plan.placements) + len(plan.unplaced) <= MOST_ROWS:
        return rendered(plan)
    where = f"in {json_file}" if json_file else "left out here; --json FILE writes them"
    warnings = [f"warning: {warning}" for warning in plan.warnings]
    return Rendered(None, view=[effort(plan), headline(plan), *warnings, f"the placements are {where}"])
