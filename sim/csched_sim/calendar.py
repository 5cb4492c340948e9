"""Simulated time, by SimPy: what happens at one instant happens in a fixed order of phases."""

from collections.abc import Callable
from enum import IntEnum

import simpy


class Phase(IntEnum):
    """Order within an instant: all ends, then what else happens in the world, then all submissions, then one decision.

    0 is SimPy's own urgent events.
    """

    END = 1
    WORLD = 2
    SUBMISSION = 3
    DECISION = 4


class Occurrence(simpy.Event):
    """Something that happens once, at a known time, in a known phase. SimPy's Timeout has no say in the phase."""

    def __init__(self, environment: simpy.Environment, delay_s: int, phase: Phase, action: Callable[[], None]) -> None:
        super().__init__(environment)
        self._ok = True
        self._value = None
        self.callbacks = [lambda _event: action()]
        environment.schedule(self, phase, delay_s)  # type: ignore[arg-type] # SimPy types priorities as its own two


class Calendar:
    """The agenda of one simulated run; times are whole seconds since the epoch."""

    def __init__(self, start_s: int) -> None:
        self._environment = simpy.Environment(start_s)

    @property
    def now_s(self) -> int:
        return int(self._environment.now)

    def at(self, time_s: int, phase: Phase, action: Callable[[], None]) -> None:
        """Do `action` at `time_s`, which is not in the past."""
        Occurrence(self._environment, time_s - self.now_s, phase, action)

    def run(self) -> None:
        """Until nothing is left to happen."""
        self._environment.run()
