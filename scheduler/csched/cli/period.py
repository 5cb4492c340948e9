"""--since and --until: a span of time on the command line."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import click

from csched.clock import parse_instant


class Moment(click.ParamType[datetime]):
    """An ISO 8601 time with zone, or a date: its first instant in UTC."""

    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            if len(value) == len("2026-11-22"):
                return datetime.fromisoformat(value).replace(tzinfo=UTC)
            return parse_instant(value)
        except ValueError as error:
            self.fail(f"{error}, or a date such as 2026-11-22", param, ctx)


def period_options(function: Callable[..., Any]) -> Callable[..., Any]:
    function = click.option("--until", type=Moment(), help="Before this time or date.")(function)
    return click.option("--since", type=Moment(), help="From this time or date on.")(function)
