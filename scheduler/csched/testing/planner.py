"""A planner that needs no solver: whatever waits starts at once at one place. For tests of what stands around plans."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from csched.domain.job import Job
from csched.domain.plan import Placement, Plan, PlanStatus


def placement(job: Job, site: str, partition: str, start: datetime) -> Placement:
    """The job at this place from `start` on; at no cost, for this planner knows no carbon."""
    return Placement(
        job=job.job,
        site=site,
        partition=partition,
        start=start,
        end=start + timedelta(seconds=job.runtime_s),
        gpus=job.gpus,
        kwh=0.0,
        carbon_kg=0.0,
        topology_kg=0.0,
        egress_kg=0.0,
        wait_h=0.0,
        cost_kg=0.0,
    )


def everything_at(jobs: Iterable[Job], site: str, partition: str, now: datetime, start: datetime | None = None) -> Plan:
    """A plan that starts all jobs at one partition, at `start` (else `now`); it heeds no capacity."""
    return Plan(
        now=now,
        horizon_h=48.0,
        slot_min=15.0,
        status=PlanStatus.FEASIBLE,
        placed_cost_kg=0.0,
        cost_kg=0.0,
        bound_kg=0.0,
        gap=0.0,
        certificate=None,
        solver="everything-at-once",
        seed=0,
        policy_digest=None,
        carbon_source="none",
        placements=tuple(placement(job, site, partition, start or now) for job in jobs),
        unplaced=(),
    )
