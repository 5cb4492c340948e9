"""A source that is read anew on a beat and whose last good reading outlives it: files move, providers fall silent."""

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

import numpy as np

from csched.carbon.climatology import shipped_climatology
from csched.carbon.fallback import resolve
from csched.carbon.stretch import Stretch
from csched.carbon.zones import require_known
from csched.clock import epoch_s, format_instant
from csched.domain.carbon import CarbonOutlook, CarbonSeries, Origin
from csched.errors import CschedError, InputError, Unavailable
from csched.ports import CarbonCache, CarbonSource, Clock


class KeptCarbon:
    """Implements the CarbonSource port over what `open_anew` opens.

    While a new reading fails the last good one stays in force: the one in memory, after a restart the one in the
    cache. Every outlook then carries a warning that says since when, and `refresh` raises so that it is seen.
    """

    REACH = timedelta(days=9)
    """How far ahead a reading is kept: the longest horizons, and the week from which later hours are filled."""

    def __init__(
        self, name: str, open_anew: Callable[[], CarbonSource], zones: Sequence[str], cache: CarbonCache, clock: Clock
    ) -> None:
        self._name = name
        self._open_anew = open_anew
        self._zones = zones
        self._cache = cache
        self._clock = clock
        self._source: CarbonSource | None = None
        self._trouble: str | None = None

    def outlook(self, zones: Sequence[str], now: datetime, start: datetime, end: datetime) -> CarbonOutlook:
        """As the port says.

        Raises:
            InputError: the source cannot be read and no reading of it was ever kept.
        """
        if self._source is None and self._trouble is None:
            try:
                source = self._open_anew()
                found = source.outlook(zones, now, start, end)
            except (InputError, Unavailable) as error:
                if self._cache.kept(self._name) is None:
                    raise
                self._note(error)
            else:
                self._source = source
                return found
        found = self._source.outlook(zones, now, start, end) if self._source else self._from_cache(zones, start, end)
        warned = (*found.warnings, self._trouble) if self._trouble else found.warnings
        return found.model_copy(update={"warnings": warned})

    def refresh(self) -> None:
        """Read the source anew and keep what it says of the fleet's zones from now on.

        Raises:
            Unavailable: it cannot be read; the message says since when and what is used instead.
        """
        now = self._clock.now()
        try:
            source = self._open_anew()
            reading = source.outlook(self._zones, now, now, now + self.REACH)
        except (InputError, Unavailable) as error:
            self._note(error)
            raise Unavailable(str(self._trouble), hint="mend the source; it is tried again on every beat") from error
        self._cache.keep(self._name, reading, now)
        self._source, self._trouble = source, None

    def _note(self, error: CschedError) -> None:
        """The first failure is the one to tell: since then nothing new is known."""
        if self._trouble is None:
            since = format_instant(self._clock.now())
            self._trouble = f"{self._name} cannot be read since {since}, the last good reading is used: {error}"

    def _from_cache(self, zones: Sequence[str], start: datetime, end: datetime) -> CarbonOutlook:
        kept = self._cache.kept(self._name)
        if kept is None:
            raise Unavailable(f"{self._name} cannot be read and no reading was kept", hint=self._trouble)
        reading, _ = kept
        require_known(zones, sorted(reading.zones), self._name)
        start_s, end_s = epoch_s(start), math.ceil(end.timestamp())
        filled = {
            zone: resolve(zone, (_stretch(reading.zone(zone)),), shipped_climatology().get(zone), start_s, end_s)
            for zone in dict.fromkeys(zones)
        }
        series: Mapping[str, CarbonSeries] = {zone: one for zone, (one, _) in filled.items()}
        warnings = tuple(warning for _, told in filled.values() for warning in told)
        return reading.model_copy(update={"zones": series, "warnings": warnings})


def _stretch(series: CarbonSeries) -> Stretch:
    return Stretch(np.array(series.starts_s), np.array(series.g_per_kwh), series.end_s, Origin.SERIES)
