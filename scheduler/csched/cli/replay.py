"""csched replay: the same snapshot decided once more."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from csched.cli.documents import read_document
from csched.cli.output import Output, output_options
from csched.errors import InputError, UsageError
from csched.report.rendering import Rendered

if TYPE_CHECKING:
    from csched.app import App
    from csched.domain.plan import Plan
    from csched.domain.snapshot import Snapshot

DIFFERENT = 1
_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.argument("snapshot_file", metavar="[SNAPSHOT.json]", required=False, type=_FILE)
@click.option("--against", type=_FILE, help="A plan (csched plan --json) to compare with.")
@click.option("--work", type=click.IntRange(min=0), help="Deterministic effort instead of a time limit.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True)
@output_options
def command(output: Output, *, snapshot_file: Path | None, against: Path | None, work: int | None, seed: int) -> int:
    """Decide once more from a snapshot. Without a file: from the last committed plan's own.

    Compared with --against, or with that committed plan, it says same (exit code 0) or different (1). A plan that was
    cut off by its time limit may differ; --work makes the effort the same.

    \b
    Examples:
      csched replay
      csched snapshot > now.json && csched replay now.json --work 50
      csched replay now.json --against plan.json
    """
    from csched.app import open_app
    from csched.cycle import decide
    from csched.domain.snapshot import SolveBudget

    with closing(open_app()) as app, output.working("planning"):
        snapshot, before = _given(app, snapshot_file, against)
        budget = SolveBudget(seconds=app.budget.seconds if work is None else None, work=work, seed=seed)
        after = decide(snapshot, app.policies, budget)
    if before is None:
        output.show(_decided(after))
        return 0
    differences = list(_differences(before, after))
    output.show(_compared(after, differences))
    return DIFFERENT if differences else 0


def _given(app: "App", snapshot_file: Path | None, against: Path | None) -> "tuple[Snapshot, Plan | None]":
    from csched.domain.plan import Plan
    from csched.domain.snapshot import Snapshot

    if snapshot_file is not None:
        before = None if against is None else read_document(against, Plan)
        return read_document(snapshot_file, Snapshot), before
    if against is not None:
        raise UsageError("--against needs a snapshot to decide from", hint="csched replay SNAPSHOT.json --against PLAN")
    record = app.store.plan()
    if record is None or record.snapshot is None:
        raise InputError("there is no committed plan yet", hint="give a file: csched snapshot > now.json")
    return record.snapshot, record.plan


def _differences(before: "Plan", after: "Plan") -> Iterator[str]:
    """One line for each job that is decided otherwise, and for each figure of the whole."""
    ours, theirs = after.decision(), before.decision()
    for job in sorted({*before.placement_of, *after.placement_of, *before.unplaced_of, *after.unplaced_of}):
        if (old := _fate(before, job)) != (new := _fate(after, job)):
            yield f"job {job}: {old}, now {new}"
    for field in sorted(ours.keys() - {"placements", "unplaced", "certificate"}):
        if ours[field] != theirs[field]:
            yield f"{field}: {theirs[field]}, now {ours[field]}"
    for field in ("certificate", "placements", "unplaced"):
        if ours[field] != theirs[field]:
            yield f"{field} differs"


def _fate(plan: "Plan", job: str) -> str:
    from csched.report.words import moment

    if placed := plan.placement_of.get(job):
        return f"{placed.site}/{placed.partition} at {moment(placed.start)}"
    return "not placed" if job in plan.unplaced_of else "not in the plan"


def _decided(plan: "Plan") -> Rendered:
    from csched.report.plans import plan as rendered

    return rendered(plan)


def _compared(plan: "Plan", differences: list[str]) -> Rendered:
    word = "different" if differences else "same"
    document = {"same": not differences, "differences": differences, "plan": plan.decision()}
    return Rendered(document, [word], [word, *differences])
