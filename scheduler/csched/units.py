"""Spellings of durations and the scale factors between units. A unit is part of every name that carries one."""

import re

SECONDS_PER_HOUR = 3600
SECONDS_PER_DAY = 86_400
G_PER_KG = 1000

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|min|h|d|w)?")
_SHARE = re.compile(r"(\d+(?:\.\d+)?)\s*(%)?")
_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400, "w": 604_800}
_LONGEST_S = 10 * 366 * SECONDS_PER_DAY


def parse_duration_s(text: str) -> int:
    """`48h`, `15m`, `90s`, `2d`, `1.5h` in whole seconds; a bare number is seconds.

    Raises:
        ValueError: another spelling, nothing at all, or more than ten years.
    """
    match = _DURATION.fullmatch(text.strip().lower())
    if match is None:
        raise ValueError(f"`{text}` is not a duration such as 15m, 48h or 2d")
    seconds = float(match[1]) * _SECONDS[match[2] or "s"]
    if not 0 < seconds <= _LONGEST_S:
        raise ValueError(f"`{text}` must be longer than nothing and at most ten years")
    return round(seconds)


def parse_share(text: str) -> float:
    """`1%` or `0.01` as 0.01.

    Raises:
        ValueError: another spelling, or not from 0 to 1.
    """
    match = _SHARE.fullmatch(text.strip())
    share = float(match[1]) / (100 if match[2] else 1) if match else -1.0
    if not 0 <= share <= 1:
        raise ValueError(f"`{text}` is not a share such as 1% or 0.01")
    return share


def parse_slurm_time_limit_s(text: str) -> int:
    """Slurm's --time: `M`, `M:S`, `H:M:S`, `D-H`, `D-H:M`, `D-H:M:S`, as seconds (sbatch(1)).

    Raises:
        ValueError: another spelling, or no time at all; csched needs a limit to hold capacity for.
    """
    days, dash, clock = text.strip().rpartition("-")
    parts = clock.split(":")
    if not all(part.isdecimal() for part in parts) or (dash and not days.isdecimal()) or len(parts) > 3:
        raise ValueError(f"`{text}` is not a Slurm time limit such as 90, 1:30:00 or 2-12:00:00")
    numbers = [int(part) for part in parts]
    if dash:
        hours, minutes, seconds = (*numbers, 0, 0)[:3]
    elif len(numbers) == 3:
        hours, minutes, seconds = numbers
    else:
        hours, (minutes, seconds) = 0, (*numbers, 0)[:2]
    total = int(days or 0) * SECONDS_PER_DAY + hours * 3600 + minutes * 60 + seconds
    if not 0 < total <= _LONGEST_S:
        raise ValueError(f"`{text}` must be longer than nothing and at most ten years")
    return total


def format_slurm_time(seconds: float) -> str:
    """Slurm's `[D-]HH:MM:SS`."""
    days, rest = divmod(int(seconds), SECONDS_PER_DAY)
    clock = f"{rest // 3600:02}:{rest % 3600 // 60:02}:{rest % 60:02}"
    return f"{days}-{clock}" if days else clock
