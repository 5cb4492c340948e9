"""Pictures of a simulation as SVG text; the same simulation gives the same bytes."""

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from csched.clock import epoch_s
from csched.units import SECONDS_PER_DAY, SECONDS_PER_HOUR
from csched_sim.accounts import Ints
from csched_sim.simulation import Simulation, StrategyResult
from csched_sim.traces.trace import submitted

COLOURS: Final = ("#7a7a7a", "#0b6e99", "#2a9d4a", "#c2571a", "#7b4ab5", "#b0892b", "#b52f5c", "#3d5a80", "#5b7f2b")
"""Apart also for people who do not tell red from green; the same strategy has the same colour in every picture."""

_TIME: Final = "days since the first submission"
_MOST_SITES: Final = 12
_MOST_BARS: Final = 400


def plots(simulation: Simulation) -> Mapping[str, str]:
    """Name of the picture -> SVG."""
    drawn: dict[str, Callable[[Simulation], Figure]] = {
        "frontier": _frontier,
        "carbon": _carbon,
        "waits": _waits,
        "queue": _queue,
        "power": _power,
        "utilisation": _utilisation,
        "gantt": _gantt,
    }
    with mpl.rc_context(
        {
            "svg.hashsalt": "csched",  # or element ids would differ from run to run
            "font.size": 9,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "grid.alpha": 0.3,
        }
    ):
        return {name: svg_of(draw(simulation)) for name, draw in drawn.items()}


def _waits(simulation: Simulation) -> Figure:
    """Share of the jobs that waited at most so long."""
    figure, (axes,) = _figure(1)
    for colour, result in _coloured(simulation):
        waits = np.sort(result.accounts.wait_h)
        axes.step(
            waits, np.arange(1, len(waits) + 1) / max(len(waits), 1), where="post", color=colour, label=result.name
        )
    axes.set_xscale("symlog", linthresh=0.1)
    axes.set_xlim(left=0)
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("wait, hours")
    axes.set_ylabel("share of jobs that waited at most so long")
    axes.legend(loc="lower right")
    return figure


def _carbon(simulation: Simulation) -> Figure:
    """Carbon of the jobs ended so far."""
    figure, (axes,) = _figure(1)
    for colour, result in _coloured(simulation):
        order = np.argsort(result.accounts.end_s, kind="stable")
        ends = _days(result.accounts.end_s[order], simulation)
        axes.step(ends, np.cumsum(result.accounts.carbon_kg[order]), where="post", color=colour, label=result.name)
    axes.axhline(simulation.bound.carbon_kg, color="black", linestyle=":", linewidth=1, label="bound")
    axes.set_ylabel("kgCO2e of the jobs ended so far")
    axes.set_ylim(bottom=0)
    axes.set_xlabel(_TIME)
    axes.legend(loc="upper left")
    return figure


def _utilisation(simulation: Simulation) -> Figure:
    """GPUs at work at each site, one row per site."""
    sites = [site.id for site in simulation.setting.fleet.sites][:_MOST_SITES]
    figure, rows = _figure(len(sites))
    for axes, site in zip(rows, sites, strict=True):
        for colour, result in _coloured(simulation):
            instants, gpus = _gpus_at_work(result, site)
            axes.step(_days(instants, simulation), gpus, where="post", color=colour, linewidth=1, label=result.name)
        capacity = sum(berth.capacity for berth in simulation.setting.berths[site])
        axes.axhline(capacity, color="black", linestyle=":", linewidth=1)
        axes.set_ylim(0, capacity * 1.05 + 1)
        axes.set_ylabel(f"{site}\nGPUs at work")
    rows[-1].set_xlabel(_TIME)
    rows[0].legend(loc="upper right", ncols=3)
    return figure


def _frontier(simulation: Simulation) -> Figure:
    """Carbon of the compared jobs against the mean wait: the lower left is better in both."""
    figure, (axes,) = _figure(1)
    for colour, result in _coloured(simulation):
        inside = [run.traced.job.job in simulation.compared for run in result.outcome.runs]
        if not any(inside):
            continue
        kg, wait_h = result.accounts.carbon_kg[inside].sum(), result.accounts.wait_h[inside].mean()
        axes.plot(wait_h, kg, marker="o", linestyle="none", color=colour, label=result.name)
    axes.axhline(simulation.bound.carbon_kg, color="black", linestyle=":", linewidth=1, label="bound")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("mean wait of the compared jobs, hours")
    axes.set_ylabel("kgCO2e of the compared jobs")
    axes.legend(loc="best")
    return figure


def _queue(simulation: Simulation) -> Figure:
    """Jobs that are eligible and have not started."""
    figure, (axes,) = _figure(1)
    for colour, result in _coloured(simulation):
        ones = np.ones(len(result.accounts.start_s))
        instants, waiting = _running_sum(result.accounts.eligible_s, result.accounts.start_s, ones)
        axes.step(_days(instants, simulation), waiting, where="post", color=colour, linewidth=1, label=result.name)
    axes.set_ylim(bottom=0)
    axes.set_xlabel(_TIME)
    axes.set_ylabel("jobs that wait")
    axes.legend(loc="upper right")
    return figure


def _power(simulation: Simulation) -> Figure:
    """Power at the meters of all sites, and what it emits in each hour."""
    figure, (above, below) = _figure(2)
    for colour, result in _coloured(simulation):
        accounts = result.accounts
        hours = np.maximum(accounts.busy_s, 1) / SECONDS_PER_HOUR
        instants, kw = _running_sum(accounts.start_s, accounts.end_s, accounts.kwh / hours)
        above.step(_days(instants, simulation), kw, where="post", color=colour, linewidth=1, label=result.name)
        instants, kg_per_h = _running_sum(accounts.start_s, accounts.end_s, accounts.carbon_kg / hours)
        below.step(_days(instants, simulation), kg_per_h, where="post", color=colour, linewidth=1)
    above.set_ylabel("kW at the meters")
    below.set_ylabel("kgCO2e per hour")
    for axes in (above, below):
        axes.set_ylim(bottom=0)
    below.set_xlabel(_TIME)
    above.legend(loc="upper right", ncols=3)
    return figure


def _gantt(simulation: Simulation) -> Figure:
    """The largest runs of the strategy that was asked for last, site by site; the height is GPUs held side by side."""
    result = next(
        (one for one in reversed(simulation.results) if one.name != simulation.baseline), simulation.results[0]
    )
    sites = [site.id for site in simulation.setting.fleet.sites][:_MOST_SITES]
    largest = sorted(
        (run for run in result.outcome.runs if run.berth.site.id in sites),
        key=lambda run: (-run.traced.job.gpus * run.traced.runtime_s, run.traced.job.job),
    )[:_MOST_BARS]
    figure, rows = _figure(len(sites))
    for axes, site in zip(rows, sites, strict=True):
        lanes: list[int] = []
        for run in sorted((run for run in largest if run.berth.site.id == site), key=lambda run: run.start_s):
            lane = next((index for index, free_s in enumerate(lanes) if free_s <= run.start_s), len(lanes))
            lanes[lane : lane + 1] = [run.end_s]
            bars = [
                (float(_days(part.start_s, simulation)), (part.end_s - part.start_s) / SECONDS_PER_DAY)
                for part in run.stretches
            ]
            axes.broken_barh(bars, (lane, 0.85), color=COLOURS[run.traced.job.gpus.bit_length() % len(COLOURS)])
        axes.set_yticks([])
        axes.set_ylabel(site)
    rows[0].set_title(f"{result.name}: the {len(largest):,} largest jobs, coloured by size", fontsize=9, loc="left")
    rows[-1].set_xlabel(_TIME)
    return figure


def _running_sum(begin_s: Ints, end_s: Ints, amount: npt.NDArray[np.float64]) -> tuple[Ints, npt.NDArray[np.float64]]:
    """(instants, total in force from each on), both of shape (2 x runs,)."""
    instants = np.concatenate((begin_s, end_s))
    order = np.argsort(instants, kind="stable")
    return instants[order], np.cumsum(np.concatenate((amount, -amount))[order])


def _gpus_at_work(result: StrategyResult, site: str) -> tuple[Ints, Ints]:
    """(instants, GPUs at work from each on), both of shape (2 x runs at the site,)."""
    here = [index for index, run in enumerate(result.outcome.runs) if run.berth.site.id == site]
    accounts = result.accounts
    instants = np.concatenate((accounts.start_s[here], accounts.end_s[here]))
    changes = np.concatenate((accounts.gpus[here], -accounts.gpus[here]))
    order = np.lexsort((changes, instants))
    return instants[order], np.cumsum(changes[order])


def _coloured(simulation: Simulation) -> list[tuple[str, StrategyResult]]:
    return [(COLOURS[index % len(COLOURS)], result) for index, result in enumerate(simulation.results)]


def _figure(rows: int) -> tuple[Figure, Sequence[Axes]]:
    figure = Figure(figsize=(8, 3.4 if rows == 1 else 1.6 * rows), layout="constrained")
    return figure, list(figure.subplots(rows, 1, squeeze=False, sharex=True)[:, 0])


def _days(seconds: npt.ArrayLike, simulation: Simulation) -> npt.NDArray[np.float64]:
    """Days since the first submission."""
    return (np.asarray(seconds) - epoch_s(submitted(simulation.trace[0]))) / SECONDS_PER_DAY


def svg_of(figure: Figure) -> str:
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": "csched"})
    text = stream.getvalue()
    return text[text.index("<svg") :]
