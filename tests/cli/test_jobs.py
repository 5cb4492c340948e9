"""A job from the command line to its account, without a daemon: the doors say what the store knows."""

import io
import json
import sys
from contextlib import closing
from pathlib import Path

import pytest

from csched.app import open_app

QUEUE_FIELDS = (
    "id name user project account state hold reason reasons site partition submit planned_start planned_end "
    "planned_kwh planned_carbon_kg wait_h start end exit_code message stdout stderr work_dir attempts tenant gpus "
    "time_limit_s expected_runtime_s earliest_start deadline hardware data_class data_site data_gb countries pattern "
    "load home_site priority portable"
).split()


def test_submit_says_what_sbatch_says_and_warns_that_nothing_moves(csched, script: Path) -> None:
    ran = csched("submit", script)
    assert (ran.code, ran.out) == (0, "Submitted batch job 1\n")
    assert "no daemon is running" in ran.err
    assert csched("submit", "--parsable", script).out == "2\n"
    assert csched("submit", "--quiet", script).out == "3\n"
    assert csched("submit", "--json", script).json == {"job_id": 4}


def test_a_submission_with_a_key_is_handed_in_once(csched, script: Path) -> None:
    assert [csched("submit", "--parsable", "--idempotency-key=a", script).out for _ in range(2)] == ["1\n", "1\n"]
    assert csched("submit", "--idempotency-key=a", "--wrap", "true", "-G", "1", "-t", "5").code == 6
    assert csched("submit", "--idempotency-key=a b", script).code == 2


def test_the_command_line_counts_more_than_the_script(csched, script: Path) -> None:
    csched("submit", "--gpus=2", "--data-class=public", "-J", "small", script, "--quiet", "an argument")
    shown = csched("show", "last", "--json").json
    assert (shown["gpus"], shown["data_class"], shown["name"]) == (2, "public", "small")


def test_a_script_from_standard_input_and_a_wrapped_command(csched, script: Path, monkeypatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(script.read_text()))
    assert csched("submit", "-").code == 0
    assert csched("submit", "-G", "1", "-t", "5", "--wrap", "echo hi").code == 0
    assert [job["name"] for job in csched("queue", "--json").json["jobs"]] == ["train", "wrap"]


def test_the_fields_of_the_queue_stay(csched, script: Path) -> None:
    csched("submit", script)
    (job,) = csched("queue", "--json").json["jobs"]
    assert [field for field in QUEUE_FIELDS if field not in job] == []
    assert csched("queue", "--quiet").out == "1\n"


def test_a_job_is_held_released_changed_and_cancelled(csched, script: Path) -> None:
    csched("submit", script)
    assert csched("hold", 1, "--json").json["jobs"][0]["hold"] == "user"
    assert "Held by user; csched release 1" in csched("queue").out
    assert csched("release", "last").code == 0
    assert csched("update", 1, "--priority=5", "--deadline=2030-01-01T00:00:00Z").code == 0
    shown = csched("show", 1, "--json").json
    assert (shown["priority"], shown["deadline"], shown["hold"]) == (5, "2030-01-01T00:00:00Z", None)
    assert csched("cancel", "all").code == 0
    assert csched("show", 1, "--quiet").out == "CANCELLED\n"
    assert csched("wait", 1, "--quiet").code == 1
    assert csched("history", "--quiet").out == "1\n"


def test_what_has_ended_cannot_be_cancelled(csched, script: Path) -> None:
    csched("submit", script)
    csched("cancel", 1)
    ran = csched("cancel", 1, "--json")
    assert (ran.code, ran.json["error"]["code"]) == (6, "Refused")


def test_ids_select(csched, script: Path) -> None:
    for _ in range(4):
        csched("submit", script)
    assert csched("hold", "2-3,1", "--quiet").out == "1\n2\n3\n"
    assert csched("hold", "last", "--quiet").out == "4\n"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["show", "99"], 3),
        (["show", "last"], 3),
        (["show", "1-"], 2),
        (["submit", "missing.sh"], 3),
        (["submit", "--gpus=0", "train.sh"], 3),
        (["submit", "--array=3-1", "train.sh"], 3),
        (["submit", "--dependency=afterok:99", "train.sh"], 3),
        (["submit", "--home-site=atlantis", "train.sh"], 3),
        (["submit", "--reservation=atlantis", "train.sh"], 3),
        (["show", "1_1"], 3),
        (["show", "1_x"], 2),
        (["show", "1_[3-1]"], 2),
        (["site", "drain", "atlantis"], 3),
        (["site", "check", "missing.yaml"], 3),
        (["replay"], 3),
        (["replay", "train.sh"], 3),
        (["token", "revoke", "7"], 3),
        (["schema", "nothing"], 2),
        (["report", "--since", "yesterday"], 2),
    ],
)
def test_bad_input_is_an_error_object_on_stdout(csched, script: Path, arguments: list[str], code: int) -> None:
    ran = csched(*arguments[:1], "--json", *arguments[1:]) if arguments[0] == "submit" else csched(*arguments, "--json")
    assert ran.code == code
    assert set(ran.json["error"]) == {"code", "message", "hint", "where"}
    assert "Traceback" not in ran.out + ran.err


def test_the_place_of_a_mistake(csched, script: Path) -> None:
    script.write_text("#!/bin/sh\n#SBATCH --gpus=x\n")
    error = csched("submit", "--json", script).json["error"]
    assert error["where"] == {"file": str(script), "line": 2, "field": "--gpus"}


def test_what_a_user_names_cannot_move_the_terminal(csched, script: Path) -> None:
    evil = script.with_name("a\x1b]0;owned\x07.sh")
    evil.write_text("#!/bin/sh\n#SBATCH -G 1 -t 5\n")
    assert csched("submit", evil).code == 0
    assert csched("submit", "--account=\x1b[31mx", script).code == 3
    assert csched("submit", "--account=[red]x", "--tenant=a\u202e", script).code == 0
    for command in (["queue"], ["show", 1], ["show", "last"], ["queue", "--json"]):
        ran = csched(*command)
        assert "\x1b" not in ran.out + ran.err
        assert "\u202e" not in ran.out


def test_an_unexpected_error_is_one_line_and_a_log(csched, home: Path, monkeypatch) -> None:
    def broken() -> None:
        raise RuntimeError("boom")

    monkeypatch.setattr("csched.app.open_app", broken)
    ran = csched("queue")
    assert (ran.code, ran.out) == (1, "")
    assert "unexpected RuntimeError: boom" in ran.err
    assert "Traceback" not in ran.err
    assert "Traceback" in (home / "errors.log").read_text()


def test_ctrl_c_is_130(csched, monkeypatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("csched.app.open_app", interrupted)
    assert csched("queue").code == 130


def test_sites_are_listed_drained_and_resumed(csched) -> None:
    first = csched("site", "list", "--json").json
    assert {"site", "country", "zone", "gpus", "g_per_kwh", "origin", "drained"} <= set(first["sites"][0])
    assert first["carbon_method"] == "climatology"
    name = first["sites"][0]["site"]
    assert csched("site", "drain", name, "--reason", "works").code == 0
    assert csched("site", "list", "--json").json["sites"][0]["drained"] == "works"
    assert csched("site", "resume", name, "--json").json == {"site": name, "was_drained": True}


def test_schemas_are_json_schema(csched) -> None:
    for name in ("fleet", "job", "jobs", "plan", "snapshot", "carbon", "policy", "scenario", "sweep"):
        schema = csched("schema", name).out
        assert '"$schema"' in schema
        assert '"additionalProperties": false' in schema
    hardware = json.loads(csched("schema", "hardware").out)
    assert hardware["properties"]["nvlink_gb_per_s"]["description"] == "null: no NVLink."


def test_the_settings_are_tried(csched, monkeypatch) -> None:
    assert csched("config", "check").code == 0
    monkeypatch.setenv("CSCHED_FLEET", "missing.yaml")
    ran = csched("config", "check", "--json")
    assert ran.code == 3
    assert {part["part"]: part["works"] for part in ran.json["parts"]}["fleet"] is False


def test_a_token_is_shown_once(csched) -> None:
    secret = csched("token", "create", "ada", "--quiet").out.strip()
    listed = csched("token", "list", "--json")
    assert secret not in listed.out
    assert listed.json["tokens"][0]["name"] == "ada"
    assert csched("token", "revoke", 1).code == 0


def test_one_job_is_planned_explained_and_decided_again(csched, script: Path, home: Path) -> None:
    """The whole way through the solver: options, plan, explanation, snapshot and replay."""
    tried = csched("submit", "--test-only", script)
    assert tried.code == 0
    assert "CHOSEN" in tried.out
    assert "PolicyHardDeny" in tried.out
    assert csched("queue", "--quiet").out == ""
    csched("submit", "--begin=now+3hours", script)
    with closing(open_app()) as app:
        assert app.plan_once() is not None
    explained = csched("explain", 1, "--json").json
    verdicts = {option["site"]: option["verdict"] for option in explained["options"]}
    assert verdicts[explained["chosen"]] == "allowed"
    assert set(verdicts.values()) == {"allowed", "denied"}
    assert csched("queue", "--json").json["jobs"][0]["site"] == explained["chosen"]
    assert csched("replay", "--quiet").out == "same\n"
    (home / "now.json").write_text(csched("snapshot").out)
    assert csched("replay", home / "now.json", "--quiet").out.startswith("1 ")
