"""Columns that nothing reads go; numbers may be null; the number of rounds is counted at submission.

Gone: jobs.seq and search_rounds.n_groups, which were written and never read, and the state ``pruned``, which no trial
could reach.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

STATES = "state IN ('pending', 'leased', 'running', 'lost', 'succeeded', 'failed', 'cancelled')"
STATES_0003 = "state IN ('pending', 'leased', 'running', 'lost', 'succeeded', 'pruned', 'failed', 'cancelled')"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("n_rounds", sa.Integer(), nullable=True))
    op.drop_column("jobs", "seq")
    op.drop_column("search_rounds", "n_groups")
    _check_states(STATES)
    with op.batch_alter_table("epochs") as table:
        table.alter_column("kept", existing_type=sa.Double(), nullable=True)


def downgrade() -> None:
    op.execute("UPDATE epochs SET kept = keep_rate WHERE kept IS NULL")
    with op.batch_alter_table("epochs") as table:
        table.alter_column("kept", existing_type=sa.Double(), nullable=False)
    _check_states(STATES_0003)
    op.add_column("search_rounds", sa.Column("n_groups", sa.Integer(), nullable=False, server_default="1"))
    op.add_column("jobs", sa.Column("seq", sa.Integer(), nullable=False, server_default="0"))
    op.drop_column("jobs", "n_rounds")


def _check_states(states: str) -> None:
    """Replace the check of trials.state. A batch on SQLite copies the table without its checks."""
    with op.batch_alter_table("trials") as table:
        if op.get_bind().dialect.name != "sqlite":
            table.drop_constraint(op.f("ck_trials_state"), type_="check")
        table.create_check_constraint(op.f("ck_trials_state"), states)
