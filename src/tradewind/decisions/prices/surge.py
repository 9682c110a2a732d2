"""Surge: what weeks with a campaign of the marketplace are like beside others."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from tradewind.decisions.prices.outlook import DISCOUNTED, busy_weeks
from tradewind.decisions.prices.panel import Panel

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Surge:
    """What a week with a campaign is like.

    Args:
        days: Days of the marketplace's own campaigns, known and to come.
        odds: Odds of a discount in a week with one, for each of a week without.
        times: Pieces sold in such a week at the same prices, for each of another.
    """

    days: frozenset[date]
    odds: float = 1.0
    times: float = 1.0

    def pressed(self, often: Array) -> Array:
        """Return how often a product is discounted in such a week, from how often it is in another."""
        return np.asarray(self.odds * often / (1 - often + self.odds * often))


def surge(panel: Panel, elasticity: Array) -> Surge:
    """Return what weeks with a campaign were like.

    Odds are what products have in common, steadied by a week on and one off in and out of a campaign; a week's sales
    are taken beside what prices explain.

    Args:
        panel: Products by weeks.
        elasticity: [n] of each product, positive.

    Reference:
        Mantel and Haenszel (1959), Journal of the National Cancer Institute 22(4), on odds that strata share.
    """
    campaign = panel.campaign
    if not campaign.any():
        return Surge(panel.campaigns)
    priced = ~np.isnan(panel.off)
    pull = np.where(priced, (1 - np.nan_to_num(panel.off)) ** -elasticity[:, None], 0.0) * panel.stocked
    busy = busy_weeks(np.where(priced, panel.units, 0.0), pull * panel.days / 7)
    known = panel.sellers
    on = known & (np.nan_to_num(panel.off) >= DISCOUNTED)
    a, b = on[:, campaign].sum(axis=1), (known & ~on)[:, campaign].sum(axis=1)
    c, d = on[:, ~campaign].sum(axis=1), (known & ~on)[:, ~campaign].sum(axis=1)
    count = np.maximum(a + b + c + d, 1)
    odds = float(((a * d / count).sum() + 1) / ((b * c / count).sum() + 1))
    return Surge(panel.campaigns, odds, float(busy[campaign].mean() / busy[~campaign].mean()))
