"""Attempts on their way between the store and the dispatcher: handed over once, dropped when their end is kept."""

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from threading import Thread

import pytest

from csched.app import App
from csched.clock import FixedClock
from csched.domain.job import Job
from csched.domain.run import DispatchOrder, JobState, Script
from csched.errors import Unavailable
from csched.settings import Settings
from csched.store.attempts import Attempts
from csched.testing.builders import MONDAY
from csched.testing.planner import everything_at
from csched.testing.world import RecordingDispatcher

_PATIENCE_S = 60


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    made = App(Settings(home=tmp_path / "home"))
    yield made
    made.close()


def due(app: App) -> int:
    """A job that is to be started now; no dispatcher has heard of it."""
    body = f"#!/bin/sh\necho ran >> {app.settings.home}/ran\n"
    script = Script(body=body, work_dir="/", stdout="/dev/null")
    job_id = app.submit(Job(job="new", gpus=1, time_limit_s=600, data_class="public"), script, name="test")
    record = app.store.job(job_id)
    plan = everything_at([record.job], "munich", "b200", app.clock.now() - timedelta(seconds=1))
    app.store.commit(plan, {job_id: record.revision})
    return job_id


def until(reached: Callable[[], object]) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_what_has_ended_leaves_the_spool(app: App) -> None:
    job_id = due(app)
    until(lambda: app.poll() and app.store.job(job_id).state.final)
    assert app.store.job(job_id).state is JobState.COMPLETED
    assert list(app.settings.spool.iterdir()) == []


@pytest.mark.parametrize("killed", ["before the dispatcher heard", "while the folder went", "before that was noted"])
def test_a_daemon_killed_between_the_end_and_the_forgetting_leaves_nothing_behind(app: App, killed: str) -> None:
    """Each step by itself, as far as the killed one came; then another daemon's poll."""
    job_id = due(app)
    app.attempts.hand_over()
    until(lambda: job_id in app.attempts.take_over_news() and app.store.job(job_id).state.final)
    (attempt,) = app.store.ended_attempts()
    spool = app.settings.spool
    if killed == "while the folder went":
        gone = (spool / attempt).rename(spool / f".{attempt}.ended")
        (gone / "ended.json").unlink()
    elif killed == "before that was noted":
        app.dispatcher.forget(attempt)
    next_daemon = App(app.settings)
    assert next_daemon.poll() == ()
    assert list(spool.iterdir()) == []
    assert next_daemon.store.ended_attempts() == ()
    next_daemon.close()
    assert (app.settings.home / "ran").read_text() == "ran\n"


def test_an_order_is_handed_over_once_by_however_many_threads(app: App) -> None:
    """A second time would run it twice, were it over and forgotten by then."""
    job_id = due(app)
    slow = _SlowDispatcher()
    attempts = Attempts(app.store, slow)
    threads = [Thread(target=attempts.hand_over) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert slow.given == [str(job_id)]


def test_an_order_that_cannot_be_started_keeps_no_other_from_it(app: App) -> None:
    broken, sound = due(app), due(app)
    picky = _PickyDispatcher(FixedClock(MONDAY), refused=str(broken))
    with pytest.raises(Unavailable, match=f"job {broken} could not be started"):
        Attempts(app.store, picky).hand_over()
    assert [order.job for order in app.store.orders()] == [str(broken)]
    assert app.store.job(sound).state is JobState.CONFIGURING


class _PickyDispatcher(RecordingDispatcher):
    def __init__(self, clock: FixedClock, *, refused: str) -> None:
        super().__init__(clock)
        self._refused = refused

    def dispatch(self, order: DispatchOrder) -> None:
        if order.job == self._refused:
            raise Unavailable(f"job {order.job} could not be started")
        super().dispatch(order)


class _SlowDispatcher(RecordingDispatcher):
    """Takes its time, and counts how often it is asked."""

    def __init__(self) -> None:
        super().__init__(FixedClock(MONDAY))
        self.given: list[str] = []

    def dispatch(self, order: DispatchOrder) -> None:
        self.given.append(order.job)
        time.sleep(0.2)
        super().dispatch(order)
