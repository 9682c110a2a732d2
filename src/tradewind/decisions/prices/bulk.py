"""Bulk: what was sold at once and does not come again: hundreds of pieces to one buyer, a mega campaign's week."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tradewind.decisions.prices.outlook import busy_weeks
from tradewind.decisions.prices.panel import Panel
from tradewind.decisions.prices.response import USUAL
from tradewind.methods.standout import standout

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

TIMES, FEW = 3.0, 10.0
"""A week counts for at most so many times what other weeks let expect in it, and so many pieces."""
ROUNDS = 4  # of what is expected and what exceeds it, which rest on each other


def without_bulk(panel: Panel) -> Panel:
    """Return a panel in which no week sells beyond what the weeks beside it, or all others of the product, let expect.

    Who takes hundreds of pieces once does not come again every week: neither what is to come nor how demand answers
    to the price of that week is told by it. What sells so for two weeks in a row may go on, and stays. Expected is what
    sold per week, at the price of the week by the usual elasticity, as far as all products sold more in that week.

    Args:
        panel: Products by weeks.
    """
    known = ~np.isnan(panel.off)
    pull = np.where(known, (1 - np.nan_to_num(panel.off)) ** -USUAL, 0.0) * panel.stocked
    units, busy = np.where(known, panel.units, 0.0), np.ones(panel.units.shape[1])
    for _ in range(ROUNDS):
        units = np.minimum(units, FEW + TIMES * _elsewhere(units, pull * busy))
        busy = busy_weeks(units, pull)
    return replace(panel, units=np.where(known, units, panel.units))


def without_odd_weeks(panel: Panel) -> tuple[Panel, Flags]:
    """Return a panel without prices of weeks in which all products sold unlike the weeks beside, and which these are.

    In a mega campaign's or a holiday's week not prices alone sell: who cuts them is shown more as well. And it does not
    come again. What was sold at no known price teaches nothing.

    Args:
        panel: Products by weeks.
    """
    known = ~np.isnan(panel.off)
    pull = np.where(known, (1 - np.nan_to_num(panel.off)) ** -USUAL, 0.0) * panel.stocked
    odd = standout(busy_weeks(np.where(known, panel.units, 0.0), pull * panel.days / 7))
    return replace(panel, off=np.where(odd, np.nan, panel.off)), odd


def _elsewhere(units: Array, exposure: Array) -> Array:
    """[n, w] what the weeks beside each, or all others, let expect in it, whichever is more."""
    rate = np.where(exposure > 0, units / np.where(exposure > 0, exposure, 1.0), 0.0)
    sold = units.sum(axis=1, keepdims=True) - units
    seen = exposure.sum(axis=1, keepdims=True) - exposure
    found = np.where(seen > 1e-9, sold / np.maximum(seen, 1e-9), 0.0)
    found[:, 1:] = np.maximum(found[:, 1:], rate[:, :-1])
    found[:, :-1] = np.maximum(found[:, :-1], rate[:, 1:])
    return np.asarray(found * exposure)


__all__ = ["without_bulk", "without_odd_weeks"]
