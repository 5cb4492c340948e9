"""csched config: what csched has been told, and whether it works."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from csched.cli.daemon_state import remark_daemon
from csched.cli.output import Output, output_options
from csched.errors import CschedError
from csched.report.rendering import Pairs, Rendered, Table

if TYPE_CHECKING:
    from csched.app import App

Tried = tuple[str, str, CschedError | None]
"""A part, what is to be said of it, and why it fails; null: it works."""


@click.group()
def command() -> None:
    """Check the settings."""


@command.command()
@output_options
def check(output: Output) -> int:
    """Show the settings in force and try each part they name. The exit code is that of the first part that fails.

    Where settings are wrong, all of those are named and nothing else is tried.

    \b
    Examples:
      csched config check
      CSCHED_FLEET=fleet.yaml csched config check --json
    """
    from csched.app import open_app
    from csched.settings import settings_mistakes

    if mistakes := settings_mistakes():
        return _show(output, {}, [("settings", str(mistake), mistake) for mistake in mistakes])
    with closing(open_app()) as app:
        settings = {name: str(value) for name, value in app.settings if value is not None}
        tried = [(part, *_tried(look)) for part, look in _parts(app)]
        if not any(error for _, _, error in tried):
            remark_daemon(app, output)
    return _show(output, settings, tried)


def _show(output: Output, settings: Mapping[str, str], tried: Sequence[Tried]) -> int:
    failed = [error for _, _, error in tried if error is not None]
    document = {
        "settings": settings,
        "parts": [
            {"part": part, "works": error is None, "detail": detail, "error": error.as_dict() if error else None}
            for part, detail, error in tried
        ],
    }
    rows = [(part, "works" if error is None else "FAILS", detail) for part, detail, error in tried]
    hints = [f"hint: {error.hint}" for error in failed if error.hint]
    view: list[Pairs | Table | str] = [Pairs(list(settings.items()))] if settings else []
    view += [Table(("PART", "STATE", "DETAIL"), rows), *hints]
    output.show(Rendered(document, [part for part, _, error in tried if error], view))
    return failed[0].exit_code if failed else 0


def _parts(app: "App") -> Iterator[tuple[str, Callable[[], str]]]:
    """What is tried, in the order in which one needs the other."""
    yield "fleet", lambda: f"{len(app.fleet.sites)} sites, hardware {', '.join(sorted(app.hardware))}"
    yield "policies", lambda: _policies(app)
    yield "carbon", lambda: _carbon(app)
    yield "database", lambda: f"answers; newest job {app.store.last_job_id() or '-'}"


def _policies(app: "App") -> str:
    """Raises why the folder is not in force where it must be signed and is not."""
    app.check_policies()
    signed = app.signed_policies
    serial = f", signed with serial {signed.serial}" if signed else ""
    return f"{len(app.policies.sources())} files, digest {app.policies.digest[:12]}{serial}"


def _carbon(app: "App") -> str:
    now = app.clock.now()
    zones = sorted({site.grid_zone for site in app.fleet.sites})
    outlook = app.carbon.outlook(zones, now, now, now + timedelta(hours=1))
    return f"{outlook.source}, method {outlook.method}, zones {', '.join(zones)}"


def _tried(look: Callable[[], str]) -> tuple[str, CschedError | None]:
    try:
        return look(), None
    except CschedError as error:
        return str(error), error
