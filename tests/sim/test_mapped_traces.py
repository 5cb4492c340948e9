"""Tables of any origin, read by a mapping file."""

import gzip
import re
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest

from csched.cli import main
from csched.errors import InputError
from csched_sim.traces.mapping import read_mapping
from csched_sim.traces.reading import FORMATS, HowToRead, open_trace

TABLE = """\
Auftrag;Abgabe;Beginn;Ende;Karten;Limit;Konto;Klasse
17;30.03.2024 23:30;31.03.2024 00:00;31.03.2024 04:00;50;6;physik;health
18;01.07.2024 12:00;01.07.2024 12:30;01.07.2024 13:00;800;;physik;
19;01.07.2024 12:00;01.07.2024 12:30;;800;;physik;
20;1. Juli;01.07.2024 12:30;01.07.2024 13:00;800;;physik;
21;01.07.2024 12:00;01.07.2024 12:30;01.07.2024 13:00;800;;physik;secret
"""
MAPPING = """\
schema: csched/mapping/1
delimiter: ";"
time: {format: "%d.%m.%Y %H:%M", zone: Europe/Berlin}
fields:
  job: Auftrag
  submit: Abgabe
  start: Beginn
  end: Ende
  gpus: {column: Karten, unit: percent}
  time_limit_s: {column: Limit, unit: h}
  tenant: Konto
  data_class: Klasse
"""


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_columns_units_times_and_zone_are_what_the_mapping_says(tmp_path: Path) -> None:
    how = HowToRead(mapping=written(tmp_path / "mapping.yaml", MAPPING))
    trace = open_trace(written(tmp_path / "log.csv", TABLE), how)
    told = [
        (job.job, str(job.submit), job.gpus, job.time_limit_s, runtime_s, job.tenant, job.data_class)
        for job, runtime_s in trace
    ]
    assert told == [
        # The clock went forward that night: from 00:00 to 04:00 are three hours.
        ("17", "2024-03-30 22:30:00+00:00", 1, 6 * 3600, 3 * 3600, "physik", "health"),
        ("18", "2024-07-01 10:00:00+00:00", 8, 1800, 1800, "physik", None),
    ]
    assert trace.notes.places == {
        "no `end`": ["log.csv:4"],
        "malformed: not a time or a number": ["log.csv:5"],
        "malformed: `data_class` is outside what a job may be": ["log.csv:6"],
    }
    assert trace.notes.changed["a part of a GPU counted as a whole one"] == 1
    assert trace.notes.lines == 5


@pytest.mark.parametrize(("spelling", "submit", "unit", "duration"), [
    ("milliseconds", "1656604920000", "ms", "2500"),
    ("seconds", "1656604920", "min", "0.04"),
    ("iso", "2022-06-30T16:02:00Z", "s", "3"),
])  # fmt: skip
def test_spellings_of_times(tmp_path: Path, spelling: str, submit: str, unit: str, duration: str) -> None:
    mapping = (
        f"time: {{format: {spelling}}}\n"
        f"fields: {{submit: at, runtime_s: {{column: took, unit: {unit}}}, gpus: {{value: 16}}}}\n"
    )
    how = HowToRead(mapping=written(tmp_path / "mapping.yaml", mapping))
    [(job, runtime_s)] = open_trace(written(tmp_path / "log.csv", f"at,took\n{submit},{duration}\n"), how)
    assert (job.job, str(job.submit), job.gpus, runtime_s) == ("row-2", "2022-06-30 16:02:00+00:00", 16, 3)


@pytest.mark.parametrize(("mapping", "line", "said"), [
    ("fields:\n  submit: a\n  gpus: b\n", 1, "must say how long a job ran"),
    ("fields:\n  submit: a\n  gpus: b\n  runtime_s: c\n  gpu: d\n", 5, "unknown key `gpu`"),
    ("fields:\n  submit: a\n  gpus: {column: b, value: 1}\n  runtime_s: c\n", 3, "a column or a value, one of both"),
    ("fields:\n  submit: a\n  gpus: {column: b, unit: feet}\n  runtime_s: c\n", 3, "expected"),
    ("time:\n  zone: Mars/Olympus\nfields: {submit: a, gpus: b, runtime_s: c}\n", 2, "not a time zone"),
    ("- a\n", None, "a mapping with `fields` was expected"),
])  # fmt: skip
def test_a_mapping_that_is_wrong_is_refused_with_its_line(
    tmp_path: Path, mapping: str, line: int | None, said: str
) -> None:
    how = HowToRead(mapping=written(tmp_path / "mapping.yaml", mapping))
    with pytest.raises(InputError, match=said) as refused:
        open_trace(written(tmp_path / "log.csv", "a,b,c\n"), how)
    assert refused.value.where is not None
    assert refused.value.where.line == line


def test_a_column_that_the_table_does_not_have_is_named(tmp_path: Path) -> None:
    mapping = written(tmp_path / "mapping.yaml", "fields: {submit: submitted, gpus: {value: 1}, runtime_s: took}\n")
    table = written(tmp_path / "log.csv", "submited,took\n0,1\n")
    with pytest.raises(InputError, match="the column `submitted` is missing") as refused:
        open_trace(table, HowToRead(mapping=mapping))
    assert refused.value.hint == "did you mean `submited`?"


def test_surf_is_read_once_a_size_is_stated(
    tmp_path: Path, shared: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    with gzip.open(shared("jobs/surf_2022-06-30_2022-09-30.csv.gz"), "rt") as whole:
        table = written(tmp_path / "surf.csv", "".join(islice(whole, 2_001)))
    with pytest.raises(InputError, match="does not say how large its jobs are"):
        open_trace(table)
    mapping = written(
        tmp_path / "surf.yaml",
        "time: {format: milliseconds}\n"
        "fields: {job: id, submit: submission_time, runtime_s: {column: duration, unit: ms}, gpus: {value: 1}}\n",
    )
    assert main(["trace", "info", str(table), "--mapping", str(mapping), "--quiet"]) == 0
    assert capsys.readouterr().out == "2000\n"


def test_the_mappings_that_the_page_shows_are_mappings(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "traces.md").read_text()
    shown = re.findall(r"```yaml\n(.*?)```", page, flags=re.DOTALL)
    assert len(shown) == 2
    for text in shown:
        read_mapping(written(tmp_path / "mapping.yaml", text))


def test_the_page_lists_every_format() -> None:
    page = (Path(__file__).parents[2] / "docs" / "traces.md").read_text()
    table = page.partition("\n## Formats\n")[2].partition("\n### ")[0]
    assert tuple(re.findall(r"^\| `([\w-]+)` \|", table, flags=re.MULTILINE)) == FORMATS
