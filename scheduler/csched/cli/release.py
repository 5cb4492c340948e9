"""csched release: let a held job start again."""

from contextlib import closing

import click

from csched.cli.job_ids import choose, jobs_argument
from csched.cli.output import Output, output_options


@click.command()
@jobs_argument
@output_options
def command(output: Output, selectors: tuple[str, ...]) -> None:
    """Let held jobs start again.

    \b
    Examples:
      csched release 17
      csched release 3-8
    """
    from csched.app import open_app
    from csched.report.jobs import changed

    with closing(open_app()) as app:
        records = app.store.release_all([record.id for record in choose(app.store, selectors)])
        output.show(changed("Released", records))
