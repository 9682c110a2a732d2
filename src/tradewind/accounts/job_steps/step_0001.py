"""The first table of jobs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

NAME = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "jobs",
        sa.Column("number", sa.Integer(), primary_key=True),
        sa.Column("id", NAME, nullable=False, unique=True),
        sa.Column("key", NAME, nullable=False, index=True),
        sa.Column("kind", NAME, nullable=False),
        *(sa.Column(name, sa.String(), nullable=False) for name in ("title", "asked", "scope")),
        sa.Column("user", NAME, nullable=False),
        sa.Column("who", sa.String(), nullable=False),
        sa.Column("state", NAME, nullable=False, index=True),
        sa.Column("step", sa.String(), nullable=False),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in ("done", "total", "tries")),
        sa.Column("made", sa.String(), nullable=False),
        *(sa.Column(name, sa.String()) for name in ("begun", "ended", "error")),
    )
