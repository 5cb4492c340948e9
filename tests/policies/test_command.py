"""`csched policy` as a person or a program meets it."""

import json
import shutil
from pathlib import Path

import pytest

from csched import shipped
from csched.cli import main

FLEET = str(shipped.demo_fleet())
LIBRARY = str(shipped.policy_library())
HEAD = "version: 1\nbecause: x\nowner: dpo@example.eu\nreview_by: 2027-05-01\nenforce: hard\nmode: enforce\n"


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(["policy", *arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_check_accepts_the_library(capsys) -> None:
    code, out, err = run(capsys, "check", LIBRARY, "--fleet", FLEET, "--now", "2026-11-22T00:00:00Z", "--json")
    document = json.loads(out)
    assert (code, err) == (0, "")
    assert [rule["id"] for rule in document["rules"]] == sorted(rule["id"] for rule in document["rules"])
    assert document["warnings"] == []
    assert len(document["digest"]) == 64
    assert document["kinds_of_jobs"] > 0


def test_check_warns_of_reviews_that_are_overdue(capsys) -> None:
    code, _, err = run(capsys, "check", LIBRARY, "--now", "2028-01-01T00:00:00Z")
    assert code == 0
    assert err.count("its review was due") == 4


def test_check_refuses_a_typo_with_its_place(capsys, tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("id: r\n" + HEAD + "require: {site.county: {in: [FR]}}\n")
    code, out, _ = run(capsys, "check", str(tmp_path), "--json")
    error = json.loads(out)["error"]
    assert code == 3
    assert error["code"] == "BadInput"
    assert error["hint"] == "did you mean `site.country`?"
    assert error["where"] == {"file": str(tmp_path / "r.yaml"), "line": 8, "field": "require.site.county"}


def test_check_refuses_rules_that_contradict_each_other(capsys, tmp_path: Path) -> None:
    for country in ("FR", "DE"):
        text = f"id: only-{country}\n{HEAD}require: {{site.country: {{in: [{country}]}}}}\n"
        (tmp_path / f"{country}.yaml").write_text(text)
    code, out, _ = run(capsys, "check", str(tmp_path), "--json")
    error = json.loads(out)["error"]
    assert code == 3
    assert error["code"] == "PolicyContradiction"
    assert "only-DE and only-FR" in error["message"]
    assert error["where"]["line"] == 8


def test_check_of_all_packs_together_says_what_they_cannot_agree_on(capsys, tmp_path: Path) -> None:
    """Beside the library they tell too many kinds of jobs apart, and two packs name sites that are to be replaced."""
    for file in (*shipped.policy_library().glob("*.yaml"), *shipped.policy_packs().glob("*.yaml")):
        shutil.copy(file, tmp_path)
    (tmp_path / "facts").mkdir()
    shutil.copy(shipped.policy_library().parent / "facts/tenants.yaml", tmp_path / "facts")
    asked = ["check", str(tmp_path), "--fleet", str(shipped.fleets() / "eu-2026.yaml"), "--now", "2026-11-22T00:00:00Z"]
    for pack, site in (("dataset-pinned", "archive-site"), ("tenant-on-premises", "acme-basement")):
        code, _, err = run(capsys, *asked)
        assert code == 3
        assert f"{pack}.yaml:15: require.site.id.in: `{site}` is not a site of this fleet" in err
        (tmp_path / f"{pack}.yaml").unlink()
    code, out, err = run(capsys, *asked)
    assert (code, out) == (3, "")
    assert "only every two of them are tried together" in err
    assert "no site can meet rules health-fr-hds and tenant-acme-de-c5 together" in err
    assert "because of site.country" in err


def test_check_without_a_folder_is_exit_code_3(capsys, tmp_path: Path) -> None:
    assert run(capsys, "check", str(tmp_path / "absent"))[0] == 3


def test_test_runs_the_cases(capsys) -> None:
    code, out, _ = run(capsys, "test", LIBRARY, "--json")
    document = json.loads(out)
    assert (code, document["failed"], document["clauses_without_case"]) == (0, 0, [])
    assert document["passed"] == len(document["cases"]) > 30


def test_test_names_the_case_that_fails(capsys, tmp_path: Path) -> None:
    cases = "tests:\n  - {site: {country: FR}, expect: allow}\n  - {site: {country: DE}, expect: allow}\n"
    (tmp_path / "r.yaml").write_text(f"id: r\n{HEAD}require: {{site.country: {{in: [FR]}}}}\n{cases}")
    code, out, err = run(capsys, "test", str(tmp_path))
    assert code == 3
    assert err == ""
    assert "r.yaml:11" in out
    assert "1 of 2 cases as expected" in out
    assert run(capsys, "test", str(tmp_path), "--quiet")[1] == "r 2\n"


def test_explain_says_for_each_site_what_was_seen_and_needed(capsys) -> None:
    jobs = str(shipped.example_jobs())
    code, out, _ = run(capsys, "explain", "--job", jobs, "--fleet", FLEET, "--now", "2026-11-22T00:00:00Z", "--json")
    answers = {answer["job"]: answer["sites"] for answer in json.loads(out)["jobs"]}
    assert code == 0
    sites = {site["site"]: site for site in answers["oncology-scan"]}
    assert sites["essonne"]["allowed"]
    assert sites["essonne"]["latest_end"] == "2030-05-01T00:00:00Z"
    denial = next(d for d in sites["munich"]["denials"] if d["rule"] == "health-fr-hds")
    assert (denial["clause"], denial["seen"], denial["needed"]) == ("site.country", "DE", "one of FR")


def test_explain_can_be_read_by_a_person(capsys) -> None:
    jobs = str(shipped.example_jobs())
    code, out, _ = run(capsys, "explain", "--job", jobs, "--fleet", FLEET, "--policies", LIBRARY)
    assert code == 0
    assert " ".join(out.split()).count("site.country is DE, and rule health-fr-hds needs one of FR") == 2


def test_explain_names_the_nearest_miss_the_ranking_and_what_audited_rules_would_refuse(capsys, tmp_path) -> None:
    strict = "require: {site.country: {in: [CH]}, site.spe: {eq: true}}"
    liking = "require: {site.country: {not_in: [US]}}\nprefer: {site.pue: {minimise: 2}}"
    audited = HEAD.replace("mode: enforce", "mode: audit")
    texts = {
        "a": f"id: a\n{HEAD}when: {{data.class: {{in: [health]}}}}\n{strict}",
        "b": f"id: b\n{HEAD}{liking}",
        "c": f"id: c\n{audited}require: {{job.start: {{not_between: ['22:00', '06:00'], tz: Europe/Paris}}}}",
    }
    for name, text in texts.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    (tmp_path / "jobs.csv").write_text(
        "job,gpus,time_limit_s,data_class\nplain,8,60,public\nstrict,8,60,health\n", encoding="utf-8"
    )
    told = ["explain", "--job", str(tmp_path / "jobs.csv"), "--fleet", FLEET, "--policies", str(tmp_path)]
    document = json.loads(run(capsys, *told, "--json")[1])
    plain, refused = document["jobs"]
    assert plain["nearest_miss"] is None
    assert plain["ranking"] == ["kajaani", "bologna", "essonne", "munich"]
    assert plain["sites"][2]["points"] == 2.0
    assert refused["ranking"] == []
    assert refused["nearest_miss"]["site"] == "essonne"
    assert {"rule": "a", "clause": "site.country", "seen": "FR", "needed": "one of CH"} in refused["nearest_miss"][
        "clauses"
    ]
    (told_of,) = document["audit"]
    assert (told_of["rule"], told_of["clauses"]) == ("c", ["job.start"])
    assert (told_of["refused"], told_of["decisions"], told_of["stranded"]) == (8, 8, ["plain"])
    text = " ".join(run(capsys, *told)[1].split())
    assert "rule c only reports; enforced, it would refuse 8 of 8 decisions, because of job.start" in text
    assert "nearest" in text


def test_test_names_the_clauses_that_no_case_has_seen_say_no(capsys, tmp_path: Path) -> None:
    cases = "tests: [{site: {country: DE, spe: true}, expect: deny}]\n"
    (tmp_path / "r.yaml").write_text(
        f"id: r\n{HEAD}require: {{site.country: {{in: [FR]}}, site.spe: {{eq: true}}}}\n{cases}"
    )
    code, out, err = run(capsys, "test", str(tmp_path), "--json")
    assert code == 0
    assert json.loads(out)["clauses_without_case"] == [{"rule": "r", "clause": "site.spe"}]
    assert "no case of rule r is denied by site.spe" in err
