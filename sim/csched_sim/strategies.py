"""Strategies by name. Whoever asks for one that does not exist learns which do."""

from collections.abc import Callable, Iterable, Mapping
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


def strategy(name: str) -> Strategy:
    """Raises UsageError for a name that is not there."""
    if name not in STRATEGIES:
        close = get_close_matches(name, STRATEGIES, n=1)
        meant = f"did you mean `{close[0]}`? " if close else ""
        raise UsageError(f"no strategy is called `{name}`", hint=f"{meant}there are {', '.join(STRATEGIES)}")
    return STRATEGIES[name]
