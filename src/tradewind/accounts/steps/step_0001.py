"""The first tables of accounts, and the triggers that let the audit log only be added to."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

NAME = sa.String().with_variant(sa.String(collation="C"), "postgresql")
SAID = "the audit log is only ever added to"


def upgrade() -> None:
    """Make the tables and the triggers."""
    op.create_table(
        "users",
        sa.Column("id", NAME, primary_key=True),
        sa.Column("name", NAME, nullable=False, unique=True),
        sa.Column("role", NAME, nullable=False),
        sa.Column("password", sa.String()),
        sa.Column("made", sa.String(), nullable=False),
        sa.Column("disabled", sa.String()),
    )
    op.create_table(
        "reach",
        sa.Column("user", NAME, sa.ForeignKey("users.id"), primary_key=True),
        sa.Column("kind", NAME, primary_key=True),
        sa.Column("id", NAME, primary_key=True),
    )
    op.create_table(
        "tokens",
        sa.Column("id", NAME, primary_key=True),
        sa.Column("user", NAME, sa.ForeignKey("users.id"), nullable=False, index=True),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("digest", NAME, nullable=False, unique=True),
        *(sa.Column(name, sa.String(), nullable=False) for name in ("made", "expires")),
        *(sa.Column(name, sa.String()) for name in ("revoked", "seen")),
    )
    op.create_table(
        "sessions",
        sa.Column("digest", NAME, primary_key=True),
        sa.Column("user", NAME, sa.ForeignKey("users.id"), nullable=False, index=True),
        *(sa.Column(name, sa.String(), nullable=False) for name in ("made", "seen")),
    )
    op.create_table(
        "audit",
        sa.Column("number", sa.Integer(), primary_key=True),
        *(sa.Column(name, sa.String(), nullable=False) for name in ("at", "who", "what", "subject", "detail")),
    )
    for statement in _TRIGGERS[op.get_bind().dialect.name]:
        op.execute(statement)


_TRIGGERS = {
    "sqlite": tuple(
        f"CREATE TRIGGER audit_{event.lower()} BEFORE {event} ON audit BEGIN SELECT RAISE(ABORT, '{SAID}'); END"
        for event in ("UPDATE", "DELETE")
    ),
    "postgresql": (
        f"CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION '{SAID}'; END $$",
        "CREATE TRIGGER audit_refuse BEFORE UPDATE OR DELETE OR TRUNCATE ON audit "
        "FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()",
    ),
}
