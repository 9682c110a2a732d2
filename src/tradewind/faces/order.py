"""What is read first: the order of findings, and the column that a table is ranked by."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from typing import Any

from tradewind.study import Column, Finding, Grid

_SIZES = ("money", "count", "share", "points", "ratio")
_LONG = 60
_NUMBER = re.compile(r"[−+-]?\D{0,3}\d[\d.,]*[kMBT%]?( pp| days)?")


def ranked(findings: Sequence[Finding]) -> list[Finding]:
    """Return findings in headline order: the heaviest first, equals as the study gave them."""
    return sorted(findings, key=lambda finding: -finding.weight)


def ranked_column(answer: Grid) -> Column | None:
    """Return the first numeric column whose sizes fall from row to row: what the rows are ranked by."""
    if len(answer.rows) < 3:
        return None
    for column in answer.columns:
        if column.unit in _SIZES:
            values = [row.get(column.name) for row in answer.rows]
            if any(value is None for value in values):
                continue
            sizes = [abs(number(value)) for value in values]
            if sizes[0] > sizes[-1] and all(a >= b for a, b in itertools.pairwise(sizes)):
                return column
    return None


def long_columns(answer: Grid) -> list[Column]:
    """Return the columns, but for the first, whose words are too long to stand in a table."""
    words = [column for column in answer.columns[1:] if column.unit == "text"]
    return [column for column in words if any(len(str(row.get(column.name) or "")) > _LONG for row in answer.rows)]


def told_apart(answer: Grid, column: Column) -> dict[str, list[str]]:
    """Return the words of a column, each once, with the names of the rows that they speak of."""
    told: dict[str, list[str]] = {}
    for row in answer.rows:
        if words := row.get(column.name):
            told.setdefault(str(words), []).append(str(row.get(answer.columns[0].name)))
    return told


def is_numeric(answer: Grid, column: Column) -> bool:
    """Return whether a column is set to the right: numbers, or words that are all numbers with their unit."""
    if column.unit != "text" or not answer.rows or column.name.endswith("_id"):
        return column.unit not in ("text", "day")
    words = [str(row.get(column.name) or "unknown") for row in answer.rows]
    return any(_NUMBER.fullmatch(each) for each in words) and all(
        each == "unknown" or _NUMBER.fullmatch(each) for each in words
    )


def number(value: Any) -> float:
    """Return a counted number or the middle of an estimate as a float, for drawing only."""
    return float(getattr(value, "mid", value) or 0)
