"""csched queue: what waits and what runs."""

from contextlib import closing

import click

from csched.cli.daemon_state import remark_daemon
from csched.cli.job_ids import ALIVE
from csched.cli.newest_plan import plan_for
from csched.cli.output import Output, output_options


@click.command()
@click.option("--user", "-u", metavar="NAME", help="Only this user's jobs.")
@click.option("--project", "-A", metavar="NAME", help="Only jobs of this project.")
@click.option("--site", metavar="SITE", help="Only jobs planned or running there.")
@click.option(
    "--state", "-t", "states", multiple=True, type=click.Choice([str(state) for state in ALIVE], case_sensitive=False)
)
@click.option("--array", "-r", "each_task", is_flag=True, help="One line for each task of an array.")
@output_options
def command(
    output: Output,
    *,
    user: str | None,
    project: str | None,
    site: str | None,
    states: tuple[str, ...],
    each_task: bool,
) -> None:
    """List jobs that wait or run, with the site, the start and the reason.

    \b
    Examples:
      csched queue
      csched queue --user "$USER" --state pending
      csched queue --json | jq '.jobs[] | {id, site, planned_start}'
    """
    from csched.app import open_app
    from csched.domain.run import JobState
    from csched.report.jobs import queue

    with closing(open_app()) as app:
        wanted = [JobState(state) for state in states] or ALIVE
        records = app.store.jobs(states=wanted, user=user, project=project, site=site)
        output.show(queue(records, plan_for(app, records), fold=not each_task))
        remark_daemon(app, output)
