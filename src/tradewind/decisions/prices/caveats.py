"""Caveats of the prices study: what its data cannot tell, and the cheapest test that would."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tradewind.decisions.prices.learnt import Learnt
from tradewind.decisions.prices.response import Response
from tradewind.money import human, several
from tradewind.period import Period
from tradewind.study import Estimate

Ints = NDArray[np.int64]

NARROW = 0.15  # standard error of an elasticity that a test would be planned for
SOLD = 20.0  # pieces below which a product's own prices tell next to nothing
TIMED = 2.0  # standard errors of a slope on prices to come beyond which it is no luck
SHORT = 0.1  # share of product-weeks in which stock ran out, from which the answer to prices may be too small
SAME = 0.05  # of a factor, by which it may differ from one and not be worth words


def caveats(learnt: Learnt, rows: Ints, days: Period, beyond: int) -> tuple[str, ...]:
    """Return what the data cannot tell, and the cheapest test that would.

    Args:
        learnt: What was learnt.
        rows: [n] places of the products in question.
        days: When prices would hold.
        beyond: Number of those that would sell more than is on hand by what is proposed, and more than as usual.
    """
    panel, answer, profit = learnt.panel, learnt.response, learnt.economics
    found = []
    if len(rows) < int(panel.active.sum()):
        found.append(f"Judged: {len(rows):,} of {several(int(panel.active.sum()), 'product')} on sale.")
    few = panel.units[rows].sum(axis=1) < SOLD
    still = np.nan_to_num(np.nanstd(np.where(np.isnan(panel.off), 0.0, panel.off)[rows], axis=1)) < 0.01
    if few.any() or still.any():
        found.append(
            f"{int((few | still).sum()):,} of {several(len(rows), 'product')} sold fewer than {SOLD:.0f} "
            "pieces or never changed in price: the elasticity taken is the category's, no product's own."
        )
    pace = float(panel.units[rows].sum() / max(int((~np.isnan(panel.off[rows])).sum()), 1))
    needed = int(np.ceil(1 / (NARROW**2 * max(pace, 1e-3) * 0.0087)))  # variance of log price of arms 0, 10, 20 % off
    if learnt.bulk >= 1:
        found.append(
            f"{several(round(learnt.bulk), 'piece')} sold in single weeks far beyond what other weeks of the "
            "same products let expect, as one large order may be, are taken not to come again: neither what is to "
            "be sold nor the answer to prices rests on them."
        )
    gone = int((learnt.outlook.gone[rows] > 0).sum())
    if gone:
        found.append(
            f"{several(gone, 'product')} on the list {'has' if gone == 1 else 'have'} sold nothing for longer than "
            "chance would have it: what was sold before is taken to be over, as of what is out of stock or goes by "
            "another id."
        )
    if learnt.odd:
        which = ", ".join(f"from {day}" for day in learnt.odd)
        found.append(
            f"In {several(len(learnt.odd), 'week')} ({which}) all products together sold half as much again "
            "as in the weeks beside, or as far less, as in a mega campaign or a holiday: neither what is to be "
            "sold in other weeks nor the answer to prices rests on that."
        )
    if due := sorted(day for day in learnt.surge.days if day in days):
        times = f"{learnt.surge.times:.1f} times as much" if abs(learnt.surge.times - 1) > SAME else "as much"
        found.append(
            f"From {days.first} to {days.last} the marketplace has a campaign ({', '.join(map(str, due))}), as listed "
            f"or as on the last double days. "
            + (
                f"In weeks with one a discount had {learnt.surge.odds:.1f} times the odds of other weeks and "
                f"{times} was sold at the same prices: gains count on both."
                if panel.campaign.any()
                else "None is known from before, so that its week is promised as any other."
            )
        )
    found += _of_answer(answer, needed)
    if lifted := int(panel.raised[rows].sum()):
        found.append(
            f"The list price of {several(lifted, 'product')} was raised for some weeks without being asked: what was "
            "off then counts against the usual one."
        )
    found.append(
        "What other products lose to a cheaper one is hardly told by prices that move one by one. The "
        "cheapest test: "
        "draw by lot, week by week, in which categories all prices are lowered."
    )
    if not panel.told:
        found.append(
            "Prices are known from sales alone: the price of a week without a sale is taken from the week "
            "before, and "
            "only products that sold in most weeks teach how demand answers."
        )
    if profit.absent:
        found.append(f"Profit is computed without {', '.join(profit.absent)}: the source has none.")
    short = float((panel.short & (panel.units > 0)).sum() / max(int((panel.units > 0).sum()), 1))
    if short > SHORT:
        found.append(
            f"In {human(short, 'share')} of the product-weeks with sales stock ran out: since deep discounts run "
            "out first, how demand answers to prices may be told too small. Cheapest test: a discount on products "
            "with stock for all its days."
        )
    out = int((panel.active & panel.out).sum())
    if out:
        found.append(f"Left out since the last day ended without stock: {several(out, 'product')} on sale.")
    if beyond:
        found.append(
            f"The prices proposed for {several(beyond, 'product')} would sell more than is on hand ({panel.last}): "
            "their gains rest on more coming in, which nothing here tells. The reason of each says what there is."
        )
    unknown = int((panel.active & np.isnan(panel.cost)).sum())
    if unknown:
        found.append(f"Left out since nothing tells a unit cost: {several(unknown, 'product')} on sale.")
    return tuple(found)


def _of_answer(answer: Response, needed: int) -> list[str]:
    """What is not known of how demand answers, and how many product-weeks drawn by lot would tell."""
    found = []
    if answer.randomised is None:
        found.append(
            "No price was drawn by lot, so that sellers' timing may be taken for an answer to price. The "
            "cheapest test: "
            f"draw 0, 10 or 20% off by lot for {several(min(needed, 10**7), 'product-week')}, a week each."
        )
    elif _sd(answer.randomised) > NARROW:
        found.append(
            f"Prices drawn by lot tell the elasticity to ±{1.645 * _sd(answer.randomised):.2f} only; for ±"
            f"{1.645 * NARROW:.2f} draw {several(min(needed, 10**7), 'product-week')} in all."
        )
    if answer.timing is not None and abs(answer.timing.mid) > TIMED * _sd(answer.timing):
        when = "little" if answer.timing.mid < 0 else "much"
        found.append(
            f"Sellers take off more after a week that sold {when}: the next week's price, which can have sold "
            f"nothing, seems to by an elasticity of {answer.timing.mid:.2f}. As much may be in the answer to prices "
            "that sellers set: intervals count on it. Prices drawn by lot have none of it."
        )
    return found


def _sd(estimate: Estimate) -> float:
    return (estimate.high - estimate.low) / 3.29
