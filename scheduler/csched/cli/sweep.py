"""`csched sweep`: one scenario many times over, some of its fields varied, on all cores or on dask's workers."""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from csched.cli.output import Output, output_options
from csched.errors import UsageError
from csched.report.rendering import Rendered, Table

if TYPE_CHECKING:
    from csched_sim.sweep import Ended

_DASK = "dask:"


@click.command()
@click.argument("sweep", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for the runs and their report.")
@click.option("--on", "where", default="local", show_default=True, help="local, or dask:ADDRESS of a scheduler.")
@output_options
def command(output: Output, /, *, sweep: Path, out: Path, where: str) -> None:
    """Run every combination of what a sweep varies, each as a simulation of its own.

    \b
    csched sweep prices.yaml --out out
    csched sweep prices.yaml --out out --on dask:tcp://10.0.0.1:8786

    What is finished is not run again: after an interruption the same command goes on. A run that fails is told and
    loses no other. Needs the extra `sweep` (dask.distributed).
    """
    address = _address(where)
    _require_dask()
    from csched_sim.outputs import make_folder, write_json, write_text
    from csched_sim.sweep import read_sweep, run_all
    from csched_sim.sweep_report import combined, sweep_html

    read, runs = read_sweep(sweep)
    make_folder(out)

    def report(one: "Ended") -> None:
        if one.error:
            output.remark(f"run {one.name}: {one.error}")

    ended = run_all(runs, out, address, report)
    told = combined(read, ended)
    write_json(told, out / "sweep.json")
    write_text(sweep_html(read, told), out / "report.html")
    lines = [f"{one.name} {one.error or 'done'}" for one in ended]
    output.show(Rendered(told, lines, (_table(told), f"written to {out}")))
    _refuse_all_failed(ended)


def _address(where: str) -> str | None:
    if where == "local":
        return None
    if where.startswith(_DASK) and where != _DASK:
        return where.removeprefix(_DASK)
    raise UsageError(f"`{where}` is not a place to run on", hint="give local, or dask:ADDRESS of a dask scheduler")


def _require_dask() -> None:
    if find_spec("distributed") is None:
        raise UsageError("dask.distributed is not installed", hint="install csched with its extra `sweep`")


def _table(told: Mapping[str, Any]) -> Table:
    rows = [
        [
            run["run"],
            ", ".join(f"{field} {value}" for field, value in run["settings"].items()),
            name,
            format(figures["carbon_kg"], ",.1f"),
            "" if figures["saved_vs_baseline_pct"] is None else format(figures["saved_vs_baseline_pct"], ".1f"),
            "" if figures["mean_wait_h"] is None else format(figures["mean_wait_h"], ",.2f"),
        ]
        for run in told["runs"]
        for name, figures in run["strategies"].items()
    ]
    return Table(["run", "with", "strategy", ">kgCO2e", ">saved %", ">mean wait h"], rows, told["sweep"])


def _refuse_all_failed(ended: "list[Ended]") -> None:
    if all(one.error for one in ended):
        raise UsageError(f"none of the {len(ended)} runs came through", hint="the reason of each stands above")
