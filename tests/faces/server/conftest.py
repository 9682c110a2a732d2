"""Servers of the hand-made market, one for whoever sits here and one with users."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from desks import Server, served

from tradewind.accounts import ANYBODY_HERE
from tradewind.engines.store import open_store
from tradewind.faces.proposals import keep_proposals, proposed
from tradewind.faces.server.gate import Asking
from tradewind.faces.server.office import Office
from tradewind.faces.server.questions import gathering
from tradewind.faces.server.reading import RECENT, period_of
from tradewind.faces.server.setup import Setup


@pytest.fixture(scope="session")
def here(market_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for whoever sits at this machine."""
    with served(market_folder, tmp_path_factory.mktemp("here")) as server:
        yield server


@pytest.fixture(scope="session")
def town(market_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with users of every role."""
    with served(market_folder, tmp_path_factory.mktemp("users"), users=True) as server:
        yield server


@pytest.fixture
def setup(market_folder: Path, tmp_path: Path) -> Setup:
    store = open_store(str(market_folder))
    return Setup(str(market_folder), str(tmp_path / "desk"), str(tmp_path / "ledger.db"), today=store.span.last)


@pytest.fixture
def office(setup: Setup, reefs: str) -> Iterator[Office]:
    """What the servers share, proposals of one wing in it."""
    found = Office(setup)
    asker = Asking(found, ANYBODY_HERE, "")
    wanted = gathering(asker, period_of(RECENT, asker.store))
    keep_proposals(proposed(asker.store, period_of(RECENT, asker.store)), found.place(wanted.key))
    yield found
    found.close()
