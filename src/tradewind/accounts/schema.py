"""Schema: the tables of accounts. Secrets are kept as digests only; the audit log is only ever added to."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from tradewind.database import Register
from tradewind.errors import CorruptAccountsError

METADATA = sa.MetaData()
# compared by their bytes on either database
NAME = sa.String().with_variant(sa.String(collation="C"), "postgresql")

USERS = sa.Table(
    "users", METADATA,
    sa.Column("id", NAME, primary_key=True),
    sa.Column("name", NAME, nullable=False, unique=True),
    sa.Column("role", NAME, nullable=False),
    sa.Column("password", sa.String),
    sa.Column("made", sa.String, nullable=False),
    sa.Column("disabled", sa.String),
)  # fmt: skip
REACH = sa.Table(
    "reach", METADATA,
    sa.Column("user", NAME, sa.ForeignKey("users.id"), primary_key=True),
    sa.Column("kind", NAME, primary_key=True),
    sa.Column("id", NAME, primary_key=True),
)  # fmt: skip
TOKENS = sa.Table(
    "tokens", METADATA,
    sa.Column("id", NAME, primary_key=True),
    sa.Column("user", NAME, sa.ForeignKey("users.id"), nullable=False, index=True),
    sa.Column("title", sa.String, nullable=False),
    sa.Column("digest", NAME, nullable=False, unique=True),
    sa.Column("made", sa.String, nullable=False),
    sa.Column("expires", sa.String, nullable=False),
    sa.Column("revoked", sa.String),
    sa.Column("seen", sa.String),
)  # fmt: skip
SESSIONS = sa.Table(
    "sessions", METADATA,
    sa.Column("digest", NAME, primary_key=True),
    sa.Column("user", NAME, sa.ForeignKey("users.id"), nullable=False, index=True),
    sa.Column("made", sa.String, nullable=False),
    sa.Column("seen", sa.String, nullable=False),
)  # fmt: skip
AUDIT = sa.Table(
    "audit", METADATA,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("at", sa.String, nullable=False),
    sa.Column("who", sa.String, nullable=False),
    sa.Column("what", sa.String, nullable=False),
    sa.Column("subject", sa.String, nullable=False),
    sa.Column("detail", sa.String, nullable=False),
)  # fmt: skip
ACCOUNTS = Register(
    "accounts", "register of users", METADATA, Path(__file__).parent / "steps", "0001",
    "add a user with `tradewind users add`", 5120983374410027, CorruptAccountsError,
)  # fmt: skip
