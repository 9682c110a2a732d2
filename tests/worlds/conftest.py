"""Worlds for tests: one tiny world written to a store once, and small ones to run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tradewind.engines.store import Store, open_store
from tradewind.sources import fill
from tradewind.sources.worlds.preset import preset
from tradewind.sources.worlds.world import World

SEED = 7


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store of the tiny world; not to be written to."""
    folder = tmp_path_factory.mktemp("tiny") / "store"
    fill("tiny", SEED, folder)
    return folder


@pytest.fixture(scope="session")
def tiny_store(tiny_folder: Path) -> Store:
    return open_store(str(tiny_folder))


@pytest.fixture
def tiny_world() -> World:
    """The tiny world on its first morning."""
    return World(preset("tiny"), SEED)


@pytest.fixture(scope="session")
def lived() -> World:
    """The tiny world after three weeks; fork it before it goes on."""
    world = World(preset("tiny"), SEED)
    world.advance(21)
    return world
