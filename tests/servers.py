"""Fixtures for what is kept in a database: SQLite, and PostgreSQL on a real server that the tests start."""

from __future__ import annotations

import getpass
import importlib.util
import os
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from needs import lacking

DATABASES = ("sqlite", "postgresql")


@dataclass(frozen=True)
class Server:
    """A running PostgreSQL server.

    Args:
        engine: Its maintenance database.
        address: Address of that database.
    """

    engine: sa.Engine
    address: str

    def empty(self) -> str:
        """Return the address of a new empty database."""
        name = f"d{secrets.token_hex(6)}"
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name} TEMPLATE template0")
        return self.address.replace("@/postgres?", f"@/{name}?")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep what runs on PostgreSQL in one worker, so that one server is started."""
    for item in items:
        call = getattr(item, "callspec", None)
        if call is not None and call.params.get("kind") == "postgresql":
            item.add_marker(pytest.mark.xdist_group("postgresql"))


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A PostgreSQL server, which stops when the tests do, however they end."""
    programs = _programs()
    if programs is None:
        lacking("PostgreSQL is not installed: apt-get install postgresql")
    if importlib.util.find_spec("psycopg") is None:
        lacking("the driver of PostgreSQL is not installed: pip install 'tradewind[postgres]'")
    folder = Path(tempfile.mkdtemp(prefix="ledger-"))
    user = None if os.geteuid() else _somebody()  # the server refuses to run as root
    if user is not None:
        shutil.chown(folder, user)
    about: dict[str, Any] = {"cwd": folder, "user": user, "extra_groups": [] if user else None}
    data, name = folder / "data", user or getpass.getuser()
    subprocess.run(
        [programs / "initdb", "-D", data, "-U", name, "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C.UTF-8"],
        check=True, stdout=subprocess.DEVNULL, **about,
    )  # fmt: skip
    quick = "-c fsync=off -c full_page_writes=off -c listen_addresses= -c max_connections=40 -c shared_buffers=16MB"
    # the shell outlives this process only to stop the server: its input ends when this process does
    script = f'"{programs}/postgres" -D "{data}" -k "{folder}" {quick} </dev/null >"{folder}/log" 2>&1 & '
    script += f'cat >/dev/null; kill -QUIT $!; wait $!; rm -rf "{folder}"'
    shell = subprocess.Popen(["/bin/sh", "-c", script], stdin=subprocess.PIPE, **about)
    address = f"postgresql+psycopg://{name}@/postgres?host={folder}"
    engine = sa.create_engine(address)
    _wait_for(engine, folder)

    yield Server(engine, address)
    engine.dispose()
    shell.stdin.close()
    shell.wait(120)


def _programs() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    on_path = shutil.which("postgres")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


def _somebody() -> str:
    import pwd  # noqa: PLC0415 - there are no such users elsewhere

    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


def _wait_for(engine: sa.Engine, folder: Path) -> None:
    for _ in range(1200):
        try:
            with engine.connect():
                return
        except sa.exc.OperationalError:
            time.sleep(0.1)
    pytest.fail(f"PostgreSQL does not start: {(folder / 'log').read_text()}")


@pytest.fixture(params=DATABASES)
def kind(request: pytest.FixtureRequest) -> str:
    """The database's name; a test that asks for it runs once on each."""
    return str(request.param)
