"""A lower bound on the carbon of any schedule that foresees everything, by prices of capacity: a Lagrangian dual.

For any prices >= 0 of a GPU held for an hour at a partition, the sum over jobs of the least carbon plus price of any of
its lawful starts, less prices times capacity, is at most the carbon of every schedule that never holds more GPUs than
there are. That is true whatever the prices, so the ascent that looks for good ones need not be trusted. With all prices
nil it is what the jobs would emit if each were alone.

Drains, failures, other people's jobs, caps, and sites that open late only take capacity away, so they are left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from csched.units import SECONDS_PER_HOUR
from csched_sim.chances import Chance, Floats, Ints, Sky

ROUNDS: Final = 150
MOST_STARTS: Final = 6_000_000
"""Beyond, the arrays would take more than half a GiB, and prices stay nil."""


@dataclass(frozen=True)
class Bound:
    """Zero jobs have a bound of zero."""

    carbon_kg: float
    method: str


@dataclass(frozen=True, eq=False)
class Prices:
    """kg for a GPU held one hour, by partition and step of the sky; shape (B, T)."""

    row_of: Mapping[tuple[str, str], int]
    edges_s: Ints
    kg_per_h: Floats

    def held_kg(self, chance: Chance, starts_s: Ints) -> Floats:
        """What the run would pay for its GPUs from each start."""
        row = self.kg_per_h[self.row_of[key(chance)]]
        hours = np.diff(self.edges_s) / SECONDS_PER_HOUR
        paid = np.concatenate(([0.0], np.cumsum(row * hours)))
        ends_s = starts_s + chance.traced.runtime_s
        return chance.held * (np.interp(ends_s, self.edges_s, paid) - np.interp(starts_s, self.edges_s, paid))


def key(chance: Chance) -> tuple[str, str]:
    return chance.berth.site.id, chance.berth.partition.name


def carbon_bound(choices: Sequence[Sequence[Chance]], sky: Sky, window_h: float) -> Bound:
    """The bound over jobs that each have a chance; the sky reaches past every window and run."""
    alone_kg = sum(min(float(sky.carbon_kg(chance, sky.starts_s(chance)).min()) for chance in job) for job in choices)
    priced = priced_bound(choices, sky)
    window = (
        f"within {window_h:g} h of being ready (longer where some strategy made it wait longer) and, where possible, "
        "in time for its deadline; true run times and intensities"
    )
    if priced is not None and priced[0] > alone_kg * (1 + 1e-9):
        return Bound(
            priced[0],
            f"Lagrangian dual: prices of GPUs by partition and hour; each compared job uninterrupted at a lawful site, "
            f"{window}; holds for every schedule that keeps within the GPUs there are, power caps left out",
        )
    return Bound(
        alone_kg,
        f"each compared job alone and uninterrupted at its best lawful site and start, {window}; no capacity, no power "
        "caps: a lower bound on every lawful schedule in those windows, not one that can always be reached",
    )


def priced_bound(choices: Sequence[Sequence[Chance]], sky: Sky) -> tuple[float, Prices] | None:
    """The best bound found and the prices that prove it; null where there are too many starts to look at."""
    if not choices:
        return None
    steps = (len(sky.edges_s) - 1) / max(int(sky.edges_s[-1] - sky.edges_s[0]), 1)
    expected = sum(2 * (chance.last_s - chance.first_s) * steps + 3 for job in choices for chance in job)
    return _Dual(choices, sky).ascend() if expected <= MOST_STARTS else None


class _Dual:
    """The dual function and its slope over all starts at once. N starts, J jobs, B partitions, T steps."""

    def __init__(self, choices: Sequence[Sequence[Chance]], sky: Sky) -> None:
        berths = {key(chance): chance.berth for job in choices for chance in job}
        self._row_of = {name: row for row, name in enumerate(berths)}
        self._edges_s = sky.edges_s
        self._hours = np.diff(sky.edges_s) / SECONDS_PER_HOUR
        self._capacity = np.array([berth.capacity for berth in berths.values()], dtype=np.float64)
        starts, kg, held, length, row, counts = [], [], [], [], [], []
        for job in choices:
            of_job = [(chance, sky.starts_s(chance)) for chance in job]
            counts.append(sum(len(starts_s) for _, starts_s in of_job))
            for chance, starts_s in of_job:
                starts.append(starts_s)
                kg.append(sky.carbon_kg(chance, starts_s))
                held.append(np.full(len(starts_s), float(chance.held)))
                length.append(np.full(len(starts_s), chance.traced.runtime_s))
                row.append(np.full(len(starts_s), self._row_of[key(chance)]))
        self._first = np.concatenate(([0], np.cumsum(counts)[:-1]))
        self._job = np.repeat(np.arange(len(counts)), counts)
        self._kg, self._held = np.concatenate(kg), np.concatenate(held)
        begins_s, rows = np.concatenate(starts), np.concatenate(row)
        self._begin, self._begin_h = self._place(begins_s, rows)
        self._end, self._end_h = self._place(begins_s + np.concatenate(length), rows)

    def _place(self, seconds: Ints, rows: Ints) -> tuple[Ints, Floats]:
        """(index of row and step, hours into the step) of each instant."""
        step = np.clip(np.searchsorted(self._edges_s, seconds, side="right") - 1, 0, len(self._hours) - 1)
        return rows * len(self._hours) + step, (seconds - self._edges_s[step]) / SECONDS_PER_HOUR

    def ascend(self) -> tuple[float, Prices]:
        """Adam on the dual from nil prices. Ends early where nobody competes."""
        price = np.zeros((len(self._capacity), len(self._hours)))
        mean, square = np.zeros_like(price), np.zeros_like(price)
        spread = np.maximum.reduceat(self._kg, self._first) - np.minimum.reduceat(self._kg, self._first)
        gpu_hours = self._held * np.maximum((self._end - self._begin) + self._end_h - self._begin_h, 1e-3)
        size = float(np.median(spread / np.maximum.reduceat(gpu_hours, self._first))) / 20 + 1e-9
        best_kg, best = -np.inf, price
        for turn in range(1, ROUNDS + 1):
            bound_kg, used = self._answer(price)
            if bound_kg > best_kg:
                best_kg, best = bound_kg, price
            over = used - self._capacity[:, None]
            if not price.any() and (over <= 0).all():
                break
            slope = over / self._capacity[:, None]
            mean += 0.1 * (slope - mean)
            square += 0.01 * (slope * slope - square)
            step = size / np.sqrt(1 + turn / 20) * (mean / (1 - 0.9**turn))
            price = np.maximum(price + step / (np.sqrt(square / (1 - 0.99**turn)) + 1e-12), 0.0)
        return best_kg, Prices(self._row_of, self._edges_s, best)

    def _answer(self, price: Floats) -> tuple[float, Floats]:
        """(the bound these prices prove, mean GPUs in use by partition and step as the jobs would choose)."""
        by_step = price * self._hours
        paid = (np.cumsum(by_step, axis=1) - by_step).ravel()
        flat = price.ravel()
        due = paid[self._end] + flat[self._end] * self._end_h - paid[self._begin] - flat[self._begin] * self._begin_h
        total = self._kg + self._held * due
        least = np.minimum.reduceat(total, self._first)
        chosen = np.flatnonzero(total <= least[self._job])
        chosen = chosen[np.unique(self._job[chosen], return_index=True)[1]]
        rent = float((by_step.sum(axis=1) * self._capacity).sum())
        return float(least.sum()) - rent, self._used(chosen)

    def _used(self, chosen: Ints) -> Floats:
        """GPUs in use on average in each step, shape (B, T)."""
        steps, held = len(self._hours), self._held[chosen]
        # A run counts from the step after its begin on, and in part for that step itself; what is past its end is
        # taken off in the same way.
        whole = np.zeros((len(self._capacity), steps + 1))
        part = np.zeros(len(self._capacity) * steps)
        for place, hours, sign in ((self._begin, self._begin_h, 1.0), (self._end, self._end_h, -1.0)):
            row, step = np.divmod(place[chosen], steps)
            np.add.at(whole, (row, step + 1), sign * held)
            np.add.at(part, place[chosen], sign * held * (1 - hours[chosen] / self._hours[step]))
        return np.cumsum(whole, axis=1)[:, :steps] + part.reshape(-1, steps)
