"""Every line of a trace either becomes a job or is counted with its place."""

import gzip
from datetime import UTC, datetime
from pathlib import Path

import pytest

from csched.errors import InputError
from csched_sim.traces.reading import read_trace
from csched_sim.traces.trace import ReadingNotes, TraceJob

SWF = """\
; Version: 2.2
;   UnixStartTime:  843480031
; Note: caf\u00e9
    1      0      0   1451  128     -1    -1   -1     -1    -1 -1   1   1   1 -1 -1 -1 -1
    2   1460     -1   3726   64     -1    -1  128   3600    -1 -1   1   1   1 -1 -1 -1 -1
    3   1500     -1      0   64     -1    -1  128   3600    -1 -1   1   1   1 -1 -1 -1 -1
    4     -1     -1     10   64     -1    -1  128   3600    -1 -1   1   1   1 -1 -1 -1 -1
    5   1600     -1     10   -1     -1    -1   -1   3600    -1 -1   1   1   1 -1 -1 -1 -1
    6   1700     -1     10   64
    7   1800     -1    ten   64     -1    -1   -1   3600    -1 -1   1   1   1 -1 -1 -1 -1

    8   1200     -1     60    4  60.50    -1    4     60    -1 -1  -1   1   1 -1 -1 -1 -1
"""


def read(tmp_path: Path, name: str, text: str) -> tuple[list[TraceJob], ReadingNotes]:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return read_trace(path)


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "trace"
    path.write_text(text, encoding="utf-8")
    return path


def test_swf_sizes_limits_and_cuts(tmp_path: Path) -> None:
    trace, _ = read(tmp_path, "log.swf", SWF)
    told = [(t.job.job, t.job.gpus, t.job.time_limit_s, t.runtime_s, t.job.user) for t in trace]
    assert told == [
        ("1", 128, 1451, 1451, "user-1"),  # field 5 for want of field 8; the run time for want of a limit
        ("8", 4, 60, 60, None),  # submitted before job 2, though it stands below it
        ("2", 128, 3600, 3600, "user-1"),  # ran for longer than its limit
    ]
    assert trace[0].job.submit == datetime.fromtimestamp(843480031, UTC)


def test_swf_counts_and_locates_what_it_drops(tmp_path: Path) -> None:
    _, notes = read(tmp_path, "log.swf", SWF)
    assert {
        why: (count, [place.rpartition(":")[2] for place in notes.places[why]]) for why, count in notes.dropped.items()
    } == {
        "run time 0 or less": (1, ["6"]),
        "no submission time": (1, ["7"]),
        "no size": (1, ["8"]),
        "malformed: not 18 fields": (1, ["9"]),
        "malformed: not numbers, or out of range": (1, ["10"]),
    }
    assert notes.changed == {
        "size assumed: processors used, for want of processors requested": 1,
        "limit assumed: the run time, for want of a time requested": 1,
        "run cut at its limit": 1,
    }
    assert notes.assumptions == []


def test_swf_without_header_says_what_its_times_count_from(tmp_path: Path) -> None:
    headless = "\n".join(line for line in SWF.splitlines() if not line.startswith(";"))
    trace, notes = read(tmp_path, "log.swf", headless)
    assert trace[0].job.submit == datetime(1970, 1, 1, tzinfo=UTC)
    assert "1970-01-01" in notes.assumptions[0]


@pytest.mark.parametrize("value", ["soon", "", "99999999999999999999"])
def test_swf_refuses_a_start_time_that_is_none(tmp_path: Path, value: str) -> None:
    with pytest.raises(InputError) as refused:
        read(tmp_path, "log.swf", f"; UnixStartTime: {value}\n")
    assert refused.value.where is not None
    assert (refused.value.where.line, refused.value.where.field) == (1, "UnixStartTime")


PHILLY = """\
timestamp,duration,num_gpus,gpu_time,cluster
2017-10-09 07:01:55,66.0,1,66.0,11cb48
2017-10-09 06:13:03,2951.5,8,23612.0,6214e9
yesterday,10.0,1,10.0,6214e9
2017-10-09 06:13:03,0.0,1,0.0,6214e9
2017-10-09 06:13:03,10.0,0,0.0,6214e9
2017-10-09 06:13:03,inf,1,0.0,6214e9
2017-10-09 06:13:03,10.0,1
"""


def test_philly_is_put_in_order_and_its_zone_is_flagged(tmp_path: Path) -> None:
    trace, notes = read(tmp_path, "philly.csv", PHILLY)
    assert [(t.job.job, t.job.gpus, t.runtime_s, t.job.time_limit_s, t.job.tenant) for t in trace] == [
        ("philly-3", 8, 2952, 2952, "6214e9"),
        ("philly-2", 1, 66, 66, "11cb48"),
    ]
    assert trace[0].job.submit == datetime(2017, 10, 9, 6, 13, 3, tzinfo=UTC)
    assert sum(notes.dropped.values()) == 5
    assert any("UTC" in assumption for assumption in notes.assumptions)
    assert notes.changed == {
        "run time rounded up to a whole second": 1,
        "limit assumed: the run time, for want of a time requested": 2,
    }


def test_philly_without_a_column_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the column `cluster` is missing"):
        read_trace(written(tmp_path, "timestamp,duration,num_gpus\n"), "philly")


def test_a_jobs_file_tells_true_run_times_from_expected_ones(tmp_path: Path) -> None:
    text = (
        "job,submit,gpus,time_limit_s,expected_runtime_s,runtime_s\n"
        "a,2026-01-01T00:00:00Z,1,100,50,70\n"
        "b,2026-01-01T00:00:00Z,1,100,50,\n"
        "c,2026-01-01T00:00:00Z,1,100,50,700\n"
    )
    trace, notes = read(tmp_path, "jobs.csv", text)
    assert [(t.job.job, t.job.expected_runtime_s, t.runtime_s) for t in trace] == [
        ("a", 50, 70),
        ("b", 50, 50),
        ("c", 50, 100),
    ]
    assert sum(notes.changed.values()) == 2


@pytest.mark.parametrize("cell", ["0", "-5", "1.5", "long"])
def test_a_jobs_file_with_no_such_run_time_is_refused_with_its_line(tmp_path: Path, cell: str) -> None:
    text = (
        f"job,submit,gpus,time_limit_s,runtime_s\na,2026-01-01T00:00:00Z,1,100,9\nb,2026-01-01T00:00:00Z,1,100,{cell}\n"
    )
    with pytest.raises(InputError) as refused:
        read(tmp_path, "jobs.csv", text)
    assert str(refused.value.where).endswith("jobs.csv:3: runtime_s")


def test_jobs_without_a_submission_cannot_be_replayed(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="job `a` has no submit time"):
        read(tmp_path, "jobs.csv", "job,gpus,time_limit_s\na,1,100\n")


def test_moving_a_trace_moves_every_time_in_it(tmp_path: Path) -> None:
    path = tmp_path / "jobs.csv"
    path.write_text(
        "job,submit,gpus,time_limit_s,earliest_start,deadline\n"
        "a,2026-01-01T00:00:30Z,1,100,2026-01-01T02:00:00Z,2026-01-02T00:00:00Z\n"
    )
    [(job, _)], _ = read_trace(path, start=datetime(2022, 6, 1, tzinfo=UTC))
    assert job.submit == datetime(2022, 6, 1, tzinfo=UTC)
    assert job.earliest_start == datetime(2022, 6, 1, 1, 59, 30, tzinfo=UTC)
    assert job.deadline == datetime(2022, 6, 1, 23, 59, 30, tzinfo=UTC)


def test_the_first_jobs_are_the_first_by_submission(tmp_path: Path) -> None:
    path = tmp_path / "philly.csv"
    path.write_text(PHILLY)
    assert [traced.job.job for traced in read_trace(path, limit=1)[0]] == ["philly-3"]


def test_files_that_cannot_be_read_are_refused_in_words(tmp_path: Path) -> None:
    broken = tmp_path / "log.swf.gz"
    broken.write_bytes(gzip.compress(SWF.encode())[:-20])
    for path, said in ((tmp_path / "no.swf", "no such file"), (tmp_path, "folder"), (broken, "not a whole gzip file")):
        with pytest.raises(InputError, match=said):
            read_trace(path, "swf")


def test_a_trace_without_jobs_and_an_id_twice_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no job in it"):
        read(tmp_path, "log.swf", "; Version: 2.2\n")
    with pytest.raises(InputError, match="job `1` is there twice"):
        read(tmp_path, "log.swf", SWF + SWF)
