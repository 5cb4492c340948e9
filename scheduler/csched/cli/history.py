"""csched history: jobs that have ended."""

from contextlib import closing
from datetime import datetime

import click

from csched.cli.output import Output, output_options
from csched.cli.period import period_options


@click.command()
@click.option("--user", "-u", metavar="NAME", help="Only this user's jobs.")
@click.option("--project", "-A", metavar="NAME", help="Only jobs of this project.")
@click.option("--site", metavar="SITE", help="Only jobs that ran there.")
@click.option("--limit", "-n", type=click.IntRange(1, 100_000), default=50, show_default=True, help="The newest N.")
@click.option("--array", "-r", "each_task", is_flag=True, help="One line for each task of an array.")
@period_options
@output_options
def command(
    output: Output,
    *,
    user: str | None,
    project: str | None,
    site: str | None,
    limit: int,
    each_task: bool,
    since: datetime | None,
    until: datetime | None,
) -> None:
    """List jobs that have ended, the newest last; --since and --until look at the submission.

    \b
    Examples:
      csched history
      csched history --user "$USER" --since 2026-11-01 --json
    """
    from csched.app import open_app
    from csched.domain.run import JobState
    from csched.report.jobs import history

    with closing(open_app()) as app:
        newest = app.store.jobs(
            states=[state for state in JobState if state.final],
            user=user,
            project=project,
            site=site,
            submitted_from=since,
            submitted_to=until,
            newest_first=True,
            limit=limit,
        )
        output.show(history(newest[::-1], fold=not each_task))
