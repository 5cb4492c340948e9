"""Whatever happens in between, a job is only ever handed over where the policies in force at that moment allow it.

Jobs come, change and go back to the queue, sites are drained, days pass and evidence with them, policies are replaced,
signed, not signed, tampered with; a planner that heeds the rules takes turns with one that does not. A third reader, in
policy_oracle.py, judges every order that reaches the dispatcher.
"""

import functools
import json
import shutil
import tempfile
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from policy_oracle import Oracle
from policy_strategies import CLASSES, GROUPS, NOW, TENANTS, jobs, links, rule_sets, sites, sources
from test_exceptions import exceptions

from csched.app import App
from csched.clock import FixedClock
from csched.domain.job import Job
from csched.domain.run import JobState, Script
from csched.keys import generate_key, read_private_key
from csched.settings import Settings
from csched.store.repository import Repository
from csched.testing.planner import everything_at
from csched.testing.world import RecordingDispatcher
from csched_policies.manifest import sign

SCRIPT = Script(body="#!/bin/sh\n", work_dir="/", stdout="/dev/null")
PLACE = {"grid_zone": "FR", "pue": 1.2, "partitions": [{"name": "p", "hardware": "dgx-h100", "nodes": 100}]}
INSTEAD_OF = ["eu27", "eea", "adequate-gdpr", "adequate-fadp", "adequate-ukgdpr"]
"""The shipped files whose names the groups of the tests take, in the order of GROUPS: otherwise both would count."""
LIMITS_H = [1, 30, 24 * 10]


@functools.cache
def empty_database() -> Path:
    """Made once and copied: bringing the schema up to date takes longer than a whole run."""
    folder = Path(tempfile.mkdtemp(prefix="csched-empty-"))
    Repository(f"sqlite:///{folder / 'csched.db'}").close()
    return folder / "csched.db"


class Site(RuleBasedStateMachine):
    submitted = Bundle("submitted")

    @initialize(facts=st.lists(sites(), min_size=2, max_size=2), joined=links(2), first=rule_sets(most=2))
    def open(self, facts, joined, first) -> None:
        self.links = joined
        self.home = Path(tempfile.mkdtemp(prefix="csched-in-force-"))
        shutil.copy(empty_database(), self.home / "csched.db")
        self.facts = [{**each, "id": f"s{number}"} for number, each in enumerate(facts)]
        fleet = {"schema": "csched/fleet/1", "sites": [{**each, **PLACE} for each in self.facts], "links": joined}
        (self.home / "fleet.yaml").write_text(json.dumps(fleet))
        self.key, self.folder = self.home / "key", self.home / "policies"
        trust = generate_key(self.key)
        self.in_force: tuple[list, list] | None = None
        self.clock = FixedClock(NOW)
        self._write(first, [])
        self._sign()
        places = {"policies": self.folder, "policy_keys": trust, "fleet": self.home / "fleet.yaml"}
        self.app = App(Settings(home=self.home, **places), self.clock)
        self.recorder = RecordingDispatcher(self.clock)
        self.app.__dict__["dispatcher"] = self.recorder
        self.judged: set[str] = set()

    def _write(self, rules, excepted) -> None:
        kept = {name: (self.folder / name).read_bytes() for name in ("MANIFEST.json", "MANIFEST.sig") if self.in_force}
        shutil.rmtree(self.folder, ignore_errors=True)
        files = {**sources(rules), **{f"exceptions/{each['id']}.yaml": json.dumps(each) for each in excepted}}
        for name, text in files.items():
            file = self.folder / (_instead(name) if name.startswith("groups/") else name)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        for name, raw in kept.items():
            (self.folder / name).write_bytes(raw)
        self.written = (rules, excepted)

    def _sign(self) -> None:
        sign(self.folder, read_private_key(self.key), self.clock.now())
        self.in_force = self.written

    @rule(target=submitted, columns=jobs(), hours=st.sampled_from(LIMITS_H))
    def submit(self, columns, hours) -> int:
        known = {name: value for name, value in columns.items() if value is not None}
        return self.app.submit(Job.model_validate({**known, "time_limit_s": hours * 3600}), SCRIPT, name="x")

    @rule(job=submitted, data_class=st.sampled_from(CLASSES), what=st.sampled_from(["relabel", "release", "cancel"]))
    def meddle(self, job, data_class, what) -> None:
        record = self.app.store.job(job)
        if what == "cancel" and not record.state.final:
            self.app.store.request_cancel(job)
        elif record.state is JobState.PENDING:
            if what == "relabel":
                self.app.store.update(job, {"data_class": data_class})
            elif record.hold:
                self.app.store.release(job)

    @rule(data=st.data(), rules=rule_sets(most=3), signed=st.sampled_from([True, True, False]))
    def change_policies(self, data, rules, signed) -> None:
        liftable = [each for each in rules if each["enforce"] == "overridable"]
        drawn = data.draw(st.lists(exceptions(liftable), max_size=2)) if liftable else []
        self._write(rules, [{"id": f"e{number}", **each} for number, each in enumerate(drawn)])
        if signed:
            self._sign()

    @rule(days=st.sampled_from([1, 6, 14]))
    def days_pass(self, days) -> None:
        self.clock.set(self.clock.now() + timedelta(days=days))

    @rule(site=st.sampled_from(["s0", "s1"]), on=st.booleans())
    def drain(self, site, on) -> None:
        if on:
            self.app.drain(site, "maintenance")
        else:
            self.app.resume(site)

    @rule(obedient=st.booleans(), site=st.sampled_from(["s0", "s1"]), at_once=st.booleans())
    def plan(self, obedient, site, at_once) -> None:
        """At the first lawful site of each job, or all at one site, lawful or not."""
        pending = self.app.store.jobs(states=[JobState.PENDING])
        now = self.clock.now()
        verdicts = self.app.policies_in_force().screen([record.job for record in pending], self.app.fleet, now)
        for record in pending:
            end = now + timedelta(seconds=record.job.time_limit_s)
            lawful = [
                verdict.site
                for verdict in verdicts[record.job.job]
                if verdict.allowed and (verdict.latest_end is None or end <= verdict.latest_end)
            ]
            for place in (lawful if obedient else [site])[:1]:
                self.app.store.commit(everything_at([record.job], place, "p", now), {record.id: record.revision})
        if at_once:
            self.hand_over()

    @rule()
    def hand_over(self) -> None:
        before = set(self.recorder.orders)
        self.app.attempts.hand_over()
        rules, excepted = self.in_force
        oracle = Oracle(GROUPS, TENANTS, excepted, self.facts, self.links)
        for attempt, order in self.recorder.orders.items():
            if attempt in before:
                continue
            job = self.app.store.job(int(order.job)).job
            site = next(each for each in self.facts if each["id"] == order.site)
            now, end = self.clock.now(), self.clock.now() + timedelta(seconds=order.time_limit_s)
            assert oracle.allows_until(rules, job.model_dump(mode="json"), site, now, end), (order.site, job)
            self.judged.add(attempt)

    @invariant()
    def nothing_is_handed_over_unjudged(self) -> None:
        if hasattr(self, "recorder"):
            assert set(self.recorder.orders) == self.judged
            assert self.app.store.withdrawals().disputed == 0, "the two readers of csched disagree"

    def teardown(self) -> None:
        if hasattr(self, "app"):
            self.app.close()
            shutil.rmtree(self.home)


class WithoutSecondLook(Site):
    @initialize(facts=st.lists(sites(), min_size=2, max_size=2), joined=links(2), first=rule_sets(most=2))
    def open(self, facts, joined, first) -> None:
        super().open(facts, joined, first)
        self.app.attempts.gate = None


def _instead(name):
    return f"groups/{INSTEAD_OF[int(Path(name).stem)]}.yaml"


FEW = settings(max_examples=25, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck))
TestPoliciesInForce = Site.TestCase
TestPoliciesInForce.settings = FEW


def test_without_the_second_look_an_order_against_the_rules_would_be_found() -> None:
    with pytest.raises(AssertionError, match="allows_until"):
        run_state_machine_as_test(
            WithoutSecondLook, settings=settings(FEW, max_examples=60, derandomize=True, phases=[Phase.generate])
        )
