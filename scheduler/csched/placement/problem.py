"""The placement problem as integers and arrays: what is not allowed has no place in it.

Rows of capacity are the slots of the horizon, then those later slots at which what is left reaches a new low. No job
starts after the horizon, so what the planned jobs hold only falls from then on; every other later slot is implied by
an earlier row. A power of `POWER_UNIT_KW` is fine enough that rounding (jobs down, caps up) admits exactly the jobs
whose powers sum to the cap, and coarse enough that no sum of a fleet overflows 64 bits.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import IntFlag, auto
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from csched.accounting import costs
from csched.domain.hardware import Hardware
from csched.domain.job import Job
from csched.domain.site import Partition, Site
from csched.domain.snapshot import Snapshot
from csched.domain.verdict import SiteVerdict, Verdicts
from csched.placement.announced import Announced
from csched.placement.order import by_demand
from csched.units import G_PER_KG, SECONDS_PER_HOUR

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
L = TypeVar("L")
V = TypeVar("V")

POWER_UNIT_KW = 1e-9
"""One microwatt."""
UNCAPPED = np.int64(2**62)


class Rule(IntFlag):
    """Why a job has no start at a partition, other jobs aside; several may hold."""

    POLICY = auto()
    COUNTRY = auto()
    NOT_PORTABLE = auto()
    HARDWARE = auto()
    TOO_LARGE = auto()
    WINDOW = auto()
    DEADLINE = auto()
    POLICY_END = auto()
    DRAINED = auto()
    POWER_CAP = auto()


@dataclass(frozen=True)
class Room:
    """One partition of one site: the unit in which a gang is placed."""

    site: Site
    site_index: int
    partition: Partition
    hardware: Hardware

    @property
    def key(self) -> str:
        return f"{self.site.id}/{self.partition.name}"

    @property
    def gpus(self) -> int:
        return self.partition.gpu_count(self.hardware)


@dataclass(frozen=True, eq=False)
class Problem:
    """J jobs, P rooms, S sites, H start slots, R rows of capacity. Frozen; the arrays are never written to again."""

    snapshot: Snapshot
    verdicts: Verdicts | None
    jobs: tuple[Job, ...]
    """The jobs to place: those of the snapshot that nobody holds, by demand; shape (J,)."""
    rooms: tuple[Room, ...]
    start_slots: int
    row_slots: Ints
    """Slot of each row, rising, the first H of them 0..H-1; shape (R,)."""
    gpus_left: Ints
    """GPUs that running jobs leave; shape (P, R)."""
    power_left: Ints
    """Power units that running jobs leave under the cap, UNCAPPED without one; shape (S, R)."""
    power_nominal: Ints
    """Power units under the cap, other jobs aside; shape (S, R)."""
    room_site: Ints
    """Site index; shape (P,)."""
    gpus: Ints
    """Shape (J,)."""
    hold_slots: Ints
    """Time limit in slots, rounded up; shape (J,)."""
    runtime_s: Ints
    """What cost is reckoned with; shape (J,)."""
    gpus_held: Ints
    """Shape (J, P)."""
    power: Ints
    """IT power in power units; shape (J, P)."""
    first: Ints
    """First allowed start slot; shape (J, P)."""
    last: Ints
    """Last allowed start slot, below `first` where there is none; shape (J, P)."""
    excluded: Ints
    """Flags of `Rule`, 0 where some start is allowed; shape (J, P)."""
    kg_per_intensity: Floats
    """kg per integrated g/kWh x h; shape (J, P)."""
    egress_kg: Floats
    """Shape (J, P)."""
    wait_kg_per_slot: Floats
    """Shape (J,)."""
    wait_kg_at_now: Floats
    """Wait cost of slot 0, below zero where the job becomes ready later; shape (J,)."""
    drop_kg: Floats
    """What leaving out costs above the dearest allowed start; shape (J,)."""
    announced_room: Ints
    """Where the last plan announced the job, -1 where it did not; shape (J,)."""
    announced_slot: Ints
    """Shape (J,)."""
    move_kg: Floats
    """What any other start counts for beside its cost in the search, and in no bound; shape (J,)."""

    @property
    def now(self) -> datetime:
        return self.snapshot.now

    @property
    def slot_s(self) -> int:
        return self.snapshot.slot_s

    def part(self, jobs: Ints, gpus_left: Ints, power_left: Ints) -> "Problem":
        """The problem of some of the jobs in what is left for them."""
        taken = {name: getattr(self, name)[jobs] for name in _BY_JOB}
        return replace(
            self, **taken, jobs=tuple(self.jobs[job] for job in jobs), gpus_left=gpus_left, power_left=power_left
        )

    def bundled(self, jobs: Ints, copies: Ints) -> "Problem":
        """The problem in which each of `jobs` stands for so many of its kind; for prices, not for starts."""
        part = self.part(jobs, self.gpus_left, self.power_left)
        scaled = {
            name: getattr(part, name) * (copies if getattr(part, name).ndim == 1 else copies[:, None])
            for name in _SCALED
        }
        return replace(part, **scaled)

    def start(self, slot: int) -> datetime:
        return self.now + timedelta(seconds=int(slot) * self.slot_s)

    def row_after(self, slots: Ints) -> Ints:
        """First row at or after each of `slots`: a hold of [a, b) covers rows row_after(a) up to row_after(b)."""
        return np.searchsorted(self.row_slots, slots).astype(np.int64)

    @cached_property
    def reach_slots(self) -> int:
        """One past the last slot that any job can reach."""
        reachable = np.where(self.first <= self.last, self.last + self.hold_slots[:, None], self.start_slots)
        return int(reachable.max(initial=self.start_slots))

    def integrals(self, runtimes_s: Ints) -> Floats:
        """Intensity integrated over a run of each length from each start slot, g/kWh x h; shape (P, len, H)."""
        starts_s = self.now.timestamp() + np.arange(self.start_slots, dtype=np.float64) * self.slot_s
        ends_s = starts_s[None, :] + runtimes_s[:, None].astype(np.float64)
        zones = {room.site.grid_zone: self.snapshot.carbon.zone(room.site.grid_zone) for room in self.rooms}
        tables = {
            key: series.cumulative_g_h_per_kwh(ends_s) - series.cumulative_g_h_per_kwh(starts_s)[None, :]
            for key, series in zones.items()
        }
        return np.stack([tables[room.site.grid_zone] for room in self.rooms])

    def costs_kg(self, job: int) -> Floats:
        """True cost of every allowed start of a job, infinite where none is allowed; shape (P, H)."""
        run = self.kg_per_intensity[job][:, None] * self.integrals(self.runtime_s[job : job + 1])[:, 0, :]
        waits = self.wait_kg_at_now[job] + self.wait_kg_per_slot[job] * np.arange(self.start_slots)
        total = run + waits[None, :] + self.egress_kg[job][:, None]
        return np.where(self.allowed(job), total, np.inf)

    def allowed(self, job: int) -> Flags:
        """Which starts policy, wishes, hardware, size, power cap, window and deadline permit; shape (P, H)."""
        slots = np.arange(self.start_slots)
        inside: Flags = (self.first[job][:, None] <= slots) & (slots <= self.last[job][:, None])
        inside &= self.power[job][:, None] <= self.lowest_nominal(int(self.hold_slots[job]))[self.room_site]
        return inside

    def lowest_nominal(self, hold: int) -> Ints:
        """Lowest power cap during a hold from each start slot; shape (S, H)."""
        return self._lowest(self.power_nominal, hold)

    def lowest_gpus(self, hold: int) -> Ints:
        """Fewest GPUs left during a hold from each start slot; shape (P, H)."""
        return self._lowest(self.gpus_left, hold)

    def lowest_power(self, hold: int) -> Ints:
        """Least power left during a hold from each start slot; shape (S, H)."""
        return self._lowest(self.power_left, hold)

    def _lowest(self, left: Ints, hold: int) -> Ints:
        slots = np.arange(self.start_slots)
        ends = self.row_after(slots + hold)
        return np.stack([left[:, a:b].min(axis=1) for a, b in zip(slots, ends, strict=True)], axis=1)


_SCALED = (
    "gpus",
    "gpus_held",
    "power",
    "kg_per_intensity",
    "egress_kg",
    "wait_kg_per_slot",
    "wait_kg_at_now",
    "drop_kg",
    "move_kg",
)
_BY_JOB = (*_SCALED, "hold_slots", "runtime_s", "first", "last", "excluded", "announced_room", "announced_slot")


def build(snapshot: Snapshot, verdicts: Verdicts | None) -> Problem:
    """The problem of one snapshot. Held jobs have no place in it."""
    held = set(snapshot.held)
    jobs = by_demand(job for job in snapshot.jobs if job.job not in held)
    rooms = tuple(
        Room(site, index, partition, snapshot.hardware[partition.hardware])
        for index, site in enumerate(snapshot.fleet.sites)
        for partition in site.partitions
    )
    start_slots = -(-snapshot.horizon_s // snapshot.slot_s)
    hold_slots = _column(jobs, lambda job: -(-job.time_limit_s // snapshot.slot_s))
    reach = start_slots + int(hold_slots.max(initial=0))
    timeline = _Timeline(snapshot, rooms, start_slots, reach)
    sized = _Sized(snapshot, jobs, rooms)
    announced = Announced(snapshot, [job.job for job in jobs], sized.gpus, [room.key for room in rooms])
    first, last, excluded = _windows(snapshot, verdicts, jobs, rooms, sized)
    forbidden = _cap_forbids(timeline, rooms, sized.power, hold_slots, first=first, last=last)
    excluded[forbidden] |= Rule.POWER_CAP
    slot_h = snapshot.slot_s / SECONDS_PER_HOUR
    wait_kg_per_h = sized.gpus.astype(np.float64) * snapshot.fleet.objective.wait_kg_per_gpu_h
    return Problem(
        snapshot=snapshot,
        verdicts=verdicts,
        jobs=jobs,
        rooms=rooms,
        start_slots=start_slots,
        row_slots=timeline.row_slots,
        gpus_left=timeline.gpus_left,
        power_left=timeline.power_left,
        power_nominal=timeline.power_nominal,
        room_site=np.array([room.site_index for room in rooms], dtype=np.int64),
        gpus=sized.gpus,
        hold_slots=hold_slots,
        runtime_s=_column(jobs, lambda job: job.runtime_s),
        gpus_held=sized.gpus_held,
        power=sized.power,
        first=np.where(excluded == 0, first, start_slots),
        last=np.where(excluded == 0, last, -1),
        excluded=excluded,
        kg_per_intensity=sized.kg_per_intensity,
        egress_kg=sized.egress_kg,
        wait_kg_per_slot=wait_kg_per_h * slot_h,
        wait_kg_at_now=-wait_kg_per_h * sized.ready_s / SECONDS_PER_HOUR,
        drop_kg=np.array([costs.drop_kg(job, snapshot.fleet) for job in jobs], dtype=np.float64),
        announced_room=announced.room,
        announced_slot=announced.slot,
        move_kg=announced.move_kg,
    )


class _Timeline:
    """Capacity by row: what running jobs leave of the GPUs, and of the power under the caps of each slot."""

    def __init__(self, snapshot: Snapshot, rooms: Sequence[Room], start_slots: int, reach: int) -> None:
        self._now, self._slot_s = snapshot.now, snapshot.slot_s
        sites = snapshot.fleet.sites
        self.row_slots = np.array([*range(start_slots), *self._later_caps(sites, start_slots, reach)], dtype=np.int64)
        rows = len(self.row_slots)
        self.gpus_left = np.tile(np.array([[room.gpus] for room in rooms], dtype=np.int64), (1, rows))
        self.power_nominal = np.stack([self._caps(site) for site in sites])
        self.power_left = self.power_nominal.copy()
        room_of = {room.key: index for index, room in enumerate(rooms)}
        site_of = {site.id: index for index, site in enumerate(sites)}
        for held in snapshot.running:
            busy = self.row_slots < math.ceil(self.slots(held.until))
            room = room_of.get(f"{held.site}/{held.partition}")
            if room is not None:
                self.gpus_left[room] -= np.where(busy, held.gpus_held, 0)
            if held.site in site_of:
                self.power_left[site_of[held.site]] -= np.where(busy, power_units(held.it_kw), 0)
        np.maximum(self.gpus_left, 0, out=self.gpus_left)
        np.maximum(self.power_left, 0, out=self.power_left)
        self.power_left[self.power_nominal == UNCAPPED] = UNCAPPED

    def slots(self, instant: datetime) -> float:
        return (instant - self._now).total_seconds() / self._slot_s

    def _later_caps(self, sites: Sequence[Site], start_slots: int, reach: int) -> list[int]:
        """Slots after the horizon in which a cap begins: only there can what is left reach a new low."""
        caps = (cap for site in sites if isinstance(site.it_power_cap_kw, tuple) for cap in site.it_power_cap_kw)
        return sorted({slot for cap in caps if start_slots <= (slot := math.floor(self.slots(cap.from_))) < reach})

    def _caps(self, site: Site) -> Ints:
        """Lowest cap in force in any part of each row's slot; shape (R,)."""
        if site.it_power_cap_kw is None:
            return np.full(len(self.row_slots), UNCAPPED)
        if not isinstance(site.it_power_cap_kw, tuple):
            return np.full(len(self.row_slots), math.ceil(site.it_power_cap_kw / POWER_UNIT_KW))
        nominal = np.full(len(self.row_slots), UNCAPPED)
        for cap in site.it_power_cap_kw:
            inside = (self.row_slots + 1 > self.slots(cap.from_)) & (self.row_slots < self.slots(cap.to))
            nominal[inside] = np.minimum(nominal[inside], math.ceil(cap.kw / POWER_UNIT_KW))
        return nominal


class _Sized:
    """What each job would hold, draw, emit and move in each room."""

    def __init__(self, snapshot: Snapshot, jobs: Sequence[Job], rooms: Sequence[Room]) -> None:
        fleet = snapshot.fleet
        self.gpus = _column(jobs, lambda job: job.gpus)
        self.ready_s = np.array([(costs.ready(job, snapshot.now) - snapshot.now).total_seconds() for job in jobs])
        load = np.array([job.load for job in jobs])
        shape = (len(jobs), len(rooms))
        self.gpus_held = np.zeros(shape, dtype=np.int64)
        self.power = np.zeros(shape, dtype=np.int64)
        self.kg_per_intensity = np.zeros(shape)
        data_gb = np.array([job.data_gb for job in jobs])
        data_sites = [job.data_site for job in jobs]
        egress = _by_label(data_sites, rooms, lambda held, room: costs.egress_kg_per_gb(held, room.site, fleet), float)
        gbit_per_s = _by_label(
            data_sites, rooms, lambda held, room: costs.transfer_gbit_per_s(held, room.site, fleet), float
        )
        self.egress_kg = data_gb[:, None] * egress
        self.transfer_s = data_gb[:, None] * costs.BITS_PER_BYTE / gbit_per_s
        for column, room in enumerate(rooms):
            node = room.hardware.gpus_per_node
            self.gpus_held[:, column] = np.where(self.gpus < node, self.gpus, -(-self.gpus // node) * node)
            kw = self.gpus * room.hardware.kw_per_gpu * load
            self.power[:, column] = np.maximum(1, np.floor(kw / POWER_UNIT_KW))
            self.kg_per_intensity[:, column] = kw * fleet.pue(room.site) / G_PER_KG


def power_units(kw: float) -> int:
    """A job's IT power in power units, rounded down."""
    return max(1, math.floor(kw / POWER_UNIT_KW))


def _windows(
    snapshot: Snapshot, verdicts: Verdicts | None, jobs: Sequence[Job], rooms: Sequence[Room], sized: _Sized
) -> tuple[Ints, Ints, Ints]:
    """First and last start slot and what excludes, but for the power caps; each of shape (J, P)."""
    start_slots, slot_s = -(-snapshot.horizon_s // snapshot.slot_s), float(snapshot.slot_s)
    limit_s = _column(jobs, lambda job: job.time_limit_s)[:, None]

    def last_start(until_s: Floats) -> Floats:
        return np.minimum(start_slots - 1, np.floor((until_s - limit_s) / slot_s))

    first = np.ceil((sized.ready_s[:, None] + sized.transfer_s) / slot_s)
    deadline_s = [math.inf if job.deadline is None else (job.deadline - snapshot.now).total_seconds() for job in jobs]
    last = last_start(np.array(deadline_s).reshape(-1, 1))
    denied, latest_end_s = _policy(verdicts, snapshot.now, jobs, rooms)
    policy_last = last_start(latest_end_s)
    excluded = np.zeros((len(jobs), len(rooms)), dtype=np.int64)
    for rule, broken in (
        *_wishes(snapshot, jobs, rooms, sized.gpus_held),
        (Rule.POLICY, denied),
        (Rule.WINDOW, first >= start_slots),
        (Rule.DEADLINE, (first < start_slots) & (first > last)),
        (Rule.POLICY_END, (first <= last) & (first > policy_last)),
    ):
        excluded[broken] |= rule
    last = np.minimum(last, policy_last)
    return first.clip(0, start_slots).astype(np.int64), last.clip(-1).astype(np.int64), excluded


def _cap_forbids(
    timeline: _Timeline, rooms: Sequence[Room], power: Ints, hold_slots: Ints, *, first: Ints, last: Ints
) -> Flags:
    """What draws more than the cap allows at every start of its window, other jobs aside; shape (J, P)."""
    forbidden = np.zeros(power.shape, dtype=bool)
    for column, room in enumerate(rooms):
        nominal = timeline.power_nominal[room.site_index]
        for row in np.flatnonzero(power[:, column] > nominal.min()):
            slots = np.arange(first[row, column], last[row, column] + 1)
            ends = np.searchsorted(timeline.row_slots, slots + hold_slots[row])
            fits = [power[row, column] <= nominal[a:b].min() for a, b in zip(slots, ends, strict=True)]
            forbidden[row, column] = len(slots) > 0 and not any(fits)
    return forbidden


def _wishes(
    snapshot: Snapshot, jobs: Sequence[Job], rooms: Sequence[Room], gpus_held: Ints
) -> list[tuple[Rule, Flags]]:
    """What the jobs themselves, their size and the state of the sites rule out; masks of shape (J, P)."""
    fleet = snapshot.fleet
    pinned = [fleet.home_site(job.home_site, job.tenant) if job.portable is False else None for job in jobs]
    return [
        (Rule.COUNTRY, _by_label([job.countries for job in jobs], rooms, _country_unwanted, bool)),
        (
            Rule.NOT_PORTABLE,
            _by_label(pinned, rooms, lambda home, room: home is not None and room.site.id != home, bool),
        ),
        (Rule.HARDWARE, _by_label([job.hardware for job in jobs], rooms, _hardware_unwanted, bool)),
        (Rule.TOO_LARGE, gpus_held > np.array([room.gpus for room in rooms], dtype=np.int64)[None, :]),
        (Rule.DRAINED, _by_label([None] * len(jobs), rooms, lambda _, room: room.site.id in snapshot.drained, bool)),
    ]


def _country_unwanted(countries: tuple[str, ...], room: Room) -> bool:
    return bool(countries) and room.site.country not in countries


def _hardware_unwanted(kinds: tuple[str, ...], room: Room) -> bool:
    return bool(kinds) and room.partition.hardware not in kinds


def _by_label(
    labels: Sequence[L], rooms: Sequence[Room], value: Callable[[L, Room], float], dtype: type[V]
) -> npt.NDArray[Any]:
    """What depends on one label of the job and on the room, reckoned once for each pair; shape (J, P)."""
    codes: dict[L, int] = {}
    column = np.array([codes.setdefault(label, len(codes)) for label in labels], dtype=np.int64)
    table = np.array([[value(label, room) for room in rooms] for label in codes], dtype=dtype)
    return table.reshape(len(codes), len(rooms))[column]


def _policy(
    verdicts: Verdicts | None, now: datetime, jobs: Sequence[Job], rooms: Sequence[Room]
) -> tuple[Flags, Floats]:
    """Denials, and seconds from now until which the limit must have run out; each of shape (J, P)."""
    if verdicts is None:
        return np.zeros((len(jobs), len(rooms)), dtype=bool), np.full((len(jobs), len(rooms)), math.inf)
    rows: dict[int, int] = {}
    judged: list[tuple[SiteVerdict, ...]] = []
    denied: list[list[bool]] = []
    until_s: list[list[float]] = []
    column = []
    for job in jobs:
        of_job = verdicts.get(job.job, ())
        if id(of_job) not in rows:  # jobs with equal labels share one tuple
            rows[id(of_job)] = len(judged)
            judged.append(of_job)
            by_site = {verdict.site: verdict for verdict in of_job}
            denied.append([_denied(by_site.get(room.site.id)) for room in rooms])
            until_s.append([_latest_end_s(by_site.get(room.site.id), now) for room in rooms])
        column.append(rows[id(of_job)])
    shape = (len(judged), len(rooms))
    index = np.array(column, dtype=np.int64)
    return np.array(denied, dtype=bool).reshape(shape)[index], np.array(until_s, dtype=float).reshape(shape)[index]


def _denied(verdict: SiteVerdict | None) -> bool:
    return verdict is None or not verdict.allowed


def _latest_end_s(verdict: SiteVerdict | None, now: datetime) -> float:
    if verdict is None or verdict.latest_end is None:
        return math.inf
    return (verdict.latest_end - now).total_seconds()


def _column(jobs: Sequence[Job], value: Callable[[Job], int]) -> Ints:
    return np.array([value(job) for job in jobs], dtype=np.int64)
