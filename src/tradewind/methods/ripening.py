"""What is still to come of amounts that follow their cause late, such as the refunds of recent orders."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tradewind.errors import BadInputError
from tradewind.study import Estimate

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Ripened:
    """What is still to come.

    Args:
        remaining: What the chosen cohorts will still bring, in the unit of the amounts.
        by_cohort: [cohorts] the same for every cohort, without intervals.
        pattern: [ages] amount at each age as a share of the exposure; 0 at ages that no cohort has reached.
    """

    remaining: Estimate
    by_cohort: Array
    pattern: Array


class Ripening:
    """Expects what cohorts will still bring from what older ones brought at the same ages.

    Each age's rate is the sum of amounts over the sum of exposures of the cohorts that have lived through it (the
    additive, or incremental loss ratio, method). The interval holds both what is not known of the rates (cohorts
    resampled) and the chance in each cohort (residuals resampled). Ages beyond the oldest cohort are taken to bring
    nothing more.

    Args:
        level: Probability with which the interval is meant to hold the truth, in (0, 1).
        draws: Number of resamples.
        seed: Seed of the resamples.

    Reference:
        Mack (2002), Schadenversicherungsmathematik, section 3.2.3 (additive method); England and Verrall (2002),
        Stochastic claims reserving in general insurance, section 8 (bootstrap).
    """

    def __init__(self, level: float = 0.9, draws: int = 500, seed: int = 0):
        if not 0 < level < 1 or draws < 100:
            raise BadInputError(
                "Settings out of range", got=(level, draws), allowed="a level between 0 and 1, 100 draws or more"
            )
        self.level = level
        self.draws = draws
        self.seed = seed

    def __call__(self, amounts: ArrayLike, exposure: ArrayLike, lived: ArrayLike, chosen: ArrayLike) -> Ripened:
        """Return what the chosen cohorts will still bring.

        Args:
            amounts: [cohorts, ages] what each cohort brought at each age; only the ages that it lived through are read.
            exposure: [cohorts] what each could bring at most, such as its GMV; not negative.
            lived: [cohorts] number of whole ages that each has lived through, 0 to ages.
            chosen: [cohorts] True for the cohorts whose remainder is asked for.

        Returns:
            The remainder of the chosen cohorts together, with its interval.

        Raises:
            BadInputError: If shapes disagree, an exposure is negative, or no cohort has lived through any age.
        """
        table, size = np.asarray(amounts, float), np.asarray(exposure, float)
        ages_lived, wanted = np.asarray(lived, int), np.asarray(chosen, bool)
        if table.ndim != 2 or not size.shape == ages_lived.shape == wanted.shape == (len(table),):
            shapes = (table.shape, size.shape, ages_lived.shape, wanted.shape)
            raise BadInputError(
                "The cohorts do not fit", got=shapes, allowed="[cohorts, ages] and [cohorts] three times"
            )
        if not np.isfinite(size).all() or (size < 0).any():
            raise BadInputError("An exposure is negative or not a number")
        seen = np.arange(table.shape[1]) < ages_lived[:, None]
        if not (seen & (size > 0)[:, None]).any():
            raise BadInputError("No cohort is old enough to learn from", do="wait until one has lived through an age")
        known = np.where(seen, table, 0.0)
        if not np.isfinite(known).all():
            raise BadInputError("An amount is not a finite number")
        ones = np.ones((1, len(table)))
        rates = _rates(known, seen, size, ones)[0]
        by_cohort = size * np.where(seen, 0.0, rates).sum(axis=1)
        rng = np.random.default_rng(self.seed)
        times = rng.multinomial(len(table), np.full(len(table), 1 / len(table)), size=self.draws).astype(float)
        drawn = _rates(known, seen, size, times) @ (~seen[wanted] * size[wanted, None]).sum(axis=0)
        drawn += self._chance(known, seen, size, rates, wanted, rng)
        low, high = np.quantile(drawn, [(1 - self.level) / 2, (1 + self.level) / 2])
        mid = float(by_cohort[wanted].sum())
        return Ripened(Estimate(mid, min(float(low), mid), max(float(high), mid), self.level), by_cohort, rates)

    def _chance(
        self, known: Array, seen: NDArray[np.bool_], size: Array, rates: Array, wanted: NDArray[np.bool_],
        rng: np.random.Generator,
    ) -> Array:  # fmt: skip
        """Draw the chance in the chosen cohorts: residuals per root of exposure, from cohorts that lived the age."""
        total = np.zeros(self.draws)
        root = np.sqrt(size)
        for age in range(known.shape[1]):
            donors = seen[:, age] & (size > 0)
            takers = np.flatnonzero(~seen[:, age] & wanted)
            if not donors.any() or not len(takers):
                continue
            residuals = (known[donors, age] - size[donors] * rates[age]) / root[donors]
            residuals = residuals - residuals.mean()
            picks = rng.integers(0, len(residuals), size=(self.draws, len(takers)))
            total += residuals[picks] @ root[takers]
        return total


def _rates(known: Array, seen: NDArray[np.bool_], size: Array, times: Array) -> Array:
    """Rates by age, [draws, ages], for cohorts counted so many `times`, [draws, cohorts]."""
    over, under = times @ known, times @ (seen * size[:, None])
    return np.divide(over, under, out=np.zeros_like(over), where=under > 0)
