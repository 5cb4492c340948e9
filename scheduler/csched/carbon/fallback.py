"""What holds where the data does not reach: the same hour one week earlier, else the climatology, always flagged."""

from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np

from csched.carbon.stretch import Intensities, Stretch
from csched.clock import format_instant, from_epoch_s
from csched.domain.carbon import CarbonSeries, Origin
from csched.errors import InputError, Where
from csched.units import SECONDS_PER_DAY, SECONDS_PER_HOUR

WEEK_S = 7 * SECONDS_PER_DAY


def resolve(
    zone: str, known: Sequence[Stretch], climatology: Intensities | None, start_s: int, end_s: int
) -> tuple[CarbonSeries, tuple[str, ...]]:
    """The intensities of one zone over all of [start_s, end_s), and one warning for each kind of filling.

    Args:
        known: stretches in order of time that do not overlap; what lies between, before and after them is filled.
        climatology: mean gCO2e/kWh by month and hour of day (UTC), shape (12, 24); None where csched ships none for
            the zone, then the mean of the known values by hour of day stands in for it.

    Raises:
        InputError: nothing is known and there is no climatology either.
    """
    if not known and climatology is None:
        raise InputError(
            f"nothing is known of zone {zone} by then, and csched has no climatology for it",
            hint="add measured values, or forecasts issued earlier",
            where=Where(field="zone"),
        )
    means = climatology if climatology is not None else _own_means(known)
    pieces = list(_cover(known, means, start_s, end_s))
    origins = []
    first = 0
    for origin, group in groupby(pieces, key=lambda piece: piece.origin):
        origins.append((first, origin))
        first += sum(len(piece.starts_s) for piece in group)
    series = CarbonSeries(
        zone=zone,
        starts_s=tuple(np.concatenate([piece.starts_s for piece in pieces]).tolist()),
        g_per_kwh=tuple(np.concatenate([piece.g_per_kwh for piece in pieces]).tolist()),
        end_s=end_s,
        origins=tuple(origins) if origins != [(0, Origin.SERIES)] else (),
    )
    return series, tuple(_warnings(zone, known, pieces, shipped=climatology is not None))


def _cover(known: Sequence[Stretch], means: Intensities, start_s: int, end_s: int) -> Iterator[Stretch]:
    """Pieces in order of time that cover [start_s, end_s) without gap or overlap."""
    reached_s = start_s
    for stretch in known:
        piece = stretch.between(reached_s, end_s)
        if piece is not None:
            yield from _fill(known, means, reached_s, piece.start_s)
            yield piece
            reached_s = piece.end_s
    yield from _fill(known, means, reached_s, end_s)


def _fill(known: Sequence[Stretch], means: Intensities, start_s: int, end_s: int) -> Iterator[Stretch]:
    """[start_s, end_s), where nothing is known: each hour from as few weeks earlier as there is a value."""
    holes = [(start_s, end_s)] if start_s < end_s else []
    filled: list[Stretch] = []
    # Before the first stretch no week earlier can help; long after the last one, the first weeks back are empty too.
    weeks = max(1, (start_s - known[-1].end_s) // WEEK_S + 1) if known else 1
    while holes and known and holes[-1][1] - weeks * WEEK_S > known[0].start_s:
        found = [
            piece.moved(weeks * WEEK_S, Origin.WEEK_EARLIER)
            for first_s, last_s in holes
            for stretch in known
            if (piece := stretch.between(first_s - weeks * WEEK_S, last_s - weeks * WEEK_S))
        ]
        filled += found
        holes = [rest for hole in holes for rest in _without(hole, found)]
        weeks += 1
    filled += [_climatological(means, first_s, last_s) for first_s, last_s in holes]
    yield from sorted(filled, key=lambda piece: piece.start_s)


def _without(hole: tuple[int, int], pieces: Sequence[Stretch]) -> Iterator[tuple[int, int]]:
    """What of `hole` the pieces (in order of time) leave open."""
    reached_s, end_s = hole
    for piece in pieces:
        if piece.end_s <= reached_s or piece.start_s >= end_s:
            continue
        if piece.start_s > reached_s:
            yield reached_s, piece.start_s
        reached_s = piece.end_s
    if reached_s < end_s:
        yield reached_s, end_s


def _climatological(means: Intensities, start_s: int, end_s: int) -> Stretch:
    starts_s = np.arange(start_s - start_s % SECONDS_PER_HOUR, end_s, SECONDS_PER_HOUR, dtype=np.int64)
    month = starts_s.astype("datetime64[s]").astype("datetime64[M]").astype(np.int64) % 12
    hour = starts_s // SECONDS_PER_HOUR % 24
    starts_s[0] = start_s
    return Stretch(starts_s, means[month, hour], end_s, Origin.CLIMATOLOGY)


def _own_means(known: Sequence[Stretch]) -> Intensities:
    """Mean of the known values by hour of day, the same in every month; of all values for an hour without any."""
    hours = np.concatenate([stretch.starts_s for stretch in known]) // SECONDS_PER_HOUR % 24
    values = np.concatenate([stretch.g_per_kwh for stretch in known])
    means = [values[hours == hour].mean() if (hours == hour).any() else values.mean() for hour in range(24)]
    return np.tile(means, (12, 1))


def _warnings(zone: str, known: Sequence[Stretch], pieces: Sequence[Stretch], *, shipped: bool) -> Iterator[str]:
    told = {
        Origin.WEEK_EARLIER: "the same hour of an earlier week",
        Origin.CLIMATOLOGY: "climatology, life-cycle means of 2021-2023"
        if shipped
        else "the series' own mean by hour of day",
    }
    reach = (
        f"known from {_told_instant(known[0].start_s)} to {_told_instant(known[-1].end_s)}"
        if known
        else "nothing else is known by then"
    )
    for origin, source in told.items():
        filled_s = sum(piece.end_s - piece.start_s for piece in pieces if piece.origin is origin)
        if filled_s:
            yield f"{zone}: {filled_s / SECONDS_PER_HOUR:g} h from {source} ({reach})"


def _told_instant(second: int) -> str:
    return format_instant(from_epoch_s(second))
