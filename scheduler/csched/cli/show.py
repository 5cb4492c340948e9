"""csched show: everything known of a job."""

from contextlib import closing

import click

from csched.cli.job_ids import job_argument
from csched.cli.newest_plan import plan_for
from csched.cli.output import Output, output_options


@click.command()
@job_argument
@output_options
def command(output: Output, selector: str) -> None:
    """Show everything known of a job; --quiet prints its state.

    \b
    Examples:
      csched show 17
      csched show last --json
    """
    from csched.app import open_app
    from csched.cli.job_ids import choose_one
    from csched.report.jobs import one

    with closing(open_app()) as app:
        record = choose_one(app.store, selector)
        output.show(one(record, plan_for(app, [record])))
