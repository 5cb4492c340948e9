"""`csched trace`: describe, convert and generate traces of work."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO

import click

from csched.cli.output import Output, output_options
from csched.cli.parameters import INSTANT, ZONE
from csched.errors import InputError, UsageError, Where
from csched.report.histogram import histogram
from csched.report.rendering import Pairs, Rendered, Table

if TYPE_CHECKING:
    from csched_sim.traces.reading import HowToRead
    from csched_sim.traces.trace import ReadingNotes

FORMATS = ("swf", "sacct", "sacct-json", "philly", "helios", "acme", "pai", "openb", "supercloud", "surf", "csched")
PROFILES = ("mixed", "philly")
_FILE = click.Path(path_type=Path)
# Count of jobs by what -> the heading over its bars.
_HISTOGRAMS: Final = {
    "jobs_by_gpus": "GPUs",
    "jobs_by_runtime": "run time",
    "jobs_by_hour": "hour, UTC",
    "jobs_by_weekday": "weekday",
    "jobs_by_data_class": "data class",
    "jobs_by_pattern": "pattern",
}


@click.group()
def command() -> None:
    """Describe, convert and generate traces of work.

    \b
    csched trace info KTH-SP2.swf.gz
    csched trace convert sacct.txt.gz --zone Europe/Paris --start 2022-01-03T00:00:00Z --out jobs.csv
    csched trace generate --jobs 500 --seed 1 --out jobs.csv

    The formats, what is assumed of each and the mapping of a table of your own are in docs/traces.md.
    """


def reading_options(function: Callable[..., None]) -> Callable[..., None]:
    """How a trace is to be read, as the options of a command that reads one."""
    for option in (
        click.option("--on-fault", type=click.Choice(("stop", "go-on")), help="At a line that is not in its format."),
        click.option("--zone", type=ZONE, help="Of timestamps that do not tell theirs, such as Europe/Paris."),
        click.option("--mapping", type=_FILE, help="YAML that says which column of a table is what."),
        click.option("--format", "trace_format", type=click.Choice(FORMATS), help="Default: told by its content."),
    ):
        function = option(function)
    return function


@command.command()
@click.argument("trace", type=_FILE)
@reading_options
@output_options
def info(output: Output, /, *, trace: Path, **reading: Any) -> None:
    """Say what a trace holds, what is missing in it and what was assumed."""
    from csched_sim.traces.reading import jobs_as_they_stand
    from csched_sim.traces.summary import summarise

    with output.working(f"reading {trace.name}"):
        jobs, notes = jobs_as_they_stand(trace, _how(**reading))
        figures = summarise(jobs).model_dump(mode="json")
    document = {"file": str(trace), "format": notes.format, **figures, "reading": notes.as_dict()}
    output.show(Rendered(document, (document["jobs"],), _described(document, notes)))


@command.command()
@click.argument("trace", type=_FILE)
@click.option("--out", required=True, type=_FILE, help="The jobs CSV to write.")
@click.option("--limit", type=click.IntRange(min=1), help="Only the first so many jobs by submission.")
@click.option("--start", type=INSTANT, help="Move the trace so that its first submission is at this instant.")
@reading_options
@output_options
def convert(
    output: Output, /, *, trace: Path, out: Path, limit: int | None, start: datetime | None, **reading: Any
) -> None:
    """Turn a trace into a jobs CSV for `csched plan` and `csched simulate`.

    Its column `runtime_s` is the true run time: the simulator ends jobs by it, planning never sees it.
    """
    from csched_sim.traces.jobs_file import write_jobs_file
    from csched_sim.traces.reading import open_trace

    if out.exists() and trace.exists() and out.samefile(trace):
        raise UsageError(f"`{out}` is the trace itself, which is read while it is written", hint="choose another --out")
    with output.working(f"reading {trace.name}"):
        opened = open_trace(trace, _how(**reading), start=start, limit=limit)
        _write(out, lambda stream: write_jobs_file(stream, opened))
    document = {"file": str(out), "jobs": len(opened), "format": opened.notes.format, "reading": opened.notes.as_dict()}
    view = (f"{len(opened):,} jobs to {out}", *_read(opened.notes))
    output.show(Rendered(document, (len(opened),), view))


@command.command()
@click.option("--jobs", "count", required=True, type=click.IntRange(1, 2_000_000), help="How many.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True)
@click.option(
    "--start", type=INSTANT, default="2022-05-02T00:00:00Z", show_default=True, help="First possible instant."
)
@click.option(
    "--profile", type=click.Choice(PROFILES), default="mixed", show_default=True, help="Chosen, or measured on Philly."
)
@click.option("--days", type=click.IntRange(1, 3660), default=7, show_default=True, help="Days over which they come.")
@click.option("--out", required=True, type=_FILE, help="The jobs CSV to write.")
@output_options
def generate(output: Output, *, count: int, seed: int, start: datetime, profile: str, days: int, out: Path) -> None:
    """Invent a trace: heavy-tailed sizes and run times, busy days and quiet nights. Same seed, same trace."""
    from csched_sim.traces import profiles
    from csched_sim.traces.generator import COLUMNS
    from csched_sim.traces.generator import generate as generated
    from csched_sim.traces.jobs_file import write_jobs_file

    jobs = generated(count, seed, start, days, profiles.PROFILES[profile])
    _write(out, lambda stream: write_jobs_file(stream, jobs, COLUMNS))
    document = {"file": str(out), "jobs": count, "seed": seed, "profile": profile}
    output.show(Rendered(document, (count,), (f"{count:,} jobs to {out}",)))


def _how(*, trace_format: str | None, mapping: Path | None, zone: tzinfo | None, on_fault: str | None) -> "HowToRead":
    from csched_sim.traces.reading import HowToRead
    from csched_sim.traces.trace import OnFault

    return HowToRead(trace_format, mapping, zone, OnFault(on_fault) if on_fault else None)


def _write(path: Path, write: Callable[[TextIO], None]) -> None:
    try:
        with path.open("w", encoding="utf-8", newline="") as stream:
            write(stream)
    except OSError as error:
        raise InputError(f"cannot write there: {error.strerror}", where=Where(file=str(path))) from error


def _described(document: Mapping[str, Any], notes: "ReadingNotes") -> Iterator[Pairs | Table | str]:
    figures = [(name, value) for name, value in document.items() if not isinstance(value, dict)]
    yield Pairs([(name.replace("_", " "), _spelled(value)) for name, value in figures])
    for name, heading in _HISTOGRAMS.items():
        if set(document[name]) != {"unknown"}:
            yield histogram(document[name], heading)
    for field, count in document["missing"].items():
        yield f"missing {'in all' if count == document['jobs'] else f'{count:,}'}: {field}"
    yield from _read(notes)


def _spelled(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _read(notes: "ReadingNotes") -> Iterator[str]:
    """What was not taken as it stood, one line each."""
    for why, count in sorted(notes.dropped.items()):
        yield f"dropped {count:,} of {notes.lines:,} lines: {why} (first: {_places(notes.places[why])})"
    for what, count in sorted(notes.changed.items()):
        yield f"changed {count:,}: {what}"
    for assumption in notes.assumptions:
        yield f"assumed: {assumption}"


def _places(places: Sequence[str]) -> str:
    """`log.swf:303, :323`: the file is named once."""
    file = places[0].rpartition(":")[0]
    return ", ".join([places[0], *(place.removeprefix(file) for place in places[1:])])
