"""From rows of several files to the gap-free series of one zone, or to the place where that fails."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from csched.carbon.csv_rows import Rows
from csched.carbon.stretch import Intensities, Seconds, Stretch
from csched.clock import format_instant, from_epoch_s
from csched.domain.carbon import Origin
from csched.errors import InputError, Where
from csched.units import SECONDS_PER_HOUR


@dataclass(frozen=True)
class ZoneRows:
    """All rows of one zone, ordered by time of issue and then by time; the arrays have shape (n,)."""

    zone: str
    files: Sequence[str]
    file: npt.NDArray[np.int64]
    """Index into `files`."""
    lines: Seconds
    issued_s: Seconds
    """0 for measured values."""
    starts_s: Seconds
    g_per_kwh: Intensities

    @classmethod
    def of(cls, zone: str, files: Sequence[Rows], *, high: bool = False) -> Self:
        """The rows of `zone` in `files`, each of which has some; with `high` at the upper ends that are stated."""
        picked = [np.flatnonzero(rows.zones == rows.zone_names.index(zone)) for rows in files]
        starts_s = np.concatenate([rows.starts_s[pick] for rows, pick in zip(files, picked, strict=True)])
        issued_s = np.concatenate(
            [
                np.zeros(len(pick), np.int64) if rows.issued_s is None else rows.issued_s[pick]
                for rows, pick in zip(files, picked, strict=True)
            ]
        )
        values = [rows.high_g_per_kwh if high and rows.high_g_per_kwh is not None else rows.g_per_kwh for rows in files]
        order = np.lexsort((starts_s, issued_s))
        return cls(
            zone=zone,
            files=[rows.file for rows in files],
            file=np.repeat(np.arange(len(files)), [len(pick) for pick in picked])[order],
            lines=np.concatenate([rows.lines[pick] for rows, pick in zip(files, picked, strict=True)])[order],
            issued_s=issued_s[order],
            starts_s=starts_s[order],
            g_per_kwh=np.concatenate([each[pick] for each, pick in zip(values, picked, strict=True)])[order],
        )

    def stretches(self, origin: Origin) -> Iterator[tuple[int, Stretch]]:
        """(second of issue, what was issued then), in order of issue.

        Raises:
            InputError: an instant twice, a gap longer than the step, or one row alone.
        """
        same_issue = np.diff(self.issued_s) == 0
        steps_s = np.diff(self.starts_s)
        self._refuse_twice(same_issue & (steps_s == 0))
        if not same_issue.any():
            raise InputError(
                f"zone {self.zone} has one row only, so nobody knows how long its value holds",
                hint="give at least two rows",
                where=self._where(0),
            )
        step_s = _commonest(steps_s[same_issue])
        self._refuse_gap(same_issue & (steps_s > step_s), step_s)
        for block in np.split(np.arange(len(self.starts_s)), np.flatnonzero(~same_issue) + 1):
            starts_s = self.starts_s[block]
            stretch = Stretch(starts_s, self.g_per_kwh[block], int(starts_s[-1]) + step_s, origin)
            yield int(self.issued_s[block[0]]), stretch

    def _refuse_twice(self, twice: npt.NDArray[np.bool_]) -> None:
        for row in np.flatnonzero(twice)[:1]:
            # Of equal rows the sort keeps the order of the files, so the later one is the one to name.
            raise InputError(
                f"zone {self.zone} has {self._instant(row)} twice, first at {self._where(row)}",
                hint="remove one; (zone, timestamp) is unique over all files of a folder",
                where=self._where(row + 1),
            )

    def _refuse_gap(self, gaps: npt.NDArray[np.bool_], step_s: int) -> None:
        for row in np.flatnonzero(gaps)[:1]:
            raise InputError(
                f"zone {self.zone} has a gap: nothing between {self._instant(row)} and {self._instant(row + 1)}, "
                f"where the step is {step_s / SECONDS_PER_HOUR:g} h",
                hint="add the rows that are missing; csched does not invent intensities inside a series",
                where=self._where(row + 1),
            )

    def _instant(self, row: int) -> str:
        return format_instant(from_epoch_s(int(self.starts_s[row])))

    def _where(self, row: int) -> Where:
        return Where(self.files[self.file[row]], int(self.lines[row]), "timestamp")


def _commonest(steps_s: Seconds) -> int:
    """The commonest difference, the shortest of several that are as common."""
    values, counts = np.unique(steps_s, return_counts=True)
    return int(values[np.argmax(counts)])
