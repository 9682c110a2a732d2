"""Ids: how the numbers of a world are named in tables."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tradewind.sources.worlds.sheets import Names, Sheets, spelled
from tradewind.sources.worlds.wording import Wording
from tradewind.sources.worlds.world import World

Ints = NDArray[np.int64]


class Ids:
    """Names of everybody and everything in a world.

    Args:
        world: The world.
    """

    def __init__(self, world: World):
        preset = world.preset
        self.world = world
        self.shops, self.products = Names("s", preset.shops), Names("p", preset.products)
        self.customers, self.creators = Names("c", preset.customers), Names("k", preset.creators)

    def creator_of(self, contract: Any) -> pa.Array:
        """Return the creator under each contract; null where there is none."""
        at = np.asarray(contract, np.int64)
        creators = self.world.state.contracts["creator"]
        if not len(creators):
            return self.creators.of(np.full(len(at), -1))
        return self.creators.of(np.where(at >= 0, creators[np.maximum(at, 0)], -1))

    def content(self, product: Any, contract: Any, video: Any) -> pa.Array:
        """Return the video in which a product is shown: its seller's, or one made under a contract; null for a card."""
        number = np.where(np.asarray(video, bool), self.videos(product, contract), -1)
        return numbered("v", number, 7)

    def videos(self, product: Any, contract: Any) -> Ints:
        """Return the number of the video of a product, or of a contract."""
        first = self.world.preset.products
        return np.where(np.asarray(contract) >= 0, first + np.asarray(contract), np.asarray(product))


class Chapter:
    """A part of the book, which writes rows of its own.

    Args:
        world: The world.
        sheets: Where rows go.
        ids: How things are named.
    """

    def __init__(self, world: World, sheets: Sheets, ids: Ids):
        self.world = world
        self.cast = world.cast
        self.draw = world.streams
        self.sheets = sheets
        self.clock = sheets.clock
        self.ids = ids
        self.wording = Wording(world.cast)


def numbered(prefix: str, numbers: Any, width: int = 6) -> pa.Array:
    """Return ids such as `u000042`; null where a number is below zero."""
    return spelled(prefix, numbers, width)


def hexed(prefix: str, numbers: Any) -> pa.Array:
    """Return short ids of large numbers."""
    return spelled(prefix, numbers, base=16)


def orders(numbers: Any) -> pa.Array:
    """Return ids of orders."""
    return numbered("o", numbers, 12)
