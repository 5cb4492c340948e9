"""csched explain: for each site, why the job runs there or not."""

from contextlib import closing
from typing import TYPE_CHECKING

import click

from csched.cli.job_ids import choose, jobs_argument
from csched.cli.newest_plan import plan_for
from csched.cli.output import Output, output_options

if TYPE_CHECKING:
    from csched.app import App
    from csched.report.rendering import Rendered
    from csched.store.records import JobRecord


@click.command()
@jobs_argument
@click.option("--all", "all_reasons", is_flag=True, help="Every reason of every site, not the most telling one.")
@output_options
def command(output: Output, *, selectors: tuple[str, ...], all_reasons: bool) -> None:
    """Say for each site whether a job, or each of several, may run there, when, at what carbon, and why not.

    The column OTHERS is what a GPU-hour there is worth to other jobs at that time. Of a job that is left out the
    smallest changes that would place it follow.

    \b
    Examples:
      csched explain 17
      csched explain 17 --all
      csched explain last --json | jq '.options[] | {site, verdict, reasons}'
    """
    from csched.app import open_app
    from csched.report.rendering import together

    with closing(open_app()) as app:
        records = choose(app.store, selectors)
        with output.working("planning"):
            explained = [_explained(app, record, all_reasons=all_reasons) for record in records]
        output.show(together("jobs", explained))


def _explained(app: "App", record: "JobRecord", *, all_reasons: bool) -> "Rendered":
    from csched.errors import Unavailable
    from csched.report.jobs import reason
    from csched.report.options import options

    explanation = app.explain(record.id)
    if not explanation.options:
        raise Unavailable(
            f"nothing is kept of how job {record.id} was decided: {record.state}", hint=f"csched show {record.id}"
        )
    home = app.fleet.home_site(record.job.home_site, record.job.tenant)
    headline = f"Job {record.id} ({record.name}): {reason(record, plan_for(app, [record]))}"
    return options(explanation, home, headline, all_reasons=all_reasons, job_id=record.id)
