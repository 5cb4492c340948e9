"""`csched trace`: describe, convert and generate traces of work."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from csched.cli.output import Output, output_options
from csched.cli.parameters import INSTANT
from csched.errors import InputError, Where
from csched.report.rendering import Pairs, Rendered

if TYPE_CHECKING:
    from csched_sim.traces.trace import ReadingNotes, TraceJob

FORMATS = ("swf", "sacct", "sacct-json", "philly", "helios", "acme", "pai", "openb", "supercloud", "surf", "csched")
_FILE = click.Path(path_type=Path)


@click.group()
def command() -> None:
    """Describe, convert and generate traces of work.

    \b
    csched trace info KTH-SP2.swf.gz
    csched trace convert philly.csv.gz --format philly --limit 2000 --start 2022-01-03T00:00:00Z --out jobs.csv
    csched trace generate --jobs 500 --seed 1 --out jobs.csv
    """


@command.command()
@click.argument("trace", type=_FILE)
@click.option("--format", "trace_format", type=click.Choice(FORMATS), help="Default: told by its content.")
@output_options
def info(output: Output, trace: Path, trace_format: str | None) -> None:
    """Say what a trace holds, what is missing in it and what was assumed."""
    from csched_sim.traces.reading import read_trace
    from csched_sim.traces.summary import summarise

    with output.working(f"reading {trace.name}"):
        jobs, notes = read_trace(trace, trace_format)
        figures = summarise(jobs).model_dump(mode="json")
    document = {"file": str(trace), "format": notes.format, **figures, "reading": notes.as_dict()}
    output.show(Rendered(document, (document["jobs"],), (_described(document), *_read(notes))))


@command.command()
@click.argument("trace", type=_FILE)
@click.option("--out", required=True, type=_FILE, help="The jobs CSV to write.")
@click.option("--format", "trace_format", type=click.Choice(FORMATS), help="Default: told by its content.")
@click.option("--limit", type=click.IntRange(min=1), help="Only the first so many jobs by submission.")
@click.option("--start", type=INSTANT, help="Move the trace so that its first submission is at this instant.")
@output_options
def convert(
    output: Output, *, trace: Path, out: Path, trace_format: str | None, limit: int | None, start: datetime | None
) -> None:
    """Turn a trace into a jobs CSV for `csched plan` and `csched simulate`.

    Its column `runtime_s` is the true run time: the simulator ends jobs by it, planning never sees it.
    """
    from csched_sim.traces.reading import read_trace

    with output.working(f"reading {trace.name}"):
        jobs, notes = read_trace(trace, trace_format, start=start, limit=limit)
    _write(out, jobs)
    document = {"file": str(out), "jobs": len(jobs), "format": notes.format, "reading": notes.as_dict()}
    output.show(Rendered(document, (len(jobs),), (f"{len(jobs):,} jobs to {out}", *_read(notes))))


@command.command()
@click.option("--jobs", "count", required=True, type=click.IntRange(1, 2_000_000), help="How many.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True)
@click.option(
    "--start", type=INSTANT, default="2022-05-02T00:00:00Z", show_default=True, help="First possible instant."
)
@click.option("--days", type=click.IntRange(1, 3660), default=7, show_default=True, help="Days over which they come.")
@click.option("--out", required=True, type=_FILE, help="The jobs CSV to write.")
@output_options
def generate(output: Output, *, count: int, seed: int, start: datetime, days: int, out: Path) -> None:
    """Invent a trace: heavy-tailed sizes, log-normal run times, busy days and quiet nights. Same seed, same trace."""
    from csched_sim.traces.generator import generate as generated

    _write(out, generated(count, seed, start, days))
    document = {"file": str(out), "jobs": count, "seed": seed}
    output.show(Rendered(document, (count,), (f"{count:,} jobs to {out}",)))


def _write(path: Path, jobs: "Iterable[TraceJob]") -> None:
    from csched_sim.traces.jobs_file import write_jobs_file

    try:
        with path.open("w", encoding="utf-8", newline="") as stream:
            write_jobs_file(stream, jobs)
    except OSError as error:
        raise InputError(f"cannot write there: {error.strerror}", where=Where(file=str(path))) from error


def _described(document: Mapping[str, object]) -> Pairs:
    return Pairs([(name.replace("_", " "), _spelled(value)) for name, value in document.items() if name != "reading"])


def _spelled(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{label}: {count:,}" for label, count in value.items())
    if isinstance(value, float):
        return f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _read(notes: "ReadingNotes") -> Iterator[str]:
    """What was not taken as it stood, one line each."""
    for why, count in sorted(notes.dropped.items()):
        yield f"dropped {count:,}: {why} (first: {', '.join(notes.places[why])})"
    for what, count in sorted(notes.changed.items()):
        yield f"changed {count:,}: {what}"
    for assumption in notes.assumptions:
        yield f"assumed: {assumption}"
