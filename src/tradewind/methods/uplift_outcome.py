"""What units do anyhow: the outcome's kind, its mean given features, and how its noise grows with the mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tradewind.methods.crossfit import Crossfit, Folds, Nuisance
from tradewind.methods.learner import Mean

Array = NDArray[np.float64]
Kind = Literal["binary", "amount", "zero-inflated", "real"]

ZEROS = 0.3  # share of zeros from which an amount is taken in two parts
POSITIVES = 100  # outcomes above zero that the second part needs
BINS = 20  # groups of units in which noise is held against the mean
REACH = 10.0  # noise is at most so many times the median's, and at least one over it


def kind_of(y: Array) -> Kind:
    """Return the kind of outcomes [n].

    Yes or no; an amount from 0 on, such as a count or money; one that is mostly zero; or any number.
    """
    if np.isin(y, (0.0, 1.0)).all():
        return "binary"
    if y.min() < 0:
        return "real"
    return "zero-inflated" if np.mean(y == 0) >= ZEROS and np.sum(y > 0) >= POSITIVES else "amount"


@dataclass(frozen=True)
class Expected:
    """The mean of an outcome given features.

    Args:
        values: [n] out of fold.
        size: The mean; of a zero-inflated outcome the mean of what is above zero.
        chance: Of a zero-inflated outcome, the chance that it is above zero.
    """

    values: Array
    size: Nuisance
    chance: Nuisance | None

    @property
    def above(self) -> Expected | None:
        """The chance of being above zero as an outcome of its own, where it was learnt."""
        return None if self.chance is None else Expected(self.chance.values.mean(axis=0), self.chance, None)

    def predict(self, x: Array) -> tuple[Array, Array]:
        """Return the mean [m] at features [m, p], and the variance [m] that learning leaves it with."""
        size, variance = self.size.predict(x), _variance(self.size, x)
        if self.chance is None:
            return size, variance
        chance = self.chance.predict(x)
        return chance * size, chance**2 * variance + size**2 * _variance(self.chance, x)


def _variance(nuisance: Nuisance, x: Array) -> Array:
    models = [model for model in nuisance.models if isinstance(model, Mean)]
    return np.asarray(np.mean([model.variance(x) for model in models], axis=0))


def expected(
    crossfit: Crossfit, folds: Folds, x: Array, y: Array, kind: Kind, among: NDArray[np.bool_] | None = None
) -> Expected:
    """Return the mean of an outcome given features; a zero-inflated one as a chance times a size.

    Args:
        crossfit: How to learn.
        folds: The folds of the units.
        x: [n, p] features.
        y: [n] outcomes.
        kind: Their kind.
        among: [n] which units teach.
    """
    above = y > 0 if among is None else among & (y > 0)
    if kind != "zero-inflated" or above.sum() < POSITIVES:
        size = crossfit.mean(folds, x, y, among=among)
        return Expected(size.values.mean(axis=0), size, None)
    chance = crossfit.mean(folds, x, (y > 0).astype(float), among=among)
    size = crossfit.mean(folds, x, y, among=above)
    return Expected((chance.values * size.values).mean(axis=0), size, chance)


def noise(kind: Kind, mean: Array, error: Array) -> Array:
    """Return the variance [n] of outcomes around their mean [n], up to a factor, given their errors [n].

    Of a yes or no it is m(1 − m); of an amount it is a power of the mean, m^b with b between 0 and 2 (a count has 1,
    money of a few buyers between 1 and 2), read from groups of units; of any number it is taken as constant.
    """
    if kind == "binary":
        held = np.clip(mean, 0.0, 1.0)
        variance = held * (1 - held)
    elif kind == "real":
        variance = np.ones(len(mean))
    else:
        held = np.maximum(mean, max(float(np.quantile(mean, 0.05)), 1e-3 * float(mean.mean())))
        groups = np.array_split(np.argsort(held, kind="stable"), min(BINS, len(held)))
        level = np.log([held[rows].mean() for rows in groups])
        square = np.log([max(float(np.mean(error[rows] ** 2)), 1e-300) for rows in groups])
        spread = float(np.var(level))
        power = float(np.cov(level, square, bias=True)[0, 1]) / spread if spread > 1e-6 else 0.0
        variance = held ** np.clip(power, 0.0, 2.0)
    middle = float(np.median(variance))
    return np.clip(variance / middle, 1 / REACH, REACH) if middle > 0 else np.ones(len(mean))
