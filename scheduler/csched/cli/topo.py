"""csched topo: how GPUs and fabric are joined, as told by files, by the GPUs themselves and by the fleet."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from csched.cli.output import Output, output_options
from csched.cli.parameters import DURATION_S
from csched.report.rendering import Pairs, Rendered, Table

if TYPE_CHECKING:
    from csched.domain.plan import Placement
    from csched.topology.graph import Topology
    from csched.topology.scene import Scene

_PATTERNS = ("dp", "fsdp", "tp8", "pp", "ep", "rl")
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


@command.command()
@click.option("--node", metavar="NAME", help="What this machine is called in Slurm; its host name if not given.")
@click.option("--against", "believed", multiple=True, type=_FILE, help="gres.conf, topology.conf or topology.yaml.")
@output_options
def discover(output: Output, node: str | None, believed: tuple[Path, ...]) -> None:
    """Ask this machine's GPUs how they are joined (NVML); with --against also where Slurm believes something else.

    The NVLink domain is the fabric's clique; without a fabric that spans machines it is this machine.

    \b
    Examples:
      csched topo discover
      csched topo discover --against /etc/slurm/gres.conf --against /etc/slurm/topology.yaml --json
    """
    from socket import gethostname

    from csched.topology.discovery import discover as discover_node
    from csched.topology.drift import drift
    from csched.topology.importers.detect import import_file

    found = discover_node(node or gethostname().partition(".")[0])
    drifts = [each for file in believed for each in drift(import_file(file).graph, found.graph)]
    for warning in found.warnings:
        output.remark(warning)
    counts = found.counts.as_dict()
    said = [str(each) for each in drifts] or (["Slurm believes the same."] if believed else [])
    document = {**found.as_dict(), "drift": [asdict(each) for each in drifts]}
    lines = [f"{name} {count}" for name, count in counts.items()]
    output.show(Rendered(document, lines, [_gpu_table(found.graph), *said]))


def _gpu_table(graph: "Topology") -> Table:
    """One line for each GPU; NVLink is the sum of its links, one direction."""
    from csched.topology.graph import Kind, Medium, of_kind

    rows = []
    for gpu in of_kind(graph, Kind.GPU):
        facts = graph.nodes[gpu]
        links = [edge for *_, edge in graph.edges(gpu, data=True) if edge["medium"] == Medium.NVLINK]
        known = links and all("gb_per_s" in edge for edge in links)
        nvlink = f"{sum(edge['gb_per_s'] for edge in links):g}" if known else "unknown" if links else "none"
        mig = str(facts.get("mig", "off"))
        rows.append((gpu, facts.get("product", ""), facts["domain"], nvlink, mig, facts.get("bus_id", "")))
    return Table(("GPU", "PRODUCT", "NVLINK DOMAIN", ">NVLINK GB/S", ">MIG", "BUS"), rows)


@command.command()
@click.argument("file", metavar="FILE", type=_FILE)
@click.option(
    "--hardware", "key", required=True, metavar="KIND", help="Kind of hardware it ran on, as in the catalogue."
)
@click.option("--keep", is_flag=True, help="Keep it: plans of this installation reckon with it from then on.")
@output_options
def calibrate(output: Output, file: Path, key: str, *, keep: bool) -> None:
    """Find the efficiency of NVLink or fabric from a run of nccl-tests: on one node, or across nodes.

    \b
    Example:
      all_reduce_perf -b 8 -e 8G -f 2 -g 8 > run.txt && csched topo calibrate run.txt --hardware dgx-h100
    """
    from csched.errors import InputError
    from csched.formats.files import read_text
    from csched.formats.validation import did_you_mean
    from csched.topology.calibration import calibrate as calibrate_run
    from csched.topology.catalogue import shipped

    if key not in shipped():
        raise InputError(f"unknown hardware `{key}`", hint=did_you_mean(key, list(shipped())))
    found = calibrate_run(read_text(file), str(file), shipped()[key])
    if keep:
        from csched.settings import Settings
        from csched.topology.calibration_file import keep as keep_run

        keep_run(Settings().calibration_file, found)
    share, latency_us = found.efficiency.share, found.efficiency.latency_s * 1e6
    document = {
        "hardware": found.hardware,
        "medium": found.medium.value,
        "collective": found.collective.value,
        "ranks": found.ranks,
        "nodes": found.nodes,
        "nominal_gb_per_s": found.nominal_gb_per_s,
        "gb_per_s": found.gb_per_s,
        "share": share,
        "latency_us": latency_us,
    }
    rows = [
        ("medium", f"{found.medium.value} of {found.hardware}, {found.ranks} ranks on {found.nodes} nodes"),
        ("bandwidth", f"{found.gb_per_s:,.1f} of {found.nominal_gb_per_s:,.0f} GB/s, one direction"),
        ("share", f"{share:.3f}"),
        ("latency", f"{latency_us:.1f} us a step"),
    ]
    output.show(Rendered(document, [f"share {share:.4f}", f"latency_us {latency_us:.2f}"], [Pairs(rows)]))


@command.command()
@click.argument("snapshot_file", metavar="SNAPSHOT.json", type=_FILE)
@click.option("--job", "job_id", required=True, metavar="ID", help="The waiting job that needs nodes.")
@click.option("--movable", multiple=True, metavar="ID", help="A running job that can checkpoint; several times.")
@click.option("--pause", type=DURATION_S, default="15m", show_default=True, help="What a checkpoint and restart take.")
@output_options
def defrag(output: Output, snapshot_file: Path, *, job_id: str, movable: tuple[str, ...], pause: int) -> None:
    """Propose which running jobs would have to move so that a waiting one finds its nodes; nothing is moved.

    \b
    Example:
      csched snapshot > now.json && csched topo defrag now.json --job 17 --movable 12 --movable 13
    """
    from csched.cli.documents import read_document
    from csched.domain.snapshot import Snapshot
    from csched.errors import InputError
    from csched.placement.moves import proposals

    snapshot = read_document(snapshot_file, Snapshot)
    if job_id not in {job.job for job in snapshot.jobs} - set(snapshot.held):
        raise InputError(f"no job `{job_id}` waits", hint="name one of `csched queue` that is not held")
    found = proposals(snapshot, job_id, movable, pause)
    document = [
        {
            "partition": each.room,
            "nodes": each.nodes,
            "moves": each.moves,
            "gpu_hours": each.found.gpu_hours,
            "carbon_kg": each.carbon_kg,
            "fragmented_gpus_before": each.found.fragmentation_before,
            "fragmented_gpus_after": each.found.fragmentation_after,
        }
        for each in found
    ]
    said = [
        f"{each.room}: job {job_id} could start on {', '.join(each.nodes)} once {_moves(each.moves)}; that costs "
        f"{each.found.gpu_hours:.3g} GPU-hours and {each.carbon_kg:.3g} kgCO2e, and leaves "
        f"{each.found.fragmentation_after:.3g} GPUs in pieces instead of {each.found.fragmentation_before:.3g}"
        for each in found
    ]
    nothing = "nothing to move: the job finds nodes without, or no moves of these jobs help"
    output.show(Rendered({"job": job_id, "proposals": document}, [each.room for each in found], said or [nothing]))


def _moves(moves: "dict[str, tuple[str, ...]]") -> str:
    return " and ".join(f"{job} has moved to {', '.join(nodes)}" for job, nodes in moves.items())


@command.command()
@click.argument("what", metavar="SITE[/DOMAIN|/NODE]|HARDWARE")
@click.option("--fleet", "fleet_file", type=_FILE, help="Fleet YAML; default is that of the settings.")
@click.option("--plan", "plan_file", type=_FILE, help="A plan (JSON) whose jobs that start at once are drawn as used.")
@click.option("--job", metavar="ID", help="The plan's job to show, with the edge that slows it.")
@click.option("--pattern", type=click.Choice(_PATTERNS), help="How the job's ranks talk: says what its places cost it.")
@click.option("--svg", "svg_file", type=_FILE, help="Also write the drawing as SVG.")
@output_options
def show(
    output: Output,
    what: str,
    *,
    fleet_file: Path | None,
    plan_file: Path | None,
    job: str | None,
    pattern: str | None,
    svg_file: Path | None,
) -> None:
    """Draw a site, an NVLink domain or a node, or one domain of a kind of hardware.

    \b
    Examples:
      csched topo show gh200-quad
      csched topo show essonne --plan plan.json --job llama --svg essonne.svg
      csched topo show essonne --plan plan.json --job llama --pattern fsdp
    """
    from csched.domain.job import Pattern
    from csched.errors import InputError, UsageError, Where
    from csched.topology.scene import job_slowdown
    from csched.topology.sketch import lines
    from csched.topology.svg import document

    if pattern is not None and (job is None or "/" in what):
        raise UsageError("--pattern needs a whole site and a job", hint="write SITE --plan PLAN.json --job ID")
    if job is not None and plan_file is None:
        raise UsageError("--job needs a plan", hint="name the plan with --plan PLAN.json")
    placements = _placements(plan_file, job) if plan_file else ()
    scene = _scene(what, fleet_file, placements, job)
    slower = job_slowdown(scene, Pattern(pattern)) if pattern is not None else None
    planned = next((each for each in placements if each.job == job), None)
    if svg_file is not None:
        try:
            svg_file.write_text(document(scene), encoding="utf-8")
        except OSError as error:
            raise InputError(f"the drawing cannot be written: {error.strerror}", where=Where(str(svg_file))) from error
    domains = [
        {
            "partition": partition.name,
            "domain": domain.name,
            "nodes": [{"node": node.name, "gpus": [use.value for use in node.gpus]} for node in domain.nodes],
        }
        for partition in scene.partitions
        for domain in partition.domains
    ]
    slowest = scene.slowest and {"medium": scene.slowest.medium.value, "gb_per_s": scene.slowest.gb_per_s}
    said = slower.sentence() if slower else "not reckoned: no pattern, or no figure" if pattern else None
    cost: dict[str, object] = {"sigma": slower.sigma if slower else None, "cost": said} if pattern else {}
    if planned is not None and pattern is None:
        said = planned.bottleneck
        cost = {"sigma": planned.sigma, "cost": said}
    drawn = {"shown": scene.title, "job": scene.job, "slowest": slowest, **cost, "domains": domains}
    names = [str(domain["domain"]) for domain in domains]
    output.show(Rendered(drawn, names, ["\n".join(lines(scene)), *([said] if said else [])]))


def _scene(what: str, fleet_file: Path | None, placements: "tuple[Placement, ...]", job: str | None) -> "Scene":
    """A kind of hardware by its key, else a site or `SITE/PART` of the fleet."""
    from csched import shipped as files
    from csched.errors import InputError
    from csched.formats.fleet import read_fleet
    from csched.formats.validation import did_you_mean
    from csched.settings import Settings
    from csched.topology.catalogue import hardware_of, shipped
    from csched.topology.scene import hardware_scene, holdings_of, scene_of_part, site_scene

    if what in shipped():
        return hardware_scene(shipped()[what])
    fleet = read_fleet(fleet_file or Settings().fleet or files.demo_fleet())
    site_id, _, part = what.partition("/")
    known = [site.id for site in fleet.sites]
    if site_id not in known:
        hint = did_you_mean(site_id, [*known, *shipped()])
        raise InputError(f"`{site_id}` is no site of the fleet and no hardware", hint=hint)
    site, hardware = fleet.site(site_id), hardware_of(fleet)
    scene = site_scene(site, hardware, holdings_of(placements, site, hardware), job)
    return scene_of_part(scene, part) if part else scene


def _placements(plan_file: Path, job: str | None) -> "tuple[Placement, ...]":
    from pydantic import ValidationError

    from csched.domain.plan import Plan
    from csched.errors import InputError, Where
    from csched.formats.files import read_text
    from csched.formats.validation import input_error

    try:
        plan = Plan.model_validate_json(read_text(plan_file))
    except ValidationError as error:
        raise input_error(error, lambda path: Where(str(plan_file), field=".".join(map(str, path)))) from error
    if job is not None and job not in {placement.job for placement in plan.placements}:
        raise InputError(f"the plan places no job `{job}`", where=Where(str(plan_file)))
    return plan.placements
