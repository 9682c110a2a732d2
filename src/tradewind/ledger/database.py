"""Database: where a ledger lives, SQLite in a file or PostgreSQL on a server, with one writer at a time."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc

from tradewind.errors import (
    BadInputError,
    BusyError,
    CorruptLedgerError,
    FullDiskError,
    MissingDataError,
    NotFoundError,
)
from tradewind.ledger import schema

PATIENCE = 60
"""Seconds that a writer waits for the one before it."""
VERSION_TABLE = "ledger_version"
REVISION = "0001"
"""The schema that this code speaks: the last of the migrations."""
MIGRATIONS = Path(__file__).parent / "migrations"
_BEGIN = "tradewind_begin"
_FULL = ("database or disk is full", "no space left", "disk full")
_LOCKED = ("database is locked", "lock timeout", "deadlock detected")


class Database:
    """A ledger's database.

    Args:
        address: A file for SQLite, or an address such as `postgresql://user@host/name`.

    Raises:
        BadInputError: If the address is of no database that a ledger can live in.
        MissingDataError: If the driver of that database is not installed.
    """

    def __init__(self, address: str | Path):
        url = _url(str(address))
        self.embedded = url.get_backend_name() == "sqlite"
        self.file = Path(url.database or "") if self.embedded else None
        self.shown = url.render_as_string(hide_password=True)
        if self.embedded:
            self._engine = sa.create_engine(url, connect_args={"timeout": PATIENCE})
            sa.event.listen(self._engine, "connect", _embedded_settings)
            sa.event.listen(self._engine, "begin", _embedded_begin)
        else:
            self._engine = sa.create_engine(url, pool_pre_ping=True)

    def close(self) -> None:
        """Let go of all connections."""
        self._engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Give a connection that sees one state of the ledger, whoever writes meanwhile."""
        with _speaking(self.shown):
            options: dict[str, Any] = {} if self.embedded else {"isolation_level": "REPEATABLE READ"}
            with self._engine.connect().execution_options(**options) as connection, connection.begin():
                yield connection

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """Give the one connection that may write; what it wrote stands whole when it leaves in peace, else not at all.

        Raises:
            BusyError: If the writer before does not end in time.
        """
        with _speaking(self.shown):
            # each statement after the lock sees what the writer before committed
            options = {_BEGIN: "BEGIN IMMEDIATE"} if self.embedded else {"isolation_level": "READ COMMITTED"}
            with self._engine.connect().execution_options(**options) as connection, connection.begin():
                if not self.embedded:
                    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{PATIENCE}s'")
                    connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7310866251478921)")
                yield connection

    @contextmanager
    def preparing(self, *, create: bool) -> Iterator[sa.Connection]:
        """Give the writer's connection to a ledger whose schema is up to date, made where there is none.

        Args:
            create: Whether a ledger may be made.

        Raises:
            NotFoundError: If there is none and none may be made.
            BadInputError: If the schema is newer than this code, or other tables of these names stand in its place.
        """
        if self.file is not None and not self.file.exists():
            if not create:
                raise NotFoundError("There is no ledger here", got=self.file, do="launch a plan first")
            if not self.file.parent.is_dir():
                raise NotFoundError("There is no folder for the ledger", got=self.file.parent, do="make it first")
        with self.writing() as connection:
            if (found := self._revision(connection)) != REVISION:
                self._migrate(connection, found, create)
            yield connection

    def prepared(self) -> bool:
        """Whether the schema is there and up to date, so that nothing needs to be written."""
        if self.file is not None and not self.file.exists():
            return False
        with self.reading() as connection:
            return self._revision(connection) == REVISION

    def _revision(self, connection: sa.Connection) -> str | None:
        if not sa.inspect(connection).has_table(VERSION_TABLE):
            return None
        found: str | None = connection.scalar(sa.text(f"SELECT version_num FROM {VERSION_TABLE}"))
        return found

    def _migrate(self, connection: sa.Connection, found: str | None, create: bool) -> None:
        # loading Alembic takes longer than most uses of a ledger
        from alembic import command  # noqa: PLC0415
        from alembic.config import Config  # noqa: PLC0415
        from alembic.script import ScriptDirectory  # noqa: PLC0415

        if found is None:
            if not create:
                raise NotFoundError("There is no ledger here", got=self.shown, do="launch a plan first")
            if taken := set(schema.METADATA.tables) & set(sa.inspect(connection).get_table_names()):
                raise BadInputError(
                    "The database holds other tables of the names that a ledger uses", got=sorted(taken),
                    do="give the ledger a database of its own",
                )  # fmt: skip
        config = Config(attributes={"connection": connection, "version_table": VERSION_TABLE})
        config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
        known = {step.revision for step in ScriptDirectory.from_config(config).walk_revisions()}
        if found is not None and found not in known:
            raise BadInputError(
                "The ledger was written by a newer Tradewind", got=f"schema {found}", allowed=f"schema {REVISION} and "
                "earlier ones", do="update Tradewind on this machine",
            )  # fmt: skip
        command.upgrade(config, REVISION)


def _url(address: str) -> sa.URL:
    if "://" not in address:
        if not address or address == ":memory:":
            raise BadInputError("A ledger lives in a file or on a server", got=address or "nothing")
        return sa.URL.create("sqlite", database=str(Path(address).absolute()))
    try:
        url = sa.make_url(address)
    except (exc.ArgumentError, ValueError) as error:  # an address may hold a password: it is not shown
        raise BadInputError("The address of the ledger cannot be read", allowed=_ALLOWED) from error
    if url.get_backend_name() == "sqlite":
        if not url.database or url.database == ":memory:" or url.query:
            raise BadInputError("A ledger lives in a file or on a server", got=url.render_as_string())
        return sa.URL.create("sqlite", database=str(Path(url.database).absolute()))
    if url.drivername not in {"postgresql", "postgres", "postgresql+psycopg"}:
        raise BadInputError("A ledger cannot live in such a database", got=url.drivername, allowed=_ALLOWED)
    if importlib.util.find_spec("psycopg") is None:
        raise MissingDataError(
            "The driver of PostgreSQL is not installed", do="run `pip install 'tradewind[postgres]'`"
        )
    return url.set(drivername="postgresql+psycopg")


_ALLOWED = "a file, sqlite:///FILE, or postgresql://USER@HOST/NAME"


def _embedded_settings(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # the driver is not to begin and end transactions by itself
    for setting in ("foreign_keys=ON", "journal_mode=DELETE", "synchronous=EXTRA", "recursive_triggers=ON"):
        connection.execute(f"PRAGMA {setting}")


def _embedded_begin(connection: sa.Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get(_BEGIN, "BEGIN"))


@contextmanager
def _speaking(shown: str) -> Iterator[None]:
    """Turn what a database refuses into words."""
    try:
        yield
    except exc.DBAPIError as error:
        said = str(error.orig)
        if any(words in said.lower() for words in _FULL):
            raise FullDiskError("There is no room left where the ledger is", got=shown, do="make room") from error
        if any(words in said.lower() for words in _LOCKED):
            raise BusyError("Somebody else is writing to the ledger", got=shown, do="try again") from error
        if "not a database" in said or "malformed" in said:
            raise CorruptLedgerError("This is not a ledger, or it is damaged", got=shown, do=_RESTORE) from error
        if isinstance(error, exc.OperationalError):
            raise NotFoundError(
                f"The ledger cannot be reached or written ({said.splitlines()[0] if said else 'no reason given'})",
                got=shown, do="check the address, the server and your rights there",
            ) from error  # fmt: skip
        raise


_RESTORE = "name the ledger's own file, or restore it from a copy"
