"""Accuracies of each network and of the ensemble, the memorisation split, and the final figures of a trial.

Numbers that are drawn are columns of their own: a curve reads two of twenty. What there is once for each network, one
or two of them, is one short JSON list, so that a row of an epoch stays one row.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

NUMBERS = (
    "validation_ensemble",
    "test_ensemble",
    "train_accuracy",
    "clean_correct",
    "wrong_correct",
    "wrong_memorised",
)


def upgrade() -> None:
    for name in NUMBERS:
        op.add_column("epochs", sa.Column(name, sa.Double(), nullable=True))
    op.add_column("epochs", sa.Column("networks", sa.JSON(), nullable=True))
    op.add_column("trials", sa.Column("final", sa.JSON(), nullable=True))


def downgrade() -> None:
    op.drop_column("trials", "final")
    for name in ("networks", *reversed(NUMBERS)):
        op.drop_column("epochs", name)
