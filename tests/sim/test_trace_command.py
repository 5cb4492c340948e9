"""csched trace: what is generated, converted and told."""

import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import pytest

from csched import shipped
from csched.cli import main
from csched.cli import trace as trace_command
from csched.formats.jobs import read_jobs
from csched_sim.traces.generator import SIZES, generate
from csched_sim.traces.profiles import PROFILES
from csched_sim.traces.reading import jobs_as_they_stand
from csched_sim.traces.summary import summarise
from csched_sim.traces.trace import in_order, submitted

MAY = datetime(2022, 5, 2, tzinfo=UTC)
SHIPPED = shipped.example_jobs().parents[1] / "generated" / "mixed-500.csv"


def test_the_shipped_trace_is_what_its_command_makes(tmp_path: Path) -> None:
    out = tmp_path / "jobs.csv"
    assert main(["trace", "generate", "--jobs", "500", "--seed", "1", "--out", str(out), "--quiet"]) == 0
    assert out.read_bytes() == SHIPPED.read_bytes()


def test_generated_work_has_the_shape_it_promises() -> None:
    trace = list(generate(4_000, 7, MAY, 14))
    assert trace == in_order(trace)
    assert all(0 < traced.runtime_s <= traced.job.time_limit_s for traced in trace)
    assert {traced.job.gpus for traced in trace} == set(SIZES)
    by_day = sum(9 <= submitted(traced).hour < 17 for traced in trace)
    by_night = sum(submitted(traced).hour < 8 for traced in trace)
    assert by_day > 3 * by_night
    weekend = sum(submitted(traced).weekday() >= 5 for traced in trace)
    assert weekend < len(trace) / 5
    assert {traced.job.tenant for traced in trace if traced.job.data_class == "health"} == {"hospital"}
    assert list(generate(50, 1, MAY, 7)) != list(generate(50, 2, MAY, 7))


def test_a_converted_trace_reads_back_the_same_and_plans(tmp_path: Path) -> None:
    swf, out = tmp_path / "log.swf", tmp_path / "jobs.csv"
    swf.write_text(
        "; UnixStartTime: 0\n"
        "1 0 -1 50 4 -1 -1 4 60 -1 1 9 1 1 -1 -1 -1 -1\n"
        "2 5 -1 0 4 -1 -1 4 60 -1 1 9 1 1 -1 -1 -1 -1\n"
    )
    assert main(["trace", "convert", str(swf), "--start", "2022-01-03T00:00:00Z", "--out", str(out), "--quiet"]) == 0
    [job] = read_jobs(out)
    assert (job.job, job.gpus, job.time_limit_s, job.expected_runtime_s, job.user) == ("1", 4, 60, None, "user-9")
    assert job.submit == datetime(2022, 1, 3, tzinfo=UTC)
    assert out.read_text().splitlines()[1].endswith(",50")


def test_what_was_dropped_is_told_in_words_and_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    swf = tmp_path / "log.swf"
    swf.write_text("1 0 -1 50 4 -1 -1 4 -1 -1 1 9 1 1 -1 -1 -1 -1\n2 5 -1 0 4 -1 -1 4 60 -1 1 9 1 1 -1 -1 -1 -1\n")
    assert main(["trace", "info", str(swf)]) == 0
    said = capsys.readouterr().out
    assert "dropped 1 of 2 lines: run time 0 or less" in said
    assert "log.swf:2" in said
    assert main(["trace", "info", str(swf), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["jobs"], document["format"], document["jobs_by_gpus"]) == (1, "swf", {"3-4": 1})
    assert document["reading"]["dropped"] == [{"why": "run time 0 or less", "count": 1, "first": ["log.swf:2"]}]
    assert document["reading"]["changed"][0]["count"] == 1
    assert len(document["reading"]["assumptions"]) == 1


def test_a_folder_that_is_not_there_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", "generate", "--jobs", "1", "--out", str(tmp_path / "no" / "jobs.csv")]) == 3
    assert "cannot write there" in capsys.readouterr().err


def test_the_measured_profile_has_the_shape_of_philly(shared: Callable[[str], Path]) -> None:
    real = summarise(jobs_as_they_stand(shared("jobs/philly_2017-09-04_2017-11-12.csv.gz"))[0])
    invented = summarise(generate(20_000, 3, MAY, 70, PROFILES["philly"]))
    for gpus in ("1", "2", "3-4", "5-8"):
        share = invented.jobs_by_gpus[gpus] / invented.jobs
        assert share == pytest.approx(real.jobs_by_gpus[gpus] / real.jobs, abs=0.005)
    for name, count in real.jobs_by_runtime.items():
        assert invented.jobs_by_runtime[name] / invented.jobs == pytest.approx(count / real.jobs, abs=0.05)
    assert invented.median_runtime_s == pytest.approx(real.median_runtime_s, rel=0.1)
    assert invented.p90_runtime_s == pytest.approx(real.p90_runtime_s, rel=0.2)


def test_the_measured_profile_asks_for_too_much_time_as_people_do() -> None:
    trace = list(generate(5_000, 3, MAY, 70, PROFILES["philly"]))
    assert all(0 < traced.runtime_s <= traced.job.time_limit_s for traced in trace)
    short = [job.time_limit_s / runtime_s for job, runtime_s in trace if runtime_s < 60]
    long = [job.time_limit_s / runtime_s for job, runtime_s in trace if runtime_s > 86_400]
    assert median(short) > 50 * median(long)
    busiest = Counter(job.user for job, _ in trace).most_common(5)
    assert sum(count for _, count in busiest) > len(trace) / 6
    assert trace == list(generate(5_000, 3, MAY, 70, PROFILES["philly"]))


def test_every_profile_can_be_named() -> None:
    assert tuple(PROFILES) == trace_command.PROFILES
