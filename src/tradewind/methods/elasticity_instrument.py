"""Instruments of one market: those of own prices, several joined to one, and those of rivals' prices."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tradewind.methods.crossfit import Crossfit
from tradewind.methods.elasticity_panel import Slopes
from tradewind.methods.elasticity_rows import Checked, rivals

Array = NDArray[np.float64]
Codes = NDArray[np.int64]

SAME = 1e-5  # share of a price's variation that its instrument leaves, below which they are the same


def instruments(
    data: Checked, rows: Codes, solver: Slopes, crossfit: Crossfit, rivals_too: bool
) -> tuple[Array | None, Array | None, NDArray[np.bool_], NDArray[np.bool_]]:
    """Return instruments of own and of rivals' prices, which products have a random one, and which have any.

    That of the own price [n] stands in place of it, that of rivals' is the mean of the other products'. Each is
    None where there is none.
    """
    price, product = data.price[rows], solver.product
    drawn_row = data.randomised[rows]
    out, none = price.copy(), np.zeros(solver.products, bool)
    has, theirs = none.copy(), np.zeros(len(rows))
    if data.instruments.shape[1]:
        given = data.instruments[rows]
        of_others = given[:, ~_of_these_rows(given, price, solver)]
        given, of_others = (_one(part, price, solver, crossfit) for part in (given, of_others))
        # Less the effects of weeks an instrument seems to move where it stands still.
        moves = _moved(given[:, 0], solver), solver.purge(given)[:, 0]
        mass = np.minimum(*(np.bincount(product, values**2) for values in moves))
        has = mass > 1e-9 * np.maximum(np.bincount(product, given[:, 0] ** 2), 1e-300)
        out = np.where(has[product], given[:, 0], out)
        theirs = np.where(has[product], of_others.sum(axis=1), theirs)
    drawn = none
    if drawn_row.any():
        size = np.bincount(solver.unit, drawn_row)
        mean = np.bincount(solver.unit, drawn_row * price) / np.maximum(size, 1)
        chance = drawn_row * (price - mean[solver.unit])
        drawn = np.bincount(product, chance**2) > 1e-9 * np.bincount(product, price**2)
        out, theirs = (np.where(drawn[product], chance, values) for values in (out, theirs))
        has = has | drawn
    moved = _moved(theirs, solver)
    others = None
    if rivals_too and data.cross.shape[1] == 1 and moved.any():
        others = rivals(moved, data.week[rows], data.store[rows], data.group[rows])
    return (out if has.any() else None), others, drawn, has


def _moved(values: Array, solver: Slopes) -> Array:
    return np.asarray(values - (np.bincount(solver.unit, values) / np.bincount(solver.unit))[solver.unit])


def folds_of(crossfit: Crossfit, week: Codes) -> Any:
    """Return folds of whole weeks; None where there are too few."""
    if int(week.max()) + 1 < crossfit.folds:
        return None
    return crossfit.split(len(week), week)


def _one(given: Array, price: Array, solver: Slopes, crossfit: Crossfit) -> Array:
    """Return one instrument of several [n, 1]: what they say of the price, by models that never saw the week."""
    left = solver.purge(np.column_stack([price, given]))
    mass = (left**2).sum(axis=0)
    # The price itself among them says nothing of what else moved it.
    other = (left[:, 1:].T @ left[:, 0]) ** 2 < (1 - SAME) * mass[0] * mass[1:]
    folds = folds_of(crossfit, solver.week) if given.shape[1] > 1 else None
    if folds is None or not other.any():
        return given
    return np.asarray(crossfit.mean(folds, left[:, 1:][:, other], left[:, 0]).values[0][:, None])


def _of_these_rows(given: Array, price: Array, solver: Slopes) -> NDArray[np.bool_]:
    """Return which instruments are prices of the same product in the other shops of the same rows.

    Each is one of the own price. But with the effects of weeks taken out, means of them over the other products
    make up rivals' prices again, with all that demand does to them.
    """
    together = solver.product * solver.weeks + solver.week
    count = np.maximum(np.bincount(together), 1)
    p, *columns = (v - (np.bincount(together, v) / count)[together] for v in (price, *given.T))
    mass = float(p @ p)
    return np.array([float(c @ p) ** 2 > (1 - SAME) * mass * float(c @ c) > 0 for c in columns], bool)
