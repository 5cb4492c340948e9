"""The inner loops, compiled by numba: plain functions over arrays, no state, no randomness of their own.

Names of axes: j jobs, p rooms, s sites, z zones, r lengths of run, t start slots, u slots. All take a `Tables` first.
Prices come as prefix sums over slots, so that a hold of [t, t + d) costs `prefix[t + d] - prefix[t]`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import numba
import numpy as np

from csched.placement.problem import Floats, Ints

F = TypeVar("F", bound=Callable[..., Any])
NOWHERE = -1


class Tables(NamedTuple):
    """A problem as the kernels read it. Holds are cut at the last slot that has a row: longer ones cover no more."""

    hold: Ints
    """Slots; (j,)."""
    gpus_held: Ints
    """(j, p)."""
    power: Ints
    """(j, p)."""
    first: Ints
    """(j, p)."""
    last: Ints
    """(j, p); below `first` where the job may not start."""
    kg_per_intensity: Floats
    """(j, p)."""
    egress_kg: Floats
    """(j, p)."""
    wait_kg_per_slot: Floats
    """(j,)."""
    wait_kg_at_now: Floats
    """(j,)."""
    run_of: Ints
    """Index into `integrals`; (j,)."""
    integrals: Floats
    """Intensity integrated over a run from each start; (r, z, t)."""
    zone_of: Ints
    """(p,)."""
    site_of: Ints
    """(p,)."""
    capped: Ints
    """1 where the site has a power cap; (s,)."""
    nominal: Ints
    """Power cap of each slot, and where it varies nothing is allowed above it; (s, u)."""
    varies: Ints
    """1 where the cap is not the same in all slots; (s,)."""
    row_of: Ints
    """First row at or after each slot; (u,)."""
    ramp: Floats
    """0, 1, 2, ...; (t,)."""
    gpus_left: Ints
    """(p, rows)."""
    power_left: Ints
    """(s, rows)."""
    fewest_gpus: Ints
    """Of all rows, or nothing where impossible starts are to count as possible; (p,)."""


def inlined(function: F) -> F:
    """`function` as a part of each kernel that calls it: a call that hands over all tables costs more than it does."""
    part: F = numba.njit(inline="always", fastmath={"nnan", "nsz"})(function)
    return part


def compiled(function: F) -> F:
    """`function` as machine code, kept on disk where its folder or the user's cache folder can be written."""
    try:
        fast: F = numba.njit(cache=True, nogil=True, fastmath={"nnan", "nsz"})(function)
    except RuntimeError:  # numba finds no folder to keep the code in
        fast = numba.njit(nogil=True, fastmath={"nnan", "nsz"})(function)
    return fast


@inlined
def cost_row(t: Tables, j: int, p: int, row: Floats) -> None:
    """True cost of each start of a job in a room, into row[first..last]."""
    first, end = t.first[j, p], t.last[j, p] + 1
    out, run, ramp = row[first:end], t.integrals[t.run_of[j], t.zone_of[p], first:end], t.ramp[first:end]
    factor, slope = t.kg_per_intensity[j, p], t.wait_kg_per_slot[j]
    base = t.egress_kg[j, p] + t.wait_kg_at_now[j]
    for k in range(len(out)):
        out[k] = factor * run[k] + (slope * ramp[k] + base)
    site = t.site_of[p]
    if t.varies[site]:
        for slot in range(first, end):
            for u in range(slot, slot + t.hold[j]):
                if t.nominal[site, u] < t.power[j, p]:
                    row[slot] = np.inf
                    break


@inlined
def add_prices(t: Tables, j: int, p: int, gpu: Floats, power: Floats, row: Floats) -> None:
    """Add the prices of what the job would hold to row[first..last]; `gpu` (p, u + 1) and `power` (s, u + 1)."""
    first = t.first[j, p]
    end = t.last[j, p] + 1
    hold = t.hold[j]
    held = float(t.gpus_held[j, p])
    out = row[first:end]
    before = gpu[p, first:end]
    after = gpu[p, first + hold : end + hold]
    drawn = float(t.power[j, p])  # a site without a cap has no power prices: adding nothing is quicker than asking
    early = power[t.site_of[p], first:end]
    late = power[t.site_of[p], first + hold : end + hold]
    for k in range(len(out)):
        out[k] += held * (after[k] - before[k]) + drawn * (late[k] - early[k])


@inlined
def smallest(row: Floats, first: int, last: int) -> float:
    """Four minima side by side: one alone would wait for itself at each step."""
    part = row[first : last + 1]
    a, b, c, d = np.inf, np.inf, np.inf, np.inf
    whole = len(part) - len(part) % 4
    for k in range(0, whole, 4):
        a, b = min(a, part[k]), min(b, part[k + 1])
        c, d = min(c, part[k + 2]), min(d, part[k + 3])
    for k in range(whole, len(part)):
        a = min(a, part[k])
    return min(min(a, b), min(c, d))


@inlined
def position(row: Floats, first: int, last: int, value: float) -> int:
    for slot in range(first, last + 1):
        if row[slot] == value:
            return slot
    return first


@compiled
def extremes(t: Tables, least: Floats, most: Floats) -> None:
    """Smallest and largest true cost of each job in each room, infinite with either sign where it may not start."""
    row = np.empty(t.integrals.shape[2])
    for j in range(len(t.hold)):
        for p in range(len(t.zone_of)):
            least[j, p], most[j, p] = np.inf, -np.inf
            if t.first[j, p] > t.last[j, p]:
                continue
            cost_row(t, j, p, row)
            for slot in range(t.first[j, p], t.last[j, p] + 1):
                if row[slot] < np.inf:
                    least[j, p] = min(least[j, p], row[slot])
                    most[j, p] = max(most[j, p], row[slot])


@compiled
def answers(t: Tables, gpu: Floats, power: Floats, penalty: Floats, least: Floats, room: Ints, start: Ints) -> float:
    """What each job does alone with prices; returns the sum of what that costs, prices included.

    `least` (j, p) receives the smallest reduced cost in each room; `room` and `start` (j,) the choice, NOWHERE where
    leaving out is cheapest; an infinite penalty is a job without an allowed start. Starts that running jobs make
    impossible are passed over.
    """
    total = 0.0
    row = np.empty(t.integrals.shape[2])
    for j in range(len(t.hold)):
        best, best_room = penalty[j], NOWHERE
        for p in range(len(t.zone_of)):
            least[j, p] = np.inf
            if t.first[j, p] > t.last[j, p]:
                continue
            cost_row(t, j, p, row)
            add_prices(t, j, p, gpu, power, row)
            if t.gpus_held[j, p] > t.fewest_gpus[p]:
                forbid_full(t, j, p, t.gpus_left, t.power_left, row)
            least[j, p] = smallest(row, t.first[j, p], t.last[j, p])
            if least[j, p] < best:
                best, best_room = least[j, p], p
        room[j], start[j] = best_room, NOWHERE
        if best_room != NOWHERE:
            cost_row(t, j, best_room, row)
            add_prices(t, j, best_room, gpu, power, row)
            if t.gpus_held[j, best_room] > t.fewest_gpus[best_room]:
                forbid_full(t, j, best_room, t.gpus_left, t.power_left, row)
            start[j] = position(row, t.first[j, best_room], t.last[j, best_room], best)
        if best < np.inf:
            total += best
    return total


@compiled
def occupy(t: Tables, j: int, p: int, slot: int, sign: int, gpus_left: Ints, power_left: Ints) -> None:
    """Take (sign 1) or give back (-1) what a start holds; `gpus_left` (p, rows), `power_left` (s, rows)."""
    held, end = sign * t.gpus_held[j, p], t.row_of[slot + t.hold[j]]
    for u in range(t.row_of[slot], end):
        gpus_left[p, u] -= held
    site = t.site_of[p]
    if t.capped[site]:
        drawn = sign * t.power[j, p]
        for u in range(t.row_of[slot], end):
            power_left[site, u] -= drawn


@inlined
def forbid_full(t: Tables, j: int, p: int, gpus_left: Ints, power_left: Ints, row: Floats) -> None:
    """Make row[slot] infinite where some of the hold finds too few GPUs or too little power."""
    held, hold, first, last = t.gpus_held[j, p], t.hold[j], t.first[j, p], t.last[j, p]
    site, drawn = t.site_of[p], t.power[j, p]
    capped = t.capped[site] == 1
    blocked = t.row_of[last + hold]  # the nearest row from here on that has not enough, or the end of the last hold
    slot = last
    for u in range(t.row_of[last + hold] - 1, t.row_of[first] - 1, -1):
        if gpus_left[p, u] < held or (capped and power_left[site, u] < drawn):
            blocked = u
        if u <= last:
            slot = u
            if t.row_of[slot + hold] > blocked:
                row[slot] = np.inf


@compiled
def best_start(
    t: Tables,
    j: int,
    least: Floats,
    gpu: Floats,
    power: Floats,
    priced: bool,
    gpus_left: Ints,
    power_left: Ints,
    row: Floats,
    tried: Ints,
) -> tuple[float, int, int]:
    """The cheapest start that has room: (cost, room, slot), or (inf, NOWHERE, NOWHERE).

    `least` (p,) bounds the cost in each room from below: rooms are tried in that order until none can be better.
    """
    rooms = len(t.zone_of)
    best, best_room, best_slot = np.inf, NOWHERE, NOWHERE
    tried[:] = 0
    for _ in range(rooms):
        next_room, bound = NOWHERE, best
        for p in range(rooms):
            if tried[p] == 0 and least[p] < bound:
                next_room, bound = p, least[p]
        if next_room == NOWHERE:
            break
        tried[next_room] = 1
        cost_row(t, j, next_room, row)
        if priced:
            add_prices(t, j, next_room, gpu, power, row)
        forbid_full(t, j, next_room, gpus_left, power_left, row)
        here = smallest(row, t.first[j, next_room], t.last[j, next_room])
        if here < best:
            best, best_room = here, next_room
            best_slot = position(row, t.first[j, next_room], t.last[j, next_room], here)
    return best, best_room, best_slot


@inlined
def cost_of(t: Tables, j: int, p: int, slot: int) -> float:
    """True cost of one start."""
    run = t.integrals[t.run_of[j], t.zone_of[p], slot]
    waiting = t.wait_kg_per_slot[j] * slot + (t.egress_kg[j, p] + t.wait_kg_at_now[j])
    return t.kg_per_intensity[j, p] * run + waiting


@compiled
def insert_all(
    t: Tables,
    order: Ints,
    least: Floats,
    gpu: Floats,
    power: Floats,
    priced: bool,
    gpus_left: Ints,
    power_left: Ints,
    room: Ints,
    start: Ints,
) -> None:
    """Put the jobs of `order` in, one after another; a job that is in already is lifted and put in anew."""
    row = np.empty(t.integrals.shape[2])
    tried = np.zeros(len(t.zone_of), dtype=np.int64)
    for j in order:
        if room[j] != NOWHERE:
            occupy(t, j, room[j], start[j], -1, gpus_left, power_left)
        _, p, slot = best_start(t, j, least[j], gpu, power, priced, gpus_left, power_left, row, tried)
        room[j], start[j] = p, slot
        if p != NOWHERE:
            occupy(t, j, p, slot, 1, gpus_left, power_left)


@compiled
def total_cost(t: Tables, penalty: Floats, room: Ints, start: Ints, each: Floats) -> float:
    """Cost of a schedule, its parts into `each` (j,); an infinite penalty counts nothing."""
    total = 0.0
    for j in range(len(t.hold)):
        each[j] = 0.0
        if room[j] != NOWHERE:
            each[j] = cost_of(t, j, room[j], start[j])
        elif penalty[j] < np.inf:
            each[j] = penalty[j]
        total += each[j]
    return total


@compiled
def link(head: Ints, after: Ints, before: Ints, j: int, p: int, slot: int) -> None:
    """Put a job at the head of the list of those that start at (p, slot)."""
    old = head[p, slot]
    after[j], before[j] = old, NOWHERE
    if old != NOWHERE:
        before[old] = j
    head[p, slot] = j


@compiled
def unlink(head: Ints, after: Ints, before: Ints, j: int, p: int, slot: int) -> None:
    if before[j] == NOWHERE:
        head[p, slot] = after[j]
    else:
        after[before[j]] = after[j]
    if after[j] != NOWHERE:
        before[after[j]] = before[j]


@compiled
def neighbours(
    t: Tables,
    head: Ints,
    after: Ints,
    p: int,
    begin: int,
    end: int,
    longest: int,
    dice: Floats,
    picked: Ints,
    most: int,
) -> int:
    """Some of the jobs in room p that hold any of [begin, end), each with even odds, into `picked`; how many."""
    count, throw = 0, 0
    for slot in range(max(0, begin - longest + 1), min(end, head.shape[1])):
        j = head[p, slot]
        while j != NOWHERE and count < most:
            if slot + t.hold[j] > begin:
                throw += 1
                if dice[throw % len(dice)] < 0.5:
                    picked[count] = j
                    count += 1
            j = after[j]
    return count


@compiled
def ruin_and_recreate(
    t: Tables,
    least: Floats,
    least_priced: Floats,
    gpu: Floats,
    power: Floats,
    penalty: Floats,
    seeds: Ints,
    dice: Floats,
    gpus_left: Ints,
    power_left: Ints,
    room: Ints,
    start: Ints,
) -> float:
    """Take a job and those in its way out, put them back in another order, keep what is no dearer; kg saved.

    One turn for each of `seeds` (n,), with `dice` (n, k) uniform in [0, 1).
    """
    jobs, rooms, slots = len(t.hold), len(t.zone_of), t.integrals.shape[2]
    row, tried = np.empty(slots), np.zeros(rooms, dtype=np.int64)
    head, after, before = np.full((rooms, slots), NOWHERE), np.full(jobs, NOWHERE), np.full(jobs, NOWHERE)
    longest = 0
    for j in range(jobs):
        if room[j] != NOWHERE:
            link(head, after, before, j, room[j], start[j])
            longest = max(longest, t.hold[j])
    most = 24
    picked, old_room, old_start = (
        np.empty(most, dtype=np.int64),
        np.empty(most, dtype=np.int64),
        np.empty(most, dtype=np.int64),
    )
    key = np.empty(most)
    saved = 0.0
    for turn in range(len(seeds)):
        j, throw = seeds[turn], dice[turn]
        # Where would it rather be?
        wish, wish_room = np.inf, NOWHERE
        for p in range(rooms):
            shaken = least_priced[j, p] * (0.9 + 0.2 * throw[p % len(throw)])
            if shaken < wish:
                wish, wish_room = shaken, p
        if wish_room == NOWHERE:
            continue
        cost_row(t, j, wish_room, row)
        if throw[0] < 0.5:
            add_prices(t, j, wish_room, gpu, power, row)
        first, last = t.first[j, wish_room], t.last[j, wish_room]
        begin = position(row, first, last, smallest(row, first, last))
        picked[0] = j
        count = 1 + neighbours(
            t, head, after, wish_room, begin, begin + t.hold[j], longest, throw, picked[1:], most - 1
        )
        old = 0.0
        kept = 0
        for index in range(count):
            k = picked[index]
            if index > 0 and k == j:
                continue
            picked[kept], old_room[kept], old_start[kept] = k, room[k], start[k]
            key[kept] = -np.log(t.gpus_held[k, wish_room] * t.hold[k] + 1.0) + 2.0 * throw[(kept * 7 + 3) % len(throw)]
            kept += 1
            if room[k] != NOWHERE:
                old += cost_of(t, k, room[k], start[k])
                occupy(t, k, room[k], start[k], -1, gpus_left, power_left)
                unlink(head, after, before, k, room[k], start[k])
                room[k] = NOWHERE
            elif penalty[k] < np.inf:
                old += penalty[k]
        if throw[1] < 0.5:
            key[0] = -1e9  # the job that began it goes first
        order = np.argsort(key[:kept])
        priced = throw[2] < 0.3
        bounds = least_priced if priced else least
        new = 0.0
        for index in order:
            k = picked[index]
            _, p, slot = best_start(t, k, bounds[k], gpu, power, priced, gpus_left, power_left, row, tried)
            if p == NOWHERE:
                new += penalty[k] if penalty[k] < np.inf else 0.0
            else:
                new += cost_of(t, k, p, slot)
                room[k], start[k] = p, slot
                occupy(t, k, p, slot, 1, gpus_left, power_left)
            if new > old:
                break
        if new <= old:
            saved += old - new
            for index in range(kept):
                k = picked[index]
                if room[k] != NOWHERE:
                    link(head, after, before, k, room[k], start[k])
            continue
        for index in range(kept):
            k = picked[index]
            if room[k] != NOWHERE:
                occupy(t, k, room[k], start[k], -1, gpus_left, power_left)
        for index in range(kept):
            k = picked[index]
            room[k], start[k] = old_room[index], old_start[index]
            if room[k] != NOWHERE:
                occupy(t, k, room[k], start[k], 1, gpus_left, power_left)
                link(head, after, before, k, room[k], start[k])
    return saved
