"""Jobs as a queue, as a history and one at a time."""

from collections.abc import Callable, Hashable, Sequence
from datetime import datetime, timedelta

from csched.domain.plan import Plan, Unplaced
from csched.domain.run import JobState
from csched.formats.array_option import spell_tasks
from csched.formats.job_cells import CELLS
from csched.report.arrays import Line, folded, unfolded
from csched.report.rendering import Pairs, Rendered, Table
from csched.report.words import SHORT_STATES, figure, iso, listed, moment, span
from csched.store.records import NEVER, JobRecord
from csched.units import format_slurm_time

_KEPT_BACK = {
    "Dependency": "Dependency: waits for another job; planned",
    "JobArrayTaskLimit": "JobArrayTaskLimit: as many tasks as may run at once do; planned",
}

QUEUE_COLUMNS = (">JOBID", "NAME", "USER", "ST", "SITE", "START", ">GPUS", ">LIMIT", ">KGCO2E", "REASON")


def queue(records: Sequence[JobRecord], plan: Plan | None, *, fold: bool = True) -> Rendered:
    """Waiting and running jobs; `plan` is the newest one, which knows why a job is not placed.

    Tasks of an array that wait alike are one line to a person, unless `fold` is false.
    """
    table = Table(QUEUE_COLUMNS, queue_rows(records, plan, fold=fold))
    return Rendered(
        {"jobs": [job_document(record, plan) for record in records]}, [record.label for record in records], [table]
    )


def queue_rows(records: Sequence[JobRecord], plan: Plan | None, *, fold: bool = True) -> list[tuple[str, ...]]:
    """The lines of the queue, in the order of QUEUE_COLUMNS."""

    def alike(record: JobRecord) -> Hashable:
        """Waiting tasks with the same site or the same reason; a task that runs has a line of its own."""
        if record.state is not JobState.PENDING:
            return record.id
        return record.hold, record.site, None if record.placement else reason(record, plan, "")

    lines = folded(records, alike) if fold else unfolded(records)
    return [_queue_row(line, plan) for line in lines]


def _queue_row(line: Line, plan: Plan | None) -> tuple[str, ...]:
    record = line.jobs[0]
    starts = [start for job in line.jobs if (start := start_of(job))]
    carbon_kg = [job.placement.carbon_kg for job in line.jobs if job.placement]
    why = reason(record, plan, line.label)
    if record.placement and len(line.jobs) > 1:
        why = f"Planned: from {moment(min(starts))} to {moment(max(starts))} at {record.site}"
    return (
        line.label,
        record.name,
        record.user or "-",
        SHORT_STATES[record.state],
        record.site or "-",
        moment(min(starts, default=None)),
        str(record.job.gpus),
        format_slurm_time(record.job.time_limit_s),
        figure(sum(carbon_kg) if carbon_kg else None),
        why,
    )


def history(records: Sequence[JobRecord], *, fold: bool = True) -> Rendered:
    """Jobs that have ended; tasks of an array that ended alike at one site are one line to a person."""
    columns = (">JOBID", "NAME", "USER", "SITE", "START", "END", ">GPUS", "STATE", ">EXIT", "REASON")

    def alike(record: JobRecord) -> Hashable:
        return record.state, record.exit_code, record.site, record.start is None, record.message

    lines = folded(records, alike) if fold else unfolded(records)
    rows = [
        (
            line.label,
            record.name,
            record.user or "-",
            record.site or "-",
            moment(min((job.start for job in line.jobs if job.start), default=None)),
            moment(max((job.end for job in line.jobs if job.end), default=None)),
            str(record.job.gpus),
            str(record.state),
            str(record.exit_code or "-"),
            reason(record, None),
        )
        for line in lines
        for record in line.jobs[:1]
    ]
    documents = [job_document(record) for record in records]
    return Rendered({"jobs": documents}, [record.label for record in records], [Table(columns, rows)])


def several(records: Sequence[JobRecord], plan: Plan | None) -> Rendered:
    """Everything known of each job; tasks of an array that differ in nothing but themselves are shown as one."""

    def alike(record: JobRecord) -> Hashable:
        return record.state, record.site, reason(record, plan, "")

    documents = [job_document(record, plan) for record in records]
    return Rendered(
        documents[0] if len(documents) == 1 else {"jobs": documents},
        [record.state for record in records],
        [_pairs(line, plan) for line in folded(records, alike)],
    )


def _pairs(line: Line, plan: Plan | None) -> Pairs:
    record = line.jobs[0]
    document = job_document(record, plan) | {"id": line.label, "reason": reason(record, plan, line.label)}
    document |= {name: cell.write(getattr(record.job, name)) for name, cell in CELLS.items()}
    if len(line.jobs) > 1:
        document |= {"array_task": spell_tasks(job.array.task for job in line.jobs if job.array)}
    return Pairs([(name, _spelled(value)) for name, value in document.items() if value not in (None, [], "", {})])


def changed(verb: str, records: Sequence[JobRecord]) -> Rendered:
    """What a command did to jobs: one line for each, or for all tasks of an array that stand alike."""
    return _done(records, lambda record, label: f"{verb} job {label} ({record.name}): {reason(record, None, label)}")


def cancelled(records: Sequence[JobRecord]) -> Rendered:
    """A job that waited is withdrawn at once; one that runs is asked to end."""

    def sentence(record: JobRecord, label: str) -> str:
        named = f"job {label} ({record.name})"
        return f"Cancelled {named} before it started" if record.state.final else f"Asked {named} to end"

    return _done(records, sentence)


def _done(records: Sequence[JobRecord], sentence: Callable[[JobRecord, str], str]) -> Rendered:
    return Rendered(
        {"jobs": [job_document(record) for record in records]},
        [record.label for record in records],
        [sentence(line.jobs[0], line.label) for line in folded(records, lambda record: sentence(record, ""))],
    )


def job_document(record: JobRecord, plan: Plan | None = None) -> dict[str, object]:
    """The fields that every --json and the HTTP API show of a job. Planned figures come from the newest plan."""
    placement = record.placement
    unplaced = _unplaced(record, plan)
    return {
        "id": record.id,
        "array_job": int(record.array.job) if record.array else None,
        "array_task": record.array.task if record.array else None,
        "name": record.name,
        "user": record.user,
        "project": record.project,
        "account": record.account,
        "state": str(record.state),
        "hold": record.hold,
        "reason": reason(record, plan),
        "reasons": [reason.model_dump(mode="json") for reason in unplaced.reasons] if unplaced else [],
        "site": record.site,
        "partition": placement.partition if placement else None,
        "submit": iso(record.submit),
        "planned_start": iso(placement.start) if placement else None,
        "planned_end": iso(placement.end) if placement else None,
        "planned_kwh": placement.kwh if placement else None,
        "planned_carbon_kg": placement.carbon_kg if placement else None,
        "wait_h": placement.wait_h if placement else None,
        "start": iso(record.start),
        "end": iso(record.end),
        "exit_code": str(record.exit_code) if record.exit_code else None,
        "message": record.message,
        "stdout": record.stdout,
        "stderr": record.stderr,
        "work_dir": record.work_dir,
        "attempts": record.attempts,
        **record.job.model_dump(mode="json", exclude={"job", "submit", "user"}),
    }


def start_of(record: JobRecord) -> datetime | None:
    """The true start, else the planned one."""
    return record.start or (record.placement.start if record.placement else None)


def reason(record: JobRecord, plan: Plan | None, label: str | None = None) -> str:
    """Why the job waits, or how it stands, in one sentence: never a bare word.

    `label` is what the next step names where it stands for more than this job.
    """
    if record.state is JobState.PENDING:
        return _why_it_waits(record, plan, record.label if label is None else label)
    if record.state is JobState.CONFIGURING:
        return "Starting: handed to the site"
    if record.state is JobState.RUNNING:
        limit = (record.start or record.submit) + timedelta(seconds=record.job.time_limit_s)
        ending = "Cancelling: to be asked to end by the daemon" if record.cancel_requested else "Running"
        return f"{ending}, until {moment(limit)} at the latest"
    if record.message:
        return record.message
    if record.reason == NEVER:
        return f"{NEVER}: what it waited for could no longer come"
    return "Cancelled before it started" if record.start is None else _how_it_ended(record)


def not_placed(unplaced: Unplaced) -> str:
    """Each reason with the sites it keeps the job from, the most telling first."""
    sites: dict[str, list[str]] = {}
    for reason in sorted(unplaced.reasons, key=lambda reason: reason.code.tier):
        named = sites.setdefault(str(reason.code), [])
        if reason.site is not None and reason.site not in named:
            named.append(reason.site)
    return "; ".join(f"{code} at {listed(named)}" if named else code for code, named in sites.items())


def _why_it_waits(record: JobRecord, plan: Plan | None, label: str) -> str:
    if record.hold:
        return f"Held by {record.hold}; csched release {label}"
    if record.reason == NEVER:
        return f"{NEVER}: what it waits for can no longer come; csched cancel {label}"
    if record.placement:
        waits = f", after waiting {span(record.placement.wait_h)}" if record.placement.wait_h > 0 else ""
        late = _KEPT_BACK.get(record.reason or "", "Planned")
        return f"{late}: starts {moment(record.placement.start)} at {record.placement.site}{waits}"
    if unplaced := _unplaced(record, plan):
        return not_placed(unplaced)
    return "New: the next plan looks at it"


def _how_it_ended(record: JobRecord) -> str:
    if record.state is JobState.TIMEOUT:
        return f"Timeout: it ran into its limit of {format_slurm_time(record.job.time_limit_s)}"
    code = f", exit code {record.exit_code}" if record.exit_code else ""
    return f"{str(record.state).capitalize()}{code}"


def _unplaced(record: JobRecord, plan: Plan | None) -> Unplaced | None:
    if plan is None or record.state is not JobState.PENDING or record.placement:
        return None
    return plan.unplaced_of.get(record.job.job)


def _spelled(value: object) -> str:
    if isinstance(value, list):
        return "\n".join(f"{item['site']}: {item['message']}" if isinstance(item, dict) else item for item in value)
    return str(value)
