"""What a simulation leaves in its folder."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from csched.errors import InputError, Where
from csched_sim.accounts import Accounts
from csched_sim.outcome import NeverRan, Run
from csched_sim.play import Played
from csched_sim.plots import plots
from csched_sim.report import report_html
from csched_sim.summary import summary, timing
from csched_sim.traces.trace import TraceJob

CHECKPOINT: Final = "unfinished"
"""Subfolder of what an interrupted simulation has finished."""


def make_folder(folder: Path) -> None:
    """Make `folder` where it is missing: asked for before a long simulation rather than after it.

    Raises:
        InputError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write there: {error.strerror}", where=Where(file=str(folder))) from error


def write_outputs(played: Played, folder: Path) -> dict[str, object]:
    """summary.json, timing.json, jobs.parquet, plots and report.html in `folder`; returns the summary.

    Raises:
        InputError: the folder cannot be written to.
    """
    told = summary(played.simulation, played.scenario, played.notes)
    make_folder(folder)
    try:
        (folder / "summary.json").write_text(_json(told), encoding="utf-8")
        (folder / "timing.json").write_text(_json(timing(played.simulation)), encoding="utf-8")
        _write_jobs(played, folder / "jobs.parquet")
        _write_report(played, told, folder)
        if played.checkpoint is not None:
            played.checkpoint.discard()
    except OSError as error:
        raise InputError(f"cannot write there: {error.strerror}", where=Where(file=str(folder))) from error
    return told


def write_json(document: object, path: Path) -> None:
    """Raises InputError: it cannot be written."""
    write_text(_json(document), path)


def write_text(text: str, path: Path) -> None:
    """Raises InputError: it cannot be written."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write there: {error.strerror}", where=Where(file=str(path))) from error


def _json(document: object) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _write_report(played: Played, told: dict[str, object], folder: Path) -> None:
    drawn = plots(played.simulation)
    (folder / "plots").mkdir(exist_ok=True)
    for name, svg in drawn.items():
        (folder / "plots" / f"{name}.svg").write_text(svg, encoding="utf-8")
    (folder / "report.html").write_text(report_html(told, played.scenario, played.simulation, drawn), encoding="utf-8")


JOBS_SCHEMA = pa.schema(
    [
        pa.field("job", pa.string(), nullable=False),
        pa.field("strategy", pa.string(), nullable=False),
        pa.field("state", pa.string(), nullable=False),
        pa.field("why", pa.string()),
        pa.field("user", pa.string()),
        pa.field("tenant", pa.string()),
        pa.field("data_class", pa.string()),
        pa.field("site", pa.string()),
        pa.field("partition", pa.string()),
        pa.field("submit", pa.timestamp("s", tz="UTC"), nullable=False),
        pa.field("start", pa.timestamp("s", tz="UTC")),
        pa.field("end", pa.timestamp("s", tz="UTC")),
        pa.field("deadline", pa.timestamp("s", tz="UTC")),
        pa.field("gpus", pa.int64(), nullable=False),
        pa.field("time_limit_s", pa.int64(), nullable=False),
        pa.field("runtime_s", pa.int64(), nullable=False),
        pa.field("kwh", pa.float64()),
        pa.field("carbon_kg", pa.float64()),
        pa.field("topology_kg", pa.float64()),
        pa.field("egress_kg", pa.float64()),
        pa.field("wait_h", pa.float64()),
        pa.field("bounded_slowdown", pa.float64()),
        pa.field("sigma", pa.float64()),
    ]
)


def _write_jobs(played: Played, path: Path) -> None:
    with pq.ParquetWriter(path, JOBS_SCHEMA) as writer:
        for result in played.simulation.results:
            ran = run_rows(result.name, result.outcome.runs, result.accounts)
            never_ran = never_ran_rows(result.name, result.outcome.never_ran)
            writer.write_table(pa.Table.from_pylist([*ran, *never_ran], schema=JOBS_SCHEMA))


def run_rows(strategy: str, runs: Sequence[Run], accounts: Accounts) -> Iterator[dict[str, object]]:
    """A row of jobs.parquet for each run."""
    for index, run in enumerate(runs):
        yield {
            **_asked(run.traced, strategy),
            "state": "COMPLETED",
            "site": run.berth.site.id,
            "partition": run.berth.partition.name,
            "start": run.start_s,
            "end": run.end_s,
            "kwh": float(accounts.kwh[index]),
            "carbon_kg": float(accounts.carbon_kg[index]),
            "topology_kg": float(accounts.topology_kg[index]),
            "egress_kg": float(accounts.egress_kg[index]),
            "wait_h": float(accounts.wait_h[index]),
            "bounded_slowdown": float(accounts.bounded_slowdown[index]),
            "sigma": run.sigma,
        }


def never_ran_rows(strategy: str, never_ran: Sequence[NeverRan]) -> Iterator[dict[str, object]]:
    """A row of jobs.parquet for each job without a run."""
    for never in never_ran:
        yield {**_asked(never.traced, strategy), "state": "PENDING", "why": never.why}


def _asked(traced: TraceJob, strategy: str) -> dict[str, object]:
    job = traced.job
    return {
        "job": job.job,
        "strategy": strategy,
        "user": job.user,
        "tenant": job.tenant,
        "data_class": job.data_class,
        "submit": job.submit,
        "deadline": job.deadline,
        "gpus": job.gpus,
        "time_limit_s": job.time_limit_s,
        "runtime_s": traced.runtime_s,
    }
