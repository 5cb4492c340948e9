"""The pictures of docs/engine.md, from what a run has measured."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

Results = Sequence[Mapping[str, Any]]


def gap_over_time(series: Results, path: Path) -> None:
    """One line an instance: CPU seconds against the gap to the best bound known of it."""
    figure = Figure(figsize=(7, 4))
    axes = figure.subplots()
    for each in series:
        axes.plot(each["cpu_s"], [100 * gap for gap in each["gap"]], marker="o", label=_name(each))
    axes.set(xscale="log", yscale="log", xlabel="CPU seconds", ylabel="gap to the best bound, %")
    axes.legend()
    _save(figure, path)


def cost_over_jobs(results: Results, path: Path) -> None:
    """Cost over the bound of the engine and of what it is held against, by number of jobs; one panel a family."""
    families = sorted({each["family"] for each in results})
    if not families:
        return
    figure = Figure(figsize=(4.5 * len(families), 4))
    panels = figure.subplots(1, len(families), sharey=True, squeeze=False)[0]
    for axes, family in zip(panels, families, strict=True):
        cases = sorted(
            (each for each in results if each["family"] == family), key=lambda each: (each["jobs"], each["rho"])
        )
        jobs = [f"{each['jobs']:,}\n{each['rho']:g}" for each in cases]
        axes.plot(jobs, [100 * each["over_bound"] for each in cases], marker="o", label="csched")
        for name in cases[0]["rivals"]:
            axes.plot(jobs, [100 * each["rivals"][name]["over_bound"] for each in cases], marker=".", label=name)
        axes.set(yscale="log", xlabel="jobs, and load", title=f"family {family}")
    panels[0].set_ylabel("cost over the bound, %")
    panels[-1].legend(fontsize="small")
    _save(figure, path)


def saved_over_wait(windows: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Carbon saved against mean wait: csched at several prices of waiting, the rival at several thresholds."""
    figure = Figure(figsize=(4.5 * len(windows), 4))
    panels = figure.subplots(1, len(windows), sharey=True, squeeze=False)[0]
    for axes, (window, told) in zip(panels, windows.items(), strict=True):
        for name, points in told["curves"].items():
            ordered = sorted(points, key=lambda point: point["mean_wait_h"])
            waits = [point["mean_wait_h"] for point in ordered]
            axes.plot(waits, [100 * point["saved"] for point in ordered], marker="o", label=name)
        axes.axhline(100 * told["clairvoyant"]["saved"], color="gray", linestyle=":", label="clairvoyant, carbon only")
        axes.set(xlabel="mean wait, h", title=window)
    panels[0].set_ylabel("carbon saved against EASY at home, %")
    panels[-1].legend(fontsize="small")
    _save(figure, path)


def _name(each: Mapping[str, Any]) -> str:
    return f"{each['family']} {each['jobs']:,} jobs, load {each['rho']:g}"


def _save(figure: Figure, path: Path) -> None:
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
