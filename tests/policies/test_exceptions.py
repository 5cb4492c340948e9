"""An exception lifts one overridable rule, for whom and where and until when it says, and is never used in silence."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from policy_oracle import Oracle
from policy_strategies import DAYS, GROUPS, NOW, TENANTS, fleet, job, jobs, rule_sets, sites, sources

from csched.app import App
from csched.cli import main
from csched.clock import FixedClock
from csched.domain.job import Job
from csched.domain.run import Script
from csched.domain.verdict import SiteVerdict
from csched.errors import InputError
from csched.settings import Settings
from csched.testing.planner import everything_at
from csched_policies.difference import compare
from csched_policies.load import load_policies, load_sources
from csched_policies.review import remarks

RULE = """\
id: home
version: 3
because: a contract
owner: dpo@example.eu
review_by: 2027-05-01
enforce: overridable
mode: enforce
when: {data.class: {at_least: personal}}
require: {site.country: {in: [FR]}}
"""
EXCEPTION = """\
id: benchmark
ticket: SEC-7
reason: one benchmark on synthetic records
rule: {id: home, version: 3}
whom:
  tenant.id: {in: [acme]}
  data.class: {at_most: personal}
sites: [s1]
approved_by:
  - {name: dpo@example.eu, on: 2026-11-01}
  - {name: ciso@example.eu, on: 2026-11-10}
expires: 2026-12-12
"""
END = NOW + timedelta(days=20)
FLEET = fleet([{"country": "FR"}, {"country": "NO"}, {"country": "NO"}])
ACME = job({"job": "a", "gpus": 8, "time_limit_s": 60, "data_class": "personal", "tenant": "acme"})


def load(exception: str = EXCEPTION, rule: str = RULE):  # type: ignore[no-untyped-def]
    return load_sources({"home.yaml": rule, "exceptions/benchmark.yaml": exception})


def judged(exception: str = EXCEPTION, *, who: Job = ACME, rule: str = RULE, now=NOW) -> SiteVerdict:  # type: ignore[no-untyped-def]
    return load(exception, rule).screen([who], FLEET, now)[who.job][1]


def test_an_exception_lets_through_whom_it_names_where_it_says_and_says_so() -> None:
    verdict = judged()
    assert verdict.allowed
    assert verdict.latest_end == END
    assert verdict.latest_end_reason is not None
    assert "SEC-7" in verdict.latest_end_reason.message
    (use,) = verdict.exceptions
    assert (use.exception, use.ticket, use.rule, use.version, use.until) == ("benchmark", "SEC-7", "home", 3, END)
    assert use.approved_by == ("dpo@example.eu", "ciso@example.eu")
    assert [(reason.rule, reason.clause, reason.seen) for reason in use.overridden] == [("home", "site.country", "NO")]


def test_where_the_rule_is_met_nothing_is_set_aside() -> None:
    first = load().screen([ACME], FLEET, NOW)["a"][0]
    assert (first.allowed, first.exceptions, first.latest_end) == (True, (), None)


def test_another_site_another_job_and_another_version_stay_refused() -> None:
    assert not load().screen([ACME], FLEET, NOW)["a"][2].allowed
    assert not judged(who=ACME.model_copy(update={"tenant": "lab"})).allowed
    assert not judged(who=ACME.model_copy(update={"tenant": None})).allowed
    assert not judged(who=ACME.model_copy(update={"data_class": "health"})).allowed
    assert not judged(rule=RULE.replace("version: 3", "version: 4")).allowed


def test_it_counts_from_the_last_approval_to_the_end_and_not_a_second_longer() -> None:
    second, approved = timedelta(seconds=1), NOW - timedelta(days=12)
    policies = load()
    allowed = {
        at: policies.screen([ACME], FLEET, at)["a"][1].allowed
        for at in (approved - second, approved, END - second, END)
    }
    assert list(allowed.values()) == [False, True, True, False]
    later = EXCEPTION + "valid_from: 2026-11-23\n"
    assert not judged(later).allowed
    assert judged(later, now=NOW + timedelta(days=1)).allowed


def test_an_exception_lifts_its_own_rule_only() -> None:
    other = RULE.replace("id: home", "id: other").replace("[FR]", "[DE]")
    policies = load_sources({"a.yaml": RULE, "b.yaml": other, "exceptions/benchmark.yaml": EXCEPTION})
    verdict = policies.screen([ACME], FLEET, NOW)["a"][1]
    assert [reason.rule for reason in verdict.denials] == ["other"]
    assert [use.rule for use in verdict.exceptions] == ["home"]


def test_of_two_the_one_that_ends_last_counts() -> None:
    longer = EXCEPTION.replace("id: benchmark", "id: longer").replace("2026-12-12", "2027-01-12")
    files = {"home.yaml": RULE, "exceptions/a.yaml": EXCEPTION, "exceptions/b.yaml": longer}
    verdict = load_sources(files).screen([ACME], FLEET, NOW)["a"][1]
    assert [use.exception for use in verdict.exceptions] == ["longer"]


MISTAKES = [
    ("enforce: overridable", "enforce: hard", "cannot be set aside", 4),
    ("enforce: overridable", "enforce: advisory", "cannot be set aside", 4),
    ("rule: {id: home", "rule: {id: hom", "there is no rule `hom`", 4),
    ("  - {name: ciso@example.eu, on: 2026-11-10}\n", "", "two different people", 9),
    ("ciso@example.eu", "DPO@example.eu", "approves twice", 11),
    ("expires: 2026-12-12\n", "", "`expires` is missing", 1),
    ("expires: 2026-12-12", "expires: never", "is not an ISO 8601 time", 12),
    ("expires: 2026-12-12", "expires: 2026-11-10", "must be later than the approvals", 12),
    ("expires: 2026-12-12", "expires: 2027-11-12", "at most 366 days", 12),
    ("tenant.id:", "tenant.name:", "is not a fact", 6),
    ("at_most: personal", "at_most: personel", "is not a value", 7),
    ("at_most:", "atmost:", "is not an operator", 7),
    ("tenant.id: {in: [acme]}", "site.country: {in: [FR]}", "is a fact about the site", 6),
    ("tenant.id: {in: [acme]}", 'tenant.country: {in: ["@EEA"]}', "one by one", 6),
    ("sites: [s1]", "sites: []", "at least 1", 8),
    ("sites: [s1]", "sites: [s1]\nsitess: [s1]", "unknown key `sitess`", 9),
    ("ticket: SEC-7\n", "", "`ticket` is missing", 1),
    ("reason: one", 'reason: ""\nx: one', "", 3),
    ("on: 2026-11-01}", "on: 2026-11-01, at: x}", "unknown key `at`", 10),
    ("version: 3}", "version: '3'}", "a whole number", 4),
]  # fmt: skip


@pytest.mark.parametrize(("right", "wrong", "told", "line"), MISTAKES, ids=[wrong for _, wrong, _, _ in MISTAKES])
def test_a_mistake_is_refused_with_its_line(right: str, wrong: str, told: str, line: int) -> None:
    assert right in RULE + EXCEPTION
    with pytest.raises(InputError) as refused:
        load(EXCEPTION.replace(right, wrong, 1), RULE.replace(right, wrong, 1) if right in RULE else RULE)
    assert told in refused.value.message
    assert refused.value.where is not None
    assert (refused.value.where.file, refused.value.where.line) == ("exceptions/benchmark.yaml", line)


def test_a_misspelt_word_is_answered_with_the_right_one() -> None:
    with pytest.raises(InputError) as refused:
        load(EXCEPTION.replace("rule: {id: home", "rule: {id: hom"))
    assert refused.value.hint == "did you mean `home`?"
    with pytest.raises(InputError) as refused:
        load_sources({"home.yaml": RULE, "exceptions/b.yaml": EXCEPTION.replace("[s1]", "[s11]")}, FLEET)
    assert refused.value.hint == "did you mean `s1`?"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("", "", "it ends on 2026-12-12"),
        ("expires: 2026-12-12", "expires: 2026-11-20", "it ended on 2026-11-20"),
        ("on: 2026-11-10", "on: 2026-11-25", "it counts from 2026-11-25"),
        ("version: 3", "version: 2", "so it does not count"),
    ],
)
def test_check_tells_of_exceptions_that_do_not_count_or_soon_will_not(old: str, new: str, told: str) -> None:
    assert any(told in line for line in remarks(load(EXCEPTION.replace(old, new)).content, None, NOW))


def test_a_new_exception_shows_in_the_difference_and_in_the_digest() -> None:
    without, with_it = load_sources({"home.yaml": RULE}), load()
    assert without.digest != with_it.digest
    found = compare(without, with_it, [ACME], FLEET, NOW)
    assert [change.message for change in found.content] == ["exception benchmark added"]
    (change,) = found.classes[0].changes
    assert (change.site, change.turn, change.until_after) == ("s1", "opened", END)
    assert change.causes[0].because == ("exceptions changed",)


@st.composite
def exceptions(draw, rules):
    lifted = draw(st.sampled_from(rules))
    versions = {"id": lifted["id"], "version": draw(st.sampled_from([1, 1, 1, 2]))}
    return {
        "ticket": "T-1",
        "reason": "because",
        "rule": versions,
        "whom": draw(
            st.fixed_dictionaries(
                {"tenant.id": st.just({"in": sorted(TENANTS)})},
                optional={"data.class": st.sampled_from([{"at_most": "personal"}, {"at_least": "personal"}])},
            )
        ),
        "sites": draw(st.lists(st.sampled_from(["s0", "s1"]), min_size=1, unique=True)),
        "approved_by": [{"name": name, "on": draw(st.sampled_from(DAYS[:3]))} for name in ("one", "two")],
        "expires": draw(st.sampled_from(DAYS[3:])),
    }


@settings(max_examples=80, deadline=None)
@given(st.data(), rule_sets(levels=("hard", "overridable", "overridable")), jobs(), st.integers(0, 50))
def test_the_verdict_is_what_a_second_reader_makes_of_rules_and_exceptions(data, rules, columns, hours) -> None:
    """Where the table allows, the second reader allows until the same end; where it refuses now, so does the other."""
    liftable = [rule for rule in rules if rule["enforce"] == "overridable"]
    drawn = data.draw(st.lists(exceptions(liftable), max_size=3)) if liftable else []
    written = [{"id": f"e{number}", **each} for number, each in enumerate(drawn)]
    facts = data.draw(st.lists(sites(), min_size=2, max_size=2))
    files = {**sources(rules), **{f"exceptions/{each['id']}.yaml": json.dumps(each) for each in written}}
    places = [{**each, "id": f"s{number}"} for number, each in enumerate(facts)]
    one, oracle = job(columns), Oracle(GROUPS, TENANTS, written, places)
    for number, verdict in enumerate(load_sources(files).screen([one], fleet(facts), NOW)[one.job]):
        site = {**facts[number], "id": verdict.site}
        allowed = verdict.allowed and not any(ban.forbids(NOW) for ban in verdict.bans)
        assert allowed == oracle.allows_until(rules, columns, site, NOW, NOW)
        end = min(NOW + timedelta(hours=hours), verdict.latest_end or NOW + timedelta(days=60))
        if allowed:
            assert oracle.allows_until(rules, columns, site, NOW, end)
        if verdict.exceptions and verdict.latest_end is not None:
            assert min(use.until for use in verdict.exceptions) >= verdict.latest_end


def test_every_use_is_in_the_decision_record(tmp_path: Path) -> None:
    """What explain and the store's verdicts say of a job that an exception let through."""
    folder = tmp_path / "policies"
    (folder / "exceptions").mkdir(parents=True)
    (folder / "home.yaml").write_text(RULE.replace("[FR]", "[CH]"))
    only_here = EXCEPTION.replace("[s1]", "[munich]")
    (folder / "exceptions" / "benchmark.yaml").write_text(only_here)
    app = App(Settings(home=tmp_path / "home", policies=folder), FixedClock(NOW))
    script = Script(body="#!/bin/sh\n", work_dir="/", stdout="/dev/null")
    ids = [app.submit(ACME.model_copy(update={"job": f"n{n}"}), script, name="x") for n in range(60)]
    snapshot = app.world.snapshot()
    assert len(app.world.commit(everything_at(snapshot.jobs, "munich", "b200", NOW))) == len(ids)
    for job_id in ids:
        kept = app.store.verdicts(job_id)
        assert kept is not None
        chosen = next(option for option in kept.options if option.chosen)
        assert [use.ticket for use in chosen.exceptions] == ["SEC-7"]
        assert not any(option.exceptions for option in kept.options if option.site != "munich")
    app.close()


def test_explain_shows_the_exception(capsys, tmp_path: Path) -> None:
    folder = tmp_path / "policies"
    (folder / "exceptions").mkdir(parents=True)
    (folder / "home.yaml").write_text(RULE)
    (folder / "exceptions" / "b.yaml").write_text(EXCEPTION.replace("[s1]", "[munich]"))
    assert load_policies(folder).content.exceptions
    (tmp_path / "jobs.csv").write_text("job,gpus,time_limit_s,tenant,data_class\na,8,60,acme,personal\n")
    fleet_file = str(Path(__file__).parents[2] / "traces/fleets/demo.yaml")
    wanted = ["--job", str(tmp_path / "jobs.csv"), "--fleet", fleet_file, "--policies", str(folder)]
    assert main(["policy", "explain", *wanted, "--now", "2026-11-22T00:00:00Z"]) == 0
    assert "rule home is set aside by benchmark (SEC-7)" in " ".join(capsys.readouterr().out.split())
