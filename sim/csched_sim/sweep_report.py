"""What a sweep as a whole says: one table, the frontier of all runs, and which field mattered most."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure

from csched_sim.plots import COLOURS, svg_of
from csched_sim.sweep import Ended, Sweep


def combined(sweep: Sweep, ended: Sequence[Ended]) -> dict[str, Any]:
    """Plain JSON values; the same for the same sweep."""
    return {
        "schema": "csched/sweep-result/1",
        "sweep": sweep.name,
        "runs": [
            {
                "run": one.name,
                "settings": dict(one.settings),
                "error": one.error,
                "bound": one.summary["bound"]["carbon_kg"] if one.summary else None,
                "strategies": one.summary["strategies"] if one.summary else {},
            }
            for one in ended
        ],
        "tornado": tornado(ended),
    }


def tornado(ended: Sequence[Ended], figure: str = "saved_vs_baseline_pct") -> list[dict[str, Any]]:
    """Strategy and field -> mean of the figure at its lowest and highest value, by how far apart they are."""
    seen: dict[tuple[str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for one in ended:
        for name, figures in (one.summary["strategies"] if one.summary else {}).items():
            for field, value in one.settings.items():
                if figures[figure] is not None:
                    seen[name, field][str(value)].append(figures[figure])
    rows = []
    for (name, field), values in seen.items():
        means = {value: sum(found) / len(found) for value, found in values.items()}
        low, high = min(means, key=lambda value: means[value]), max(means, key=lambda value: means[value])
        rows.append(
            {
                "strategy": name,
                "field": field,
                "figure": figure,
                "low": means[low],
                "low_at": low,
                "high": means[high],
                "high_at": high,
            }
        )
    return sorted(rows, key=lambda row: (row["low"] - row["high"], row["strategy"], row["field"]))


def sweep_html(sweep: Sweep, told: Mapping[str, Any]) -> str:
    """One page that needs nothing beside it."""
    environment = Environment(
        loader=PackageLoader("csched_sim"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    return environment.get_template("sweep.html").render(
        sweep=sweep, told=told, frontier=_frontier(told), tornado=_bars(told["tornado"])
    )


def _frontier(told: Mapping[str, Any]) -> str:
    """Mean wait against what was saved, one point for each run and strategy."""
    points: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for run in told["runs"]:
        for name, figures in run["strategies"].items():
            if figures["saved_vs_baseline_pct"] is not None and figures["mean_wait_h"] is not None:
                points[name].append((figures["mean_wait_h"], figures["saved_vs_baseline_pct"]))
    with mpl.rc_context({"svg.hashsalt": "csched", "font.size": 9, "axes.grid": True, "grid.alpha": 0.3}):
        figure = Figure(figsize=(8, 3.6), layout="constrained")
        axes = figure.subplots()
        for index, (name, found) in enumerate(points.items()):
            waits, saved = zip(*sorted(found), strict=True)
            axes.plot(waits, saved, marker="o", linestyle="none", color=COLOURS[index % len(COLOURS)], label=name)
        axes.set_xlabel("mean wait, hours")
        axes.set_ylabel("saved against the baseline, %")
        if points:
            axes.legend(loc="best")
        return svg_of(figure)


def _bars(rows: Sequence[Mapping[str, Any]]) -> str:
    """The tornado: for each field and strategy what is saved from its worst to its best value, the widest on top."""
    with mpl.rc_context({"svg.hashsalt": "csched", "font.size": 9, "axes.grid": True, "grid.alpha": 0.3}):
        figure = Figure(figsize=(8, 1.2 + 0.3 * len(rows)), layout="constrained")
        axes = figure.subplots()
        for place, row in enumerate(rows):
            axes.barh(place, row["high"] - row["low"], left=row["low"], color=COLOURS[0])
            axes.annotate(
                row["low_at"], (row["low"], place), (-3, 0), textcoords="offset points", ha="right", va="center"
            )
            axes.annotate(row["high_at"], (row["high"], place), (3, 0), textcoords="offset points", va="center")
        axes.set_yticks(range(len(rows)), [f"{row['field']}, {row['strategy']}" for row in rows])
        axes.invert_yaxis()
        axes.margins(x=0.25)
        axes.set_xlabel("saved against the baseline, %, mean of all runs")
        return svg_of(figure)
