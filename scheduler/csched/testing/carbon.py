"""A sky that never changes, or changes as the test says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from csched.clock import epoch_s
from csched.domain.carbon import CarbonOutlook, CarbonSeries, Method
from csched.errors import InputError


@dataclass(frozen=True)
class FixedCarbon:
    """Implements csched.ports.CarbonSource: one intensity (gCO2e/kWh) for each zone, at any time."""

    g_per_kwh: Mapping[str, float]

    def outlook(self, zones: Sequence[str], now: datetime, start: datetime, end: datetime) -> CarbonOutlook:  # noqa: ARG002  (it was always so)
        for zone in zones:
            if zone not in self.g_per_kwh:
                raise InputError(f"zone `{zone}` has no carbon intensity", hint=f"known are {sorted(self.g_per_kwh)}")
        series = {
            zone: CarbonSeries(
                zone=zone, starts_s=(epoch_s(start),), g_per_kwh=(self.g_per_kwh[zone],), end_s=epoch_s(end) + 1
            )
            for zone in zones
        }
        return CarbonOutlook(source="fixed", method=Method.LIFECYCLE, zones=series)
