"""Cells that hold more than one value: read, refused and written again."""

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from csched.domain.job import Component, Dependency, DependencyKind, Job
from csched.errors import InputError, Where
from csched.formats.dependency import parse_dependency, spell_dependency
from csched.formats.jobs import parse_jobs, write_jobs

HERE = Where("jobs.csv", 2, "dependency")
IDS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,8}", fullmatch=True)
KINDS = st.sampled_from(["dgx-h100", "gb300-nvl72", "l40s-pcie"])


def test_a_dependency_is_read_as_sbatch_writes_it() -> None:
    found = parse_dependency("afterok:12:13_4, afterany:14", HERE)
    assert found == (
        Dependency(kind=DependencyKind.AFTEROK, jobs=("12", "13_4")),
        Dependency(kind=DependencyKind.AFTERANY, jobs=("14",)),
    )
    assert spell_dependency(found) == "afterok:12:13_4,afterany:14"


@pytest.mark.parametrize(
    ("text", "words", "hint"),
    [
        ("afterok:1?afterok:2", "any one of several", "commas"),
        ("aftrok:1", "unknown kind of dependency `aftrok`", "did you mean `afterok`?"),
        ("singleton", "unknown kind of dependency `singleton`", "known are after"),
        ("12", "unknown kind of dependency `12`", "known are after"),
        ("afterok", "`afterok` of which job?", "write afterok:ID"),
        ("afterok:", "expected text that matches", None),
        ("afterok:1,", "unknown kind of dependency ``", None),
        ("after:1+5", "minutes after a start", "leave out"),
        (",".join(["afterok:1"] * 101), "at most 100 terms", None),
    ],
)
def test_what_cannot_be_waited_for_is_refused_with_the_place(text: str, words: str, hint: str | None) -> None:
    with pytest.raises(InputError) as refused:
        parse_dependency(text, HERE)
    assert words in refused.value.message
    assert (refused.value.where, refused.value.exit_code) == (HERE, 3)
    if hint:
        assert hint in str(refused.value.hint)


def read(cells: str, columns: str) -> Job:
    [job] = parse_jobs(f"job,gpus,time_limit_s,{columns}\na,72,3600,{cells}\n", "jobs.csv", json_lines=False)
    return job


def test_the_cells_of_one_job() -> None:
    job = read(
        'dgx-h100:2.1|gb300-nvl72:1,64:gb300-nvl72+gb200-nvl72|8,"afterok:1,after:2"',
        "runtime_factors,components,dependency",
    )
    assert dict(job.runtime_factors) == {"dgx-h100": 2.1, "gb300-nvl72": 1.0}
    assert job.components == (Component(gpus=64, hardware=("gb300-nvl72", "gb200-nvl72")), Component(gpus=8))
    assert [each.kind for each in job.dependency] == [DependencyKind.AFTEROK, DependencyKind.AFTER]
    assert (job.limit_s_on("dgx-h100"), job.limit_s_on("mi250x-lumi")) == (7560, 3600)


def test_json_lines_take_objects_and_cells_alike() -> None:
    plain = '"job": "a", "gpus": 72, "time_limit_s": 60'
    objects = (
        '"runtime_factors": {"dgx-h100": 2}, "components": [{"gpus": 64, "hardware": ["dgx-h100"]}, {"gpus": 8}], '
        '"dependency": [{"kind": "afterok", "jobs": ["1", "2"]}]'
    )
    cells = '"runtime_factors": "dgx-h100:2", "components": "64:dgx-h100|8", "dependency": "afterok:1:2"'
    one, other = (parse_jobs(f"{{{plain}, {more}}}\n", "j.jsonl", json_lines=True) for more in (objects, cells))
    assert one == other


@pytest.mark.parametrize(
    ("column", "cell", "words"),
    [
        ("runtime_factors", "dgx-h100", "expected KIND:FACTOR, got `dgx-h100`"),
        ("runtime_factors", "dgx-h100:", "expected KIND:FACTOR"),
        ("runtime_factors", "dgx-h100:fast", "expected a number, got `fast`"),
        ("runtime_factors", "dgx-h100:0", "expected at least 0.001"),
        ("runtime_factors", "dgx-h100:inf", "expected a"),
        ("runtime_factors", "dgx-h100:1e9", "expected at most 1000"),
        ("runtime_factors", "dgx-h100:1|dgx-h100:2", "`dgx-h100` is there twice"),
        ("components", "x:dgx-h100", "expected GPUS:KIND"),
        ("components", "72:", "expected GPUS:KIND"),
        ("components", "0|72", "expected at least 1"),
        ("components", "64|9", "not the sum of the components' GPUs"),
        ("dependency", "soon:1", "unknown kind of dependency `soon`"),
    ],
)
def test_a_wrong_cell_is_told_with_line_and_column(column: str, cell: str, words: str) -> None:
    with pytest.raises(InputError) as refused:
        read(cell, column)
    assert words in refused.value.message
    assert (refused.value.where.file, refused.value.where.line) == ("jobs.csv", 2)
    assert refused.value.where.field == column or "sum" in words


def test_a_factor_that_makes_a_limit_of_more_than_ten_years_is_refused() -> None:
    with pytest.raises(InputError, match="longer than ten years"):
        parse_jobs("job,gpus,time_limit_s,runtime_factors\na,1,316224000,dgx-h100:1.1\n", "j.csv", json_lines=False)


@st.composite
def jobs(draw: st.DrawFn) -> Job:
    parts = draw(st.lists(st.tuples(st.integers(1, 99), st.lists(KINDS, max_size=2)), max_size=3))
    terms = draw(
        st.lists(st.tuples(st.sampled_from(DependencyKind), st.lists(IDS, min_size=1, max_size=3)), max_size=3)
    )
    return Job(
        job="a",
        gpus=sum(gpus for gpus, _ in parts) or 1,
        time_limit_s=60,
        hardware=tuple(draw(st.lists(KINDS, max_size=2))),
        runtime_factors=draw(st.dictionaries(KINDS, st.floats(0.001, 1000), max_size=3)),
        components=tuple(Component(gpus=gpus, hardware=tuple(kinds)) for gpus, kinds in parts),
        dependency=tuple(Dependency(kind=kind, jobs=tuple(ids)) for kind, ids in terms),
    )


@settings(max_examples=100, deadline=None, derandomize=True)
@given(jobs())
def test_written_jobs_are_read_as_they_were(job: Job) -> None:
    stream = io.StringIO()
    write_jobs(stream, [(job, {})])
    assert parse_jobs(stream.getvalue(), "jobs.csv", json_lines=False) == (job,)
