"""Any trace: its format is told by content, its order by submission, its faults by count and place."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csched.cli import main
from csched.cli import trace as trace_command
from csched.errors import InputError
from csched_sim.scenario import Scenario
from csched_sim.traces import reading
from csched_sim.traces.detection import guessed_format
from csched_sim.traces.reading import FORMATS, HowToRead, jobs_as_they_stand, open_trace
from csched_sim.traces.trace import OnFault

SWF_LINE = "{number} {submit} -1 50 4 -1 -1 4 60 -1 1 9 1 1 -1 -1 -1 -1"

HEADS = {
    "swf": ("; Version: 2.2\n", f"\n{SWF_LINE.format(number=1, submit=0)}\n"),
    "sacct": ("JobID|State|Submit|Start|End|ReqTRES\n", "State|JobID\n"),
    "sacct-json": ('{"jobs": [', '{\n  "meta": {\n'),
    "philly": ("timestamp,duration,num_gpus,gpu_time,cluster\n",),
    "helios": ("job_id,user,vc,gpu_num,cpu_num,node_num,state,submit_time,start_time,end_time,duration,queue\n",),
    "acme": (
        "job_id,user,node_num,gpu_num,cpu_num,type,state,submit_time,start_time,end_time,duration,queue,gpu_time\n",
    ),
    "pai": (
        "job_name,inst_id,user,status,start_time,end_time\n",
        "4b3f,8cb3,5854,Terminated,4550879.0,4551416.0\n",
        "4f05,tensorflow,1.0,Waiting,,,600.0,29.296875,50.0,MISC\n",
    ),
    "openb": (
        "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,deletion_time,scheduled_time\n",
    ),
    "supercloud": ("id_job,id_user,state,timelimit,time_submit,time_start,time_end,tres_alloc,tres_req,job_type\n",),
    "surf": ("id,submission_time,duration\n",),
    "csched": ("job,gpus,time_limit_s\n", '{"job": "a", "gpus": 1, "time_limit_s": 60}\n'),
}


@pytest.mark.parametrize(("expected", "text"), [(name, text) for name, texts in HEADS.items() for text in texts])
@pytest.mark.parametrize("packed", [False, True])
def test_formats_are_told_by_content_whatever_the_name(tmp_path: Path, expected: str, text: str, packed: bool) -> None:
    path = tmp_path / "trace.dat"
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    assert guessed_format(path) == expected


def test_every_format_can_be_named_wherever_one_can_be_named() -> None:
    assert set(HEADS) == set(FORMATS)
    assert trace_command.FORMATS == FORMATS
    names = get_args(get_args(Scenario.model_fields["format"].annotation)[0])
    assert names == FORMATS


@pytest.mark.parametrize("text", ["", "\n \n", "a,b,c\n1,2,3\n", "a|b\n", "{}\n", "\x00\x01"])
def test_what_is_no_trace_is_refused_with_the_next_step(tmp_path: Path, text: str) -> None:
    path = tmp_path / "trace.swf"
    path.write_text(text)
    with pytest.raises(InputError) as refused:
        guessed_format(path)
    assert refused.value.hint is not None
    assert "--mapping" in refused.value.hint


@given(st.lists(st.integers(0, 30), min_size=1, max_size=60), st.integers(1, 70))
def test_a_long_trace_is_in_the_same_order_as_one_held_in_memory(
    tmp_path_factory: pytest.TempPathFactory, submits: list[int], limit: int
) -> None:
    path = tmp_path_factory.mktemp("trace") / "log.swf"
    path.write_text("".join(SWF_LINE.format(number=n, submit=s) + "\n" for n, s in enumerate(submits, 1)))
    held = open_trace(path, limit=limit)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "HELD_JOBS", 0)
        again = open_trace(path, limit=limit)
    assert again.kept is None
    ids = [job.job for job, _ in held]
    assert ids == [str(n) for _, n in sorted((s, n) for n, s in enumerate(submits, 1))][:limit]
    assert [job.job for job, _ in again] == ids
    assert [job.job for job, _ in again] == ids, "it can be gone through twice"
    assert (again.first_submit, len(again)) == (held.first_submit, len(held))
    assert again.notes.as_dict() == held.notes.as_dict()


FAULTY = f"{SWF_LINE.format(number=1, submit=0)}\n1 2 3\n{SWF_LINE.format(number=2, submit=9)}\nnot a line\n"


def test_the_reading_stops_at_a_fault_or_goes_on_as_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "log.swf"
    path.write_text(FAULTY)
    out = tmp_path / "jobs.csv"
    assert main(["trace", "convert", str(path), "--out", str(out), "--on-fault", "stop"]) == 3
    said = capsys.readouterr().err
    assert f"{path}:2: not 18 fields" in said
    assert "--on-fault go-on" in said
    assert main(["trace", "convert", str(path), "--out", str(out), "--on-fault", "go-on"]) == 0
    assert "dropped 2 of 4 lines: malformed: not 18 fields (first: log.swf:2, :4)" in capsys.readouterr().out
    assert len(out.read_text().splitlines()) == 3


def test_a_trace_is_never_written_over_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "log.swf"
    path.write_text(FAULTY)
    assert main(["trace", "convert", str(path), "--out", str(tmp_path / "." / "log.swf")]) == 2
    assert "the trace itself" in capsys.readouterr().err
    assert path.read_text() == FAULTY


def test_a_jobs_file_of_ones_own_stops_unless_told_to_go_on(tmp_path: Path) -> None:
    path = tmp_path / "jobs.csv"
    path.write_text("job,submit,gpus,time_limit_s\na,2026-01-01T00:00:00Z,0,100\nb,2026-01-01T00:00:00Z,1,100\nc,1\n")
    with pytest.raises(InputError, match="at least 1") as refused:
        open_trace(path)
    assert str(refused.value.where) == f"{path}:2: gpus"
    jobs, notes = jobs_as_they_stand(path, HowToRead(on_fault=OnFault.GO_ON))
    assert [job.job for job, _ in jobs] == ["b"]
    assert notes.places == {
        "malformed: expected at least 1, got `0`": ["jobs.csv:2"],
        "malformed: 2 cells, not 4": ["jobs.csv:4"],
    }


def test_json_lines_are_a_trace_too(tmp_path: Path) -> None:
    path = tmp_path / "work"
    path.write_text(
        '{"job": "a", "submit": "2026-01-01T00:00:00Z", "gpus": 1, "time_limit_s": 60, "runtime_s": 7}\n\n[]\n'
    )
    trace = open_trace(path, HowToRead(on_fault=OnFault.GO_ON))
    assert [(job.job, runtime_s) for job, runtime_s in trace] == [("a", 7)]
    assert trace.notes.dropped == {"malformed: one JSON object a line was expected": 1}


def test_a_file_of_faults_alone_says_what_ails_it(tmp_path: Path) -> None:
    path = tmp_path / "log.swf"
    path.write_text("; Version: 2.2\n1 2 3\n")
    with pytest.raises(InputError, match="no job in it") as refused:
        open_trace(path)
    assert refused.value.hint == "dropped 1 of 1 lines: malformed: not 18 fields (first: log.swf:2)"


@pytest.mark.parametrize("name", ["philly_2017-09-04_2017-11-12.csv.gz", "openb_pod_list_default.csv.gz"])
def test_every_line_of_a_real_file_is_a_job_or_counted(name: str, shared: Callable[[str], Path]) -> None:
    jobs, notes = jobs_as_they_stand(shared(f"jobs/{name}"))
    assert sum(1 for _ in jobs) + notes.dropped.total() == notes.lines
