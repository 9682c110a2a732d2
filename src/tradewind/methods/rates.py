"""Rates of many units from few events: each drawn towards what units like it show, as far as its own data are thin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar
from scipy.special import gammaln

from tradewind.errors import BadInputError

Array = NDArray[np.float64]

STEPS = 50
RIDGE = 1e-3  # in units of the columns' own deviation: keeps columns that say the same apart


@dataclass(frozen=True)
class Drawn:
    """Rates of units: each a gamma distribution.

    Args:
        mean: [n] expected rate.
        shape: [n] shape of its distribution; its deviation is mean / √shape.
        like: [n] rate of units like it, before its own events.
        prior: Shape of the distribution of units' rates about those of units like them.
    """

    mean: Array
    shape: Array
    like: Array
    prior: float


class Rates:
    """Learns rates from events and exposures: events ~ Poisson(exposure × rate), rate ~ Gamma about exp(xβ).

    The slopes β and how far units lie apart are those under which the events are most likely (a negative binomial
    regression); a unit's rate is then its posterior mean, (events + shape) / (exposure + shape / like).

    Args:
        widest: Smallest shape: how far apart units may lie at most.
        narrowest: Largest shape.

    Reference:
        Cameron and Trivedi (1998), Regression analysis of count data, section 3.3.1 (NB2);
        Morris (1983), Parametric empirical Bayes inference, Journal of the American Statistical Association 78(381).

    Examples:
        >>> found = Rates()([0, 3, 40], [100, 100, 1000])
        >>> bool(0 < found.mean[0] < 0.02)
        True
    """

    def __init__(self, widest: float = 0.05, narrowest: float = 1e4):
        if not 0 < widest < narrowest:
            raise BadInputError("Settings out of range", got=(widest, narrowest), allowed="0 < widest < narrowest")
        self.widest, self.narrowest = widest, narrowest

    def __call__(self, events: ArrayLike, exposure: ArrayLike, x: ArrayLike | None = None) -> Drawn:
        """Return the rates.

        Args:
            events: [n] events, 0 or more.
            exposure: [n] exposure, 0 or more; a unit without any gets the rate of units like it.
            x: [n, columns] what makes units alike; none where left out.

        Raises:
            BadInputError: If lengths differ, a number is not finite or negative, or there is no exposure at all.
        """
        y, t = np.asarray(events, float), np.asarray(exposure, float)
        n = len(y)
        given = np.zeros((n, 0)) if x is None else np.asarray(x, float)
        if t.shape != (n,) or given.ndim != 2 or len(given) != n:
            raise BadInputError("The rows do not fit", got=(y.shape, t.shape, given.shape), allowed="one length")
        if not all(np.isfinite(part).all() for part in (y, t, given)) or (y < 0).any() or (t < 0).any():
            raise BadInputError("An event or an exposure cannot be used", allowed="finite numbers of 0 or more")
        if not t.sum() > 0 or not y.sum() > 0:
            raise BadInputError("There are no events or no exposure to learn a rate from", do="take a longer period")
        scale = given.std(axis=0)
        columns = np.column_stack([np.ones(n), (given - given.mean(axis=0)) / np.where(scale > 0, scale, 1.0)])
        shape, slope = 1.0, np.append(np.log(y.sum() / t.sum()), np.zeros(given.shape[1]))
        seen = t > 0
        for _ in range(4):
            slope = self._slopes(y[seen], t[seen], columns[seen], slope, shape)
            like = np.exp(np.clip(columns @ slope, -30, 30))
            shape = self._shape(y[seen], (t * like)[seen])
        return Drawn((y + shape) / (t + shape / like), y + shape, like, shape)

    def _slopes(self, y: Array, t: Array, x: Array, slope: Array, shape: float) -> Array:
        """Newton's steps for the slopes at one shape: weights are those of a negative binomial."""
        ridge = np.diag(np.append(0.0, np.full(x.shape[1] - 1, RIDGE * len(y))))
        for _ in range(STEPS):
            mean = t * np.exp(np.clip(x @ slope, -30, 30))
            push = x.T @ ((y - mean) / (1 + mean / shape)) - ridge @ slope
            weight = mean / (1 + mean / shape)
            step = np.linalg.solve((x * weight[:, None]).T @ x + ridge + 1e-9 * np.eye(x.shape[1]), push)
            step *= min(1.0, 1.0 / max(float(np.abs(step).max()), 1e-300))
            slope = slope + step
            if float(np.abs(step).max()) < 1e-8:
                break
        return slope

    def _shape(self, y: Array, mean: Array) -> float:
        def unlikely(log_shape: float) -> float:
            a = np.exp(log_shape)
            told = gammaln(y + a) - gammaln(a) + a * np.log(a / (a + mean)) + y * np.log(mean / (a + mean))
            return -float(told.sum())

        found = minimize_scalar(unlikely, bounds=(np.log(self.widest), np.log(self.narrowest)), method="bounded")
        return float(np.exp(found.x))


__all__ = ["Drawn", "Rates"]
