"""Reference: the list price that a week's price counts against, where lists are raised for a while only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

AROUND = 8  # weeks on either side whose list prices tell what is usual
ALIKE = 0.01  # share by which two prices may differ and count as the same
BLOCK = 4096  # products whose windows are held in memory at a time


def rebased(off: Array, listed: Array, now: Array) -> tuple[Array, Array, Flags]:
    """Return shares off what counts as list price, what that is now, and whose was raised for a while only.

    A list price that is raised around a discount, and never asked, makes the discount look deeper than it is. Where
    list prices moved, what counts as that of a week is the median of the weeks around it, or the most that was ever
    asked, if that is less; unless more was asked in the week itself.

    Args:
        off: [n, w] share off the list price of the week; NaN where nothing tells.
        listed: [n, w] mean list price of the week; NaN likewise.
        now: [n] list price on the last day; NaN where there is none.

    Returns:
        [n, w] shares off the list price that counts; [n] that list price now, of the last week that is known; [n]
        whether a list price was raised without being asked.

    Reference:
        Kehoe and Midrigan (2015), Prices are sticky after all, Journal of Monetary Economics 75, on the price that is
        usual in a window around each week.
    """
    most, least = (np.nan_to_num(listed, nan=end) for end in (-np.inf, np.inf))
    moved = np.flatnonzero(most.max(axis=1) > least.min(axis=1) * (1 + ALIKE))
    off, counts, raised = off.copy(), now.copy(), np.zeros(len(off), bool)
    for at in range(0, len(moved), BLOCK):
        rows = moved[at : at + BLOCK]
        was, asked = listed[rows], listed[rows] * (1 - off[rows])
        usual = np.minimum(_usual(was), np.nan_to_num(asked, nan=-np.inf).max(axis=1)[:, None])
        usual = np.where(asked > usual * (1 + ALIKE), was, usual)
        last = np.take_along_axis(usual, _latest(usual)[:, None], axis=1)[:, 0]
        counts[rows] = np.where(np.abs(last / now[rows] - 1) > ALIKE, last, now[rows])
        off[rows] = 1 - asked / usual
        raised[rows] = (np.abs(was / usual - 1) > ALIKE).any(axis=1)
    return off, np.where(np.isnan(now), np.nan, counts), raised


def _usual(listed: Array) -> Array:
    """[n, w] median of the weeks around each."""
    beside = np.full((len(listed), listed.shape[1] + 2 * AROUND), np.nan)
    beside[:, AROUND:-AROUND] = listed
    windows = np.lib.stride_tricks.sliding_window_view(beside, 2 * AROUND + 1, axis=1)
    ranked = np.sort(windows, axis=2)  # what is missing comes last
    count = np.maximum((~np.isnan(windows)).sum(axis=2), 1)
    middle = np.take_along_axis(ranked, ((count - 1) // 2)[:, :, None], axis=2)[:, :, 0]
    return np.asarray(np.where(np.isnan(listed), np.nan, middle))


def _latest(values: Array) -> NDArray[np.int64]:
    """[n] the last column that is known."""
    return np.asarray((~np.isnan(values) * np.arange(values.shape[1])).max(axis=1), np.int64)
