"""csched logs: a job's output as it is, byte for byte."""

import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from csched.cli.job_ids import choose_one, job_argument
from csched.errors import Refused, Unavailable, Where

if TYPE_CHECKING:
    from csched.app import App
    from csched.store.records import JobRecord

_LOOK_EVERY_S = 0.2


@click.command()
@job_argument
@click.option("--follow", "-f", is_flag=True, help="Go on until the job has ended.")
@click.option("--stderr", "-e", "errors", is_flag=True, help="The file of errors, where the job has one.")
def command(selector: str, follow: bool, errors: bool) -> None:
    """Print a job's output; -f follows it to the job's end.

    \b
    Examples:
      csched logs 17
      csched logs -f last
    """
    from csched.app import open_app

    with closing(open_app()) as app:
        record = choose_one(app.store, selector)
        if follow:
            record = _started(app, record)
        with _opened(record, errors) as stream:
            shutil.copyfileobj(stream, sys.stdout.buffer)
            for _ in _until_ended(app, record.id) if follow else ():
                shutil.copyfileobj(stream, sys.stdout.buffer)
                sys.stdout.buffer.flush()


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
        raise Refused(f"job {record.id} writes its errors with its output", hint=f"csched logs {record.id}")
    try:
        return Path(name).open("rb")
    except OSError as error:
        if record.start is None:
            raise Refused(
                f"job {record.id} has not started: {record.state}", hint=f"csched explain {record.id}"
            ) from error
        reason = (error.strerror or "not readable").lower()
        raise Unavailable(f"the output of job {record.id} cannot be read: {reason}", where=Where(name)) from error
