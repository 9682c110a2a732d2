"""Incidents: what goes wrong, planted on request, and written down with what it truly cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tradewind.errors import BadInputError
from tradewind.sources.worlds.cast import Cast
from tradewind.sources.worlds.state import State, Today

KINDS: Mapping[str, str] = {
    "payment failure": "region",
    "listing taken down": "product",
    "competitor price cut": "department",
    "traffic policy change": "surface",
    "creator leaves": "creator",
    "stock-out": "product",
}
"""What each kind of incident strikes."""


@dataclass(frozen=True)
class Incident:
    """One thing that goes wrong.

    Args:
        kind: One of `KINDS`.
        subject: Number of the region, product, department, surface or creator that it strikes.
        start: First day of the world on which it holds.
        days: Number of days.
        size: How bad, from 0 to 1: the share of payments that fail, or of exposure that is lost; for a competitor, the
            utility that is lost. Where something is gone altogether, it is 1.

    Raises:
        BadInputError: If the kind is not known or the size is out of range.
    """

    kind: str
    subject: int
    start: int
    days: int
    size: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise BadInputError("There is no such incident", got=self.kind, allowed=sorted(KINDS))
        if not 0 < self.size <= 1 or self.days < 1:
            raise BadInputError(
                "An incident has a size and days", got=(self.size, self.days), allowed="0 to 1, 1 or more"
            )

    @property
    def strikes(self) -> str:
        """What the subject is a number of."""
        return KINDS[self.kind]

    def strike(self, today: Today, state: State, cast: Cast) -> Today:
        """Return the day as it is with this incident; a day on which it does not hold is left as it is."""
        if not self.start <= today.day < self.start + self.days:
            return today
        if self.kind == "payment failure":
            return replace(today, unpaid=_put(today.unpaid, self.subject, max(self.size, today.unpaid[self.subject])))
        if self.kind == "competitor price cut":
            return replace(today, outside=_put(today.outside, self.subject, today.outside[self.subject] + self.size))
        if self.kind == "traffic policy change":
            left = today.surfaces[self.subject] * (1 - self.size)
            return replace(today, surfaces=_put(today.surfaces, self.subject, left))
        if self.kind == "creator leaves":
            gone = state.contracts["creator"] == self.subject
            effort = np.where(gone, today.effort * (1 - self.size), today.effort)
            makes = cast.creators.makes[state.contracts["creator"]] * effort
            making = np.asarray(0.5 * np.bincount(state.contracts["product"], makes, len(today.price)), np.float64)
            return replace(today, effort=effort, making=making)
        if self.kind == "stock-out":
            state.stock[self.subject] = 0
        there = today.there.copy()
        there[self.subject] = False
        return replace(today, there=there)


def _put(values: NDArray[np.float64], place: int, value: float) -> NDArray[np.float64]:
    changed = values.copy()
    changed[place] = value
    return changed
