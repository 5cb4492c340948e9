"""The placement problem as integers and arrays: what is not allowed has no place in it.

Rows of capacity are explained in `csched.placement.timeline`, windows of starts in `csched.placement.windows`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property

import numpy as np

from csched.accounting import costs
from csched.domain.job import Job
from csched.domain.snapshot import Snapshot
from csched.domain.verdict import Verdicts
from csched.placement.announced import Announced
from csched.placement.dtypes import Flags, Floats, Ints, Slots
from csched.placement.order import by_demand
from csched.placement.rooms import Room, rooms_of
from csched.placement.sizes import Sizes
from csched.placement.timeline import Timeline, free_slots
from csched.placement.windows import windows
from csched.units import SECONDS_PER_HOUR


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
    gpus_nominal: Ints
    """GPUs that are not set aside, other jobs aside; shape (P, R)."""
    power_left: Ints
    """Power units that running jobs leave under the cap, UNCAPPED without one; shape (S, R)."""
    power_nominal: Ints
    """Power units under the cap, other jobs aside; shape (S, R)."""
    room_site: Ints
    """Site index; shape (P,)."""
    gapped: Flags
    """Rooms in which some job has starts between its first and its last that are not allowed; shape (P,)."""
    gpus: Ints
    """Shape (J,)."""
    closed: Flags
    """Start slots at which policy lets nobody of a kind start, one row a kind, the first open throughout; (B, H)."""
    closed_of: Slots
    """Row of `closed`; shape (J, P)."""
    hold_slots: Slots
    """Time limit in slots, rounded up; shape (J, P)."""
    runtime_s: Slots
    """What cost is reckoned with; shape (J, P)."""
    gpus_held: Ints
    """Shape (J, P)."""
    power: Ints
    """IT power in power units; shape (J, P)."""
    first: Slots
    """First allowed start slot; shape (J, P)."""
    last: Slots
    """Last allowed start slot, below `first` where there is none; shape (J, P)."""
    excluded: Slots
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

    def start(self, slot: int) -> datetime:
        return self.now + timedelta(seconds=int(slot) * self.slot_s)

    def row_after(self, slots: Ints) -> Ints:
        """First row at or after each of `slots`: a hold of [a, b) covers rows row_after(a) up to row_after(b)."""
        return np.searchsorted(self.row_slots, slots).astype(np.int64)

    @cached_property
    def longest_hold(self) -> Ints:
        """Slots that each job holds where it may run and holds longest; shape (J,)."""
        allowed: Ints = np.where(self.first <= self.last, self.hold_slots, 1).max(axis=1, initial=1).astype(np.int64)
        return allowed

    @cached_property
    def reach_slots(self) -> int:
        """One past the last slot that any job can reach."""
        reachable = np.where(self.first <= self.last, self.last + self.hold_slots, self.start_slots)
        return int(reachable.max(initial=self.start_slots))

    def integrals(self, runtimes_s: Sequence[int] | Ints | Slots) -> Floats:
        """Intensity integrated over a run of each length from each start slot, g/kWh x h; shape (P, len, H)."""
        starts_s = self.now.timestamp() + np.arange(self.start_slots, dtype=np.float64) * self.slot_s
        ends_s = starts_s[None, :] + np.asarray(runtimes_s, dtype=np.float64)[:, None]
        zones = {room.site.grid_zone: self.snapshot.carbon.zone(room.site.grid_zone) for room in self.rooms}
        tables = {
            key: series.cumulative_g_h_per_kwh(ends_s) - series.cumulative_g_h_per_kwh(starts_s)[None, :]
            for key, series in zones.items()
        }
        return np.stack([tables[room.site.grid_zone] for room in self.rooms])

    def costs_kg(self, job: int) -> Floats:
        """True cost of every allowed start of a job, infinite where none is allowed; shape (P, H)."""
        runs, run_of = np.unique(self.runtime_s[job], return_inverse=True)
        run = self.kg_per_intensity[job][:, None] * self.integrals(runs)[np.arange(len(self.rooms)), run_of]
        waits = self.wait_kg_at_now[job] + self.wait_kg_per_slot[job] * np.arange(self.start_slots)
        total = run + waits[None, :] + self.egress_kg[job][:, None]
        return np.where(self.allowed(job), total, np.inf)

    def allowed(self, job: int) -> Flags:
        """Which starts are permitted, other jobs aside; shape (P, H)."""
        permitted: Flags = self.allowed_starts(np.array([job]))[0]
        return permitted

    def allowed_starts(self, jobs: Ints) -> Flags:
        """By policy, wishes, hardware, size, reservations, power caps, window and deadline; shape (len(jobs), P, H)."""
        slots = np.arange(self.start_slots)
        inside: Flags = (self.first[jobs][:, :, None] <= slots) & (slots <= self.last[jobs][:, :, None])
        if len(self.closed) > 1:
            inside &= ~self.closed[self.closed_of[jobs]]
        for room in np.flatnonzero(self.gapped):
            hold, held, drawn = self.hold_slots[jobs, room, None], self.gpus_held[jobs, room], self.power[jobs, room]
            inside[:, room] &= self.free_slots(self.gpus_nominal[room], held) >= hold
            inside[:, room] &= self.free_slots(self.power_nominal[self.room_site[room]], drawn) >= hold
        return inside

    def free_slots(self, left: Ints, needed: Ints) -> Ints:
        """For how many slots from each start there is never less left than needed; see `timeline.free_slots`."""
        return free_slots(self.row_slots, self.start_slots, left, needed)


_BY_JOB = (
    "gpus",
    "gpus_held",
    "power",
    "kg_per_intensity",
    "egress_kg",
    "wait_kg_per_slot",
    "wait_kg_at_now",
    "drop_kg",
    "move_kg",
    "hold_slots",
    "runtime_s",
    "first",
    "last",
    "excluded",
    "closed_of",
    "announced_room",
    "announced_slot",
)


def build(snapshot: Snapshot, verdicts: Verdicts | None) -> Problem:
    """The problem of one snapshot. Held jobs have no place in it."""
    held = set(snapshot.held)
    jobs = by_demand(job for job in snapshot.jobs if job.job not in held)
    rooms = rooms_of(snapshot)
    start_slots = -(-snapshot.horizon_s // snapshot.slot_s)
    sizes = Sizes(snapshot, jobs, rooms)
    timeline = Timeline(snapshot, rooms, start_slots, start_slots + int(sizes.hold_slots.max(initial=0)))
    allowed = windows(snapshot, verdicts, sizes, timeline)
    announced = Announced(snapshot, [job.job for job in jobs], sizes.gpus, [room.key for room in rooms])
    wait_kg_per_h = sizes.gpus.astype(np.float64) * snapshot.fleet.objective.wait_kg_per_gpu_h
    return Problem(
        snapshot=snapshot,
        verdicts=verdicts,
        jobs=jobs,
        rooms=rooms,
        start_slots=start_slots,
        row_slots=timeline.row_slots,
        gpus_left=timeline.gpus_left,
        gpus_nominal=timeline.gpus_nominal,
        power_left=timeline.power_left,
        power_nominal=timeline.power_nominal,
        room_site=np.array([room.site_index for room in rooms], dtype=np.int64),
        gapped=allowed.gapped,
        closed=allowed.hours.closed,
        closed_of=allowed.hours.row_of,
        gpus=sizes.gpus,
        hold_slots=sizes.hold_slots,
        runtime_s=sizes.runtime_s,
        gpus_held=sizes.gpus_held,
        power=sizes.power,
        first=allowed.first,
        last=allowed.last,
        excluded=allowed.excluded,
        kg_per_intensity=sizes.kg_per_intensity,
        egress_kg=sizes.egress_kg,
        wait_kg_per_slot=wait_kg_per_h * (snapshot.slot_s / SECONDS_PER_HOUR),
        wait_kg_at_now=-wait_kg_per_h * sizes.ready_s / SECONDS_PER_HOUR,
        drop_kg=np.array([costs.drop_kg(job, snapshot.fleet) for job in jobs], dtype=np.float64),
        announced_room=announced.room,
        announced_slot=announced.slot,
        move_kg=announced.move_kg,
    )
