"""What stays the same for all strategies of a simulation: the fleet, the rules, the grid, the seed."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from csched.clock import epoch_s
from csched.domain.hardware import Hardware
from csched.domain.job import Job
from csched.domain.site import Fleet, Partition, Site
from csched.ports import CarbonSource, Policies
from csched_sim.conditions import UNDISTURBED, Conditions
from csched_sim.skies import Skies
from csched_sim.traces.trace import TraceJob

if TYPE_CHECKING:
    from csched_sim.outcome import Run


@dataclass(frozen=True)
class Berth:
    """One partition of one site, as jobs see it."""

    site: Site
    partition: Partition
    hardware: Hardware

    @cached_property
    def capacity(self) -> int:
        """GPUs."""
        return self.partition.gpu_count(self.hardware)

    def fits(self, job: Job) -> bool:
        """Whether the job could ever run here: its kind of hardware, and enough of it."""
        wanted = not job.hardware or self.hardware.key in job.hardware
        return wanted and self.hardware.gpus_held(job.gpus) <= self.capacity


@dataclass(frozen=True)
class Setting:
    fleet: Fleet
    hardware: dict[str, Hardware]
    carbon: CarbonSource
    policies: Policies | None
    seed: int
    slot_s: int
    horizon_s: int
    work: int
    """How hard each planning cycle tries; deterministic."""
    world: Conditions = UNDISTURBED
    progress: Callable[[int], None] = lambda _ended: None
    """Told how many more jobs are done with."""
    sink: "Callable[[Run], None] | None" = None
    """Takes each run as it ends, where they are too many to be kept; null keeps them in the outcome."""

    @cached_property
    def berths(self) -> dict[str, tuple[Berth, ...]]:
        """Site -> its partitions, in the order of the fleet."""
        return {
            site.id: tuple(Berth(site, partition, self.hardware[partition.hardware]) for partition in site.partitions)
            for site in self.fleet.sites
        }

    @cached_property
    def zones(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(site.grid_zone for site in self.fleet.sites))

    @cached_property
    def skies(self) -> Skies:
        """What strategies that plan job by job know of the grid."""
        return Skies(self.carbon, self.zones, self.slot_s)

    @cached_property
    def gpus(self) -> int:
        return sum(berth.capacity for berths in self.berths.values() for berth in berths)

    def berth(self, site_id: str, partition: str) -> Berth:
        return next(berth for berth in self.berths[site_id] if berth.partition.name == partition)


def eligible_s(traced: TraceJob) -> int:
    """From here on the job waits: its submission, or its earliest start if that is later."""
    job = traced.job
    instants = [epoch_s(instant) for instant in (job.submit, job.earliest_start) if instant is not None]
    return max(instants)
