"""A failure of the place is not one of the trial: jobs are checked first and blocked meanwhile, workers quarantined."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

STATES = (
    "state IN ('queued', 'checking', 'running', 'blocked', 'paused', 'cancelling', 'cancelled', 'completed', 'failed')"
)
STATES_0004 = "state IN ('queued', 'running', 'paused', 'cancelling', 'cancelled', 'completed', 'failed')"


def upgrade() -> None:
    _check_states(STATES)
    op.add_column("jobs", sa.Column("estimate", sa.JSON(none_as_null=True), nullable=True))
    op.add_column("jobs", sa.Column("population", sa.Integer(), nullable=True))
    op.add_column("workers", sa.Column("trouble", sa.Text(), nullable=False, server_default=""))
    op.add_column("workers", sa.Column("quarantined_until", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    op.drop_column("workers", "quarantined_until")
    op.drop_column("workers", "trouble")
    op.drop_column("jobs", "population")
    op.drop_column("jobs", "estimate")
    op.execute("UPDATE jobs SET state = 'queued' WHERE state = 'checking'")
    op.execute("UPDATE jobs SET state = 'running' WHERE state = 'blocked'")
    _check_states(STATES_0004)


def _check_states(states: str) -> None:
    """Replace the check of jobs.state. A batch on SQLite copies the table without its checks."""
    with op.batch_alter_table("jobs") as table:
        if op.get_bind().dialect.name != "sqlite":
            table.drop_constraint(op.f("ck_jobs_state"), type_="check")
        table.create_check_constraint(op.f("ck_jobs_state"), states)
