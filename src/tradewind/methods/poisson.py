"""Poisson regression with many fixed effects: how counts answer to a few columns once levels are taken out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import block_array, coo_array
from scipy.sparse.csgraph import connected_components
from scipy.special import ndtri, stdtrit
from threadpoolctl import threadpool_limits

from tradewind.errors import BadInputError

Array = NDArray[np.float64]
Codes = NDArray[np.int64]

LARGEST = 30.0  # a logarithm of a mean beyond which counts are not to be believed
SWEEPS = 100  # of the projection, at most
LOOSE, TIGHT = 1e-2, 1e-6  # share of a column at which the projection stops, at first and at last
FLAT = 1e-8  # share of its own variation that a column must keep beside the levels


@dataclass(frozen=True)
class Counted:
    """What a Poisson regression found.

    Args:
        slope: [columns] change of the logarithm of the mean for a unit of each column; NaN where the rows do not tell.
        covariance: [columns, columns] of the slopes, robust to any dependence within clusters; NaN alike.
        rows: [n] whether a row could tell anything: its groups had counts, and other rows beside it.
        mean: [n] fitted means; NaN for the rows left out.
        clusters: Number of clusters among the rows used.
        dispersion: Pearson's variance of the counts over their means; 1 where they are Poisson.
        deviance: Twice what the fit lacks of the greatest logarithm of the likelihood that counts can have.
        freedom: [columns] degrees of freedom of each slope's error: as many clusters as tell it, each counted by how
            much (Kish), less one, and at most the rows that are left beside levels and columns.
    """

    slope: Array
    covariance: Array
    rows: NDArray[np.bool_]
    mean: Array
    clusters: int
    dispersion: float
    deviance: float
    freedom: Array

    def widened(self, level: float = 0.9) -> Array:
        """Return the deviations [columns] of normals whose intervals are as wide as Student's are.

        They are infinite where less than one degree of freedom is left, and NaN where the rows do not tell.
        """
        tail = (1 - level) / 2
        few = stdtrit(np.maximum(np.nan_to_num(self.freedom), 1.0), tail) / ndtri(tail)
        wide = np.where(np.nan_to_num(self.freedom) >= 1, self.error * few, np.inf)
        return np.asarray(np.where(np.isnan(self.slope), np.nan, wide))

    @property
    def error(self) -> Array:
        """[columns] standard errors of the slopes."""
        return np.sqrt(np.maximum(np.diag(self.covariance), 0.0))


class Poisson:
    """Fits log E[y] = offset + xβ + a level of every group, by weighted least squares again and again.

    Counts need not be Poisson: the slopes are right wherever the mean is, and their errors allow for any variance and
    for dependence within clusters. Rows that can tell nothing, those of groups without any count or with one row, are
    left out first.

    Args:
        steps: Most steps of the fit.
        tolerance: Change of the deviance, in share, at which it stops.

    Reference:
        Santos Silva and Tenreyro (2006), The log of gravity, The Review of Economics and Statistics 88(4);
        Correia, Guimarães and Zylkin (2020), Fast Poisson estimation with high-dimensional fixed effects, The Stata
        Journal 20(1), section 3; Irons and Tuck (1969), A version of the Aitken accelerator for computer iteration,
        International Journal for Numerical Methods in Engineering 1(3).

    Examples:
        >>> fit = Poisson()([2, 4, 30, 60], [[0.0], [1.0], [0.0], [1.0]], [[0, 0, 1, 1]])
        >>> round(float(np.exp(fit.slope[0])), 3)
        2.0
    """

    def __init__(self, steps: int = 60, tolerance: float = 1e-8):
        if steps < 1 or not 0 < tolerance < 0.1:
            raise BadInputError(
                "Settings out of range", got=(steps, tolerance), allowed="1 step or more, a tolerance from 0 to 0.1"
            )
        self.steps, self.tolerance = steps, tolerance

    def __call__(
        self,
        y: ArrayLike,
        x: ArrayLike,
        levels: Sequence[ArrayLike],
        offset: ArrayLike | None = None,
        cluster: ArrayLike | None = None,
    ) -> Counted:
        """Return the slopes.

        Args:
            y: [n] counts or other amounts, 0 or more.
            x: [n, columns] values.
            levels: [n] whole numbers from 0 each: the groups whose levels are taken out; one kind of group or more.
            offset: [n] known part of the logarithm of the mean; 0 where left out.
            cluster: [n] whole numbers from 0: rows that may depend on each other; the first kind of group if left out.

        Raises:
            BadInputError: If lengths differ, a number is not finite, a count is negative, or no row is left.
        """
        counts, values = np.asarray(y, float), np.asarray(x, float)
        groups = [np.asarray(codes) for codes in levels]
        n = len(counts)
        given = np.zeros(n) if offset is None else np.asarray(offset, float)
        within = groups[0] if cluster is None and groups else np.asarray(cluster)
        if not groups or values.ndim != 2 or any(len(part) != n for part in (values, given, within, *groups)):
            raise BadInputError(
                "The rows do not fit", got=[np.shape(p) for p in (counts, values, given, within, *groups)],
                allowed="one length, a table of columns, and one kind of group or more",
            )  # fmt: skip
        if not all(np.isfinite(part).all() for part in (counts, values, given)) or (counts < 0).any():
            raise BadInputError("A count or a value cannot be used", allowed="finite numbers, counts of 0 or more")
        if any(codes.dtype.kind not in "iu" or (n and codes.min() < 0) for codes in (within, *groups)):
            raise BadInputError("Groups are coded as whole numbers from 0", do="number their ids")
        rows = _telling(counts, groups)
        if not rows.any():
            raise BadInputError(
                "No row is left: every group has no count or a single row", do="take a longer period or fewer groups"
            )
        kept = [np.asarray(np.unique(codes[rows], return_inverse=True)[1], np.int64) for codes in groups]
        who = np.asarray(np.unique(within[rows], return_inverse=True)[1], np.int64)
        with threadpool_limits(1):  # sums in one order on every machine; threads would only wait for each other
            slope, covariance, mean, freedom = self._fit(counts[rows], values[rows], kept, given[rows], who)
        fitted = np.full(n, np.nan)
        fitted[rows] = mean
        free = int(rows.sum()) - _levels(kept) - int(np.isfinite(slope).sum())
        pearson = float(((counts[rows] - mean) ** 2 / mean).sum() / max(free, 1))
        return Counted(
            slope, covariance, rows, fitted, int(who.max()) + 1, pearson, _deviance(counts[rows], mean),
            np.minimum(freedom, free),
        )  # fmt: skip

    def _fit(
        self, y: Array, x: Array, groups: list[Codes], offset: Array, cluster: Codes
    ) -> tuple[Array, Array, Array, Array]:
        size = float(y.mean())  # counts in units of their mean: what is computed does not hang on it
        y = y / size
        mean = (y + 1) / 2
        eta = np.log(mean)
        before, loose = np.inf, LOOSE
        told = np.zeros(x.shape[1], bool)
        slope: Array = np.full(x.shape[1], np.nan)
        spread = np.maximum(mean @ (x - np.average(x, axis=0, weights=mean)) ** 2, 1e-300)
        known = np.column_stack([np.zeros(len(y)), x])
        moved = known.copy()  # what is left of the columns, kept from step to step: it hardly changes
        for _ in range(self.steps):
            work = eta - offset + (y - mean) / mean
            moved[:, 0] += work - known[:, 0]
            known[:, 0] = work
            moved = _within(moved, mean, groups, loose)
            rest = moved[:, 1:]
            told = (mean @ rest**2) > FLAT * spread
            slope = np.full(x.shape[1], np.nan)
            bread = (rest[:, told] * mean[:, None]).T @ rest[:, told]
            slope[told] = np.linalg.lstsq(bread, rest[:, told].T @ (mean * moved[:, 0]), rcond=1e-10)[0]
            residual = moved[:, 0] - rest[:, told] @ slope[told]
            eta = np.clip(work + offset - residual, -LARGEST, LARGEST)
            mean = np.exp(eta)
            deviance = _deviance(y, mean)
            change = abs(before - deviance) / (1 + abs(deviance))
            if change < self.tolerance and loose <= TIGHT:
                break
            loose = max(TIGHT, min(loose, 0.1 * change))
            before = deviance
        moved = moved[:, 1:]
        scores = moved[:, told] * (y - mean)[:, None]
        count = int(cluster.max()) + 1
        sums = _summed(scores, cluster, count)
        inverse = np.linalg.pinv((moved[:, told] * mean[:, None]).T @ moved[:, told])
        covariance = np.full((x.shape[1], x.shape[1]), np.nan)
        covariance[np.ix_(told, told)] = inverse @ (sums.T @ sums) @ inverse * count / max(count - 1, 1)
        tells = (moved[:, told] @ inverse) ** 2 * mean[:, None]
        parts = _summed(tells, cluster, count)
        freedom = np.full(x.shape[1], np.nan)
        freedom[told] = parts.sum(axis=0) ** 2 / np.maximum((parts**2).sum(axis=0), 1e-300) - 1
        return slope, covariance, mean * size, freedom


def _summed(columns: Array, cluster: Codes, count: int) -> Array:
    """Return the sums of columns [n, k] by cluster, [count, k]."""
    out = np.zeros((count, columns.shape[1]))
    for n, column in enumerate(columns.T):
        out[:, n] = np.bincount(cluster, column, count)
    return out


def _levels(groups: Sequence[Codes]) -> int:
    """Return how many levels can be told apart: of two kinds of group, one fewer for each part that hangs together."""
    sizes = [int(codes.max()) + 1 for codes in groups]
    if len(groups) == 1:
        return sizes[0]
    together = coo_array((np.ones(len(groups[0])), (groups[0], groups[1])), shape=(sizes[0], sizes[1]))
    both = block_array([[None, together], [together.T, None]])
    return sum(sizes) - (len(groups) - 2) - int(connected_components(both, directed=False)[0])


def _deviance(y: Array, mean: Array) -> float:
    return float(2 * (np.where(y > 0, y * np.log(np.maximum(y, 1e-300) / mean), 0.0) - (y - mean)).sum())


def _telling(y: Array, groups: Sequence[Codes]) -> NDArray[np.bool_]:
    """Return the rows that can tell something: those of groups without counts or with one row left go, in turn."""
    rows = np.ones(len(y), bool)
    while True:
        kept = rows.copy()
        for codes in groups:
            size = np.bincount(codes[kept], minlength=int(codes.max()) + 1 if len(codes) else 0)
            total = np.bincount(codes[kept], y[kept], len(size))
            kept &= ((size > 1) & (total > 0))[codes]
        if kept.sum() == rows.sum():
            return kept
        rows = kept


def _within(values: Array, weight: Array, groups: Sequence[Codes], tolerance: float) -> Array:
    """Return values less the levels of all groups, weighted: projected on one kind of group after another.

    Every third time a column leaps ahead along the way that the last two went (Irons and Tuck's acceleration).
    """
    mass = [np.bincount(codes, weight) for codes in groups]

    def projected(column: Array) -> Array:
        for codes, total in zip(groups, mass, strict=True):
            column = column - (np.bincount(codes, weight * column) / total)[codes]
        return column

    out = np.empty_like(values)
    for n, column in enumerate(values.T):
        scale = float(np.sqrt(weight @ column**2)) or 1.0
        now = projected(column)
        for _ in range(SWEEPS if len(groups) > 1 else 0):
            once = projected(now)
            twice = projected(once)
            step, bend = twice - once, twice - 2 * once + now
            size = float(weight @ bend**2)
            now = twice - (float(weight @ (step * bend)) / size) * step if size > 0 else twice
            if float(np.sqrt(weight @ step**2)) < tolerance * scale:
                break
        out[:, n] = now
    return out


__all__ = ["Counted", "Poisson"]
