"""csched cancel: end a running job or withdraw a waiting one."""

from contextlib import closing

import click

from csched.cli.daemon_state import remark_daemon
from csched.cli.job_ids import choose, jobs_argument
from csched.cli.output import Output, output_options


@click.command()
@jobs_argument
@output_options
def command(output: Output, selectors: tuple[str, ...]) -> None:
    """End running jobs and withdraw waiting ones.

    \b
    Examples:
      csched cancel 17
      csched cancel all
    """
    from csched.app import open_app
    from csched.report.jobs import changed

    with closing(open_app()) as app:
        records = [app.store.request_cancel(record.id) for record in choose(app.store, selectors)]
        output.show(changed("Cancelled", records))
        remark_daemon(app, output)
