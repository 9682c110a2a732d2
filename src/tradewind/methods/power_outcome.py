"""Outcomes before an experiment: how what will be measured varies between units, and what is known of it before."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tradewind.errors import BadInputError
from tradewind.methods.moments import counted, labels, numbers

ZEROS = 0.3  # share of units at zero from which a gain is taken to be further units that are not


@dataclass(frozen=True)
class Outcome:
    """How the outcome of units varies, best taken from as many days before the start as the experiment will last.

    Args:
        mean: Mean per unit, in the unit of the outcome.
        sd: Standard deviation between units, zeros included.
        correlation: Correlation of the outcome with what was known before, 0 to 1: of one such period with the next.
            None where nothing from before is at hand, so that the read-out cannot adjust for it.
        intraclass: Correlation between two units of one cluster, in what is left after that; 0 to 1.
        columns: Number of values from before that the read-out will adjust for, where there is a correlation.
        size: Mean size of a unit's outcome, zeros included, where a gain is further ones of the same kind, such as
            further buyers: the treated then vary more than the held out. None where all gain alike.

    Raises:
        BadInputError: If the outcome does not vary, or a correlation or the number of columns is out of range.
    """

    mean: float
    sd: float
    correlation: float | None = None
    intraclass: float = 0.0
    columns: int = 1
    size: float | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.mean) and math.isfinite(self.sd) and self.sd > 0):
            raise BadInputError(
                "An outcome has a mean and a positive standard deviation", got=(self.mean, self.sd),
                do="where everybody has the same outcome, there is no chance to judge by",
            )  # fmt: skip
        if not (0 <= self.intraclass <= 1 and 0 <= (self.correlation or 0.0) < 1):
            raise BadInputError(
                "A correlation is out of range", got=(self.correlation, self.intraclass), allowed="0 to 1"
            )
        counted(self.columns, "number of values from before")
        if self.size is not None and not (math.isfinite(self.size) and self.size >= abs(self.mean) and self.size > 0):
            raise BadInputError(
                "The mean size of an outcome is out of range", got=self.size, allowed=f"{abs(self.mean):g} or more"
            )

    @classmethod
    def of(cls, values: ArrayLike, before: ArrayLike | None = None, cluster: ArrayLike | None = None) -> Outcome:
        """Return how the outcome of units varied in the past.

        Args:
            values: [units] outcome of each unit in a past period as long as the experiment.
            before: [units] or [units, covariates] what was known before that period, such as the outcome in the one
                before it.
            cluster: [units] label of each unit's cluster, where whole clusters will be drawn.

        Returns:
            The outcome; the intraclass correlation is that of an analysis of variance, not below 0. Where many units
            are at zero, a gain is taken to be further units that are not.

        Raises:
            BadInputError: If shapes disagree, a value is not finite, or the outcome does not vary.

        Reference:
            Donner and Koval (1980), The estimation of intraclass correlation in the analysis of family data.
        """
        own = numbers(values, "outcome")
        if own.ndim != 1 or len(own) < 3 or not np.isfinite(own).all():
            raise BadInputError("The outcome is one finite number for each of three units or more", got=own.shape)
        if np.ptp(own) <= 1e-12 * np.abs(own).max():  # what rounding leaves is no spread
            return cls(float(own[0]), 0.0)
        left, correlation, rank = own - own.mean(), None, 1
        if before is not None:
            known = numbers(before, "value from before")
            known = known[:, None] if known.ndim == 1 else known
            if known.ndim != 2 or len(known) != len(own) or not np.isfinite(known).all():
                raise BadInputError("Values from before do not fit", got=known.shape, allowed=f"{len(own)} finite rows")
            away = known - known.mean(axis=0)
            scale = np.where((size := np.sqrt((away**2).sum(axis=0))) > 0, size, 1.0)
            beta, _, rank, _ = np.linalg.lstsq(away / scale, left, rcond=1e-10)
            freedom, left = len(own) - 1, left - (away / scale) @ beta
            if freedom <= rank:
                raise BadInputError(
                    "There are too many values from before for so few units", got=known.shape, do="give fewer columns"
                )
            whole = float(((own - own.mean()) ** 2).sum())
            share = 1 - float((left**2).sum()) / (freedom - rank) * freedom / whole if whole > 0 else 0.0
            correlation = math.sqrt(max(0.0, share))  # adjusted: columns that tell nothing explain a little by chance
        intraclass = 0.0 if cluster is None else _intraclass(left, labels(cluster, len(own), "cluster")[1])
        size = float(np.abs(own).mean()) if np.mean(own == 0) >= ZEROS else None
        return cls(float(own.mean()), float(own.std(ddof=1)), correlation, intraclass, int(rank), size)

    @property
    def left(self) -> float:
        """Standard deviation that what was known before leaves."""
        return self.sd * math.sqrt(1 - (self.correlation or 0.0) ** 2)

    def further(self, effect: float) -> float:
        """Return by how much the variance of a treated unit exceeds that of one held out, at a gain of `effect`.

        With a share of effect over size more of the same outcomes, squares grow by that share.
        """
        if self.size is None or effect <= 0:
            return 0.0
        square = self.sd**2 + self.mean**2
        return max(0.0, square * effect / self.size - 2 * self.mean * effect - effect**2)

    @property
    def adjusted(self) -> int:
        """Number of values from before that are adjusted for: none where nothing is at hand."""
        return 0 if self.correlation is None else self.columns


def _intraclass(values: NDArray[np.float64], codes: NDArray[np.intp]) -> float:
    """Correlation between two units of a cluster, by analysis of variance."""
    sizes = np.bincount(codes)
    clusters, units = len(sizes), len(values)
    if clusters < 2 or clusters == units:
        raise BadInputError(
            "The clusters tell nothing of how alike their units are", got=f"{clusters} clusters of {units} units",
            allowed="two or more, some with two units or more",
        )  # fmt: skip
    means = np.bincount(codes, weights=values) / sizes
    between = float((sizes * (means - values.mean()) ** 2).sum()) / (clusters - 1)
    within = float(((values - means[codes]) ** 2).sum()) / (units - clusters)
    typical = (units - float((sizes**2).sum()) / units) / (clusters - 1)
    whole = between + (typical - 1) * within
    return min(1.0, max(0.0, (between - within) / whole)) if whole > 0 else 0.0
