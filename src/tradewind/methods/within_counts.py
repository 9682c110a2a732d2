"""How counts answer to what moved, within units: each unit's own level and each week's are taken out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tradewind.errors import BadInputError

Array = NDArray[np.float64]
Codes = NDArray[np.int64]

STEPS = 50  # of Newton's method; it takes about five
FEWEST = 8  # units below which their scores cannot tell how uncertain a slope is


@dataclass(frozen=True)
class Slopes:
    """Slopes of log counts with what they rest on.

    Args:
        mid: [columns] slopes.
        covariance: [columns, columns] sampling covariance, robust to whatever happens within a unit.
        week: [weeks] effect of each week on the logarithm, against the first.
        units: [units] ids of the units that carry information, in rising order.
        score: [units] score of each unit for the first column, at the slopes.
        information: [units] Poisson information of each unit on the first column, week effects held.
        noise: [units] sampling variance of each unit's score, from its own weeks and no less than Poisson's.
    """

    mid: Array
    covariance: Array
    week: Array
    units: NDArray[np.generic]
    score: Array
    information: Array
    noise: Array

    @property
    def error(self) -> Array:
        """[columns] standard errors."""
        return np.asarray(np.sqrt(np.diag(self.covariance)))


class WithinCounts:
    """Poisson regression of counts with an effect of each unit and of each week.

    The levels of units are taken out exactly, by conditioning on each unit's total. Zeros stay in. The mean alone
    has to be right: counts may vary more than Poisson's, and be correlated within a unit.

    Args:
        most: Rows above which units are drawn at random.
        seed: Seed of that draw.

    Raises:
        BadInputError: If fewer than two rows are allowed.

    Reference:
        Hausman, Hall and Griliches (1984), Econometric models for count data with an application to the patents-R&D
        relationship, Econometrica 52(4), equation 2.4; Wooldridge (1999), Distribution-free estimation of some
        nonlinear panel data models, Journal of Econometrics 90(1), for the robust variance.
    """

    def __init__(self, most: int = 400_000, seed: int = 0):
        if most < 2:
            raise BadInputError("Too few rows are allowed", got=most, allowed="2 or more")
        self.most = most
        self.seed = seed

    def __call__(self, counts: ArrayLike, columns: ArrayLike, unit: ArrayLike, week: ArrayLike) -> Slopes:
        """Return the slopes.

        Args:
            counts: [n] counts, 0 or more.
            columns: [n] or [n, k] what moved.
            unit: [n] id of the unit.
            week: [n] number of the week.

        Raises:
            BadInputError: If columns do not fit, a number is missing, a count is negative, nothing is counted in two
                weeks of any unit, or a column does not move apart from units and weeks.
        """
        y, x, names, places, week_of = self._checked(counts, columns, unit, week)
        weeks = int(week_of.max()) + 1
        own = x.shape[1]
        z = np.zeros((len(y), own + weeks - 1))
        z[:, :own] = x
        later = np.flatnonzero(week_of > 0)
        z[later, own + week_of[later] - 1] = 1.0
        starts = np.flatnonzero(np.diff(places, prepend=-1))
        total = np.add.reduceat(y, starts)
        slope = np.zeros(z.shape[1])
        slope[own:] = _log_ratios(y, week_of)
        for _ in range(STEPS):
            line = z @ slope
            rate = np.exp(line - np.maximum.reduceat(line, starts)[places])
            mean = rate * (total / np.add.reduceat(rate, starts))[places]
            centre = np.add.reduceat(z * (mean / total[places])[:, None], starts)
            away = z - centre[places]
            hessian = (away * mean[:, None]).T @ away
            if own and _lame(hessian):
                raise BadInputError(
                    "A column does not move apart from the levels of units and weeks",
                    do="leave the column out, or take more weeks",
                )
            step = np.linalg.solve(hessian, z.T @ (y - mean))
            slope = slope + step * min(1.0, 5.0 / max(float(np.abs(step).max()), 1e-300))
            if float(np.abs(step).max()) < 1e-8:
                break
        else:
            raise BadInputError("The counts have no stable answer", do="leave out columns that few rows tell of")
        residual = (y - mean)[:, None] * away
        scores = np.add.reduceat(residual, starts)
        inverse = np.linalg.inv(hessian)
        meat = scores.T @ scores * (len(starts) / max(len(starts) - 1, 1))
        covariance = inverse @ meat @ inverse
        if len(starts) < FEWEST:
            covariance = inverse * max(1.0, float(np.trace(meat @ inverse)) / len(hessian))
        information = np.add.reduceat(mean * away[:, 0] ** 2, starts)
        noise = np.maximum(np.add.reduceat(residual[:, 0] ** 2, starts), information)
        return Slopes(
            slope[:own], covariance[:own, :own], np.concatenate([[0.0], slope[own:]]), names, scores[:, 0], information,
            noise,
        )  # fmt: skip

    def _checked(
        self, counts: ArrayLike, columns: ArrayLike, unit: ArrayLike, week: ArrayLike
    ) -> tuple[Array, Array, NDArray[np.generic], Codes, Codes]:
        y, x = np.asarray(counts, float), np.asarray(columns, float)
        x = x[:, None] if x.ndim == 1 else x
        of, when = np.asarray(unit), np.asarray(week)
        if y.ndim != 1 or x.ndim != 2 or not x.shape[1] or not len(y) == len(x) == len(of) == len(when):
            raise BadInputError("Columns do not fit", got=(y.shape, x.shape, of.shape, when.shape))
        if not (np.isfinite(y).all() and np.isfinite(x).all()) or (y < 0).any():
            raise BadInputError("A count or a number is missing or negative", do="leave such rows out")
        names, place = np.unique(of, return_inverse=True)
        # What never sold, and what has one row only, says nothing of what moves it.
        telling = (np.bincount(place, y, len(names)) > 0) & (np.bincount(place, minlength=len(names)) > 1)
        if not telling.any():
            raise BadInputError("No unit is counted in two weeks", do="take a longer period")
        held = np.flatnonzero(telling)
        rows = np.bincount(place, minlength=len(names))
        if rows[held].sum() > self.most:
            held = np.random.default_rng(self.seed).permutation(held)
            held = np.sort(held[: max(1, int(np.searchsorted(np.cumsum(rows[held]), self.most)))])
        kept = np.isin(place, held)
        order = np.flatnonzero(kept)[np.argsort(place[kept], kind="stable")]
        found, places = np.unique(place[order], return_inverse=True)
        sold = np.bincount(np.unique(when[order], return_inverse=True)[1], y[order])
        # A week without any sale has the effect minus infinity: its rows tell nothing.
        alive = (sold > 0)[np.unique(when[order], return_inverse=True)[1]]
        order, places = order[alive], places[alive]
        return y[order], x[order], names[found], places, np.unique(when[order], return_inverse=True)[1]


def _log_ratios(y: Array, week: Codes) -> Array:
    """Start the effects of weeks at the ratios of their mean counts."""
    means = np.bincount(week, y) / np.bincount(week)
    return np.asarray(np.log(means[1:] / means[0]))


def _lame(hessian: Array) -> bool:
    """Whether some column is, but for rounding, a sum of others."""
    scale = np.sqrt(np.diag(hessian))
    if (scale <= 1e-9).any():
        return True
    return bool(np.linalg.eigvalsh(hessian / np.outer(scale, scale))[0] < 1e-9)
