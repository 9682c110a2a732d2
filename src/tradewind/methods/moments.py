"""Moments of an arm, frozen and addable, and what two arms tell of their difference."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from tradewind.errors import BadInputError
from tradewind.study import Estimate

Array = NDArray[np.float64]
Spread = Literal["larger", "own"]
Slope = Literal["common", "own"]
_NOTHING = 1e-26  # of the squared mean: what rounding leaves of the variance of a constant
_LARGEST = 1e150  # beyond it squares are no numbers any more
_LEAST = 1.1  # units that an arm must weigh


class Verdict(StrEnum):
    """What an interval says of an effect."""

    GAIN = "proven gain"
    HARM = "proven harm"
    OPEN = "still open"

    @classmethod
    def of(cls, effect: Estimate) -> Verdict:
        """Return what the interval says: a gain or harm where it leaves zero out."""
        return cls.GAIN if effect.low > 0 else cls.HARM if effect.high < 0 else cls.OPEN


@dataclass(frozen=True, eq=False)
class Moments:
    """What a read-out needs of the units of one arm; moments of different units add up with `+`.

    The columns are weight, weighted outcome and weighted covariates, summed over each randomised unit: a customer with
    weight 1 where customers are drawn one by one, a cluster with its number of units where clusters are; each unit with
    1 over its propensity where these differ. A ratio such as money per order is one of clusters: its units are the
    orders, its clusters the customers that were drawn.

    Args:
        count: Number of randomised units: units, or clusters where whole clusters are drawn.
        units: Number of units in them, each counted once whatever it weighs: a total is the effect times these.
        mean: [2 + covariates] mean of the columns over the randomised units.
        scatter: [2 + covariates, same] sums of products of their deviations from the mean.

    Raises:
        BadInputError: If there is no unit, a number is not finite, or shapes disagree.

    Reference:
        Chan, Golub and LeVeque (1983), Algorithms for computing the sample variance, equation 2.1 (adding up).

    Examples:
        >>> monday, tuesday = Moments.of([0, 0, 30]), Moments.of([0, 50])
        >>> (monday + tuesday).outcome
        16.0
    """

    count: int
    units: int
    mean: Array
    scatter: Array

    def __post_init__(self) -> None:
        size = len(self.mean) if np.ndim(self.mean) == 1 else 0
        if size < 2 or np.shape(self.scatter) != (size, size):
            raise BadInputError("The moments do not fit together", got=(np.shape(self.mean), np.shape(self.scatter)))
        if self.count < 1 or self.units < 1:
            raise BadInputError("An arm has no units", got=(self.count, self.units))
        if not (np.isfinite(self.mean).all() and np.isfinite(self.scatter).all()) or self.mean[0] <= 0:
            raise BadInputError("A moment is not a finite number, or the weights are not positive")

    @classmethod
    def of(
        cls,
        outcome: ArrayLike,
        before: ArrayLike | None = None,
        cluster: ArrayLike | None = None,
        propensity: ArrayLike | None = None,
    ) -> Moments:
        """Return the moments of units.

        Args:
            outcome: [units] their outcome, such as money in the period.
            before: [units] or [units, covariates] what was known of them before the start.
            cluster: [units] label of the cluster that was drawn as a whole: of an order, the customer.
            propensity: [units] probability with which each was drawn for this arm, where these differ; in (0, 1). Each
                unit weighs 1 over it.

        Returns:
            The moments.

        Raises:
            BadInputError: If lengths differ, there are no units, a number is not finite, a label is missing or a
                propensity out of range.
        """
        values = numbers(outcome, "outcome")
        if values.ndim != 1 or not len(values):
            raise BadInputError("The outcome is one number for each unit", got=values.shape, allowed="one or more")
        units = len(values)
        known = np.empty((units, 0)) if before is None else numbers(before, "value from before")
        known = known[:, None] if known.ndim == 1 else known
        if known.ndim != 2 or len(known) != units:
            got = (values.shape, known.shape)
            raise BadInputError("Outcome and values from before do not fit", got=got, allowed="one row a unit")
        rows = np.column_stack([np.ones(units), values, known])
        if propensity is not None:
            rows /= propensities(propensity, (units,))[:, None]
        if not np.isfinite(rows).all():
            raise BadInputError(
                "An outcome or a value from before is not a finite number",
                do="leave units out that were not observed; for new customers write 0 and add a column that marks them",
            )
        if cluster is not None:
            codes = labels(cluster, units, "cluster")[1]
            rows = np.column_stack([np.bincount(codes, weights=column) for column in rows.T])
        mean = rows.mean(axis=0)
        mean = mean + (rows - mean).mean(axis=0)  # a second pass, so that a constant does not seem to vary
        away = rows - mean
        with np.errstate(over="ignore", invalid="ignore"):  # what overflows is refused
            return cls(len(rows), units, mean, away.T @ away)

    @classmethod
    def from_sums(cls, count: int, sums: ArrayLike, products: ArrayLike, units: int | None = None) -> Moments:
        """Return the moments from plain sums, as an engine gives them.

        Args:
            count: Number of randomised units.
            sums: [2 + covariates] Σ of weight, outcome and covariates over the randomised units. Money per order:
                the orders of each customer, none included, are its weight, and its money is the outcome.
            products: [2 + covariates, same] Σ of their products.
            units: Number of units, such as the orders; the count where left out, and then each weighs 1.

        Returns:
            The moments. A spread below 1e-10 of the squares is lost to rounding and counts as none.

        Raises:
            BadInputError: As for the moments themselves, or if units were left out and weights are not 1.
        """
        total, square = np.asarray(sums, float), np.asarray(products, float)
        if count < 1 or total.ndim != 1 or square.shape != (len(total), len(total)):
            raise BadInputError("The sums do not fit together", got=(count, total.shape, square.shape))
        scatter = square - np.outer(total, total) / count
        lost = np.diag(scatter) <= 1e-10 * np.abs(np.diag(square))
        scatter[lost, :] = 0
        scatter[:, lost] = 0
        if units is None and not (lost[0] and math.isclose(total[0], count, rel_tol=1e-9)):
            raise BadInputError(
                "Where weights are not 1, the sums do not say what the effect is per", got=float(total[0]),
                do="give the number of units, such as the orders where the weights are those",
            )  # fmt: skip
        return cls(count, count if units is None else units, total / count, scatter)

    def __add__(self, other: Moments) -> Moments:
        if not isinstance(other, Moments) or len(other.mean) != len(self.mean):
            raise BadInputError("Only moments with the same covariates add up", got=other)
        count = self.count + other.count
        apart = other.mean - self.mean
        scatter = self.scatter + other.scatter + np.outer(apart, apart) * (self.count * other.count / count)
        return Moments(count, self.units + other.units, self.mean + apart * (other.count / count), scatter)

    def scaled(self, factor: float) -> Moments:
        """Return the moments of the outcome times `factor`, such as 1 over the days so far; covariates stay."""
        by = np.ones(len(self.mean))
        by[1] = factor
        return replace(self, mean=self.mean * by, scatter=self.scatter * np.outer(by, by))

    @property
    def outcome(self) -> float:
        """Mean outcome of a unit: the weighted outcome over the weight."""
        return float(self.mean[1] / self.mean[0])

    @property
    def effective(self) -> float:
        """Number of randomised units of one weight that would tell as much: fewer than there are where some outweigh.

        Reference:
            Kish (1965), Survey sampling, section 11.7.
        """
        return float(self.count / (1 + self.scatter[0, 0] / (self.count * self.mean[0] ** 2)))


@dataclass(frozen=True)
class Contrast:
    """By how much two arms differ, per unit.

    Args:
        effect: Treated minus control, in the unit of the outcome.
        error: Its standard error.
        freedom: Degrees of freedom of the standard error.
        reduction: Share of the variance that the values from before took away.
    """

    effect: float
    error: float
    freedom: float
    reduction: float

    @property
    def p_value(self) -> float:
        """Probability of a difference as large as this or larger where there is no effect."""
        return float(2 * special.stdtr(self.freedom, -abs(self.effect) / self.error))

    def interval(self, level: float) -> Estimate:
        """Return the effect with its interval by Student's t."""
        reach = self.error * float(-special.stdtrit(self.freedom, (1 - level) / 2))
        return Estimate(self.effect, self.effect - reach, self.effect + reach, level)


def contrast(control: Moments, treated: Moments, spread: Spread = "larger", slope: Slope = "common") -> Contrast:
    """Return the difference of two arms, judged by the spread between randomised units.

    Args:
        control: The arm that got nothing.
        treated: The arm that got it.
        spread: Whether an arm's variance is its `own`, or the `larger` of its own and that of both arms together. Money
            is zero for most and large for few: a small holdout without a large one has too small a mean and too small
            a variance, so that its own variance would prove gains that are none.
        slope: How values from before are used: one slope `common` to both arms, or each arm's `own` (Lin).

    Returns:
        The difference, adjusted for what was known before where both moments hold it.

    Raises:
        BadInputError: If an arm has fewer than two randomised units or one that outweighs the others, the outcome is
            the same for everybody, or the covariates differ, are too many or hold the outcome itself.

    Reference:
        Deng, Xu, Kohavi and Walker (2013), Improving the sensitivity of online controlled experiments, section 3;
        Lin (2013), Agnostic notes on regression adjustments: with each arm's own slopes the adjusted
        difference is that of y − x'β, where β is the slope of least variance; Deng, Knoblich and Lu (2018), Applying
        the delta method in metric analytics (ratios of sums over clusters); Welch (1947) for the degrees of
        freedom, which are those of the effective numbers of units (Kish).
    """
    arms = (control, treated)
    counts = np.array([arm.count for arm in arms])
    if counts.min() < 2:
        raise BadInputError("An arm has fewer than two randomised units", got=counts.tolist(), allowed="two or more")
    if len(control.mean) != len(treated.mean):
        raise BadInputError("The arms do not have the same covariates", got=(len(control.mean), len(treated.mean)))
    known = np.array([arm.effective for arm in arms])
    if known.min() < _LEAST:
        raise BadInputError(
            "One randomised unit outweighs all others of its arm", got=f"as good as {known.min():.2f} units",
            do="leave out units whose propensity is next to nothing, or clusters that hold nearly all",
        )  # fmt: skip
    ratios, own = zip(*(_linear(arm) for arm in arms), strict=True)
    apart = ratios[1] - ratios[0]
    plain = spread_error(counts, known, np.array([each[0, 0] for each in own]), spread)
    if plain[0] <= _NOTHING * max(ratio[0] ** 2 for ratio in ratios):
        raise BadInputError(
            "The outcome is the same for everybody, so that there is no chance to judge by", got=float(ratios[0][0])
        )
    if len(apart) == 1:
        return Contrast(float(apart[0]), math.sqrt(plain[0]), float(plain[1]), 0.0)
    keep, scale = _telling(ratios, own)
    apart, own = apart[keep] / scale, tuple(each[np.ix_(keep, keep)] / np.outer(scale, scale) for each in own)
    shares = counts - 1 if slope == "common" else 1 / counts
    joint = shares[0] * own[0] + shares[1] * own[1]
    noise = own[0][1:, 1:] / counts[0] + own[1][1:, 1:] / counts[1]
    beta, _, rank, _ = np.linalg.lstsq(joint[1:, 1:], joint[1:, 0], rcond=1e-10)
    line = np.concatenate([[1.0], -beta])
    variance, freedom = spread_error(counts, known, np.array([line @ each @ line for each in own]), spread)
    if plain[1] > rank + 1 and variance <= 1e-12 * plain[0]:
        raise BadInputError("The values from before are the outcome itself", do="give values from before the start")
    of_slope = float(known.sum() - 2 if slope == "common" else freedom)  # both arms tell a slope in common
    if min(plain[1], freedom) <= 1 or of_slope <= rank + 1:
        raise BadInputError(
            "There are too many covariates for so few randomised units", got=(int(rank), counts.tolist())
        )
    chance = float(apart[1:] @ np.linalg.pinv(noise, rcond=1e-10, hermitian=True) @ apart[1:])
    variance *= of_slope / (of_slope - rank) * (1 + chance / of_slope)  # what the slope itself does not know
    left = min(float(freedom), of_slope - int(rank))
    return Contrast(float(line @ apart), math.sqrt(variance), left, float(1 - variance / plain[0]))


def spread_error(
    counts: ArrayLike, known: ArrayLike, variances: Array, spread: Spread = "larger"
) -> tuple[Array, Array]:
    """Return the variance of the difference of two arms, and its degrees of freedom.

    Args:
        counts: [2] randomised units of each arm.
        known: [2] how many units of one weight would tell as much; above 1.
        variances: [..., 2] variance of one randomised unit in each arm.
        spread: Whether an arm's variance is its `own`, or the `larger`, see `contrast`.

    Returns:
        [...] variance and [...] degrees of freedom, 0 where nothing varies.
    """
    counts, known = np.asarray(counts), np.asarray(known)
    if spread == "larger":
        variances = np.maximum(variances, (variances @ (counts - 1) / (counts.sum() - 2))[..., None])
    parts = variances / counts
    total = parts.sum(axis=-1)
    shares = parts / np.where(total > 0, total, 1.0)[..., None]
    return total, (total > 0) / np.where(total > 0, (shares**2 / (known - 1)).sum(axis=-1), 1.0)


def tellable(control: int, treated: int, level: float) -> bool:
    """Return whether an interval can tell anything: two or more in each arm, and enough ways to draw them.

    Chance alone makes any draw the most extreme, one way or the other, with 2 over the number of ways to draw; where
    that exceeds 1 − level, even the most extreme outcome proves nothing.
    """
    few = min(control, treated)
    # each further unit at least doubles the ways, and no level asks for more than 2^64
    ways = sum(math.log1p(max(control, treated) / n) for n in range(1, min(few, 64) + 1))
    return few >= 2 and math.log(2) - ways <= math.log(1 - level) + 1e-9


def enough(control: int, treated: int, level: float, what: str = "units") -> None:
    """Raise where so few were drawn that nothing can be told.

    Args:
        control: Number of randomised units in the control arm.
        treated: Number in the treated arm.
        level: Probability with which the interval is meant to hold the truth.
        what: What was drawn, in the plural.

    Raises:
        BadInputError: If it is not tellable.
    """
    if not tellable(control, treated, level):
        raise BadInputError(
            f"With {control + treated} {what}, {control} of them held out, nothing can be told",
            got=f"a holdout that could be drawn in {math.comb(control + treated, control):,} ways",
            allowed=f"two {what} or more in each arm, and {2 / (1 - level):,.0f} ways or more",
            do=f"draw among more {what}",
        )


def numbers(values: ArrayLike, what: str) -> Array:
    """Return the values as an array of floats; raise where one is not a number, or too large to be squared."""
    try:
        if np.iscomplexobj(values) or np.ma.isMaskedArray(values):
            raise TypeError("complex or masked values")
        found = np.asarray(values, float)
    except (TypeError, ValueError) as error:
        raise BadInputError(f"The {what} is not a number", got=error) from error
    if (np.isfinite(found) & (np.abs(found) > _LARGEST)).any():
        raise BadInputError(
            f"The {what} is too large to reckon with", got=float(np.nanmax(np.abs(found))), allowed=f"up to {_LARGEST}"
        )
    return found


def single(value: ArrayLike, what: str) -> float:
    """Return the value of a setting as a float; raise where it is not one number."""
    found = numbers(value, what)
    if found.ndim:
        raise BadInputError(f"The {what} is one number", got=found.tolist())
    return float(found)


def labels(values: ArrayLike, units: int, what: str) -> tuple[list[str], NDArray[np.intp]]:
    """Return the different labels in their order, and each unit's place among them; raise where one is missing."""
    given = np.asarray(values)
    if given.shape != (units,):
        raise BadInputError(f"There is not one {what} for each unit", got=given.shape, allowed=f"[{units}]")
    missing = unnamed(given)
    given = given.astype(str) if given.dtype.kind == "O" else given
    if missing.any():
        raise BadInputError(
            f"Some units have no {what}", got=f"{int(missing.sum())} of {units}", do="leave them out, or name it"
        )
    names, codes = np.unique(given, return_inverse=True)
    return [str(name) for name in names.tolist()], codes.reshape(-1)


def unnamed(given: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which labels stand for none."""
    kind = given.dtype.kind
    if kind == "O":
        return np.array([_none(each) for each in given], bool)
    if kind in "US":
        return np.asarray(given == "")
    return np.isnan(given) if kind == "f" else np.isnat(given) if kind in "mM" else np.zeros(given.shape, bool)


def counted(value: int, what: str, least: int = 0, most: int = 2**31 - 1) -> int:
    """Return a whole number of a setting; raise `BadInputError` where it is none or out of range."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not least <= value <= most:
        raise BadInputError(
            f"The {what} is out of range", got=repr(value), allowed=f"a whole number from {least:,} to {most:,}"
        )
    return int(value)


def probability(value: float, what: str) -> float:
    """Return the probability; raise where it is not between 0 and 1."""
    if not isinstance(value, float | int | np.number) or not 0 < value < 1:
        raise BadInputError(f"The {what} is out of range", got=value, allowed="between 0 and 1")
    return value


def propensities(given: ArrayLike, shape: tuple[int, ...]) -> Array:
    """Return the propensities; raise where one is not between 0 and 1, or they are not of the shape."""
    chances = numbers(given, "propensity")
    if chances.shape != shape or not ((chances > 0) & (chances < 1)).all():
        wrong = chances.shape if chances.shape != shape else chances[~((chances > 0) & (chances < 1))][:3].tolist()
        raise BadInputError(
            "A propensity is out of range, or one is missing", got=wrong,
            allowed=f"between 0 and 1, in the shape {list(shape)}",
            do="leave out those who could not have been drawn for the other arm: they tell nothing",
        )  # fmt: skip
    return chances


def _none(label: object) -> bool:
    """Whether a label stands for none: None, an empty text, and what does not equal itself, as NaN, NaT and NA."""
    same = label == label  # noqa: PLR0124
    return label is None or not isinstance(same, bool | np.bool_) or not same or label == ""


def _linear(arm: Moments) -> tuple[Array, Array]:
    """Ratios of outcome and covariates to the weight, and the covariance of one randomised unit's part in them."""
    ratio = arm.mean[1:] / arm.mean[0]
    line = np.column_stack([-ratio, np.eye(len(ratio))]) / arm.mean[0]
    return ratio, line @ (arm.scatter / (arm.count - 1)) @ line.T


def _telling(ratios: Sequence[Array], own: Sequence[Array]) -> tuple[NDArray[np.intp], Array]:
    """Places of the outcome and of the covariates that are not constant, and what brings these to one scale."""
    variances = np.diag(own[0]) + np.diag(own[1])
    keep = np.flatnonzero(variances > _NOTHING * np.maximum(ratios[0] ** 2, ratios[1] ** 2))
    return keep, np.concatenate([[1.0], np.sqrt(variances[keep[1:]])])
