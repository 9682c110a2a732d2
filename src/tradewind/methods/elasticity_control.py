"""Instruments of own and of rivals' prices: in their place, and beside them with what products tell each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tradewind.methods.elasticity_panel import Clusters, Fit, Slopes
from tradewind.methods.elasticity_prior import ALIKE, Shrunk, shrink_alone
from tradewind.methods.elasticity_strength import USABLE, strength

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

    @property
    def common(self) -> list[int]:
        """Columns with one slope for all products that have instruments."""
        return [k for k in range(self.slots, self.x.shape[1]) if not np.array_equal(self.x[:, k], self.z[:, k])]

    def variances(self, fit: Fit, at: NDArray[np.int64]) -> Array:
        """Return the variances of some slopes of a fit."""
        return self.clusters.variances(fit, at, self.level)

    def parted(self, fit: Fit, at: NDArray[np.int64], told: NDArray[np.bool_]) -> tuple[Array, Array]:
        """Return variances of slopes, and beside them the standard deviation of an error that the told ones share."""
        var = self.variances(fit, at)
        common = np.minimum(self.clusters.shared(fit, at[told], var[told]), np.sqrt(0.9 * var))
        return var - common**2, common


def rivalled(of: Moments, others: Array, own: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], Fit | None]:
    """Return which products' rivals have an instrument that is told apart, and the fit with both instruments beside.

    The demand of a shop's week raises all its prices: rivals' prices then go together with what is not known of demand,
    and need an instrument as the own price does. The mean of the other products' instruments is one wherever they are.
    It is used where it moves rivals' prices enough beside what the own instrument moves, and where rows tell both
    prices and both instruments apart (the price of other shops of the same rows as an instrument does not: with the
    effects of weeks taken out, both instruments together are the prices again).

    Args:
        of: The market, rivals' prices the second column.
        others: [n] the mean instrument of the other products.
        own: [products] which have an instrument of their own.

    Returns:
        [products] whether they are told, and the fit, its columns those of a product, its own instrument, and that of
        its rivals; None where nobody is told.
    """
    solver, _, y, x, z, slots, level = of
    both = z.copy()
    both[:, 1] = others
    fit = solver(y, x, both, slots)
    told = own.copy()
    for order in ([1, 0], [0, 1]):
        turned = [*order, *range(2, x.shape[1])]
        force = strength(solver, fit, (x[:, turned], both[:, turned]), slots, level)[0]
        # Where it says nothing in most products, those where it seems to are few of many, by chance.
        told &= (force >= USABLE) & (np.median(force[own]) >= USABLE if own.any() else False)
    if not told.any():
        return told, None
    where = told[solver.product]
    fit = solver(y, *2 * (with_columns(of, np.column_stack([z[:, 0], np.where(where, others, 0.0)]), own),), slots + 2)
    apart = ~np.isnan(fit.slope[np.arange(solver.products) * (slots + 2)])
    return (told, fit) if apart[told].all() else (np.zeros_like(told), None)


def rest(of: Moments, others: Array, told: NDArray[np.bool_]) -> Array:
    """Return rivals' prices less what both instruments say of them [n], 0 where they are not told.

    Beside it rivals' prices are free of demand, as the own price is beside p − πz.
    """
    solver, _, _, x, z, slots, _ = of
    given = z.copy()
    given[:, 1] = others
    return np.where(told[solver.product], solver(x[:, 1], given, given, slots).residual, 0.0)


def passed(of: Moments, beside: Fit, at: NDArray[np.int64], told: NDArray[np.bool_]) -> Beside | None:
    """Return the slopes of own prices [products] of a market where it tells.

    Args:
        of: The market.
        beside: Its fit with instruments beside prices.
        at: [products] places of the slopes of own prices in it.
        told: [products] which have instruments.

    Returns:
        The slopes; None where it is not known of every product that its price follows its instrument.

    Let p = πz + v. Beside z the slope of p is a = ε + κ and that of z is −κπ, κ being how demand shows in the
    price, so that ε is the slope of p beside p − πz. The better π is known, the smaller its error: products are
    shrunk towards each other in π over its usual size, and what is then not known of π is added, in part as an
    error in common. How the errors of a and ε go together follows from the variances of both and of κ.
    """
    solver, _, y, x, z, slots, _ = of
    given = np.column_stack([z[:, :1], x[:, 1:slots], z[:, slots:]])
    first = solver(x[:, 0], given, given, slots)
    follows = np.where(told, first.slope[of.own], np.nan)
    usual = float(np.nanmedian(np.abs(follows)))
    pi = shrink_alone(follows / usual, of.variances(first, of.own) / usual**2, alike=ALIKE)
    if (np.abs(pi.mid) < 2 * pi.sd)[told].any():
        return None
    # Less its week: products show demand in different measure, and what weeks do to all prices is none of it.
    free_of_weeks = solver.purge(np.column_stack([x[:, 0], z[:, 0]]))
    moved = free_of_weeks[:, 0] - usual * pi.mid[solver.product] * free_of_weeks[:, 1]
    firsts = [solver(x[:, k], given, given, slots) for k in of.common]
    left = [one.residual for one in firsts]
    wide = np.column_stack([x[:, :slots], np.where(told[solver.product], moved, 0.0), x[:, slots:], *left])
    fit = solver(y, wide, wide, slots + 1)
    here = np.arange(solver.products) * (slots + 1)
    price_var, shown_var = of.variances(beside, at), of.variances(fit, here + slots)
    own_var, own_common = of.parted(fit, here, told)
    shown = shrink_alone(np.where(told, fit.slope[here + slots], np.nan), shown_var)
    push, (inside, together) = shown.mid / pi.mid, _parted(pi)
    shared = np.hypot(push * together, own_common)
    for n, (k, one) in enumerate(zip(of.common, firsts, strict=True)):
        place = len(fit.slope) - len(firsts) + n
        kappa = fit.slope[place] ** 2 - float(of.clusters.covariance(fit, np.array([place]))[0, 0])
        # An error of what the instruments say of the column moves the slope of the own price along with it.
        along = solver(z[:, k], wide, wide, slots + 1).slope[here]
        at_z = len(one.slope) - x.shape[1] + k
        moves = [(along * way[:, [at_z]] + way[:, of.own] / (usual * pi.mid)) for way in (one.week, one.unit)]
        wider = max(moves, key=lambda way: float((way**2).sum()))
        same = wider.mean(axis=1, keepdims=True)  # what is left of it is each product's own
        shared = np.hypot(shared, np.sqrt(max(kappa, 0.0) * float((same**2).sum())))
        own_var = own_var + max(kappa, 0.0) * ((wider - same) ** 2).sum(axis=0)
    alone = beside.variance[at], fit.variance[here], fit.variance[here + slots]
    like = (alone[0] + alone[1] - alone[2]) / 2 / np.sqrt(alone[0] * alone[1])
    return Beside(
        beside.slope[at], price_var, fit.slope[here], own_var + push**2 * inside,
        like * np.sqrt(price_var * own_var), shared,
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


def with_columns(of: Moments, columns: Array, told: NDArray[np.bool_]) -> Array:
    """Return the market's columns with more [n, k] in each product that is told, and instruments of common ones."""
    more = of.z[:, of.common]
    mine = columns * told[of.solver.product][:, None]
    return np.column_stack([of.x[:, : of.slots], mine, of.x[:, of.slots :], more])


def free(solver: Slopes, price: Array, instrument: Array) -> Array:
    """Return the share [products] of each price's variation that its instrument leaves."""
    p, q = solver.purge(np.column_stack([price, instrument])).T
    both, mass, whole = (np.bincount(solver.product, values) for values in (p * q, q**2, p**2))
    return np.asarray(1 - both**2 / np.maximum(mass * whole, 1e-300))


def _parted(of: Shrunk) -> tuple[Array, Array]:
    """Return variances of each product's own and standard deviations of one error in common, none in a single one."""
    common = of.together if len(of.mid) > 1 else np.zeros(1)
    return np.maximum(of.sd**2 - common**2, 0), common
