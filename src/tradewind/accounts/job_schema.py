"""Schema: the table of jobs, which are asked for in one process and done in another."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from tradewind.database import Register
from tradewind.errors import CorruptAccountsError

METADATA = sa.MetaData()
# compared by their bytes on either database
NAME = sa.String().with_variant(sa.String(collation="C"), "postgresql")

JOBS = sa.Table(
    "jobs", METADATA,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("id", NAME, nullable=False, unique=True),
    sa.Column("key", NAME, nullable=False, index=True),
    sa.Column("kind", NAME, nullable=False),
    sa.Column("title", sa.String, nullable=False),
    sa.Column("asked", sa.String, nullable=False),
    sa.Column("scope", sa.String, nullable=False),
    sa.Column("user", NAME, nullable=False),
    sa.Column("who", sa.String, nullable=False),
    sa.Column("state", NAME, nullable=False, index=True),
    sa.Column("step", sa.String, nullable=False),
    sa.Column("done", sa.Integer, nullable=False),
    sa.Column("total", sa.Integer, nullable=False),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("made", sa.String, nullable=False),
    sa.Column("begun", sa.String),
    sa.Column("ended", sa.String),
    sa.Column("error", sa.String),
)  # fmt: skip
WORK = Register(
    "jobs", "list of jobs", METADATA, Path(__file__).parent / "job_steps", "0001",
    "start the server with `tradewind serve`", 5120983374410028, CorruptAccountsError,
)  # fmt: skip
