"""Instruments of own and of rivals' prices: in their place, and beside them with what products tell each other."""

from __future__ import annotations

from dataclasses import dataclass, replace
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


class _Ends(NamedTuple):
    """Columns that have instruments: those of products first, then those in common.

    Args:
        whose: [ends] product of each; below 0 for those in common, another number for each.
        column: [ends] column of each.
        place: [ends] its place among slopes.
        beside: [ends] place of its instrument among slopes where instruments stand behind the columns of a product.
    """

    whose: NDArray[np.int64]
    column: NDArray[np.int64]
    place: NDArray[np.int64]
    beside: NDArray[np.int64]


def _ends(of: Moments, has: list[NDArray[np.bool_]]) -> _Ends:
    products, slots, wide = of.solver.products, of.slots, of.slots + len(has)
    common = np.array(of.common, dtype=np.int64)
    whose = np.concatenate([*(np.flatnonzero(each) for each in has), -1 - np.arange(len(common))])
    column = np.concatenate([*(np.full(each.sum(), k) for k, each in enumerate(has)), common])
    last = products * wide + of.x.shape[1] - slots
    place = np.where(whose < 0, products * slots + column - slots, whose * slots + column)
    return _Ends(whose, column, place, np.where(whose < 0, last - 1 - whose, whose * wide + slots + column))


def passed(of: Moments, fits: tuple[Fit, Fit], has: list[NDArray[np.bool_]]) -> Beside | None:
    """Return the slopes of own prices [products] of a market where it tells.

    Args:
        of: The market.
        fits: Its fits with instruments beside prices, behind the columns of a product, and in their place.
        has: [products] which have instruments: of the own price, then of rivals' where they have some.

    Returns:
        The slopes; None where it is not known of every product that its price follows its instrument.

    Let Γ be the slopes of all columns x that have instruments on all these instruments z. Beside z the slopes of x are
    ε + κ and those of z are −Γκ, κ being how demand shows in x, so that ε are the slopes of x beside x − Γz. With Γ as
    estimated they are those of two-stage least squares. The better Γ is known the smaller their error: products are
    shrunk towards each other in how prices follow their instruments. What is then not known of Γ moves ε by Γ⁻¹ dΓ κ.
    How the errors of ε + κ and ε go together follows from the variances of both and of κ.
    """
    solver, _, y, x, z, slots, _ = of
    (beside, clean), told, more = fits, has[0], len(has)
    if not told.any():
        return None
    first = solver(x[:, 0], z, z, slots)
    follows = np.where(told, first.slope[of.own], np.nan)
    usual = float(np.nanmedian(np.abs(follows)))
    pi = shrink_alone(follows / usual, of.variances(first, of.own) / usual**2, alike=ALIKE)
    ends = _ends(of, has)
    gamma, shows = clean.first[np.ix_(ends.place, ends.place)], beside.slope[ends.beside]
    if np.isnan([*gamma.ravel(), *shows]).any() or (np.abs(pi.mid) < 2 * pi.sd)[told].any():
        return None
    own = np.arange(told.sum())
    gamma[own, own] += (usual * pi.mid - follows)[told]
    kappa = np.asarray(-np.linalg.solve(gamma, shows), float)
    # Instruments of the same product are taken off a column; weeks in common bring in a little of all others.
    of_product = ends.whose >= 0
    inside = (ends.whose[:, None] == ends.whose) & of_product
    said = np.zeros((more, more, solver.products))
    f, e = np.nonzero(inside)
    said[ends.column[f], ends.column[e], ends.whose[e]] = gamma[f, e]
    left = x[:, :more] - np.einsum("nm,mkn->nk", z[:, :more], said[:, :, solver.product])
    left = np.where(np.column_stack(has)[solver.product], left, 0.0)
    common = [solver(x[:, k], z, z, slots).residual for k in of.common]
    wide = np.column_stack([x[:, :slots], left, x[:, slots:], *common])
    from_others = _total(of, ends, z, np.where(inside | ~of_product, 0.0, gamma) @ kappa)
    fit = solver(y + from_others, wide, wide, slots + more)
    at = np.arange(solver.products) * (slots + more)
    price_var, (own_var, own_common) = of.variances(beside, at), of.parted(fit, at, told)
    alone = beside.variance[at], fit.variance[at], fit.variance[at + slots]
    like = (alone[0] + alone[1] - alone[2]) / 2 / np.sqrt(alone[0] * alone[1])
    for k, each in enumerate(has):
        slope = np.where(each, fit.slope[at + slots + k], np.nan)
        kappa[of_product & (ends.column == k)] = shrink_alone(slope, of.variances(fit, at + slots + k)).mid[each]
    if common:
        last = np.arange(len(fit.slope) - len(common), len(fit.slope))
        sure = fit.slope[last] ** 2 - np.diag(of.clusters.covariance(fit, last))
        kappa[~of_product] = np.sign(fit.slope[last]) * np.sqrt(np.maximum(sure, 0.0))
    first_var, first_common = _unknown(of, ends, (first, pi, usual), gamma, kappa, told)
    return Beside(
        beside.slope[at], price_var, fit.slope[at], own_var + first_var,
        like * np.sqrt(price_var * own_var), np.hypot(own_common, first_common),
    )  # fmt: skip


def _unknown(
    of: Moments, ends: _Ends, follows: tuple[Fit, Shrunk, float], gamma: Array, kappa: Array, told: NDArray[np.bool_]
) -> tuple[Array, Array]:
    """Return variances of slopes of own prices [products] from what is not known of Γ, and their error in common.

    What moves slopes is Γ⁻¹ times the error of the slopes of κx on instruments. Where products are shrunk towards each
    other a product keeps a share of its own error and takes the mean of all for the rest.
    """
    (first, pi, usual), own = follows, np.arange(told.sum())
    var = of.variances(first, of.own)[told]
    keeps = np.clip(_parted(pi)[0][told] * usual**2 / var, 0.0, 1.0)
    every = of.solver(_total(of, ends, of.x, kappa), of.z, of.z, of.slots)
    inverse = np.linalg.inv(gamma)[own]

    def moved(all_of: Array, mine: Array) -> Array:
        parts, mine = all_of[:, ends.place], mine[:, of.own[told]]
        parts[:, own] -= (1 - keeps) * kappa[own] * (mine - mine.mean(axis=1, keepdims=True))
        return _filled(parts @ inverse.T, told)

    error = replace(
        every, slope=np.where(told, 0.0, np.nan), week=moved(every.week, first.week),
        unit=moved(every.unit, first.unit), weeks=every.weeks[of.own], units=every.units[of.own],
        variance=_filled((inverse**2 @ every.variance[ends.place])[None], told)[0],
    )  # fmt: skip
    of_rows, common = of.parted(error, np.arange(len(told)), told)
    of_shrinking = (np.diag(inverse) * kappa[own]) ** 2 * keeps * (1 - keeps) * var
    return of_rows + _filled(of_shrinking[None], told)[0], common


def _total(of: Moments, ends: _Ends, values: Array, weight: Array) -> Array:
    """Return the sum of columns [n], each with the weight [ends] of its end."""
    out = np.zeros(len(values))
    for k in np.unique(ends.column):
        mine = ends.column == k
        if (common := mine & (ends.whose < 0)).any():
            out += values[:, k] * weight[common]
        else:
            of_product = np.zeros(of.solver.products)
            of_product[ends.whose[mine]] = weight[mine]
            out += of_product[of.solver.product] * values[:, k]
    return out


def _filled(values: Array, told: NDArray[np.bool_]) -> Array:
    """Return values [n, told products] of all products, NaN where they are not told."""
    out = np.full((len(values), len(told)), np.nan)
    out[:, told] = values
    return out


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
