"""Standing out: which parts of a whole moved on their own, beyond what chance and the rest explain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import t as student

from tradewind.errors import BadInputError
from tradewind.methods.localise_cube import Quiet, fit_noise, quotient

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

WINDOW = 4  # earlier periods from which a part's usual share is taken
FEWEST = 3  # one-step misses without which nothing is called normal
PRIOR = 5.0  # misses that the noise of all parts counts for beside a part's own
SMALLEST = 0.005  # share of the whole below which a part is not worth a word


@dataclass(frozen=True)
class Part:
    """A part that moved on its own.

    Args:
        dimension: What the whole was split by.
        value: Which part.
        actual: The part now.
        expected: What it would be had it moved as the rest did.
        score: Change over its noise, in standard deviations.
        chance: Probability that noise alone would give so large a score in any part of any dimension; at most 1.
    """

    dimension: str
    value: str
    actual: float
    expected: float
    score: float
    chance: float

    @property
    def change(self) -> float:
        """Actual less expected."""
        return self.actual - self.expected


class Standout:
    """Find the parts of a whole that moved on their own.

    Each part is set against the rest of its dimension: its usual share beside the rest, over the four periods before, says what it
    would be. How far such a forecast usually misses is learnt from the earlier periods, forecast the same way: noise that
    grows with the part's size, fitted over all parts, and drawn towards each part's own misses. A part is told where its
    miss now has a chance below the allowance, shared out over the dimensions and then over the parts of each (Bonferroni).
    The clearest part is taken out before the others are looked at again, so that a fall of one is not read as a rise of all
    others; parts that moved the way of the whole come first.

    Args:
        chance: Probability, in (0, 1), that anything is told where nothing happened.
        most: Most parts to tell of one dimension.

    Raises:
        BadInputError: If a setting is out of its range.

    Reference:
        Brodersen et al. (2015), Inferring causal impact using Bayesian structural time-series models (the rest as control);
        Smyth (2004), Linear models and empirical Bayes methods, eq. 3 (variances drawn together).
    """

    def __init__(self, *, chance: float = 0.025, most: int = 8):
        if not 0 < chance < 1 or most < 1:
            raise BadInputError("Chance is a probability and most a count", got=(chance, most), allowed="0 to 1; 1 on")
        self.chance = chance
        self.most = most

    def __call__(
        self, wholes: Mapping[str, tuple[Sequence[str], ArrayLike]], direction: float = 0.0, skip: Sequence[str] = ()
    ) -> list[Part]:
        """Return the parts that stand out, the clearest first.

        Args:
            wholes: By dimension, the names of its parts and their values [parts, periods], oldest first, the last one now; in
                any unit.
            direction: Change of the whole; parts that moved the same way come first.
            skip: Names that count in the whole but are no part to tell of.

        Raises:
            BadInputError: If values are not [parts, periods] of finite numbers.
        """
        found: list[Part] = []
        for dimension, (names, values) in wholes.items():
            table = np.asarray(values, np.float64)
            if table.ndim != 2 or len(table) != len(names) or not np.isfinite(table).all():
                raise BadInputError(
                    "Parts are finite numbers by part and period", got=table.shape, allowed=f"({len(names)}, periods)"
                )
            if table.shape[1] > FEWEST + 1 and len(names) > 1:
                told = np.array([name not in skip for name in names])
                found += self._of(dimension, list(names), table, told, self.chance / len(wholes), direction)
        return sorted(found, key=lambda part: (part.change * direction < 0, part.chance, -abs(part.score)))

    def _of(
        self, dimension: str, names: list[str], table: Floats, told: Bools, chance: float, direction: float
    ) -> list[Part]:
        """Return the parts of one dimension, the clearest first."""
        left = np.ones(len(names), bool)
        noise = _noise(table)
        large = table[:, -WINDOW - 1 :].max(axis=1) >= SMALLEST * table[:, -WINDOW - 1 :].sum() / (WINDOW + 1)
        count = int((told & large).sum())
        found: list[Part] = []
        while noise is not None and len(found) < self.most and left.sum() > 1:
            expected = _expected(table, table.shape[1] - 1, left)
            spread = np.sqrt(np.maximum(noise(expected), 1e-12 * max(float(np.abs(table).max()) ** 2, 1e-12)))
            score = quotient(table[:, -1] - expected, spread)
            allowed = 2 * student.sf(np.abs(score), noise.freedom) * max(count, 1)
            usable = left & told & large & (expected > 0) & (allowed < chance)
            if not usable.any():
                break
            same = usable & (score * direction >= 0)
            best = int(np.argmax(np.where(same if same.any() else usable, np.abs(score), -1.0)))
            found.append(
                Part(
                    dimension, names[best], float(table[best, -1]), float(expected[best]), float(score[best]),
                    min(1.0, float(allowed[best]) * self.chance / chance),
                )
            )  # fmt: skip
            left[best] = False
        return found


@dataclass(frozen=True)
class _Noise:
    """How far one-step forecasts of each part miss: level and growth with size, and each part's own factor."""

    level: float
    growth: float
    factor: Floats
    freedom: float

    def __call__(self, expected: Floats) -> Floats:
        size = np.maximum(np.abs(expected), 0.0)
        return np.asarray(size * (self.level + self.growth * size) * self.factor)


def _expected(table: Floats, period: int, left: Bools) -> Floats:
    """Return what each part would be in a period had it moved as the rest of those left did, [parts]."""
    before = table[:, max(0, period - WINDOW) : period].sum(axis=1)
    now = table[:, period]
    rest, rest_now = before[left].sum() - before, now[left].sum() - now
    return np.asarray(np.where(left, np.where(rest > 0, quotient(before * rest_now, rest), 0.0), 0.0))


def _noise(table: Floats) -> _Noise | None:
    """Return the noise of one-step forecasts in the periods before the last; None where there are too few."""
    every = np.ones(len(table), bool)
    periods = range(2, table.shape[1] - 1)
    if len(periods) < FEWEST:
        return None
    expected = np.stack([_expected(table, period, every) for period in periods], axis=1)
    misses = (table[:, 2:-1] - expected) ** 2
    size = np.abs(expected)
    kept = size.ravel() > 0
    leaf = np.repeat(np.arange(len(table)), size.shape[1])[kept]
    level, growth = fit_noise(Quiet(misses.ravel()[kept], size.ravel()[kept], size.ravel()[kept], leaf))
    usual = size * (level + growth * size)
    own = np.where(usual > 0, quotient(misses, usual), 1.0).sum(axis=1)
    factor = (PRIOR + own) / (PRIOR + size.shape[1])
    return _Noise(level, growth, np.maximum(factor, 0.5), PRIOR + size.shape[1])
