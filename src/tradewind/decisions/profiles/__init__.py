"""The pages of one shop, product, creator, live session or customer segment, and how they are found."""

from __future__ import annotations

import importlib
from typing import Any

from tradewind.decisions.profiles.directory import Listing, kinds, listed
from tradewind.decisions.profiles.index import Hit, Index, index
from tradewind.decisions.profiles.kinds import KINDS, Kind, kind
from tradewind.decisions.profiles.page import ProfileSettings
from tradewind.decisions.profiles.segments import SEGMENTS, Segment, segments
from tradewind.engines.store import Store
from tradewind.period import Period
from tradewind.study import Study

__all__ = [
    "KINDS",
    "SEGMENTS",
    "Hit",
    "Index",
    "Kind",
    "Listing",
    "ProfileSettings",
    "Segment",
    "index",
    "kind",
    "kinds",
    "listed",
    "profile",
    "segments",
]


def profile(store: Store, name: str, id: str, period: Period, *settings: Any) -> Study:
    """Return the page of one entity.

    Args:
        store: The store, as the caller may see it.
        name: Its kind, from `KINDS`; the kind's module is imported only now.
        id: Its id.
        period: The days in question.
        settings: What to show, where the kind has settings.

    Raises:
        NotFoundError: If there is no such kind, or no such entity that the caller may see, in the same words.
        MissingDataError: If the period does not meet the data.
    """
    page: Study = importlib.import_module(f"{__name__}.{kind(name).name}").profile(store, id, period, *settings)
    return page
