"""A share of a tenant's month counts what the ledger holds, what runs, and what waits: all from a real store."""

import json
from collections.abc import Callable
from datetime import timedelta

import pytest

from csched.accounting.ledger import entry, needs
from csched.clock import FixedClock
from csched.cycle import run_cycle
from csched.domain.run import JobState, RunReport
from csched.domain.snapshot import SolveBudget
from csched.store.attempts import Attempts
from csched.store.mapping import to_run
from csched.store.records import Submission
from csched.store.repository import Repository
from csched.store.world import StoreWorld
from csched.testing.builders import fleet, site
from csched.testing.carbon import FixedCarbon
from csched.testing.planner import everything_at
from csched.testing.world import RecordingDispatcher
from csched_policies.load import load_sources

SITES = fleet(site("berlin", zone="DE", nodes=8), site("paris", zone="FR", nodes=8))
SKY = FixedCarbon({"DE": 500.0, "FR": 20.0})
FIFTH_ABROAD = {
    "id": "share",
    "version": 1,
    "because": "a contract",
    "owner": "dpo@example.eu",
    "review_by": "2027-05-01",
    "enforce": "hard",
    "mode": "enforce",
    "require": {"tenant.gpu_hours": {"at_most_pct": 20, "outside": ["DE"], "per": "month"}},
}


class Month:
    """A queue whose jobs of 8 GPUs have run, or run now, where a test says so."""

    def __init__(self, store: Repository, clock: FixedClock, submission: Callable[..., Submission]) -> None:
        self._store, self._clock, self._submission = store, clock, submission
        self._dispatcher = RecordingDispatcher(clock)
        self._attempts = Attempts(store, self._dispatcher)
        self.policies = load_sources({"share.yaml": json.dumps(FIFTH_ABROAD)})
        self.world = StoreWorld(
            store, self._attempts, SITES, SITES.hardware, self.policies, SKY, clock,
            horizon_s=24 * 3600, slot_s=3600,
        )  # fmt: skip

    def submit(self, hours: int, **columns: object) -> str:
        return str(self._store.submit(self._submission(tenant="acme", time_limit_s=hours * 3600, **columns)))

    def run(self, site: str, hours: int) -> None:
        """A job that has just begun."""
        record = self._store.job(int(self.submit(hours)))
        self._store.commit(everything_at([record.job], site, "gpu", self._clock.now()), {record.id: record.revision})
        self._attempts.hand_over()
        self._attempts.take_over_news()
        assert self._store.job(record.id).state is JobState.RUNNING

    def end_all(self, hours: int) -> None:
        """So many hours on, whatever ran since now has ended and is in the ledger."""
        began = self._clock.now()
        self._clock.set(ended := began + timedelta(hours=hours))
        for attempt, order in self._dispatcher.orders.items():
            done = RunReport(job=order.job, attempt=attempt, state=JobState.COMPLETED, start=began, end=ended)
            self._store.apply(done)
        for record in self._store.unbilled():
            run = to_run(record)
            need = needs(run, SITES)
            sky = SKY.outlook(need.zones, self._clock.now(), need.start, need.end)
            self._store.add(entry(run, SITES, SITES.hardware, sky))

    def placed_now(self) -> str:
        """Where one more job of an hour goes."""
        waiting = self.submit(1)
        return self.placed()[waiting]

    def placed(self) -> dict[str, str]:
        """Job -> site, of what the next cycle places."""
        plan = run_cycle(self.world, self.policies, SolveBudget(seconds=None, work=1))
        return {placement.job: placement.site for placement in plan.placements}


@pytest.fixture
def month(store: Repository, clock: FixedClock, submission: Callable[..., Submission]) -> Month:
    return Month(store, clock, submission)


@pytest.mark.parametrize(
    ("ended", "running", "may"),
    [
        ([("berlin", 3)], [("berlin", 1)], True),  # 8 of 40 hours abroad
        ([("berlin", 3)], [], False),  # 8 of 32
        ([], [("berlin", 3)], False),
        ([("berlin", 4)], [], True),
        ([], [("berlin", 4)], True),
        ([("berlin", 4), ("paris", 1)], [], False),  # 16 of 48
        ([("berlin", 4)], [("paris", 1)], False),
    ],
)
def test_hours_that_have_run_and_hours_that_run_decide_what_may_still_go_abroad(
    month: Month, ended: list[tuple[str, int]], running: list[tuple[str, int]], may: bool
) -> None:
    for place, hours in ended:
        month.run(place, hours)
        month.end_all(hours)
    for place, hours in running:
        month.run(place, hours)
    waiting = month.submit(1, countries=["FR"])
    assert month.placed() == ({waiting: "paris"} if may else {})


def test_hours_of_an_earlier_month_are_no_part_of_the_share(month: Month, clock: FixedClock) -> None:
    month.run("berlin", 4)
    month.end_all(4)
    clock.set(clock.now() + timedelta(days=40))
    month.submit(1, countries=["FR"])
    assert month.placed() == {}


def test_one_job_at_a_time_exceeds_no_share(month: Month) -> None:
    """Each cycle begins with what those before have placed: all would rather be in Paris, and every fifth hour may."""
    month.run("berlin", 4)
    assert [month.placed_now() for _ in range(6)] == ["paris", "berlin", "berlin", "berlin", "berlin", "paris"]
