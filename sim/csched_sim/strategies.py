"""Strategies by name. Whoever asks for one that does not exist learns which do."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from difflib import get_close_matches
from functools import partial
from typing import Final

from csched.errors import UsageError
from csched_sim.oracle import simulate_foreseen
from csched_sim.outcome import Outcome
from csched_sim.queued import simulate_queued
from csched_sim.queueing import easy, first_come
from csched_sim.routing import at_home, greenest, least_loaded
from csched_sim.setting import Setting
from csched_sim.shifting import carbon_time, lowest_window, wait_awhile
from csched_sim.traces.trace import TraceJob

Strategy = Callable[[Iterable[TraceJob], Setting], Outcome]


def _csched(trace: Iterable[TraceJob], setting: Setting) -> Outcome:
    from csched_sim.planned import simulate_planned  # imports the solver, which the textbook ones do without

    return simulate_planned(trace, setting)


def _csched_at(trace: Iterable[TraceJob], setting: Setting, rates: Mapping[str, float]) -> Outcome:
    objective = setting.fleet.objective.model_copy(update=dict(rates))
    return _csched(trace, replace(setting, fleet=setting.fleet.model_copy(update={"objective": objective})))


def _rates(name: str) -> dict[str, float]:
    rates = {}
    for setting in name.removeprefix("csched:").split(","):
        key, _, text = setting.partition("=")
        if key not in _RATES or not text.replace(".", "", 1).isdecimal():
            raise UsageError(
                f"`{name}` does not say an exchange rate",
                hint=f"write for example csched:wait=0.005; the rates are {', '.join(_RATES)}, in kgCO2e",
            )
        rates[_RATES[key]] = float(text)
    return rates


STRATEGIES: Final[Mapping[str, Strategy]] = {
    "fifo": partial(simulate_queued, router=at_home, discipline=first_come),
    "easy": partial(simulate_queued, router=at_home, discipline=easy),
    "least-loaded": partial(simulate_queued, router=least_loaded, discipline=easy),
    "greenest": partial(simulate_queued, router=greenest, discipline=easy),
    "lowest-window": partial(simulate_queued, router=lowest_window, discipline=easy),
    "carbon-time": partial(simulate_queued, router=carbon_time, discipline=easy),
    "wait-awhile": partial(simulate_queued, router=wait_awhile, discipline=easy),
    "csched": _csched,
    "oracle": simulate_foreseen,
}
BASELINE: Final = "easy"


_RATES: Final = {"wait": "wait_kg_per_gpu_h", "egress": "egress_kg_per_gb", "drop": "drop_kg_per_gpu_h"}


def strategy(name: str) -> Strategy:
    """By name; `csched:wait=0.005` is csched with other exchange rates than the fleet's (wait, egress, drop).

    Raises UsageError for a name that is not there.
    """
    if name.startswith("csched:"):
        return partial(_csched_at, rates=_rates(name))
    if name not in STRATEGIES:
        close = get_close_matches(name, STRATEGIES, n=1)
        meant = f"did you mean `{close[0]}`? " if close else ""
        raise UsageError(f"no strategy is called `{name}`", hint=f"{meant}there are {', '.join(STRATEGIES)}")
    return STRATEGIES[name]
