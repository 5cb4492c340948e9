"""What a source answers inside its data, and whence the values come where it has none."""

from datetime import UTC, datetime, timedelta

import pytest

from csched.carbon.climatology import shipped_climatology
from csched.carbon.sources import open_source
from csched.clock import epoch_s
from csched.domain.carbon import CarbonRisk, Method, Origin
from csched.errors import InputError

START = datetime(2022, 1, 3, tzinfo=UTC)
HOUR = timedelta(hours=1)
WEEK = timedelta(days=7)


def outlook_of(path, zone, start, end, now=START):
    outlook = open_source(str(path)).outlook([zone], now, start, end)
    return outlook, outlook.zone(zone)


def test_values_of_the_series_are_given_as_they_stand(carbon_csv):
    outlook, series = outlook_of(carbon_csv({"FR": range(48)}), "FR", START + 5 * HOUR, START + 9 * HOUR)
    assert series.g_per_kwh == (5, 6, 7, 8)
    assert (series.start_s, series.end_s) == (epoch_s(START + 5 * HOUR), epoch_s(START + 9 * HOUR))
    assert (outlook.warnings, outlook.method, outlook.source) == ((), Method.LIFECYCLE, "carbon.csv")
    assert series.origins == ()


def test_an_outlook_may_begin_and_end_inside_a_step(carbon_csv):
    _, series = outlook_of(carbon_csv({"FR": range(48)}), "FR", START + 5.25 * HOUR, START + 6.5 * HOUR)
    assert series.g_per_kwh == (5, 6)
    assert series.integral_g_h_per_kwh(START + 5.25 * HOUR, START + 6.5 * HOUR) == pytest.approx(5 * 0.75 + 6 * 0.5)


@pytest.mark.parametrize(
    ("columns", "method", "value"),
    [
        ("carbon_intensity_direct,carbon_intensity,carbon_intensity_lca", Method.LIFECYCLE, 3),
        ("carbon_intensity_direct,carbon_intensity,other", Method.UNSTATED, 2),
        ("carbon_intensity_direct,other,more", Method.DIRECT, 1),
    ],
)
def test_of_several_columns_the_first_in_the_contracts_order_is_read(tmp_path, columns, method, value):
    path = tmp_path / "carbon.csv"
    path.write_text(f"timestamp,zone,{columns}\n2022-01-03T00:00Z,FR,1,2,3\n2022-01-03T01:00Z,FR,1,2,3\n")
    outlook, series = outlook_of(path, "FR", START, START + HOUR)
    assert (outlook.method, series.g_per_kwh) == (method, (value,))


def test_rows_need_no_order_and_a_year_may_be_cut_into_files(carbon_csv, tmp_path):
    path = carbon_csv({"FR": range(48)}, "all/carbon.csv")
    header, *rows = path.read_text().splitlines()
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "b.csv").write_text("\n".join([header, *rows[20:][::-1]]))
    (tmp_path / "parts" / "a.csv").write_text("\n".join([header, *rows[:20]]))
    assert (
        outlook_of(tmp_path / "parts", "FR", START, START + 48 * HOUR)[1]
        == outlook_of(path, "FR", START, START + 48 * HOUR)[1]
    )


def test_past_the_end_comes_the_same_hour_one_week_earlier_as_often_as_needed(carbon_csv):
    hours = 10 * 24
    outlook, series = outlook_of(
        carbon_csv({"FR": range(hours)}), "FR", START + (hours - 2) * HOUR, START + hours * HOUR + 2 * WEEK
    )
    assert series.g_per_kwh[:2] == (hours - 2, hours - 1)
    assert series.g_per_kwh[2:] == tuple(range(hours - 168, hours)) * 2
    assert series.origins == ((0, Origin.SERIES), (2, Origin.WEEK_EARLIER))
    assert outlook.warnings == (
        "FR: 336 h from the same hour of an earlier week (known from 2022-01-03T00:00:00Z to 2022-01-13T00:00:00Z)",
    )


def test_a_series_shorter_than_a_week_is_followed_by_climatology_and_then_by_itself(carbon_csv):
    outlook, series = outlook_of(carbon_csv({"FR": [7.0] * 48}), "FR", START, START + WEEK + 49 * HOUR)
    climatology = shipped_climatology()["FR"]
    first = START + 48 * HOUR
    assert [series.at(first + hour * HOUR) for hour in range(24)] == climatology[0].tolist()
    assert {series.at(START + WEEK + hour * HOUR) for hour in range(48)} == {7.0}
    assert series.at(START + WEEK + 48 * HOUR) == climatology[0, 0]
    assert [origin for _, origin in series.origins] == [
        Origin.SERIES, Origin.CLIMATOLOGY, Origin.WEEK_EARLIER, Origin.CLIMATOLOGY,
    ]  # fmt: skip
    assert [warning.split(" (")[0] for warning in outlook.warnings] == [
        "FR: 48 h from the same hour of an earlier week",
        "FR: 121 h from climatology, life-cycle means of 2021-2023",
    ]


def test_before_the_series_comes_climatology(carbon_csv):
    outlook, series = outlook_of(carbon_csv({"FR": [7.0] * 48}), "FR", START - 1.5 * HOUR, START + HOUR)
    assert series.g_per_kwh == (*shipped_climatology()["FR"][0, [22, 23]], 7.0)
    assert series.origins == ((0, Origin.CLIMATOLOGY), (2, Origin.SERIES))
    assert outlook.warnings[0].startswith("FR: 1.5 h from climatology")


def test_a_zone_without_climatology_is_followed_by_its_own_mean_by_hour_of_day(carbon_csv):
    values = [float(hour % 24 + 100 * (hour // 24)) for hour in range(48)]
    outlook, series = outlook_of(carbon_csv({"US-CAL-CISO": values}), "US-CAL-CISO", START, START + 72 * HOUR)
    assert series.g_per_kwh[48:] == tuple(hour + 50.0 for hour in range(24))
    assert outlook.warnings[0].startswith("US-CAL-CISO: 24 h from the series' own mean by hour of day (known from")


def test_quarter_hours_stay_quarter_hours(tmp_path):
    path = tmp_path / "carbon.csv"
    rows = [f"{(START + timedelta(minutes=15 * k)).isoformat()},DE,{k % 7}" for k in range(700)]
    path.write_text("\n".join(["timestamp,zone,carbon_intensity", *rows]))
    end = START + timedelta(minutes=15 * 700)
    _, series = outlook_of(path, "DE", end - HOUR, end + HOUR)
    assert len(series.g_per_kwh) == 8
    assert series.at(end + timedelta(minutes=50)) == (700 + 3 - 672) % 7


def test_a_row_between_the_steps_ends_the_one_before_it(tmp_path):
    path = tmp_path / "carbon.csv"
    rows = ["00:00Z,FR,10", "01:00Z,FR,20", "01:30Z,FR,40", "02:00Z,FR,50", "03:00Z,FR,60", "04:00Z,FR,70"]
    path.write_text("\n".join(["timestamp,zone,carbon_intensity", *(f"2022-01-03T{row}" for row in rows)]))
    _, series = outlook_of(path, "FR", START, START + 4 * HOUR)
    assert series.integral_g_h_per_kwh(START, START + 4 * HOUR) == 10 + 10 + 20 + 50 + 60


FORECASTS = """\
issue_time,timestamp,zone,forecast_lca,low,high
2022-01-03T00:00Z,2022-01-03T00:00Z,FR,100,,
2022-01-03T00:00Z,2022-01-03T01:00Z,FR,101,,
2022-01-03T00:00Z,2022-01-03T02:00Z,FR,102,,
2022-01-03T02:00Z,2022-01-03T02:00Z,FR,202,,
2022-01-03T02:00Z,2022-01-03T03:00Z,FR,203,,
2022-01-03T02:00Z,2022-01-03T04:00Z,FR,204,,
"""


@pytest.mark.parametrize(
    ("now_h", "expected"),
    [
        (0, (100, 101, 102)),
        (1.9, (0, 1, 101, 102)),
        (2, (0, 1, 202, 203, 204)),
        (2.5, (0, 1, 2, 202, 203, 204)),
    ],
)
def test_what_was_measured_holds_up_to_now_and_then_the_newest_forecast_issued_by_then(carbon_csv, now_h, expected):
    folder = carbon_csv({"FR": range(48)}).parent
    (folder / "forecasts.csv").write_text(FORECASTS)
    _, series = outlook_of(folder, "FR", START, START + 5 * HOUR, START + now_h * HOUR)
    assert series.g_per_kwh[: len(expected)] == expected
    assert series.origin_at(START + now_h * HOUR) is Origin.FORECAST


def test_no_measured_value_after_now_is_used_beside_forecasts(carbon_csv):
    folder = carbon_csv({"FR": [7.0] * 10 + [2999.0] * 400}).parent
    (folder / "forecasts.csv").write_text(FORECASTS)
    _, series = outlook_of(folder, "FR", START, START + 3 * WEEK, START + 10 * HOUR)
    assert 2999.0 not in series.g_per_kwh


def test_a_zone_that_is_foreseen_without_error_beside_real_forecasts_is_flagged(carbon_csv):
    folder = carbon_csv({"DE": [300.0] * 48}).parent
    (folder / "forecasts.csv").write_text(FORECASTS)
    outlook, _ = outlook_of(folder, "DE", START, START + HOUR)
    assert outlook.warnings == ("DE: values measured after now count as known, where other zones have forecasts",)


def test_before_the_first_issue_the_forecast_is_not_known(tmp_path):
    path = tmp_path / "forecasts.csv"
    path.write_text(FORECASTS)
    outlook, series = outlook_of(path, "FR", START - HOUR, START + HOUR, START - HOUR)
    assert series.g_per_kwh == (shipped_climatology()["FR"][0, 23], shipped_climatology()["FR"][0, 0])
    assert outlook.warnings == (
        "FR: 2 h from climatology, life-cycle means of 2021-2023 (nothing else is known by then)",
    )


def test_a_zone_of_which_nothing_is_known_by_then_is_refused(tmp_path):
    path = tmp_path / "forecasts.csv"
    path.write_text(FORECASTS.replace("FR", "US-CAL-CISO"))
    with pytest.raises(InputError, match="nothing is known of zone US-CAL-CISO by then"):
        outlook_of(path, "US-CAL-CISO", START - HOUR, START + HOUR, START - HOUR)


def test_several_zones_come_in_one_outlook(carbon_csv):
    source = open_source(str(carbon_csv({"FR": range(24), "DE": range(300, 324)})))
    outlook = source.outlook(["FR", "DE", "FR"], START, START, START + 2 * HOUR)
    assert {zone: series.g_per_kwh for zone, series in outlook.zones.items()} == {"FR": (0, 1), "DE": (300, 301)}


def forecasts(tmp_path, high="high", highs=(150, 260, 390, 480)):
    """Measured for two hours, then four that were forecast an hour before; hourly from START."""
    folder = tmp_path / "sky"
    folder.mkdir()
    measured = [f"{(START + hour * HOUR).isoformat()},FR,{hour + 1}" for hour in range(2)]
    (folder / "measured.csv").write_text("\n".join(["timestamp,zone,carbon_intensity_lca", *measured]))
    issued = (START - HOUR).isoformat()
    rows = [
        f"{issued},{(START + hour * HOUR).isoformat()},FR,{100 * (hour + 1)},1,{top}" for hour, top in enumerate(highs)
    ]
    (folder / "forecast.csv").write_text("\n".join([f"issue_time,timestamp,zone,forecast_lca,low,{high}", *rows]))
    return folder


def test_by_the_high_end_only_what_is_still_to_come_counts_more(tmp_path):
    source = open_source(str(forecasts(tmp_path)), CarbonRisk.HIGH)
    now = START + 3 * HOUR
    outlook = source.outlook(["FR"], now, START, START + 4 * HOUR)
    series = outlook.zone("FR")
    assert series.g_per_kwh == (1, 2, 300, 480)  # measured, then passed as forecast, then the high end
    assert [series.origin_at(START + hour * HOUR) for hour in range(4)] == [
        Origin.SERIES,
        Origin.SERIES,
        Origin.FORECAST,
        Origin.FORECAST_HIGH,
    ]
    assert outlook.source == "sky, high end of forecasts"
    assert outlook.warnings == ()


def test_what_has_passed_is_told_alike_whichever_end_is_planned_by(tmp_path):
    folder, end = forecasts(tmp_path), START + 4 * HOUR
    told = [open_source(str(folder), risk).outlook(["FR"], end, START, end) for risk in CarbonRisk]
    assert told[0] == told[1]
    assert told[0].source == "sky"


def test_the_high_end_of_forecasts_that_state_none_is_refused(tmp_path):
    with pytest.raises(InputError, match="column `high`"):
        open_source(str(forecasts(tmp_path, high="other")), CarbonRisk.HIGH).zones()
    with pytest.raises(InputError, match="climatology"):
        open_source("climatology", CarbonRisk.HIGH)


def test_a_zone_whose_forecasts_state_no_high_end_is_told(tmp_path):
    folder = forecasts(tmp_path)
    rows = (folder / "forecast.csv").read_text().replace(",FR,", ",SE,").replace(",high", ",other")
    (folder / "swedish.csv").write_text(rows)
    outlook = open_source(str(folder), CarbonRisk.HIGH).outlook(["FR", "SE"], START, START, START + 4 * HOUR)
    assert outlook.warnings == ("SE: no forecast states a `high`, so what is expected counts there",)
    assert outlook.zone("SE").g_per_kwh == (100, 200, 300, 400)


def test_a_high_end_below_what_is_expected_is_refused_with_its_place(tmp_path):
    folder = forecasts(tmp_path, highs=(150, 260, 299, 480))
    assert open_source(str(folder)).zones() == ["FR"]  # nobody asked for it
    with pytest.raises(InputError, match="below `forecast_lca`") as caught:
        open_source(str(folder), CarbonRisk.HIGH).zones()
    assert (caught.value.where.line, caught.value.where.field) == (4, "high")
