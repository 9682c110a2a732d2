"""One tiny world's history and offer for all tests of the arena."""

from __future__ import annotations

from pathlib import Path

import pytest

from tradewind.arena.offer import Offer, offer
from tradewind.engines.store import open_store
from tradewind.sources import fill


@pytest.fixture(scope="session")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the history of the tiny world of seed 3, where the arena looks for it."""
    folder = tmp_path_factory.mktemp("arena")
    fill("tiny", 3, folder / "tiny-3")
    return folder


@pytest.fixture(scope="session")
def offered(work: Path) -> Offer:
    return offer(open_store(str(work / "tiny-3")))
