"""What each job would hold, draw, emit and move in each room, and for how long."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from csched.accounting import costs
from csched.domain.job import Job
from csched.domain.snapshot import Snapshot
from csched.errors import InputError
from csched.placement.dtypes import Floats, Ints, Slots
from csched.placement.rooms import Room
from csched.placement.timeline import POWER_UNIT_KW, UNCAPPED
from csched.units import G_PER_KG

L = TypeVar("L")
V = TypeVar("V")


class Sizes:
    """Arrays of shape (J,), or (J, P) where the room makes a difference."""

    def __init__(self, snapshot: Snapshot, jobs: Sequence[Job], rooms: Sequence[Room]) -> None:
        self.jobs, self.rooms = jobs, rooms
        fleet, shape = snapshot.fleet, (len(jobs), len(rooms))
        self.gpus = column(jobs, lambda job: job.gpus)
        self.ready_s = np.array([(costs.ready(job, snapshot.now) - snapshot.now).total_seconds() for job in jobs])
        self.limit_s = _by_hardware(jobs, rooms, lambda job: job.time_limit_s, Job.limit_s_on)
        self.runtime_s = _by_hardware(jobs, rooms, lambda job: job.runtime_s, Job.runtime_s_on)
        self.hold_slots: Slots = (-(-self.limit_s.astype(np.int64) // snapshot.slot_s)).astype(np.int64)
        load = np.array([job.load for job in jobs])
        self.gpus_held = np.zeros(shape, dtype=np.int64)
        self.power = np.zeros(shape, dtype=np.int64)
        self.kg_per_intensity = np.zeros(shape)
        for index, room in enumerate(rooms):
            node = room.hardware.gpus_per_node
            self.gpus_held[:, index] = np.where(self.gpus < node, self.gpus, -(-self.gpus // node) * node)
            kw = self.gpus * room.hardware.kw_per_gpu * load
            self.power[:, index] = np.maximum(1, np.floor(kw / POWER_UNIT_KW))
            self.kg_per_intensity[:, index] = kw * fleet.pue(room.site) / G_PER_KG
        _refuse_overflow(self.power)
        data_gb = np.array([job.data_gb for job in jobs])
        from_site = [job.data_site for job in jobs]
        egress = by_label(from_site, rooms, lambda held, room: costs.egress_kg_per_gb(held, room.site, fleet), float)
        rate = by_label(from_site, rooms, lambda held, room: costs.transfer_gbit_per_s(held, room.site, fleet), float)
        self.egress_kg: Floats = data_gb[:, None] * egress
        self.transfer_s: Floats = data_gb[:, None] * costs.BITS_PER_BYTE / rate


def _refuse_overflow(power: Ints) -> None:
    """All jobs together must stay below UNCAPPED: prices may make all of them want the same slot of one site.

    Nothing else comes near 64 bits: two million jobs of a million GPUs hold 2e12, and 2**62 is 4.6e18.
    """
    most_kw = power.max(axis=1, initial=0).sum(dtype=np.float64) * POWER_UNIT_KW
    if most_kw >= float(UNCAPPED) * POWER_UNIT_KW:
        raise InputError(
            f"the jobs together would draw {most_kw:.3g} kW, more than can be planned with",
            hint="look for a job with too many GPUs, or hardware with too many kW; else plan fewer jobs at once",
        )


def _by_hardware(
    jobs: Sequence[Job], rooms: Sequence[Room], plain: Callable[[Job], int], on: Callable[[Job, str], int]
) -> Slots:
    """Seconds that depend on the hardware for the few jobs that say so; shape (J, P)."""
    seconds = np.repeat(column(jobs, plain).astype(np.int64)[:, None], len(rooms), axis=1)
    for index, job in enumerate(jobs):
        if job.runtime_factors:
            seconds[index] = [on(job, room.hardware.key) for room in rooms]
    return seconds


def by_label(
    labels: Sequence[L], rooms: Sequence[Room], value: Callable[[L, Room], float], dtype: type[V]
) -> npt.NDArray[Any]:
    """What depends on one label of the job and on the room, reckoned once for each pair; shape (J, P)."""
    codes: dict[L, int] = {}
    of_job = np.array([codes.setdefault(label, len(codes)) for label in labels], dtype=np.int64)
    table = np.array([[value(label, room) for room in rooms] for label in codes], dtype=dtype)
    return table.reshape(len(codes), len(rooms))[of_job]


def column(jobs: Sequence[Job], value: Callable[[Job], int]) -> Ints:
    return np.array([value(job) for job in jobs], dtype=np.int64)
