"""Fixtures of the ledger: a place for one on each database, PostgreSQL on a real server that the tests start."""

from __future__ import annotations

import getpass
import importlib.util
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from deeds import KEY, Clock
from places import Place, Server

from tradewind.ledger import Ledger, open_ledger
from tradewind.ledger.schema import ENTRIES, LEDGER, METADATA

DATABASES = ("sqlite", "postgresql")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep what runs on PostgreSQL in one worker, so that one server is started."""
    for item in items:
        call = getattr(item, "callspec", None)
        if call is not None and call.params.get("kind") == "postgresql":
            item.add_marker(pytest.mark.xdist_group("postgresql"))


@pytest.fixture
def clock() -> Clock:
    """A clock that is set by hand."""
    return Clock()


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A PostgreSQL server, which stops when the tests do, however they end."""
    programs = _programs()
    lacking = "the driver of PostgreSQL is not installed: pip install 'tradewind[postgres]'"
    if programs is None:
        lacking = "PostgreSQL is not installed: apt-get install postgresql"
    if programs is None or importlib.util.find_spec("psycopg") is None:
        if os.environ.get("CI") == "true":
            pytest.fail(lacking)
        pytest.skip(lacking)
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


@pytest.fixture(scope="session")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a ledger just begun, to be copied: taking all steps anew takes longer."""
    file = tmp_path_factory.mktemp("begun") / "ledger.db"
    open_ledger(file, environment=KEY, clock=Clock()).close()
    return file


@pytest.fixture(scope="session")
def served(server: Server) -> Callable[[], str]:
    """Give the address of a ledger just begun on the server: always the same one, swept."""
    address = server.empty()
    open_ledger(address, environment=KEY, clock=Clock()).close()
    place = Place(address, "postgresql")
    [first] = place.run("SELECT * FROM entries")
    [(version,)] = place.run(f"SELECT version_num FROM {LEDGER.version_table}")
    engine = sa.create_engine(address, poolclass=sa.NullPool)

    def swept() -> str:
        with engine.begin() as connection:
            others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
            connection.exec_driver_sql(f"{others} AND pid <> pg_backend_pid()")
            connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
            connection.exec_driver_sql(f"TRUNCATE {', '.join(METADATA.tables)}")
            connection.execute(METADATA.tables["entries"].insert(), dict(zip(ENTRIES.c.keys(), first, strict=True)))
            connection.exec_driver_sql(f"UPDATE {LEDGER.version_table} SET version_num = '{version}'")
        return address

    return swept


@pytest.fixture
def place(kind: str, tmp_path: Path, begun: Path, request: pytest.FixtureRequest) -> Place:
    """A place with a ledger just begun, on each database."""
    if kind == "sqlite":
        return Place(str(shutil.copy(begun, tmp_path / "ledger.db")), kind)
    return Place(request.getfixturevalue("served")(), kind)


@pytest.fixture
def empty(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> Place:
    """A place without a ledger, on each database."""
    return Place(str(tmp_path / "new.db") if kind == "sqlite" else request.getfixturevalue("server").empty(), kind)


@pytest.fixture
def ledger(place: Place, clock: Clock) -> Iterator[Ledger]:
    """The ledger of the place, as an operator sees it."""
    opened = place.open(clock)
    yield opened
    opened.close()


@pytest.fixture
def file(tmp_path: Path, begun: Path) -> Place:
    """A place with an embedded ledger just begun, for what does not depend on the database."""
    return Place(str(shutil.copy(begun, tmp_path / "ledger.db")), "sqlite")
