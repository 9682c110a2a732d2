"""Thin: what a total or a ratio was to be where many days have nothing, so that days say little one by one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

from tradewind.errors import BadInputError
from tradewind.methods.expect import Expectation
from tradewind.methods.usual import Usual
from tradewind.study import Estimate

Array = NDArray[np.float64]

EMPTY = 0.05  # part of the days with something that have nothing after them, from which days are thin
HALF = 91.0  # days after which a day counts half
PRIOR = 8.0  # runs of days that what single days miss counts for beside what whole runs miss
SURE = 1e-9  # of the ratio: what rounding may leave


def is_thin(there: ArrayLike) -> bool:
    """Return whether, of the days that have something, more than one in twenty has a day with nothing after it.

    Days with nothing that lie together, such as those of a shop that closed or of a season, do not make days thin.

    Args:
        there: [t] whether a day has something.
    """
    something = np.asarray(there, bool)
    before, after = something[:-1], something[1:]
    return bool(before.any() and 1 - after[before].mean() > EMPTY)


def thin_total(found: Expectation, past: ArrayLike) -> Expectation:
    """Return what was expected of thin days with the total that was usual, and days that sum to it.

    Structural models are robust: where most days have nothing, the few that have something are odd ones to them, and
    the expected total falls to nothing. A local level, as in `usual`, is a mean.

    Args:
        found: What was expected of the days after the history, of one series.
        past: [t] the history, a value a day, NaN where it was not observed.

    Returns:
        The expectation; as given where days are not thin, some are below nought, or what is usual is unknown.
    """
    values = np.asarray(past, float)
    known = values[np.isfinite(values)]
    if not is_thin(known != 0) or known.min() < 0:
        return found
    total = Usual(found.level)(values, len(found.days))
    if total is None:
        return found
    mid = np.maximum(found.mid, 0.0)
    mid = mid * (total.mid / mid.sum()) if mid.sum() > 0 else np.full(len(mid), total.mid / len(mid))
    return replace(
        found, mid=mid, low=np.minimum(found.low, mid), high=np.maximum(found.high, mid), totals=(total,)
    )  # fmt: skip


def thin_ratio(over: ArrayLike, under: ArrayLike, ahead: float, length: int, level: float = 0.9) -> Estimate | None:
    """Return what a ratio of sums was to be over the days after a history, and its interval.

    The ratio is one sum over the other, R = Σ o / Σ u, never a mean of days, and what it may miss by is told by its
    residuals o − R u: s² is their sum of squares over Σ u, of single days and of runs as long as the period together,
    so that days which move alike count, and the variance is s² (1 / ahead + 1 / Σ u). What was half a year ago counts a
    quarter. Weekdays, holidays and seasons are not known to it: days that are thin do not tell them.

    Args:
        over: [t] numerators, a day each, in one unit.
        under: [t] denominators, a day each, not negative.
        ahead: What the denominators of the days in question came to, above nought.
        length: How many days these are.
        level: Probability with which the interval is meant to hold the truth, in (0, 1).

    Returns:
        The ratio; None where the history has nothing above or below the line.

    Raises:
        BadInputError: If lengths differ, a number is not finite, or a denominator is negative.

    Reference:
        Cochran (1977), Sampling Techniques, section 6.4, equation 6.13 (variance of a ratio of sums).

    Examples:
        >>> found = thin_ratio([20, 0, 0, 10, 30] * 20, [2, 0, 0, 1, 3] * 20, ahead=10, length=7)
        >>> round(found.mid, 6)
        10.0
    """
    above, below = np.asarray(over, float), np.asarray(under, float)
    if above.shape != below.shape or above.ndim != 1:
        raise BadInputError("Numerators and denominators do not fit", got=(above.shape, below.shape))
    if not (np.isfinite(above).all() and np.isfinite(below).all()) or (below < 0).any() or length < 1:
        raise BadInputError("A ratio cannot be told of these", allowed="finite numbers, denominators not negative")
    if not above.any() or not below.any() or ahead <= 0:
        return None
    weight = 0.5 ** (np.arange(len(above))[::-1] / HALF)
    size = float(weight @ below)
    ratio = float(weight @ above) / size
    missed = above - ratio * below
    runs = len(above) // length
    first = len(above) - runs * length
    lasting = missed[first:].reshape(runs, length).sum(axis=1)
    counts = weight[first:].reshape(runs, length).mean(axis=1)
    under_runs = float(counts @ below[first:].reshape(runs, length).sum(axis=1))
    together = float(counts.sum()) if under_runs > 0 else 0.0
    single = float(weight @ missed**2) / size
    whole = float(counts @ lasting**2) / under_runs if under_runs > 0 else 0.0
    variance = (PRIOR * single + together * whole) / (PRIOR + together)
    wide = float(stdtrit(PRIOR + together - 1, (1 + level) / 2)) * np.sqrt(variance * (1 / ahead + 1 / size))
    wide = max(float(wide), SURE * abs(ratio))
    least = 0.0 if above.min() >= 0 else -np.inf
    return Estimate(ratio, max(ratio - wide, least), ratio + wide, level)


__all__ = ["is_thin", "thin_ratio", "thin_total"]
