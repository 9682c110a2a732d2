"""Reading: what requests have in common, read once: periods, shops, pages of a list."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from tradewind.engines.store import Store
from tradewind.errors import BadInputError, MissingDataError
from tradewind.period import Period, parse_period

MOST_SHOPS = 300
"""Shops that a form offers one by one; with more, an id is typed."""

Words = Annotated[str, Query(max_length=200)]
Days = Annotated[
    str, Query(max_length=60, description="Days in question: 2025-08, 2025-08-01..2025-08-14, last-28d, last-month, …")
]
Limit = Annotated[int, Query(ge=1, le=500, description="Items of a page.")]
Offset = Annotated[int, Query(ge=0, le=10_000_000, description="Items before the page.")]
RECENT = "last-28d"
FARTHEST = 100
"""Years beyond the data that a period may reach: with the one that it is compared with, it stays in the calendar."""


def period_of(text: str, store: Store) -> Period:
    """Return the period in question.

    Raises:
        BadInputError: If it cannot be read, or reaches too far beyond the data.
        MissingDataError: If the store holds no day of it.
    """
    period = parse_period(text or RECENT, store.span)
    if store.span.first.year - period.first.year > FARTHEST or period.last.year - store.span.last.year > FARTHEST:
        raise BadInputError(
            "The period reaches too far beyond the data", got=period, allowed=f"up to {FARTHEST} years beyond"
        )
    if period.clipped(store.span) is None:
        raise MissingDataError(
            "There is no day of this period in the data", got=period,
            allowed=f"days from {store.span.first} to {store.span.last}",
        )  # fmt: skip
    return period
