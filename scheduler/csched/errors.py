"""Everything that csched refuses to do, as one tree.

    CschedError
    ├── UsageError          2   the command line itself is wrong
    ├── InputError          3   a file, line or field is wrong
    │   └── PolicyContradiction
    ├── NothingPlaced       4   nothing at all could be placed
    ├── Unavailable         5   something outside does not answer
    └── Refused             6   not allowed

A message is lower case, has no full stop and puts the user's words in backticks; the hint is the next step.
The number is the exit code of the command and stays the same for ever (docs/commands.md lists them).
"""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Where:
    """The place of a mistake: any part may be unknown. Lines count from 1."""

    file: str | None = None
    line: int | None = None
    field: str | None = None

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line) if part is not None)
        if self.field is None:
            return place
        return f"{place}: {self.field}" if place else self.field

    def as_dict(self) -> dict[str, str | int]:
        parts = {"file": self.file, "line": self.line, "field": self.field}
        return {name: part for name, part in parts.items() if part is not None}


class CschedError(Exception):
    """What went wrong, what to do next and where; never shown as a traceback."""

    exit_code: ClassVar[int] = 1
    code: ClassVar[str] = "Error"

    def __init__(self, message: str, *, hint: str | None = None, where: Where | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.where = where

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where and str(self.where) else ""
        return f"{place}{self.message}"

    def as_dict(self) -> dict[str, object]:
        """The `error` object that every command prints under `--json`."""
        where = self.where.as_dict() if self.where else None
        return {"code": self.code, "message": self.message, "hint": self.hint, "where": where}


class UsageError(CschedError):
    exit_code = 2
    code = "Usage"


class InputError(CschedError):
    exit_code = 3
    code = "BadInput"


class PolicyContradiction(InputError):
    code = "PolicyContradiction"


class NothingPlaced(CschedError):
    exit_code = 4
    code = "NothingPlaced"


class Unavailable(CschedError):
    exit_code = 5
    code = "Unavailable"


class Refused(CschedError):
    exit_code = 6
    code = "Refused"
