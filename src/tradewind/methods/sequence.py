"""Sequence: an interval that may be looked at every day, and a stop as soon as it has proven something."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy import special

from tradewind.errors import BadInputError
from tradewind.methods.moments import Moments, Slope, Spread, Verdict, contrast, enough, probability, single
from tradewind.study import Estimate

FARTHEST = 1e100
"""Ratio of the variances found and planned at which an interval is no longer to be computed."""


@dataclass(frozen=True)
class Look:
    """What is proven at one look.

    Args:
        effect: Gain per unit of the treated over the control, with an interval that holds at all looks together.
        total: The same over all treated units.
        error: Standard error of the effect at this look.
        p_value: Anytime-valid: at most p at any look with a probability of p where there is no effect.
        units: Units in both arms.
        verdict: Proven gain, proven harm, or still open.
    """

    effect: Estimate
    total: Estimate
    error: float
    p_value: float
    units: int
    verdict: Verdict


class Sequence:
    """Gives an interval at every look such that all of them together hold the truth with the level's probability.

    At a look with standard error s the interval is effect ± s·√((1 + s²/τ²)·ln((1 + τ²/s²)/α²)), the asymptotic
    confidence sequence with a normal mixture; τ² = x·s*² makes it narrowest at the planned standard error s*, where
    x = −W₋₁(−α²/e) − 1. There it reaches 2.76 standard errors to each side at a level of 90 %, beside 1.64 of a single
    look: the price of looking whenever one likes. In small samples the bound is raised as Student's t is over the
    normal.

    Two kinds of looks are covered. *New units*: add the moments of each day's units to those before. *The same units
    for longer*: at each look take moments anew, of every unit's outcome per day so far (`Moments.scaled`); never add
    one customer's Tuesday to the same customer's Monday.

    The first verdict that is not open may be acted upon, whatever later looks say. The guarantee is one of large
    samples; it leans on the variance of both arms together, without which rare and large amounts break it in small
    holdouts.

    Args:
        planned: Standard error of the effect expected at the stop date, as `Power` gives it; in the outcome's unit.
        level: Probability with which all intervals together are meant to hold the truth, in (0, 1).
        spread: `larger` or `own`, see `contrast`.
        slope: `common` or `own`, see `contrast`.

    Reference:
        Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (2024), Time-uniform central limit theory and asymptotic
        confidence sequences, theorem 2.2; Howard, Ramdas, McAuliffe and Sekhon (2021), Time-uniform, nonparametric,
        nonasymptotic confidence sequences (normal mixture and where it is narrowest); Johari, Koomen, Pekelis and Walsh
        (2022), Always valid inference (the same as a test).
    """

    def __init__(self, planned: float, level: float = 0.9, spread: Spread = "larger", slope: Slope = "common"):
        planned = single(planned, "planned standard error")
        if not 1e-100 < planned < 1e100:
            raise BadInputError("The planned standard error is a positive number", got=planned)
        if spread not in {"larger", "own"} or slope not in {"common", "own"}:
            raise BadInputError(
                "Settings out of range", got=(spread, slope), allowed="spread larger or own, slope common or own"
            )
        self.planned = planned
        self.level = probability(level, "level")
        if not narrowest(self.level) > 0:  # 1 − level is 1 in floats
            raise BadInputError("The level is too near to 0 for an interval", got=level)
        self.spread = spread
        self.slope = slope
        self.prior = narrowest(self.level) * planned**2
        """Variance τ² of the mixture."""

    def __call__(self, control: Moments, treated: Moments) -> Look:
        """Return what is proven by all that was seen so far.

        Args:
            control: Moments of the held out.
            treated: Moments of those who got it.

        Returns:
            The look.

        Raises:
            BadInputError: If so few were drawn that nothing can be told, the outcome is the same for all, or the
                standard error is so far from the planned one that this must be in another unit.
        """
        clustered = control.units + treated.units != control.count + treated.count
        enough(control.count, treated.count, self.level, "clusters" if clustered else "units")
        found = contrast(control, treated, self.spread, self.slope)
        variance = found.error**2
        if not FARTHEST * variance > self.prior > variance / FARTHEST:
            raise BadInputError(
                "The standard error is too far from the planned one", got=(found.error, self.planned),
                do="plan in the unit of the outcome",
            )  # fmt: skip
        reach = found.error * _as_student(boundary(self.prior / variance, self.level), found.freedom)
        effect = Estimate(found.effect, found.effect - reach, found.effect + reach, self.level)
        return Look(
            effect,
            effect.scaled(treated.units),
            found.error,
            self._p_value(found.effect / found.error, found.freedom, found.error**2),
            control.units + treated.units,
            Verdict.of(effect),
        )

    def _p_value(self, distance: float, freedom: float, variance: float) -> float:
        """One over the mixture's likelihood ratio of any effect to none."""
        tail = float(special.stdtr(freedom, -abs(distance)))
        score = float(-special.ndtri(tail)) if tail > 0 else abs(distance)
        whole = variance + self.prior
        evidence = 0.5 * math.log(variance / whole) + score**2 * self.prior / (2 * whole)
        return math.exp(min(0.0, -evidence))


def narrowest(level: float) -> float:
    """Return the ratio τ²/s² at which the bound is narrowest, in standard errors s."""
    return float(-special.lambertw(-((1 - level) ** 2) / math.e, -1).real - 1)


def boundary(ratio: float, level: float) -> float:
    """Return the bound in standard errors at a look where τ² over the squared standard error is `ratio`."""
    return math.sqrt((1 + 1 / ratio) * (math.log1p(ratio) - 2 * math.log(1 - level)))


def _as_student(bound: float, freedom: float) -> float:
    """The bound that Student's t passes as rarely as the normal passes the given one."""
    tail = float(special.ndtr(-min(bound, 30.0)))  # beyond, a double holds no tail
    return max(bound, float(-special.stdtrit(freedom, tail)))
