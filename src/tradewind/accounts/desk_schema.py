"""Schema: the tables of the desk, where plans lie to be decided on. Verdicts are only ever added to."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from tradewind.database import Register
from tradewind.errors import CorruptDeskError

METADATA = sa.MetaData()
# compared by their bytes on either database
NAME = sa.String().with_variant(sa.String(collation="C"), "postgresql")

VERDICTS = sa.Table(
    "verdicts", METADATA,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("plan", NAME, nullable=False),
    sa.Column("action", NAME, nullable=False),
    sa.Column("shop", NAME),
    sa.Column("verdict", NAME, nullable=False),
    sa.Column("reason", sa.String, nullable=False),
    sa.Column("user", NAME, nullable=False),
    sa.Column("who", sa.String, nullable=False),
    sa.Column("at", sa.String, nullable=False),
    sa.Column("setting", NAME),
    sa.Index("ix_verdicts_plan", "plan", "action", "number"),
)  # fmt: skip
DESK = Register(
    "desk", "desk", METADATA, Path(__file__).parent / "desk_steps", "0002", "open it with the console or the API",
    2803774619550341, CorruptDeskError,
)  # fmt: skip
