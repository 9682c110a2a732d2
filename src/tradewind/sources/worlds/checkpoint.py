"""Checkpoints: where the run of a world stands, so that one that was stopped goes on from there.

A checkpoint is one file of NumPy arrays without pickles: a tree in JSON says which array belongs where, and reading it
runs no code. The draft of the store names it together with the finished data files, all at once.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tradewind.engines.snapshot import Draft
from tradewind.sources.worlds.book import Book
from tradewind.sources.worlds.sheets import Sheets
from tradewind.sources.worlds.state import Rows
from tradewind.sources.worlds.world import World

Arrays = dict[str, NDArray[Any]]
TREE = "tree"


def save(draft: Draft, asked: Mapping[str, Any], world: World, sheets: Sheets, book: Book) -> None:
    """Put by where a run stands, between two days; no sheet may hold rows that are not written."""
    held = {"state": vars(world.state), "book": book.held(), "rows": sheets.rows}
    arrays: Arrays = {}
    tree = json.dumps(_packed(held, arrays)).encode()
    named: Any = {**arrays, TREE: np.frombuffer(tree, np.uint8)}
    path = draft.new_file("unfinished", "npz")
    with path.open("wb") as handle:
        np.savez(handle, **named)
    draft.put_by(asked, path, sheets.files)


def resume(draft: Draft, asked: Mapping[str, Any], world: World, sheets: Sheets, book: Book) -> bool:
    """Take up where the same run stood, and say whether there was anything to take up.

    What another run left, or what is damaged, is forgotten and its files are removed.

    Args:
        draft: The store's draft.
        asked: What is asked for.
        world: The world on its first morning.
        sheets: Its sheets, still empty.
        book: Its book, still empty.
    """
    unfinished = draft.unfinished
    if unfinished is None or unfinished.asked != json.loads(json.dumps(asked)) or not unfinished.sound(draft.folder):
        draft.start_over()
        return False
    held = _read(draft.folder / unfinished.state)
    if held is None or set(held["state"]) != set(vars(world.state)):
        draft.start_over()
        return False
    for name, value in held["state"].items():
        setattr(world.state, name, Rows(value) if isinstance(getattr(world.state, name), Rows) else value)
    for kind in world.diary.kinds():
        world.diary.take(kind)
    book.hold(held["book"])
    sheets.rows = held["rows"]
    sheets.files = {table: [draft.folder / file.path for file in files] for table, files in unfinished.tables.items()}
    return True


def _read(path: Path) -> dict[str, Any] | None:
    """Read a checkpoint; None where it is missing or damaged (each array in it carries a checksum)."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            held: dict[str, Any] = _unpacked(json.loads(arrays[TREE].tobytes()), arrays)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    return held


def _packed(value: Any, arrays: Arrays) -> Any:
    """Return a value as JSON holds it, its arrays set aside under a number each."""
    if isinstance(value, np.ndarray):
        if value.dtype.hasobject:
            raise TypeError("a checkpoint holds plain arrays only, none of Python objects")
        arrays[str(len(arrays))] = value
        return {"array": str(len(arrays) - 1)}
    if isinstance(value, Rows):
        return _packed(value.columns, arrays)
    if isinstance(value, Mapping):
        return {"map": {name: _packed(each, arrays) for name, each in value.items()}}
    if isinstance(value, list):
        return {"list": [_packed(each, arrays) for each in value]}
    return {"one": value}


def _unpacked(packed: Any, arrays: Mapping[str, NDArray[Any]]) -> Any:
    [(kind, value)] = packed.items()
    if kind == "array":
        return arrays[value]
    if kind == "map":
        return {name: _unpacked(each, arrays) for name, each in value.items()}
    return [_unpacked(each, arrays) for each in value] if kind == "list" else value
