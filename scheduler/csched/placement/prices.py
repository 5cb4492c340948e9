"""Prices of capacity and the bound they prove: the Lagrangian dual of the placement problem.

For any prices >= 0, the sum over jobs of the cheapest of leaving it out and its allowed starts at cost plus prices of
what it holds, less prices times capacity, is at most the cost of every valid plan.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from csched.domain.plan import Certificate
from csched.placement.dtypes import Floats, Ints
from csched.placement.problem import Problem
from csched.placement.timeline import POWER_UNIT_KW, UNCAPPED


@dataclass(frozen=True, eq=False)
class Prices:
    """kg per GPU held and row, shape (P, R); kg per power unit and row, shape (S, R)."""

    gpu: Floats
    power: Floats

    @staticmethod
    def zero(problem: Problem) -> "Prices":
        return Prices(np.zeros(problem.gpus_left.shape), np.zeros(problem.power_left.shape))

    @property
    def nil(self) -> bool:
        return not (self.gpu.any() or self.power.any())

    @property
    def sane(self) -> bool:
        return bool(np.isfinite(self.gpu).all() and np.isfinite(self.power).all()) and (
            self.gpu.min(initial=0) >= 0 and self.power.min(initial=0) >= 0
        )


@dataclass(frozen=True, eq=False)
class Answer:
    """What each job would do at given prices, if it were alone with them."""

    bound_kg: float
    room: Ints
    """-1 where leaving out is cheapest; shape (J,)."""
    slot: Ints


class Dual(Protocol):
    """Something that can say what prices are worth."""

    @property
    def problem(self) -> Problem: ...

    def answer(self, prices: Prices) -> Answer: ...

    def spread_kg(self) -> Floats:
        """Dearest less cheapest start of each job that has one, kg per GPU and slot."""
        ...


def rent_kg(problem: Problem, prices: Prices) -> float:
    """Prices times capacity. A row without a cap has no price."""
    capped = problem.power_left < UNCAPPED
    return float((prices.gpu * problem.gpus_left).sum() + (prices.power[capped] * problem.power_left[capped]).sum())


def usage(problem: Problem, room: Ints, slot: Ints) -> tuple[Ints, Ints]:
    """GPUs and power units that these starts hold; shapes (P, R) and (S, R)."""
    rows = len(problem.row_slots)
    gpu = np.zeros((len(problem.rooms), rows + 1), dtype=np.int64)
    power = np.zeros((len(problem.power_left), rows + 1), dtype=np.int64)
    jobs = np.flatnonzero(room >= 0)
    rooms, starts = room[jobs], slot[jobs]
    ends = problem.row_after(starts + problem.hold_slots[jobs, rooms])
    held, drawn, sites = problem.gpus_held[jobs, rooms], problem.power[jobs, rooms], problem.room_site[rooms]
    np.add.at(gpu, (rooms, starts), held)
    np.add.at(gpu, (rooms, ends), -held)
    np.add.at(power, (sites, starts), drawn)
    np.add.at(power, (sites, ends), -drawn)
    return gpu.cumsum(axis=1)[:, :-1], power.cumsum(axis=1)[:, :-1]


def always() -> bool:
    return True


FIRST_STEP, LAST_STEP = 0.4, 0.004
"""Of a price, as shares of the median spread of a job's starts."""


def improve(
    dual: Dual,
    prices: Prices,
    rounds: int,
    first_step: float = FIRST_STEP,
    *,
    go_on: Callable[[], bool] = always,
) -> Prices:
    """Better prices by Adam on the dual, beginning at `prices`: the best of those seen until `go_on` says no.

    Steps shrink evenly from `first_step` to LAST_STEP, so that a few rounds find the size and the rest the shape.
    """
    ascent = _Ascent(dual, prices)
    for turn in range(1, rounds + 1):
        if not ascent.climb(turn, first_step * (LAST_STEP / first_step) ** (turn / rounds)) or not go_on():
            break
    return ascent.best


class _Ascent:
    """Where Adam stands: prices, running means of slopes, and the best prices so far."""

    def __init__(self, dual: Dual, prices: Prices) -> None:
        problem = dual.problem
        self._dual, self._problem = dual, problem
        self._capped = problem.power_left < UNCAPPED
        self._gpu_scale = np.maximum(problem.gpus_left.max(axis=1, keepdims=True), 1)
        self._power_scale = np.maximum(np.where(self._capped, problem.power_left, 1).max(axis=1, keepdims=True), 1)
        spread = dual.spread_kg()
        self._unit = float(np.median(spread)) + 1e-12 if len(spread) else 1e-12
        self._power_unit = self._unit * float(problem.gpus_held.sum()) / max(1.0, float(problem.power.sum()))
        self._prices = prices
        self._gpu, self._power = _Moments(prices.gpu), _Moments(prices.power)
        self.best, self._best_kg = prices, -np.inf

    def climb(self, turn: int, step: float) -> bool:
        """One step; False where the prices cannot be better: nobody competes and nothing has a price."""
        problem, now = self._problem, self._prices
        answer = self._dual.answer(now)
        if answer.bound_kg > self._best_kg:
            self.best, self._best_kg = now, answer.bound_kg
        held, drawn = usage(problem, answer.room, answer.slot)
        if now.nil and np.all(held <= problem.gpus_left) and np.all(drawn <= problem.power_left):
            return False
        gpu = self._gpu.ascend(now.gpu, (held - problem.gpus_left) / self._gpu_scale, turn, step * self._unit)
        over = np.where(self._capped, drawn - problem.power_left, 0) / self._power_scale
        power = self._power.ascend(now.power, over, turn, step * self._power_unit)
        self._prices = Prices(gpu, np.where(self._capped, power, 0.0))
        return True


class _Moments:
    """Adam's running mean and mean square of the slope of some prices."""

    def __init__(self, prices: Floats) -> None:
        self._mean, self._square = np.zeros_like(prices), np.zeros_like(prices)

    def ascend(self, prices: Floats, slope: Floats, turn: int, step: float) -> Floats:
        self._mean += 0.1 * (slope - self._mean)
        self._square += 0.01 * (slope * slope - self._square)
        lift = (self._mean / (1 - 0.9**turn)) / (np.sqrt(self._square / (1 - 0.99**turn)) + 1e-9)
        return np.maximum(prices + step * lift, 0.0)


def certificate(problem: Problem, prices: Prices) -> Certificate:
    """Prices spelled by slot; slots that have no row are implied by earlier ones and priced 0."""
    slots = problem.reach_slots

    def spread(row: Floats, scale: float) -> tuple[float, ...]:
        by_slot = np.zeros(slots)
        inside = problem.row_slots < slots
        by_slot[problem.row_slots[inside]] = row[inside] * scale
        return tuple(by_slot.tolist())

    sites = problem.snapshot.fleet.sites
    return Certificate(
        gpu={room.key: spread(prices.gpu[index], 1.0) for index, room in enumerate(problem.rooms)},
        power={
            site.id: spread(prices.power[index], 1.0 / POWER_UNIT_KW)
            for index, site in enumerate(sites)
            if site.it_power_cap_kw is not None
        },
    )


def prices_of(problem: Problem, stated: Certificate, *, shift_slots: int = 0) -> Prices:
    """The prices that a certificate states, by row; rooms, sites and slots that it does not know have none.

    `shift_slots` is how far the certificate's first slot lies before this problem's.
    """
    slots = problem.row_slots + shift_slots

    def by_row(each: Sequence[float], scale: float) -> Floats:
        known = np.asarray(each, dtype=np.float64)
        inside = slots < len(known)
        row = np.zeros(len(slots))
        row[inside] = known[slots[inside]] * scale
        return row

    gpu = [by_row(stated.gpu.get(room.key, ()), 1.0) for room in problem.rooms]
    power = [by_row(stated.power.get(site.id, ()), POWER_UNIT_KW) for site in problem.snapshot.fleet.sites]
    return Prices(np.stack(gpu), np.stack(power))
