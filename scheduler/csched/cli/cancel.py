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
    """End running jobs and withdraw waiting ones; of several, those that have ended already are passed over.

    \b
    Examples:
      csched cancel 17
      csched cancel 17_[3-5]
      csched cancel all
    """
    from csched.app import open_app
    from csched.report.jobs import cancelled

    with closing(open_app()) as app:
        chosen = choose(app.store, selectors)
        living = [record for record in chosen if not record.state.final]
        records = app.store.request_cancel_all([record.id for record in living or chosen])
        output.show(cancelled(records))
        remark_daemon(app, output)
