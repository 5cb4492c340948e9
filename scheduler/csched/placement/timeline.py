"""Capacity by row: what is set aside, what running jobs leave of the GPUs, and of the power under the caps of a slot.

Rows are the slots of the horizon, then those later slots at which what is left reaches a new low. No job starts after
the horizon, so what the planned jobs hold only falls from then on; every other later slot is implied by an earlier row.
"""

import math
from collections.abc import Iterator, Sequence
from datetime import datetime

import numpy as np

from csched.domain.site import Reservation, Site
from csched.domain.snapshot import Occupation, Snapshot
from csched.placement.dtypes import Flags, Ints
from csched.placement.rooms import Room

POWER_UNIT_KW = 1e-9
"""One microwatt: fine enough that rounding (jobs down, caps up) admits exactly the jobs whose powers sum to the cap."""
UNCAPPED = np.int64(2**62)


def power_units(kw: float) -> int:
    """A job's IT power in power units, rounded down."""
    return max(1, math.floor(kw / POWER_UNIT_KW))


class Timeline:
    """Rows and what they offer."""

    def __init__(self, snapshot: Snapshot, rooms: Sequence[Room], start_slots: int, reach: int) -> None:
        """`reach` is one past the last slot that any job can hold."""
        self._snapshot, self._rooms = snapshot, rooms
        self.start_slots = start_slots
        later = {slot for slot in self._lows() if start_slots <= slot < reach}
        self.row_slots: Ints = np.array([*range(start_slots), *sorted(later)], dtype=np.int64)
        """Slot of each row, rising; shape (R,)."""
        self.gpus_nominal = self._gpus()
        """GPUs that are not set aside; shape (P, R)."""
        self.gpus_left = self.gpus_nominal.copy()
        """What running jobs leave of them; shape (P, R)."""
        self.power_nominal = np.stack([self._caps(site) for site in snapshot.fleet.sites])
        """Power units under the cap, UNCAPPED without one; shape (S, R)."""
        self.power_left = self.power_nominal.copy()
        """What running jobs leave of it; shape (S, R)."""
        self._subtract_running()

    def _slots(self, instant: datetime) -> float:
        return (instant - self._snapshot.now).total_seconds() / self._snapshot.slot_s

    def _lows(self) -> Iterator[int]:
        """Slots in which something offers less than in the slot before."""
        for site in self._snapshot.fleet.sites:
            if isinstance(site.it_power_cap_kw, tuple):
                yield from (math.floor(self._slots(cap.from_)) for cap in site.it_power_cap_kw)
        for reservation in self._snapshot.fleet.reservations:
            yield math.floor(self._slots(reservation.from_))
            yield math.floor(self._slots(reservation.to))
        yield from (math.floor(self._slots(held.since)) for held in self._snapshot.running if held.since is not None)

    def _touched(self, reservation: Reservation) -> Flags:
        """Rows some part of which is in the reservation; shape (R,)."""
        begin, end = self._slots(reservation.from_), self._slots(reservation.to)
        return (self.row_slots + 1 > begin) & (self.row_slots < end)

    def _within(self, reservation: Reservation) -> Flags:
        """Rows all of which is in the reservation; shape (R,)."""
        begin, end = self._slots(reservation.from_), self._slots(reservation.to)
        return (self.row_slots >= begin) & (self.row_slots + 1 <= end)

    def _gpus(self) -> Ints:
        """Maintenance takes first, then the reservations in the order of the fleet; the rest is everybody's."""
        offered = np.zeros((len(self._rooms), len(self.row_slots)), dtype=np.int64)
        index_of = {room.key: index for index, room in enumerate(self._rooms)}
        for index, room in enumerate(self._rooms):
            if room.reservation is not None:
                continue
            rest = np.full(len(self.row_slots), room.gpus)
            aside = self._snapshot.fleet.reservations_at(room.site.id, room.partition.name)
            for reservation in sorted(aside, key=lambda each: not each.maintenance):
                wanted = min(room.gpus, reservation.gpus or room.gpus)
                taken = np.where(self._touched(reservation), np.minimum(rest, wanted), 0)
                rest -= taken
                if not reservation.maintenance:
                    own = index_of[f"{room.key}/{reservation.name}"]
                    offered[own] = np.where(self._within(reservation), taken, 0)
            offered[index] = rest
        return offered

    def _caps(self, site: Site) -> Ints:
        """Lowest cap in force in any part of each row's slot; shape (R,)."""
        if site.it_power_cap_kw is None:
            return np.full(len(self.row_slots), UNCAPPED)
        if not isinstance(site.it_power_cap_kw, tuple):
            return np.full(len(self.row_slots), math.ceil(site.it_power_cap_kw / POWER_UNIT_KW))
        nominal = np.full(len(self.row_slots), UNCAPPED)
        for cap in site.it_power_cap_kw:
            inside = (self.row_slots + 1 > self._slots(cap.from_)) & (self.row_slots < self._slots(cap.to))
            nominal[inside] = np.minimum(nominal[inside], math.ceil(cap.kw / POWER_UNIT_KW))
        return nominal

    def _subtract_running(self) -> None:
        room_of = {room.key: index for index, room in enumerate(self._rooms)}
        site_of = {site.id: index for index, site in enumerate(self._snapshot.fleet.sites)}
        running = self._snapshot.running
        spans = np.array([self._span(held) for held in running], dtype=np.int64).reshape(-1, 2)
        rows = np.searchsorted(self.row_slots, spans)
        gpus = [held.gpus_held for held in running]
        power = [power_units(held.it_kw) for held in running]
        self.gpus_left -= _in_use(self.gpus_left, [room_of.get(held.room) for held in running], rows, gpus)
        self.power_left -= _in_use(self.power_left, [site_of.get(held.site) for held in running], rows, power)
        np.maximum(self.gpus_left, 0, out=self.gpus_left)
        np.maximum(self.power_left, 0, out=self.power_left)
        self.power_left[self.power_nominal == UNCAPPED] = UNCAPPED

    def _span(self, held: Occupation) -> tuple[int, int]:
        """First slot, and one past the last. It holds one at least, however long ago it should have ended."""
        begin = 0 if held.since is None else max(0, math.floor(self._slots(held.since)))
        return begin, max(begin + 1, math.ceil(self._slots(held.counted_until)))


def _in_use(left: Ints, where: Sequence[int | None], rows: Ints, amounts: Sequence[int]) -> Ints:
    """What is held in each row, in the shape of `left`.

    Args:
        where: first index into `left`; None for what is held nowhere that counts.
        rows: first row, and one past the last; shape (n, 2).
    """
    change = np.zeros((left.shape[0], left.shape[1] + 1), dtype=np.int64)
    for index, (begin, end), amount in zip(where, rows.tolist(), amounts, strict=True):
        if index is not None:
            change[index, begin] += amount
            change[index, end] -= amount
    in_use: Ints = change.cumsum(axis=1)[:, :-1]
    return in_use


_FOREVER = np.int64(2**40)


def free_slots(row_slots: Ints, start_slots: int, left: Ints, needed: Ints) -> Ints:
    """For how many slots from each start on there is never less `left` than `needed`; shape (n, start_slots).

    Args:
        left: by row, of shape (R,) or (n, R).
        needed: shape (n,).
    """
    lacks = np.where(left < needed[:, None], row_slots, _FOREVER)
    nearest = np.minimum.accumulate(lacks[:, ::-1], axis=1)[:, ::-1]
    free: Ints = nearest[:, :start_slots] - np.arange(start_slots)
    return free
