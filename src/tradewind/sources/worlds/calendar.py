"""When demand happens: hours, weekdays, pay days, campaign days, seasons of departments and trends of products."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

WEEKDAYS = np.array([0.93, 0.86, 0.88, 0.93, 1.02, 1.21, 1.17])
PAY_DAYS = {1: 1.10, 2: 1.06, 15: 1.06, 25: 1.12, 26: 1.06}
BEFORE, AFTER = 0.94, 0.93  # visits wait for a campaign day, and are fewer the day after
CAMPAIGN = 1.30

_EVENING = np.exp(-0.5 * ((np.arange(24) - 20.5) / 2.8) ** 2)
_NOON = 0.9 * np.exp(-0.5 * ((np.arange(24) - 12.5) / 2.2) ** 2)
_NIGHT = 0.35 * np.exp(-0.5 * ((np.arange(24) - 23.5) / 1.6) ** 2)
HOURS = _EVENING + _NOON + _NIGHT + 0.06
HOURS = HOURS / HOURS.sum()
HOUR_EDGES = np.cumsum(HOURS)


def is_campaign(day: date) -> bool:
    """Whether a day is one on which day and month agree, such as the sixth of June."""
    return day.day == day.month


def visits(day: date) -> float:
    """Return how many sessions a day brings, relative to a usual day."""
    level = float(WEEKDAYS[day.weekday()]) * PAY_DAYS.get(day.day, 1.0)
    if is_campaign(day):
        return level * CAMPAIGN
    level *= BEFORE if is_campaign(day + timedelta(days=1)) else 1.0
    return level * (AFTER if is_campaign(day - timedelta(days=1)) else 1.0)


def season(day: date, peaks: Array, sizes: Array) -> Array:
    """Return the utility that the time of the year adds in each department.

    Args:
        day: The day.
        peaks: [departments] day of the year on which each is wanted most.
        sizes: [departments] how much more than on average.
    """
    angle = 2 * np.pi * (day.timetuple().tm_yday - peaks) / 365.25
    return np.asarray(sizes * np.cos(angle))


def weekly(day: date, peaks: Array, size: float) -> Array:
    """Return the utility that the day of the week adds in each department.

    Args:
        day: The day.
        peaks: [departments] day of the week on which each is wanted most, from 0 to 7.
        size: How much more than on average.
    """
    return np.asarray(size * np.cos(2 * np.pi * (day.weekday() - peaks) / 7))


def trend(day: int, launched: NDArray[np.int64], peak: Array, width: Array, height: Array) -> Array:
    """Return the utility that a product's own course adds on a day: a rise to its peak, then a slower fall.

    Args:
        day: Day of the world, from 0.
        launched: [products] day on which each is listed.
        peak: [products] days from there to its peak.
        width: [products] days that the rise takes; the fall takes three times as long.
        height: [products] utility at the peak; 0 where a product is steady.
    """
    away = day - launched - peak
    slow = np.where(away > 0, 3.0, 1.0) * width
    return np.asarray(height * (2 * np.exp(-0.5 * (away / slow) ** 2) - 1))
