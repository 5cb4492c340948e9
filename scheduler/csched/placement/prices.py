"""Prices of capacity and the bound they prove: the Lagrangian dual of the placement problem.

For any prices >= 0, the sum over jobs of the cheapest of leaving it out and its allowed starts at cost plus prices of
what it holds, less prices times capacity, is at most the cost of every valid plan.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from csched.domain.plan import Certificate
from csched.placement.problem import POWER_UNIT_KW, UNCAPPED, Floats, Ints, Problem

CHUNK_JOBS = 256


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


class Oracle:
    """Evaluates the dual, in plain numpy. Made once for a problem; `penalties` are those of `penalties_kg`."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self._holds, self._hold_of = np.unique(problem.hold_slots, return_inverse=True)
        self._runs, self._run_of = np.unique(problem.runtime_s, return_inverse=True)
        slots = np.arange(problem.start_slots)
        self._slots = slots
        self._ends = problem.row_after(slots[None, :] + self._holds[:, None])
        self._capped = bool((problem.power_nominal < problem.power.max(initial=0)).any())
        nominal = [problem.lowest_nominal(int(hold)) for hold in self._holds] if self._capped else []
        self._nominal = np.stack(nominal)[:, problem.room_site] if nominal else np.empty(0)
        self.penalty_kg = self._penalties()

    def chunks(self) -> Iterator[Ints]:
        for first in range(0, len(self.problem.jobs), CHUNK_JOBS):
            yield np.arange(first, min(first + CHUNK_JOBS, len(self.problem.jobs)))

    def costs_kg(self, jobs: Ints) -> Floats:
        """True costs of all starts, infinite where not allowed; shape (len(jobs), P, H)."""
        problem = self.problem
        runs, run_of = np.unique(problem.runtime_s[jobs], return_inverse=True)
        total: Floats = np.moveaxis(problem.integrals(runs), 1, 0)[run_of]
        total *= problem.kg_per_intensity[jobs][:, :, None]
        total += problem.egress_kg[jobs][:, :, None] + problem.wait_kg_at_now[jobs][:, None, None]
        total += problem.wait_kg_per_slot[jobs][:, None, None] * self._slots
        forbidden = self._slots < problem.first[jobs][:, :, None]
        forbidden |= self._slots > problem.last[jobs][:, :, None]
        if self._capped:
            forbidden |= problem.power[jobs][:, :, None] > self._nominal[self._hold_of[jobs]]
        total[forbidden] = np.inf
        return total

    def reduced_kg(self, jobs: Ints, held: "HeldPrices") -> Floats:
        """Costs plus prices of what is held; shape (len(jobs), P, H)."""
        problem, hold = self.problem, self._hold_of[jobs]
        total = self.costs_kg(jobs)
        total += problem.gpus_held[jobs][:, :, None] * held.gpu[hold]
        if held.power is not None:
            total += problem.power[jobs][:, :, None] * held.power[hold][:, problem.room_site]
        return total

    def held(self, prices: Prices) -> "HeldPrices":
        power = self._over_holds(prices.power) if prices.power.any() else None
        return HeldPrices(self._over_holds(prices.gpu), power)

    def _over_holds(self, prices: Floats) -> Floats:
        """Sum of prices over a hold of each length from each start slot; shape (D, rows of prices, H)."""
        before = np.concatenate([np.zeros((len(prices), 1)), np.cumsum(prices, axis=1)], axis=1)
        sums: Floats = np.moveaxis(before[:, self._ends], 1, 0) - before[:, self._slots][None, :, :]
        return sums

    def answer(self, prices: Prices) -> Answer:
        problem, held = self.problem, self.held(prices)
        room, slot = np.full(len(problem.jobs), -1), np.full(len(problem.jobs), -1)
        total = 0.0
        for jobs in self.chunks():
            flat = self.reduced_kg(jobs, held).reshape(len(jobs), -1)
            best = flat.argmin(axis=1)
            least = flat[np.arange(len(jobs)), best]
            start = least < self.penalty_kg[jobs]
            room[jobs[start]], slot[jobs[start]] = np.divmod(best[start], problem.start_slots)
            total += float(np.where(start, least, np.nan_to_num(self.penalty_kg[jobs], nan=0.0)).sum())
        return Answer(total - rent_kg(problem, prices), room, slot)

    def _penalties(self) -> Floats:
        """Penalty of leaving each job out, NaN for jobs without an allowed start; shape (J,)."""
        problem = self.problem
        dearest = np.full(len(problem.jobs), np.nan)
        for jobs in self.chunks():
            every = self.costs_kg(jobs)
            worst = np.where(np.isfinite(every), every, -np.inf).max(axis=(1, 2))
            dearest[jobs] = np.where(np.isfinite(worst), worst, np.nan)
        return dearest + problem.drop_kg


@dataclass(frozen=True, eq=False)
class HeldPrices:
    """Prices summed over a hold, by length of hold: shapes (D, P, H) and (D, S, H); no power prices is None."""

    gpu: Floats
    power: Floats | None


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
    ends = problem.row_after(starts + problem.hold_slots[jobs])
    held, drawn, sites = problem.gpus_held[jobs, rooms], problem.power[jobs, rooms], problem.room_site[rooms]
    np.add.at(gpu, (rooms, starts), held)
    np.add.at(gpu, (rooms, ends), -held)
    np.add.at(power, (sites, starts), drawn)
    np.add.at(power, (sites, ends), -drawn)
    return gpu.cumsum(axis=1)[:, :-1], power.cumsum(axis=1)[:, :-1]


def improve(oracle: Oracle, prices: Prices, rounds: int) -> tuple[Prices, float]:
    """Better prices by Adam on the dual, beginning at `prices`. Returns the best seen and the bound they prove."""
    problem = oracle.problem
    capped = problem.power_left < UNCAPPED
    room_scale, power_scale = np.maximum(problem.gpus_left, 1), np.where(capped, np.maximum(problem.power_left, 1), 1)
    step = _step(oracle)
    watt = step * float(problem.gpus_held.sum()) / max(1.0, float(problem.power.sum()))
    gpu, power = prices.gpu.copy(), prices.power.copy()
    mean_gpu, mean_power = np.zeros_like(gpu), np.zeros_like(power)
    square_gpu, square_power = np.zeros_like(gpu), np.zeros_like(power)
    best, best_bound = prices, -np.inf
    for turn in range(1, rounds + 1):
        now = Prices(gpu.copy(), power.copy())
        answer = oracle.answer(now)
        if answer.bound_kg > best_bound:
            best, best_bound = now, answer.bound_kg
        held, drawn = usage(problem, answer.room, answer.slot)
        if now.nil and np.all(held <= problem.gpus_left) and np.all(drawn <= problem.power_left):
            return now, answer.bound_kg  # nobody competes: everyone gets the best start, and no price proves more
        rate = 1.0 / np.sqrt(1 + turn / 20)
        gpu = _adam(gpu, (held - problem.gpus_left) / room_scale, mean_gpu, square_gpu, turn=turn, step=rate * step)
        power = _adam(
            power,
            np.where(capped, drawn - problem.power_left, -1) / power_scale,
            mean_power,
            square_power,
            turn=turn,
            step=rate * watt,
        )
        power[~capped] = 0.0
    return best, best_bound


def _adam(price: Floats, slope: Floats, mean: Floats, square: Floats, *, turn: int, step: float) -> Floats:
    """One ascent step, kept at or above 0; `mean` and `square` are carried on in place."""
    mean += 0.1 * (slope - mean)
    square += 0.01 * (slope * slope - square)
    lifted = price + step * (mean / (1 - 0.9**turn)) / (np.sqrt(square / (1 - 0.99**turn)) + 1e-12)
    return np.maximum(lifted, 0.0)


def _step(oracle: Oracle) -> float:
    """A price of usual size, kg per GPU and slot: a twentieth of the median spread between a job's starts."""
    problem = oracle.problem
    spreads = []
    for jobs in oracle.chunks():
        every = oracle.costs_kg(jobs)
        worst = np.where(np.isfinite(every), every, -np.inf).max(axis=(1, 2))
        spread = (worst - every.min(axis=(1, 2))) / (problem.gpus[jobs] * problem.hold_slots[jobs])
        spreads.append(spread[np.isfinite(spread)])
    every_spread = np.concatenate(spreads) if spreads else np.empty(0)
    return float(np.median(every_spread)) / 20 + 1e-9 if len(every_spread) else 1e-9


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
