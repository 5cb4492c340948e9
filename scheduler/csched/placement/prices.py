"""Prices of capacity and the bound they prove: the Lagrangian dual of the placement problem.

For any prices >= 0, the sum over jobs of the cheapest of leaving it out and its allowed starts at cost plus prices of
what it holds, less prices times capacity, is at most the cost of every valid plan.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

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


class Ascent(NamedTuple):
    """Where Adam stands; one row for each room, behind them one for each site. Written to."""

    price: Floats
    """Shape (P + S, R), as all below."""
    mean: Floats
    """Running mean of the slope."""
    square: Floats
    """Running mean of its square."""
    unit: Floats
    """What a step of 1 is; 0 where there is nothing to price."""
    best: Floats
    """The best prices so far."""
    best_kg: Floats
    """Their bound; shape (1,)."""

    @staticmethod
    def from_prices(problem: Problem, prices: Prices, spread_kg: Floats) -> "Ascent":
        """`spread_kg`: dearest less cheapest start of each job, per GPU and slot."""
        unit = float(np.median(spread_kg)) + 1e-12 if len(spread_kg) else 1e-12
        power_unit = unit * float(problem.gpus_held.sum()) / max(1.0, float(problem.power.sum()))
        capped = problem.power_left < UNCAPPED
        units = np.concatenate([np.full(prices.gpu.shape, unit), np.where(capped, power_unit, 0.0)])
        price = np.concatenate([prices.gpu, np.where(capped, prices.power, 0.0)])
        return Ascent(price, np.zeros_like(price), np.zeros_like(price), units, price.copy(), np.array([-np.inf]))

    def prices(self, rooms: int) -> Prices:
        """The best so far."""
        return Prices(self.best[:rooms].copy(), self.best[rooms:].copy())


def step_up(ascent: Ascent, slope: Floats, turn: int, step: float) -> None:
    """One step of Adam. `slope` is what is held above what there is, as shares of the most that there is."""
    mean, square, price = ascent.mean, ascent.square, ascent.price
    mean += 0.1 * (slope - mean)
    square += 0.01 * (slope * slope - square)
    lift = (mean / (1 - 0.9**turn)) / (np.sqrt(square / (1 - 0.99**turn)) + 1e-9)
    price[:] = np.maximum(price + step * ascent.unit * lift, 0.0)


Climb = Callable[[Ascent, int, Floats], bool]
"""Rounds of an ascent, the first of them the given one, with these steps; False where nothing more can be gained."""


def improve(
    problem: Problem,
    prices: Prices,
    climb: Climb,
    spread_kg: Floats,
    *,
    rounds: int,
    first_step: float = FIRST_STEP,
    at_once: int = 1,
    go_on: Callable[[], bool] = always,
) -> Prices:
    """Better prices by Adam on the dual, beginning at `prices`: the best of those seen until `go_on` says no.

    Steps shrink evenly from `first_step` to LAST_STEP, so that a few rounds find the size and the rest the shape.
    `at_once` is how many rounds there are between two looks at `go_on`.
    """
    ascent = Ascent.from_prices(problem, prices, spread_kg)
    steps = first_step * (LAST_STEP / first_step) ** (np.arange(1, rounds + 1) / rounds)
    for turn in range(0, rounds, at_once):
        if not climb(ascent, turn + 1, steps[turn : turn + at_once]) or not go_on():
            break
    return ascent.prices(len(prices.gpu))


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
