"""What ships for tests keeps the promises of the real thing: one suite, run against both."""

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Protocol

import pytest

from csched import shipped
from csched.carbon.climatology import Climatology
from csched.clock import FixedClock
from csched.domain.job import Job
from csched.domain.run import DispatchOrder, JobState, Script
from csched.domain.snapshot import Snapshot
from csched.errors import InputError
from csched.local.dispatcher import LocalDispatcher
from csched.ports import CarbonSource, Dispatcher, World
from csched.store.attempts import Attempts
from csched.store.records import Submission
from csched.store.repository import Repository
from csched.store.world import StoreWorld
from csched.testing.builders import MONDAY, fleet, job, site
from csched.testing.carbon import FixedCarbon
from csched.testing.planner import everything_at
from csched.testing.world import MemoryWorld, RecordingDispatcher
from csched_policies.load import load_policies

FLEET = fleet(site("alpha", nodes=4), site("beta", zone="SE", nodes=4))
SKY = FixedCarbon({"FR": 50.0, "SE": 20.0})
_PATIENCE_S = 60


class Queue(Protocol):
    """A world, and what users do to it."""

    world: World
    submit: Callable[[Job], str]
    hold: Callable[[str], object]
    drain: Callable[[str, str], object]
    recorder: RecordingDispatcher


class MemoryQueue:
    def __init__(self) -> None:
        clock = FixedClock(MONDAY)
        self.recorder = RecordingDispatcher(clock)
        self.world = MemoryWorld(FLEET, SKY, self.recorder, clock)
        self.submit, self.hold, self.drain = self.world.submit, self.world.hold, self.world.drain


class StoreQueue:
    def __init__(self, folder: Path) -> None:
        clock = FixedClock(MONDAY)
        self.recorder = RecordingDispatcher(clock)
        self.store = Repository(f"sqlite:///{folder / 'csched.db'}", clock)
        rules = load_policies(shipped.policy_library())
        self.world = StoreWorld(
            self.store,
            Attempts(self.store, self.recorder),
            FLEET,
            FLEET.hardware,
            rules,
            SKY,
            clock,
            horizon_s=48 * 3600,
            slot_s=900,
        )
        self.drain = self.store.drain

    def submit(self, job: Job) -> str:
        script = Script(body="#!/bin/sh\n", work_dir="/", stdout="/dev/null")
        return str(self.store.submit(Submission(job=job, script=script, name="test")))

    def hold(self, job: str) -> object:
        return self.store.hold(int(job))


@pytest.fixture(params=["memory", "store"])
def queue(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Queue]:
    if request.param == "memory":
        yield MemoryQueue()
        return
    made = StoreQueue(tmp_path)
    yield made
    made.store.close()


def plan_of(snapshot: Snapshot, place: str = "alpha", **more: object):  # type: ignore[no-untyped-def]
    return everything_at(snapshot.jobs, place, "gpu", snapshot.now, **more)  # type: ignore[arg-type]


def test_a_snapshot_sees_jobs_in_order_holds_and_drains(queue: Queue) -> None:
    first, second = queue.submit(job()), queue.submit(job(gpus=4))
    queue.hold(second)
    queue.drain("beta", "a leak")
    snapshot = queue.world.snapshot()
    assert [each.job for each in snapshot.jobs] == [first, second]
    assert (snapshot.held, dict(snapshot.drained), snapshot.now) == ((second,), {"beta": "a leak"}, MONDAY)


def test_what_is_due_leaves_the_queue_and_is_dispatched_once(queue: Queue) -> None:
    wanted = queue.submit(job())
    plan = plan_of(queue.world.snapshot())
    (due,) = queue.world.commit(plan)
    queue.world.dispatch(due)
    queue.world.dispatch(due)
    assert [order.job for order in queue.recorder.orders.values()] == [wanted]
    assert queue.world.snapshot().jobs == ()
    assert list(queue.world.commit(plan)) == []


def test_what_starts_later_stays_in_the_queue(queue: Queue) -> None:
    wanted = queue.submit(job())
    later = plan_of(queue.world.snapshot(), start=MONDAY + timedelta(hours=1))
    assert list(queue.world.commit(later)) == []
    assert [each.job for each in queue.world.snapshot().jobs] == [wanted]


def test_what_was_announced_is_in_the_next_snapshot(queue: Queue) -> None:
    first, second = queue.submit(job()), queue.submit(job())
    at = MONDAY + timedelta(hours=1)
    queue.world.commit(everything_at(queue.world.snapshot().jobs[:1], "alpha", "gpu", MONDAY, at))
    standing = queue.world.snapshot().standing
    assert standing is not None
    assert {name: (told.site, told.start) for name, told in standing.starts.items()} == {first: ("alpha", at)}
    queue.world.commit(plan_of(queue.world.snapshot()))  # both start
    assert queue.world.snapshot().standing is not None
    assert not {first, second} & queue.world.snapshot().standing.starts.keys()  # type: ignore[union-attr]


def test_another_process_knows_what_was_announced(tmp_path: Path) -> None:
    queue = StoreQueue(tmp_path)
    queue.submit(job())
    queue.world.commit(plan_of(queue.world.snapshot(), start=MONDAY + timedelta(hours=1)))
    other = StoreQueue(tmp_path)
    assert other.world.snapshot().standing == queue.world.snapshot().standing
    queue.store.close()
    other.store.close()


@pytest.mark.parametrize("meanwhile", ["held", "drained"])
def test_what_went_stale_is_not_returned(queue: Queue, meanwhile: str) -> None:
    wanted = queue.submit(job())
    plan = plan_of(queue.world.snapshot())
    if meanwhile == "held":
        queue.hold(wanted)
    else:
        queue.drain("alpha", "a leak")
    assert list(queue.world.commit(plan)) == []
    assert [each.job for each in queue.world.snapshot().jobs] == [wanted]


@pytest.fixture(params=["recording", "local"])
def dispatcher(request: pytest.FixtureRequest, tmp_path: Path) -> Dispatcher:
    if request.param == "recording":
        return RecordingDispatcher(FixedClock(MONDAY))
    return LocalDispatcher(tmp_path / "spool", kill_wait_s=1)


def order(folder: Path) -> DispatchOrder:
    script = Script(body="#!/bin/sh\nexec sleep 60\n", work_dir=str(folder), stdout=str(folder / "out"))
    return DispatchOrder(
        job="7", attempt="one", name="x", user=None, site="alpha", partition="gpu", gpus=8, time_limit_s=600,
        script=script,
    )  # fmt: skip


def test_an_unknown_attempt_is_not_in_the_answer(dispatcher: Dispatcher) -> None:
    assert list(dispatcher.poll({"nobodys": "1"})) == []
    dispatcher.cancel("nobodys")


def test_an_attempt_is_alive_until_it_is_cancelled_and_then_stays_ended(dispatcher: Dispatcher, tmp_path: Path) -> None:
    wanted = order(tmp_path)
    dispatcher.dispatch(wanted)
    dispatcher.dispatch(wanted)
    (alive,) = dispatcher.poll({"one": "7"})
    assert not alive.state.final
    dispatcher.cancel("one")
    deadline = time.monotonic() + _PATIENCE_S
    while not (report := dispatcher.poll({"one": "7"})[0]).state.final:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert (report.job, report.attempt, report.state) == ("7", "one", JobState.CANCELLED)
    dispatcher.dispatch(wanted)
    dispatcher.cancel("one")
    assert list(dispatcher.poll({"one": "7"})) == [report]


@pytest.mark.parametrize("source", [SKY, Climatology()], ids=["fixed", "climatology"])
def test_a_sky_covers_all_that_is_asked_for(source: CarbonSource) -> None:
    start, end = MONDAY, MONDAY + timedelta(hours=30)
    outlook = source.outlook(["FR", "SE"] if source is SKY else ["FR", "FI"], MONDAY, start, end)
    assert all(series.integral_g_h_per_kwh(start, end) > 0 for series in outlook.zones.values())
    with pytest.raises(InputError, match="XX"):
        source.outlook(["XX"], MONDAY, start, end)
