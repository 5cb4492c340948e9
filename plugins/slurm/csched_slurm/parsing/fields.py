"""The smallest parts: numbers that may be unset, lists in one word, instants, resources."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from csched.clock import from_epoch_s
from csched.domain.run import ExitCode
from csched.topology.importers.hostlist import expand

_UNSET: Final = frozenset({0xFFFFFFFE, 0xFFFFFFFF, 0xFFFE, 0xFFFF, 0xFFFFFFFFFFFFFFFE, 0xFFFFFFFFFFFFFFFF, -1, -2})
"""Slurm's NO_VAL and INFINITE in its widths, and as a signed field shows them."""
_NOTHING: Final = frozenset({"", "(null)", "None", "N/A", "n/a", "None assigned", "UNLIMITED", "NONE", "Unknown"})
_TIME: Final = re.compile(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?")
_MIB: Final = {"K": 1 / 1024, "M": 1, "G": 1024, "T": 1024**2, "P": 1024**3}
_GPUS: Final = re.compile(r"gpu(?::[^:(,]+)?:(\d+)\(IDX:([^)]*)\)")


_NOTHING_FOUND: Final = 9003
"""22.05's slurmdbd calls an empty answer an error."""


class Unreadable(ValueError):
    """An answer that is not what csched knows of Slurm."""


def document(text: str | bytes) -> Mapping[str, Any]:
    """A JSON answer. Raises Unreadable for anything else, and for one that lists errors."""
    try:
        answer = json.loads(text)
    except ValueError as error:
        raise Unreadable(f"the answer is not JSON: {error}") from error
    if not isinstance(answer, dict):
        raise Unreadable("the answer is not a JSON object")
    if error_numbers(answer) - {_NOTHING_FOUND} or (answer.get("errors") and not error_numbers(answer)):
        raise Unreadable(errors(answer))
    return answer


def errors(answer: Mapping[str, Any]) -> str:
    """The words of `errors`, shortened; empty where there are none."""
    found = answer.get("errors") or []
    words = [
        " ".join(dict.fromkeys(str(part[key]) for key in ("error", "description") if part.get(key)))
        for part in found
        if isinstance(part, dict)
    ]
    return "; ".join(words)[:2000] or ("an error without words" if found else "")


def error_numbers(answer: Mapping[str, Any]) -> frozenset[int]:
    found = answer.get("errors") or []
    numbers = (part.get("error_number", part.get("error_code")) for part in found if isinstance(part, dict))
    return frozenset(number for number in numbers if isinstance(number, int))


def listed(answer: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    found = answer.get(key)
    if not isinstance(found, list) or not all(isinstance(part, dict) for part in found):
        raise Unreadable(f"the answer has no list `{key}`")
    return found


def at(raw: Mapping[str, Any], *paths: str) -> Any:
    """The value at the first of these dotted paths that is there; None where none is."""
    for path in paths:
        value: Any = raw
        for name in path.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        if value is not None:
            return value
    return None


def whole(raw: object) -> int | None:
    """A number in either shape; None where it is unset or infinite."""
    number = _number(raw)
    return None if number is None else int(number)


def real(raw: object) -> float | None:
    return _number(raw)


def _number(raw: object) -> float | None:
    if isinstance(raw, dict):
        return _number(raw.get("number")) if raw.get("set") and not raw.get("infinite") else None
    if isinstance(raw, str):
        if raw in _NOTHING:
            return None
        try:
            return _number(float(raw) if "." in raw else int(raw))
        except ValueError as error:
            raise Unreadable(f"`{raw[:80]}` is not a number") from error
    if isinstance(raw, bool) or not isinstance(raw, int | float):
        return None
    return None if raw in _UNSET else raw


def text(raw: object) -> str | None:
    """A word or sentence; None for Slurm's ways to write nothing."""
    return raw if isinstance(raw, str) and raw not in _NOTHING else None


def required(raw: Mapping[str, Any], key: str) -> str:
    value = raw.get(key)
    if not isinstance(value, str) or not value:
        raise Unreadable(f"the answer has an entry without `{key}`")
    return value


def words(raw: object) -> tuple[str, ...]:
    """`a,b`, or a list, as its parts."""
    if isinstance(raw, str):
        return tuple(part.strip() for part in raw.split(",") if part.strip() not in _NOTHING)
    return tuple(str(part) for part in raw) if isinstance(raw, list) else ()


def allowed(raw: object) -> frozenset[str] | None:
    """A list of those allowed; None where all are."""
    names = frozenset(words(raw))
    return None if not names or names == {"ALL"} else names


def hosts(raw: object) -> tuple[str, ...]:
    """`e[1-2],f7`, or a list, as names."""
    if not isinstance(raw, str):
        return words(raw)
    if raw in _NOTHING:
        return ()
    try:
        return tuple(expand(raw))
    except ValueError as error:
        raise Unreadable(str(error)) from error


def instant(raw: object) -> datetime | None:
    """Seconds since 1970, or what Slurm prints under TZ=UTC; None for 0 and `Unknown`."""
    if isinstance(raw, str) and "T" in raw:
        try:
            return datetime.fromisoformat(raw).replace(tzinfo=UTC)
        except ValueError as error:
            raise Unreadable(f"`{raw[:80]}` is not a time") from error
    epoch_s = whole(raw)
    return from_epoch_s(epoch_s) if epoch_s else None


def seconds(raw: object) -> int | None:
    """`7-00:00:00`, `02:00:00`, `05:00` (minutes and seconds) or `30` (minutes); None for no limit."""
    if not isinstance(raw, str) or raw in _NOTHING | {"INFINITE"}:
        return None
    match = _TIME.fullmatch(raw)
    if match is None:
        raise Unreadable(f"`{raw[:80]}` is not a span of time")
    days, first, second, third = (int(part) if part else None for part in match.groups())
    if days is not None or third is not None:
        return ((days or 0) * 24 + (first or 0)) * 3600 + (second or 0) * 60 + (third or 0)
    return (first or 0) * 60 + (second or 0)


def minutes_as_s(raw: object) -> int | None:
    minutes = whole(raw)
    return None if minutes is None else minutes * 60


def resources(raw: object) -> dict[str, float]:
    """`cpu=16,mem=16000M,gres/gpu=4`, or slurmdbd's list of objects; memory in MiB."""
    if isinstance(raw, list):
        pairs = {"/".join(filter(None, (part.get("type"), part.get("name")))): part.get("count") for part in raw}
        return {name: value for name, count in pairs.items() if (value := _number(count)) is not None}
    if not isinstance(raw, str) or raw in _NOTHING:
        return {}
    found: dict[str, float] = {}
    for part in raw.split(","):
        name, equals, count = part.partition("=")
        if not equals:
            raise Unreadable(f"`{raw[:80]}` is not a list of resources")
        unit = count[-1:]
        number = real(count[:-1]) if unit in _MIB else real(count)
        if number is not None:
            found[name] = number * _MIB.get(unit, 1)
    return found


def gpu_indices(detail: str) -> tuple[int, ...]:
    """`gpu:gb200:2(IDX:0-1)` as (0, 1): what one node gave."""
    indices: set[int] = set()
    for _, ranges in _GPUS.findall(detail):
        indices.update(_indices(ranges))
    return tuple(sorted(indices))


def _indices(ranges: str) -> range | list[int]:
    if ranges in _NOTHING:
        return []
    try:
        return [int(name) for name in expand(f"[{ranges}]")]
    except ValueError as error:
        raise Unreadable(f"`{ranges[:80]}` are not indices of GPUs") from error


def exit_code(raw: object) -> ExitCode | None:
    """A wait status (22.05's controller), or an object in either shape."""
    if isinstance(raw, dict):
        signal = whole(at(raw, "signal.id", "signal.signal_id")) or 0
        return ExitCode(status=(whole(raw.get("return_code")) or 0) & 0xFF, signal=signal & 0x7F)
    status = whole(raw)
    return None if status is None else ExitCode(status=status >> 8 & 0xFF, signal=status & 0x7F)


def state_and_flags(raw: object) -> tuple[str, frozenset[str]]:
    """The base state and what stands beside it: `RUNNING`, or `["RUNNING", "COMPLETING"]`."""
    if isinstance(raw, str):
        raw = raw.replace("+", ",").split(",")
    if not isinstance(raw, list) or not raw:
        raise Unreadable("the answer has an entry without a state")
    first, *rest = (str(part).upper() for part in raw)
    return first, frozenset(rest)


def lines_of_pairs(printed: str) -> list[dict[str, str]]:
    """scontrol's `--oneliner`: `Name=gpu Nodes=e[1-4] ...`, one entry a line. A value goes on to the next ` Key=`."""
    entries = []
    for line in printed.splitlines():
        keys = list(re.finditer(r"(?:^|\s)([A-Za-z_:]+)=", line))
        ends = [match.start() for match in keys[1:]] + [len(line)]
        if keys:  # else a sentence such as "No reservations in the system"
            entries.append({key[1]: line[key.end() : end].strip() for key, end in zip(keys, ends, strict=True)})
    return entries


def table(printed: str) -> list[dict[str, str]]:
    """`--parsable2` with its header line."""
    head, *rows = printed.splitlines() or [""]
    names = head.split("|")
    if len(names) < 2:
        raise Unreadable("the answer is not a table")
    parts = [row.split("|") for row in rows if row]
    if any(len(row) != len(names) for row in parts):
        raise Unreadable("the answer is a table with a broken line")
    return [dict(zip(names, row, strict=True)) for row in parts]
