"""Tasks of arrays, which jobs wait for others, and the body of a script once for all jobs that run it."""

import hashlib
from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    scripts = op.create_table(
        "scripts",
        sa.Column("sha256", sa.String(), primary_key=True),
        sa.Column("body", sa.Text(), nullable=False),
    )
    op.add_column("jobs", sa.Column("array_job", sa.Integer(), nullable=True))
    op.add_column("jobs", sa.Column("array_task", sa.Integer(), nullable=True))
    op.add_column("jobs", sa.Column("array", sa.JSON(), nullable=True))
    op.add_column("jobs", sa.Column("depends", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column(
        "jobs", sa.Column("kill_on_invalid_dependency", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    op.add_column("jobs", sa.Column("script_sha256", sa.String(), nullable=True))
    op.add_column("attempts", sa.Column("time_limit_s", sa.Integer(), nullable=True))
    op.create_index("ix_jobs_array_job", "jobs", ["array_job"])
    op.create_index("ix_jobs_depends", "jobs", ["depends"])
    _move_bodies(scripts)


def _move_bodies(scripts: sa.Table) -> None:
    """Jobs of earlier versions carry the body in their own row."""
    jobs = sa.table("jobs", sa.column("id", sa.Integer), sa.column("script", sa.JSON), sa.column("script_sha256"))
    connection = op.get_bind()
    kept: set[str] = set()
    for job_id in connection.execute(sa.select(jobs.c.id)).scalars().all():
        script = connection.execute(sa.select(jobs.c.script).where(jobs.c.id == job_id)).scalar_one()
        body = script.pop("body")
        sha256 = hashlib.sha256(body.encode()).hexdigest()
        if sha256 not in kept:
            connection.execute(scripts.insert().values(sha256=sha256, body=body))
            kept.add(sha256)
        connection.execute(jobs.update().where(jobs.c.id == job_id).values(script=script, script_sha256=sha256))
