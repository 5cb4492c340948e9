"""csched snapshot: everything a decision may know, as a file."""

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from csched.cli.output import Output, output_options
from csched.clock import format_instant
from csched.errors import InputError
from csched.report.rendering import Rendered

if TYPE_CHECKING:
    from csched.app import App
    from csched.domain.snapshot import Snapshot


@click.command()
@click.option("--plan", "plan_id", metavar="N|last", help="The one that a committed plan was made from.")
@click.option("--out", "-o", type=click.Path(dir_okay=False, path_type=Path), help="Write it to this file.")
@output_options
def command(output: Output, plan_id: str | None, out: Path | None) -> None:
    """Write everything the next decision would see: fleet, jobs, running work and carbon.

    \b
    Examples:
      csched snapshot > now.json && csched replay now.json
      csched snapshot --plan last --out decided.json
    """
    from csched.app import open_app

    with closing(open_app()) as app:
        snapshot = app.snapshot() if plan_id is None else _kept(app, plan_id)
        text = snapshot.model_dump_json(by_alias=True, indent=2)
        if out is None:
            click.echo(text)
        else:
            out.write_text(text + "\n", encoding="utf-8")
            document = {"file": str(out), "now": format_instant(snapshot.now), "jobs": len(snapshot.jobs)}
            output.show(Rendered(document, [out], [f"Wrote {len(snapshot.jobs)} jobs to {out}"]))


def _kept(app: "App", plan_id: str) -> "Snapshot":
    if plan_id != "last" and not plan_id.isdecimal():
        raise click.BadParameter("a plan's number or `last`", param_hint="--plan")
    record = app.store.plan(None if plan_id == "last" else int(plan_id))
    if record is None:
        raise InputError(f"there is no plan `{plan_id}`", hint="the newest 1,000 plans are kept")
    if record.snapshot is None:
        raise InputError(f"the snapshot of plan {record.id} is no longer kept", hint="only the newest ones are")
    return record.snapshot
