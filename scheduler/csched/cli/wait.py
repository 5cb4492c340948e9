"""csched wait: a job's end, as an exit code."""

import time
from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING

import click

from csched.cli.daemon_state import remark_daemon
from csched.cli.job_ids import choose, jobs_argument
from csched.cli.output import Output, output_options
from csched.cli.parameters import DURATION_S

if TYPE_CHECKING:
    from csched.app import App
    from csched.store.records import JobRecord

_LOOK_EVERY_S = 0.5


@click.command()
@jobs_argument
@click.option(
    "--timeout",
    "patience_s",
    type=DURATION_S,
    metavar="DURATION",
    help="Give up after this long (exit code 5): 30s, 10m, 2h.",
)
@output_options
def command(output: Output, selectors: tuple[str, ...], patience_s: int | None) -> int:
    """Wait until jobs have ended and exit with the highest of their exit codes, as sbatch --wait does for an array.

    After a signal N that is 128 + N. A job that ran into its time limit, was cancelled or lost its node counts as 1
    where its script gave no other code.

    A job that no site may run as the rules and the job stand is named at once. Where only such jobs are left, waiting
    ends with exit code 4; with --timeout it goes on until then, for someone may change the job or the rules.

    \b
    Examples:
      csched wait 17
      csched submit a.sh && csched wait last && csched submit b.sh
    """
    from csched.app import open_app
    from csched.errors import NothingPlaced, Unavailable
    from csched.report.jobs import history

    with closing(open_app()) as app:
        records = choose(app.store, selectors)
        chosen = [record.id for record in records]
        remark_daemon(app, output)
        _remark_held(output, records)
        refused = {job for job in chosen if _refusal(app, job)}
        for job in sorted(refused):
            output.remark(f"no site may run job {job} as it stands: {_refusal(app, job)}; see `csched explain {job}`")
        begun = time.monotonic()
        with output.working("waiting"):
            while alive := [job for job in chosen if not app.store.job(job).state.final]:
                if patience_s is None and refused.issuperset(alive) and all(_refusal(app, job) for job in alive):
                    raise NothingPlaced(
                        f"{len(alive)} of the jobs can start nowhere, so there is nothing to wait for",
                        hint=f"change what keeps job {alive[0]}: csched explain {alive[0]}",
                    )
                if patience_s is not None and time.monotonic() - begun > patience_s:
                    raise Unavailable(
                        f"{len(alive)} of the jobs have not ended after {patience_s} s", hint="csched queue"
                    )
                time.sleep(_LOOK_EVERY_S)
        ended = app.store.jobs(ids=chosen)
        output.show(history(ended))
        return max(map(exit_code, ended))


def _remark_held(output: Output, records: "Sequence[JobRecord]") -> None:
    for record in records:
        if record.hold and not record.state.final:
            output.remark(f"job {record.id} is held and starts only after `csched release {record.id}`")


def _refusal(app: "App", job_id: int) -> str | None:
    """Why no site at all may run the waiting job; null where one may."""
    from csched.domain.run import JobState

    record = app.store.job(job_id)
    if record.state is not JobState.PENDING:
        return None
    refusals = app.refused_everywhere(record.job)
    return refusals[0].message if refusals else None


def exit_code(record: "JobRecord") -> int:
    """What a shell would have seen: the status, 128 + the signal, else 1 for a job that did not complete."""
    from csched.domain.run import JobState

    code = record.exit_code
    if code is not None and code.signal:
        return 128 + code.signal
    if code is not None and code.status:
        return code.status
    return 0 if record.state is JobState.COMPLETED else 1
