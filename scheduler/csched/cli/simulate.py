"""`csched simulate`: what would have happened, under several strategies, on a trace of work."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from pydantic import ValidationError

from csched.cli.output import Output, Rendering, output_options
from csched.cli.parameters import DURATION_S, INSTANT
from csched.cli.trace import FORMATS
from csched.errors import UsageError
from csched.report.rendering import Rendered, Table

if TYPE_CHECKING:
    from csched_sim.play import Played
    from csched_sim.scenario import Scenario

_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("scenario", required=False, type=_PATH)
@click.option("--out", required=True, type=_PATH, help="Folder for summary.json, jobs.parquet and the report.")
@click.option(
    "--trace", type=_PATH, help="Past or invented work: a file in any format of docs/traces.md, plain or .gz."
)
@click.option("--format", type=click.Choice(FORMATS), help="Default: told by its content.")
@click.option("--fleet", type=_PATH, help="Fleet YAML.")
@click.option("--carbon", help="A CSV, a folder of them or the word climatology.")
@click.option(
    "--carbon-risk",
    type=click.Choice(["expected", "high"]),
    help="Decide by what forecasts expect, or by their upper end [expected].",
)
@click.option("--policies", type=_PATH, help="Folder of policies; without it only the jobs' own wishes apply.")
@click.option(
    "--strategy", "strategies", multiple=True, help="May be given several times; docs/simulator.md lists them."
)
@click.option("--baseline", help="What savings are held against [default: easy].")
@click.option("--start", type=INSTANT, help="Move the trace so that its first submission is at this instant.")
@click.option("--jobs", type=click.IntRange(min=1), help="Only the first so many jobs by submission.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), help="[default: 0]")
@click.option("--slot", type=DURATION_S, help="Grid of planning cycles and starts [default: 15m].")
@click.option("--horizon", type=DURATION_S, help="How far csched plans ahead [default: 48h].")
@click.option("--work", type=click.IntRange(min=0), help="How hard each planning cycle tries; the same on any machine.")
@output_options
def command(output: Output, /, *, scenario: Path | None, out: Path, **options: Any) -> None:
    """Run past or invented work through other strategies and through the engine that plans in production.

    \b
    csched simulate sim/scenarios/mixed-week.yaml --out out
    csched simulate --trace jobs.csv --fleet fleet.yaml --carbon climatology --strategy easy --strategy csched --out out

    The same scenario and seed give the same summary.json, byte for byte; how long it took is in timing.json.
    Interrupted (Ctrl-C), it keeps the strategies that are through; the same command goes on after them.
    """
    from csched_sim.outputs import CHECKPOINT, make_folder, write_outputs

    given = {name: value for name, value in options.items() if value not in {None, ()}}
    chosen = _scenario(scenario, given)
    make_folder(out)
    try:
        played = _played(chosen, output, out / CHECKPOINT)
    except KeyboardInterrupt:
        if (out / CHECKPOINT).is_dir():
            output.remark(f"finished strategies are kept in {out / CHECKPOINT}: the same command goes on after them")
        raise
    summary = write_outputs(played, out)
    for warning in played.simulation.warnings:
        output.remark(warning)
    output.show(Rendered(summary, list(_lines(summary)), (_headline(summary), f"written to {out}")))


def _scenario(path: Path | None, given: Mapping[str, Any]) -> "Scenario":
    """The scenario in the file, changed by what the command line says; or one from the command line alone."""
    from csched_sim.scenario import Scenario, read_scenario

    if path is not None:
        return read_scenario(path).model_copy(update=dict(given))
    missing = [f"--{name}" for name in ("trace", "fleet", "carbon") if name not in given]
    if missing:
        raise UsageError(
            f"{', '.join(missing)} is missing",
            hint="give a scenario file, or at least --trace, --fleet and --carbon",
        )
    try:
        return Scenario.model_validate({"name": given["trace"].name, **given})
    except ValidationError as error:
        raise UsageError(str(error.errors()[0]["msg"])) from error


def _played(scenario: "Scenario", output: Output, kept: Path) -> "Played":
    from csched_sim.play import play

    if output.rendering is not Rendering.VIEW:
        return play(scenario, kept=kept)
    with _progress() as progress:
        return play(scenario, kept=kept, **progress)


@contextmanager
def _progress() -> Iterator[dict[str, Any]]:
    """A bar for each strategy, with the time that is left; drawn on stderr and only for a person."""
    import sys

    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(file=sys.stderr), disable=not sys.stderr.isatty()) as bars:
        jobs = 0

        def sized(count: int) -> None:
            nonlocal jobs
            jobs = count

        yield {
            "sized": sized,
            "watch": lambda name: bars.add_task(name, total=jobs),
            "progress": lambda ended: bars.advance(bars.task_ids[-1], ended),
        }


_COLUMNS: Mapping[str, tuple[str, str]] = {
    "jobs_completed": (">jobs", ",.0f"),
    "carbon_kg": (">kgCO2e", ",.1f"),
    "saved_vs_baseline_pct": (">saved %", ".1f"),
    "captured_of_bound_pct": (">of bound %", ".1f"),
    "kwh": (">kWh", ",.0f"),
    "mean_wait_h": (">mean wait h", ",.2f"),
    "p95_wait_h": (">p95 wait h", ",.2f"),
    "mean_bounded_slowdown": (">slowdown", ",.2f"),
    "utilisation": (">used", ".1%"),
    "deadline_misses": (">late", ",.0f"),
    "policy_violations": (">violations", ",.0f"),
}


def _headline(summary: Mapping[str, Any]) -> Table:
    rows = [
        [name, *("" if figures[key] is None else format(figures[key], shape) for key, (_, shape) in _COLUMNS.items())]
        for name, figures in summary["strategies"].items()
    ]
    rows.append(["bound", "", format(summary["bound"]["carbon_kg"], ",.1f"), *[""] * (len(_COLUMNS) - 2)])
    return Table(
        ["strategy", *(title for title, _ in _COLUMNS.values())],
        rows,
        f"{summary['scenario']}, {summary['jobs']:,} jobs",
    )


def _lines(summary: Mapping[str, Any]) -> Iterator[str]:
    for name, figures in summary["strategies"].items():
        yield f"{name} {figures['carbon_kg']}"
