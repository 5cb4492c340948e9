"""The shipped climatology: mean intensity by zone, month and hour of day (UTC) over 2021-2023.

It is no forecast and says so everywhere: a year-round habit of each grid, for planning where nothing better is known.
Data, licence (ODbL) and the script that makes it: traces/README.md.
"""

import csv
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from importlib import resources
from types import MappingProxyType

import numpy as np

from csched.carbon.fallback import resolve
from csched.carbon.stretch import Intensities
from csched.carbon.zones import require_known
from csched.clock import epoch_s
from csched.domain.carbon import CarbonOutlook, Method

NAME = "climatology"


@cache
def shipped_climatology() -> Mapping[str, Intensities]:
    """Zone -> mean gCO2e/kWh, shape (12, 24): month from January, hour of day in UTC."""
    file = resources.files("csched.carbon") / "data" / "climatology.csv"
    rows = csv.reader(line for line in file.read_text(encoding="utf-8").splitlines() if not line.startswith("#"))
    next(rows)
    months: dict[str, list[list[float]]] = {}
    for zone, _month, *hours in rows:
        months.setdefault(zone, []).append([float(hour) for hour in hours])
    return MappingProxyType({zone: np.array(means) for zone, means in months.items()})


class Climatology:
    """Serves the shipped means for any time; implements the CarbonSource port."""

    method = Method.CLIMATOLOGY

    def zones(self) -> Sequence[str]:
        return sorted(shipped_climatology())

    def outlook(self, zones: Sequence[str], now: datetime, start: datetime, end: datetime) -> CarbonOutlook:  # noqa: ARG002 # a mean does not depend on now
        """As the port says; every value is flagged as climatology.

        Raises:
            InputError: a zone without a climatology.
        """
        require_known(zones, self.zones(), NAME)
        first, last = epoch_s(start), epoch_s(end)
        filled = {zone: resolve(zone, (), shipped_climatology()[zone], first, last) for zone in zones}
        return CarbonOutlook(
            source=NAME, method=self.method, zones={zone: series for zone, (series, _) in filled.items()}
        )
