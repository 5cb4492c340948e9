"""Which ended attempts their dispatcher has dropped, and the key by which a submission may be repeated."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("attempts", sa.Column("forgotten", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_index("ix_attempts_forgotten", "attempts", ["forgotten"])
    op.add_column("jobs", sa.Column("submission_key", sa.String(), nullable=True))
    op.create_index("ix_jobs_submission_key", "jobs", ["user", "submission_key"], unique=True)
