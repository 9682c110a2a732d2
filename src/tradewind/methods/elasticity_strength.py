"""Strength of instruments: the effective F of each product's, and the interval that holds however weak it is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tradewind.methods.elasticity_panel import FEWEST_CLUSTERS, Fit, Slopes

Array = NDArray[np.float64]

STRONG = 10.0  # effective F from which an instrument counts as strong
USABLE = 4.0  # effective F below which an instrument's estimate is not used at all


def strength(
    solver: Slopes, fit: Fit, columns: tuple[Array, Array], slots: int, critical: float
) -> tuple[Array, Array]:
    """Return the effective F [products] of each one's instrument, and the interval [products, 2] that holds anyway.

    Args:
        solver: Takes slopes.
        fit: The fit by instruments.
        columns: Columns [n, columns], own price first, and the same with the instrument in its place.
        slots: Columns of each product.
        critical: What the statistic of Anderson and Rubin stays below in an interval.

    With one instrument the effective F of Montiel Olea and Pflueger is the robust F of the first stage.
    """
    (x, z), product = columns, solver.product
    price, instrument = solver.purge(np.column_stack([x[:, 0], z[:, 0]])).T
    beside = solver.purge(x[:, 1:])
    exog = solver.purge(z[:, 1:])
    force_of, weak = np.zeros(solver.products), np.full((solver.products, 2), np.nan)
    order = np.argsort(product, kind="stable")
    ends = np.cumsum(np.bincount(product, minlength=solver.products))
    for j, at in enumerate(np.split(order, ends[:-1])):
        p, q, w, c = price[at], instrument[at], beside[at, :1], exog[at, :1]
        e = beside[at]
        if w.shape[1] and not np.array_equal(w, c):
            # Another price has an instrument too: what is left of the fitted own price beside that of the other.
            e = np.delete(e, 0, axis=1)
            if e.shape[1]:
                p, q, w, c = (v - e @ np.linalg.lstsq(e, v, rcond=None)[0] for v in (p, q, w, c))
            both = np.column_stack([q, c])
            fit_p, fit_w = (both @ np.linalg.lstsq(both, v, rcond=None)[0] for v in (p, w[:, 0]))
            share = float(fit_w @ p) / max(float(fit_w @ fit_w), 1e-300)
            p, q = p - share * w[:, 0], fit_p - share * fit_w
        elif e.shape[1]:
            p, q = (v - e @ np.linalg.lstsq(e, v, rcond=None)[0] for v in (p, q))
        mass = float(q @ q)
        if mass <= 0:
            continue
        first = float(q @ p)
        v = p - q * (first / mass)
        for code in (solver.week[at], solver.unit[at], np.arange(len(at))):
            names, cluster = np.unique(code, return_inverse=True)
            # Single rows count only where there are too few weeks and shops.
            if len(names) < FEWEST_CLUSTERS or (force_of[j] and len(names) == len(at)):
                continue
            b = np.asarray(np.bincount(cluster, q * v), float)
            a = np.asarray(np.bincount(cluster, q * fit.residual[at]), float)
            factor = len(names) / (len(names) - 1)
            force = first**2 / max(float(b @ b) * factor, 1e-300)
            if force_of[j] and force >= force_of[j]:
                continue
            force_of[j] = force
            weak[j] = fit.slope[j * slots] - _anderson_rubin(first, a, b, critical * factor)[::-1]
    return force_of, weak


def _anderson_rubin(first: float, a: Array, b: Array, critical: float) -> Array:
    """Return how far the estimate may lie above the slope: all Δ with (Δ first)² ≤ critical Σ (a + Δ b)².

    Reference:
        Anderson and Rubin (1949), Estimation of the parameters of a single equation, Annals of Mathematical
        Statistics 20(1); Andrews, Stock and Sun (2019), Weak instruments in instrumental variables regression, Annual
        Review of Economics 11, section 5.1.
    """
    square, half, rest = first**2 - critical * float(b @ b), critical * float(a @ b), critical * float(a @ a)
    if square <= 0:
        return np.array([-np.inf, np.inf])
    root = np.sqrt(half**2 + square * rest)
    return np.array([(half - root) / square, (half + root) / square])
