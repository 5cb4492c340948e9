"""What dispatched and running jobs hold, until when for sure, and until when probably."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from csched.accounting.costs import it_kw
from csched.domain.hardware import Hardware
from csched.domain.job import Confidentiality, Job
from csched.domain.plan import Placement
from csched.domain.site import Fleet
from csched.domain.snapshot import Occupation, Usage
from csched.store.records import JobRecord

FEWEST_RUNS: Final = 10
"""From fewer earlier runs than this nothing is concluded about the next one."""


@dataclass(frozen=True)
class Occupations:
    """The living jobs on this fleet, seen at one instant."""

    fleet: Fleet
    hardware: Mapping[str, Hardware]
    now: datetime
    slot_s: int
    end_quantile: float | None = None
    """Share of a user's runs that have ended by `likely_until`; null: nothing is expected to end before its limit."""
    past_shares: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """User -> share of the time limit that each earlier run took."""

    def of(self, record: JobRecord) -> tuple[Occupation, ...]:
        """One for each partition that the job holds GPUs of; none where that has left the fleet.

        At least one more slot where the job should have ended by now.
        """
        placement = record.placement
        if placement is None:
            raise ValueError(f"job {record.id} is alive and has no placement")
        start, next_slot = record.start or placement.start, self.now + timedelta(seconds=self.slot_s)
        found = []
        nodes_of = [part.nodes for part in placement.components] or [placement.nodes]
        for (partition, gpus), nodes in zip(placement.parts, nodes_of, strict=True):
            hardware = self._hardware_of(placement.site, partition)
            if hardware is None:
                continue
            limit_s = record.job.limit_s_on(hardware.key)
            likely_until = self._likely_until(record, start, limit_s)
            found.append(
                Occupation(
                    job=record.job.job,
                    array=record.job.array,
                    site=placement.site,
                    partition=partition,
                    reservation=self._reservation(placement, partition),
                    gpus_held=_held(record.job, gpus, hardware),
                    nodes=nodes,
                    it_kw=it_kw(gpus, hardware.kw_per_gpu, record.job.load),
                    until=max(start + timedelta(seconds=limit_s), next_slot),
                    likely_until=max(likely_until, next_slot) if likely_until else None,
                )
            )
        return tuple(found)

    def usage(self, records: Sequence[JobRecord], since: datetime) -> tuple[Usage, ...]:
        """GPU-hours of living jobs from `since` to their limit."""
        return tuple(
            Usage(tenant=record.job.tenant, site=held.site, gpu_h=gpus * (held.until - start) / timedelta(hours=1))
            for record in records
            if record.job.tenant is not None and record.placement is not None
            for start in [max(record.start or record.placement.start, since)]
            for held, (_, gpus) in zip(self.of(record), record.placement.parts, strict=False)
            if held.until > start
        )

    def _likely_until(self, record: JobRecord, start: datetime, limit_s: int) -> datetime | None:
        """By the user's earlier runs that took at least as large a share of their limit as this one has already."""
        shares = self.past_shares.get(record.user or "", ())
        if self.end_quantile is None or len(shares) < FEWEST_RUNS:
            return None
        elapsed = (self.now - start) / timedelta(seconds=limit_s)
        longer = sorted(share for share in shares if share > elapsed)
        if not longer:
            return None
        return start + longer[math.ceil(self.end_quantile * len(longer)) - 1] * timedelta(seconds=limit_s)

    def _reservation(self, placement: Placement, partition: str) -> str | None:
        """The one that the job runs in, while the fleet has it; then its GPUs are those of the partition again."""
        known = {each.name for each in self.fleet.reservations_at(placement.site, partition)}
        return placement.reservation if placement.reservation in known else None

    def _hardware_of(self, site_id: str, name: str) -> Hardware | None:
        partitions = [each for site in self.fleet.sites if site.id == site_id for each in site.partitions]
        return next((self.hardware[each.hardware] for each in partitions if each.name == name), None)


def _held(job: Job, gpus: int, hardware: Hardware) -> int:
    """GPUs that the job keeps from others; confidential computing shares no node."""
    if job.requires_confidential in {None, Confidentiality.NONE}:
        return hardware.gpus_held(gpus)
    return hardware.gpus_held(max(gpus, hardware.gpus_per_node))


def month_of(now: datetime) -> datetime:
    """The first instant of the calendar month in UTC."""
    return now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def summed(usages: Sequence[Usage]) -> tuple[Usage, ...]:
    """One for each tenant and site."""
    gpu_h: dict[tuple[str, str], float] = {}
    for usage in usages:
        gpu_h[usage.tenant, usage.site] = gpu_h.get((usage.tenant, usage.site), 0.0) + usage.gpu_h
    return tuple(Usage(tenant=tenant, site=site, gpu_h=hours) for (tenant, site), hours in sorted(gpu_h.items()))
