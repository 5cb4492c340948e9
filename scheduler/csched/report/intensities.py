"""Carbon intensities of one zone over a span, with method and origin always in sight."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from csched.clock import format_instant, from_epoch_s
from csched.domain.carbon import CarbonOutlook, CarbonSeries
from csched.report.rendering import Pairs, Rendered, Table
from csched.report.words import figure
from csched.units import SECONDS_PER_DAY, SECONDS_PER_HOUR

MOST_STEPS_SHOWN = 72
"""Of a longer span a person sees one row a day; programs always get every step."""
SPARKLINE_WIDTH = 96
_BARS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True)
class Step:
    start: datetime
    end: datetime
    g_per_kwh: float
    origin: str


def intensities(outlook: CarbonOutlook, zone: str) -> Rendered:
    """One zone of an outlook: every step for programs, a curve and a table for people."""
    series = outlook.zone(zone)
    steps = _steps(series)
    start, end = steps[0].start, steps[-1].end
    lowest, highest = min(steps, key=lambda s: s.g_per_kwh), max(steps, key=lambda s: s.g_per_kwh)
    mean = _mean(series, start, end)
    document = {
        "zone": zone,
        "source": outlook.source,
        "method": str(outlook.method),
        "from": format_instant(start),
        "to": format_instant(end),
        "mean_g_per_kwh": mean,
        "values": [
            {"start": format_instant(step.start), "g_per_kwh": step.g_per_kwh, "origin": step.origin} for step in steps
        ],
        "warnings": list(outlook.warnings),
    }
    lines = [f"{format_instant(step.start)} {step.g_per_kwh:g}" for step in steps]
    told = Pairs(
        [
            ("zone", zone),
            ("source", f"{outlook.source}, method {outlook.method}"),
            ("mean", f"{figure(mean)} gCO2e/kWh"),
            ("lowest", f"{figure(lowest.g_per_kwh)} at {format_instant(lowest.start)}"),
            ("highest", f"{figure(highest.g_per_kwh)} at {format_instant(highest.start)}"),
            ("curve", sparkline(series)),
        ]
    )
    table = _by_step(steps) if len(steps) <= MOST_STEPS_SHOWN else _by_day(series, steps)
    return Rendered(document, lines, [told, table, *outlook.warnings])


def sparkline(series: CarbonSeries, width: int = SPARKLINE_WIDTH) -> str:
    """The mean intensity of up to `width` equal parts of the series, from its lowest bar to its highest."""
    parts = min(width, len(series.g_per_kwh))
    edges = [from_epoch_s(series.start_s + (series.end_s - series.start_s) * part / parts) for part in range(parts + 1)]
    means = [_mean(series, start, end) for start, end in pairwise(edges)]
    low, span = min(means), max(means) - min(means)
    return "".join(_BARS[round((mean - low) / span * (len(_BARS) - 1)) if span else 0] for mean in means)


def _steps(series: CarbonSeries) -> list[Step]:
    edges = [from_epoch_s(second) for second in (*series.starts_s, series.end_s)]
    return [
        Step(start, end, value, str(series.origin_at(start)))
        for (start, end), value in zip(pairwise(edges), series.g_per_kwh, strict=True)
    ]


def _mean(series: CarbonSeries, start: datetime, end: datetime) -> float:
    return series.integral_g_h_per_kwh(start, end) / ((end - start).total_seconds() / SECONDS_PER_HOUR)


def _by_step(steps: list[Step]) -> Table:
    rows = [(format_instant(step.start), figure(step.g_per_kwh), step.origin) for step in steps]
    return Table(("FROM", ">G/KWH", "ORIGIN"), rows)


def _by_day(series: CarbonSeries, steps: list[Step]) -> Table:
    rows = []
    for start, end in _days(steps[0].start, steps[-1].end):
        inside = [step for step in steps if step.start < end and step.end > start]
        values = [step.g_per_kwh for step in inside]
        origins = ", ".join(dict.fromkeys(step.origin for step in inside))
        figures = (figure(min(values)), figure(_mean(series, start, end)), figure(max(values)))
        rows.append((f"{start:%Y-%m-%d}", *figures, origins))
    return Table(("DAY", ">LOWEST", ">MEAN G/KWH", ">HIGHEST", "ORIGIN"), rows)


def _days(start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    """[start, end) cut at each midnight, UTC."""
    while start < end:
        midnight = from_epoch_s(int(start.timestamp()) // SECONDS_PER_DAY * SECONDS_PER_DAY) + timedelta(days=1)
        yield start, min(midnight, end)
        start = midnight
