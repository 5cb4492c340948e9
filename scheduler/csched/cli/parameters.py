"""Kinds of values on the command line: what is typed is checked where it is typed."""

from collections.abc import Callable
from typing import Any, Final

import click

from csched.clock import parse_instant, parse_zone
from csched.units import parse_duration_s, parse_share


class Parsed(click.ParamType[object]):
    """A value that `parse` makes of text; its ValueError becomes the usage error."""

    def __init__(self, name: str, parse: Callable[[str], object]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> object:
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


INSTANT: Final = Parsed("time", parse_instant)
"""ISO 8601 with a zone, as aware UTC."""
DURATION_S: Final = Parsed("duration", parse_duration_s)
"""15m, 48h and their like, as whole seconds."""
ZONE: Final = Parsed("zone", parse_zone)
"""Europe/Paris, UTC and their like."""
SHARE: Final = Parsed("share", parse_share)
"""1% or 0.01, as a number."""
