"""Additive regression: lines, bends, levels and pairs, each shrunk by how much the data says of it.

A mean is written as a constant, a line in every number, bends in it at its quantiles, an effect of every level of a
category, and products of pairs. The coefficients of one block share a normal law around zero, whose spread is found by
maximising the evidence: a block of which the data knows nothing is shrunk to nothing, and what is left is its prior.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

Array = NDArray[np.float64]
Design = NDArray[np.float32]

KNOTS = 10  # bends of a number, at quantiles that lie denser towards both ends, where little else holds a curve
CLIP = 0.0005  # share of a number's rows beyond which it counts as no farther: nothing is extrapolated
MOST_LEVELS = 30  # levels of a category with an effect of their own
PAIRED_LEVELS = 8  # a category of more levels takes no part in pairs
MOST_PAIRS = 300  # beyond this, pairs are left to trees
CHUNK = 8_192  # rows of the design that are held at once
SAMPLE = 50_000  # rows from which the centres of columns are taken
STEPS = 60  # of the search for the spreads
FIXED = 1e6  # prior variance, in units of the outcome's, of what is not shrunk
LEAST = 1e-7  # share of the outcome's variance below which a block counts as nothing

LINES, BENDS, LEVELS, PAIRS = range(4)


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
        """Return the standardised values [n], zero where missing."""
        return np.nan_to_num((np.clip(x[:, self.column], self.low, self.high) - self.centre) / self.scale)


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
        pairs: [pairs, 2] which two of the line and level columns are multiplied.
        centres: [columns] what is taken off each column, so that the constant is the mean.
        block: [columns] which block each column belongs to.
    """

    numbers: tuple[_Number, ...]
    categories: tuple[_Category, ...]
    pairs: NDArray[np.int64]
    centres: Array
    block: NDArray[np.int64]

    @classmethod
    def of(cls, x: Array, categorical: Sequence[int] = (), pairs: bool = True) -> Basis:
        """Return the basis that fits features.

        Args:
            x: [n, p] features, NaN where missing.
            categorical: Which of them are categories, coded as numbers.
            pairs: Whether to multiply features with each other.
        """
        numbers, categories = [], []
        for j in range(x.shape[1]):
            column = x[:, j]
            seen = column[np.isfinite(column)]
            if len(seen) == 0:
                continue
            if j in categorical:
                levels, count = np.unique(seen, return_counts=True)
                if len(levels) > 1 or len(seen) < len(column):
                    categories.append(_Category(j, levels[np.argsort(-count, kind="stable")][:MOST_LEVELS]))
                continue
            number = _number(j, seen, len(seen) < len(column))
            if number is not None:
                numbers.append(number)
        basis = cls(tuple(numbers), tuple(categories), np.empty((0, 2), np.int64), np.empty(0), np.empty(0, np.int64))
        source = [n.column for n in numbers]
        source += [c.column if len(c.levels) <= PAIRED_LEVELS else -1 for c in categories for _ in c.levels]
        index = np.array([(i, k) for i in range(len(source)) for k in range(i) if -1 < source[i] != source[k] > -1])
        if pairs and 0 < len(index) <= MOST_PAIRS:
            basis = cls(basis.numbers, basis.categories, index, basis.centres, basis.block)
        block = (
            [LINES] * len(numbers)
            + [LEVELS] * sum(len(c.levels) for c in categories)
            + [LINES] * sum(n.missing for n in numbers)
            + [BENDS] * sum(len(n.knots) for n in numbers)
            + [PAIRS] * len(basis.pairs)
        )
        basis = cls(basis.numbers, basis.categories, basis.pairs, np.zeros(len(block)), np.array(block, np.int64))
        centres = basis.design(x[:: -(-len(x) // SAMPLE)]).mean(axis=0, dtype=np.float64)
        return cls(basis.numbers, basis.categories, basis.pairs, centres, basis.block)

    def design(self, x: Array) -> Design:
        """Return the centred columns [n, columns] of features [n, p]."""
        return self._into(np.empty((len(self.block), len(x)), np.float32), x).T

    def full(self, x: Array, beside: Array | None = None) -> Design:
        """Return the constant, the columns [n, k] beside the basis, and its centred columns, [n, 1 + k + columns]."""
        extra = 0 if beside is None else beside.shape[1]
        out = np.empty((1 + extra + len(self.block), len(x)), np.float32)
        out[0] = 1
        if beside is not None:
            out[1 : 1 + extra] = beside.T
        self._into(out[1 + extra :], x)
        return out.T

    def _into(self, out: Design, x: Array) -> Design:
        """Fill the centred columns [columns, n] of features [n, p]: each lies in one piece, which is fast to fill."""
        at = 0
        for number in self.numbers:
            out[at] = number.line(x)
            at += 1
        for category in self.categories:
            for level in category.levels:
                out[at] = x[:, category.column] == level
                at += 1
        for number in self.numbers:
            if number.missing:
                out[at] = 2.0 * np.isnan(x[:, number.column])
                at += 1
        for place, number in enumerate(self.numbers):
            for knot in number.knots:
                np.maximum(out[place] - np.float32(knot), 0, out=out[at])
                at += 1
        for first, second in self.pairs:
            np.multiply(out[first], out[second], out=out[at])
            at += 1
        out -= self.centres.astype(np.float32)[:, None]
        return out


def _number(column: int, seen: Array, missing: bool) -> _Number | None:
    """Return how a number enters, None where it never varies."""
    sample = seen if len(seen) <= 200_000 else seen[:: len(seen) // 100_000]
    distinct = np.unique(sample)
    if len(distinct) == 1 and not missing:
        distinct = np.unique(seen)
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
        covariance: [d, d] of their posterior law.
        prior: [d] prior variance of each; very large for what is not shrunk.
        noise: Variance of what is left.
    """

    basis: Basis
    coefficients: Array
    covariance: Array
    prior: Array
    noise: float

    def predict(self, x: Array, beside: Array | None = None) -> Array:
        """Return the mean [n] at features [n, p], with the columns [n, k] beside the basis it was fitted with."""
        out = np.empty(len(x))
        for rows in _chunks(len(x)):
            full = self.basis.full(x[rows], None if beside is None else beside[rows])
            out[rows] = self.coefficients[0] + full[:, 1:] @ self.coefficients[1:].astype(np.float32)
        return out


def additive(
    basis: Basis, x: Array, y: Array, weight: Array | None = None, beside: Array | None = None, inflation: float = 1.0
) -> Additive:
    """Return the regression of an outcome on features; arguments as for `moments` and `shrink`."""
    centre = float(np.average(y, weights=weight))  # taken off first: columns are in single precision
    found = shrink(basis, moments(basis, x, y - centre, weight, beside), inflation)
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
    width = 1 + (0 if beside is None else beside.shape[1]) + len(basis.block)
    gram, cross = np.zeros((width, width)), np.zeros(width)
    for rows in _chunks(len(x)):
        full = basis.full(x[rows], None if beside is None else beside[rows])
        if weight is None:
            cross += full.T @ y[rows].astype(np.float32)
        else:
            root = np.sqrt(weight[rows]).astype(np.float32)
            full *= root[:, None]
            cross += full.T @ (root * y[rows].astype(np.float32))
        gram += full.T @ full
    times = np.ones(len(y)) if weight is None else weight
    return Moments(float(times.sum()), gram, cross, float(times @ y**2))


def shrink(basis: Basis, known: Moments, inflation: float = 1.0) -> Additive:
    """Return the regression whose blocks are shrunk as the evidence says.

    Args:
        basis: The columns.
        known: The moments of the rows that teach.
        inflation: How many times the noise of sums exceeds that of independent rows, as where rows come in clusters.

    Reference:
        MacKay (1992), Bayesian interpolation, Neural Computation 4(3), equations 3.10 to 3.12, one spread per block.
    """
    fixed = len(known.gram) - len(basis.block)
    group = np.concatenate([np.full(fixed, -1), basis.block])
    mean = known.cross[0] / known.count
    spread = known.square / known.count - mean**2
    if spread <= 1e-12 * mean**2:  # a constant
        width = len(known.gram)
        return Additive(basis, np.eye(1, width)[0] * mean, np.zeros((width, width)), np.zeros(width), 0.0)
    # The start: every block explains a tenth of the spread.
    prior = np.full(len(group), FIXED * spread)
    scale = np.maximum(np.diag(known.gram) / known.count, 1e-12)
    names = [int(b) for b in np.unique(basis.block)]
    for b in names:
        prior[group == b] = 0.1 * spread / scale[group == b].sum()
    noise = spread * inflation
    for _ in range(STEPS):
        covariance = _inverse(known.gram / noise + np.diag(1 / prior))
        coefficients = covariance @ (known.cross / noise)
        certain = 1 - np.diag(covariance) / prior  # how far each coefficient is the data's rather than the prior's
        before = prior.copy()
        for b in names:
            own = group == b
            prior[own] = max(
                float(coefficients[own] @ coefficients[own]) / max(certain[own].sum(), 1e-9),
                LEAST * spread / scale[own].sum(),
            )
        left = known.square - 2 * coefficients @ known.cross + coefficients @ known.gram @ coefficients
        noise = max(left / max(known.count - certain.sum(), 1.0), 1e-12 * spread) * inflation
        if np.all(np.abs(np.log(prior / before))[group >= 0] < 0.02):
            break
    return Additive(basis, coefficients, covariance, prior, float(noise))


def _inverse(matrix: Array) -> Array:
    # Scaled to a unit diagonal, so that priors of very different size do not cost digits.
    root = 1 / np.sqrt(np.diag(matrix))
    inner: Array = cho_solve(cho_factor(matrix * np.outer(root, root), lower=True), np.eye(len(matrix)))
    return inner * np.outer(root, root)
