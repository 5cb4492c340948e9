"""Whatever stands in a cell: a trace is read with the line counted, or refused in words; nothing else ever happens."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csched.errors import InputError
from csched_sim.traces.reading import HowToRead, jobs_as_they_stand

ODD = (
    "", " ", "-", "-1", "0", "nan", "inf", "-inf", "1e400", "1e18", "0.5", "9" * 400, "9" * 5000, "١٢", "²",
    "\x00", '"', "é", "\ufffd", "{", "|", ";", "a b", "--", "1-00:00:00", "99:99:99", "UNLIMITED", "None", "True",
    "0001-01-01 00:00:00", "9999-12-31T23:59:59", "2024-02-30 00:00:00", "4294967295", "gres/gpu=x", "1002=", "=,=",
)  # fmt: skip

# Format -> what parts its cells, its header or null, a line of it that is in order.
LINES: dict[str, tuple[str, str | None, str]] = {
    "swf": (" ", None, "1 0 -1 50 4 -1 -1 4 60 -1 1 9 1 1 -1 -1 -1 -1"),
    "sacct": (
        "|", "JobID|State|Submit|Start|End|Elapsed|TimelimitRaw|Timelimit|ReqTRES|AllocTRES|User|Account",
        "17|COMPLETED|2024-07-01T12:00:00|2024-07-01T12:10:00|2024-07-01T12:20:00|00:10:00|15|00:15:00|gres/gpu=1||u|a",
    ),
    "philly": (",", "timestamp,duration,num_gpus,gpu_time,cluster", "2017-10-09 07:01:55,66.0,1,66.0,11cb48"),
    "helios": (
        ",", "job_id,user,vc,gpu_num,cpu_num,node_num,state,submit_time,start_time,end_time,duration,queue",
        "1,u,v,1,1,1,COMPLETED,2020-06-09 18:41:01,2020-06-09 18:41:01,2020-06-10 04:55:09,36848,0",
    ),
    "acme": (
        ",", "job_id,user,gpu_num,type,submit_time,start_time,end_time,duration",
        "5,u,8,Other,2023-03-01 00:18:22+08:00,2023-03-01 00:18:54+08:00,2023-03-01 00:20:51+08:00,117",
    ),
    "pai": (",", None, "j-one,i1,ua,Terminated,100.0,2100.0"),
    "openb": (
        ",", "name,num_gpu,gpu_milli,gpu_spec,pod_phase,creation_time,deletion_time,scheduled_time",
        "pod,1,460,,Running,427061,12902960,427061",
    ),
    "supercloud": (
        ",", "id_job,id_user,state,timelimit,time_submit,time_start,time_end,tres_alloc,tres_req",
        "11,7,3,1440,1609459200,1609459260,1609462860,1002=2,1002=2",
    ),
}  # fmt: skip
TASK = "j-one,worker,1.0,Terminated,160.0,2100.0,400.0,29.3,100.0,T4\n"
MAPPING = """\
fields:
  {job: j, submit: s, start: b, end: e, gpus: {column: g, unit: percent}, time_limit_s: {column: l, unit: h}}
"""
MAPPED = (",", "j,s,b,e,g,l", "1,2024-07-01 12:00:00,2024-07-01 12:10:00,2024-07-01 12:20:00,100,1")


@st.composite
def marred(draw: st.DrawFn, line: str, parted_by: str) -> str:
    cells = line.split(parted_by)
    for _ in range(draw(st.integers(0, 3))):
        cells[draw(st.integers(0, len(cells) - 1))] = draw(st.sampled_from(ODD))
    return parted_by.join(cells[: draw(st.integers(len(cells) - 1, len(cells) + 1))])


def read(folder: Path, name: str | None, header: str | None, lines: list[str]) -> Iterator[str]:
    path = folder / "trace"
    path.write_text("\n".join([*([header] if header else []), *lines]) + "\n", encoding="utf-8", errors="replace")
    (folder / "pai_task_table.csv").write_text(TASK)
    mapping = folder / "mapping.yaml"
    mapping.write_text(MAPPING)
    how = HowToRead(format=name, mapping=None if name else mapping, zone=ZoneInfo("America/Los_Angeles"))
    jobs, notes = jobs_as_they_stand(path, how)
    found = [job.job for job, _ in jobs]
    assert len(found) + notes.dropped.total() == notes.lines, "each line is a job or counted"
    yield from found


@pytest.mark.parametrize("name", [*LINES, None])
@given(data=st.data())
def test_odd_cells(name: str | None, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    parted_by, header, line = LINES[name] if name else MAPPED
    lines = data.draw(st.lists(marred(line, parted_by), min_size=1, max_size=3))
    with suppress(InputError):  # an id twice, a header that is none
        list(read(tmp_path_factory.mktemp("odd"), name, header, lines))


@pytest.mark.parametrize("name", [*LINES, None])
def test_the_line_in_order_is_a_job(name: str | None, tmp_path: Path) -> None:
    _, header, line = LINES[name] if name else MAPPED
    assert len(list(read(tmp_path, name, header, [line]))) == 1
