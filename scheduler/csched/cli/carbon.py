"""csched carbon: what csched knows of the grid, and whence."""

from contextlib import closing
from datetime import datetime, timedelta

import click

from csched.cli.output import Output, output_options
from csched.cli.parameters import INSTANT
from csched.errors import UsageError

LONGEST = timedelta(days=3 * 366)


@click.group()
def command() -> None:
    """Show carbon intensities and where they come from."""


@command.command()
@click.argument("zone", metavar="ZONE")
@click.option("--from", "start", type=INSTANT, metavar="TIME", help="First instant; this hour if it is not given.")
@click.option("--to", "end", type=INSTANT, metavar="TIME", help="End of the span; 48 h after its start if not given.")
@click.option("--carbon", metavar="CSV|FOLDER|climatology", help="Another source than the one in the settings.")
@output_options
def show(output: Output, zone: str, start: datetime | None, end: datetime | None, carbon: str | None) -> None:
    """Show the carbon intensity of a grid zone (an Electricity Maps key) in gCO2e/kWh, with method and origin.

    \b
    Examples:
      csched carbon show FR
      csched carbon show IT-NO --from 2022-06-01T00:00Z --to 2022-06-08T00:00Z --carbon series/
    """
    from csched.carbon.sources import open_source
    from csched.clock import SystemClock
    from csched.report.intensities import intensities
    from csched.settings import Settings

    now = SystemClock().now()
    start = start or now.replace(minute=0, second=0)
    end = end or start + timedelta(hours=48)
    if not start < end <= start + LONGEST:
        raise UsageError("the span must end after its start and within three years", hint="give --from before --to")
    source = open_source(carbon or Settings().carbon)
    output.show(intensities(source.outlook([zone], now, start, end), zone))


@command.command()
@output_options
def refresh(output: Output) -> None:
    """Read the source in the settings anew and keep what it says; the daemon does so on a beat.

    \b
    Example:
      csched carbon refresh
    """
    from csched.app import open_app
    from csched.ports import RefreshableCarbon
    from csched.report.rendering import Rendered

    with closing(open_app()) as app:
        spec = app.settings.carbon
        anew = isinstance(app.carbon, RefreshableCarbon)
        if isinstance(app.carbon, RefreshableCarbon):
            app.carbon.refresh()
    told = f"{spec} was read anew" if anew else f"{spec} is shipped with csched: there is nothing to read anew"
    output.show(Rendered({"source": spec, "refreshed": anew}, [spec], [told]))


@command.command()
@output_options
def sources(output: Output) -> None:
    """List the sources of carbon intensity: the shipped climatology and the one in the settings.

    \b
    Example:
      csched carbon sources --json
    """
    from csched.carbon.climatology import NAME
    from csched.carbon.sources import open_source
    from csched.report.rendering import Rendered, Table
    from csched.settings import Settings

    used = Settings().carbon
    known = {spec: open_source(spec) for spec in dict.fromkeys((NAME, used))}
    document = [
        {"source": spec, "method": str(source.method), "zones": list(source.zones()), "used": spec == used}
        for spec, source in known.items()
    ]
    rows = [
        (spec, str(source.method), "yes" if spec == used else "no", " ".join(source.zones()))
        for spec, source in known.items()
    ]
    table = Table(("SOURCE", "METHOD", "USED", "ZONES"), rows)
    output.show(Rendered({"sources": document}, list(known), [table]))
