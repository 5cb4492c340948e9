"""csched update: change what a waiting job asks for."""

from contextlib import closing

import click

from csched.cli.job_ids import choose, jobs_argument
from csched.cli.output import Output, output_options
from csched.errors import UsageError, Where
from csched.formats.batch_options import ON_COMMAND_LINE
from csched.formats.batch_script import read_columns
from csched.formats.directives import Given

_CHANGEABLE = (
    "deadline time begin priority expected-runtime hardware countries pattern load portable dependency reservation"
).split()


@click.command()
@jobs_argument
@click.option("--deadline", metavar="TIME", help="Ended by then, for sure.")
@click.option("--time", "-t", metavar="TIME", help="Time limit, such as 90 (minutes) or 1:30:00.")
@click.option("--begin", metavar="TIME", help="Not before: 2026-11-22T12:00:00Z or now+2hours.")
@click.option("--priority", metavar="N", help="Weight among waiting jobs.")
@click.option("--expected-runtime", metavar="DURATION", help="How long it will likely take: 90m, 6h.")
@click.option("--hardware", metavar="KIND|KIND", help="Kinds of hardware the job can use.")
@click.option("--countries", metavar="CC|CC", help="Countries you allow.")
@click.option("--pattern", metavar="NAME", help="How ranks talk: none, dp, fsdp, tp8, pp, ep or rl.")
@click.option("--load", metavar="SHARE", help="Share of the rated power the job draws.")
@click.option("--portable", metavar="BOOL", help="false keeps the job at its home site.")
@click.option("--dependency", "-d", metavar="KIND:ID[:ID]", help="Start only after other jobs.")
@click.option("--reservation", metavar="NAME", help="Run inside this reservation.")
@output_options
def command(output: Output, /, *, selectors: tuple[str, ...], **given: str | None) -> None:
    """Change jobs that have not started; the next plan reckons with it.

    \b
    Examples:
      csched update 17 --deadline=2026-11-23T08:00:00Z
      csched update 3-8 --priority=10
    """
    from csched.app import open_app
    from csched.report.jobs import changed

    options = {
        name: Given(ON_COMMAND_LINE[name], value, Where("command line", field=f"--{name}"))
        for name in _CHANGEABLE
        if (value := given[name.replace("-", "_")]) is not None
    }
    if not options:
        raise UsageError("nothing to change", hint="`csched update --help` lists what can be")
    with closing(open_app()) as app:
        columns = read_columns(options, app.clock.now())
        records = app.update([record.id for record in choose(app.store, selectors)], columns)
        output.show(changed("Updated", records))
