"""The inner loops, compiled by numba: plain functions over arrays, no state, no randomness of their own.

Names of axes: j jobs, p rooms, s sites, z zones, r lengths of run, t start slots, u slots.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, cast

import numba
import numpy as np

from csched.placement.dtypes import Flags, Floats, Ints, Slots

F = TypeVar("F", bound=Callable[..., Any])
NOWHERE = -1
FAST = {"nnan", "nsz"}
"""Costs are never NaN, and the sign of zero does not matter; nothing else about arithmetic is relaxed."""
MOST_TAKEN_OUT = 24
EVEN_ODDS = 0.5
PRICED_ODDS = 0.3
"""How often jobs are put back at least reduced, not true, cost."""


class Left(NamedTuple):
    """What there is to fill."""

    gpus: Ints
    """(p, rows)."""
    power: Ints
    """(s, rows); does not change where the site has no cap."""


class Rent(NamedTuple):
    """Prices summed over all slots before each: a hold of [t, t + d) costs `rent[t + d] - rent[t]`."""

    gpu: Floats
    """(p, u + 1)."""
    power: Floats
    """(s, u + 1); 0 where the site has no cap."""


class Guide(NamedTuple):
    """By what starts are compared."""

    rent: Rent
    least: Floats
    """No start in a room costs less, this rent included; (j, p)."""


class Floor(NamedTuple):
    """A schedule and what it leaves; written to."""

    left: Left
    room: Ints
    """(j,)."""
    start: Ints
    """(j,)."""


class Ranks(NamedTuple):
    """Rooms by what a job costs there at least, without rent."""

    least: Floats
    """Infinite where the job may not start; (j, p)."""
    room: Ints
    """(j, rank)."""


class Choice(NamedTuple):
    """What each job does alone with prices; written to."""

    room: Ints
    """NOWHERE where leaving out is cheapest; (j,)."""
    start: Ints
    """(j,)."""


class Lists(NamedTuple):
    """Doubly linked lists of the jobs that start at each place; written to."""

    head: Ints
    """(p, t)."""
    after: Ints
    """(j,)."""
    before: Ints
    """(j,)."""


class Bag(NamedTuple):
    """Jobs taken out, where they were, and in which order to put them back; written to. All (n,)."""

    job: Ints
    room: Ints
    start: Ints
    key: Floats


class Tables(NamedTuple):
    """A problem as the kernels read it. Holds are cut at the last slot that has a row: longer ones cover no more."""

    hold: Slots
    """(j, p)."""
    gpus_held: Ints
    """(j, p)."""
    power: Ints
    """(j, p)."""
    first: Slots
    """(j, p)."""
    last: Slots
    """(j, p); below `first` where the job may not start."""
    closed: Flags
    """Start slots that policy closes; (b, t)."""
    closed_of: Slots
    """Row of `closed`, 0 where it is open throughout; (j, p)."""
    kg_per_intensity: Floats
    """(j, p)."""
    egress_kg: Floats
    """(j, p)."""
    wait_kg_per_slot: Floats
    """(j,)."""
    wait_kg_at_now: Floats
    """(j,)."""
    announced_room: Ints
    """NOWHERE without an announced start; (j,)."""
    announced_slot: Ints
    """(j,)."""
    move_kg: Floats
    """How much less the announced start counts than it costs; 0 in tables of true costs; (j,)."""
    run_of: Slots
    """Index into `integrals`; (j, p)."""
    integrals: Floats
    """Intensity integrated over a run from each start; (r, z, t)."""
    zone_of: Ints
    """(p,)."""
    site_of: Ints
    """(p,)."""
    capped: Ints
    """1 where the site has a power cap; (s,)."""
    gapped: Flags
    """Rooms in which caps or reservations forbid starts between the first and the last of a job; (p,)."""
    nominal: Left
    """Beside no jobs at all: what is not set aside, and the caps."""
    row_of: Ints
    """First row at or after each slot; (u,)."""
    ramp: Floats
    """0, 1, 2, ...; (t,)."""
    left: Left
    """Beside running jobs."""
    fewest_gpus: Ints
    """Of all rows; (p,)."""


def inlined(function: F) -> F:
    """`function` as a part of each kernel that calls it: handing over all tables costs more than what it does."""
    return cast("F", numba.njit(inline="always", fastmath=FAST)(function))


def compiled(function: F) -> F:
    """`function` as machine code, kept on disk where its folder or the user's cache folder can be written."""
    try:
        return cast("F", numba.njit(cache=True, nogil=True, fastmath=FAST)(function))
    except RuntimeError:  # numba finds no folder to keep the code in
        return cast("F", numba.njit(nogil=True, fastmath=FAST)(function))


@inlined
def forbid_short(t: Tables, j: int, p: int, left: Left, row: Floats) -> None:
    """Make row[slot] infinite where some of the hold finds too few GPUs or too little power."""
    held, hold, first, last = t.gpus_held[j, p], t.hold[j, p], t.first[j, p], t.last[j, p]
    site, drawn = t.site_of[p], t.power[j, p]
    capped = t.capped[site] == 1
    blocked = t.row_of[last + hold]  # the nearest row from here on that has not enough, or the end of the last hold
    for u in range(t.row_of[last + hold] - 1, t.row_of[first] - 1, -1):
        if left.gpus[p, u] < held or (capped and left.power[site, u] < drawn):
            blocked = u
        if u <= last and t.row_of[u + hold] > blocked:
            row[u] = np.inf


@inlined
def cost_row(t: Tables, j: int, p: int, row: Floats) -> None:
    """What each start of a job in a room counts, but for its rent, into row[first..last]."""
    first, end = t.first[j, p], t.last[j, p] + 1
    out, run, ramp = row[first:end], t.integrals[t.run_of[j, p], t.zone_of[p], first:end], t.ramp[first:end]
    factor, slope = t.kg_per_intensity[j, p], t.wait_kg_per_slot[j]
    base = t.egress_kg[j, p] + t.wait_kg_at_now[j]
    for k in range(len(out)):
        out[k] = factor * run[k] + (slope * ramp[k] + base)
    if t.announced_room[j] == p and first <= t.announced_slot[j] < end:
        row[t.announced_slot[j]] -= t.move_kg[j]
    if t.gapped[p]:
        site = t.site_of[p]
        for slot in range(first, end):
            for u in range(t.row_of[slot], t.row_of[slot + t.hold[j, p]]):
                if t.nominal.gpus[p, u] < t.gpus_held[j, p] or t.nominal.power[site, u] < t.power[j, p]:
                    row[slot] = np.inf
                    break
    shut = t.closed_of[j, p]
    if shut > 0:
        for slot in range(first, end):
            if t.closed[shut, slot]:
                row[slot] = np.inf


@inlined
def add_rent(t: Tables, j: int, p: int, rent: Rent, row: Floats) -> None:
    """Add the prices of what the job would hold to row[first..last]."""
    first = t.first[j, p]
    end = t.last[j, p] + 1
    hold = t.hold[j, p]
    held = float(t.gpus_held[j, p])
    out = row[first:end]
    before = rent.gpu[p, first:end]
    after = rent.gpu[p, first + hold : end + hold]
    drawn = float(t.power[j, p])  # a site without a cap has no power prices: adding nothing is quicker than asking
    early = rent.power[t.site_of[p], first:end]
    late = rent.power[t.site_of[p], first + hold : end + hold]
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
    return min(a, b, c, d)


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
def leasts(t: Tables, jobs: Ints, rent: Rent, least: Floats) -> None:
    """What the cheapest start of each of `jobs` in each room counts, with rent, into `least` (j, p); infinite without.

    Starts that what stands makes impossible are passed over.
    """
    row = np.empty(t.integrals.shape[2])
    for j in jobs:
        for p in range(len(t.zone_of)):
            least[j, p] = np.inf
            if t.first[j, p] > t.last[j, p]:
                continue
            cost_row(t, j, p, row)
            add_rent(t, j, p, rent, row)
            if t.gpus_held[j, p] > t.fewest_gpus[p]:
                forbid_short(t, j, p, t.left, row)
            least[j, p] = smallest(row, t.first[j, p], t.last[j, p])


@compiled
def answers(t: Tables, jobs: Ints, rent: Rent, penalty: Floats, ranks: Ranks, choice: Choice) -> float:
    """What each of `jobs` does alone with prices; returns the sum of what that costs, rent included.

    An infinite penalty is a job without an allowed start. Starts that what stands makes impossible are passed over.
    Rooms are tried in the order of their least cost without rent, until no other can be better.
    """
    total = 0.0
    row = np.empty(t.integrals.shape[2])
    for j in jobs:
        best = penalty[j]
        choice.room[j], choice.start[j] = NOWHERE, NOWHERE
        for rank in range(len(t.zone_of)):
            p = ranks.room[j, rank]
            if ranks.least[j, p] >= best:
                break
            cost_row(t, j, p, row)
            add_rent(t, j, p, rent, row)
            if t.gpus_held[j, p] > t.fewest_gpus[p]:
                forbid_short(t, j, p, t.left, row)
            least = smallest(row, t.first[j, p], t.last[j, p])
            if least < best:
                best = least
                choice.room[j], choice.start[j] = p, position(row, t.first[j, p], t.last[j, p], least)
        if best < np.inf:
            total += best
    return total


@compiled
def occupy(t: Tables, j: int, sign: int, floor: Floor) -> None:
    """Take (sign 1) or give back (-1) what a job holds where it stands."""
    p, slot = floor.room[j], floor.start[j]
    held, end = sign * t.gpus_held[j, p], t.row_of[slot + t.hold[j, p]]
    for u in range(t.row_of[slot], end):
        floor.left.gpus[p, u] -= held
    site = t.site_of[p]
    if t.capped[site]:
        drawn = sign * t.power[j, p]
        for u in range(t.row_of[slot], end):
            floor.left.power[site, u] -= drawn


@compiled
def best_start(t: Tables, j: int, guide: Guide, left: Left, row: Floats) -> tuple[int, int]:
    """The cheapest start that has room, or NOWHERE: (room, slot).

    Rooms are tried in the order of their least cost until none can be better.
    """
    best, best_room, best_slot = np.inf, NOWHERE, NOWHERE
    done = -np.inf
    done_room = NOWHERE
    for _ in range(len(t.zone_of)):
        here, room = best, NOWHERE
        for p in range(len(t.zone_of)):  # the next in the order of (least cost, room)
            least = guide.least[j, p]
            if least < here and (least > done or (least == done and p > done_room)):
                here, room = least, p
        if room == NOWHERE:
            break
        done, done_room = here, room
        cost_row(t, j, room, row)
        add_rent(t, j, room, guide.rent, row)
        forbid_short(t, j, room, left, row)
        cheapest = smallest(row, t.first[j, room], t.last[j, room])
        if cheapest < best:
            best, best_room = cheapest, room
            best_slot = position(row, t.first[j, room], t.last[j, room], cheapest)
    return best_room, best_slot


@compiled
def cost_of(t: Tables, penalty: Floats, rent: Rent, j: int, p: int, slot: int) -> float:
    """Cost of one start with rent, or of leaving out; nothing where the job has no allowed start."""
    if p == NOWHERE:
        return penalty[j] if penalty[j] < np.inf else 0.0
    run = t.integrals[t.run_of[j, p], t.zone_of[p], slot]
    waiting = t.wait_kg_per_slot[j] * slot + (t.egress_kg[j, p] + t.wait_kg_at_now[j])
    end = slot + t.hold[j, p]
    toll = t.gpus_held[j, p] * (rent.gpu[p, end] - rent.gpu[p, slot])
    toll += t.power[j, p] * (rent.power[t.site_of[p], end] - rent.power[t.site_of[p], slot])
    stays = p == t.announced_room[j] and slot == t.announced_slot[j]
    return float(t.kg_per_intensity[j, p] * run + waiting + toll - (t.move_kg[j] if stays else 0.0))


@compiled
def costs_of(t: Tables, jobs: Ints, penalty: Floats, rent: Rent, floor: Floor, each: Floats) -> None:
    """Costs of a schedule with rent, job by job, into `each` (n,)."""
    for index in range(len(jobs)):
        j = jobs[index]
        each[index] = cost_of(t, penalty, rent, j, floor.room[j], floor.start[j])


@compiled
def fits(t: Tables, j: int, p: int, slot: int, left: Left) -> bool:
    """Whether there is room for the whole hold at one start."""
    site, drawn = t.site_of[p], t.power[j, p]
    for u in range(t.row_of[slot], t.row_of[slot + t.hold[j, p]]):
        if left.gpus[p, u] < t.gpus_held[j, p] or (t.capped[site] == 1 and left.power[site, u] < drawn):
            return False
    return True


@compiled
def seat_all(t: Tables, order: Ints, wishes: Choice, floor: Floor) -> None:
    """Put the jobs of `order` that are out where they wish to be, one after another, as far as there is room."""
    for j in order:
        p = wishes.room[j]
        if floor.room[j] == NOWHERE and p != NOWHERE and fits(t, j, p, wishes.start[j], floor.left):
            floor.room[j], floor.start[j] = p, wishes.start[j]
            occupy(t, j, 1, floor)


@compiled
def insert_all(t: Tables, order: Ints, guide: Guide, floor: Floor) -> None:
    """Put the jobs of `order` in, one after another; a job that is in already is lifted and put in anew."""
    row = np.empty(t.integrals.shape[2])
    for j in order:
        if floor.room[j] != NOWHERE:
            occupy(t, j, -1, floor)
        floor.room[j], floor.start[j] = best_start(t, j, guide, floor.left, row)
        if floor.room[j] != NOWHERE:
            occupy(t, j, 1, floor)


@compiled
def link(lists: Lists, j: int, p: int, slot: int) -> None:
    """Put a job at the head of the list of those that start at (p, slot)."""
    old = lists.head[p, slot]
    lists.after[j], lists.before[j] = old, NOWHERE
    if old != NOWHERE:
        lists.before[old] = j
    lists.head[p, slot] = j


@compiled
def unlink(lists: Lists, j: int, p: int, slot: int) -> None:
    if lists.before[j] == NOWHERE:
        lists.head[p, slot] = lists.after[j]
    else:
        lists.after[lists.before[j]] = lists.after[j]
    if lists.after[j] != NOWHERE:
        lists.before[lists.after[j]] = lists.before[j]


@compiled
def wish(t: Tables, j: int, guide: Guide, dice: Floats, row: Floats) -> tuple[int, int]:
    """Where a job would like to start if it were alone with the rent, rooms shaken by a tenth: (room, slot)."""
    here, room = np.inf, NOWHERE
    for p in range(len(t.zone_of)):
        shaken = guide.least[j, p] * (0.9 + 0.2 * dice[p % len(dice)])
        if shaken < here:
            here, room = shaken, p
    if room == NOWHERE:
        return NOWHERE, NOWHERE
    cost_row(t, j, room, row)
    if dice[0] < EVEN_ODDS:
        add_rent(t, j, room, guide.rent, row)
    first, last = t.first[j, room], t.last[j, room]
    return room, position(row, first, last, smallest(row, first, last))


@compiled
def collect(t: Tables, lists: Lists, span: tuple[int, int, int, int], dice: Floats, bag: Bag) -> int:
    """Put into the bag, behind its first job, about half of those that hold any of a room's [begin, end); how many."""
    p, begin, end, longest = span
    count = 1
    throw = 0
    for slot in range(max(0, begin - longest + 1), min(end, lists.head.shape[1])):
        j = lists.head[p, slot]
        while j != NOWHERE and count < MOST_TAKEN_OUT:
            throw += 1
            if slot + t.hold[j, p] > begin and j != bag.job[0] and dice[throw % len(dice)] < EVEN_ODDS:
                bag.job[count] = j
                count += 1
            j = lists.after[j]
    return count


@compiled
def take_out(t: Tables, floor: Floor, lists: Lists, bag: Bag, count: int) -> None:
    """Lift the jobs in the bag and remember where they were."""
    for index in range(count):
        j = bag.job[index]
        bag.room[index], bag.start[index] = floor.room[j], floor.start[j]
        if floor.room[j] != NOWHERE:
            occupy(t, j, -1, floor)
            unlink(lists, j, floor.room[j], floor.start[j])
            floor.room[j] = NOWHERE


@compiled
def put_back(t: Tables, floor: Floor, lists: Lists, bag: Bag, count: int) -> None:
    """Lift whatever of the bag stands, and put all of it where it was."""
    for index in range(count):
        if floor.room[bag.job[index]] != NOWHERE:
            occupy(t, bag.job[index], -1, floor)
    for index in range(count):
        j = bag.job[index]
        floor.room[j], floor.start[j] = bag.room[index], bag.start[index]
        if floor.room[j] != NOWHERE:
            occupy(t, j, 1, floor)
            link(lists, j, floor.room[j], floor.start[j])


@compiled
def ruin_and_recreate(
    t: Tables, jobs: Ints, guides: tuple[Guide, Guide], penalty: Floats, seeds: Ints, dice: Floats, floor: Floor
) -> None:
    """Take a job and some of `jobs` that are in its way out, put them back in another order, keep what is no dearer.

    One turn for each of `seeds` (n,), with `dice` (n, k) uniform in [0, 1). The first guide is what counts, the second
    one what jobs wish for, and now and then what they are put back by.
    """
    rooms, slots = len(t.zone_of), t.integrals.shape[2]
    row = np.empty(slots)
    lists = Lists(np.full((rooms, slots), NOWHERE), np.full(len(t.hold), NOWHERE), np.full(len(t.hold), NOWHERE))
    bag = Bag(
        np.empty(MOST_TAKEN_OUT, dtype=np.int64),
        np.empty(MOST_TAKEN_OUT, dtype=np.int64),
        np.empty(MOST_TAKEN_OUT, dtype=np.int64),
        np.empty(MOST_TAKEN_OUT),
    )
    longest = 0
    for j in jobs:
        longest = max(longest, t.hold[j].max())
        if floor.room[j] != NOWHERE:
            link(lists, j, floor.room[j], floor.start[j])
    for turn in range(len(seeds)):
        throw = dice[turn]
        bag.job[0] = seeds[turn]
        p, begin = wish(t, seeds[turn], guides[1], throw, row)
        if p == NOWHERE:
            continue
        count = collect(t, lists, (p, begin, begin + t.hold[seeds[turn], p], longest), throw, bag)
        before = 0.0
        for index in range(count):
            j = bag.job[index]
            before += cost_of(t, penalty, guides[0].rent, j, floor.room[j], floor.start[j])
            bag.key[index] = 2.0 * throw[(index * 7 + 3) % len(throw)] - np.log(t.gpus_held[j, p] * t.hold[j, p] + 1.0)
        if throw[1] < EVEN_ODDS:
            bag.key[0] = -np.inf  # the job that began it goes first
        take_out(t, floor, lists, bag, count)
        guide = guides[1] if throw[2] < PRICED_ODDS else guides[0]
        after = 0.0
        for index in np.argsort(bag.key[:count]):
            j = bag.job[index]
            floor.room[j], floor.start[j] = best_start(t, j, guide, floor.left, row)
            if floor.room[j] != NOWHERE:
                occupy(t, j, 1, floor)
            after += cost_of(t, penalty, guides[0].rent, j, floor.room[j], floor.start[j])
            if after > before:
                break
        if after > before:
            put_back(t, floor, lists, bag, count)
            continue
        for index in range(count):
            j = bag.job[index]
            if floor.room[j] != NOWHERE:
                link(lists, j, floor.room[j], floor.start[j])
