"""Standout: weeks unlike those beside them, such as one of a mega campaign or of a holiday."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tradewind.errors import BadInputError

TIMES = 1.5  # times the weeks beside it from which a week stands out, or as many times less
LONGEST = 2  # weeks in a row that can stand out: what lasts longer is a level of its own
BEFORE = 3  # weeks before the last ones, the middle of which these are held against

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]


def standout(amounts: ArrayLike) -> Flags:
    """Return which weeks stand out from those before and after them.

    One or two weeks in a row do if each came to more than 1.5 times the larger of the week before and the week after,
    or if that is so of the smaller one and less. In the last weeks a peak counts as one, since nothing tells that it
    goes on: it is held against the middle of the three ordinary weeks before. A low there does not, since nothing
    tells that it is over, nor does what the first weeks came to.

    Args:
        amounts: [w] what each week came to, in weeks of the same length, above nought. Few pieces or orders should be
            steadied by a constant, so that chance does not stand out.

    Returns:
        [w] whether each stands out.

    Raises:
        BadInputError: If amounts are no list of numbers above nought.

    >>> standout([10, 11, 48, 10, 9, 10, 2, 11]).nonzero()[0].tolist()
    [2, 6]
    """
    found = np.asarray(amounts, float)
    if found.ndim != 1 or not (np.isfinite(found) & (found > 0)).all():
        raise BadInputError("What weeks came to is no list of numbers above nought", do="steady weeks of few by a few")
    high = _within(found, 1.0, np.zeros(len(found), bool))
    low = _within(found, -1.0, high)  # what lies between two peaks is no low
    out = high | low
    for first in range(max(len(found) - LONGEST, 1), len(found)):
        before = found[:first][~out[:first]][-BEFORE:]
        if len(before) and found[first:].min() > TIMES * np.median(before):
            out[first:] = True
    return out


def ordinary(out: Flags, count: int) -> NDArray[np.int64]:
    """Return the places of the last `count` weeks, with earlier ones in the place of those that stand out.

    Args:
        out: [w] whether each week stands out.
        count: How many; fewer where there are no more.
    """
    return np.flatnonzero(~out)[-count:]


def _within(amounts: Array, sign: float, beside: Flags) -> Flags:
    """Return weeks that stand out to one side between weeks that lie neither at the ends nor among some others."""
    logs = sign * np.log(amounts)
    out = np.zeros(len(amounts), bool)
    for length in range(1, LONGEST + 1):
        for first in range(1, len(amounts) - length):
            end = first + length
            sides = [first - 1, end]
            if not beside[sides].any() and logs[first:end].min() > np.log(TIMES) + logs[sides].max():
                out[first:end] = True
    return out


__all__ = ["ordinary", "standout"]
