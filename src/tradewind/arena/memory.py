"""Memory: scores of worlds that are done, so that a contest that was stopped goes on where it was."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tradewind
from tradewind.arena.score import Interval, Score, Told
from tradewind.study import Lever, Party, jsonable
from tradewind.writing import put

APART = ("accounts", "charts", "database", "faces", "ledger")
"""Folders of the package on whose code no score depends: a change anywhere else forgets all scores."""


def fingerprint() -> str:
    """Return a short hash of the code on which scores depend."""
    root, found = Path(tradewind.__file__).parent, hashlib.sha256()
    files = {path.relative_to(root): path for path in root.rglob("*.py")}
    for name in sorted(name for name in files if name.parts[0] not in APART):
        found.update(name.as_posix().encode() + b"\0" + files[name].read_bytes())
    return found.hexdigest()[:16]


def short(asked: Sequence[Any]) -> str:
    """Return a short name for what was asked."""
    return hashlib.sha256(json.dumps(jsonable(asked)).encode()).hexdigest()[:8]


def recalled(path: Path, asked: Sequence[Any]) -> list[Score] | None:
    """Return the scores that were kept for exactly this; None where there are none, or the code has changed since."""
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if kept.get("asked") != [fingerprint(), *jsonable(asked)]:
        return None
    return [_score(each) for each in kept["scores"]]


def keep(path: Path, asked: Sequence[Any], scores: Sequence[Score]) -> None:
    """Keep the scores of one world: written whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    put(path, json.dumps({"asked": [fingerprint(), *jsonable(asked)], "scores": jsonable(scores)}))


def _score(kept: dict[str, Any]) -> Score:
    told = tuple(Told(**_numbers(each)) for each in kept["told"])
    intervals = tuple(Interval(**_numbers(each)) for each in kept["intervals"])
    parties = {Party(name): value for name, value in kept["parties"].items()}
    actions = {Lever(name): count for name, count in kept["actions"].items()}
    cost = {Party(name): value for name, value in kept["cost"].items()}
    changed = {"parties": parties, "actions": actions, "cost": cost, "error": _number(kept["error"])}
    return Score(**{**kept, **changed, "told": told, "intervals": intervals})


def _numbers(kept: dict[str, Any]) -> dict[str, Any]:
    """Fields of one lever, with what JSON has no number for."""
    return {name: Lever(value) if name == "lever" else _number(value) for name, value in kept.items()}


def _number(value: float | None) -> float:
    return float("nan") if value is None else value
