"""csched hold: keep a waiting job from starting."""

from contextlib import closing

import click

from csched.cli.job_ids import choose, jobs_argument
from csched.cli.output import Output, output_options


@click.command()
@jobs_argument
@output_options
def command(output: Output, selectors: tuple[str, ...]) -> None:
    """Keep waiting jobs from starting until they are released.

    \b
    Examples:
      csched hold 17
      csched hold 3-8
    """
    from csched.app import open_app
    from csched.report.jobs import changed

    with closing(open_app()) as app:
        records = app.store.hold_all([record.id for record in choose(app.store, selectors)])
        output.show(changed("Held", records))
