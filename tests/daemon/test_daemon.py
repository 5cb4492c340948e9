"""The daemon's beats: at once when asked, undisturbed by errors, alone on its home, gone when told."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread

import pytest

from csched.app import App
from csched.daemon import Daemon
from csched.domain.job import DataClass, Job
from csched.domain.plan import Plan
from csched.domain.run import JobState, Script
from csched.errors import Refused, Unavailable
from csched.settings import Settings
from csched.store.records import JobRecord
from csched.testing.planner import everything_at

_PATIENCE_S = 60
_DAEMON = Path(__file__).parent / "light_daemon.py"


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    """A home whose daemon plans rarely by itself."""
    made = App(Settings(home=tmp_path, plan_every=timedelta(hours=1), poll_every=timedelta(milliseconds=50)))
    yield made
    made.close()


def submit(app: App, body: str = "true") -> int:
    script = Script(body=f"#!/bin/sh\n{body}\n", work_dir="/", stdout=str(app.settings.home / "%j.out"))
    job = Job(job="new", gpus=8, time_limit_s=600, tenant="uni-lyon", data_class=DataClass.PUBLIC)
    return app.submit(job, script, name="test")


def until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_what_was_to_be_expected_is_logged_in_one_line(app: App, capfd: pytest.CaptureFixture[str]) -> None:
    """A defect shows where it was; a missing file does not fill the log with code."""
    errors = iter([Unavailable("the sky is away", hint="look up"), RuntimeError("boom")])

    def cycle() -> Plan | None:
        raise next(errors)

    daemon = Daemon(app, cycle=cycle)
    daemon.start()
    try:
        until(lambda: "plan" in app.store.health().errors)
        submit(app)
        until(lambda: "boom" in app.store.health().errors["plan"])
    finally:
        daemon.stop()
    expected, defect = [json.loads(line) for line in capfd.readouterr().err.splitlines() if '"failed"' in line][:2]
    assert (expected["error"], expected["hint"]) == ("the sky is away", "look up")
    assert "traceback" not in expected
    assert "raise next(errors)" in defect["traceback"]


def test_a_job_goes_the_whole_way(app: App) -> None:
    """Real fleet, policies, climatology, solver, store and processes; the end is an entry in the ledger."""
    daemon = Daemon(app)
    daemon.start()
    try:
        job_id = submit(app, "echo ran at $CSCHED_SITE")
        until(lambda: bool(app.store.ledger()))
    finally:
        daemon.stop()
    record = app.store.job(job_id)
    assert record.state is JobState.COMPLETED, record
    assert Path(record.stdout).read_text() == f"ran at {record.site}\n"
    (entry,) = app.store.ledger()
    assert (entry.job, entry.site, entry.carbon_method) == (str(job_id), record.site, "climatology")
    assert entry.kwh > 0
    assert [option.site for option in app.explain(job_id).options if option.chosen] == [record.site]


def test_a_submission_is_planned_at_once(app: App) -> None:
    planned = []

    def cycle() -> Plan | None:
        planned.append(app.store.last_job_id())
        return None

    daemon = Daemon(app, cycle=cycle)
    daemon.start()
    until(lambda: planned == [None])
    job_id = submit(app)
    until(lambda: planned == [None, job_id])
    daemon.stop()


def test_an_error_is_shown_and_ends_nothing(app: App) -> None:
    def cycle() -> Plan | None:
        if app.store.last_job_id() is None:
            raise RuntimeError("no sky today")
        return None

    daemon = Daemon(app, cycle=cycle)
    daemon.start()
    until(lambda: "no sky today" in app.store.health().errors.get("plan", ""))
    submit(app)
    until(lambda: app.store.health().plan_at is not None)
    assert app.store.health().errors == {}
    daemon.stop()


def test_a_home_has_one_daemon(app: App) -> None:
    first = Daemon(app)
    first.start()
    with pytest.raises(Refused, match="another csched daemon"):
        Daemon(app)
    first.stop()
    second = Daemon(app)
    second.start()
    second.stop()


def test_sigterm_ends_the_daemon_and_no_job(app: App) -> None:
    process = subprocess.Popen(
        [sys.executable, str(_DAEMON), str(app.settings.home)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    with process:
        job_id = submit(app, f"while [ ! -e {app.settings.home}/go ]; do sleep 0.05; done")
        until(lambda: app.store.job(job_id).state is JobState.RUNNING)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=_PATIENCE_S) == 0
    (app.settings.home / "go").touch()
    until(lambda: any(record.state is JobState.COMPLETED for record in app.poll()))


def test_stopping_waits_for_the_cycle_under_way_and_nothing_comes_after(
    app: App, capsys: pytest.CaptureFixture[str]
) -> None:
    begun, go_on, cycles = Event(), Event(), []

    def cycle() -> Plan:
        cycles.append("begun")
        begun.set()
        go_on.wait(_PATIENCE_S)
        return everything_at([], "munich", "b200", app.clock.now())

    daemon = Daemon(app, cycle=cycle)
    daemon.start()
    assert begun.wait(_PATIENCE_S)
    stopping = Thread(target=daemon.stop)
    stopping.start()
    submit(app)  # would be planned at once
    stopping.join(0.3)
    assert stopping.is_alive()
    go_on.set()
    stopping.join(_PATIENCE_S)
    events = [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()]
    assert events == ["started", "planned", "stopped"]
    assert cycles == ["begun"]


def test_a_poll_that_asks_for_a_plan_does_not_keep_the_daemon_from_stopping(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scheduler holds its lock while it shuts down, and moving a beat forward needs that lock."""
    ended = submit(app)
    app.store.request_cancel(ended)
    polling, go_on = Event(), Event()

    def poll() -> tuple[JobRecord, ...]:
        polling.set()
        go_on.wait(_PATIENCE_S)
        return (app.store.job(ended),)

    monkeypatch.setattr(app, "poll", poll)
    daemon = Daemon(app, cycle=lambda: None)
    daemon.start()
    assert polling.wait(_PATIENCE_S)
    stopping = Thread(target=daemon.stop, daemon=True)
    stopping.start()
    stopping.join(0.3)
    go_on.set()
    stopping.join(_PATIENCE_S)
    assert not stopping.is_alive()


def test_a_drained_site_gets_no_new_job(app: App) -> None:
    job_id = submit(app)
    for site in app.fleet.sites:
        app.drain(site.id, "maintenance")
    app.plan_once()
    record = app.store.job(job_id)
    assert record.state is JobState.PENDING
    assert record.placement is None
    for site in app.fleet.sites:
        assert app.resume(site.id)
    app.plan_once()
    assert app.store.job(job_id).placement is not None
