"""Before an order leaves the store the rules in force are read once more; what they refuse reaches no dispatcher."""

import json
import shutil
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from csched import shipped
from csched.api.application import create_api
from csched.api.metrics import metrics_text
from csched.app import App
from csched.cli import main
from csched.clock import FixedClock
from csched.daemon import Daemon
from csched.domain.job import DataClass, Job
from csched.domain.run import JobState, Script
from csched.domain.verdict import SiteVerdict
from csched.errors import CschedError, InputError
from csched.keys import generate_key, read_private_key
from csched.settings import Settings
from csched.testing.builders import MONDAY
from csched.testing.planner import everything_at
from csched.testing.world import RecordingDispatcher
from csched_policies.manifest import sign
from csched_policies.signed import DENY_ALL

SCRIPT = Script(body="#!/bin/sh\n", work_dir="/", stdout="/dev/null")


class Place:
    """A home with signed policies and a dispatcher that only writes down what it gets."""

    def __init__(self, home: Path) -> None:
        self.home, self.folder = home, home / "policies"
        shutil.copytree(shipped.policy_library(), self.folder)
        shutil.copytree(shipped.policy_library().parent / "facts", self.folder / "facts")
        self.key = home / "policy.key"
        self.trust = generate_key(self.key)
        self.sign()
        self.clock = FixedClock(MONDAY)
        self.app = self.open()

    def open(self) -> App:
        app = App(Settings(home=self.home, policies=self.folder, policy_keys=self.trust), self.clock)
        self.recorder = app.__dict__["dispatcher"] = RecordingDispatcher(self.clock)
        return app

    def sign(self) -> None:
        sign(self.folder, read_private_key(self.key), MONDAY)

    def submit(self, data_class: str = "health", tenant: str = "hospital", hours: int = 1) -> int:
        job = Job(job="n", gpus=8, time_limit_s=3600 * hours, tenant=tenant, data_class=DataClass(data_class))
        return self.app.submit(job, SCRIPT, name="x")

    def plan(self, job_id: int, site: str, partition: str) -> None:
        record = self.app.store.job(job_id)
        plan = everything_at([record.job], site, partition, self.clock.now())
        self.app.store.commit(plan, {job_id: record.revision})

    def forbid_france(self, version: int = 2) -> None:
        file = self.folder / "health-fr-hds.yaml"
        file.write_text(
            file.read_text().replace("version: 1", f"version: {version}").replace("{in: [FR]}", "{in: [DE]}")
        )


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    made.app.close()


def started(place: Place) -> list[str]:
    return [order.job for order in place.recorder.orders.values()]


def test_what_the_rules_allow_is_handed_over(place: Place) -> None:
    job_id = place.submit()
    place.plan(job_id, "essonne", "gb300")
    place.app.poll()
    assert started(place) == [str(job_id)]
    assert place.app.store.withdrawals().last_at is None


def test_a_plan_against_the_rules_does_not_reach_the_dispatcher(place: Place) -> None:
    """The planner is wrong, both readers say so: back to the queue, and held once it has happened three times."""
    job_id = place.submit()
    with capture_logs() as logs:
        for _ in range(3):
            place.plan(job_id, "munich", "b200")
            place.app.poll()
    record = place.app.store.job(job_id)
    assert started(place) == []
    assert (record.state, record.reason, record.hold) == (JobState.PENDING, "PolicyOutdated", "policy")
    assert record.placement is None
    assert record.message is not None
    assert "health-fr-hds" in record.message
    assert [log["log_level"] for log in logs] == ["warning"] * 3
    assert place.app.store.withdrawals().outdated == 3


def test_policies_that_changed_after_the_plan_send_the_job_back(place: Place) -> None:
    job_id = place.submit()
    place.plan(job_id, "essonne", "gb300")
    place.forbid_france()
    place.sign()
    place.app.poll()
    record = place.app.store.job(job_id)
    assert started(place) == []
    assert (record.state, record.hold, record.reason) == (JobState.PENDING, None, "PolicyOutdated")
    assert place.app.store.withdrawals().outdated == 1


def test_a_job_that_would_outlast_its_evidence_by_now_is_not_started(place: Place) -> None:
    end = place.app.policies.screen([Job(job="a", gpus=1, time_limit_s=60, data_class="health", tenant="hospital")],
                                    place.app.fleet, MONDAY)["a"][0].latest_end  # fmt: skip
    assert end is not None
    job_id = place.submit(hours=2)
    place.plan(job_id, "essonne", "gb300")
    place.clock.set(end - timedelta(hours=1))
    place.app.poll()
    assert started(place) == []
    assert place.app.store.job(job_id).state is JobState.PENDING


def test_when_the_readers_disagree_the_job_is_held_and_everybody_is_told(place: Place, monkeypatch) -> None:
    """A defect in the first reader, as it might be: it allows everything."""
    policies = place.app.policies_in_force()
    everywhere = tuple(SiteVerdict(site=site.id) for site in place.app.fleet.sites)
    monkeypatch.setattr(type(policies), "screen", lambda _self, jobs, *_: {job.job: everywhere for job in jobs})
    job_id = place.submit()
    place.plan(job_id, "munich", "b200")
    with capture_logs() as logs:
        place.app.poll()
    record = place.app.store.job(job_id)
    assert started(place) == []
    assert (record.state, record.hold, record.reason) == (JobState.PENDING, "policy", "PolicyDisputed")
    assert [(log["log_level"], log["job"]) for log in logs] == [("error", str(job_id))]
    counted = place.app.store.withdrawals()
    assert (counted.disputed, counted.held) == (1, 1)
    metrics = metrics_text(place.app).decode()
    assert 'csched_dispatches_refused_total{why="disputed"} 1.0' in metrics
    assert "csched_jobs_held_by_policy 1.0" in metrics
    assert "second-look" in health(place.app)["failing"]
    monkeypatch.undo()
    place.app.store.request_cancel(job_id)
    assert "second-look" not in health(place.app)["failing"]


def health(app: App) -> dict[str, object]:
    (route,) = (route for route in create_api(app).routes if getattr(route, "path", "") == "/healthz")
    return dict(route.endpoint(app).model_dump())  # type: ignore[attr-defined]


def test_a_refused_order_that_was_to_be_cancelled_ends(place: Place) -> None:
    job_id = place.submit()
    place.plan(job_id, "munich", "b200")
    place.app.store.request_cancel(job_id)
    place.app.poll()
    assert place.app.store.job(job_id).state is JobState.CANCELLED
    assert started(place) == []


def test_what_a_dispatcher_already_has_is_not_taken_back(place: Place) -> None:
    """A crash between the start and the note of it: withdrawing would start the job a second time elsewhere."""
    job_id = place.submit()
    place.plan(job_id, "essonne", "gb300")
    (order,) = place.app.store.orders()
    place.recorder.dispatch(order)
    place.forbid_france()
    place.sign()
    place.app.poll()
    place.app.poll()
    record = place.app.store.job(job_id)
    assert (record.state, record.attempts, len(place.recorder.orders)) == (JobState.RUNNING, 1, 1)


def test_a_decision_carries_the_digest_of_the_set_in_force(place: Place) -> None:
    first = place.app.policies_in_force().digest
    place.submit()
    assert place.app.plan_once().policy_digest == first  # type: ignore[union-attr]
    place.forbid_france()
    place.submit()
    assert place.app.plan_once().policy_digest == first  # type: ignore[union-attr]
    place.sign()
    place.submit()
    plan = place.app.plan_once()
    assert plan is not None
    assert plan.policy_digest == place.app.policies_in_force().digest != first
    kept = place.app.store.plan()
    assert kept is not None
    assert kept.plan.policy_digest == plan.policy_digest


def test_without_a_valid_set_nothing_is_planned_and_every_door_says_why(place: Place, capsys, monkeypatch) -> None:
    place.app.close()
    place.forbid_france()
    place.app = place.open()
    job_id = place.submit("public", "uni-lyon")
    plan = place.app.plan_once()
    assert plan is not None
    assert (plan.policy_digest, plan.placements) == (DENY_ALL, ())
    assert "no valid set of policies is in force" in plan.unplaced[0].reasons[0].message
    assert place.app.store.job(job_id).state is JobState.PENDING
    with pytest.raises(InputError, match="changed since it was signed"):
        place.app.check_policies()
    assert "csched_policies_refused 1.0" in metrics_text(place.app).decode()
    for name, value in (("HOME", place.home), ("POLICIES", place.folder), ("POLICY_KEYS", place.trust)):
        monkeypatch.setenv(f"CSCHED_{name}", str(value))
    assert main(["config", "check", "--json"]) == 3
    parts = {part["part"]: part for part in json.loads(capsys.readouterr().out)["parts"]}
    assert parts["policies"]["error"]["message"] == "changed since it was signed"


def test_the_daemon_keeps_the_last_good_set_and_says_that_another_is_refused(place: Place) -> None:
    daemon = Daemon(place.app, cycle=lambda: None)
    digest = place.app.policies.digest
    beat = daemon._policies
    beat()
    place.forbid_france()
    with pytest.raises(CschedError, match="changed since it was signed"):
        beat()
    assert place.app.policies.digest == digest
    place.sign()
    beat()
    assert place.app.policies.digest != digest
    (place.folder / "later.yaml").write_text("id: later\n")
    daemon.start()
    deadline = time.monotonic() + 60
    while "policies" not in place.app.store.health().errors:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    daemon.stop()
    assert "not among the signed files" in place.app.store.health().errors["policies"]
    assert "policies" in health(place.app)["failing"]
