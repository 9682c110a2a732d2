"""Servers of the hand-made market, one for whoever sits here and one with users."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from desks import Server, served


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
