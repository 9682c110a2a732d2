"""Gains of single units, right on average: how sure their means are, and what they say of predicted effects."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit
from sklearn.isotonic import IsotonicRegression

from tradewind.errors import BadInputError
from tradewind.methods.crossfit import Folds
from tradewind.methods.moments import enough
from tradewind.methods.uplift_outcome import Expected, Kind, noise
from tradewind.study import Estimate

Array = NDArray[np.float64]
Rows = NDArray[np.int64]
Mask = NDArray[np.bool_]

BETTER = 1.645  # standard errors by which a calibration must help units held out
ALIKE = 1e-12  # share of the gains' squares below which predicted effects do not differ
ROUNDING = 1e-9  # share of the gains' squares below which a calibration does not help


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

    def draw(self, arm: int, kept: Mask, level: float) -> Draw:
        """Return by what chance the kept units came into an arm or none."""
        place = np.where(self.arm == arm, 1, np.where(self.arm == 0, 0, -1))
        expected = np.where(self.arm == arm, self.mean(arm), self.mean(0))
        return Draw(
            place[kept], self.chances[kept][:, [0, arm]].T, (self.y - expected)[kept], self.folds.cluster[kept], level
        )

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


@dataclass(frozen=True)
class Draw:
    """By what chance units came into two arms, and so how sure a weighted mean of their gains is.

    The spread is that between clusters. Units were drawn one by one, or clusters as a whole where none has units in
    both arms; an arm is never taken to vary less than both arms together, as in `moments.contrast`: a small arm of rare
    and large amounts seldom holds one, and then seems to vary little.

    Args:
        arm: [n] 1 where treated, 0 where not, -1 where in neither arm.
        chance: [2, n] chance of each arm; inside (0, 1) for the units in an arm.
        left: [n] outcome less what was expected under the unit's arm.
        cluster: [n] number of each unit's cluster, from 0.
        level: Probability with which each interval is meant to hold the truth, in (0, 1).

    Raises:
        BadInputError: If so few were drawn that nothing can be told.

    Reference:
        Welch (1947) and Satterthwaite (1946) for the degrees of freedom.
    """

    arm: Rows
    chance: Array
    left: Array
    cluster: Rows
    level: float

    def __post_init__(self) -> None:
        units = [int(np.sum(self.arm == a)) for a in (0, 1)]
        enough(units[0], units[1], self.level)
        if self.whole:
            untreated, treated = self.counts
            enough(untreated, treated, self.level, "clusters" if self.counts != units else "units")
        elif len(self.names) < 2:
            raise BadInputError("All units are in one cluster", allowed="two clusters or more")

    @cached_property
    def names(self) -> Rows:
        """The clusters that occur."""
        return np.unique(self.cluster)

    @cached_property
    def within(self) -> Mask:
        """[2, clusters] whether a cluster has units of an arm."""
        return np.array([np.bincount(self.cluster, self.arm == a) > 0 for a in (0, 1)])

    @property
    def counts(self) -> list[int]:
        """By arm, the clusters with units in it."""
        return [int(count) for count in self.within.sum(axis=1)]

    @cached_property
    def whole(self) -> bool:
        """Whether no cluster has units in both arms."""
        return not self.within.all(axis=0).any()

    def estimate(self, mid: float, influence: Array, weight: tuple[Array, Array] | float = 1.0) -> Estimate:
        """Return a weighted mean of gains with its interval by Student's t.

        Args:
            mid: The mean.
            influence: [n] influence of each unit on it, times n.
            weight: By arm, [n] with which weight what is left of an outcome comes into it.
        """
        size = len(self.names)
        sums = np.bincount(self.cluster, influence)
        times = np.full(len(sums), size / (size - 1))
        parts, own = np.zeros(2), np.zeros(2)
        drawn = self.cluster if self.whole else np.arange(len(self.arm))
        both = np.where(self.arm >= 0, self.chance.sum(axis=0), 1.0)
        weights = (weight, weight) if isinstance(weight, float) else weight
        for a, count in enumerate(self.counts):
            if self.whole:
                times[self.within[a]] = count / (count - 1)
            here = self.arm == a
            chance = np.where(self.arm >= 0, self.chance[a], 1.0)
            left = weights[a] * np.where(self.arm >= 0, self.left, 0.0)
            alone = np.bincount(drawn, np.where(here, left / chance, 0.0))
            pooled = np.bincount(drawn, left / np.sqrt(chance * both))
            own[a] = alone @ alone
            parts[a] = max(own[a], pooled @ pooled)
        variance = times @ sums**2 + (parts - own).sum()
        freedom = size - 1.0
        if self.whole:
            shares = parts / parts.sum() if parts.sum() > 0 else np.ones(2)
            freedom = float(1 / (shares**2 / (np.array(self.counts) - 1)).sum())
        return interval(mid, float(np.sqrt(variance)) / len(self.arm), freedom, self.level)


def interval(mid: float, error: float, freedom: float, level: float) -> Estimate:
    """Return an estimate with its interval by Student's t."""
    reach = float(stdtrit(freedom, (1 + level) / 2)) * error
    return Estimate(mid, mid - reach, mid + reach, level)


def refuse_still(arm: Rows, y: Array, treated: int = 1) -> None:
    """Raise `BadInputError` where the outcome [n] is the same for all of an arm, and the same for all of none."""
    if all(np.ptp(y[arm == a]) == 0 for a in (0, treated)):
        raise BadInputError(
            "The outcome is the same for everybody in an arm, so that there is no chance to judge by",
            got=f"{float(y[arm == 0][0])} untreated, {float(y[arm == treated][0])} treated",
            do="take an outcome that differs among those treated alike, or leave the arm out",
        )  # fmt: skip


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
    # What was learnt without a fold is high where the fold is low: only within folds do effects and gains compare.
    about, above = (_within(values, weight, fold) for values in (said, gain))
    square, whole = float(weight @ about**2), float(weight @ gain**2)
    if square <= ALIKE * whole:
        return None, 0.0, 0.0  # one effect for all: nothing to calibrate
    slope = float(weight @ (about * above)) / square
    rest = weight * about * (above - slope * about)
    sums = np.bincount(cluster, weights=rest)
    error = float(np.sqrt(sums @ sums)) / square
    won = np.zeros(len(said))
    for k in np.unique(fold):
        own = fold == k
        other = np.interp(said[own], *_corners(said[~own], gain[~own], weight[~own]))
        won[own] = weight[own] * ((gain[own] - said[own]) ** 2 - (gain[own] - other) ** 2)
    sums = np.bincount(cluster, weights=won)
    helps = float(sums.sum()) > max(BETTER * float(np.sqrt(sums @ sums)), ROUNDING * whole)
    return (_corners(said, gain, weight) if helps else None), slope, error


def _within(values: Array, weight: Array, fold: NDArray[np.int8]) -> Array:
    """Return values [m] less their weighted mean in their fold."""
    mass = np.maximum(np.bincount(fold, weight), 1e-300)
    return np.asarray(values - (np.bincount(fold, weight * values) / mass)[fold])


def _corners(said: Array, gain: Array, weight: Array) -> tuple[Array, Array]:
    """Return the middles of the blocks of the isotonic regression: lines between them keep the order inside blocks."""
    level = IsotonicRegression(out_of_bounds="clip").fit(said, gain, weight).predict(said)
    values, block = np.unique(level, return_inverse=True)
    mass = np.bincount(block, weights=weight)
    return np.bincount(block, weights=weight * said) / mass, values
