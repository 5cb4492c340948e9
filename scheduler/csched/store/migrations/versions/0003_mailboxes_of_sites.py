"""The mailboxes of the sites' agents, what agents report, why sites refuse, and how often a job was begun anew."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("restarts", sa.Integer(), nullable=False, server_default=sa.text("0")))
    op.create_table(
        "site_orders",
        sa.Column("site", sa.String(), primary_key=True),
        sa.Column("sequence", sa.Integer(), primary_key=True),
        sa.Column("attempt", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("key_id", sa.String(), nullable=False),
        sa.Column("document", sa.Text(), nullable=True),
        sa.Column("signature", sa.String(), nullable=False),
        sa.Column("posted", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("ix_site_orders_attempt", "site_orders", ["attempt", "kind"], unique=True)
    op.create_table(
        "site_reports",
        sa.Column("attempt", sa.String(), primary_key=True),
        sa.Column("site", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("report", sa.JSON(), nullable=False),
        sa.Column("received", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("ix_site_reports_site", "site_reports", ["site"])
    op.create_table(
        "agents",
        sa.Column("site", sa.String(), primary_key=True),
        sa.Column("seen", sa.DateTime(timezone=True), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=True),
        sa.Column("facts_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("alarm", sa.JSON(), nullable=True),
        sa.Column("alarm_cleared", sa.DateTime(timezone=True), nullable=True),
        sa.Column("refused", sa.JSON(), nullable=False),
    )
    op.create_table(
        "site_refusals",
        sa.Column("job_id", sa.Integer(), sa.ForeignKey("jobs.id"), primary_key=True),
        sa.Column("site", sa.String(), primary_key=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.JSON(), nullable=False),
    )
