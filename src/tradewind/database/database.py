"""Database: where a register is kept, SQLite in a file or PostgreSQL on a server, with one writer at a time."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc

from tradewind.errors import (
    BadInputError,
    BusyError,
    FullDiskError,
    MissingDataError,
    NotFoundError,
    TradewindError,
    UnavailableError,
)

PATIENCE = 60
"""Seconds that a writer waits for the one before it."""
ENVIRONMENT = Path(__file__).parent
"""Where Alembic finds what it runs to take a step."""
_BEGIN = "tradewind_begin"
_FULL = ("database or disk is full", "no space left", "disk full")
_LOCKED = ("database is locked", "lock timeout", "deadlock detected")


@dataclass(frozen=True)
class Register:
    """What is kept in a database of its own.

    Args:
        name: Its name in the database, such as `ledger`.
        called: What it is called.
        tables: Its tables, as the last step leaves them.
        steps: Folder of the Alembic steps that lead there.
        revision: The last of them.
        begin: How one is begun.
        lock: Number of PostgreSQL's lock that its one writer holds.
        damaged: The error of one that cannot be read.
    """

    name: str
    called: str
    tables: sa.MetaData
    steps: Path
    revision: str
    begin: str
    lock: int
    damaged: type[TradewindError]

    @property
    def version_table(self) -> str:
        """Name of the table that says which steps were taken."""
        return f"{self.name}_version"


class Database:
    """The database of one register.

    Args:
        register: What is kept in it.
        address: A file for SQLite, or an address such as `postgresql://user@host/name`.

    Raises:
        BadInputError: If the address is of no database that it can live in.
        MissingDataError: If the driver of that database is not installed.
    """

    def __init__(self, register: Register, address: str | Path):
        self.register = register
        url = _url(register.called, str(address))
        self.embedded = url.get_backend_name() == "sqlite"
        self.file = Path(url.database or "") if self.embedded else None
        self.shown = url.set(query={}).render_as_string(hide_password=True)  # a query may hold a password
        if self.embedded:
            self._engine = sa.create_engine(url, connect_args={"timeout": PATIENCE}, hide_parameters=True)
            sa.event.listen(self._engine, "connect", _embedded_settings)
            sa.event.listen(self._engine, "begin", _embedded_begin)
        else:
            self._engine = sa.create_engine(url, pool_pre_ping=True, hide_parameters=True)

    def close(self) -> None:
        """Let go of all connections."""
        self._engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Give a connection that sees one state of it all, whoever writes meanwhile."""
        with self._speaking():
            options: dict[str, Any] = {} if self.embedded else {"isolation_level": "REPEATABLE READ"}
            with self._engine.connect().execution_options(**options) as connection, connection.begin():
                yield connection

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """Give the one connection that may write; what it wrote stands whole when it leaves in peace, else not at all.

        Raises:
            BusyError: If the writer before does not end in time.
        """
        with self._speaking():
            # each statement after the lock sees what the writer before committed
            options = {_BEGIN: "BEGIN IMMEDIATE"} if self.embedded else {"isolation_level": "READ COMMITTED"}
            with self._engine.connect().execution_options(**options) as connection, connection.begin():
                if not self.embedded:
                    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{PATIENCE}s'")
                    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({self.register.lock})")
                yield connection

    @contextmanager
    def preparing(self, *, create: bool) -> Iterator[sa.Connection]:
        """Give the writer's connection to a register whose schema is up to date, made where there is none.

        Args:
            create: Whether it may be made.

        Raises:
            NotFoundError: If there is none and none may be made.
            BadInputError: If the schema is newer than this code, or other tables of these names stand in its place.
        """
        if self.file is not None and not self.file.exists():
            if not create:
                raise self._absent(self.file)
            if not self.file.parent.is_dir():
                raise NotFoundError(
                    f"There is no folder for the {self.register.called}", got=self.file.parent, do="make it first"
                )
        with self.writing() as connection:
            if (found := self._revision(connection)) != self.register.revision:
                self._migrate(connection, found, create)
            yield connection

    def prepared(self) -> bool:
        """Whether the schema is there and up to date, so that nothing needs to be written."""
        if self.file is not None and not self.file.exists():
            return False
        with self.reading() as connection:
            return self._revision(connection) == self.register.revision

    def _absent(self, where: Path | str) -> NotFoundError:
        return NotFoundError(f"There is no {self.register.called} here", got=where, do=self.register.begin)

    def _revision(self, connection: sa.Connection) -> str | None:
        if not sa.inspect(connection).has_table(self.register.version_table):
            return None
        found: str | None = connection.scalar(sa.text(f"SELECT version_num FROM {self.register.version_table}"))
        return found

    def _migrate(self, connection: sa.Connection, found: str | None, create: bool) -> None:
        # loading Alembic takes longer than most uses of a register
        from alembic import command  # noqa: PLC0415
        from alembic.config import Config  # noqa: PLC0415
        from alembic.script import ScriptDirectory  # noqa: PLC0415

        register = self.register
        if found is None:
            if not create:
                raise self._absent(self.shown)
            if taken := set(register.tables.tables) & set(sa.inspect(connection).get_table_names()):
                raise BadInputError(
                    f"The database holds other tables of the names that the {register.called} uses", got=sorted(taken),
                    do=f"give the {register.called} a database of its own",
                )  # fmt: skip
        config = Config(attributes={"connection": connection, "version_table": register.version_table})
        for option, folder in (("script_location", ENVIRONMENT), ("version_locations", register.steps)):
            config.set_main_option(option, str(folder).replace("%", "%%"))
        config.set_main_option("path_separator", "newline")
        known = {step.revision for step in ScriptDirectory.from_config(config).walk_revisions()}
        if found is not None and found not in known:
            raise BadInputError(
                f"The {register.called} was written by a newer Tradewind", got=f"schema {found}",
                allowed=f"schema {register.revision} and earlier ones", do="update Tradewind on this machine",
            )  # fmt: skip
        command.upgrade(config, register.revision)

    @contextmanager
    def _speaking(self) -> Iterator[None]:
        """Turn what a database refuses into words."""
        name, shown = self.register.called, self.shown
        try:
            yield
        except exc.TimeoutError as error:
            raise BusyError(f"Too many ask the {name} at once", got=shown, do="try again") from error
        except exc.DBAPIError as error:
            said = str(error.orig)
            if any(words in said.lower() for words in _FULL):
                raise FullDiskError(f"There is no room left where the {name} is", got=shown, do="make room") from error
            if any(words in said.lower() for words in _LOCKED):
                raise BusyError(f"Somebody else is writing to the {name}", got=shown, do="try again") from error
            if "not a database" in said or "malformed" in said:
                raise self.register.damaged(
                    f"This is not a {name}, or it is damaged", got=shown,
                    do=f"name the {name}'s own file, or restore it from a copy",
                ) from error  # fmt: skip
            if isinstance(error, exc.OperationalError):
                first = said.splitlines()[0] if said else "no reason given"
                raise UnavailableError(
                    f"The {name} cannot be reached or written ({first})", got=shown,
                    do="check the address, the server and your rights there",
                ) from error  # fmt: skip
            raise


def _url(name: str, address: str) -> sa.URL:
    if "://" not in address:
        if not address or address == ":memory:":
            raise BadInputError(f"The {name} lives in a file or on a server", got=address or "nothing")
        return sa.URL.create("sqlite", database=str(Path(address).absolute()))
    try:
        url = sa.make_url(address)
    except (exc.ArgumentError, ValueError) as error:  # an address may hold a password: it is not shown
        raise BadInputError(f"The address of the {name} cannot be read", allowed=_ALLOWED) from error
    if url.get_backend_name() == "sqlite":
        if not url.database or url.database == ":memory:" or url.query:
            raise BadInputError(f"The {name} lives in a file or on a server", got=url.render_as_string())
        return sa.URL.create("sqlite", database=str(Path(url.database).absolute()))
    if url.drivername not in {"postgresql", "postgres", "postgresql+psycopg"}:
        raise BadInputError(f"The {name} cannot live in such a database", got=url.drivername, allowed=_ALLOWED)
    if importlib.util.find_spec("psycopg") is None:
        raise MissingDataError(
            "The driver of PostgreSQL is not installed", do="run `pip install 'tradewind[postgres]'`"
        )
    return url.set(drivername="postgresql+psycopg")


_ALLOWED = "a file, sqlite:///FILE, or postgresql://USER@HOST/NAME"


def _embedded_settings(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # the driver is not to begin and end transactions by itself
    connection.text_factory = _text
    for setting in ("foreign_keys=ON", "journal_mode=DELETE", "synchronous=EXTRA", "recursive_triggers=ON"):
        connection.execute(f"PRAGMA {setting}")


def _text(stored: bytes) -> str:
    """Return a text as it is stored, also one that somebody made no UTF-8: whoever checks it is to find that out."""
    return stored.decode("utf-8", "surrogateescape")


def _embedded_begin(connection: sa.Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get(_BEGIN, "BEGIN"))
