"""What another set of rules would change: who, where, because of which clause; nothing is left out or made up."""

import json
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from policy_strategies import DAYS, GROUPS, NOW, fleet, job, jobs, policies, rule_sets, sites, sources

from csched import shipped
from csched.app import App
from csched.cli import main
from csched.domain.job import Job
from csched.domain.run import Script
from csched.settings import Settings
from csched_policies.difference import Turn, compare
from csched_policies.load import load_sources

HEAD = {
    "version": 1,
    "because": "a contract",
    "owner": "dpo@example.eu",
    "review_by": "2027-05-01",
    "enforce": "hard",
    "mode": "enforce",
}
FLEET = fleet([{"country": "FR"}, {"country": "NO"}])
HEALTH = job({"job": "scan", "gpus": 8, "time_limit_s": 60, "data_class": "health", "tenant": "clinic"})
PUBLIC = job({"job": "web", "gpus": 8, "time_limit_s": 60, "data_class": "public", "tenant": "acme"})


def rule(where: object, name: str = "home", **more: object) -> dict[str, object]:
    return {"id": name, **HEAD, "when": {"data.class": {"at_least": "health"}}, "require": where, **more}


def test_a_narrower_rule_closes_a_site_for_the_jobs_it_is_for() -> None:
    old, new = (
        policies([rule({"site.country": {"in": ["FR", "NO"]}})]),
        policies([rule({"site.country": {"in": ["FR"]}})]),
    )
    found = compare(old, new, [HEALTH, PUBLIC], FLEET, NOW)
    assert (found.jobs, found.decisions, found.changed) == (2, 4, ("scan",))
    (one,) = found.classes
    assert one.labels == {"data.class": "health"}
    assert (one.jobs, one.examples, one.sites_before, one.sites_after) == (1, ("scan",), 2, 1)
    (change,) = one.changes
    assert (change.site, change.turn) == ("s1", Turn.CLOSED)
    (cause,) = change.causes
    assert (cause.rule, cause.clause, cause.seen) == ("home", "site.country", "NO")
    assert (cause.needed_before, cause.needed_after) == ("one of FR, NO", "one of FR")
    assert cause.because == ("rule changed",)
    back = compare(new, old, [HEALTH, PUBLIC], FLEET, NOW).classes[0].changes[0]
    assert (back.turn, back.causes[0].needed_before) == (Turn.OPENED, "one of FR")


@pytest.mark.parametrize(("order", "because"), [((0, 1), "rule added"), ((1, 0), "rule removed")])
def test_a_rule_that_comes_or_goes_is_named(order: tuple[int, int], because: str) -> None:
    other = rule({"site.spe": {"eq": True}}, "other", enforce="advisory")
    sets = [policies([other]), policies([other, rule({"site.country": {"in": ["FR"]}})])]
    found = compare(sets[order[0]], sets[order[1]], [HEALTH], FLEET, NOW)
    (cause,) = found.classes[0].changes[0].causes
    assert cause.because == (because,)
    assert {cause.needed_before, cause.needed_after} == {None, "one of FR"}
    assert [change.message for change in found.content] == [f"rule home {because.removeprefix('rule ')}"]


def test_a_changed_group_shows_though_no_rule_changed() -> None:
    rules = [rule({"site.country": {"in": ["@AREA"]}})]
    old, new = policies(rules), policies(rules, groups={**GROUPS, "AREA": ["FR", "DE", "CH"]})
    found = compare(old, new, [HEALTH, PUBLIC], FLEET, NOW)
    assert [change.message for change in found.content] == ["group AREA changed: CH joined; NO left"]
    (cause,) = found.classes[0].changes[0].causes
    assert (cause.seen, cause.needed_before, cause.because) == ("NO", "one of @AREA", ("group AREA changed",))


def test_a_member_that_ends_earlier_bounds_jobs_earlier() -> None:
    rules = [rule({"site.country": {"in": ["@AREA"]}})]
    dated = {**GROUPS, "AREA": ["FR", {"country": "NO", "valid_until": DAYS[4]}]}
    found = compare(policies(rules), policies(rules, groups=dated), [HEALTH], FLEET, NOW)
    (change,) = found.classes[0].changes
    assert (change.site, change.turn, change.until_before) == ("s1", Turn.BOUNDED, None)
    assert change.until_after == NOW + timedelta(days=7)
    assert change.causes[0].because == ("group AREA changed",)
    assert "NO always, now until" in found.content[0].message


def test_changed_tenants_show() -> None:
    rules = [rule({"site.country": {"in": ["@tenant.country"]}})]
    new = policies(rules, tenants={"clinic": {"country": "NO"}})
    found = compare(policies(rules), new, [HEALTH], FLEET, NOW)
    assert {change.site: change.turn for change in found.classes[0].changes} == {"s0": Turn.CLOSED, "s1": Turn.OPENED}
    assert found.classes[0].changes[0].causes[0].because == ("tenants changed",)
    assert (found.stranded, found.rescued) == (0, 0)


def test_changed_datasets_show() -> None:
    files = sources([rule({"site.country": {"in": ["FR"]}})])
    old, new = (
        load_sources({**files, "facts/datasets.yaml": json.dumps({"scans": {"class": data_class}})})
        for data_class in ("public", "health")
    )
    reader = HEALTH.model_copy(update={"data_class": None, "datasets": ("scans",)})
    found = compare(old, new, [reader], FLEET, NOW)
    assert [change.message for change in found.content] == ["dataset scans changed: class public, now health"]
    (one,) = found.classes
    assert one.labels == {"data.id": ("scans",)}
    assert {change.site: change.turn for change in one.changes} == {"s1": Turn.CLOSED}
    assert one.changes[0].causes[0].because == ("datasets changed",)


def test_changed_hours_of_the_day_show() -> None:
    def at(first: str) -> dict[str, object]:
        return rule({"job.start": {"not_between": [first, "06:00"], "tz": "UTC"}})

    found = compare(policies([at("22:00")]), policies([at("21:00")]), [HEALTH, PUBLIC], FLEET, NOW)
    assert found.changed == ("scan",)
    (one,) = found.classes
    assert [(change.site, change.turn) for change in one.changes] == [("s0", Turn.HOURS), ("s1", Turn.HOURS)]
    (cause,) = one.changes[0].causes
    assert (cause.clause, cause.because) == ("job.start", ("rule changed",))
    assert (cause.needed_before, cause.needed_after) == ("outside 22:00 to 06:00 UTC", "outside 21:00 to 06:00 UTC")
    assert compare(policies([at("22:00")]), policies([at("22:00")]), [HEALTH], FLEET, NOW).changed == ()


def test_a_changed_preference_shows_and_closes_nothing() -> None:
    base = rule({"site.country": {"in": ["FR", "NO"]}})
    old, new = (policies([{**base, "prefer": {"site.country": {"in": ["FR"], "weight": weight}}}]) for weight in (1, 3))
    found = compare(old, new, [HEALTH, PUBLIC], FLEET, NOW)
    (one,) = found.classes
    assert (one.sites_before, one.sites_after) == (2, 2)
    (change,) = one.changes  # the other site has no points of either
    assert (change.site, change.turn) == ("s0", Turn.PREFERRED)
    (cause,) = change.causes
    assert (cause.seen, cause.needed_before, cause.needed_after) == ("FR", 1, 3)


def test_a_changed_share_shows_though_it_binds_no_single_job() -> None:
    def share(percent: int, outside: list[str]) -> dict[str, object]:
        asked = {"at_most_pct": percent, "outside": outside, "per": "month"}
        return {"id": "home", **HEAD, "when": {"tenant.id": {"in": ["clinic"]}}, "require": {"tenant.gpu_hours": asked}}

    lower = compare(policies([share(20, ["FR"])]), policies([share(10, ["FR"])]), [HEALTH, PUBLIC], FLEET, NOW)
    (change,) = lower.shares
    assert (change.rule, change.tenant, change.jobs) == ("home", "clinic", 1)
    assert [(each.at_most, each.sites) for each in (*change.before, *change.after)] == [(0.2, ("s1",)), (0.1, ("s1",))]
    assert lower.changed == ()
    (moved,) = compare(policies([share(20, ["FR"])]), policies([share(20, ["NO"])]), [HEALTH], FLEET, NOW).shares
    assert (moved.before[0].sites, moved.after[0].sites) == (("s1",), ("s0",))
    free = policies([rule({"site.country": {"in": ["FR"]}}, "other")])
    (gone,) = compare(policies([share(20, ["FR"])]), free, [HEALTH], FLEET, NOW).shares
    assert gone.after == ()
    assert compare(free, free, [HEALTH], FLEET, NOW).shares == ()


def test_a_new_contradiction_is_told_by_the_clauses_that_make_it() -> None:
    french, norwegian = rule({"site.country": {"in": ["FR"]}}), rule({"site.country": {"in": ["NO"]}}, "north")
    found = compare(policies([french]), policies([french, norwegian]), [HEALTH], FLEET, NOW)
    (change,) = found.classes[0].changes
    assert found.stranded == 1
    assert [(cause.rule, cause.seen, cause.needed_after) for cause in change.causes] == [("north", "FR", "one of NO")]


def test_jobs_that_lose_their_last_site_are_counted() -> None:
    old, new = policies([rule({"site.country": {"in": ["FR"]}})]), policies([rule({"site.country": {"in": ["CH"]}})])
    assert compare(old, new, [HEALTH, PUBLIC], FLEET, NOW).stranded == 1
    assert compare(new, old, [HEALTH, PUBLIC], FLEET, NOW).rescued == 1


def test_a_rule_that_only_audits_changes_no_verdict() -> None:
    old = policies([rule({"site.country": {"in": ["FR", "NO"]}})])
    audited = rule({"site.country": {"in": ["CH"]}}, "audited", mode="audit")
    new = policies([rule({"site.country": {"in": ["FR", "NO"]}}), audited])
    assert compare(old, new, [HEALTH], FLEET, NOW).changed == ()


@settings(max_examples=60, deadline=None)
@given(rule_sets(), rule_sets(), st.lists(sites(), min_size=1, max_size=3), st.lists(jobs(), max_size=8))
def test_every_changed_decision_is_reported_once(old_rules, new_rules, site_facts, job_columns) -> None:
    old, new, where = policies(old_rules), policies(new_rules), fleet(site_facts)
    crowd = [job({**columns, "job": f"j{number}"}) for number, columns in enumerate(job_columns)]
    found = compare(old, new, crowd, where, NOW)
    before, after = old.screen(crowd, where, NOW), new.screen(crowd, where, NOW)
    expected = Counter(
        (each.job, was.site)
        for each in crowd
        for was, now in zip(before[each.job], after[each.job], strict=True)
        if _allows(was) != _allows(now)
    )
    assert set(found.changed) == {changed for changed, _ in expected}
    assert sum(each.jobs for each in found.classes) == len(found.changed)
    assert sum(each.jobs * len(each.changes) for each in found.classes) == expected.total()
    assert all(change.causes for each in found.classes for change in each.changes)


def _allows(verdict):  # type: ignore[no-untyped-def]
    return verdict.allowed and (verdict.latest_end, set(verdict.bans))


JOBS, FLEET_FILE = str(shipped.example_jobs()), str(shipped.demo_fleet())


@pytest.fixture
def folders(tmp_path: Path) -> tuple[str, str]:
    """The same set twice, but for one country more."""
    for name, countries in (("old", ["FR"]), ("new", ["FR", "DE"])):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "r.yaml").write_text(json.dumps(rule({"site.country": {"in": countries}}, name="home")))
    return str(tmp_path / "old"), str(tmp_path / "new")


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(["policy", "diff", *arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_the_command_names_the_jobs_and_the_clause(capsys, folders: tuple[str, str]) -> None:
    code, out, _ = run(capsys, *folders, "--jobs", JOBS, "--fleet", FLEET_FILE, "--json")
    document = json.loads(out)
    (one,) = (each for each in document["classes"] if each["labels"].get("data.class") == "health")
    opened = next(change for change in one["changes"] if change["site"] == "munich")
    assert code == 0
    assert "oncology-scan" in one["examples"]
    assert (opened["change"], opened["causes"][0]["seen"]) == ("opened", "DE")
    assert opened["causes"][0]["needed_before"] == "one of FR"
    assert opened["causes"][0]["needed_after"] == "one of FR, DE"
    assert document["content"][0]["detail"] == "still version 1; raise it with each change"
    quiet = run(capsys, *folders, "--jobs", JOBS, "--fleet", FLEET_FILE, "--quiet")
    assert quiet[0] == 0
    assert len(quiet[1].splitlines()) == document["changed_jobs"]


def test_nothing_changes_between_a_set_and_itself(capsys, folders: tuple[str, str]) -> None:
    code, out, _ = run(capsys, folders[0], folders[0], "--jobs", JOBS, "--fleet", FLEET_FILE)
    assert code == 0
    assert "0 of 24 jobs change verdict" in out


def test_the_command_shows_hours_shares_and_preferences(capsys, tmp_path: Path) -> None:
    asked = {"at_most_pct": 20, "outside": ["FR"], "per": "month"}
    night = {"not_between": ["22:00", "06:00"], "tz": "Europe/Paris"}
    sets = {
        "old": [rule({"site.spe": {"eq": True}}, enforce="advisory")],
        "new": [
            rule({"job.start": night}),
            {"id": "share", **HEAD, "require": {"tenant.gpu_hours": asked}},
            {
                "id": "liked",
                **HEAD,
                "when": {"data.class": {"in": ["public"]}},
                "require": {"site.pue": {"le": 9}},
                "prefer": {"site.pue": {"minimise": 2}},
            },
        ],
    }
    for name, rules in sets.items():
        (tmp_path / name).mkdir()
        for each in rules:
            (tmp_path / name / f"{each['id']}.yaml").write_text(json.dumps(each))
    folders = str(tmp_path / "old"), str(tmp_path / "new")
    code, out, _ = run(capsys, *folders, "--jobs", JOBS, "--fleet", FLEET_FILE)
    assert code == 0
    document = json.loads(run(capsys, *folders, "--jobs", JOBS, "--fleet", FLEET_FILE, "--json")[1])
    assert {share["rule"] for share in document["shares"]} == {"share"}
    assert all(share["before"] == [] and share["after"][0]["at_most_pct"] == 20 for share in document["shares"])
    turns = {change["change"] for each in document["classes"] for change in each["changes"]}
    assert {"hours", "preferred"} <= turns
    words = " ".join(out.split())
    assert "rule share: at most 20 % at " in words


def test_the_jobs_of_the_last_days_come_from_the_store(capsys, tmp_path, folders, monkeypatch) -> None:
    monkeypatch.setenv("CSCHED_HOME", str(tmp_path / "home"))
    app = App(Settings())
    script = Script(body="#!/bin/sh\n", work_dir="/", stdout="/dev/null")
    now = app.clock.now()
    for age in (timedelta(days=40), timedelta(days=2)):
        one = Job(job="new", gpus=1, time_limit_s=60, data_class="health", tenant="hospital", submit=now - age)
        app.submit(one, script, name="scan")
    app.close()
    code, out, _ = run(capsys, *folders, "--since", "30d", "--json")
    document = json.loads(out)
    assert (code, document["jobs"], document["changed_jobs"]) == (0, 1, 1)
    assert document["classes"][0]["examples"] == ["2"]


@pytest.mark.parametrize(
    "wrong", [(), ("--jobs", JOBS), ("--jobs", JOBS, "--fleet", FLEET_FILE, "--since", "30d"), ("--since", "a while")]
)
def test_a_wrong_command_line_is_exit_code_2(capsys, folders: tuple[str, str], wrong: tuple[str, ...]) -> None:
    assert run(capsys, *folders, *wrong)[0] == 2
