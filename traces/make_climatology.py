"""Makes the shipped climatology: mean carbon intensity by zone, month and hour of day (UTC).

    python traces/make_climatology.py FOLDER > scheduler/csched/carbon/data/climatology.csv

FOLDER holds hourly series as `timestamp,zone,carbon_intensity_lca` (plain or .gz), whole years for every zone, so that
each mean counts every day of its month once a year. Same input, same bytes. Source and licence: traces/README.md.
"""

import csv
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import numpy as np

from csched.carbon.csv_rows import Rows, read_rows
from csched.carbon.csv_series import ZoneRows
from csched.carbon.stretch import Intensities, Stretch
from csched.clock import from_epoch_s
from csched.domain.carbon import Origin

HEADER = """\
# Mean carbon intensity of the grid in gCO2e/kWh by zone, month and hour of day (UTC), {first} to {last}.
# Life-cycle emissions, consumption-based, average (not marginal). Not a forecast.
# Derived by traces/make_climatology.py from: Electricity Maps (2025), hourly Carbon Intensity Data 2021-2024,
# version 2025-01-27, https://www.electricitymaps.com. This file is a derived database and is made available under the
# Open Database License v1.0, https://opendatacommons.org/licenses/odbl/1-0/ (attribution, share-alike).
"""


def series_in(folder: Path) -> Iterator[tuple[str, Stretch]]:
    """(zone, its whole series), by zone."""
    files: dict[str, list[Rows]] = {}
    for path in sorted(folder.glob("*.csv*")):
        rows = read_rows(path)
        for zone in rows.zone_names:
            files.setdefault(zone, []).append(rows)
    for zone in sorted(files):
        for _, stretch in ZoneRows.of(zone, files[zone]).stretches(Origin.SERIES):
            yield zone, stretch


def means(stretch: Stretch) -> Intensities:
    """gCO2e/kWh, shape (12, 24): the mean over all days and years of each month and hour."""
    month = stretch.starts_s.astype("datetime64[s]").astype("datetime64[M]").astype(np.int64) % 12
    hour = stretch.starts_s // 3600 % 24
    cell = month * 24 + hour
    sums = np.bincount(cell, weights=stretch.g_per_kwh, minlength=288)
    return (sums / np.bincount(cell, minlength=288)).reshape(12, 24)


def write(folder: Path, stream: TextIO) -> None:
    series = dict(series_in(folder))
    first = from_epoch_s(min(stretch.start_s for stretch in series.values()))
    last = from_epoch_s(max(stretch.end_s for stretch in series.values()) - 1)
    stream.write(HEADER.format(first=first.date(), last=last.date()))
    table = csv.writer(stream, lineterminator="\n")
    table.writerow(["zone", "month", *(f"h{hour:02}" for hour in range(24))])
    for zone, stretch in series.items():
        for month, hours in enumerate(means(stretch), start=1):
            table.writerow([zone, month, *(f"{mean:.2f}" for mean in hours)])


if __name__ == "__main__":
    write(Path(sys.argv[1]), sys.stdout)
