"""Jobs as a queue, as a history and one at a time."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from csched.domain.plan import Plan, Unplaced
from csched.domain.run import JobState
from csched.report.rendering import Pairs, Rendered, Table
from csched.report.words import SHORT_STATES, figure, iso, listed, moment, span
from csched.store.records import JobRecord
from csched.units import format_slurm_time

QUEUE_COLUMNS = (">JOBID", "NAME", "USER", "ST", "SITE", "START", ">GPUS", ">LIMIT", ">KGCO2E", "REASON")


def queue(records: Sequence[JobRecord], plan: Plan | None) -> Rendered:
    """Waiting and running jobs; `plan` is the newest one, which knows why a job is not placed."""
    documents = [job_document(record, plan) for record in records]

    table = Table(QUEUE_COLUMNS, [queue_row(record, plan) for record in records])
    return Rendered({"jobs": documents}, [record.id for record in records], [table])


def queue_row(record: JobRecord, plan: Plan | None) -> tuple[str, ...]:
    """One line of the queue, in the order of QUEUE_COLUMNS."""
    placement = record.placement
    return (
        str(record.id),
        record.name,
        record.user or "-",
        SHORT_STATES[record.state],
        record.site or "-",
        moment(start_of(record)),
        str(record.job.gpus),
        format_slurm_time(record.job.time_limit_s),
        figure(placement.carbon_kg if placement else None),
        reason(record, plan),
    )


def history(records: Sequence[JobRecord]) -> Rendered:
    columns = (">JOBID", "NAME", "USER", "SITE", "START", "END", ">GPUS", "STATE", ">EXIT", "REASON")
    rows = [
        (
            str(record.id),
            record.name,
            record.user or "-",
            record.site or "-",
            moment(record.start),
            moment(record.end),
            str(record.job.gpus),
            str(record.state),
            str(record.exit_code or "-"),
            reason(record, None),
        )
        for record in records
    ]
    documents = [job_document(record) for record in records]
    return Rendered({"jobs": documents}, [record.id for record in records], [Table(columns, rows)])


def one(record: JobRecord, plan: Plan | None) -> Rendered:
    """Everything known of a job."""
    document = job_document(record, plan)

    rows = [(name, _spelled(value)) for name, value in document.items() if value not in (None, [], "")]
    return Rendered(document, [record.state], [Pairs(rows)])


def changed(verb: str, records: Sequence[JobRecord]) -> Rendered:
    """What a command did to jobs: one line each."""
    return Rendered(
        {"jobs": [job_document(record) for record in records]},
        [record.id for record in records],
        [f"{verb} job {record.id} ({record.name}): {reason(record, None)}" for record in records],
    )


def job_document(record: JobRecord, plan: Plan | None = None) -> dict[str, object]:
    """The fields that every --json and the HTTP API show of a job. Planned figures come from the newest plan."""
    placement = record.placement
    unplaced = _unplaced(record, plan)
    return {
        "id": record.id,
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
        "stdout": record.script.stdout,
        "stderr": record.script.stderr,
        "work_dir": record.script.work_dir,
        "attempts": record.attempts,
        **record.job.model_dump(mode="json", exclude={"job", "submit", "user"}),
    }


def start_of(record: JobRecord) -> datetime | None:
    """The true start, else the planned one."""
    return record.start or (record.placement.start if record.placement else None)


def reason(record: JobRecord, plan: Plan | None) -> str:
    """Why the job waits, or how it stands, in one sentence: never a bare word."""
    if record.state is JobState.PENDING:
        return _why_it_waits(record, plan)
    if record.state is JobState.CONFIGURING:
        return "Starting: handed to the site"
    if record.state is JobState.RUNNING:
        limit = (record.start or record.submit) + timedelta(seconds=record.job.time_limit_s)
        ending = "Cancelling: to be asked to end by the daemon" if record.cancel_requested else "Running"
        return f"{ending}, until {moment(limit)} at the latest"
    if record.message:
        return record.message
    return "Cancelled before it started" if record.start is None else _how_it_ended(record)


def not_placed(unplaced: Unplaced) -> str:
    """Each reason with the sites it keeps the job from, the most telling first."""
    sites: dict[str, list[str]] = {}
    for reason in sorted(unplaced.reasons, key=lambda reason: reason.code.tier):
        named = sites.setdefault(str(reason.code), [])
        if reason.site is not None and reason.site not in named:
            named.append(reason.site)
    return "; ".join(f"{code} at {listed(named)}" if named else code for code, named in sites.items())


def _why_it_waits(record: JobRecord, plan: Plan | None) -> str:
    if record.hold:
        return f"Held by {record.hold}; csched release {record.id}"
    if record.placement:
        waits = f", after waiting {span(record.placement.wait_h)}" if record.placement.wait_h > 0 else ""
        return f"Planned: starts {moment(record.placement.start)} at {record.placement.site}{waits}"
    if unplaced := _unplaced(record, plan):
        return not_placed(unplaced)
    return "New: the next plan looks at it"


def _how_it_ended(record: JobRecord) -> str:
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
