"""Public holidays: days on which people buy otherwise than the weekday says."""

from __future__ import annotations

from datetime import date, timedelta

import holidays as calendar
import numpy as np
from numpy.typing import NDArray

REGRESSOR = "public holiday"


def countries() -> frozenset[str]:
    """Return the ISO 3166-1 alpha-2 codes of the countries whose holidays are known."""
    return frozenset(calendar.list_supported_countries())


def holidays_as_known(country: str, first: date, days: int) -> dict[str, NDArray[np.float64]]:
    """Return the public holidays of a run of days, as what a forecast knows ahead.

    Args:
        country: ISO 3166-1 alpha-2 code, or empty where none is known.
        first: First day.
        days: Number of days.

    Returns:
        [days] 1 on a public holiday and 0 otherwise, by the regressor's name; nothing where no day is one.
    """
    if not country:
        return {}
    known = calendar.country_holidays(country, years=range(first.year, (first + timedelta(days=days)).year + 1))
    flags = np.array([float(first + timedelta(days=n) in known) for n in range(days)])
    return {REGRESSOR: flags} if flags.any() else {}
