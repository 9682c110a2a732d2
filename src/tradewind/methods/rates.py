"""Rates of many units from few events: each drawn towards what units like it show, as far as its own data are thin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln

from tradewind.errors import BadInputError
from tradewind.methods.moments import numbers

Array = NDArray[np.float64]

STEPS = 50
RIDGE = 1e-3  # in units of the columns' own deviation: keeps columns that say the same apart
PLACES = 16  # of the coefficient of variation that are tried in one round
ROUNDS = 12  # of places, each closer to the likely ones than the one before; two or three are enough nearly always
NEAR = 10.0  # how far below the best a place may lie, in logarithms, and still count
CONSTANT = 1e-12  # of the largest value of a column: what rounding leaves of the deviation of a constant
LARGEST = 300.0  # logarithm of a rate over that of all units: beyond it numbers overflow


@dataclass(frozen=True)
class Drawn:
    """Rates of units: each a gamma distribution.

    Args:
        mean: [n] expected rate.
        shape: [n] shape of its distribution; its deviation is mean / √shape.
        like: [n] rate of units like it, before its own events.
        prior: Shape of the distribution of units' rates about those of units like them, at their expected coefficient
            of variation.
    """

    mean: Array
    shape: Array
    like: Array
    prior: float


class Rates:
    """Learns rates from events and exposures: events ~ Poisson(exposure × rate), rate ~ Gamma(shape) about exp(xβ).

    At one shape, β is the most likely one (a negative binomial regression), normal about it with the inverse of its
    information; a unit's rate is (events + shape) / (exposure + shape / like). How far units lie apart is not picked
    but averaged over: 1 / shape, their squared coefficient of variation c², is Exponential(1) before the data, so that
    c is neither nothing nor large (density 2c exp(−c²)), and its evidence is integrated on a grid of c. The
    distribution told of a unit is the gamma that has the mean and the variance of all this together.

    Args:
        widest: Smallest shape: how far apart units may lie at most.
        narrowest: Largest shape.

    Raises:
        BadInputError: If a setting is out of range.

    Reference:
        Cameron and Trivedi (1998), Regression analysis of count data, section 3.3.1 (NB2);
        Kass and Steffey (1989), Approximate Bayesian inference in conditionally independent hierarchical models,
        Journal of the American Statistical Association 84(407), section 3 (what is not known of β and the shape);
        Chung, Rabe-Hesketh, Dorie, Gelman and Liu (2013), A nondegenerate penalized likelihood estimator for variance
        parameters in multilevel models, Psychometrika 78(4), section 3 (a prior of c that is nothing at nothing).

    Examples:
        >>> found = Rates()([0, 3, 40], [100, 100, 1000])
        >>> bool(0 < found.mean[0] < 0.02)
        True
    """

    def __init__(self, widest: float = 0.05, narrowest: float = 1e4):
        low, high = (numbers(bound, "shape") for bound in (widest, narrowest))
        if low.shape != () or high.shape != () or not 0 < low < high < np.inf:
            raise BadInputError(
                "Settings out of range", got=(widest, narrowest), allowed="0 < widest < narrowest, finite"
            )
        self.widest, self.narrowest = float(low), float(high)

    def __call__(self, events: ArrayLike, exposure: ArrayLike, x: ArrayLike | None = None) -> Drawn:
        """Return the rates.

        Args:
            events: [n] events, 0 or more.
            exposure: [n] exposure, 0 or more; a unit without any has no events, and gets the rate of units like it.
            x: [n, columns] what makes units alike; none where left out.

        Raises:
            BadInputError: If lengths differ, a number is not finite or negative, there is no exposure or no event at
                all, or a unit has events without exposure.
        """
        y, t = numbers(events, "number of events"), numbers(exposure, "exposure")
        n = y.size
        given = np.zeros((n, 0)) if x is None else numbers(x, "column")
        if y.shape != (n,) or t.shape != (n,) or given.ndim != 2 or len(given) != n:
            raise BadInputError("The rows do not fit", got=(y.shape, t.shape, given.shape), allowed="one length")
        if not all(np.isfinite(part).all() for part in (y, t, given)) or (y < 0).any() or (t < 0).any():
            raise BadInputError("An event or an exposure cannot be used", allowed="finite numbers of 0 or more")
        if not (t > 0).any() or not (y > 0).any():
            raise BadInputError("There are no events or no exposure to learn a rate from", do="take a longer period")
        with np.errstate(over="ignore", under="ignore"):  # what overflows is refused
            overall = y.sum() / t.sum()
            expected = t / t.sum() * y.sum()  # were all rates alike: so that units of exposure do not matter
        if not 0 < overall < np.inf:
            raise BadInputError("Events and exposure are too large or too small to compute a rate", got=float(overall))
        seen = expected > 0
        if (y[~seen] > 0).any():
            raise BadInputError(
                "A unit has events without exposure", got=f"{int((y[~seen] > 0).sum())} of {n} units",
                allowed="no events where the exposure is 0",
                do="leave its events out, or count the exposure that they came from",
            )  # fmt: skip
        columns = _columns(given)
        grid, weight, fits = self._places(y[seen], expected[seen], columns[seen])
        mean, like, square, variance = np.zeros((4, n))
        for part, spread, fit in zip(weight, grid, fits, strict=True):
            shape, usual = spread**-2, np.exp(np.clip(columns @ fit.slope, -LARGEST, LARGEST))
            precision = expected + shape / usual
            told = (y + shape) / precision
            pull = told * shape / usual / precision  # how the unit's rate follows that of its like
            mean += part * told
            like += part * usual
            square += part * told**2
            variance += part * (told / precision + pull**2 * ((columns @ fit.covariance) * columns).sum(axis=1))
        variance += np.maximum(square - mean**2, 0.0)
        return Drawn(mean * overall, mean**2 / variance, like * overall, float((weight @ grid) ** -2))

    def _places(self, y: Array, t: Array, x: Array) -> tuple[Array, Array, list[_Fit]]:
        """Coefficients of variation, how likely each is, and the regression at each.

        A round of places shows where the likely ones lie; the next covers these only, until they are close enough.
        """
        low, high = self.narrowest**-0.5, self.widest**-0.5
        slope = np.zeros(x.shape[1])
        for _ in range(ROUNDS):
            grid, fits = np.linspace(low, high, PLACES), []
            for spread in grid.tolist():
                fits.append(_fit(y, t, x, spread**-2, slope))
                slope = fits[-1].slope
            told = np.array([fit.evidence for fit in fits]) + np.log(grid) - grid**2
            near = np.flatnonzero(told > told.max() - NEAR)
            if len(near) >= PLACES / 2:
                break
            low, high = grid[max(near[0] - 1, 0)], grid[min(near[-1] + 1, PLACES - 1)]
            slope = fits[int(np.argmax(told))].slope
        weight = np.exp(told - told.max())
        weight[[0, -1]] /= 2
        return grid, weight / weight.sum(), fits


@dataclass(frozen=True)
class _Fit:
    """The regression at one shape."""

    slope: Array
    covariance: Array
    evidence: float


def _fit(y: Array, t: Array, x: Array, shape: float, slope: Array) -> _Fit:
    """Newton's steps for the slopes at one shape, and the evidence of that shape by Laplace's approximation."""
    ridge = np.diag(np.append(0.0, np.full(x.shape[1] - 1, RIDGE * len(y))))
    for _ in range(STEPS):
        mean = t * np.exp(np.clip(x @ slope, -LARGEST, LARGEST))
        push = x.T @ ((y - mean) / (1 + mean / shape)) - ridge @ slope
        weight = mean * (1 + y / shape) / (1 + mean / shape) ** 2
        information = (x * weight[:, None]).T @ x + ridge + 1e-9 * np.eye(x.shape[1])
        step = np.linalg.solve(information, push)
        step *= min(1.0, 1.0 / max(float(np.abs(step).max()), 1e-300))
        slope = slope + step
        if float(np.abs(step).max()) < 1e-6:
            break
    logs = np.log(t) + np.clip(x @ slope, -LARGEST, LARGEST) - np.log(shape)
    told = gammaln(y + shape) - gammaln(shape) + y * logs - (y + shape) * np.logaddexp(0.0, logs)
    evidence = told.sum() - 0.5 * (slope @ ridge @ slope + np.linalg.slogdet(information)[1])
    return _Fit(slope, np.asarray(np.linalg.inv(information), float), float(evidence))


def _columns(given: Array) -> Array:
    """Return a one and the columns in units of their own deviation; of a constant nothing is left."""
    size = np.abs(given).max(axis=0, initial=0.0)
    scaled = given / np.where(size > 0, size, 1.0)
    away = scaled - scaled.mean(axis=0)
    deviation = away.std(axis=0)
    varies = deviation > CONSTANT
    return np.column_stack([np.ones(len(given)), np.where(varies, away, 0.0) / np.where(varies, deviation, 1.0)])


__all__ = ["Drawn", "Rates"]
