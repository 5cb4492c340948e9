"""csched show: everything known of a job."""

from contextlib import closing

import click

from csched.cli.job_ids import choose, jobs_argument
from csched.cli.newest_plan import plan_for
from csched.cli.output import Output, output_options


@click.command()
@jobs_argument
@output_options
def command(output: Output, selectors: tuple[str, ...]) -> None:
    """Show everything known of a job, or of several; --quiet prints their states.

    \b
    Examples:
      csched show 17
      csched show 17_3
      csched show last --json
    """
    from csched.app import open_app
    from csched.report.jobs import several

    with closing(open_app()) as app:
        records = choose(app.store, selectors)
        output.show(several(records, plan_for(app, records)))
