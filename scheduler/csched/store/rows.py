"""The tables. Rows only store: nothing validates here, values do (mapping.py stands between the two).

Instants are stored in UTC; what is only ever read whole is one JSON document; what is searched has its own column.
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, Column, DateTime, Dialect, Index, LargeBinary, Text, TypeDecorator, false, text
from sqlmodel import Field, SQLModel

Document = dict[str, Any]


class Utc(TypeDecorator[datetime]):
    """An aware instant; SQLite knows no zones, so it goes in and comes out as UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002  (SQLAlchemy's hook)
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class JobRow(SQLModel, table=True):
    __tablename__ = "jobs"
    __table_args__ = (
        Index("ix_jobs_submission_key", "user", "submission_key", unique=True),
        {"sqlite_autoincrement": True},
    )

    id: int | None = Field(default=None, primary_key=True)
    name: str
    state: str = Field(index=True)
    hold: str | None = None
    reason: str | None = None
    message: str | None = None
    user: str | None = Field(default=None, index=True)
    tenant: str | None = None
    project: str | None = Field(default=None, index=True)
    account: str | None = None
    site: str | None = Field(default=None, index=True)
    submit: datetime = Field(sa_type=Utc)
    start: datetime | None = Field(default=None, sa_type=Utc)
    end: datetime | None = Field(default=None, sa_type=Utc)
    attempt: str | None = Field(default=None, index=True)
    attempts: int = 0
    restarts: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    """How often it was begun anew after a node failed under it or it was preempted."""
    exit_status: int | None = None
    exit_signal: int | None = None
    cancel_requested: bool = False
    billed: bool = Field(default=False, index=True)
    revision: int = 1
    submission_key: str | None = None
    """The user's own word for this submission: the same one again is the same job."""
    array_job: int | None = Field(default=None, index=True)
    """Id of the array's first task, by which the array is known."""
    array_task: int | None = None
    array: Document | None = Field(default=None, sa_column=Column(JSON(none_as_null=True)))
    depends: bool = Field(default=False, index=True, sa_column_kwargs={"server_default": false()})
    """It waits for other jobs."""
    kill_on_invalid_dependency: bool = Field(default=False, sa_column_kwargs={"server_default": false()})
    job: Document = Field(sa_column=Column(JSON, nullable=False))
    script: Document = Field(sa_column=Column(JSON, nullable=False))
    """All but its body."""
    script_sha256: str | None = None


class ScriptRow(SQLModel, table=True):
    """The body of a script, once for all jobs that run it."""

    __tablename__ = "scripts"

    sha256: str = Field(primary_key=True)
    body: str = Field(sa_column=Column(Text, nullable=False))


class PlanRow(SQLModel, table=True):
    __tablename__ = "plans"
    __table_args__ = {"sqlite_autoincrement": True}

    id: int | None = Field(default=None, primary_key=True)
    at: datetime = Field(sa_type=Utc, index=True)
    plan: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    """JSON, zlib-compressed."""
    snapshot: bytes | None = Field(default=None, sa_column=Column(LargeBinary))


class PlacementRow(SQLModel, table=True):
    """The newest placement of each job; of a dispatched job, the one it was dispatched by."""

    __tablename__ = "placements"

    job_id: int = Field(primary_key=True, foreign_key="jobs.id")
    plan_id: int = Field(foreign_key="plans.id")
    placement: Document = Field(sa_column=Column(JSON, nullable=False))


class VerdictRow(SQLModel, table=True):
    __tablename__ = "verdicts"

    job_id: int = Field(primary_key=True, foreign_key="jobs.id")
    plan_id: int = Field(foreign_key="plans.id")
    options: list[Document] = Field(sa_column=Column(JSON, nullable=False))


class AttemptRow(SQLModel, table=True):
    """The intent to dispatch, written before anything is started.

    `handed_over` once a dispatcher knows of it, `forgotten` once it has ended and the dispatcher has dropped it.
    """

    __tablename__ = "attempts"

    attempt: str = Field(primary_key=True)
    job_id: int = Field(foreign_key="jobs.id", index=True)
    number: int
    placement: Document = Field(sa_column=Column(JSON, nullable=False))
    time_limit_s: int | None = None
    """Where it is placed; null: the job's own."""
    intended: datetime = Field(sa_type=Utc)
    handed_over: datetime | None = Field(default=None, sa_type=Utc)
    ended: datetime | None = Field(default=None, sa_type=Utc)
    forgotten: bool = Field(default=False, index=True, sa_column_kwargs={"server_default": false()})


class LedgerRow(SQLModel, table=True):
    """One per job, so that billing twice changes nothing."""

    __tablename__ = "ledger"

    job_id: int = Field(primary_key=True, foreign_key="jobs.id")
    user: str | None = Field(default=None, index=True)
    project: str | None = Field(default=None, index=True)
    site: str = Field(index=True)
    ended: datetime = Field(sa_type=Utc, index=True)
    entry: Document = Field(sa_column=Column(JSON, nullable=False))


class CarbonRow(SQLModel, table=True):
    """The last good reading of a source."""

    __tablename__ = "carbon_cache"

    source: str = Field(primary_key=True)
    outlook: Document = Field(sa_column=Column(JSON, nullable=False))
    read_at: datetime = Field(sa_type=Utc)


class DrainRow(SQLModel, table=True):
    __tablename__ = "drains"

    site: str = Field(primary_key=True)
    reason: str
    since: datetime = Field(sa_type=Utc)


class TokenRow(SQLModel, table=True):
    __tablename__ = "tokens"
    __table_args__ = {"sqlite_autoincrement": True}

    id: int | None = Field(default=None, primary_key=True)
    name: str
    role: str
    sha256: str = Field(unique=True)
    created: datetime = Field(sa_type=Utc)


class MarkRow(SQLModel, table=True):
    """Small facts of the daemon: when it planned last, its last errors, how often the queue changed."""

    __tablename__ = "marks"

    key: str = Field(primary_key=True)
    value: str = Field(sa_column=Column(Text, nullable=False))


class SiteOrderRow(SQLModel, table=True):
    """A signed order in the mailbox of a site's agent; `document` goes once the attempt's end is known."""

    __tablename__ = "site_orders"
    __table_args__ = (Index("ix_site_orders_attempt", "attempt", "kind", unique=True),)

    site: str = Field(primary_key=True)
    sequence: int = Field(primary_key=True)
    attempt: str
    kind: str
    key_id: str
    document: str | None = Field(default=None, sa_column=Column(Text))
    signature: str
    posted: datetime = Field(sa_type=Utc)


class SiteReportRow(SQLModel, table=True):
    """The newest report of an attempt by its site's agent."""

    __tablename__ = "site_reports"

    attempt: str = Field(primary_key=True)
    site: str = Field(index=True)
    version: int
    report: Document = Field(sa_column=Column(JSON, nullable=False))
    received: datetime = Field(sa_type=Utc)


class AgentRow(SQLModel, table=True):
    """What is known of a site's agent: when it last called, what it found, and what a person must look at."""

    __tablename__ = "agents"

    site: str = Field(primary_key=True)
    seen: datetime = Field(sa_type=Utc)
    facts: Document | None = Field(default=None, sa_column=Column(JSON))
    facts_at: datetime | None = Field(default=None, sa_type=Utc)
    alarm: Document | None = Field(default=None, sa_column=Column(JSON))
    alarm_cleared: datetime | None = Field(default=None, sa_type=Utc)
    refused: list[Document] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    """The newest orders that it did not carry out."""


class SiteRefusalRow(SQLModel, table=True):
    """Why a site itself would not take a job, as its agent found."""

    __tablename__ = "site_refusals"

    job_id: int = Field(primary_key=True, foreign_key="jobs.id")
    site: str = Field(primary_key=True)
    at: datetime = Field(sa_type=Utc)
    reason: Document = Field(sa_column=Column(JSON, nullable=False))
