"""csched topo: how GPUs and fabric are joined, as told by files, by the GPUs themselves and by the fleet."""

from pathlib import Path

import click

from csched.cli.output import Output, output_options
from csched.report.rendering import Pairs, Rendered

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.group()
def command() -> None:
    """Show, discover and import the topology of GPUs and fabric."""


@command.command(name="import")
@click.argument("file", metavar="FILE", type=_FILE)
@output_options
def import_(output: Output, file: Path) -> None:
    """Read what another tool tells of a topology; which tool is told by the content. FILE may be packed (.gz).

    Known are nvidia-smi topo -m and -q -x, NCCL's XML, topograph's graph JSON and model YAML, ibnetdiscover, NetQ's
    topologyGraph, Slurm's topology.conf, topology.yaml and gres.conf, and the openb node list.

    \b
    Examples:
      nvidia-smi topo -m > matrix.txt && csched topo import matrix.txt
      csched topo import ibnetdiscover.out.gz --json
    """
    from csched.topology.importers.detect import import_file

    with output.working("reading"):
        imported = import_file(file)
    counts = imported.counts.as_dict()
    for warning in imported.warnings:
        output.remark(warning)
    rows = [("format", imported.format), *((name, f"{count:,}") for name, count in counts.items())]
    lines = [f"{name} {count}" for name, count in counts.items()]
    output.show(Rendered(imported.as_dict(), lines, [Pairs(rows)]))
