"""Each fault in a carbon file is refused with its file, line and field, and says what was expected."""

import gzip
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from csched.carbon.csv_rows import _DoubtError, _layout, _read_carefully, _read_quickly
from csched.carbon.sources import open_source
from csched.errors import InputError

HEADER = "timestamp,zone,carbon_intensity_lca"
GOOD = "2022-01-01T00:00Z,FR,50\n2022-01-01T01:00Z,FR,60\n2022-01-01T02:00Z,FR,70"

# name -> (file, line, field, part of the message)
FAULTS = {
    "empty file": ("", None, None, "the file is empty"),
    "blank lines only": ("\n\n", None, None, "the file is empty"),
    "header only": (f"{HEADER}\n", 1, None, "there is a header but not one row"),
    "no timestamp column": ("time,zone,carbon_intensity\n", 1, "timestamp", "the column `timestamp` is missing"),
    "no zone column": ("timestamp,carbon_intensity\n", 1, "zone", "the column `zone` is missing"),
    "no value column": ("timestamp,zone,co2\n", 1, None, "no column of intensities"),
    "a column twice": (f"{HEADER},zone\n", 1, "zone", "the column `zone` is there twice"),
    "forecast without values": (
        "issue_time,timestamp,zone,carbon_intensity\n", 1, "forecast_lca", "the column `forecast_lca` is missing",
    ),
    "a gap": (
        f"{HEADER}\n{GOOD}\n2022-01-01T04:00Z,FR,80\n", 5, "timestamp",
        "zone FR has a gap: nothing between 2022-01-01T02:00:00Z and 2022-01-01T04:00:00Z, where the step is 1 h",
    ),
    "NaN": (f"{HEADER}\n{GOOD}\n2022-01-01T03:00Z,FR,NaN\n", 5, "carbon_intensity_lca", "there is no value (NaN)"),
    "an empty cell": (f"{HEADER}\n{GOOD}\n2022-01-01T03:00Z,FR,\n", 5, "carbon_intensity_lca", "the value is missing"),
    "negative": (f"{HEADER}\n{GOOD}\n2022-01-01T03:00Z,FR,-1\n", 5, "carbon_intensity_lca", "`-1` is negative"),
    "absurd": (f"{HEADER}\n{GOOD}\n2022-01-01T03:00Z,FR,3001\n", 5, "carbon_intensity_lca", "`3001` is absurd"),
    "infinite": (f"{HEADER}\n{GOOD}\n2022-01-01T03:00Z,FR,inf\n", 5, "carbon_intensity_lca", "`inf` is not a number"),
    "no number": (f"{HEADER}\n{GOOD}\n2022-01-01T03:00Z,FR,5o\n", 5, "carbon_intensity_lca", "`5o` is not a number"),
    "decimal comma": (f"{HEADER}\n{GOOD}\n2022-01-01T03:00Z,FR,50,5\n", 5, None, "4 fields, but the header has 3"),
    "a short row": (f"{HEADER}\n{GOOD}\n2022-01-01T03:00Z,FR\n", 5, None, "2 fields, but the header has 3"),
    "naive time": (
        f"{HEADER}\n{GOOD}\n2022-01-01T03:00,FR,50\n", 5, "timestamp",
        "`2022-01-01T03:00` has no zone; write 2022-01-01T03:00Z for UTC",
    ),
    "no time": (f"{HEADER}\n{GOOD}\n01/02/2022,FR,50\n", 5, "timestamp", "`01/02/2022` is not an ISO 8601 time"),
    "half a second": (
        f"{HEADER}\n{GOOD}\n2022-01-01T03:00:00.5Z,FR,50\n", 5, "timestamp", "is not a whole second",
    ),
    "another millennium": (
        f"{HEADER}\n{GOOD}\n54000-01-01T03:00Z,FR,50\n", 5, "timestamp", "is not an ISO 8601 time",
    ),
    "another century": (
        f"{HEADER}\n{GOOD}\n2300-01-01T03:00Z,FR,50\n", 5, "timestamp", "is not between 1970 and 2200",
    ),
    "past the last year": (
        f"{HEADER}\n{GOOD}\n9999-12-31T23:00-05:00,FR,50\n", 5, "timestamp", "lies outside the years 1 to 9999",
    ),
    "no zone key": (f"{HEADER}\n{GOOD}\n2022-01-01T03:00Z,France,50\n", 5, "zone", "`France` is not a grid zone"),
    "an instant twice": (
        f"{HEADER}\n{GOOD}\n2022-01-01T02:00:00+00:00,FR,50\n", 5, "timestamp",
        "zone FR has 2022-01-01T02:00:00Z twice, first at",
    ),
    "the same instant elsewhere": (
        f"{HEADER}\n{GOOD}\n2022-01-01T02:00+01:00,FR,50\n", 5, "timestamp", "zone FR has 2022-01-01T01:00:00Z twice",
    ),
    "one row alone": (f"{HEADER}\n2022-01-01T03:00Z,FR,50\n", 2, "timestamp", "zone FR has one row only"),
    "an open quote": (f'{HEADER}\n{GOOD}\n"2022-01-01T03:00Z,FR,50\n', 5, None, "not CSV"),
    "a line further down after a blank one": (
        f"{HEADER}\n\n{GOOD}\n2022-01-01T03:00Z,FR,-1\n", 6, "carbon_intensity_lca", "`-1` is negative",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gz"])
def test_each_fault_is_told_with_its_place(tmp_path, fault, packed):
    text, line, field, message = fault
    path = tmp_path / ("carbon.csv.gz" if packed else "carbon.csv")
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    with pytest.raises(InputError) as error:
        open_source(str(path)).zones()
    assert message in error.value.message
    assert (error.value.where.file, error.value.where.line, error.value.where.field) == (str(path), line, field)
    assert error.value.exit_code == 3
    assert not error.value.message.endswith(".")


def test_two_methods_in_one_folder_are_refused(carbon_csv):
    carbon_csv({"DE": [300, 310]}, "a.csv", "carbon_intensity_lca")
    second = carbon_csv({"FR": [30, 31]}, "b.csv", "carbon_intensity_direct")
    with pytest.raises(InputError, match="`carbon_intensity_direct` here but `carbon_intensity_lca` in") as error:
        open_source(str(second.parent)).zones()
    assert error.value.where.file == str(second)


def test_the_same_hour_in_two_files_of_a_folder_is_refused_whichever_zone_is_asked_for(carbon_csv):
    first = carbon_csv({"DE": [300, 310], "FR": [30, 31]}, "2021/a.csv")
    second = carbon_csv({"DE": [300, 310]}, "2022/deeper/b.csv")
    start = datetime(2022, 1, 3, tzinfo=UTC)
    with pytest.raises(InputError, match=f"DE has 2022-01-03T00:00:00Z twice, first at {first}:2: timestamp") as error:
        open_source(str(first.parents[1])).outlook(["FR"], start, start, start + timedelta(hours=1))
    assert (error.value.where.file, error.value.where.line) == (str(second), 2)


def test_a_gap_between_two_files_is_told_at_the_later_one(tmp_path):
    (tmp_path / "a.csv").write_text(f"{HEADER}\n{GOOD}\n")
    (tmp_path / "b.csv").write_text(f"{HEADER}\n2022-01-01T05:00Z,FR,1\n2022-01-01T06:00Z,FR,2\n")
    with pytest.raises(InputError, match="nothing between 2022-01-01T02:00:00Z and 2022-01-01T05:00:00Z") as error:
        open_source(str(tmp_path)).zones()
    assert (error.value.where.file, error.value.where.line) == (str(tmp_path / "b.csv"), 2)


def test_a_zone_that_the_files_do_not_have_names_the_nearest(carbon_csv):
    source = open_source(str(carbon_csv({"SE-SE3": [10, 11], "FR": [30, 31]})))
    start = datetime(2022, 1, 3, tzinfo=UTC)
    with pytest.raises(InputError, match="there is no carbon intensity for zone `SE-SE4`") as error:
        source.outlook(["SE-SE4"], start, start, start + timedelta(hours=1))
    assert error.value.hint == "did you mean `SE-SE3`?"


@pytest.mark.parametrize("spec", ["no-such-thing", "", " "])
def test_nothing_there_is_told(spec):
    with pytest.raises(InputError, match=f"`{spec}` is neither a file nor a folder") as error:
        open_source(spec)
    assert "climatology" in (error.value.hint or "")


@pytest.mark.parametrize(
    ("name", "raw", "message"),
    [
        ("carbon.csv.gz", HEADER.encode(), "not a whole gzip file"),
        ("carbon.csv.gz", gzip.compress(f"{HEADER}\n{GOOD}\n".encode(), mtime=0)[:-12], "not a whole gzip file"),
        ("carbon.csv", f"{HEADER}\n{GOOD}\n".encode("utf-16"), "not UTF-8 text"),
    ],
)
def test_a_file_that_cannot_be_unpacked_or_decoded_is_told(tmp_path, name, raw, message):
    (tmp_path / name).write_bytes(raw)
    with pytest.raises(InputError, match=message) as error:
        open_source(str(tmp_path)).zones()
    assert error.value.where.file == str(tmp_path / name)


def test_an_empty_folder_is_told(tmp_path: Path):
    (tmp_path / "README.md").write_text("no data here")
    with pytest.raises(InputError, match=r"no \.csv or \.csv\.gz file in this folder or below"):
        open_source(str(tmp_path)).zones()


@pytest.mark.parametrize(
    "text",
    [
        f"{HEADER}\n{GOOD}\n",
        f"{HEADER}\n{GOOD}",
        f"{HEADER}\r\n{GOOD.replace(chr(10), chr(13) + chr(10))}\r\n",
        f"note,{HEADER},x\na,2022-01-01 00:00Z,FR,1e2,\n,2022-01-01T02:00:00+01:00,IT-NO,0.5,\n",
        "issue_time,timestamp,zone,forecast_lca\n2022-01-01T00:00Z,2022-01-01T01:00Z,FR,5\n",
        "issue_time,timestamp,zone,forecast_lca,low,high\n2022-01-01T00:00Z,2022-01-01T01:00Z,FR,5,4,7\n",
    ],
    ids=["plain", "no last newline", "crlf", "other columns", "forecast", "upper ends"],
)
def test_both_ways_of_reading_agree(text):
    layout = _layout(text, "carbon.csv", high=True)
    quick, careful = _read_quickly(text, layout, "carbon.csv"), _read_carefully(text, layout, "carbon.csv")
    for name in ("lines", "zones", "starts_s", "g_per_kwh"):
        assert getattr(quick, name).tolist() == getattr(careful, name).tolist()
    assert (quick.zone_names, quick.column, quick.method) == (careful.zone_names, careful.column, careful.method)
    assert (quick.issued_s is None) == (careful.issued_s is None)
    highs = [None if each.high_g_per_kwh is None else each.high_g_per_kwh.tolist() for each in (quick, careful)]
    assert highs[0] == highs[1]


ODD_TIMES = """2022-01-01T00:00Z|2022-01-01T00:00|2022-01-01T24:00Z|2022-01-01|2022-01-01Z|20220101T0000Z||NaT|null|\
2022-01-01T00:00:60Z|2022-01-01T00:00:00.000Z|2022-01-01 00:00:00+0100|2022-01-01T00Z| 2022-01-01T00:00Z|1640995200|\
2022-02-30T00:00Z|0000-01-01T00:00Z|9999-12-31T23:00-05:00|1969-12-31T23:00Z|2200-01-01T00:00Z""".split("|")
ODD_ZONES = "FR|IT-NO|fr|| FR|null|FRANCE|F R".split("|")
ODD_NUMBERS = "50|5e1| 50|50 |+50|-0|-1|1_000|0x10|inf|1e400|nan|NA||3000.0001|\u0665|.5|5.".split("|")


@given(
    st.lists(
        st.tuples(st.sampled_from(ODD_TIMES), st.sampled_from(ODD_ZONES), st.sampled_from(ODD_NUMBERS)),
        min_size=1,
        max_size=2,
    )
)
@settings(deadline=None, max_examples=400)
def test_what_the_quick_reading_takes_the_careful_one_takes_too(rows):
    text = "\n".join([HEADER, *(",".join(row) for row in rows)])
    layout = _layout(text, "carbon.csv", high=True)
    try:
        quick = _read_quickly(text, layout, "carbon.csv")
    except (_DoubtError, pa.ArrowException):
        return
    careful = _read_carefully(text, layout, "carbon.csv")
    assert quick.starts_s.tolist() == careful.starts_s.tolist()
    assert quick.g_per_kwh.tolist() == careful.g_per_kwh.tolist()
    assert [quick.zone_names[zone] for zone in quick.zones] == [careful.zone_names[zone] for zone in careful.zones]
