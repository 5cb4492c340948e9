"""What a strategy did with a trace."""

from dataclasses import dataclass, field
from typing import NamedTuple

from csched_sim.setting import Berth
from csched_sim.traces.trace import TraceJob


class Run(NamedTuple):
    """One job from start to end; times are seconds since the epoch."""

    traced: TraceJob
    berth: Berth
    start_s: int
    sigma: float = 1.0

    @property
    def end_s(self) -> int:
        return self.start_s + self.traced.runtime_s


class NeverRan(NamedTuple):
    traced: TraceJob
    why: str


@dataclass
class Outcome:
    runs: list[Run] = field(default_factory=list)
    """In order of start."""
    never_ran: list[NeverRan] = field(default_factory=list)
    decisions: int = 0
    """How often the strategy looked at its queue."""
