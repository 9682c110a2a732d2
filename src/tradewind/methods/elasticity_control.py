"""Instruments beside prices: own and cross elasticities by control functions, with what products tell each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tradewind.methods.elasticity_panel import Clusters, Fit, Slopes
from tradewind.methods.elasticity_prior import ALIKE, Shrunk, shrink_alone

Array = NDArray[np.float64]

LEAST = 0.05  # share of the variation of rivals' prices that lies between shops of one week, to be used


@dataclass
class Beside:
    """Slopes of own prices with instruments beside them (a control function), of products that have both.

    `price` is off by what demand does to the price, κ; `own` is not, and has an error in common with other products'.
    """

    price: Array
    price_var: Array
    own: Array
    own_var: Array
    between: Array
    shared: Array

    def take(self, ids: NDArray[np.int64], other: Beside, told: NDArray[np.bool_]) -> None:
        """Take the slopes of some of another market's products, which have these ids here."""
        for mine, value in zip(vars(self).values(), vars(other).values(), strict=True):
            mine[ids[told]] = value[told]


class Moments(NamedTuple):
    """Logarithms of one market, of which slopes are taken.

    Args:
        solver: Takes slopes.
        clusters: Takes their variances.
        y: Quantities [n].
        x: Columns [n, columns]: own price, rivals' prices and flags of each product, then those in common.
        z: The same with instruments in place of own prices.
        slots: Columns of each product.
        level: Probability with which intervals are meant to hold the truth.
    """

    solver: Slopes
    clusters: Clusters
    y: Array
    x: Array
    z: Array
    slots: int
    level: float

    @property
    def own(self) -> NDArray[np.int64]:
        """Places of the slopes of own prices [products]."""
        return np.arange(self.solver.products) * self.slots

    def variances(self, fit: Fit, at: NDArray[np.int64]) -> Array:
        """Return the variances of some slopes of a fit."""
        return self.clusters.variances(fit, at, self.level)


def passed(of: Moments, beside: Fit, told: NDArray[np.bool_]) -> Beside | None:
    """Return the slopes of own prices [products] of a market from the fit with instruments beside them, where it tells.

    None where it is not known of every product that its price follows its instrument.

    Let p = πz + v. Beside z the slope of p is a = ε + κ and that of z is −κπ, κ being how demand shows in the
    price, so that ε is the slope of p beside p − πz. The better π is known, the smaller its error: products are
    shrunk towards each other in π over its usual size, and what is then not known of π is added, in part as an
    error in common. How the errors of a and ε go together follows from the variances of both and of κ.
    """
    solver, _, y, x, z, slots, _ = of
    at = np.arange(solver.products) * (slots + 1)
    given = np.column_stack([z[:, :1], x[:, 1:slots], z[:, slots:]])
    first = solver(x[:, 0], given, given, slots)
    follows = np.where(told, first.slope[of.own], np.nan)
    usual = float(np.nanmedian(np.abs(follows)))
    pi = shrink_alone(follows / usual, of.variances(first, of.own) / usual**2, alike=ALIKE)
    if (np.abs(pi.mid) < 2 * pi.sd)[told].any():
        return None
    rest = x[:, 0] - usual * pi.mid[solver.product] * z[:, 0]
    wide = with_column(x, z, slots, rest, told[solver.product])
    fit = solver(y, wide, wide, slots + 1)
    price_var, own_var, shown_var = (of.variances(*one) for one in ((beside, at), (fit, at), (fit, at + slots)))
    shown = shrink_alone(np.where(told, fit.slope[at + slots], np.nan), shown_var)
    push, (inside, common) = shown.mid / pi.mid, _parted(pi)
    alone = beside.variance[at], fit.variance[at], fit.variance[at + slots]
    like = (alone[0] + alone[1] - alone[2]) / 2 / np.sqrt(alone[0] * alone[1])
    return Beside(
        beside.slope[at], price_var, fit.slope[at], own_var + push**2 * inside,
        like * np.sqrt(price_var * own_var), push * common,
    )  # fmt: skip


def answers(of: Moments, crosses: int, pulled: Array) -> Array:
    """Return what is to be added to slopes of rivals' prices, its variance, its shared error: [3, products, crosses].

    Once weeks are taken out, in which both prices take part, rivals' prices move with what demand does to the own
    price; the instrument beside that holds it. Where the own price answers rivals' prices, by δ beside what its
    instrument does (π), the control function with the slope −κπ of the instrument holds κ(p − πz) instead of
    κ(p − πz − δw): its slopes of w lack κδ. Rivals' prices of one week differ between shops without the own price,
    so that δ is told apart from the weeks in which both take part. Products are shrunk towards each other, so that
    where nobody answers nothing is added. Then most of what is not known of δ is one error of all products, which
    does not average out over them.
    """
    solver, clusters, _, x, z, slots, _ = of
    out = np.zeros((3, solver.products, crosses))
    if not crosses:
        return out
    given, apart = x.copy(), x.copy()
    given[:, 0] = apart[:, 0] = z[:, 0]
    together = solver.product * solver.weeks + solver.week
    count = np.bincount(together)
    for k in range(1, 1 + crosses):
        inside = x[:, k] - (np.bincount(together, x[:, k]) / np.maximum(count, 1))[together]
        whole = float(np.var(x[:, k]))
        apart[:, k] = inside if float(np.var(inside)) > LEAST * whole else x[:, k]
    first = solver(x[:, 0], given, apart, slots)
    pull = np.nan_to_num(-pulled / first.slope[of.own])
    for k in range(crosses):
        at = of.own + 1 + k
        slope = np.where(pull != 0, first.slope[at], np.nan)
        if np.isnan(slope).all():
            continue
        var = of.variances(first, at)
        shared = clusters.shared(first, at[~np.isnan(slope)], var[~np.isnan(slope)])
        shrunk = shrink_alone(slope, np.maximum(var - shared**2, 0.1 * var), shared, ALIKE)
        own, common = _parted(shrunk)
        out[:, :, k] = pull * shrunk.mid, pull**2 * own, pull * common
    return out


def with_column(x: Array, z: Array, slots: int, column: Array, told: NDArray[np.bool_]) -> Array:
    """Return columns with one more in each product, and the instruments of columns in common that have some."""
    more = [k for k in range(slots, x.shape[1]) if not np.array_equal(x[:, k], z[:, k])]
    return np.column_stack([x[:, :slots], np.where(told, column, 0.0), x[:, slots:], z[:, more]])


def free(solver: Slopes, price: Array, instrument: Array) -> Array:
    """Return the share [products] of each price's variation that its instrument leaves."""
    p, q = solver.purge(np.column_stack([price, instrument])).T
    both, mass, whole = (np.bincount(solver.product, values) for values in (p * q, q**2, p**2))
    return np.asarray(1 - both**2 / np.maximum(mass * whole, 1e-300))


def _parted(of: Shrunk) -> tuple[Array, Array]:
    """Return variances of each product's own and standard deviations of one error in common, none in a single one."""
    common = of.together if len(of.mid) > 1 else np.zeros(1)
    return np.maximum(of.sd**2 - common**2, 0), common
