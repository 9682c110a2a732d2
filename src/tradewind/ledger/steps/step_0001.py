"""The ledger's first tables, and the triggers that let them only be added to."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
NAME = sa.String().with_variant(sa.String(collation="C"), "postgresql")
TABLES = ("entries", "experiments", "launches", "assignments", "stops", "readings")
SAID = "a ledger is only ever added to"


def upgrade() -> None:
    """Make the tables and their triggers."""
    op.create_table(
        "entries",
        sa.Column("number", NUMBER, primary_key=True, autoincrement=False),
        *(sa.Column(name, sa.String(), nullable=False) for name in ("at", "kind", "who")),
        sa.Column("payload", sa.Text(), nullable=False),
        *(sa.Column(name, sa.String(), nullable=False) for name in ("previous", "hash")),
    )
    op.create_table(
        "experiments",
        _number(),
        sa.Column("id", NAME, nullable=False, unique=True),
        sa.Column("due", sa.String(), nullable=False),
    )
    op.create_table(
        "launches",
        _number(),
        sa.Column("id", NAME, nullable=False, unique=True),
        sa.Column("experiment", NUMBER, sa.ForeignKey("experiments.number"), nullable=False, index=True),
        sa.Column("shop", NAME),
        *(sa.Column(name, NAME, nullable=False) for name in ("plan", "action", "lever", "subject_kind", "subject_id")),
        sa.Column("partner", NAME),
        sa.Column("first", sa.String(), nullable=False),
        sa.Column("last", sa.String(), nullable=False),
        sa.Index("ix_launches_running", "shop", "lever", "last"),
    )
    op.create_table(
        "assignments",
        sa.Column("experiment", NUMBER, sa.ForeignKey("experiments.number"), primary_key=True, autoincrement=False),
        sa.Column("unit", NAME, primary_key=True),
        sa.Column("arm", NAME, nullable=False),
    )
    op.create_table(
        "stops",
        _number(),
        sa.Column("launch", NUMBER, sa.ForeignKey("launches.number"), nullable=False, unique=True),
        sa.Column("day", sa.String(), nullable=False),
    )
    op.create_table(
        "readings",
        _number(),
        sa.Column("experiment", NUMBER, sa.ForeignKey("experiments.number"), nullable=False, index=True),
    )
    for statement in _TRIGGERS[op.get_bind().dialect.name]:
        op.execute(statement)


def _number() -> sa.Column[int]:
    return sa.Column("number", NUMBER, sa.ForeignKey("entries.number"), primary_key=True, autoincrement=False)


_NEXT = "(SELECT coalesce(max(number), 0) + 1 FROM entries)"
_TRIGGERS = {
    "sqlite": (
        *(
            f"CREATE TRIGGER {table}_{event.lower()} BEFORE {event} ON {table} BEGIN SELECT RAISE(ABORT, '{SAID}'); END"
            for table in TABLES
            for event in ("UPDATE", "DELETE")
        ),
        f"CREATE TRIGGER entries_next BEFORE INSERT ON entries WHEN NEW.number <> {_NEXT} "
        "BEGIN SELECT RAISE(ABORT, 'an entry follows the last one'); END",
    ),
    "postgresql": (
        f"CREATE FUNCTION ledger_refuse() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{SAID}'; END $$",
        f"CREATE FUNCTION ledger_next() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN IF NEW.number <> {_NEXT} THEN RAISE EXCEPTION 'an entry follows the last one'; END IF; "
        "RETURN NEW; END $$",
        *(
            f"CREATE TRIGGER {table}_refuse BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse()"
            for table in TABLES
        ),
        "CREATE TRIGGER entries_next BEFORE INSERT ON entries FOR EACH ROW EXECUTE FUNCTION ledger_next()",
    ),
}
