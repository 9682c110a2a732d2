"""The table of verdicts, and the triggers that let it only be added to."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

NAME = sa.String().with_variant(sa.String(collation="C"), "postgresql")
SAID = "verdicts are only ever added to"


def upgrade() -> None:
    """Make the table and the triggers."""
    op.create_table(
        "verdicts",
        sa.Column("number", sa.Integer(), primary_key=True),
        *(sa.Column(name, NAME, nullable=False) for name in ("plan", "action")),
        sa.Column("shop", NAME),
        sa.Column("verdict", NAME, nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("user", NAME, nullable=False),
        *(sa.Column(name, sa.String(), nullable=False) for name in ("who", "at")),
    )
    op.create_index("ix_verdicts_plan", "verdicts", ["plan", "action", "number"])
    for statement in _TRIGGERS[op.get_bind().dialect.name]:
        op.execute(statement)


_TRIGGERS = {
    "sqlite": tuple(
        f"CREATE TRIGGER verdicts_{event.lower()} BEFORE {event} ON verdicts BEGIN SELECT RAISE(ABORT, '{SAID}'); END"
        for event in ("UPDATE", "DELETE")
    ),
    "postgresql": (
        "CREATE FUNCTION verdicts_refuse() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{SAID}'; END $$",
        "CREATE TRIGGER verdicts_refuse BEFORE UPDATE OR DELETE OR TRUNCATE ON verdicts "
        "FOR EACH STATEMENT EXECUTE FUNCTION verdicts_refuse()",
    ),
}
