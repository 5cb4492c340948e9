"""What a strategy did with a trace."""

from dataclasses import dataclass, field
from typing import NamedTuple

from csched_sim.setting import Berth
from csched_sim.traces.trace import TraceJob


class Stretch(NamedTuple):
    """Part of a job's work, done without a break; times are seconds since the epoch."""

    berth: Berth
    start_s: int
    end_s: int


class Run(NamedTuple):
    """One job from its first start to its end; times are seconds since the epoch."""

    traced: TraceJob
    berth: Berth
    """Where it ended."""
    start_s: int
    end_s: int
    sigma: float = 1.0
    broken: tuple[Stretch, ...] = ()
    """All stretches, the last included, of a job that was suspended or lost its node; empty for all others."""

    @property
    def stretches(self) -> tuple[Stretch, ...]:
        return self.broken or (Stretch(self.berth, self.start_s, self.end_s),)


class NeverRan(NamedTuple):
    traced: TraceJob
    why: str


@dataclass
class Outcome:
    runs: list[Run] = field(default_factory=list)
    """Jobs that ended, in any order."""
    never_ran: list[NeverRan] = field(default_factory=list)
    decisions: int = 0
    """How often the strategy looked at its queue."""
