"""csched explain: for each site, why the job runs there or not."""

from contextlib import closing

import click

from csched.cli.job_ids import choose_one, job_argument
from csched.cli.newest_plan import plan_for
from csched.cli.output import Output, output_options


@click.command()
@job_argument
@click.option("--all", "all_reasons", is_flag=True, help="Every reason of every site, not the most telling one.")
@output_options
def command(output: Output, *, selector: str, all_reasons: bool) -> None:
    """Say for each site whether the job may run there, when, at what carbon, and why not.

    \b
    Examples:
      csched explain 17
      csched explain 17 --all
      csched explain last --json | jq '.options[] | {site, verdict, reasons}'
    """
    from csched.app import open_app
    from csched.errors import Unavailable
    from csched.report.jobs import reason
    from csched.report.options import options

    with closing(open_app()) as app:
        record = choose_one(app.store, selector)
        with output.working("planning"):
            choices = app.options(record.id)
        if not choices:
            raise Unavailable(
                f"nothing is kept of how job {record.id} was decided: {record.state}", hint=f"csched show {record.id}"
            )
        home = app.fleet.home_site(record.job.home_site, record.job.tenant)
        headline = f"Job {record.id} ({record.name}): {reason(record, plan_for(app, [record]))}"
        output.show(options(choices, home, headline, all_reasons=all_reasons))
