"""Fixtures of the ledger: a place for one on each database."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from deeds import KEY, Clock
from places import Place

from servers import Server
from tradewind.ledger import Ledger, open_ledger
from tradewind.ledger.schema import ENTRIES, LEDGER, METADATA


@pytest.fixture
def clock() -> Clock:
    """A clock that is set by hand."""
    return Clock()


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
