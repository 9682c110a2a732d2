"""Additive regression: lines, bends, levels, pairs and surfaces, each shrunk by how much the data says of it.

A mean is written as a constant, a line in every number, bends in it at its quantiles, an effect of every level of a
category, products of pairs, and where asked a surface over every two features. Coefficients follow laws around zero
whose spreads are found from the data: a part of which the data knows nothing is shrunk to nothing, so that no size of
data needs a choice of columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, combinations, product

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import blas, lapack

Array = NDArray[np.float64]
Design = NDArray[np.float32]

KNOTS = 10  # bends of a number, at quantiles that lie denser towards both ends, where little else holds a curve
CLIP = 0.0005  # share of a number's rows beyond which it counts as no farther: nothing is extrapolated
MOST_LEVELS = 30  # levels of a category with an effect of their own
PAIRED_LEVELS = 8  # a category of more levels takes no part in pairs
MOST_PAIRS = 300  # beyond this, pairs are left to trees; so are surfaces, of as many products
SOFT = (3, 2, 1)  # bends of a number in surfaces: as many as features leave room for
CHUNK = 8_192  # rows of the design that are held at once
SAMPLE = 50_000  # rows from which bends and the centres of columns are taken
HEAVY = 2.0  # degrees of freedom of the law of coefficients: the fewer, the more it lets few be large among many
DOUBT = 1.0  # of a common spread c, whose law c^(-½) leans to nothing: without it, small blocks follow chance
STEPS = 60  # of the search for the spreads
FIXED = 1e6  # prior variance, in units of the outcome's, of what is not shrunk
UNSEEN = 0.5  # standard errors of a block's spread that may be there where nothing is seen of it
NOTHING = 0.03  # share of a family that the data determines below which it is left out
WARM = 8  # steps before any is left out
SMALL = 64  # columns up to which a triangular matrix is inverted in one piece
SETTLED = 0.02  # relative change of every spread at which the search ends
SINGLE = (1e-6, 1e-5, 1e-4)  # what single precision leaves open of a matrix whose diagonal is 1, the least first

LINES, BENDS, LEVELS, PAIRS, SURFACES = BLOCKS = range(5)
NONE: NDArray[np.int64] = np.empty(0, np.int64)


@dataclass(frozen=True)
class _Number:
    column: int
    low: float
    high: float
    centre: float
    scale: float
    knots: Array  # on the standardised scale
    missing: bool

    def line(self, x: Array) -> Array:
        """Return the standardised values [n] of features [p, n], zero where missing."""
        out: Array = np.minimum(np.maximum(x[self.column], self.low), self.high)
        out -= self.centre
        out /= self.scale
        out[np.isnan(out)] = 0.0
        return out


@dataclass(frozen=True)
class _Category:
    column: int
    levels: Array


@dataclass(frozen=True)
class Basis:
    """The columns that additive regression is linear in; knows features only, never an outcome.

    Args:
        numbers: How each number is clipped, standardised and bent.
        categories: The levels of each category.
        pairs: [pairs, 2] which two of the lines, levels and bends are multiplied.
        centres: [columns] what is taken off each column, so that the constant is the mean.
        block: [columns] which block each column belongs to.
        family: [columns] which columns share one spread: the bends of a number, the levels of a category, the surface
            over two features, else alone.
    """

    numbers: tuple[_Number, ...]
    categories: tuple[_Category, ...]
    pairs: NDArray[np.int64]
    centres: Array
    block: NDArray[np.int64]
    family: NDArray[np.int64]

    @classmethod
    def of(cls, x: Array, categorical: Sequence[int] = (), pairs: bool = True, surfaces: bool = False) -> Basis:
        """Return the basis that fits features.

        Args:
            x: [n, p] features, NaN where missing.
            categorical: Which of them are categories, coded as numbers.
            pairs: Whether to multiply features with each other.
            surfaces: Whether to multiply their bends too, where the features are few (`MOST_PAIRS`).
        """
        numbers, categories = [], []
        missing = np.isnan(x).sum(axis=0) > 0
        sample = x[:: -(-len(x) // SAMPLE)]
        for j in range(x.shape[1]):
            if j in categorical:
                levels, count = np.unique(_seen(x[:, j]), return_counts=True)
                if len(levels) > 1 or (len(levels) and missing[j]):
                    categories.append(_Category(j, levels[np.argsort(-count, kind="stable")][:MOST_LEVELS]))
                continue
            number = _number(j, sample[:, j], x[:, j], bool(missing[j]))
            if number is not None:
                numbers.append(number)
        basis = cls(tuple(numbers), tuple(categories), NONE.reshape(0, 2), np.empty(0), NONE, NONE)
        source = [n.column for n in numbers]
        source += [c.column if len(c.levels) <= PAIRED_LEVELS else -1 for c in categories for _ in c.levels]
        index = np.array([(i, k) for i in range(len(source)) for k in range(i) if -1 < source[i] != source[k] > -1])
        bent: list[list[tuple[int, int]]] = []
        if pairs and 0 < len(index) <= MOST_PAIRS:
            tried = [basis._surfaces(soft) for soft in SOFT] if surfaces else []
            bent = next((each for each in tried if sum(map(len, each)) <= MOST_PAIRS), [])
            basis = replace(basis, pairs=np.array([*index.tolist(), *chain(*bent)]))
        block = (
            [LINES] * len(numbers)
            + [LEVELS] * sum(len(c.levels) for c in categories)
            + [LINES] * sum(n.missing for n in numbers)
            + [BENDS] * sum(len(n.knots) for n in numbers)
            + [PAIRS] * (len(basis.pairs) - sum(map(len, bent)))
            + [SURFACES] * sum(map(len, bent))
        )
        sizes = [1] * len(numbers) + [len(c.levels) for c in categories] + [1] * sum(n.missing for n in numbers)
        sizes += [len(n.knots) for n in numbers if len(n.knots)] + [1] * block.count(PAIRS) + [len(b) for b in bent]
        family = np.repeat(np.arange(len(sizes)), sizes)
        basis = replace(basis, centres=np.zeros(len(block)), block=np.array(block, np.int64), family=family)
        sums = sum(basis.design(sample[rows]).sum(axis=0, dtype=np.float64) for rows in _chunks(len(sample)))
        return replace(basis, centres=sums / len(sample))

    def _surfaces(self, soft: int) -> list[list[tuple[int, int]]]:
        """Return by pair of features which columns are multiplied, at least one of them a bend."""
        after = len(self.numbers) + sum(len(c.levels) for c in self.categories)
        bend = after + sum(number.missing for number in self.numbers)
        shapes, level = [], len(self.numbers)
        for line, number in enumerate(self.numbers):
            inner = np.linspace(0, len(number.knots) - 1, min(soft, len(number.knots)) + 2)[1:-1]
            shapes.append([line, *(bend + np.unique(inner.round().astype(int))).tolist()])
            bend += len(number.knots)
        for category in self.categories:
            if len(category.levels) <= PAIRED_LEVELS:
                shapes.append(list(range(level, level + len(category.levels))))
            level += len(category.levels)
        both = [[(i, k) for i, k in product(*two) if max(i, k) >= after] for two in combinations(shapes, 2)]
        return [products for products in both if products]

    def design(self, x: Array) -> Design:
        """Return the centred columns [n, columns] of features [n, p]."""
        return self.full(x)[:, 1:]

    def clipped(self, x: Array) -> Array:
        """Return features [n, p] with every number held within its range, for what else must not extrapolate."""
        low, high = np.full((2, x.shape[1]), [[-np.inf], [np.inf]])
        for number in self.numbers:
            low[number.column], high[number.column] = number.low, number.high
        held: Array = np.maximum(x, low)
        np.minimum(held, high, out=held)
        return held

    def full(self, x: Array, beside: Array | None = None, columns: NDArray[np.int64] | None = None) -> Design:
        """Return the constant, columns beside the basis, and its centred columns, [n, 1 + k + columns].

        Args:
            x: [n, p] features.
            beside: [n, k] columns beside the basis.
            columns: Which columns of the basis; all where left out.
        """
        extra = 0 if beside is None else beside.shape[1]
        chosen = np.arange(len(self.block)) if columns is None else columns
        out = np.empty((1 + extra + len(chosen), len(x)), np.float32)
        out[0] = 1
        if beside is not None:
            out[1 : 1 + extra] = beside.T
        if len(chosen):
            self._into(out[1 + extra :], np.ascontiguousarray(x.T), chosen)
        return out.T

    def _into(self, out: Design, x: Array, columns: NDArray[np.int64]) -> None:
        """Fill centred columns [columns, n] of features [p, n]: each lies in one piece, which is fast to fill."""
        plain = [number.line(x) for number in self.numbers]
        plain += [x[category.column] == level for category in self.categories for level in category.levels]
        plain += [2.0 * np.isnan(x[number.column]) for number in self.numbers if number.missing]
        base = np.array(plain, np.float32)
        bends = [(place, np.float32(knot)) for place, number in enumerate(self.numbers) for knot in number.knots]
        pairs = self.pairs.tolist()

        def shape(column: int) -> Design:
            place, knot = (column, None) if column < len(base) else bends[column - len(base)]
            values: Design = base[place]
            return values if knot is None else np.maximum(values, knot) - knot

        for filled, column, centre in zip(out, columns.tolist(), self.centres[columns].astype(np.float32), strict=True):
            if column < len(base):
                np.subtract(base[column], centre, out=filled)
                continue
            if column < len(base) + len(bends):
                place, knot = bends[column - len(base)]
                np.maximum(base[place], knot, out=filled)
                np.subtract(filled, knot + centre, out=filled)
                continue
            first, second = pairs[column - len(base) - len(bends)]
            np.multiply(shape(first), shape(second), out=filled)
            np.subtract(filled, centre, out=filled)


def _seen(column: Array) -> Array:
    return column[~np.isnan(column)]


def _number(column: int, sample: Array, whole: Array, missing: bool) -> _Number | None:
    """Return how a number enters, None where it never varies."""
    if missing:  # of a column that is mostly missing the sample of all rows may hold hardly anything
        seen = _seen(whole)
        if len(seen) == 0:
            return None
        sample = seen[:: -(-len(seen) // SAMPLE)]
    distinct = np.unique(sample)
    if len(distinct) == 1 and not missing:  # what is rare may not be in the sample
        distinct = np.unique(whole)
        if len(distinct) == 1:
            return None
    if len(distinct) <= 2:  # a flag: half a jump to each side, however rare it is
        low, high = float(distinct[0]), float(distinct[-1])
        scale = (high - low) / 2 or 1.0
        return _Number(column, low, high, (low + high) / 2, scale, np.empty(0), missing)
    low, high = np.quantile(sample, [CLIP, 1 - CLIP])
    if low == high:
        low, high = distinct[0], distinct[-1]
    held = np.clip(sample, low, high)
    centre, scale = float(held.mean()), float(held.std())
    if len(distinct) <= KNOTS + 2:
        knots = distinct[1:-1]
    else:
        knots = np.unique(np.quantile(held, (1 - np.cos(np.pi * np.arange(1, KNOTS + 1) / (KNOTS + 1))) / 2))
        knots = knots[(knots > low) & (knots < high)]
    return _Number(column, float(low), float(high), centre, scale, (knots - centre) / scale, missing)


def _chunks(rows: int) -> Iterator[slice]:
    for first in range(0, rows, CHUNK):
        yield slice(first, min(rows, first + CHUNK))


@dataclass(frozen=True)
class Moments:
    """What additive regression needs to know of rows; moments of different rows add up.

    Args:
        count: Number of rows, or the sum of their weights.
        gram: [d, d] Σ w φ φ', the constant first, then columns that are not shrunk, then those of the basis.
        cross: [d] Σ w φ y.
        square: Σ w y².
    """

    count: float
    gram: Array
    cross: Array
    square: float

    def __add__(self, other: Moments) -> Moments:
        return Moments(
            self.count + other.count, self.gram + other.gram, self.cross + other.cross, self.square + other.square
        )


@dataclass(frozen=True)
class Additive:
    """A fitted additive regression.

    Args:
        basis: The columns.
        coefficients: [d] of the constant, the columns that are not shrunk, and the basis.
        root: [d, d] lower triangular R, where R'R is the covariance of their posterior law.
        prior: [d] prior variance of each; very large for what is not shrunk.
        noise: Variance of what is left.
    """

    basis: Basis
    coefficients: Array
    root: Array
    prior: Array
    noise: float

    def law(self, x: Array, beside: Array | None = None) -> tuple[Array, Array]:
        """Return the posterior mean [n] and its variance [n] at features [n, p]; arguments as for `predict`."""
        mean, variance = np.empty(len(x)), np.empty(len(x))
        columns = np.flatnonzero(self.prior[self._open :] > 0)
        kept = np.r_[np.arange(self._open), self._open + columns]
        root = np.asfortranarray(self.root[np.ix_(kept, kept)], np.float32)
        slopes = self.coefficients[kept[1:]].astype(np.float32)
        for rows in _chunks(len(x)):
            full = self.basis.full(x[rows], None if beside is None else beside[rows], columns).T
            mean[rows] = self.coefficients[0] + slopes @ full[1:]
            deviations = blas.strmm(1.0, root, full.T, side=1, lower=1, trans_a=1, overwrite_b=1)
            variance[rows] = np.einsum("ij,ij->i", deviations, deviations)
        return mean, variance

    def predict(self, x: Array, beside: Array | None = None) -> Array:
        """Return the mean [n] at features [n, p], with the columns [n, k] beside the basis it was fitted with."""
        out = np.empty(len(x))
        columns = np.flatnonzero(self.coefficients[self._open :] != 0)
        slopes = self.coefficients[np.r_[np.arange(1, self._open), self._open + columns]].astype(np.float32)
        for rows in _chunks(len(x)):
            full = self.basis.full(x[rows], None if beside is None else beside[rows], columns).T
            out[rows] = self.coefficients[0] + slopes @ full[1:]
        return out

    @property
    def _open(self) -> int:
        return len(self.coefficients) - len(self.basis.block)


def additive(basis: Basis, x: Array, y: Array, weight: Array | None = None) -> Additive:
    """Return the regression of an outcome on features; arguments as for `moments` and `shrink`."""
    centre = float(np.average(y, weights=weight))  # taken off first: columns are in single precision
    found = shrink(basis, moments(basis, x, y - centre, weight))
    found.coefficients[0] += centre
    return found


def moments(basis: Basis, x: Array, y: Array, weight: Array | None = None, beside: Array | None = None) -> Moments:
    """Return the moments of rows.

    Args:
        basis: The columns.
        x: [n, p] features.
        y: [n] what is explained.
        weight: [n] precision of each row; all 1 where left out.
        beside: [n, k] further columns that are not shrunk.
    """
    columns = y[:, None] if beside is None else np.column_stack([beside, y])
    extra = columns.shape[1]  # what is explained is the last beside the basis, so that one product tells all
    width = 1 + extra + len(basis.block)
    times = np.ones(len(y)) if weight is None else weight
    even = len(times) > 0 and bool((times == times[0]).all())
    gram = np.zeros((width, width))
    for rows in _chunks(len(x)):
        full = basis.full(x[rows], columns[rows])
        if not even:
            full *= np.sqrt(times[rows]).astype(np.float32)[:, None]
        gram += full.T @ full
    gram *= times[0] if even else 1.0
    known = np.delete(np.arange(width), extra)
    return Moments(float(times.sum()), gram[np.ix_(known, known)], gram[known, extra], float(times @ y**2))


def shrink(
    basis: Basis, known: Moments, inflation: float = 1.0, beside: Array | None = None, blocks: Sequence[int] = BLOCKS
) -> Additive:
    """Return the regression whose coefficients are shrunk as the evidence says.

    A family's coefficients follow N(0, v); the v of a block's families are drawn around a common spread c with heavy
    tails, so that the coefficients of a block are Student's t with `HEAVY` degrees of freedom: most may be nothing
    while few are large. Both v and c are found from the data, v ← (Σβ² + ν c)/(γ + ν) with γ = Σ(1 − Σ_jj/v), the
    number of coefficients that the data determines, and c ← (1 − 1/(ν families))/mean(1/v).

    A spread that is found to be nothing is not known to be nothing. Where no coefficient differs from zero, a block's c
    is known up to √2 noise/‖G‖, with ‖G‖² the sum of the squares of its part of the gram (the Fisher information of a
    variance at zero is ‖G‖²/2 noise²). The means are those of the spreads that were found; their variances take every
    spread to be `UNSEEN` such errors or more.

    Args:
        basis: The columns.
        known: The moments of the rows that teach.
        inflation: How many times the noise of sums exceeds that of independent rows, as where rows come in clusters.
        beside: [k] prior variance of the columns beside the basis; they are not shrunk where left out.
        blocks: Which blocks may be used.

    Reference:
        MacKay (1992), Bayesian interpolation, Neural Computation 4(3), equations 3.10 to 3.12; Tipping (2001), Sparse
        Bayesian learning and the relevance vector machine, JMLR 1, section 5.1 (Student's t by gamma hyperpriors).
    """
    width = len(known.gram)
    fixed = width - len(basis.block)
    mean = known.cross[0] / known.count
    spread = known.square / known.count - mean**2
    coefficients, root = np.eye(1, width)[0] * mean, np.zeros((width, width))
    if spread <= 1e-12 * mean**2:  # a constant
        return Additive(basis, coefficients, root, np.zeros(width), 0.0)
    scale = np.maximum(np.diag(known.gram)[fixed:] / known.count, 1e-12)
    families = int(basis.family.max()) + 1 if len(basis.family) else 0
    block = np.zeros(families, np.int64)
    block[basis.family] = basis.block
    size = np.bincount(basis.family, minlength=families)
    own = np.zeros(families)  # the start: every block explains a tenth of the spread
    for b in np.unique(block):
        own[block == b] = 0.1 * spread / scale[basis.block == b].sum()
    common = own.copy()
    open_ = np.full(fixed, FIXED * spread)
    if beside is not None:
        open_[1 : 1 + len(beside)] = beside
    noise = spread * inflation
    alive = np.isin(block, blocks)
    active = NONE
    for step in range(STEPS):
        left_in = np.flatnonzero(np.r_[np.ones(fixed, bool), alive[basis.family]])
        if len(left_in) != len(active):
            active = left_in
            family = basis.family[active[fixed:] - fixed]
            gram, cross = known.gram[np.ix_(active, active)], known.cross[active]
        prior = np.r_[open_, own[family]]
        inner = _root(gram / noise, 1 / prior)
        beta = inner.T @ (inner @ (cross / noise))
        certain = np.clip(1 - np.einsum("ij,ij->j", inner, inner) / prior, 0, 1)
        squares = np.bincount(family, beta[fixed:] ** 2, families)
        determined = np.bincount(family, certain[fixed:], families)
        before = own
        own = np.where(alive, (squares + HEAVY * common) / (determined + HEAVY), own)
        for b in np.unique(block[alive]):
            some = (block == b) & alive
            common[block == b] = (1 - DOUBT / (HEAVY * some.sum())) / np.mean(1 / own[some])
        left = known.square - 2 * beta @ cross + beta @ gram @ beta
        noise = max(left / max(known.count - certain.sum(), 1.0), 1e-12 * spread) * inflation
        if np.all(np.abs(np.log(own / before)) < SETTLED):
            break
        if step >= WARM:
            alive &= determined > NOTHING * size
    coefficients[active] = beta
    full = np.r_[open_, np.where(alive, own, 0.0)[basis.family]]
    for b in blocks:
        columns = fixed + np.flatnonzero(basis.block == b)
        told = float(np.linalg.norm(known.gram[np.ix_(columns, columns)]))
        if told > 0:
            full[columns] = np.maximum(full[columns], UNSEEN * np.sqrt(2) * noise / told)
    active = np.flatnonzero(full > 0)
    root[np.ix_(active, active)] = _root(known.gram[np.ix_(active, active)] / noise, 1 / full[active])
    return Additive(basis, coefficients, root, full, float(noise))


def average(fits: Sequence[Additive], known: Moments, times: float) -> Additive:
    """Return the average of fits, with the posterior variance that all their rows together leave.

    Args:
        fits: Fits on one basis.
        known: Sum of the moments that the fits were made from.
        times: 1 over the number of fits that each row taught.
    """
    prior = np.mean([fit.prior for fit in fits], axis=0)
    noise = float(np.mean([fit.noise for fit in fits]))
    root = np.zeros_like(known.gram)
    active = np.flatnonzero(prior > 0)
    if noise > 0:
        root[np.ix_(active, active)] = _root(known.gram[np.ix_(active, active)] * (times / noise), 1 / prior[active])
    coefficients = np.mean([fit.coefficients for fit in fits], axis=0)
    return Additive(fits[0].basis, coefficients, root, prior, noise)


def _root(told: Array, prior: Array) -> Array:
    """Return the lower triangular R [d, d] where (R'R)⁻¹ is what data tells [d, d], and the prior beside it [d]."""
    matrix = told.T.copy(order="F")
    np.fill_diagonal(matrix, matrix.diagonal() + prior)
    scale = 1 / np.sqrt(matrix.diagonal())  # a unit diagonal: priors of very different size do not cost digits
    matrix *= scale
    matrix *= scale[:, None]
    root, failed = lapack.dpotrf(matrix, lower=1)
    for slack in SINGLE:  # fewer rows than columns, and hardly any noise: what is left of some column is rounding
        if not failed:
            break
        np.fill_diagonal(matrix, 1 + slack)
        root, failed = lapack.dpotrf(matrix, lower=1)
    if failed or not root.diagonal().all():
        raise np.linalg.LinAlgError("a matrix that should be positive definite is not")
    _invert(root)
    root *= scale
    return np.asarray(root)


def _invert(lower: Array) -> None:
    """Put the inverse of a lower triangular matrix in its place, by blocks, which is most of it products."""
    size, half = len(lower), len(lower) // 2
    if size <= SMALL:
        lower[:] = lapack.dtrtri(lower, lower=1)[0]
        return
    _invert(lower[:half, :half])
    _invert(lower[half:, half:])
    across = blas.dtrmm(-1.0, lower[half:, half:], lower[half:, :half], lower=1)
    lower[half:, :half] = blas.dtrmm(1.0, lower[:half, :half], across, side=1, lower=1, overwrite_b=1)
