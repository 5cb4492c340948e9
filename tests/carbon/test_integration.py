"""Promises of the integral: exact, additive, bounded, the same as a sum minute by minute."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from csched.carbon.fallback import resolve
from csched.carbon.stretch import Stretch
from csched.clock import epoch_s
from csched.domain.carbon import CarbonSeries, Origin

START = datetime(2022, 1, 3, tzinfo=UTC)
INTENSITY = st.floats(0, 3000)


@st.composite
def series(draw: st.DrawFn) -> CarbonSeries:
    steps_min = draw(st.lists(st.integers(1, 120), min_size=1, max_size=30))
    edges = [epoch_s(START)]
    for minutes in steps_min:
        edges.append(edges[-1] + 60 * minutes)
    values = draw(st.lists(INTENSITY, min_size=len(steps_min), max_size=len(steps_min)))
    return CarbonSeries(zone="FR", starts_s=tuple(edges[:-1]), g_per_kwh=tuple(values), end_s=edges[-1])


@st.composite
def series_and_instants(draw: st.DrawFn, count: int) -> tuple[CarbonSeries, list[datetime]]:
    sky = draw(series())
    last = sky.end_s - sky.start_s
    seconds = sorted(draw(st.lists(st.integers(0, last), min_size=count, max_size=count)))
    return sky, [START + timedelta(seconds=second) for second in seconds]


@settings(deadline=None)
@given(series_and_instants(3))
def test_an_integral_is_the_sum_of_its_parts(drawn):
    sky, (a, b, c) = drawn
    whole = sky.integral_g_h_per_kwh(a, c)
    assert whole == pytest.approx(sky.integral_g_h_per_kwh(a, b) + sky.integral_g_h_per_kwh(b, c), rel=1e-9, abs=1e-6)


@settings(deadline=None)
@given(series_and_instants(2))
def test_an_integral_lies_between_the_lowest_and_the_highest_hour(drawn):
    sky, (a, b) = drawn
    hours = (b - a).total_seconds() / 3600
    integral = sky.integral_g_h_per_kwh(a, b)
    assert min(sky.g_per_kwh) * hours - 1e-6 <= integral <= max(sky.g_per_kwh) * hours + 1e-6


@settings(deadline=None)
@given(series())
def test_an_integral_is_the_sum_minute_by_minute(sky):
    minutes = (sky.end_s - sky.start_s) // 60
    summed = sum(sky.at(START + timedelta(minutes=minute)) for minute in range(minutes)) / 60
    end = START + timedelta(minutes=minutes)
    assert sky.integral_g_h_per_kwh(START, end) == pytest.approx(summed, rel=1e-9, abs=1e-6)


@settings(deadline=None)
@given(INTENSITY, st.integers(1, 200), st.integers(0, 3600), st.integers(1, 3600))
def test_a_constant_sky_gives_hours_times_intensity(intensity, hours, after_s, short_s):
    starts = tuple(epoch_s(START) + 3600 * hour for hour in range(hours + 2))
    sky = CarbonSeries(zone="FR", starts_s=starts, g_per_kwh=(intensity,) * len(starts), end_s=starts[-1] + 3600)
    start, end = START + timedelta(seconds=after_s), START + timedelta(hours=hours + 2, seconds=-short_s)
    expected = intensity * (end - start).total_seconds() / 3600
    assert sky.integral_g_h_per_kwh(start, end) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@st.composite
def known_stretches(draw: st.DrawFn) -> list[Stretch]:
    second, stretches = epoch_s(START), []
    for origin in draw(st.lists(st.sampled_from([Origin.SERIES, Origin.FORECAST]), max_size=3)):
        second += 3600 * draw(st.integers(0, 100))
        values = draw(st.lists(INTENSITY, min_size=1, max_size=60))
        starts = second + 3600 * np.arange(len(values))
        second += 3600 * len(values)
        stretches.append(Stretch(starts, np.array(values), second, origin))
    return stretches


@settings(deadline=None)
@given(known_stretches(), st.integers(-40 * 3600, 1500 * 3600), st.integers(1, 600 * 3600))
def test_an_outlook_covers_what_was_asked_for_and_each_value_is_the_one_its_origin_says(known, offset_s, length_s):
    means = np.arange(288.0).reshape(12, 24)
    start_s = epoch_s(START) + offset_s
    sky, _ = resolve("FR", known, means, start_s, start_s + length_s)
    assert (sky.start_s, sky.end_s) == (start_s, start_s + length_s)
    for second in range(start_s, start_s + length_s, 1800):
        instant = datetime.fromtimestamp(second, UTC)
        value, origin = expected(known, means, second)
        assert (sky.at(instant), sky.origin_at(instant)) == (value, origin)


def expected(known, means, second):
    """The rule in words, one instant at a time: known, else whole weeks back, else the climatology."""
    weeks = 0
    while known and second - weeks * 604_800 >= known[0].start_s:
        for stretch in known:
            piece = stretch.between(second - weeks * 604_800, second - weeks * 604_800 + 1)
            if piece is not None:
                return piece.g_per_kwh[0], Origin.WEEK_EARLIER if weeks else stretch.origin
        weeks += 1
    instant = datetime.fromtimestamp(second, UTC)
    return means[instant.month - 1, instant.hour], Origin.CLIMATOLOGY
