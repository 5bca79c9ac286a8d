"""Leases of trials that an external program trains."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    with op.batch_alter_table("attempts") as table:
        table.add_column(sa.Column("lease", sa.String(length=64), nullable=True))
        table.add_column(sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True))
        table.create_unique_constraint(op.f("uq_attempts_lease"), ["lease"])


def downgrade() -> None:
    with op.batch_alter_table("attempts") as table:
        table.drop_constraint(op.f("uq_attempts_lease"), type_="unique")
        table.drop_column("lease_until")
        table.drop_column("lease")
