"""Carbon intensity from the user's own CSV, or a folder of them: measured values, forecasts, or both."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path

from csched.carbon.climatology import shipped_climatology
from csched.carbon.csv_rows import Rows, read_rows
from csched.carbon.csv_series import ZoneRows
from csched.carbon.fallback import resolve
from csched.carbon.stretch import Stretch
from csched.carbon.zones import require_known
from csched.clock import epoch_s
from csched.domain.carbon import CarbonOutlook, CarbonRisk, Method, Origin
from csched.errors import InputError, Where

MAX_FILES = 10_000


@dataclass(frozen=True)
class _Zone:
    """All that the files say of one zone."""

    measured: Stretch | None
    forecasts: Mapping[int, Stretch]
    """Second of issue -> what was then forecast, in order of issue."""
    highs: Mapping[int, Stretch]
    """The same at the upper ends; empty where none is stated or nobody plans by it."""

    def known(self, now_s: int) -> tuple[Stretch, ...]:
        """What may be known at `now_s`, in order of time.

        Measured values alone count as known throughout, past `now_s` too: a perfect forecast, for replays and
        comparisons. Beside forecasts they end at `now_s`, and only what was issued by then goes on from there; the
        upper ends count after `now_s` alone.
        """
        if not self.forecasts:
            return (self.measured,) if self.measured else ()
        measured = self.measured.between(self.measured.start_s, now_s) if self.measured else None
        issued = [second for second in self.forecasts if second <= now_s]
        newest = self.forecasts[issued[-1]] if issued else None
        if newest is not None and measured is not None:
            newest = newest.between(measured.end_s, newest.end_s)
        high = self.highs.get(issued[-1]) if issued else None
        if newest is None or high is None:
            return tuple(stretch for stretch in (measured, newest) if stretch is not None)
        ahead_s = max(now_s, newest.start_s)
        split = (measured, newest.between(newest.start_s, ahead_s), high.between(ahead_s, newest.end_s))
        return tuple(stretch for stretch in split if stretch is not None)


class CsvSource:
    """Implements the CarbonSource port over a CSV file (plain or .gz) or a folder, searched recursively.

    The files are read at the first question and kept. All of them are read, whichever zones are asked for: a folder
    that says two things of one instant is refused before any of it is believed.
    """

    def __init__(self, path: Path, risk: CarbonRisk = CarbonRisk.EXPECTED) -> None:
        self._path, self._high = path, risk == CarbonRisk.HIGH

    @property
    def name(self) -> str:
        """What reports call the source."""
        return self._path.name or str(self._path)

    @property
    def method(self) -> Method:
        """What the intensities count, the same in all files."""
        return self._rows[0].method

    def zones(self) -> Sequence[str]:
        """The zones that the files have, sorted.

        Raises:
            InputError: the files are not as the format says; so does `outlook`.
        """
        return sorted(self._zones)

    def outlook(self, zones: Sequence[str], now: datetime, start: datetime, end: datetime) -> CarbonOutlook:
        """As the port says; past the data the same hour one week earlier, else the climatology, with warnings.

        Raises:
            InputError: a zone that the files do not have, or files that are not as the format says.
        """
        require_known(zones, self.zones(), str(self._path))
        now_s, start_s, end_s = epoch_s(now), epoch_s(start), math.ceil(end.timestamp())
        filled = {
            zone: resolve(zone, self._zones[zone].known(now_s), shipped_climatology().get(zone), start_s, end_s)
            for zone in dict.fromkeys(zones)
        }
        origins = {origin for series, _ in filled.values() for _, origin in series.origins}
        return CarbonOutlook(
            source=f"{self.name}, high end of forecasts" if Origin.FORECAST_HIGH in origins else self.name,
            method=self.method,
            zones={zone: series for zone, (series, _) in filled.items()},
            warnings=(
                *self._foresight(filled),
                *self._no_upper_ends(filled),
                *(warning for _, warnings in filled.values() for warning in warnings),
            ),
        )

    def _foresight(self, zones: Iterable[str]) -> Iterator[str]:
        """A warning for each zone that seems foreseen without error where other zones have real forecasts."""
        if any(zone.forecasts for zone in self._zones.values()):
            for zone in zones:
                if not self._zones[zone].forecasts:
                    yield f"{zone}: values measured after now count as known, where other zones have forecasts"

    def _no_upper_ends(self, zones: Iterable[str]) -> Iterator[str]:
        """A warning for each zone that cannot be planned by the high end of its forecasts, though that was asked."""
        for zone in zones if self._high else ():
            if not self._zones[zone].highs:
                yield f"{zone}: no forecast states a `high`, so what is expected counts there"

    @cached_property
    def _rows(self) -> Sequence[Rows]:
        files = [read_rows(path, high=self._high) for path in _files(self._path)]
        if self._high and all(rows.high_g_per_kwh is None for rows in files):
            raise InputError(
                "no forecast with a column `high`, by which planning was asked for",
                hint="add the column, or plan by `expected`",
                where=Where(str(self._path)),
            )
        first = files[0]
        for rows in files[1:]:
            if rows.method is not first.method:
                raise InputError(
                    f"`{rows.column}` here but `{first.column}` in {first.file}: two methods in one run",
                    hint="keep lifecycle and direct intensities in different folders",
                    where=Where(rows.file, 1, rows.column),
                )
        return files

    @cached_property
    def _zones(self) -> Mapping[str, _Zone]:
        measured: dict[str, list[Rows]] = {}
        forecast: dict[str, list[Rows]] = {}
        for rows in self._rows:
            kind = measured if rows.issued_s is None else forecast
            for zone in rows.zone_names:
                kind.setdefault(zone, []).append(rows)
        highs = {zone: rows for zone, rows in forecast.items() if any(each.high_g_per_kwh is not None for each in rows)}
        return {
            zone: _Zone(
                measured=next(_stretches(zone, measured, Origin.SERIES), (0, None))[1],
                forecasts=dict(_stretches(zone, forecast, Origin.FORECAST)),
                highs=dict(_stretches(zone, highs, Origin.FORECAST_HIGH)),
            )
            for zone in {**measured, **forecast}
        }


def _stretches(zone: str, files: Mapping[str, Sequence[Rows]], origin: Origin) -> Iterator[tuple[int, Stretch]]:
    high = origin is Origin.FORECAST_HIGH
    return ZoneRows.of(zone, files[zone], high=high).stretches(origin) if zone in files else iter(())


def _files(path: Path) -> Sequence[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(file for file in path.rglob("*") if file.name.endswith((".csv", ".csv.gz")) and file.is_file())
    if not found:
        raise InputError("no .csv or .csv.gz file in this folder or below", where=Where(str(path)))
    if len(found) > MAX_FILES:
        raise InputError(f"more than {MAX_FILES} CSV files", hint="name a smaller folder", where=Where(str(path)))
    return found
