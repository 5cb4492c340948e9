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
from csched.units import SECONDS_PER_DAY
from csched_sim.accounts import Ints
from csched_sim.simulation import Simulation, StrategyResult
from csched_sim.traces.trace import submitted

COLOURS: Final = ("#7a7a7a", "#0b6e99", "#2a9d4a", "#c2571a", "#7b4ab5", "#b0892b", "#b52f5c", "#3d5a80", "#5b7f2b")
"""Apart also for people who do not tell red from green; the same strategy has the same colour in every picture."""

_TIME: Final = "days since the first submission"
_MOST_SITES: Final = 12


def plots(simulation: Simulation) -> Mapping[str, str]:
    """Name of the picture -> SVG."""
    drawn: dict[str, Callable[[Simulation], Figure]] = {
        "waits": _waits,
        "carbon": _carbon,
        "utilisation": _utilisation,
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
        return {name: _svg(draw(simulation)) for name, draw in drawn.items()}


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


def _svg(figure: Figure) -> str:
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": "csched"})
    text = stream.getvalue()
    return text[text.index("<svg") :]
