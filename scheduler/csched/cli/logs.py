"""csched logs: a job's output as it is, byte for byte."""

import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from csched.cli.job_ids import choose_one, job_argument
from csched.cli.output import Output, Rendering, output_options
from csched.errors import CschedError, Refused, Unavailable, UsageError, Where
from csched.report.rendering import Rendered

if TYPE_CHECKING:
    from csched.app import App
    from csched.store.records import JobRecord

_LOOK_EVERY_S = 0.2
_TEXT_BYTES = 1024 * 1024
"""No more of a file becomes JSON."""


@click.command()
@job_argument
@click.option("--follow", "-f", is_flag=True, help="Go on until the job has ended.")
@click.option("--stderr", "-e", "errors", is_flag=True, help="The file of errors, where the job has one.")
@output_options
def command(output: Output, selector: str, follow: bool, errors: bool) -> None:
    """Print a job's output; -f follows it to the job's end.

    --quiet prints the name of the file, --json that and the last mebibyte of it as text.

    \b
    Examples:
      csched logs 17
      csched logs 17_3
      csched logs -f last
    """
    from csched.app import open_app

    if follow and output.rendering is not Rendering.VIEW:
        raise UsageError("--follow prints the output as it is", hint="leave out --json and --quiet")

    with closing(open_app()) as app:
        record = choose_one(app.store, selector)
        if follow:
            record = _started(app, record)
        with _opened(record, errors) as stream:
            if output.rendering is not Rendering.VIEW:
                output.show(_rendered(record, stream))
                return
            shutil.copyfileobj(stream, sys.stdout.buffer)
            for _ in _until_ended(app, record.id) if follow else ():
                shutil.copyfileobj(stream, sys.stdout.buffer)
                sys.stdout.buffer.flush()


def _rendered(record: "JobRecord", stream: IO[bytes]) -> Rendered:
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, size - _TEXT_BYTES))
    text = stream.read(_TEXT_BYTES).decode("utf-8", "replace")
    document = {"id": record.id, "file": stream.name, "bytes": size, "truncated": size > _TEXT_BYTES, "text": text}
    return Rendered(document, [stream.name])


def _until_ended(app: "App", job_id: int) -> Iterator[None]:
    """Beats until the job has ended, and once more for what it wrote last."""
    while not app.store.job(job_id).state.final:
        yield
        time.sleep(_LOOK_EVERY_S)
    yield


def _started(app: "App", record: "JobRecord") -> "JobRecord":
    while record.start is None and not record.state.final:
        time.sleep(_LOOK_EVERY_S)
        record = app.store.job(record.id)
    return record


def _opened(record: "JobRecord", errors: bool) -> IO[bytes]:
    name = record.stderr if errors else record.stdout
    if name is None:
        raise Refused(f"job {record.label} writes its errors with its output", hint=f"csched logs {record.label}")
    try:
        return Path(name).open("rb")
    except OSError as error:
        raise _no_output(record, error) from error


def _no_output(record: "JobRecord", error: OSError) -> CschedError:
    """Why there is no file: the job has not started yet, could not be started, or the file has gone."""
    from csched.report.jobs import reason

    if record.start is None and not record.state.final:
        return Refused(f"job {record.label} has not started: {record.state}", hint=f"csched explain {record.label}")
    if record.start is None:
        return Refused(f"job {record.label} never started: {reason(record, None)}", hint=f"csched show {record.label}")
    told = (error.strerror or "not readable").lower()
    return Unavailable(f"the output of job {record.label} cannot be read: {told}", where=Where(record.stdout))
