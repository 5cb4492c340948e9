"""Strategies by name. Whoever asks for one that does not exist learns which do."""

from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from functools import partial
from typing import Final

from csched.errors import UsageError
from csched_sim.at_home import simulate_at_home
from csched_sim.outcome import Outcome
from csched_sim.queueing import easy, first_come
from csched_sim.setting import Setting
from csched_sim.traces.trace import TraceJob

Strategy = Callable[[Iterable[TraceJob], Setting], Outcome]


def _csched(trace: Iterable[TraceJob], setting: Setting) -> Outcome:
    from csched_sim.planned import simulate_planned  # imports the solver, which the textbook ones do without

    return simulate_planned(trace, setting)


STRATEGIES: Final[Mapping[str, Strategy]] = {
    "fifo": partial(simulate_at_home, discipline=first_come),
    "easy": partial(simulate_at_home, discipline=easy),
    "csched": _csched,
}
BASELINE: Final = "easy"


def strategy(name: str) -> Strategy:
    """Raises UsageError for a name that is not there."""
    if name not in STRATEGIES:
        close = get_close_matches(name, STRATEGIES, n=1)
        meant = f"did you mean `{close[0]}`? " if close else ""
        raise UsageError(f"no strategy is called `{name}`", hint=f"{meant}there are {', '.join(STRATEGIES)}")
    return STRATEGIES[name]
