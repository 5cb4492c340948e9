"""csched carbon: method and origin are always in sight."""

import json
import re

import pytest

from csched.cli import main
from csched.report.intensities import sparkline
from csched.testing.builders import series


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("CSCHED_HOME", str(tmp_path / "home"))


def test_show_tells_every_step_to_programs(carbon_csv, capsys):
    path = carbon_csv({"FR": range(40, 88)})
    span = ["--from", "2022-01-04T22:30Z", "--to", "2022-01-05T01:00Z"]
    assert main(["carbon", "show", "FR", "--carbon", str(path), *span, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["zone"], told["source"], told["method"]) == ("FR", "carbon.csv", "lifecycle")
    assert [value["g_per_kwh"] for value in told["values"][:2]] == [86, 87]
    assert [value["origin"] for value in told["values"]] == ["series", "series", "climatology"]
    assert told["values"][0]["start"] == told["from"] == "2022-01-04T22:30:00Z"
    values = [value["g_per_kwh"] for value in told["values"]]
    assert told["mean_g_per_kwh"] == pytest.approx((0.5 * values[0] + values[1] + values[2]) / 2.5)
    assert len(told["warnings"]) == 1


def test_show_tells_people_the_method_and_each_origin(carbon_csv, capsys):
    path = carbon_csv({"FR": range(40, 88)})
    assert main(["carbon", "show", "FR", "--carbon", str(path), "--from", "2022-01-04T20:00Z"]) == 0
    said = capsys.readouterr().out
    assert "carbon.csv, method lifecycle" in said
    assert re.search(r"2022-01-04T23:00:00Z +87\.0 +series", said)
    assert re.search(r"2022-01-05T00:00:00Z +[\d.]+ +climatology", said)
    assert "FR: 44 h from climatology" in said


def test_a_long_span_is_shown_by_day(capsys):
    span = ["--from", "2026-06-01T06:00Z", "--to", "2026-06-30T12:00Z"]
    assert main(["carbon", "show", "DE", *span]) == 0
    said = capsys.readouterr().out
    assert len(re.findall(r"2026-06-\d\d +[\d.]+ +[\d.]+ +[\d.]+ +climatology", said)) == 30


def test_quiet_is_one_figure_a_line(carbon_csv, capsys):
    span = ["--from", "2022-01-03T00:00Z", "--to", "2022-01-03T02:00Z"]
    assert main(["carbon", "show", "FR", "--carbon", str(carbon_csv({"FR": [40, 41]})), *span, "--quiet"]) == 0
    assert capsys.readouterr().out == "2022-01-03T00:00:00Z 40\n2022-01-03T01:00:00Z 41\n"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["show", "XX"], 3, "there is no carbon intensity for zone `XX`"),
        (["show", "FR", "--carbon", "nowhere.csv"], 3, "`nowhere.csv` is neither a file nor a folder"),
        (["show", "FR", "--from", "2022-01-01T00:00Z", "--to", "2022-01-01T00:00Z"], 2, "the span must end"),
        (["show", "FR", "--from", "2022-01-01T00:00Z", "--to", "2026-01-01T00:00Z"], 2, "the span must end"),
        (["show", "FR", "--from", "2022-01-01"], 2, "has no zone"),
    ],
)
def test_what_is_wrong_is_told_with_its_code(capsys, arguments, code, message):
    assert main(["carbon", *arguments]) == code
    assert message in capsys.readouterr().err


def test_sources_name_the_climatology_and_the_one_in_use(carbon_csv, capsys, monkeypatch):
    path = str(carbon_csv({"FR": [40, 41], "DE": [300, 310]}, column="carbon_intensity_direct"))
    monkeypatch.setenv("CSCHED_CARBON", path)
    assert main(["carbon", "sources", "--json"]) == 0
    climatology, used = json.loads(capsys.readouterr().out)["sources"]
    assert (climatology["source"], climatology["used"], len(climatology["zones"])) == ("climatology", False, 36)
    assert used == {"source": path, "method": "direct", "zones": ["DE", "FR"], "used": True}


def test_a_sparkline_rises_with_the_intensity_and_lies_flat_without():
    assert sparkline(series("FR", [0, 1, 2, 3, 4, 5, 6, 7], hours=8)) == "▁▂▃▄▅▆▇█"
    assert sparkline(series("FR", 50, hours=4)) == "▁▁▁▁"
    assert len(sparkline(series("FR", [1, 2], hours=1000))) == 96
