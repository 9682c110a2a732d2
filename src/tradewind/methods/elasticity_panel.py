"""Slopes of each product in a panel, with the levels of every product in every shop and the weeks taken out exactly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse
from scipy.special import ndtri, stdtrit

from tradewind.methods.elasticity_prior import moderated

Array = NDArray[np.float64]
Codes = NDArray[np.int64]

TOLERANCE = 1e-7  # share of its own variation that a column must keep beside the others
FEWEST_CLUSTERS = 8  # below it, weeks or shops cannot tell how uncertain a slope is
FLOOR = 1e-9  # share of its squares that a column must vary by at all


@dataclass(frozen=True)
class Fit:
    """Slopes that solve the moments, and what their uncertainty is made of.

    Args:
        slope: [columns] slopes, NaN where the rows do not tell them.
        variance: [columns] their variances, were rows independent and of one variance within a product.
        week: [weeks, columns] influence of each week.
        unit: [units, columns] influence of each product in each shop.
        weeks: [columns] number of weeks of equal weight that would tell as much.
        units: [columns] the same of products in shops.
        residual: [n] what is left of each row.
        freedom: Rows less everything that was fitted.
        first: [columns, columns] slopes of every value (the second) on all instruments; NaN where there are none.
    """

    slope: Array
    variance: Array
    week: Array
    unit: Array
    weeks: Array
    units: Array
    residual: Array
    freedom: float
    first: Array


class Slopes:
    """Solves Σ z (y − xθ − level − week) = 0 for slopes of each product and slopes in common.

    Columns come in slots: `own` values have a slope of their own in every product, `common` ones a single slope. The
    level of each unit (a product in a shop) is taken out of every value, and week effects by their exact projection,
    so that the slopes are those of the regression with all dummy variables written out.

    Args:
        product: [n] product of each row, from 0.
        unit: [n] unit of each row, from 0; a unit lies in one product.
        week: [n] week of each row, from 0.
        effects: Whether weeks have effects.

    Reference:
        Correia, Guimarães and Zylkin (2020), Fast Poisson estimation with high-dimensional fixed effects, The Stata
        Journal 20(1), section 3, for weights; Frisch and Waugh (1933) for the projection.
    """

    def __init__(self, product: Codes, unit: Codes, week: Codes, effects: bool):
        self.product, self.unit, self.week, self.effects = product, unit, week, effects
        self.products, self.units, self.weeks = (int(code.max()) + 1 for code in (product, unit, week))

    def __call__(self, y: Array, x: Array, z: Array, slots: int, weight: Array | None = None) -> Fit:
        """Return the fit.

        Args:
            y: [n] outcomes.
            x: [n, slots + common] values.
            z: [n, slots + common] their instruments; the values themselves where they are exogenous.
            slots: Number of the leading columns that have a slope in each product.
            weight: [n] weights, all 1 where left out.
        """
        n = len(y)
        w = np.ones(n) if weight is None else weight
        level = self._within(w)
        y0, x0, z0 = level(y[:, None])[:, 0], level(x), level(z)
        wide_x, wide_z = self._wide(x0, slots), self._wide(z0, slots)
        weighted_z = wide_z.multiply(w[:, None]).tocsr()
        bread = (weighted_z.T @ wide_x).toarray()
        squares = np.asarray(wide_x.multiply(w[:, None]).multiply(wide_x).sum(axis=0)).ravel()
        meat = (weighted_z.T @ wide_z).toarray() if z is not x else bread
        right = weighted_z.T @ y0
        spread = sparse.csr_matrix((np.ones(n), (np.arange(n), self.week)), shape=(n, self.weeks))
        mass = sparse.csr_matrix((w, (self.unit, self.week)), shape=(self.units, self.weeks)).tocsr()
        of_unit = np.asarray(mass.sum(axis=1)).ravel()
        inverse, rank = self._week_inverse(mass, of_unit)
        by_x = (spread.T @ wide_x.multiply(w[:, None]).tocsr()).toarray()
        by_z = (spread.T @ weighted_z).toarray() if z is not x else by_x
        by_y = spread.T @ (w * y0)
        if self.effects:
            bread = bread - by_z.T @ inverse @ by_x
            meat = meat - by_z.T @ inverse @ by_z
            own = squares - np.einsum("tp,ts,sp->p", by_x, inverse, by_x)
            right = right - by_z.T @ (inverse @ by_y)
        else:
            own = squares
        raw = self._raw(x, slots, w)
        kept = self._kept(bread, meat, own, raw, symmetric=z is x)
        slope = np.full(bread.shape[0], np.nan)
        solved = linalg.inv(bread[np.ix_(kept, kept)]) if len(kept) else np.zeros((0, 0))
        slope[kept] = solved @ right[kept]
        first = np.full(bread.shape, np.nan)
        if z is not x:
            first[np.ix_(kept, kept)] = linalg.solve(meat[np.ix_(kept, kept)], bread[np.ix_(kept, kept)])
        filled = np.nan_to_num(slope)
        week_effect = inverse @ (by_y - by_x @ filled) if self.effects else np.zeros(self.weeks)
        spare = week_effect[self.week] - (mass @ week_effect / of_unit)[self.unit]
        residual = y0 - wide_x @ filled - spare
        freedom = max(n - self.units - rank - len(kept), 1.0)
        per = np.bincount(self.product, w * residual**2, self.products)
        # Rows of each product pay their share of what was fitted.
        rows = np.bincount(self.product, minlength=self.products) * freedom / n
        noise = np.append(per / rows, per.sum() / freedom)
        of = np.append(np.repeat(np.arange(self.products), slots), np.full(x.shape[1] - slots, self.products))
        variance = np.full(len(slope), np.nan)
        variance[kept] = np.einsum("ab,bc,ac->a", solved, meat[np.ix_(kept, kept)], solved) * noise[of[kept]]
        scores = sparse.diags(w * residual) @ wide_z
        gamma = inverse @ by_z
        week, unit = (
            self._influence(code, w * residual, scores, gamma, mass)[:, kept] @ solved.T
            for code in (self.week, self.unit)
        )
        weight_of = weighted_z.multiply(wide_z).tocsr()
        return Fit(
            slope, variance, _wider(week, kept, slope), _wider(unit, kept, slope),
            _equal(weight_of, self.week), _equal(weight_of, self.unit), residual, freedom, first,
        )  # fmt: skip

    def _influence(
        self, code: Codes, push: Array, scores: sparse.csr_matrix, gamma: Array, mass: sparse.csr_matrix
    ) -> Array:
        """Return sums [clusters, columns] of instruments, after levels and weeks, times what is left of each row."""
        n, count = len(code), int(code.max()) + 1
        gather = sparse.csr_matrix((np.ones(n), (code, np.arange(n))), shape=(count, n))
        sums: Array = (gather @ scores).toarray()
        if self.effects:
            by_week = sparse.csr_matrix((push, (code, self.week)), shape=(count, self.weeks)).toarray()
            by_unit = sparse.csr_matrix((push, (code, self.unit)), shape=(count, self.units))
            of_unit = np.asarray(mass.sum(axis=1)).ravel()
            sums -= (by_week - (by_unit @ sparse.diags(1 / of_unit) @ mass).toarray()) @ gamma
        return sums

    def purge(self, values: Array) -> Array:
        """Return values [n, k] after levels and weeks, each week's effect the same in every product."""
        w = np.ones(len(values))
        mass = sparse.csr_matrix((w, (self.unit, self.week)), shape=(self.units, self.weeks)).tocsr()
        inverse, _ = self._week_inverse(mass, np.asarray(mass.sum(axis=1)).ravel())
        return self._purged(self._within(w)(values), w, mass, inverse)

    def _purged(self, within: Array, w: Array, mass: sparse.csr_matrix, inverse: Array) -> Array:
        if not self.effects or not within.shape[1]:
            return within
        sums = np.column_stack([np.bincount(self.week, w * column, self.weeks) for column in within.T])
        effect = inverse @ sums
        of_unit = np.asarray(mass.sum(axis=1)).ravel()
        out: Array = within - (effect[self.week] - ((mass @ effect) / of_unit[:, None])[self.unit])
        return out

    def _within(self, w: Array) -> Callable[[Array], Array]:
        total = np.bincount(self.unit, w, self.units)

        def level(values: Array) -> Array:
            out = np.empty_like(values, dtype=float)
            for k in range(values.shape[1]):
                out[:, k] = values[:, k] - (np.bincount(self.unit, w * values[:, k], self.units) / total)[self.unit]
            return out

        return level

    def _week_inverse(self, mass: sparse.csr_matrix, of_unit: Array) -> tuple[Array, int]:
        """Return the generalised inverse of the weeks' cross product after levels, and its rank."""
        if not self.effects:
            return np.zeros((self.weeks, self.weeks)), 0
        cross = np.diag(np.asarray(mass.sum(axis=0)).ravel())
        cross = cross - (mass.T @ sparse.diags(1 / of_unit) @ mass).toarray()
        values, vectors = np.linalg.eigh((cross + cross.T) / 2)
        good = values > 1e-9 * max(float(values.max()), 1e-300)
        return (vectors[:, good] / values[good]) @ vectors[:, good].T, int(good.sum())

    def _wide(self, values: Array, slots: int) -> sparse.csr_matrix:
        n, k = values.shape
        first = self.product[:, None] * slots + np.arange(slots)
        rest = np.broadcast_to(self.products * slots + np.arange(k - slots), (n, k - slots))
        place = np.hstack([first, rest])
        start = np.arange(n + 1) * k
        return sparse.csr_matrix((values.ravel(), place.ravel(), start), shape=(n, self.products * slots + k - slots))

    def _raw(self, x: Array, slots: int, w: Array) -> Array:
        own = [np.bincount(self.product, w * x[:, k] ** 2, self.products) for k in range(slots)]
        rest = [float(w @ x[:, k] ** 2) for k in range(slots, x.shape[1])]
        leading = np.column_stack(own).ravel() if own else np.zeros(0)
        return np.append(leading, rest)

    @staticmethod
    def _kept(bread: Array, meat: Array, own: Array, raw: Array, symmetric: bool) -> NDArray[np.int64]:
        """Return the columns that the rows tell apart, the later ones left out first where two say the same."""
        moved = (own > FLOOR * np.maximum(raw, 1e-300)) & (np.diag(meat) > 1e-12)
        kept = np.flatnonzero(moved)
        scale = np.sqrt(np.abs(np.diag(meat)))
        matrix = bread if symmetric else meat
        unit = matrix[np.ix_(kept, kept)] / np.outer(scale[kept], scale[kept])
        if len(kept) and float(np.linalg.eigvalsh(unit)[0]) < TOLERANCE:
            vague: list[int] = []
            values, vectors = np.linalg.eigh(unit)
            for column in np.flatnonzero(values < TOLERANCE):
                vague.extend(np.flatnonzero(np.abs(vectors[:, column]) > 1e-3).tolist())
            # Whatever takes part in a combination that never moved is not told by the rows.
            kept = np.delete(kept, sorted(set(vague)))
        return kept


class Clusters:
    """How uncertain slopes are when rows of one week, or of one product in one shop, move together.

    Clusters count as the number of equal weight that would tell as much.

    Reference:
        Carter, Schnepel and Steigerwald (2017), Asymptotic behavior of a t-test robust to cluster heterogeneity, The
        Review of Economics and Statistics 99(4).
    """

    def __init__(self, product: Codes, unit: Codes, week: Codes):
        self.count = {
            way: np.bincount(np.unique(np.column_stack([product, code]), axis=0)[:, 0])
            for way, code in (("week", week), ("unit", unit))
        }
        # With few shops nothing else tells that neighbouring weeks move together.
        weeks = int(week.max()) + 1
        self.reach = int(0.75 * weeks ** (1 / 3)) if np.median(self.count["unit"]) < FEWEST_CLUSTERS else 0

    def variances(self, fit: Fit, places: Codes, level: float) -> Array:
        """Return variances [products], widened so that a normal interval is as wide as Student's."""
        out = np.full(len(places), np.nan)
        freedom = np.full(len(places), fit.freedom)
        known = ~np.isnan(fit.slope[places])
        plain = np.maximum(fit.variance[places], 1e-12)  # above 0 even where nothing is left to explain
        widest = np.zeros(len(places))
        of_week, of_unit = ("week", fit.week, fit.weeks), ("unit", fit.unit, fit.units)
        for (way, influence, count), reach in ((of_week, 0), (of_week, self.reach), (of_unit, 0)):
            equal = np.maximum(count[places], 2.0)
            left = equal - 1
            use = known & (self.count[way] >= FEWEST_CLUSTERS)
            if not use.any():
                continue
            part = influence[:, places[use]]
            squares = (part**2).sum(axis=0)
            for lag in range(1, reach + 1):
                squares = squares + 2 * (1 - lag / (reach + 1)) * (part[lag:] * part[:-lag]).sum(axis=0)
            ratio = np.maximum(squares, 1e-300) * equal[use] / left[use] / plain[use]
            ratio, free = moderated(np.maximum(ratio, 0.05), np.asarray(left[use], np.float64))
            wider = np.zeros(len(places))
            wider[use] = ratio
            freed = np.array(freedom)
            freed[use] = np.minimum(free, fit.freedom)
            freedom = np.where(wider > widest, freed, freedom)
            widest = np.maximum(widest, wider)
        widest = np.where(widest > 0, widest, 1.0)
        half = (1 + level) / 2
        out[known] = (plain * widest * (stdtrit(freedom, half) / ndtri(half)) ** 2)[known]
        return out

    def correlation(self, plain: Fit, clean: Fit, places: Codes, others: Codes | None = None) -> Array:
        """Return the correlation [products] of two estimates of the same slopes, the second `others` if they differ."""
        a, b = plain.week[:, places], clean.week[:, places if others is None else others]
        size = np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0))
        return np.asarray(np.clip((a * b).sum(axis=0) / np.maximum(size, 1e-300), -0.999, 0.999))

    def shared(self, fit: Fit, places: Codes, var: Array) -> float:
        """Return the standard deviation of an error that products share: what the mean of slopes varies by beyond them.

        Args:
            fit: The fit.
            places: [products] columns of the slopes.
            var: [products] their variances.
        """
        if len(places) < 2 or len(fit.week) < FEWEST_CLUSTERS:
            return 0.0
        weight = 1 / var / (1 / var).sum()
        part = fit.week[:, places]
        apart = float((part**2).sum(axis=0) @ weight**2)
        ratio = float(np.sum((part @ weight) ** 2)) / max(apart, 1e-300)
        return float(np.sqrt(max(ratio - 1, 0) * (weight**2 @ var)))

    def covariance(self, fit: Fit, places: Codes) -> Array:
        """Return the covariance of slopes in common, over weeks or over units, whichever is wider."""
        tables = [way[:, places].T @ way[:, places] * len(way) / (len(way) - 1.0) for way in (fit.week, fit.unit)]
        tables = [t for t, way in zip(tables, (fit.week, fit.unit), strict=True) if len(way) >= FEWEST_CLUSTERS]
        if not tables:
            return np.diag(fit.variance[places])
        return max(tables, key=lambda table: float(np.trace(table)))


def _equal(weight: sparse.csr_matrix, code: Codes) -> Array:
    """Return the number [columns] of clusters of equal weight that would tell as much, from the weights of rows."""
    n, count = len(code), int(code.max()) + 1
    gather = sparse.csr_matrix((np.ones(n), (code, np.arange(n))), shape=(count, n))
    sums: Array = (gather @ weight).toarray()
    return np.asarray(sums.sum(axis=0) ** 2 / np.maximum((sums**2).sum(axis=0), 1e-300))


def _wider(influence: Array, kept: NDArray[np.int64], slope: Array) -> Array:
    """Return influences [clusters, columns] with NaN for columns that were left out."""
    out = np.full((len(influence), len(slope)), np.nan)
    out[:, kept] = influence
    return out
