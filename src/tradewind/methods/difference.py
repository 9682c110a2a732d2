"""What a dated change did to those it reached, judged by those that it did not reach."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from tradewind.errors import BadInputError
from tradewind.methods.moments import numbers
from tradewind.study import Estimate

FEWEST_GROUPS = 10


class Difference:
    """Estimates by how much the reached gained on what they would have made, had they grown like the rest.

    The effect is Σ after(reached) − Σ before(reached) × Σ after(rest) / Σ before(rest): a difference in differences in
    ratios, which needs no effect where both would have grown by the same factor. Units come as sums over random groups,
    such as hash buckets of customers, and the interval resamples the groups. A resample of few groups varies less than
    the groups do, so that its quantiles are taken as far out as Student's t asks with as many groups as hold anybody
    reached.

    Args:
        level: Probability with which the interval is meant to hold the truth, in (0, 1).
        draws: Number of resamples.
        seed: Seed of the resamples.

    Reference:
        Angrist and Pischke (2009), Mostly Harmless Econometrics, section 5.2; Efron and Tibshirani (1993), An
        Introduction to the Bootstrap, section 13.3 (percentile interval); Hesterberg (2015), What teachers should know
        about the bootstrap, The American Statistician 69(4), section 5.3 (expanded percentiles).
    """

    def __init__(self, level: float = 0.9, draws: int = 1000, seed: int = 0):
        if not 0 < level < 1 or draws < 100:
            raise BadInputError(
                "Settings out of range", got=(level, draws), allowed="a level between 0 and 1, 100 draws or more"
            )
        self.level = level
        self.draws = draws
        self.seed = seed

    def __call__(
        self,
        reached_before: ArrayLike,
        reached_after: ArrayLike,
        rest_before: ArrayLike,
        rest_after: ArrayLike,
    ) -> Estimate:
        """Return the effect on the reached in the unit of the values.

        Args:
            reached_before: [groups] sums over the reached units of each group before the change.
            reached_after: [groups] the same after it.
            rest_before: [groups] sums over the units that it did not reach, before.
            rest_after: [groups] the same after.

        Returns:
            The effect over the whole period after the change.

        Raises:
            BadInputError: If the arrays differ in length, hold fewer than ten groups or a value that is not finite, or
                the rest made nothing before, so that there is nothing to judge by.
        """
        sums = [numbers(values, "sum") for values in (reached_before, reached_after, rest_before, rest_after)]
        groups = sums[0].size
        if any(values.shape != (groups,) for values in sums) or groups < FEWEST_GROUPS:
            raise BadInputError(
                "The groups do not fit", got=[v.shape for v in sums], allowed=f"one length, at least {FEWEST_GROUPS}"
            )
        table = np.column_stack(sums)
        if not np.isfinite(table).all():
            raise BadInputError("A sum is not a finite number", do="leave out groups without values")
        if table[:, 2].sum() <= 0:
            raise BadInputError("Those that the change did not reach made nothing before it", do="take longer periods")
        rng = np.random.default_rng(self.seed)
        times = rng.multinomial(groups, np.full(groups, 1 / groups), size=self.draws).astype(float)
        drawn = _effect(times @ table)
        drawn = drawn[np.isfinite(drawn)]
        filled = max(int((table[:, :2] != 0).any(axis=1).sum()), 2)
        reach = -special.stdtrit(filled - 1, (1 - self.level) / 2) * math.sqrt(filled / (filled - 1))
        low, high = np.quantile(drawn, special.ndtr([-reach, reach]))
        mid = float(_effect(table.sum(axis=0)))
        return Estimate(mid, min(float(low), mid), max(float(high), mid), self.level)


def _effect(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(divide="ignore", invalid="ignore"):
        grown = sums[..., 3] / sums[..., 2]
        effect: NDArray[np.float64] = sums[..., 1] - sums[..., 0] * grown
    return effect
