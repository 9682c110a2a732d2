"""The diary of a run: what happened, as columns of numbers, until it is written as canonical tables."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Columns = dict[str, NDArray[Any]]


class Diary:
    """Collects rows by kind; `take` hands them over and begins anew.

    Args:
        keep: Whether anything is kept at all; a run that only scores what happens keeps nothing.
    """

    def __init__(self, keep: bool = True):
        self.keep = keep
        self._pages: dict[str, list[Columns]] = {}

    def write(self, kind: str, **columns: Any) -> None:
        """Append rows of one kind: columns of equal length."""
        page = {name: np.asarray(column) for name, column in columns.items()}
        if self.keep and len(next(iter(page.values()))):
            self._pages.setdefault(kind, []).append(page)

    def assign(
        self, experiment: str, unit: str, units: Any, shops: Any, arms: Any, propensities: Any, day: int
    ) -> None:
        """Write down what was drawn for units of an experiment, and with which chance."""
        count = len(units)
        self.write(
            "assignments", experiment=np.full(count, experiment), unit=np.full(count, unit), number=units, shop=shops,
            arm=arms, propensity=propensities, day=np.full(count, day),
        )  # fmt: skip

    def take(self, kind: str) -> Columns | None:
        """Return all rows of a kind, and forget them; None where there are none."""
        pages = self._pages.pop(kind, [])
        if not pages:
            return None
        return {name: np.concatenate([page[name] for page in pages]) for name in pages[0]}

    def kinds(self) -> list[str]:
        """Return the kinds of which there are rows."""
        return sorted(self._pages)
