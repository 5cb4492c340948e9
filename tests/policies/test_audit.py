"""What rules in audit mode would have refused: listed for the jobs of the last days, with those that ran there."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from policy_strategies import NOW, fleet, job, policies

from csched import shipped
from csched.app import App
from csched.cli import main
from csched.domain.job import Job
from csched.domain.run import JobState, Script
from csched.settings import Settings
from csched.testing.planner import everything_at
from csched_policies.auditing import audited

HEAD = {"version": 1, "because": "a contract", "owner": "dpo@example.eu", "review_by": "2027-05-01"}
WHERE = fleet([{"country": "FR"}, {"country": "DE"}, {"country": "NO"}])


def rule(name, countries, mode="audit", enforce="hard"):
    when = {"data.class": {"at_least": "health"}}
    return {
        "id": name, **HEAD, "enforce": enforce, "mode": mode,
        "when": when, "require": {"site.country": {"in": countries}},
    }  # fmt: skip


def crowd():
    columns = {"gpus": 1, "time_limit_s": 60, "tenant": "acme"}
    return [job({"job": name, **columns, "data_class": each}) for name, each in (("a", "health"), ("b", "public"))]


def test_it_counts_decisions_jobs_and_last_sites_of_each_rule() -> None:
    loaded = policies([rule("applied", ["FR", "DE"], mode="enforce"), rule("narrow", ["DE"]), rule("none", ["CH"])])
    narrow, none = audited(loaded.screen(crowd(), WHERE, NOW), {"a": "s0", "b": "s0"})
    assert (narrow.rule, narrow.clauses, narrow.decisions, narrow.refused) == ("narrow", ("site.country",), 6, 2)
    assert (narrow.jobs, narrow.stranded, narrow.ran) == (("a",), (), (("a", "s0"),))
    assert (none.refused, none.jobs, none.stranded) == (3, ("a",), ("a",))


def test_a_job_that_has_no_site_anyway_loses_none() -> None:
    loaded = policies(
        [rule("applied", ["CH"], mode="enforce"), rule("narrow", ["DE"], enforce="advisory", mode="enforce")]
    )
    (narrow,) = audited(loaded.screen(crowd(), WHERE, NOW), {"b": "s0"})
    assert (narrow.refused, narrow.stranded, narrow.ran) == (2, (), ())


def test_what_is_enforced_or_met_is_not_listed() -> None:
    loaded = policies([rule("applied", ["FR"], mode="enforce"), rule("wide", ["FR", "DE", "NO"])])
    assert audited(loaded.screen(crowd(), WHERE, NOW), {}) == ()


@pytest.fixture
def folder(tmp_path: Path) -> str:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules/narrow.yaml").write_text(json.dumps(rule("narrow", ["FR"])))
    return str(tmp_path / "rules")


def test_the_command_lists_what_the_last_days_would_have_seen(capsys, tmp_path, folder, monkeypatch) -> None:
    monkeypatch.setenv("CSCHED_HOME", str(tmp_path / "home"))
    app = App(Settings())
    now, script = app.clock.now(), Script(body="#!/bin/sh\n", work_dir="/", stdout="/dev/null")
    site = next(each for each in app.fleet.sites if each.country == "DE")
    for age, data_class in ((40, "health"), (2, "health"), (1, "public")):
        submit = now - timedelta(days=age)
        one = Job(job="new", gpus=1, time_limit_s=60, data_class=data_class, tenant="hospital", submit=submit)
        app.submit(one, script, name="scan")
    pending = app.store.jobs(states=[JobState.PENDING])
    plan = everything_at([record.job for record in pending], site.id, site.partitions[0].name, now)
    app.store.commit(plan, {record.id: record.revision for record in pending})
    app.close()
    assert main(["policy", "audit", folder, "--since", "30d", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    (told,) = document["audit"]
    assert document["jobs"] == 2
    assert (told["rule"], told["clauses"], told["jobs"]) == ("narrow", ["site.country"], ["2"])
    assert told["ran"] == [{"job": "2", "site": site.id}]
    assert main(["policy", "audit", folder, "--since", "30d"]) == 0
    assert f"2 at {site.id}" in capsys.readouterr().out
    assert main(["policy", "audit", folder, "--since", "60d", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["audit"][0]["jobs"] == ["1", "2"]


def test_the_command_reads_a_file_of_jobs_too(capsys, folder) -> None:
    jobs, where = str(shipped.example_jobs()), str(shipped.demo_fleet())
    assert main(["policy", "audit", folder, "--jobs", jobs, "--fleet", where, "--quiet"]) == 0
    assert capsys.readouterr().out.split() == ["narrow"]


@pytest.mark.parametrize("wrong", [(), ("--since", "30d", "--jobs", "x.csv"), ("--jobs", "x.csv"), ("--since", "soon")])
def test_a_wrong_command_line_is_exit_code_2(folder, wrong) -> None:
    assert main(["policy", "audit", folder, *wrong]) == 2
