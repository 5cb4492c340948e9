"""Between rows and values: the only place that knows both."""

import zlib
from collections.abc import Mapping
from typing import Any

from csched.accounting.ledger import Run
from csched.domain.array import ArrayTask
from csched.domain.base import Value
from csched.domain.job import Job
from csched.domain.ledger import LedgerEntry
from csched.domain.plan import Placement, Plan, SiteOption
from csched.domain.run import DispatchOrder, ExitCode, JobState, Script
from csched.domain.snapshot import Snapshot
from csched.store.records import Drain, JobRecord, PlanRecord, Token, VerdictRecord
from csched.store.rows import AttemptRow, DrainRow, JobRow, LedgerRow, PlacementRow, PlanRow, TokenRow, VerdictRow


def document(value: Value) -> dict[str, Any]:
    return value.model_dump(mode="json", by_alias=True)


def packed(value: Value) -> bytes:
    return zlib.compress(value.model_dump_json(by_alias=True).encode())


def _unpacked(packed_value: bytes) -> bytes:
    return zlib.decompress(packed_value)


def to_job_record(row: JobRow, placement: PlacementRow | None) -> JobRecord:
    exit_code = None
    if row.exit_status is not None:
        exit_code = ExitCode(status=row.exit_status, signal=row.exit_signal or 0)
    return JobRecord(
        id=require_id(row.id),
        job=Job.model_validate(row.job),
        name=row.name,
        array=ArrayTask.model_validate(row.array) if row.array else None,
        work_dir=row.script["work_dir"],
        stdout=row.script["stdout"],
        stderr=row.script["stderr"],
        state=JobState(row.state),
        hold=row.hold,
        reason=row.reason,
        message=row.message,
        project=row.project,
        account=row.account,
        submit=row.submit,
        start=row.start,
        end=row.end,
        placement=Placement.model_validate(placement.placement) if placement else None,
        plan=placement.plan_id if placement else None,
        attempt=row.attempt,
        attempts=row.attempts,
        exit_code=exit_code,
        cancel_requested=row.cancel_requested,
        revision=row.revision,
    )


def set_job(row: JobRow, job: Job) -> None:
    """Put the value into its document and into the columns that are searched."""
    row.job = document(job)
    row.user, row.tenant = job.user, job.tenant
    row.depends = bool(job.dependency)


def to_order(row: JobRow, attempt: AttemptRow, body: str) -> DispatchOrder:
    job, placement = Job.model_validate(row.job), Placement.model_validate(attempt.placement)
    return DispatchOrder(
        job=job.job,
        attempt=attempt.attempt,
        name=row.name,
        user=job.user,
        site=placement.site,
        partition=placement.partition,
        gpus=job.gpus,
        time_limit_s=attempt.time_limit_s or job.time_limit_s,
        array=ArrayTask.model_validate(row.array) if row.array else None,
        components=job.components,
        script=Script.model_validate({**row.script, "body": body}),
        start=placement.start,
        nodes=placement.nodes,
        reservation=placement.reservation,
        tenant=job.tenant,
        account=row.account,
        data_class=job.data_class,
    )


def to_plan_record(row: PlanRow) -> PlanRecord:
    snapshot = Snapshot.model_validate_json(_unpacked(row.snapshot)) if row.snapshot else None
    return PlanRecord(id=require_id(row.id), plan=Plan.model_validate_json(_unpacked(row.plan)), snapshot=snapshot)


def to_verdict_record(row: VerdictRow) -> VerdictRecord:
    options = tuple(SiteOption.model_validate(option) for option in row.options)
    return VerdictRecord(job=row.job_id, plan=row.plan_id, options=options)


def to_ledger_row(entry: LedgerEntry) -> LedgerRow:
    return LedgerRow(
        job_id=int(entry.job),
        user=entry.user,
        project=entry.project,
        site=entry.site,
        ended=entry.end,
        entry=document(entry),
    )


def to_drain(row: DrainRow) -> Drain:
    return Drain(site=row.site, reason=row.reason, since=row.since)


def to_token(row: TokenRow) -> Token:
    return Token(id=require_id(row.id), name=row.name, role=row.role, created=row.created)


def changed_job(job: Job, changes: Mapping[str, object]) -> Job:
    """The job with some fields replaced; ValidationError where that makes no valid job."""
    return Job.model_validate({**job.model_dump(), **changes})


def to_run(record: JobRecord) -> Run:
    """What the ledger needs of a job that ran and ended; ValueError for any other."""
    if record.placement is None or record.start is None or record.end is None:
        raise ValueError(f"job {record.id} has not run to an end")
    return Run(
        job=record.job,
        project=record.project,
        placement=record.placement,
        state=record.state,
        submit=record.submit,
        start=record.start,
        end=record.end,
    )


def require_id(row_id: int | None) -> int:
    if row_id is None:
        raise ValueError("the row has not been stored")
    return row_id
