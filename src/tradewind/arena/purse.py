"""Purse: pick one setting of each menu for the most value that budgets allow."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.sparse import csr_matrix, vstack

from tradewind.methods.quiet import quiet
from tradewind.study import Party

Array = NDArray[np.float64]
Ints = NDArray[np.int64]


def pick(menu: Ints, value: Array, cost: Mapping[Party, Array], budgets: Mapping[Party, float]) -> Ints:
    """Return which settings to take: at most one of each menu, within every budget, for the most value.

    The linear program is solved exactly (HiGHS); of a solution at a corner at most one menu for each budget is split,
    and those are filled up with the best setting that still fits.

    Args:
        menu: [n] the menu that each setting belongs to.
        value: [n] what each is worth; what is worth nothing is never taken.
        cost: [n] what each draws from each payer's budget.
        budgets: What each payer may spend; a payer without one pays nothing.

    Returns:
        Numbers of the settings taken, in rising order.
    """
    payers = list(cost)
    limits = np.array([budgets.get(payer, 0.0) for payer in payers])
    draws = np.stack([cost[payer] for payer in payers]) if payers else np.zeros((0, len(value)))
    good = np.flatnonzero((value > 0) & (draws <= limits[:, None] + 1e-9).all(axis=0))
    if not len(good):
        return good
    names, menus = np.unique(menu[good], return_inverse=True)
    count = len(good)
    one_each = csr_matrix((np.ones(count), (menus, np.arange(count))), shape=(len(names), count))
    rows = vstack([one_each, csr_matrix(draws[:, good])], format="csr")
    bounds = np.concatenate([np.ones(len(names)), limits])
    with quiet():
        solved = linprog(-value[good], A_ub=rows, b_ub=bounds, bounds=(0, 1), method="highs")
    if solved.x is None:
        raise RuntimeError(f"the budgets could not be solved: {solved.message}")
    taken = good[solved.x > 1 - 1e-7]
    left = limits - draws[:, taken].sum(axis=1)
    used = set(menu[taken].tolist())
    split = good[(solved.x > 1e-7) & (solved.x <= 1 - 1e-7)]
    for place in split[np.argsort(-value[split])].tolist():
        if menu[place] not in used and (draws[:, place] <= left + 1e-9).all():
            used.add(menu[place])
            left = left - draws[:, place]
            taken = np.append(taken, place)
    return np.sort(taken)
