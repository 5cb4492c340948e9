"""Which format a trace is in, told by what stands in it: names of files say little and are often changed."""

from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Final

from csched.errors import InputError, Where
from csched_sim.traces import acme, helios, openb, pai, philly, supercloud, surf, swf
from csched_sim.traces.lines import open_lines

CSCHED: Final = "csched"
_LINES_LOOKED_AT: Final = 200
_CHARACTERS_OF_A_LINE: Final = 20_000

# Format -> columns of its header that no format after it has all of.
_HEADERS: Final[Mapping[str, tuple[str, ...]]] = {
    CSCHED: ("job", "gpus", "time_limit_s"),
    "philly": philly.COLUMNS,
    "helios": helios.COLUMNS,
    "acme": acme.COLUMNS,
    "openb": openb.COLUMNS,
    "supercloud": supercloud.COLUMNS,
    "pai": pai.JOB_COLUMNS,
    "surf": surf.COLUMNS,
}


def guessed_format(path: Path) -> str:
    """The format of the trace in `path`.

    Raises:
        InputError: not a file to be read, or in no format that csched knows.
    """
    with open_lines(path) as stream:
        looked_at = islice(iter(lambda: stream.readline(_CHARACTERS_OF_A_LINE), ""), _LINES_LOOKED_AT)
        lines = [line.strip() for line in looked_at if line.strip()]
    found = _told(lines) if lines else None
    if found is None:
        raise InputError(
            "no format of traces that csched can tell" if lines else "nothing in it",
            hint="name its format with --format, or describe its columns with --mapping",
            where=Where(str(path)),
        )
    return found


def _told(lines: list[str]) -> str | None:
    first = lines[0]
    if first.startswith("{"):
        return _told_json(lines)
    if first.startswith(";") or _is_swf(first.split()):
        return "swf"
    if "|" in first:
        return "sacct" if "JobID" in first.split("|") else None
    cells = [cell.strip().strip('"') for cell in first.split(",")]
    named = (name for name, columns in _HEADERS.items() if set(columns) <= set(cells))
    return next(named, "pai" if _is_pai(cells) else None)


def _told_json(lines: list[str]) -> str | None:
    """One object a line is a jobs file, one object that holds a list of jobs is Slurm's."""
    if '"time_limit_s"' in lines[0]:
        return CSCHED
    return "sacct-json" if any('"jobs"' in line or '"meta"' in line for line in lines) else None


def _is_swf(cells: list[str]) -> bool:
    return len(cells) == swf.FIELDS and all(cell.lstrip("-").replace(".", "", 1).isdecimal() for cell in cells)


def _is_pai(cells: list[str]) -> bool:
    """A table of PAI has no header; its statuses give it away."""
    tables = (pai.JOB_COLUMNS, pai.TASK_COLUMNS, pai.INSTANCE_COLUMNS)
    return any(len(cells) == len(table) and cells[table.index("status")] in pai.STATUSES for table in tables)
