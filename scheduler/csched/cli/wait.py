"""csched wait: a job's end, as an exit code."""

import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

import click

from csched.cli.daemon_state import remark_daemon
from csched.cli.job_ids import ALIVE, choose, jobs_argument
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

    A job that no site may run as the rules and the job stand is named at once. Where only such jobs are left, and
    jobs that wait for what can no longer come, waiting ends with exit code 4; with --timeout it goes on until then,
    for someone may change the job or the rules.

    \b
    Examples:
      csched wait 17
      csched submit a.sh && csched wait last && csched submit b.sh
    """
    from csched.app import open_app
    from csched.errors import NothingPlaced, Unavailable
    from csched.report.arrays import folded
    from csched.report.jobs import history

    with closing(open_app()) as app:
        records = choose(app.store, selectors)
        chosen = [record.id for record in records]
        remark_daemon(app, output)
        _remark_held(output, records)
        refused = _refused(app, records)
        for line in folded([record for record in records if record.id in refused], lambda record: refused[record.id]):
            why = refused[line.jobs[0].id]
            output.remark(f"no site may run job {line.label} as it stands: {why}; see `csched explain {line.label}`")
        begun = time.monotonic()
        with output.working("waiting"):
            while living := app.store.jobs(ids=chosen, states=ALIVE):
                if patience_s is None and _in_vain(living, refused) and _in_vain(living, _refused(app, living)):
                    raise NothingPlaced(
                        f"{len(living)} of the jobs can start nowhere, so there is nothing to wait for",
                        hint=f"change what keeps job {living[0].label}: csched explain {living[0].label}",
                    )
                if patience_s is not None and time.monotonic() - begun > patience_s:
                    raise Unavailable(
                        f"{len(living)} of the jobs have not ended after {patience_s} s", hint="csched queue"
                    )
                time.sleep(_LOOK_EVERY_S)
        ended = app.store.jobs(ids=chosen)
        output.show(history(ended))
        return max(map(exit_code, ended))


def _remark_held(output: Output, records: "Sequence[JobRecord]") -> None:
    from csched.report.arrays import folded

    held = [record for record in records if record.hold and not record.state.final]
    for line in folded(held, lambda record: record.hold):
        output.remark(f"job {line.label} is held and starts only after `csched release {line.label}`")


def _in_vain(living: "Sequence[JobRecord]", refused: Mapping[int, str]) -> bool:
    """Whether none of them can start: no site may run it, or what it waits for can no longer come."""
    from csched.store.records import NEVER

    return all(record.id in refused or record.reason == NEVER for record in living)


def _refused(app: "App", records: "Sequence[JobRecord]") -> Mapping[int, str]:
    """Waiting jobs that no site at all may run -> why. Tasks of an array are judged once, unless one was changed."""
    from csched.domain.run import JobState

    judged: dict[tuple[str, int], str | None] = {}
    refused: dict[int, str] = {}
    for record in records:
        if record.state is not JobState.PENDING:
            continue
        alike = (record.array.job if record.array else record.label, record.revision)
        if alike not in judged:
            reasons = app.refused_everywhere(record.job)
            judged[alike] = reasons[0].message if reasons else None
        if why := judged[alike]:
            refused[record.id] = why
    return refused


def exit_code(record: "JobRecord") -> int:
    """What a shell would have seen: the status, 128 + the signal, else 1 for a job that did not complete."""
    from csched.domain.run import JobState

    code = record.exit_code
    if code is not None and code.signal:
        return 128 + code.signal
    if code is not None and code.status:
        return code.status
    return 0 if record.state is JobState.COMPLETED else 1
