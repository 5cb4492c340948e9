"""One carbon CSV as columns. Files are read by pyarrow; one that it doubts is read again, row by row, to say where."""

import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv

from csched.carbon.stretch import Intensities, Seconds
from csched.carbon.zones import ZONE_KEY
from csched.clock import epoch_s, parse_instant
from csched.domain.carbon import Method
from csched.errors import InputError, Where
from csched.formats.files import read_text

MAX_MIB = 256
MAX_G_PER_KWH = 3000
"""Twice the intensity of the dirtiest lignite plants: more is another unit or a slip."""

FIRST, LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
"""Instants outside are slips, such as milliseconds read as seconds."""

MEASURED = {
    "carbon_intensity_lca": Method.LIFECYCLE,
    "carbon_intensity": Method.UNSTATED,
    "carbon_intensity_direct": Method.DIRECT,
}
"""Value column -> what it counts; where a file has several, the first one here is read."""

FORECAST, HIGH = "forecast_lca", "high"
ISSUED = "issue_time"


@dataclass(frozen=True)
class Rows:
    """The rows of one file, in its order; all arrays have shape (n,)."""

    file: str
    column: str
    """Name of the value column."""
    method: Method
    lines: Seconds
    zone_names: tuple[str, ...]
    zones: npt.NDArray[np.int64]
    """Index into `zone_names`."""
    starts_s: Seconds
    g_per_kwh: Intensities
    issued_s: Seconds | None
    """When each forecast was issued; None in a file of measured values."""
    high_g_per_kwh: Intensities | None = None
    """Upper ends of forecasts; None where the file has none or nobody asked."""

    def where(self, row: int, field: str) -> Where:
        return Where(self.file, int(self.lines[row]), field)


@dataclass(frozen=True)
class _Layout:
    header: tuple[str, ...]
    header_line: int
    value: str
    method: Method
    issued: bool
    high: bool
    """Whether to read the upper ends of forecasts, too."""

    @property
    def instants(self) -> tuple[str, ...]:
        return (ISSUED, "timestamp") if self.issued else ("timestamp",)

    @property
    def values(self) -> tuple[str, ...]:
        return (self.value, HIGH) if self.high else (self.value,)


class _DoubtError(Exception):
    """The quick reading met something that only the careful one can judge."""


def read_rows(path: Path, *, high: bool = False) -> Rows:
    """The rows of a carbon CSV, plain or .gz; with `high` the upper ends of its forecasts, where it has them.

    Raises:
        InputError: unreadable, empty, a column missing, a row or a value that is not as the format says.
    """
    text = read_text(path, MAX_MIB)
    layout = _layout(text, str(path), high=high)
    try:
        return _read_quickly(text, layout, str(path))
    except (_DoubtError, pa.ArrowException):
        return _read_carefully(text, layout, str(path))


def _layout(text: str, file: str, *, high: bool) -> _Layout:
    reader = csv.reader(io.StringIO(text, newline=""))
    header = next((tuple(name.strip() for name in row) for row in reader if row), None)
    if header is None:
        raise InputError("the file is empty", hint=_EXPECTED, where=Where(file))
    line = reader.line_num
    for name in header:
        if header.count(name) > 1:
            raise InputError(f"the column `{name}` is there twice", where=Where(file, line, name))
    issued = ISSUED in header
    values = [FORECAST] if issued else [name for name in MEASURED if name in header]
    for name in ("timestamp", "zone", *values):
        if name not in header:
            raise InputError(f"the column `{name}` is missing", hint=_EXPECTED, where=Where(file, line, name))
    if not values:
        raise InputError(
            f"no column of intensities: {', '.join(f'`{name}`' for name in MEASURED)}",
            hint=_EXPECTED,
            where=Where(file, line),
        )
    method = MEASURED.get(values[0], Method.LIFECYCLE)
    return _Layout(header, line, values[0], method, issued, high=high and issued and HIGH in header)


_EXPECTED = "begin the file with the line `timestamp,zone,carbon_intensity_lca`"
_HINTS = dict.fromkeys([*MEASURED, FORECAST, HIGH], "mend the value, or leave the zone out") | {
    "zone": "zones are Electricity Maps keys"
}


def _read_quickly(text: str, layout: _Layout, file: str) -> Rows:
    instant, names = pa.timestamp("s", tz="UTC"), (*layout.instants, "zone", *layout.values)
    table = pyarrow.csv.read_csv(
        io.BytesIO(text.encode()),
        convert_options=pyarrow.csv.ConvertOptions(
            include_columns=names,
            column_types={
                **dict.fromkeys(layout.instants, instant),
                "zone": pa.dictionary(pa.int32(), pa.string()),
                **dict.fromkeys(layout.values, pa.float64()),
            },
        ),
    ).combine_chunks()
    # A row's line follows from its number only where nothing is quoted across lines and no line is empty.
    lines = text.count("\n") + (not text.endswith("\n"))
    if '"' in text or not table.num_rows or lines != table.num_rows + 1:
        raise _DoubtError
    if any(table[name].null_count for name in names):
        raise _DoubtError
    zones = table["zone"].chunk(0)
    zone_names = tuple(zones.dictionary.to_pylist())
    g_per_kwh = [_values(table[name].chunk(0), np.dtype(np.float64)) for name in layout.values]
    if not all(map(ZONE_KEY.fullmatch, zone_names)):
        raise _DoubtError
    if not all(((each >= 0) & (each <= MAX_G_PER_KWH)).all() for each in g_per_kwh):
        raise _DoubtError
    if (g_per_kwh[-1] < g_per_kwh[0]).any():
        raise _DoubtError
    instants = [_values(table[name].chunk(0), np.dtype(np.int64)) for name in layout.instants]
    if not all(((epoch_s(FIRST) <= seconds) & (seconds < epoch_s(LAST))).all() for seconds in instants):
        raise _DoubtError
    return Rows(
        file=file,
        column=layout.value,
        method=layout.method,
        lines=np.arange(2, table.num_rows + 2),
        zone_names=zone_names,
        zones=_values(zones.indices, np.dtype(np.int32)).astype(np.int64),
        starts_s=instants[-1],
        g_per_kwh=g_per_kwh[0],
        issued_s=instants[0] if layout.issued else None,
        high_g_per_kwh=g_per_kwh[1] if layout.high else None,
    )


def _values(column: pa.Array, dtype: "np.dtype[Any]") -> "npt.NDArray[Any]":
    """The values of a column without nulls; pyarrow's own `to_numpy` would first import all of pandas."""
    return np.frombuffer(column.buffers()[1], dtype, count=len(column), offset=column.offset * dtype.itemsize)


def _read_carefully(text: str, layout: _Layout, file: str) -> Rows:
    lines: list[int] = []
    zones: list[str] = []
    instants: dict[str, list[int]] = {name: [] for name in layout.instants}
    values: dict[str, list[float]] = {name: [] for name in layout.values}
    for line, cells in _body(text, layout, file):
        name = "zone"
        try:
            zones.append(_zone(cells[name]))
            for name in layout.instants:
                instants[name].append(_second(cells[name]))
            for name in layout.values:
                least = values[layout.value][-1] if name == HIGH else 0.0
                values[name].append(_intensity(cells[name], least))
        except ValueError as error:
            raise InputError(str(error), hint=_HINTS.get(name), where=Where(file, line, name)) from error
        lines.append(line)
    if not lines:
        raise InputError("there is a header but not one row", where=Where(file, layout.header_line))
    zone_names = tuple(dict.fromkeys(zones))
    position = {zone: index for index, zone in enumerate(zone_names)}
    return Rows(
        file=file,
        column=layout.value,
        method=layout.method,
        lines=np.array(lines, dtype=np.int64),
        zone_names=zone_names,
        zones=np.array([position[zone] for zone in zones], dtype=np.int64),
        starts_s=np.array(instants["timestamp"], dtype=np.int64),
        g_per_kwh=np.array(values[layout.value], dtype=np.float64),
        issued_s=np.array(instants[ISSUED], dtype=np.int64) if layout.issued else None,
        high_g_per_kwh=np.array(values[HIGH], dtype=np.float64) if layout.high else None,
    )


def _body(text: str, layout: _Layout, file: str) -> Iterator[tuple[int, Mapping[str, str]]]:
    """(line, column -> cell) of each row after the header that is not blank."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    line = 1
    try:
        for row in reader:
            if row and line > layout.header_line:
                if len(row) != len(layout.header):
                    raise InputError(
                        f"{len(row)} fields, but the header has {len(layout.header)}",
                        hint="look for a comma too many or too few; decimals take a point",
                        where=Where(file, line),
                    )
                yield line, dict(zip(layout.header, row, strict=True))
            line = reader.line_num + 1
    except csv.Error as error:
        raise InputError(f"not CSV: {error}", hint="check the quotes", where=Where(file, line)) from error


def _second(cell: str) -> int:
    instant = parse_instant(cell)
    if instant.microsecond:
        raise ValueError(f"`{cell}` is not a whole second")
    if not FIRST <= instant < LAST:
        raise ValueError(f"`{cell}` is not between {FIRST.year} and {LAST.year}")
    return epoch_s(instant)


def _zone(cell: str) -> str:
    if not ZONE_KEY.fullmatch(cell):
        raise ValueError(f"`{cell}` is not a grid zone such as FR or IT-NO")
    return cell


_NUMBER = re.compile(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*", re.ASCII)
_NOT_A_NUMBER = {"", "nan", "null", "none", "na", "n/a"}


def _intensity(cell: str, least: float) -> float:
    """`least`: of an upper end the value that is expected."""
    if cell.strip().lower() in _NOT_A_NUMBER:
        raise ValueError("there is no value (NaN)" if cell.strip() else "the value is missing")
    if not _NUMBER.fullmatch(cell):
        raise ValueError(f"`{cell}` is not a number")
    value = float(cell)
    if value < 0:
        raise ValueError(f"`{cell}` is negative; an intensity is at least 0 gCO2e/kWh")
    if value < least:
        raise ValueError(f"`{cell}` is below `{FORECAST}`, which is {least:g}")
    if value > MAX_G_PER_KWH:
        raise ValueError(f"`{cell}` is absurd; an intensity is at most {MAX_G_PER_KWH} gCO2e/kWh")
    return value
