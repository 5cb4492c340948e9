"""What there is to plan with, as the check of plans sees it: GPUs and power of each slot, beside what already runs.

Shares no code with the engine: every slot is looked up by itself, from the fleet's own instants.
"""

import math
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, cached_property
from itertools import accumulate

import numpy as np
import numpy.typing as npt

from csched.accounting import costs
from csched.domain.hardware import Hardware
from csched.domain.job import Job
from csched.domain.site import Partition, PowerCap, Reservation, Site
from csched.domain.snapshot import Snapshot

Flags = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

TOLERANCE = 1e-6
"""Relative; figures that differ by less are the same sums in another order."""


@dataclass(frozen=True)
class Place:
    """A partition, or a reservation in it."""

    site: Site
    partition: Partition
    hardware: Hardware
    reservation: Reservation | None = None

    @property
    def most_gpus(self) -> int:
        whole = self.partition.gpu_count(self.hardware)
        return min(whole, self.reservation.gpus or whole) if self.reservation else whole

    def held(self, job: Job) -> int:
        return self.hardware.gpus_held(job.gpus)

    def kw(self, job: Job) -> float:
        return costs.it_kw(job.gpus, self.hardware.kw_per_gpu, job.load)


class Space:
    """Slots, places by their keys in a certificate, and what each slot offers there."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot, self.fleet, self.now = snapshot, snapshot.fleet, snapshot.now
        self.places = dict(self._places())
        self.start_slots = math.ceil(snapshot.horizon_s / snapshot.slot_s)
        self.gpus = cache(self._gpus)
        self.edges = cache(self._edges)
        self._least_gpus = cache(self._fewest_gpus)
        self._least_kw = cache(self._lowest_kw)

    def _places(self) -> Iterator[tuple[str, Place]]:
        for site in self.fleet.sites:
            for partition in site.partitions:
                hardware = self.snapshot.hardware[partition.hardware]
                key = f"{site.id}/{partition.name}"
                yield key, Place(site, partition, hardware)
                for reservation in self._aside(site, partition):
                    if not reservation.maintenance:
                        yield f"{key}/{reservation.name}", Place(site, partition, hardware, reservation)

    def _aside(self, site: Site, partition: Partition) -> list[Reservation]:
        named = {None, partition.name}
        return [each for each in self.fleet.reservations if each.site == site.id and each.partition in named]

    # --- slots -------------------------------------------------------------------------------------------------

    def slot(self, instant: datetime) -> int:
        return math.floor((instant - self.now).total_seconds() / self.snapshot.slot_s)

    def instant(self, slot: int) -> datetime:
        return self.now + timedelta(seconds=slot * self.snapshot.slot_s)

    def slots_held(self, job: Job, place: Place) -> int:
        return math.ceil(job.limit_s_on(place.hardware.key) / self.snapshot.slot_s)

    # --- GPUs --------------------------------------------------------------------------------------------------

    def _gpus(self, key: str, slot: int) -> int:
        """GPUs of a place that no maintenance and no (other) reservation takes in any part of a slot."""
        place = self.places[key]
        whole, aside = place.partition.gpu_count(place.hardware), self._aside(place.site, place.partition)
        if not aside:
            return whole
        begin, end = self.instant(slot), self.instant(slot + 1)
        touching = [each for each in aside if each.from_ < end and each.to > begin]
        left = max(0, whole - sum(each.gpus or whole for each in touching if each.maintenance))
        for reservation in touching:
            if reservation.maintenance:
                continue
            share = min(left, reservation.gpus or whole)
            if reservation is place.reservation:
                return share if reservation.from_ <= begin and reservation.to >= end else 0
            left -= share
        return left if place.reservation is None else 0

    def _edges(self, key: str) -> tuple[int, ...]:
        """Slots from now on in which a place may have other GPUs than in the slot before."""
        place = self.places[key]
        instants = [at for each in self._aside(place.site, place.partition) for at in (each.from_, each.to)]
        return tuple(sorted({slot for at in instants for slot in (self.slot(at), self.slot(at) + 1) if slot > 0}))

    def enough_gpus(self, job: Job, key: str, *, beside_running: bool) -> Flags:
        """From which start slots on a place has GPUs for all that the job would hold, others aside; shape (H,)."""
        place = self.places[key]
        return self._least_gpus(key, self.slots_held(job, place), beside_running) >= place.held(job)

    def _fewest_gpus(self, key: str, slots: int, beside_running: bool) -> Floats:
        """The fewest GPUs within so many slots from each start slot."""
        running = self.running_gpus(key) if beside_running else Profile()
        changes = [*running.slots(), *self.edges(key)]
        return self._least(lambda slot: self.gpus(key, slot) - running.at(slot), changes, slots)

    def _least(self, at: Callable[[int], float], changes: Sequence[int], slots: int) -> Floats:
        """The least of `at` within so many slots from each start slot; after the last of `changes` it stays."""
        settled = min(max(changes, default=0), self.start_slots + slots) + 1
        each = np.array([at(slot) for slot in range(max(1, settled))], dtype=np.float64)
        slots = min(slots, len(each))  # a longer one sees the last value, too, and no other
        each = np.pad(each, (0, self.start_slots + slots), mode="edge")
        windows = np.lib.stride_tricks.sliding_window_view(each, slots)[: self.start_slots]
        return np.asarray(windows.min(axis=1))

    # --- power -------------------------------------------------------------------------------------------------

    def cap_kw(self, site: Site, slot: int) -> float:
        """The lowest cap in force in any part of a slot."""
        caps = site.it_power_cap_kw
        if not isinstance(caps, tuple):
            return math.inf if caps is None else caps
        begin, end = self.instant(slot), self.instant(slot + 1)
        return min((cap.kw for cap in caps if cap.from_ < end and cap.to > begin), default=math.inf)

    def cap_slots(self, site: Site) -> list[int]:
        """Slots in which a cap begins."""
        caps: tuple[PowerCap, ...] = site.it_power_cap_kw if isinstance(site.it_power_cap_kw, tuple) else ()
        return [0, *(slot for cap in caps if (slot := self.slot(cap.from_)) >= 0)]

    def enough_power(self, job: Job, key: str, *, beside_running: bool) -> Flags:
        """From which start slots on the caps allow the job for all that it holds, others aside; shape (H,)."""
        place = self.places[key]
        if place.site.it_power_cap_kw is None:
            return np.ones(self.start_slots, dtype=bool)
        least = self._least_kw(place.site.id, self.slots_held(job, place), beside_running)
        return np.asarray(place.kw(job) <= least * (1 + TOLERANCE))

    def _lowest_kw(self, site_id: str, slots: int, beside_running: bool) -> Floats:
        """The least power within so many slots from each start slot."""
        site = self.fleet.site(site_id)
        running = self.running_kw(site) if beside_running else Profile()
        caps = site.it_power_cap_kw if isinstance(site.it_power_cap_kw, tuple) else ()
        changes = [*running.slots(), *(self.slot(at) + 1 for cap in caps for at in (cap.from_, cap.to))]
        return self._least(lambda slot: self.cap_kw(site, slot) - running.at(slot), changes, slots)

    # --- what runs, and what this plan leaves as announced -----------------------------------------------------

    def running_gpus(self, key: str) -> "Profile":
        """What was running before this plan may exceed a place that has shrunk; no plan can help that."""
        return self._running[0].get(key, Profile())

    def running_kw(self, site: Site) -> "Profile":
        return self._running[1].get(site.id, Profile())

    @cached_property
    def _running(self) -> tuple[Mapping[str, "Profile"], Mapping[str, "Profile"]]:
        gpus: dict[str, Profile] = defaultdict(Profile)
        kw: dict[str, Profile] = defaultdict(Profile)
        self.add_running(gpus, kw)
        return gpus, kw

    def add_running(self, gpus: Mapping[str, "Profile"], kw: Mapping[str, "Profile"]) -> None:
        """GPUs by place and kW by site of what runs: each at least a slot, and later until it likely has ended."""
        for (room, site, start, end), (held, drawn_kw) in self._running_spans.items():
            gpus[room].add(start, end, held)
            kw[site].add(start, end, drawn_kw)

    @cached_property
    def _running_spans(self) -> Mapping[tuple[str, str, int, int], tuple[int, float]]:
        """(place, site, first slot, one past the last) -> GPUs and kW of all that runs there so long."""
        spans: dict[tuple[str, str, int, int], tuple[int, float]] = {}
        for held in self.snapshot.running:
            until = held.until if held.likely_until is None else min(held.until, held.likely_until)
            start = 0 if held.since is None else max(0, self.slot(held.since))
            end = max(start + 1, math.ceil((until - self.now).total_seconds() / self.snapshot.slot_s))
            span = held.room, held.site, start, end
            gpus, drawn_kw = spans.get(span, (0, 0.0))
            spans[span] = gpus + held.gpus_held, drawn_kw + held.it_kw
        return spans


class Profile:
    """Something held over time, as steps."""

    def __init__(self) -> None:
        self._steps: dict[int, float] = defaultdict(float)
        self._sorted: tuple[list[int], list[float]] | None = None

    def add(self, start: int, end: int, amount: float) -> None:
        if end > start:
            self._steps[start] += amount
            self._steps[end] -= amount
            self._sorted = None

    def _levels(self) -> tuple[list[int], list[float]]:
        if self._sorted is None:
            slots = sorted(self._steps)
            self._sorted = slots, list(accumulate(self._steps[slot] for slot in slots))
        return self._sorted

    def slots(self) -> list[int]:
        """Those in which it changes."""
        return list(self._levels()[0])

    def at(self, slot: int) -> float:
        slots, levels = self._levels()
        index = bisect_right(slots, slot) - 1
        return 0.0 if index < 0 else levels[index]

    def edges(self, start: int, end: int) -> list[int]:
        """Slots inside in which it changes."""
        slots, _ = self._levels()
        return slots[bisect_right(slots, start) : bisect_left(slots, end)]
