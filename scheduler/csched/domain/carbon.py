"""Carbon intensity of the grid as a step function of time, and its exact integral.

All intensities are gCO2e per kWh at the consumer, average (not marginal). Instants inside are whole seconds since
the epoch, so that sums and comparisons are exact.
"""

from bisect import bisect_right
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Self

from pydantic import Field, model_validator

from csched.clock import epoch_s, format_instant, from_epoch_s
from csched.domain.base import Value
from csched.units import SECONDS_PER_HOUR

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class Method(StrEnum):
    """Which emissions a series counts. Two methods are never mixed in one run."""

    LIFECYCLE = "lifecycle"
    DIRECT = "direct"
    UNSTATED = "unstated"
    CLIMATOLOGY = "climatology"


class CarbonRisk(StrEnum):
    """Which end of a forecast to plan by. What has passed is told by what came, whichever it is."""

    EXPECTED = "expected"
    HIGH = "high"
    """By the upper end that the forecast states, where it states one: its uncertainty counts against a start."""


class Origin(StrEnum):
    """Whence a single value comes: the reader of a figure must be able to tell a measurement from a guess."""

    SERIES = "series"
    FORECAST = "forecast"
    FORECAST_HIGH = "forecast-high"
    WEEK_EARLIER = "week-earlier"
    CLIMATOLOGY = "climatology"


class CarbonSeries(Value):
    """Intensities of one zone: `g_per_kwh[i]` holds in [starts_s[i], starts_s[i + 1]), the last one until `end_s`."""

    zone: str
    starts_s: tuple[int, ...] = Field(min_length=1)
    """Seconds since the epoch, strictly rising; shape (n,)."""
    g_per_kwh: tuple[float, ...]
    """gCO2e/kWh; shape (n,)."""
    end_s: int
    origins: tuple[tuple[int, Origin], ...] = ()
    """(index from which it holds, origin), rising; empty is `series` throughout."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(self.starts_s) != len(self.g_per_kwh):
            raise ValueError("one intensity for each instant is expected")
        edges = (*self.starts_s, self.end_s)
        if any(later <= earlier for earlier, later in pairwise(edges)):
            raise ValueError("instants must rise")
        return self

    @property
    def start_s(self) -> int:
        return self.starts_s[0]

    def at(self, instant: datetime) -> float:
        """Intensity in force at `instant`, gCO2e/kWh; ValueError outside the series."""
        second = epoch_s(instant)
        self._require_inside(second, second + 1)
        return self.g_per_kwh[bisect_right(self.starts_s, second) - 1]

    def origin_at(self, instant: datetime) -> Origin:
        index = bisect_right(self.starts_s, epoch_s(instant)) - 1
        origin = Origin.SERIES
        for first, named in self.origins:
            if first <= index:
                origin = named
        return origin

    def integral_g_h_per_kwh(self, start: datetime, end: datetime) -> float:
        """Exact integral over [start, end): hours x gCO2e/kWh. Times kW it is grams.

        Raises:
            ValueError: some of [start, end) lies outside the series, or end is before start.
        """
        first, last = start.timestamp(), end.timestamp()
        if last < first:
            raise ValueError(f"the interval ends ({format_instant(end)}) before it starts ({format_instant(start)})")
        self._require_inside(first, last)
        return self._cumulative_at(last) - self._cumulative_at(first)

    def _cumulative_at(self, second: float) -> float:
        """As `cumulative_g_h_per_kwh`, to the last bit; for single instants arrays take too long."""
        edges_s, integrals = self._edges_and_integrals
        index = bisect_right(edges_s, second) - 1
        if index == len(edges_s) - 1:
            return integrals[index]
        slope = (integrals[index + 1] - integrals[index]) / (edges_s[index + 1] - edges_s[index])
        return slope * (second - edges_s[index]) + integrals[index]

    @cached_property
    def _edges_and_integrals(self) -> tuple[list[float], list[float]]:
        return self._edges_s.tolist(), self._cumulative.tolist()

    def cumulative_g_h_per_kwh(
        self, seconds: "npt.NDArray[np.float64] | npt.NDArray[np.int64]"
    ) -> "npt.NDArray[np.float64]":
        """Integral from the start of the series to each of `seconds` (epoch), in hours x gCO2e/kWh; same shape.

        Piecewise linear between steps, hence exact for a step function.
        """
        import numpy as np

        return np.asarray(np.interp(seconds, self._edges_s, self._cumulative))

    @cached_property
    def _edges_s(self) -> "npt.NDArray[np.float64]":
        import numpy as np

        return np.array((*self.starts_s, self.end_s), dtype=np.float64)

    @cached_property
    def _cumulative(self) -> "npt.NDArray[np.float64]":
        import numpy as np

        hours = np.diff(self._edges_s) / SECONDS_PER_HOUR
        return np.concatenate(([0.0], np.cumsum(hours * np.asarray(self.g_per_kwh))))

    def _require_inside(self, first: float, last: float) -> None:
        if first < self.start_s or last > self.end_s:
            raise ValueError(
                f"zone {self.zone} has intensities from {format_instant(from_epoch_s(self.start_s))} "
                f"to {format_instant(from_epoch_s(self.end_s))}, not for all of "
                f"{format_instant(from_epoch_s(first))} to {format_instant(from_epoch_s(last))}"
            )


class CarbonOutlook(Value):
    """What a decision knows of the grid: one series for each zone of the fleet, reaching past every possible end.

    It is resolved before the decision (series, newest forecast issued by then, the same hour a week earlier,
    climatology; each value flagged), so that deciding reads nothing and a replay sees the same figures.
    """

    source: str
    """What a report calls it: a file name, a provider, or `climatology`."""
    method: Method
    zones: Mapping[str, CarbonSeries]
    warnings: tuple[str, ...] = ()
    """One line for each flag a reader must see, such as how many hours were filled from climatology."""

    def zone(self, key: str) -> CarbonSeries:
        """Raises KeyError for a zone that was not asked for."""
        return self.zones[key]
