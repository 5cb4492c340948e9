"""csched site: the fleet's sites."""

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from csched.cli.output import Output, output_options
from csched.report.rendering import Rendered, Table

if TYPE_CHECKING:
    from csched.domain.site import Fleet, Site


@click.group()
def command() -> None:
    """Check and list sites; drain and resume them."""


@command.command()
@click.argument("fleet_file", metavar="FLEET.yaml", type=click.Path(dir_okay=False, path_type=Path))
@output_options
def check(output: Output, fleet_file: Path) -> None:
    """Read a fleet file and tell what is wrong or unknown in it. Unknown facts fail every rule that needs them.

    Sites whose Slurm the settings say how to reach are asked what they can do.

    \b
    Example:
      csched site check fleet.yaml
    """
    from csched.cli.site_clusters import discovered, discovery_tables
    from csched.formats.fleet import read_fleet
    from csched.report.words import listed
    from csched.topology.catalogue import hardware_of

    fleet = read_fleet(fleet_file)
    hardware = hardware_of(fleet)
    gpus = {
        site.id: sum(partition.gpu_count(hardware[partition.hardware]) for partition in site.partitions)
        for site in fleet.sites
    }
    unknown = {site.id: list(_unknown(fleet, site)) for site in fleet.sites}
    rows = [
        (
            site.id,
            site.country or "unknown",
            site.grid_zone,
            f"{gpus[site.id]:,}",
            listed(unknown[site.id]) or "nothing",
        )
        for site in fleet.sites
    ]
    table = Table(("SITE", "COUNTRY", "ZONE", ">GPUS", "UNKNOWN"), rows)
    said = f"{len(fleet.sites)} sites, {sum(gpus.values()):,} GPUs: the file is valid."
    found = discovered(fleet, hardware)
    document = {
        "valid": True,
        "sites": [{"site": site.id, "gpus": gpus[site.id], "unknown": unknown[site.id]} for site in fleet.sites],
        "slurm": [one.model_dump(mode="json") for one in found],
    }
    output.show(Rendered(document, list(gpus), [table, said, *discovery_tables(found)]))


def _unknown(fleet: "Fleet", site: "Site") -> Iterator[str]:
    """Paths of facts that rules may ask for and that nobody has stated."""
    facts = site.model_dump(exclude={"it_power_cap_kw", "slurm", "partitions", "name"})
    for name, value in facts.items():
        if value is None:
            yield f"{name} (the default {fleet.pue(site):g} counts)" if name == "pue" else name
        elif isinstance(value, dict):
            yield from (f"{name}.{part}" for part, inner in value.items() if inner is None)


@command.command(name="list")
@output_options
def list_(output: Output) -> None:
    """List the fleet's sites with the carbon intensity of now.

    \b
    Example:
      csched site list --json
    """
    from csched.app import open_app
    from csched.report.sites import site_lines, sites

    with closing(open_app()) as app:
        now = app.clock.now()
        zones = sorted({site.grid_zone for site in app.fleet.sites})
        outlook = app.carbon.outlook(zones, now, now, now + timedelta(hours=1))
        drained = {drain.site: drain.reason for drain in app.store.drains()}
        output.show(sites(site_lines(app.fleet, app.hardware, outlook, drained, now), outlook))


@command.command()
@click.argument("site_id", metavar="ID")
@click.option("--reason", default="drained by the admin", show_default=True, help="What users are told.")
@output_options
def drain(output: Output, site_id: str, reason: str) -> None:
    """Start no new jobs at a site; what runs there goes on.

    \b
    Example:
      csched site drain munich --reason 'cooling works until Friday'
    """
    from csched.app import open_app

    with closing(open_app()) as app:
        drained = app.drain(site_id, reason)
        document = drained.model_dump(mode="json")
        output.show(Rendered(document, [drained.site], [f"{drained.site} takes no new jobs: {drained.reason}"]))


@command.command()
@click.argument("site_id", metavar="ID")
@output_options
def resume(output: Output, site_id: str) -> None:
    """Let a drained site take jobs again.

    \b
    Example:
      csched site resume munich
    """
    from csched.app import open_app

    with closing(open_app()) as app:
        was_drained = app.resume(site_id)
        said = f"{site_id} takes jobs again" if was_drained else f"{site_id} was not drained"
        output.show(Rendered({"site": site_id, "was_drained": was_drained}, [site_id], [said]))
