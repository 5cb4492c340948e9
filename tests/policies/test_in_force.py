"""Whatever happens in between, a job is only ever handed over where the policies in force at that moment allow it.

Jobs come, change and go back to the queue, sites are drained, days pass and evidence with them, policies are replaced,
signed, not signed, tampered with; csched's own planner takes turns with one that heeds the rules and one that does not.
A third reader, in policy_oracle.py, judges every order that reaches the dispatcher, and every plan by a month's shares.
"""

import functools
import json
import shutil
import tempfile
from contextlib import nullcontext
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
from policy_oracle import Oracle, Scene
from policy_strategies import CLASSES, COUNTRIES, GROUPS, NOW, TENANTS, jobs, links, rule_sets, sites, sources
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
from csched_policies.policy_set import PolicySet

SCRIPT = Script(body="#!/bin/sh\n", work_dir="/", stdout="/dev/null")
PLACE = {"grid_zone": "FR", "pue": 1.2, "partitions": [{"name": "p", "hardware": "dgx-h100", "nodes": 100}]}
INSTEAD_OF = ["eu27", "eea", "adequate-gdpr", "adequate-fadp", "adequate-ukgdpr"]
"""The shipped files whose names the groups of the tests take, in the order of GROUPS: otherwise both would count."""
LIMITS_H = [1, 30, 24 * 10]
DATASETS = {
    "scans": {"class": "health", "law": "GDPR", "home_site": "s0", "size_gb": 100, "egress": "forbidden"},
    "copies": {"class": "special", "law": "FADP", "home_site": "s1", "size_gb": 9, "replicas": ["s0"]},
    "weather": {"class": "public", "home_site": "s1", "size_gb": 0},
}
NAMES = st.sampled_from([[], [], ["weather"], ["scans"], ["copies", "weather"], ["copies", "scans"], ["nobody-knows"]])
"""Of those that nobody knows few: a job that no site may have is held, and shows nothing."""


@st.composite
def shares(draw):
    """At most one rule of a tenant's month, as a list."""
    if draw(st.booleans()):
        return []
    outside = draw(st.lists(st.sampled_from([*COUNTRIES, "@UNION"]), min_size=1, max_size=2, unique=True))
    return [share_of(draw(st.sampled_from([0, 30, 60])), outside)]


def share_of(percent, outside):
    share = {"at_most_pct": percent, "outside": outside, "per": "month"}
    head = {"id": "share", "version": 1, "because": "a contract", "owner": "dpo@example.eu", "review_by": "2027-05-01"}
    return {**head, "enforce": "hard", "mode": "enforce", "require": {"tenant.gpu_hours": share}}


@functools.cache
def empty_database() -> Path:
    """Made once and copied: bringing the schema up to date takes longer than a whole run."""
    folder = Path(tempfile.mkdtemp(prefix="csched-empty-"))
    Repository(f"sqlite:///{folder / 'csched.db'}").close()
    return folder / "csched.db"


class Site(RuleBasedStateMachine):
    submitted = Bundle("submitted")

    @initialize(
        facts=st.lists(sites(), min_size=2, max_size=2), joined=links(2), first=rule_sets(most=2), more=shares()
    )
    def open(self, facts, joined, first, more) -> None:
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
        self._write([*first, *more], [])
        self._sign()
        places = {"policies": self.folder, "policy_keys": trust, "fleet": self.home / "fleet.yaml"}
        self.app = App(Settings(home=self.home, **places), self.clock)
        self.recorder = RecordingDispatcher(self.clock)
        self.app.__dict__["dispatcher"] = self.recorder
        self.judged: set[str] = set()

    def _write(self, rules, excepted) -> None:
        kept = {name: (self.folder / name).read_bytes() for name in ("MANIFEST.json", "MANIFEST.sig") if self.in_force}
        shutil.rmtree(self.folder, ignore_errors=True)
        files = {**sources(rules), "facts/datasets.yaml": json.dumps(DATASETS)}
        files |= {f"exceptions/{each['id']}.yaml": json.dumps(each) for each in excepted}
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

    @rule(target=submitted, columns=jobs(), names=NAMES, hours=st.sampled_from(LIMITS_H))
    def submit(self, columns, names, hours) -> int:
        known = {name: value for name, value in columns.items() if value is not None}
        told = {**known, "datasets": names, "time_limit_s": hours * 3600}
        return self.app.submit(Job.model_validate(told), SCRIPT, name="x")

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

    @rule(data=st.data(), rules=rule_sets(most=3), more=shares(), signed=st.sampled_from([True, True, False]))
    def change_policies(self, data, rules, more, signed) -> None:
        liftable = [each for each in rules if each["enforce"] == "overridable"]
        drawn = data.draw(st.lists(exceptions(liftable), max_size=2)) if liftable else []
        self._write([*rules, *more], [{"id": f"e{number}", **each} for number, each in enumerate(drawn)])
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
    def plan_by_the_engine(self) -> None:
        """It puts hours abroad only where the share of the month is kept, what has been used already included."""
        before, jobs = set(self.recorder.orders), self.app.store.jobs(states=[JobState.PENDING])
        used = self.app.snapshot().usage
        plan = self.app.plan_once()
        self._judge_orders(before)
        tenant_of = {record.job.job: record.job.tenant for record in jobs}
        hours_of = {record.job.job: record.job.gpus * record.job.time_limit_s / 3600 for record in jobs}
        planned = [(tenant_of[each.job], each.site, hours_of[each.job]) for each in plan.placements] if plan else []
        for share in [each for each in self.in_force[0] if each["id"] == "share"]:
            self._judge_share(
                share["require"]["tenant.gpu_hours"], [(u.tenant, u.site, u.gpu_h) for u in used], planned
            )

    def _judge_share(self, share, used, planned) -> None:
        oracle = self._oracle()
        abroad = {
            site["id"]
            for site in self.facts
            if site["country"] is None
            or not oracle.member(site["country"], share["outside"], False, Scene({}, site, self.clock.now()))
        }
        for tenant in {owner for owner, site, _ in planned if site in abroad}:
            hours = [(site, gpu_h) for owner, site, gpu_h in (*used, *planned) if owner == tenant]
            spent, total = sum(gpu_h for site, gpu_h in hours if site in abroad), sum(gpu_h for _, gpu_h in hours)
            assert spent <= share["at_most_pct"] / 100 * total + 1e-6, (tenant, share, hours)

    def _oracle(self) -> Oracle:
        return Oracle(GROUPS, TENANTS, self.in_force[1], self.facts, self.links, datasets=DATASETS)

    @rule()
    def hand_over(self) -> None:
        before = set(self.recorder.orders)
        self.app.attempts.hand_over()
        self._judge_orders(before)

    def _judge_orders(self, before) -> None:
        rules, oracle = self.in_force[0], self._oracle()
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
    @initialize(
        facts=st.lists(sites(), min_size=2, max_size=2), joined=links(2), first=rule_sets(most=2), more=shares()
    )
    def open(self, facts, joined, first, more) -> None:
        super().open(facts, joined, first, more)
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


@pytest.mark.parametrize("counted", [True, False])
def test_without_its_row_a_share_would_be_found_exceeded(counted: bool, monkeypatch) -> None:
    """The only job of a tenant would be all of its month, and three tenths may lie abroad."""
    if not counted:
        monkeypatch.setattr(PolicySet, "quotas", lambda *_: ())
    site = Site()
    try:
        site.open(facts=[{"country": "DE"}, {"country": "US"}], joined=[], first=[], more=[share_of(30, ["FR"])])
        told = {"job": "one", "gpus": 8, "time_limit_s": 3600, "tenant": "acme"}
        site.submit(columns=told, names=[], hours=1)
        with nullcontext() if counted else pytest.raises(AssertionError, match="at_most_pct"):
            site.plan_by_the_engine()
        assert site.recorder.orders.keys() == site.judged
        assert bool(site.judged) is not counted
    finally:
        site.teardown()
