"""Rounds of prices on the kernels: jobs by their kinds where there are many, some or all of them one by one."""

from collections.abc import Callable
from typing import NamedTuple

import numba
import numpy as np

from csched.placement.dtypes import Floats, Ints
from csched.placement.kernels import (
    NOWHERE,
    Choice,
    Ranks,
    Rent,
    Tables,
    answers,
    compiled,
    inlined,
    position,
    smallest,
)
from csched.placement.kinds import Kinds
from csched.placement.prices import Ascent, step_up

LATE = 24
"""Rounds at the end of an ascent whose choices are mixed: what all of them hold together nearly fits."""
_step_up: Callable[[Ascent, Floats, int, float], None] = numba.njit()(step_up)


class Crowd(NamedTuple):
    """Who answers to prices: some jobs each for itself, the others by their kinds."""

    alone: Ints
    """(m,)."""
    shared: Ints
    """(n,)."""
    kinds: Kinds
    bare: Floats
    """What a start costs for each GPU held beyond what it costs at any slot, infinite where none may be; (k, p, t)."""


class Stock(NamedTuple):
    """What prices are for; one row for each room, behind them one for each site, without a cap nothing."""

    there_is: Floats
    """(p + s, rows)."""
    most: Floats
    """(p + s, 1)."""


@compiled
def bare_starts(t: Tables, shared: Ints, kinds: Kinds, bare: Floats) -> None:
    """What a start of each kind costs for each GPU held, into `bare`; infinite where not even its smallest job fits."""
    rooms, slots = len(t.zone_of), t.integrals.shape[2]
    fewest_held = np.full(kinds.used.shape, np.iinfo(np.int64).max)
    for j in shared:
        for p in range(rooms):
            k = kinds.of[j, p]
            fewest_held[k, p] = min(fewest_held[k, p], t.gpus_held[j, p])
    for k in range(len(kinds.hold)):
        for p in range(rooms):
            if not kinds.used[k, p]:
                continue
            row, hold = bare[k, p], kinds.hold[k]
            run = t.integrals[kinds.run_of[k], t.zone_of[p]]
            factor, slope = kinds.load[k] * kinds.kg_per_load[p], kinds.wait_kg[k]
            for slot in range(slots):
                row[slot] = factor * run[slot] + slope * t.ramp[slot]
            shut = kinds.closed_of[k]
            blocked = t.row_of[slots - 1 + hold]
            for u in range(t.row_of[slots - 1 + hold] - 1, -1, -1):
                if t.left.gpus[p, u] < fewest_held[k, p]:
                    blocked = u
                if u < slots and (t.row_of[u + hold] > blocked or (shut > 0 and t.closed[shut, u])):
                    row[u] = np.inf


@inlined
def priced(t: Tables, kinds: Kinds, bare: Floats, rent: Rent, full: Floats, least: Floats) -> None:
    """Starts of each kind with rent, into `full` (k, p, t), and the least of each room, into `least` (k, p)."""
    slots = t.integrals.shape[2]
    for k in range(len(kinds.hold)):
        hold = kinds.hold[k]
        for p in range(len(t.zone_of)):
            if not kinds.used[k, p]:
                continue
            row, base = full[k, p], bare[k, p]
            before, after = rent.gpu[p, :slots], rent.gpu[p, hold : slots + hold]
            if t.capped[t.site_of[p]] == 1:
                drawn = kinds.load[k] * kinds.power_per_load[p]
                early, late = rent.power[t.site_of[p], :slots], rent.power[t.site_of[p], hold : slots + hold]
                for slot in range(slots):
                    row[slot] = base[slot] + (after[slot] - before[slot]) + drawn * (late[slot] - early[slot])
            else:
                for slot in range(slots):
                    row[slot] = base[slot] + (after[slot] - before[slot])
            least[k, p] = smallest(row, 0, slots - 1)


@inlined
def shared_answers(
    t: Tables, crowd: Crowd, full: Floats, least: Floats, penalty: Floats, ranks: Ranks, choice: Choice
) -> float:
    """As `kernels.answers`, by the kinds of the jobs."""
    total = 0.0
    for j in crowd.shared:
        best, room = penalty[j], NOWHERE
        for rank in range(len(t.zone_of)):
            p = ranks.room[j, rank]
            if ranks.least[j, p] >= best:
                break
            k, held, base = crowd.kinds.of[j, p], t.gpus_held[j, p], t.egress_kg[j, p] + t.wait_kg_at_now[j]
            if held * least[k, p] + base >= best:
                continue
            here = held * smallest(full[k, p], t.first[j, p], t.last[j, p]) + base
            if here < best:
                best, room = here, p
        choice.room[j] = room
        if room != NOWHERE:
            row = full[crowd.kinds.of[j, room], room]
            first, last = t.first[j, room], t.last[j, room]
            choice.start[j] = position(row, first, last, smallest(row, first, last))
        if best < np.inf:
            total += best
    return total


@inlined
def rented(t: Tables, price: Floats, rent: Rent) -> None:
    """Prices summed over the slots before each, into `rent`."""
    rooms = len(t.zone_of)
    for one in range(len(price)):
        target = rent.gpu[one] if one < rooms else rent.power[one - rooms]
        total, row = 0.0, 0
        for slot in range(len(t.row_of)):
            while row < t.row_of[slot]:
                total += price[one, row]
                row += 1
            target[slot] = total


@inlined
def put_down(t: Tables, jobs: Ints, choice: Choice, held: Floats) -> None:
    """Add what the chosen starts hold where they begin, and take it away where they end; (p + s, rows + 1)."""
    rooms = len(t.zone_of)
    for j in jobs:
        p = choice.room[j]
        if p == NOWHERE:
            continue
        slot, end = choice.start[j], t.row_of[choice.start[j] + t.hold[j, p]]
        held[p, slot] += t.gpus_held[j, p]
        held[p, end] -= t.gpus_held[j, p]
        site = t.site_of[p]
        if t.capped[site] == 1:
            held[rooms + site, slot] += t.power[j, p]
            held[rooms + site, end] -= t.power[j, p]


@inlined
def keep_wishes(jobs: Ints, choice: Choice, wishes: Choice, turn: int, late: int) -> None:
    """Of each job the choice of one of the `late` last rounds, of another round than of jobs like it."""
    for j in jobs:
        if j % late == turn % late:
            wishes.room[j], wishes.start[j] = choice.room[j], choice.start[j]


@compiled
def climb(
    t: Tables,
    crowd: Crowd,
    stock: Stock,
    penalty: Floats,
    ranks: Ranks,
    ascent: Ascent,
    wishes: Choice,
    turn: int,
    steps: Floats,
) -> bool:
    """Rounds of an ascent, the first of them the given one; False where nothing is too dear or too cheap any more."""
    rooms, jobs, rows = len(t.zone_of), len(t.hold), ascent.price.shape[1]
    choice = Choice(np.empty(jobs, dtype=np.int64), np.empty(jobs, dtype=np.int64))
    rent = Rent(np.empty((rooms, len(t.row_of))), np.empty((len(ascent.price) - rooms, len(t.row_of))))
    full, least = np.empty_like(crowd.bare), np.empty(crowd.bare.shape[:2])
    held = np.empty((len(ascent.price), rows + 1))
    for index in range(len(steps)):
        rented(t, ascent.price, rent)
        bound = answers(t, crowd.alone, rent, penalty, ranks, choice)
        if len(crowd.shared) > 0:
            priced(t, crowd.kinds, crowd.bare, rent, full, least)
            bound += shared_answers(t, crowd, full, least, penalty, ranks, choice)
        bound -= (ascent.price * stock.there_is).sum()
        if bound > ascent.best_kg[0]:
            ascent.best[:] = ascent.price
            ascent.best_kg[0] = bound
        held[:] = 0.0
        put_down(t, crowd.alone, choice, held)
        put_down(t, crowd.shared, choice, held)
        fits, priceless = True, True
        slope = np.empty(ascent.price.shape)
        for one in range(len(held)):
            total = 0.0
            for row in range(rows):
                total += held[one, row]
                over = total - stock.there_is[one, row]
                fits = fits and over <= 0.0
                priceless = priceless and ascent.price[one, row] == 0.0
                slope[one, row] = over / stock.most[one, 0]
        late = 1 if fits and priceless else LATE
        keep_wishes(crowd.alone, choice, wishes, turn + index, late)
        keep_wishes(crowd.shared, choice, wishes, turn + index, late)
        if fits and priceless:
            return False
        _step_up(ascent, slope, turn + index, steps[index])
    return True
