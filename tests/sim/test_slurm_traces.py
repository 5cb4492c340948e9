"""What sacct of two real Slurm clusters printed after the same work, and shapes of sacct(1) that they did not show.

The files in slurm_output are the unchanged output of Slurm 22.05.8 and 24.11.5 on a cluster of four nodes with four
GPUs each. The work: a job of two nodes with steps, an array, a heterogeneous job, one without GPUs, one that fails, one
whose name holds a `|`, one requeued (22.05 caught it running), one cancelled (24.11: before it started), one that
outran its limit, one without a limit (in 22.05 a partition gave it a year), one still running.
"""

import gzip
import json
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from csched.errors import InputError
from csched_sim.traces.detection import guessed_format
from csched_sim.traces.reading import HowToRead, Trace, open_trace

OUTPUT = Path(__file__).parent / "slurm_output"
HEADER = "JobID|State|Submit|Start|End|ElapsedRaw|Timelimit|ReqTRES|AllocTRES|User|Account"

# Job -> user, account, GPUs, limit, run time.
ON_BOTH = {
    "2": ("alice", "vision", 1, 3600, 4),
    "3_0": ("bob", "physics", 2, 300, 3),
    "3_1": ("bob", "physics", 2, 300, 3),
    "3_2": ("bob", "physics", 2, 300, 3),
    "4-het0": ("bob", "physics", 1, 300, 2),
    "4-het1": ("bob", "physics", 2, 300, 2),
    "7": ("alice", "vision", 2, 300, 2),
    "9": ("bob", "physics", 1, 300, 12),
    "11": ("alice", "vision", 4, 60, 60),
}
OF_22_05 = ON_BOTH | {
    "1": ("alice", "vision", 8, 600, 4),
    "12": ("bob", "physics", 1, 365 * 86_400, 5),
    "13": ("bob", "physics", 1, 7 * 86_400, 2),
}
OF_24_11 = ON_BOTH | {
    "1": ("alice", "vision", 8, 600, 3),
    "12": ("bob", "physics", 1, 6, 6),
    "13": ("bob", "physics", 1, 7 * 86_400, 3),
}
PIPE_IN_NAME = {"8": ("alice", "vision", 1, 300, 2)}
"""Its row of text has a cell too many; JSON has no such trouble."""


def told(trace: Trace) -> dict[str, tuple[str | None, str | None, int, int, int]]:
    return {job.job: (job.user, job.tenant, job.gpus, job.time_limit_s, runtime_s) for job, runtime_s in trace}


@pytest.mark.parametrize(
    ("version", "jobs", "dropped"),
    [
        ("22.05", OF_22_05, {
            "a step of a job": 19, "an earlier run of a requeued job": 1, "asks for no GPU": 1, "had not ended": 1,
            "run time 0 or less": 1, "malformed: 19 cells, not 18": 1,
        }),
        ("24.11", OF_24_11, {
            "a step of a job": 17, "asks for no GPU": 1, "had not ended": 1, "never ran": 1,
            "malformed: 20 cells, not 19": 1,
        }),
    ],
)  # fmt: skip
def test_text_of_a_real_cluster(version: str, jobs: dict[str, object], dropped: dict[str, int]) -> None:
    trace = open_trace(OUTPUT / f"sacct-{version}.txt")
    assert trace.notes.format == "sacct"
    assert told(trace) == jobs
    assert trace.notes.dropped == dropped
    assert trace.notes.lines == len(trace) + trace.notes.dropped.total()
    assert trace.notes.changed["component of a heterogeneous job taken as a job of its own"] == 2
    assert any("UTC" in assumption for assumption in trace.notes.assumptions)


@pytest.mark.parametrize(
    ("version", "jobs", "dropped"),
    [
        ("22.05", OF_22_05, {
            "an earlier run of a requeued job": 1, "asks for no GPU": 1, "had not ended": 1, "run time 0 or less": 1,
        }),
        ("24.11", OF_24_11, {"asks for no GPU": 1, "had not ended": 1, "never ran": 1}),
    ],
)  # fmt: skip
def test_json_of_a_real_cluster(version: str, jobs: dict[str, object], dropped: dict[str, int]) -> None:
    trace = open_trace(OUTPUT / f"sacct-{version}.json.gz")
    assert trace.notes.format == "sacct-json"
    assert told(trace) == jobs | PIPE_IN_NAME
    assert trace.notes.dropped == dropped
    assert trace.notes.assumptions == []


@pytest.mark.parametrize("version", ["22.05", "24.11"])
def test_text_and_json_tell_the_same_instants(version: str) -> None:
    text = {job.job: job.submit for job, _ in open_trace(OUTPUT / f"sacct-{version}.txt")}
    from_json = {job.job: job.submit for job, _ in open_trace(OUTPUT / f"sacct-{version}.json.gz")}
    assert {name: from_json[name] for name in text} == text


def rows(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "sacct.txt"
    path.write_text("\n".join((HEADER, *lines)) + "\n")
    return path


def row(job: str, **cells: str) -> str:
    usual = {
        "JobID": job, "State": "COMPLETED", "Submit": "2024-07-01T12:00:00", "Start": "2024-07-01T12:10:00",
        "End": "2024-07-01T13:10:00", "ElapsedRaw": "3600", "Timelimit": "1-00:00:00", "ReqTRES": "gres/gpu=1",
        "AllocTRES": "", "User": "u1", "Account": "a1",
    }  # fmt: skip
    return "|".join((usual | cells)[name] for name in HEADER.split("|"))


@pytest.mark.parametrize("limit", ["UNLIMITED", "Partition_Limit", ""])
def test_a_job_without_a_limit_of_its_own_has_its_run_time(tmp_path: Path, limit: str) -> None:
    trace = open_trace(rows(tmp_path, row("1", Timelimit=limit)))
    assert [job.time_limit_s for job, _ in trace] == [3600]
    assert trace.notes.changed == {"limit assumed: the run time, for want of a time requested": 1}


@pytest.mark.parametrize(("asked", "given", "gpus"), [
    ("billing=8,gres/gpu=4,gres/gpu:gb200=4,mem=64G", "", 4),  # the total, not total and type
    ("gres/gpu:a100=2,gres/gpu:h100=1", "", 3),  # a cluster that counts types only
    ("billing=1,cpu=4", "gres/gpu=8", 8),  # whole nodes, as --exclusive gives them
    ("gres/gpu=2", "gres/gpu=8", 2),  # what was asked for comes first
])  # fmt: skip
def test_sizes_are_what_was_asked_for_else_what_was_given(tmp_path: Path, asked: str, given: str, gpus: int) -> None:
    [(job, _)] = open_trace(rows(tmp_path, row("1", ReqTRES=asked, AllocTRES=given)))
    assert job.gpus == gpus


def test_local_times_are_placed_in_the_zone_that_is_named(tmp_path: Path) -> None:
    path = rows(tmp_path, row("1"), row("2", Submit="1719835200"), row("3", Submit="2024-07-01T12:00:00+00:00"))
    trace = open_trace(path, HowToRead(zone=ZoneInfo("Europe/Paris")))
    assert [(job.job, str(job.submit)) for job, _ in trace] == [
        ("1", "2024-07-01 10:00:00+00:00"),
        ("2", "2024-07-01 12:00:00+00:00"),
        ("3", "2024-07-01 12:00:00+00:00"),
    ]
    assert trace.notes.assumptions == []


def test_two_runs_of_one_id_are_two_jobs(tmp_path: Path) -> None:
    trace = open_trace(rows(tmp_path, row("9", State="NODE_FAIL"), row("9", State="PREEMPTED"), row("9")))
    assert [job.job for job, _ in trace] == ["9", "9.2", "9.3"]
    assert trace.notes.changed["an id that is there again given a number"] == 2


def test_an_array_that_never_began_is_not_a_job(tmp_path: Path) -> None:
    pending = row("14_[5-7%2]", State="CANCELLED by 1000", Start="Unknown", End="2024-07-01T13:00:00")
    resized = row("15", State="RESIZING")
    trace = open_trace(rows(tmp_path, pending, resized, row("16")))
    assert trace.notes.dropped == {"never ran": 1, "an earlier part of a resized job": 1}


def test_clusters_keep_their_equal_ids_apart(tmp_path: Path) -> None:
    path = tmp_path / "sacct.txt"
    path.write_text(
        f"Cluster|{HEADER}\nessonne|{row('7')}\nbologna|{row('7', Submit='2024-07-01T12:00:01')}\n", encoding="utf-8"
    )
    assert [job.job for job, _ in open_trace(path)] == ["essonne-7", "bologna-7"]


def test_elapsed_in_words_of_sacct(tmp_path: Path) -> None:
    path = tmp_path / "sacct.txt"
    path.write_text(
        "JobID|State|Submit|Start|End|Elapsed|TimelimitRaw|ReqTRES\n1|COMPLETED|0|10|99999|1-01:01:01|2000|gres/gpu=1\n"
    )
    assert [(job.time_limit_s, runtime_s) for job, runtime_s in open_trace(path)] == [(120_000, 90_061)]


def test_a_cluster_that_does_not_account_for_gpus_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sacct.txt"
    path.write_text("JobID|State|Submit|Start|End\n1|COMPLETED|0|10|20\n")
    with pytest.raises(InputError, match="no job has a size"):
        open_trace(path)


def test_json_records_that_are_none_are_counted_with_their_place(tmp_path: Path) -> None:
    document = json.loads(gzip.decompress((OUTPUT / "sacct-24.11.json.gz").read_bytes()))
    document["jobs"] = [7, {"job_id": 1}, document["jobs"][0]]
    path = tmp_path / "jobs.json"
    path.write_text(json.dumps(document))
    trace = open_trace(path)
    assert [job.job for job, _ in trace] == ["1"]
    assert trace.notes.places == {"malformed: not a job record of sacct": ["jobs.json: jobs[0]", "jobs.json: jobs[1]"]}


def test_json_cut_off_in_its_jobs_is_refused(tmp_path: Path) -> None:
    text = gzip.decompress((OUTPUT / "sacct-22.05.json.gz").read_bytes()).decode()
    path = tmp_path / "jobs.json"
    path.write_text(text[: len(text) // 2])
    with pytest.raises(InputError, match="not JSON to its end"):
        open_trace(path)
    path.write_text(text[: text.index('"jobs"')])
    assert guessed_format(path) == "sacct-json"
    with pytest.raises(InputError, match="no list `jobs`"):
        open_trace(path)
