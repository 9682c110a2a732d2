"""Gains of single units, right on average, and what they say of predicted effects."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression

from tradewind.methods.crossfit import Folds
from tradewind.methods.uplift_outcome import Expected, Kind, noise

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

BETTER = 1.645  # standard errors by which a calibration must help units held out


@dataclass(frozen=True)
class Observed:
    """What was observed of units, and what was expected of them.

    Args:
        x: [n, p] features.
        arm: [n] arm, 0 for none.
        y: [n] outcomes.
        chances: [n, arms] chances of each arm.
        folds: The folds of the cross-fitting.
        kind: Kind of outcome.
        known: The outcome expected over all arms.
        by_arm: The outcome expected under each arm; None where chances are known, which makes it needless.
    """

    x: Array
    arm: NDArray[np.int64]
    y: Array
    chances: Array
    folds: Folds
    kind: Kind
    known: Expected
    by_arm: list[Expected] | None

    def above(self) -> Observed:
        """Return the same of the chance that a zero-inflated outcome is above zero."""
        known = self.known.above or self.known
        by_arm = None if self.by_arm is None else [part.above or known for part in self.by_arm]
        return replace(self, y=(self.y > 0).astype(float), kind="binary", known=known, by_arm=by_arm)

    def share(self, arm: int) -> Array:
        """Return the chance [n] of an arm rather than none."""
        both = self.chances[:, arm] + self.chances[:, 0]
        return np.divide(self.chances[:, arm], both, out=np.zeros(len(both)), where=both > 0)

    def mean(self, arm: int) -> Array:
        """Return the outcome [n] expected under an arm.

        Where chances are known, the mean over all arms does as well as one of the arm's own, since what it gets wrong
        cancels; it is moved to the arm's level.
        """
        if self.by_arm is not None:
            return self.by_arm[arm].values
        own = self.arm == arm
        error = (self.y - self.known.values)[own]
        return np.asarray(self.known.values + np.average(error, weights=1 / self.chances[own, arm]))

    def gains(self, arm: int) -> Array:
        """Return doubly robust gains [n] of an arm over none; without meaning where a chance is 0."""
        one, none = self.mean(arm), self.mean(0)
        out = one - none
        for a, mean, sign in ((arm, one, 1.0), (0, none, -1.0)):
            own = self.arm == a
            out[own] += sign * (self.y - mean)[own] / self.chances[own, a]
        return out

    def pair(self, arm: int, learner: str) -> tuple[Array, Array]:
        """Return gains [n] and precisions [n] for units of the arm and of none; without meaning for others."""
        chance = np.clip(self.share(arm), 1e-12, 1 - 1e-12)
        t = (self.arm == arm).astype(float)
        one, none = self.mean(arm), self.mean(0)
        around = noise(self.kind, self.known.values, self.y - self.known.values)
        if learner == "r":
            rest = t - chance
            return (self.y - chance * one - (1 - chance) * none) / rest, rest**2 / around
        gain = one - none + np.where(t == 1, (self.y - one) / chance, -(self.y - none) / (1 - chance))
        return gain, chance * (1 - chance) / around


def equal_weight(weight: Array) -> float:
    """Return the number of units of equal weight that would tell as much (Kish)."""
    return float(weight.sum() ** 2 / (weight @ weight))


def not_falling(values: Array, weight: Array) -> Array:
    """Return the closest values [n, k] that do not fall along k, by weighted squares.

    Isotonic regression in its closed form: the greatest over i ≤ k of the least over j ≥ k of the means over i..j.
    """
    count = values.shape[1]
    out = np.empty_like(values)
    for k in range(count):
        over = []
        for i in range(k + 1):
            means = [
                (values[:, i : j + 1] * weight[:, i : j + 1]).sum(axis=1) / weight[:, i : j + 1].sum(axis=1)
                for j in range(k, count)
            ]
            over.append(np.min(means, axis=0))
        out[:, k] = np.max(over, axis=0)
    return out


def calibration(
    said: Array, gain: Array, weight: Array, data: Observed, two: Mask
) -> tuple[tuple[Array, Array] | None, float, float]:
    """Return the calibration that units held out ask for, and the slope of gains on effects with its error.

    Args:
        said: [m] effects out of fold.
        gain: [m] gains of the same units.
        weight: [m] their precisions.
        data: All units.
        two: [n] which of them these are.
    """
    fold, cluster = data.folds.held[0][two], data.folds.cluster[two]
    about = said - np.average(said, weights=weight)
    square = float(weight @ about**2)
    if square <= 1e-18 * float(weight @ gain**2):
        return None, 0.0, 0.0  # one effect for all: nothing to calibrate
    slope = float(weight @ (about * gain)) / square
    rest = weight * about * (gain - np.average(gain, weights=weight) - slope * about)
    sums = np.bincount(cluster, weights=rest)
    error = float(np.sqrt(sums @ sums)) / square
    won = np.zeros(len(said))
    for k in np.unique(fold):
        own = fold == k
        other = np.interp(said[own], *_corners(said[~own], gain[~own], weight[~own]))
        won[own] = weight[own] * ((gain[own] - said[own]) ** 2 - (gain[own] - other) ** 2)
    sums = np.bincount(cluster, weights=won)
    helps = float(sums.sum()) > BETTER * float(np.sqrt(sums @ sums))
    return (_corners(said, gain, weight) if helps else None), slope, error


def _corners(said: Array, gain: Array, weight: Array) -> tuple[Array, Array]:
    """Return the middles of the blocks of the isotonic regression: lines between them keep the order inside blocks."""
    level = IsotonicRegression(out_of_bounds="clip").fit(said, gain, weight).predict(said)
    values, block = np.unique(level, return_inverse=True)
    mass = np.bincount(block, weights=weight)
    return np.bincount(block, weights=weight * said) / mass, values
