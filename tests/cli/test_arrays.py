"""Arrays, dependencies and parts of jobs at the command line."""

from pathlib import Path

import pytest


def labels(ran) -> list[str]:
    return ran.out.split()


def test_an_array_is_one_line_until_its_tasks_differ(csched, script: Path) -> None:
    assert csched("submit", "--array=0-9%2,15", script).out == "Submitted batch job 1\n"
    assert "1_[0-9,15]" in csched("queue").out
    csched("hold", "1_[3-5]")
    told = csched("queue").out
    assert "1_[0-2,6-9,15]" in told
    assert "1_[3-5]" in told
    every = csched("queue", "--array").out
    assert "1_15" in every
    assert "[" not in every
    job = csched("queue", "--json").json["jobs"][4]
    assert (job["id"], job["array_job"], job["array_task"], job["array_limit"]) == (5, 1, 4, 2)


def test_tasks_are_chosen_by_array_and_number(csched, script: Path) -> None:
    csched("submit", "--array=0-9", script)
    csched("submit", script)
    csched("submit", "--array=1,2", script)
    assert labels(csched("hold", "1_3", "--quiet")) == ["1_3"]
    assert labels(csched("hold", "1_[3-5,8],11", "--quiet")) == ["1_3", "1_4", "1_5", "1_8", "11"]
    assert labels(csched("hold", "last", "--quiet")) == ["12_1", "12_2"]
    assert len(labels(csched("hold", "1", "--quiet"))) == 10
    assert csched("show", "1_3", "--json").json["array_task"] == 3
    assert len(csched("show", "1", "--json").json["jobs"]) == 10
    assert "1_[0-9]" in csched("show", "1").out
    assert "array 1 has no task `11`" in csched("show", "1_11").err
    assert csched("logs", "1").code == 2


def test_an_array_is_cancelled_whole_or_in_part(csched, script: Path) -> None:
    csched("submit", "--array=0-3", script)
    assert csched("cancel", "1_[1-2]").out == "Cancelled job 1_[1-2] (train) before it started\n"
    assert labels(csched("cancel", "1", "--quiet")) == ["1_0", "1_3"]
    assert "1_[0-3]" in csched("history").out
    assert "1_[0-3]" not in csched("history", "-r").out
    assert csched("cancel", "1").code == 6


def test_a_job_waits_for_another(csched, script: Path) -> None:
    csched("submit", script)
    csched("submit", "--dependency=afterok:last", script)
    assert csched("show", 2, "--json").json["dependency"] == [{"kind": "afterok", "jobs": ["1"]}]
    ran = csched("submit", "--dependency=afterok:17", script)
    assert (ran.code, ran.out) == (3, "")
    assert "there is no job `17` to wait for" in ran.err


def test_what_a_job_waits_for_may_change(csched, script: Path) -> None:
    csched("submit", script)
    csched("submit", "--dependency=afterok:1", script)
    assert csched("update", 2, "--dependency=afterany:1").code == 0
    assert csched("show", 2, "--json").json["dependency"] == [{"kind": "afterany", "jobs": ["1"]}]
    assert csched("update", 2, "--dependency=afterany:9").code == 3
    assert csched("update", 2, "--reservation=atlantis").code == 3


def test_parts_stand_between_colons(csched, script: Path) -> None:
    ran = csched("submit", "--gpus=16", "--mem=1G", ":", "--gpus=4", "--hardware=dgx-h100", ":", "-G", "2", script, "x")
    assert ran.code == 0, ran.err
    job = csched("show", "last", "--json").json
    assert [(part["gpus"], part["hardware"]) for part in job["components"]] == [(16, []), (4, ["dgx-h100"]), (2, [])]
    assert job["gpus"] == 22


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["-G", "1", ":", "-G", "1", "--parsable"], 2, "`--parsable` stands before the first `:`"),
        (["-G", "1", ":", "-G", "1", "--array=1"], 3, "`--array` holds for the job as a whole"),
        (["-G", "1", ":", "--gsup=1"], 2, "--gsup"),
    ],
)
def test_what_later_parts_may_not_say(csched, script: Path, arguments: list[str], code: int, told: str) -> None:
    ran = csched("submit", *arguments, script)
    assert ran.code == code
    assert told in ran.err


def test_a_site_that_there_is_not_is_named_with_the_one_meant(csched, script: Path) -> None:
    ran = csched("submit", "--home-site=munch", script)
    assert ran.code == 3
    assert "did you mean `munich`?" in ran.err
