"""How commands speak: one result as tables, as --json or as --quiet lines; errors as one line, a hint and a code."""

import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from enum import StrEnum
from functools import wraps
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

import click

from csched.errors import CschedError, UsageError
from csched.report.rendering import Rendered, printable, to_json

P = ParamSpec("P")
R = TypeVar("R")


class Rendering(StrEnum):
    VIEW = "view"
    JSON = "json"
    QUIET = "quiet"


class Output:
    """Where a command's words go: results to stdout, remarks and errors to stderr."""

    def __init__(self) -> None:
        self.rendering: Rendering | None = None
        """null until the command line has been read."""

    def show(self, result: Rendered) -> None:
        if self.rendering is Rendering.JSON:
            click.echo(to_json(result.document))
        elif self.rendering is Rendering.QUIET:
            for line in result.lines:
                click.echo(printable(str(line)))
        else:
            from csched.cli.console import PlainConsole

            console = PlainConsole(sys.stdout)
            for part in result.view:
                console.draw(part)

    def say(self, text: str) -> None:
        """One line on stdout, for answers that are a sentence; nothing under --json and --quiet."""
        if self.rendering not in {Rendering.JSON, Rendering.QUIET}:
            click.echo(printable(text))

    def remark(self, text: str) -> None:
        """A warning beside the result, on stderr in every rendering."""
        click.echo(f"csched: {printable(text)}", err=True)

    def working(self, what: str) -> AbstractContextManager[object]:
        """A spinner while something takes long; only where a person watches."""
        if self.rendering in {Rendering.JSON, Rendering.QUIET} or not sys.stderr.isatty():
            return nullcontext()
        return self._watched(what)

    @contextmanager
    def _watched(self, what: str) -> Iterator[None]:
        """A spinner, and above it what the library remarks meanwhile."""
        from csched.cli.console import PlainConsole

        console, logger = PlainConsole(sys.stderr), logging.getLogger("csched.placement")
        remarks = logging.StreamHandler(sys.stderr)
        remarks.setFormatter(logging.Formatter("csched: %(message)s"))
        logger.setLevel(logging.INFO)
        logger.addHandler(remarks)
        try:
            with console.status(printable(what)):
                yield
        finally:
            logger.removeHandler(remarks)

    def fail(self, error: CschedError) -> None:
        if self.rendering is Rendering.JSON:
            click.echo(to_json({"error": error.as_dict()}))
            return
        click.echo(f"csched: {printable(str(error))}", err=True)
        if error.hint:
            click.echo(f"  hint: {printable(error.hint)}", err=True)


def pass_output(function: "Callable[Concatenate[Output, P], R]") -> "Callable[P, R]":
    """Give a command its `Output` as the first argument."""

    @wraps(function)
    def with_output(*arguments: P.args, **options: P.kwargs) -> R:
        output = click.get_current_context().find_root().ensure_object(Output)
        output.rendering = output.rendering or Rendering.VIEW
        return function(output, *arguments, **options)

    return with_output


def output_options(function: "Callable[Concatenate[Output, P], R]") -> "Callable[P, R]":
    """Add --json and --quiet to a command and give it its `Output` as the first argument."""
    decorated = pass_output(function)
    for flag, rendering, text in (
        ("--quiet", Rendering.QUIET, "Print ids or one figure per line."),
        ("--json", Rendering.JSON, "Print JSON with stable fields."),
    ):
        decorated = click.option(
            flag,
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_choose(rendering),
            help=text,
        )(decorated)
    return decorated


def _choose(rendering: Rendering) -> Callable[[click.Context, click.Parameter, bool], None]:
    def choose(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
        output = context.find_root().ensure_object(Output)
        if wanted and output.rendering not in {None, rendering}:
            raise click.UsageError("choose one of --json and --quiet", context)
        if wanted:
            output.rendering = rendering

    return choose


@dataclass
class End:
    """The exit code of a run, set when it has ended."""

    code: int = 0


@contextmanager
def ended(output: Output, arguments: Sequence[str]) -> Iterator[End]:
    """Turn whatever ends a command into an exit code and, where something went wrong, into words."""
    end = End()
    try:
        yield end
        sys.stdout.flush()
    except click.exceptions.NoArgsIsHelpError as error:
        error.show(sys.stderr)
        end.code = error.exit_code
    except (CschedError, click.ClickException) as error:
        if output.rendering is None and "--json" in arguments:
            output.rendering = Rendering.JSON
        said = error if isinstance(error, CschedError) else _usage_error(error)
        output.fail(said)
        end.code = said.exit_code
    except (KeyboardInterrupt, click.Abort):
        end.code = 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter complains when it flushes
        end.code = 141
    except Exception as error:
        if os.environ.get("CSCHED_DEBUG"):
            raise
        output.fail(_unexpected(error))
        end.code = CschedError.exit_code


def _usage_error(error: click.ClickException) -> CschedError:
    message = error.message if isinstance(error, click.NoSuchCommand | click.NoSuchOption) else error.format_message()
    return UsageError(message[:1].lower() + message[1:].rstrip("."), hint=_usage_hint(error))


def _usage_hint(error: click.ClickException) -> str | None:
    if isinstance(error, click.NoSuchCommand | click.NoSuchOption) and error.possibilities:
        return f"did you mean `{error.possibilities[0]}`?"
    if isinstance(error, click.UsageError) and error.ctx is not None:
        return f"`{error.ctx.command_path} --help` shows how"
    return None


def _unexpected(error: Exception) -> CschedError:
    """One line for the person; the traceback goes to a file that a maintainer can be sent."""
    from platformdirs import user_data_path

    folder = Path(os.environ["CSCHED_HOME"]) if os.environ.get("CSCHED_HOME") else user_data_path("csched")
    log = folder / "errors.log"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        logger = logging.getLogger("csched.unexpected")
        logger.propagate = False
        logger.addHandler(logging.FileHandler(log, encoding="utf-8"))
        logger.error("unexpected error", exc_info=error)
    except OSError:
        hint = "run it again with CSCHED_DEBUG=1 and report what it prints"
    else:
        hint = f"this is a defect of csched; the details are in {log}"
    return CschedError(f"unexpected {type(error).__name__}: {error}".rstrip(": "), hint=hint)
