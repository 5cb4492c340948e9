"""The tables. Rows only store: nothing validates here, values do (mapping.py stands between the two).

Instants are stored in UTC; what is only ever read whole is one JSON document; what is searched has its own column.
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, Column, DateTime, Dialect, Index, LargeBinary, Text, TypeDecorator, false
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
    exit_status: int | None = None
    exit_signal: int | None = None
    cancel_requested: bool = False
    billed: bool = Field(default=False, index=True)
    revision: int = 1
    submission_key: str | None = None
    """The user's own word for this submission: the same one again is the same job."""
    job: Document = Field(sa_column=Column(JSON, nullable=False))
    script: Document = Field(sa_column=Column(JSON, nullable=False))


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
