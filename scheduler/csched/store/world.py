"""The real world as the planning cycle sees it: the queue in the store, the sky, and a dispatcher."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from csched.domain.hardware import Hardware
from csched.domain.plan import Placement, Plan, SiteOption
from csched.domain.run import JobState
from csched.domain.site import Fleet
from csched.domain.snapshot import Snapshot, StandingPlan
from csched.placement.explain import options
from csched.placement.snapshots import assemble
from csched.ports import CarbonSource, Clock, Policies
from csched.store.attempts import Attempts
from csched.store.job_rows import ALIVE
from csched.store.occupations import Occupations, month_of, summed
from csched.store.records import JobRecord
from csched.store.repository import Repository

_MOST_EXPLAINED: Final = 50
_REFUSALS_HOLD: Final = timedelta(hours=1)
"""A site that would not take a job is asked again after that: tables of users and limits change."""


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
    end_quantile: float | None = None
    """See Occupations."""
    _snapshot: Snapshot | None = field(default=None, init=False)
    _standing: StandingPlan | None = field(default=None, init=False)
    _seen: Mapping[int, int] = field(default_factory=dict, init=False)

    def snapshot(self) -> Snapshot:
        now = self.clock.now()
        pending = self.store.jobs(states=[JobState.PENDING])
        alive = self.store.jobs(states=ALIVE)
        waits = self.store.waits([record.job for record in pending])
        held = self._occupations(alive)
        month = month_of(now)
        self._seen = {record.id: record.revision for record in pending}
        self._snapshot = assemble(
            self.fleet,
            [waits.job(record.job) for record in pending],
            self.carbon,
            now,
            self.horizon_s,
            self.slot_s,
            running=[part for record in alive for part in held.of(record)],
            drained={drain.site: drain.reason for drain in self.store.drains() if drain.site in self._sites()},
            held=[record.job.job for record in pending if record.hold is not None],
            standing=self._standing_plan(),
            ended=waits.ended,
            usage=summed([*self.store.usage(month), *held.usage(alive, month)]),
            refusals=self.store.site_refusals(now - _REFUSALS_HOLD),
        )
        return self._snapshot

    def commit(self, plan: Plan) -> Sequence[Placement]:
        snapshot = self._snapshot
        if snapshot is None:
            raise ValueError("a plan is committed to the world whose snapshot it was made from")
        due = self.store.commit(
            plan,
            self._seen,
            snapshot=snapshot,
            options=self._options(snapshot, plan),
            limits_s=self._limits_s(snapshot, plan),
        )
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
        quotas = self.policies.quotas(snapshot)
        asked = [*due[:_MOST_EXPLAINED], *excepted]
        return {job: options(snapshot, verdicts, plan, job, quotas) for job in asked}

    def _occupations(self, alive: Sequence[JobRecord]) -> Occupations:
        users = {record.user for record in alive if record.user} if self.end_quantile is not None else set()
        past = self.store.past_shares(users)
        return Occupations(self.fleet, self.hardware, self.clock.now(), self.slot_s, self.end_quantile, past)

    def _limits_s(self, snapshot: Snapshot, plan: Plan) -> Mapping[str, int]:
        """The time limits of jobs that take longer on some hardware than stated, where they start now."""
        factored = {job.job: job for job in snapshot.jobs if job.runtime_factors}
        hardware = {(site.id, each.name): each.hardware for site in self.fleet.sites for each in site.partitions}
        return {
            placement.job: max(
                factored[placement.job].limit_s_on(hardware[placement.site, partition])
                for partition, _ in placement.parts
            )
            for placement in plan.placements
            if placement.job in factored
        }

    def _sites(self) -> set[str]:
        return {site.id for site in self.fleet.sites}
