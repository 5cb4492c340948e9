"""How hard the engine tries, how long it may take, and what its stages hand on."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from csched.placement.prices import Prices
from csched.placement.problem import Problem
from csched.placement.schedule import Schedule

USUAL_WORK = 1_000
MOST_PROVEN_JOBS = 300
"""So many jobs may have a bound that no prices prove."""
TIERS = (0.3, 0.5, 0.7, 0.85, 0.95)
"""Shares of all GPU-slots at which the descent from big jobs to small ones stops to price anew."""


@dataclass(frozen=True)
class Effort:
    """How much of each stage. Deterministic: it depends on the problem's size and on `work` alone."""

    price_rounds: int
    price_step: float
    """First step of the prices; see `prices.improve`."""
    squeaks: int
    tiers: tuple[float, ...]
    tier_rounds: int
    tier_step: float
    """First step of a tier's prices."""
    tier_squeaks: int
    tier_turns: int
    turns: int
    warm_rounds: int
    """Of prices that are nearly right already."""
    joined_turns: int
    """Where most jobs stand from the last cycle."""
    polish_until: float
    """Share of the time; the rest is for a proof by a solver."""

    @staticmethod
    def of(problem: Problem, work: int | None) -> "Effort":
        """`work` is counted in rounds that take some 10 ms each for 10,000 jobs on ten sites."""
        work = USUAL_WORK if work is None else work
        crowd = max(1.0, len(problem.jobs) / 20_000)  # of very many jobs each matters less, and a round takes longer
        price_rounds = 20 + min(work // 5, 180)
        return Effort(
            price_rounds=price_rounds,
            price_step=0.4 if crowd == 1.0 else 0.1,
            squeaks=1 + round(min(work // 200, 5) / crowd),
            tiers=() if work < 100 else TIERS,
            tier_rounds=min(work // 20, 50) if crowd == 1.0 else min(work // 10, 100),
            tier_step=0.2 if crowd == 1.0 else 0.4,
            tier_squeaks=min(work // 10, 100),
            tier_turns=min(work, 1_000) * min(3, len(problem.jobs)),
            turns=work * min(10, len(problem.jobs)),
            warm_rounds=max(1, price_rounds // 4),
            joined_turns=work * min(2, len(problem.jobs)),
            polish_until=0.4 if len(problem.jobs) <= MOST_PROVEN_JOBS else 0.95,
        )


@dataclass
class Watch:
    """Seconds by stage, whether any are left, and whether what was found is good enough."""

    seconds: float | None
    gap: float = 0.0
    """The search may end once this close to the bound."""
    stage_s: dict[str, float] = field(default_factory=dict)
    begun: float = field(default_factory=time.perf_counter)
    kept_back_s: float = 0.0
    """What is needed at the end for the proof of what was found."""
    ran_out: bool = False
    near: bool = False
    """The search ended at the gap that was asked for."""

    @property
    def elapsed_s(self) -> float:
        return time.perf_counter() - self.begun

    @property
    def left_s(self) -> float:
        return float("inf") if self.seconds is None else self.seconds - self.kept_back_s - self.elapsed_s

    def over(self, share: float = 1.0) -> bool:
        """Whether this share of the time is gone; remembered, because it makes a plan depend on the machine."""
        if self.seconds is not None and self.elapsed_s > share * (self.seconds - self.kept_back_s):
            self.ran_out = True
            return True
        return False

    def until(self, share: float) -> Callable[[], bool]:
        """Whether to go on until this share of the time is gone."""
        return lambda: not self.over(share)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """What is done here does not count."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.begun += time.perf_counter() - begun

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.stage_s[name] = self.stage_s.get(name, 0.0) + time.perf_counter() - begun


@dataclass(frozen=True, eq=False)
class Found:
    schedule: Schedule
    prices: Prices
