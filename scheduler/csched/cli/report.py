"""csched report: what ended jobs used, caused and saved."""

from contextlib import closing
from datetime import datetime

import click

from csched.cli.output import Output, output_options
from csched.cli.period import period_options


@click.command()
@click.option(
    "--by", type=click.Choice(["user", "project", "site", "month"]), default="user", show_default=True, help="Sum by."
)
@click.option("--user", "-u", metavar="NAME", help="Only this user's jobs.")
@click.option("--project", "-A", metavar="NAME", help="Only jobs of this project.")
@click.option("--site", metavar="SITE", help="Only jobs that ran there.")
@period_options
@output_options
def command(
    output: Output,
    *,
    by: str,
    user: str | None,
    project: str | None,
    site: str | None,
    since: datetime | None,
    until: datetime | None,
) -> None:
    """Energy (kWh), carbon (kgCO2e) and what was saved against running at once at the home site.

    \b
    Examples:
      csched report
      csched report --by month --since 2026-01-01
      csched report --by project --json
    """
    from csched.accounting.aggregation import aggregate, total
    from csched.app import open_app
    from csched.report.accounts import accounts

    with closing(open_app()) as app:
        entries = app.store.ledger(user=user, project=project, site=site, ended_from=since, ended_to=until)
        output.show(accounts(entries, by, aggregate(entries, by), total(entries)))
