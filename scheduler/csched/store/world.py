"""The real world as the planning cycle sees it: the queue in the store, the sky, and a dispatcher."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from csched.accounting.costs import it_kw
from csched.domain.hardware import Hardware
from csched.domain.plan import Placement, Plan, SiteOption
from csched.domain.run import JobState
from csched.domain.site import Fleet
from csched.domain.snapshot import Occupation, Snapshot, StandingPlan
from csched.placement.explain import options
from csched.placement.snapshots import assemble
from csched.ports import CarbonSource, Clock, Policies
from csched.store.attempts import Attempts
from csched.store.job_rows import ALIVE
from csched.store.records import JobRecord
from csched.store.repository import Repository

_MOST_EXPLAINED: Final = 50


@dataclass
class StoreWorld:
    """One planning cycle after another; what a snapshot saw is remembered until its plan is committed."""

    store: Repository
    attempts: Attempts
    fleet: Fleet
    hardware: Mapping[str, Hardware]
    policies: Policies
    carbon: CarbonSource
    clock: Clock
    horizon_s: int
    slot_s: int
    _snapshot: Snapshot | None = field(default=None, init=False)
    _standing: StandingPlan | None = field(default=None, init=False)
    _seen: Mapping[int, int] = field(default_factory=dict, init=False)

    def snapshot(self) -> Snapshot:
        now = self.clock.now()
        pending = self.store.jobs(states=[JobState.PENDING])
        alive = self.store.jobs(states=ALIVE)
        self._seen = {record.id: record.revision for record in pending}
        self._snapshot = assemble(
            self.fleet,
            [record.job for record in pending],
            self.carbon,
            now,
            self.horizon_s,
            self.slot_s,
            running=[self._occupation(record) for record in alive if self._known(record)],
            drained={drain.site: drain.reason for drain in self.store.drains() if drain.site in self._sites()},
            held=[record.job.job for record in pending if record.hold is not None],
            standing=self._standing_plan(),
        )
        return self._snapshot

    def commit(self, plan: Plan) -> Sequence[Placement]:
        snapshot = self._snapshot
        if snapshot is None:
            raise ValueError("a plan is committed to the world whose snapshot it was made from")
        due = self.store.commit(plan, self._seen, snapshot=snapshot, options=self._options(snapshot, plan))
        self._standing = StandingPlan.of(plan, snapshot.standing)
        return due

    def dispatch(self, placement: Placement) -> None:
        """Hand the job's attempt over. Where that fails the attempt stays, and is handed over at the next poll."""
        attempt = self.store.job(int(placement.job)).attempt
        self.attempts.hand_over([attempt] if attempt else [])

    def _standing_plan(self) -> StandingPlan | None:
        """What the newest plan announced; read once, from then on known from this world's own commits.

        Another process may have committed since. Then this is an older plan, which costs a few more moves.
        """
        if self._standing is None and (newest := self.store.plan()):
            before = newest.snapshot.standing if newest.snapshot else None
            self._standing = StandingPlan.of(newest.plan, before)
        return self._standing

    def _options(self, snapshot: Snapshot, plan: Plan) -> Mapping[str, tuple[SiteOption, ...]]:
        """What each site would have meant for the jobs that start now: kept, for nobody can ask later.

        For the first of them only where very many start at once, and for all that an exception is open to; the others
        are explained from the plan's snapshot while that is kept.
        """
        known = {job.job for job in snapshot.jobs}
        starting = (placement.job for placement in plan.placements if placement.start <= snapshot.now)
        due = [job for job in starting if job in known]
        if not due:
            return {}
        verdicts = self.policies.screen(snapshot.jobs, snapshot.fleet, snapshot.now)
        excepted = [job for job in due[_MOST_EXPLAINED:] if any(verdict.exceptions for verdict in verdicts[job])]
        return {job: options(snapshot, verdicts, plan, job) for job in [*due[:_MOST_EXPLAINED], *excepted]}

    def _occupation(self, record: JobRecord) -> Occupation:
        """What a living job holds; at least one more slot where it should have ended by now."""
        placement = record.placement
        if placement is None:
            raise ValueError(f"job {record.id} is alive and has no placement")
        hardware = self._hardware_of(placement)
        start = record.start or placement.start
        until = start + timedelta(seconds=record.job.time_limit_s)
        return Occupation(
            job=record.job.job,
            site=placement.site,
            partition=placement.partition,
            gpus_held=hardware.gpus_held(record.job.gpus),
            it_kw=it_kw(record.job.gpus, hardware.kw_per_gpu, record.job.load),
            until=max(until, self.clock.now() + timedelta(seconds=self.slot_s)),
        )

    def _known(self, record: JobRecord) -> bool:
        """False for a job at a partition that has left the fleet: it holds nothing that could be given to others."""
        placement = record.placement
        return (
            placement is not None
            and placement.site in self._sites()
            and any(partition.name == placement.partition for partition in self.fleet.site(placement.site).partitions)
        )

    def _sites(self) -> set[str]:
        return {site.id for site in self.fleet.sites}

    def _hardware_of(self, placement: Placement) -> Hardware:
        partitions = self.fleet.site(placement.site).partitions
        named = next(partition.hardware for partition in partitions if partition.name == placement.partition)
        return self.hardware[named]
