"""How figures and instants are spelled for people. Programs get the unrounded values."""

from collections.abc import Iterable
from datetime import datetime

from csched.clock import format_instant
from csched.domain.run import JobState

SHORT_STATES = {
    JobState.PENDING: "PD",
    JobState.CONFIGURING: "CF",
    JobState.RUNNING: "R",
    JobState.COMPLETED: "CD",
    JobState.FAILED: "F",
    JobState.TIMEOUT: "TO",
    JobState.CANCELLED: "CA",
    JobState.NODE_FAIL: "NF",
}
"""squeue(1)'s two letters."""


def figure(value: float | None) -> str:
    """Three digits that matter, `-` for unknown: 0.0421, 4.21, 42.1, 421, 4,210."""
    if value is None:
        return "-"
    size = abs(value)
    if size >= 100 or value == 0:
        return f"{value:,.0f}"
    if size >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if size >= 1 else f"{value:.3g}"


def moment(instant: datetime | None) -> str:
    """To the minute, in UTC: 2026-11-22 12:00Z."""
    return "-" if instant is None else f"{instant:%Y-%m-%d %H:%MZ}"


def span(hours: float | None) -> str:
    """17 s, 12 min or 3.50 h."""
    if hours is None:
        return "-"
    seconds = hours * 3600
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if hours < 2 else f"{figure(hours)} h"


def iso(instant: datetime | None) -> str | None:
    return None if instant is None else format_instant(instant)


def percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} %"


def listed(words: Iterable[str], most: int = 4) -> str:
    """`a, b, c and 9 more`."""
    all_words = list(words)
    shown = ", ".join(all_words[:most])
    return f"{shown} and {len(all_words) - most} more" if len(all_words) > most else shown
