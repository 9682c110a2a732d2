"""The setting that an approval is of; approvals without one are of none."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

NAME = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    """Add the column."""
    op.add_column("verdicts", sa.Column("setting", NAME))
