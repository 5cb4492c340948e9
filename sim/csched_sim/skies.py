"""What a strategy may know of the grid at an instant of the simulation, and never more."""

from dataclasses import dataclass, field
from datetime import timedelta

from csched.clock import from_epoch_s
from csched.domain.carbon import CarbonOutlook
from csched.ports import CarbonSource
from csched.units import SECONDS_PER_DAY

_AHEAD_S = 10 * SECONDS_PER_DAY


@dataclass
class Skies:
    """The outlook of the newest multiple of `step_s`: at most that much older than a decision, never younger."""

    source: CarbonSource
    zones: tuple[str, ...]
    step_s: int
    _newest: tuple[int, int, CarbonOutlook] | None = field(default=None, init=False)
    """(known at, reaches to, the outlook)."""

    def at(self, now_s: int, until_s: int | None = None) -> CarbonOutlook:
        """What is known at `now_s` of [its step, until); at least ten days ahead.

        Raises:
            InputError: a zone or time that the source does not know.
        """
        known_s = now_s - now_s % self.step_s
        least_s = now_s + 1 if until_s is None else until_s
        if self._newest is not None:
            of_s, reach_s, outlook = self._newest
            if of_s == known_s and reach_s >= least_s:
                return outlook
        reach_s = max(known_s + _AHEAD_S, least_s)
        known = from_epoch_s(known_s)
        outlook = self.source.outlook(self.zones, known, known, known + timedelta(seconds=reach_s - known_s))
        self._newest = (known_s, reach_s, outlook)
        return outlook
