"""Partial indexes: what is pending, open or led is found without a look at all that has ended."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

INDEXES = {
    "ix_jobs_live": ("jobs", ["id"], "state NOT IN ('cancelled', 'completed', 'failed')"),
    "ix_jobs_led": ("jobs", ["lease_owner"], "lease_owner IS NOT NULL"),
    "ix_trials_pending": ("trials", ["job_id", "round", "k"], "state = 'pending'"),
    "ix_trials_undone": ("trials", ["job_id", "round"], "state NOT IN ('succeeded', 'failed')"),
    "ix_attempts_open": ("attempts", ["job_id", "lease_until"], "outcome = ''"),
}


def upgrade() -> None:
    for name, (table, columns, condition) in INDEXES.items():
        where = sa.text(condition)
        op.create_index(name, table, columns, sqlite_where=where, postgresql_where=where)


def downgrade() -> None:
    for name, (table, _, _) in INDEXES.items():
        op.drop_index(name, table)
