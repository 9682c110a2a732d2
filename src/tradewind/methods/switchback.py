"""Switchback: a lever that touches everybody at once, turned on and off by turns, planned and read out."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import lru_cache
from numbers import Integral
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special

from tradewind.errors import BadInputError
from tradewind.methods.moments import Verdict, numbers, probability, tellable
from tradewind.methods.power import Unlearnable
from tradewind.study import Estimate

Array = NDArray[np.float64]
Drawn = Literal["pairs", "shuffled", "alternating"]
DRAWN = ("pairs", "shuffled", "alternating")
ALL = 4096
"""Number of draws up to which each is gone through."""
MOST = 2**16
"""Number of pairs of blocks beyond which nobody searches."""
FEW_PAIRS = 10
"""Pairs of blocks up to which the orders that are as extreme as one that happened are so few that they are counted."""
CONSTANT = 1e-13
"""Of the largest outcome: what rounding leaves of the deviations of a constant."""


@dataclass(frozen=True)
class Noise:
    """How the outcome of successive periods varies, what was to be expected of each taken off.

    Args:
        sd: Standard deviation of a period.
        autocorrelation: Correlation of a period with the next, in (−1, 1); taken to fade geometrically.

    Raises:
        BadInputError: If the outcome does not vary, or the correlation is out of range.
    """

    sd: float
    autocorrelation: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.sd) and self.sd > 0 and abs(self.autocorrelation) < 1):
            raise BadInputError(
                "Noise has a positive standard deviation and a correlation", got=(self.sd, self.autocorrelation),
                allowed="a correlation between −1 and 1",
            )  # fmt: skip

    @classmethod
    def of(cls, outcome: ArrayLike, expected: ArrayLike | None = None) -> Noise:
        """Return the noise of past periods, in their order.

        Args:
            outcome: [periods] outcome of each.
            expected: [periods] what was to be expected of each, such as the mean of its hour of the week.

        Returns:
            The noise.

        Raises:
            BadInputError: If there are fewer than ten periods, a value is not finite or too large, or the outcome
                strays from what was expected by the same in every period.
        """
        left, size = _series(outcome, expected)
        if len(left) < 10:
            raise BadInputError("The past is too short", got=len(left), allowed="ten periods or more")
        left = left - left.mean()
        if np.abs(left).max() <= CONSTANT * size:
            raise BadInputError("The outcome does not vary beside what was expected, so that there is no noise to tell")
        square = float(left @ left)
        return cls(math.sqrt(square / (len(left) - 1)), float(left[1:] @ left[:-1]) / square if square > 0 else 0.0)


@dataclass(frozen=True)
class SwitchbackPlan:
    """How to turn a lever on and off so that the predicted effect is seen as often as asked.

    Args:
        length: Periods in a block, through which the lever stays as it is.
        blocks: Number of blocks, half of them treated.
        chances: Probability that the low, mid and high prediction would each be proven in its own direction.
        detectable: Smallest effect per period that is proven as often as asked.
        error: Standard error that the effect per period will have.
        cost: What the periods without the lever forgo.
    """

    length: int
    blocks: int
    chances: tuple[float, float, float]
    detectable: float
    error: float
    cost: Estimate


@dataclass(frozen=True)
class SwitchbackReading:
    """What a lever did while it was on.

    Args:
        effect: Gain per period over the periods without it.
        total: The same over all treated periods.
        p_value: Probability of a difference as large or larger where there is no effect.
        blocks: Number of blocks.
        left_out: Number of periods left out since the block before could still be felt.
        verdict: Proven gain, proven harm, or still open.
    """

    effect: Estimate
    total: Estimate
    p_value: float
    blocks: int
    left_out: int
    verdict: Verdict


class Switchback:
    """Reads a switchback: the mean of blocks with the lever less that of blocks without, after a washout.

    The first periods of every block are left out, whichever arm came before, so that nothing of the block before is
    counted. Where the order of blocks was drawn by chance, the p-value is exact for no effect, and the interval for an
    effect that is the same in every block: all orders that could have been drawn are gone through, or many of them.
    Where blocks merely alternate, there was no draw to lean on: the long-run variance is taken from the slow cosines of
    the series, with Student's t, which asks that the noise be stationary and have no rhythm of two blocks.

    Args:
        length: Periods in a block.
        washout: First periods of each block that are left out.
        drawn: How arms were given: `pairs` of successive blocks, one of each in an order drawn by a coin; `shuffled`,
            a fixed number of treated blocks drawn among all; or `alternating`.
        level: Probability with which the interval is meant to hold the truth, in (0, 1).
        draws: Number of orders drawn where there are too many to go through all.
        seed: Seed of these.

    Reference:
        Bojinov, Simchi-Levi and Zhao (2023), Design and analysis of switchback experiments, section 4 (randomisation
        inference); Rosenbaum (2002), Observational studies, section 2.6 (interval by inverting the test); Lazarus,
        Lewis, Stock and Watson (2018), HAR inference: recommendations for practice (cosines, 0.4·T^⅔ of them).
    """

    def __init__(
        self,
        length: int,
        washout: int = 0,
        drawn: Drawn = "pairs",
        level: float = 0.9,
        draws: int = 4000,
        seed: int = 0,
    ):
        whole = all(isinstance(each, Integral) for each in (length, washout, draws, seed))
        if not whole or not 0 <= washout < length or draws < 1000 or seed < 0:
            raise BadInputError(
                "Settings out of range", got=(length, washout, draws, seed),
                allowed="whole numbers: a washout from 0, shorter than the block; 1,000 draws or more; a seed from 0",
            )  # fmt: skip
        self.length = length
        self.washout = washout
        self.drawn = _known(drawn)
        self.level = probability(level, "level")
        self.draws = draws
        self.seed = seed

    def __call__(self, outcome: ArrayLike, treated: ArrayLike, expected: ArrayLike | None = None) -> SwitchbackReading:
        """Return what the lever did.

        Args:
            outcome: [periods] outcome of each period, in their order.
            treated: [periods] True where the lever was on.
            expected: [periods] what was to be expected of each without it, known before the start, such as the past
                mean of its hour of the week.

        Returns:
            The reading.

        Raises:
            BadInputError: If lengths differ, a value is not finite or too large, periods are no whole blocks, arms
                change within a block or were not given as declared, the outcome does not vary, or there are too few
                blocks.
        """
        left, size = _series(outcome, expected)
        given = np.asarray(treated)
        if given.shape != left.shape or not np.isin(given, [0, 1]).all():
            raise BadInputError(
                "The arms do not fit the periods", got=given.shape, allowed=f"{len(left)} of True or False"
            )
        if len(left) % self.length or not len(left):
            raise BadInputError(
                "The periods are no whole blocks", got=f"{len(left)} periods, blocks of {self.length}",
                do="leave the unfinished block out",
            )  # fmt: skip
        table = given.astype(bool).reshape(-1, self.length)
        if (table != table[:, :1]).any():
            raise BadInputError(
                "The lever was turned within a block", do="give the length with which it was registered"
            )
        arms = table[:, 0]
        means = left.reshape(-1, self.length)[:, self.washout :].mean(axis=1)
        self._check(arms, means, size)
        means = means - means.mean()  # so that draws which tie do so in floats too
        on, off = means[arms].mean(), means[~arms].mean()
        effect = float(on - off)
        if self.drawn == "alternating":
            estimate, p_value = self._by_cosines(means - np.where(arms, on, off), arms, effect)
        else:
            estimate, p_value = self._by_draws(means, arms, effect)
        blocks = len(means)
        total = estimate.scaled(float(arms.sum() * self.length))
        return SwitchbackReading(estimate, total, p_value, blocks, blocks * self.washout, Verdict.of(estimate))

    def _check(self, arms: NDArray[np.bool_], means: Array, size: float) -> None:
        blocks, treated = len(arms), int(arms.sum())
        fits = {
            "pairs": blocks % 2 == 0 and (arms[: blocks // 2 * 2 : 2] != arms[1::2]).all(),
            "shuffled": 0 < treated < blocks,
            "alternating": (arms[1:] != arms[:-1]).all(),
        }[self.drawn]
        if not fits:
            raise BadInputError(
                f"The arms were not given as declared: {self.drawn}", got=f"{treated} of {blocks} blocks treated",
                do="declare how they were drawn; what was not drawn so cannot be judged so",
            )  # fmt: skip
        if not _enough(self.drawn, blocks, treated, self.level):
            raise BadInputError(
                f"With {blocks} blocks nothing can be told", got=f"{treated} of them treated",
                do="run more blocks, or shorter ones",
            )  # fmt: skip
        noise = means - np.where(arms, means[arms].mean(), means[~arms].mean())
        if np.abs(noise).max() <= CONSTANT * size:
            raise BadInputError(
                "The outcome is the same in every block of an arm, so that there is no chance to judge by"
            )

    def _by_draws(self, means: Array, arms: NDArray[np.bool_], effect: float) -> tuple[Estimate, float]:
        """Test inversion in closed form: each draw is as extreme as the one that happened up to some effect."""
        weights = self._weights(arms)
        moved, echoed = weights @ means, weights @ arms.astype(float)  # by the outcome; by one unit of effect
        slack = 1e-12 * float(np.abs(means).max())
        p_value = float((np.abs(moved) >= abs(effect) - slack).mean())
        place = math.floor((1 - self.level) * len(weights) + 1e-9)  # draws beyond the end of the interval
        high = np.sort(_until(moved, echoed, effect, slack))[::-1][place]
        low = -np.sort(_until(-moved, echoed, -effect, slack))[::-1][place]
        if not (math.isfinite(low) and math.isfinite(high)):
            raise BadInputError(
                "The interval has no end: there are too few blocks", got=len(means), do="run more blocks"
            )
        return Estimate(effect, float(low), float(high), self.level), p_value

    def _weights(self, arms: NDArray[np.bool_]) -> Array:
        """What each order that could have been drawn gives each block: +1 over the treated, −1 over the others."""
        blocks, treated = len(arms), int(arms.sum())
        rng = np.random.default_rng(self.seed)
        if self.drawn == "pairs":
            pairs = blocks // 2
            if 2**pairs <= ALL:
                signs = np.array(list(itertools.product((1.0, -1.0), repeat=pairs)))
            else:
                signs = np.vstack([np.ones(pairs), rng.choice((1.0, -1.0), size=(self.draws, pairs))])
            return np.repeat(signs, 2, axis=1) * np.where(arms, 1, -1) / pairs
        if math.comb(blocks, treated) <= ALL:
            drawn = np.zeros((math.comb(blocks, treated), blocks), bool)
            for row, chosen in enumerate(itertools.combinations(range(blocks), treated)):
                drawn[row, list(chosen)] = True
        else:
            drawn = np.vstack([arms, rng.permuted(np.tile(arms, (self.draws, 1)), axis=1)])
        return np.where(drawn, 1 / treated, -1 / (blocks - treated))

    def _by_cosines(self, left: Array, arms: NDArray[np.bool_], effect: float) -> tuple[Estimate, float]:
        """Long-run variance of each block's part in the effect, from its slowest cosines."""
        blocks, treated = len(arms), int(arms.sum())
        parts = np.where(arms, blocks / treated, -blocks / (blocks - treated)) * left
        freedom = _cosines(blocks)
        angles = np.pi * np.arange(1, freedom + 1)[:, None] * (np.arange(blocks) + 0.5) / blocks
        along = math.sqrt(2 / blocks) * np.cos(angles) @ parts
        error = math.sqrt(float((along**2).mean()) / blocks)
        reach = error * float(-special.stdtrit(freedom, (1 - self.level) / 2))
        p_value = float(2 * special.stdtr(freedom, -abs(effect) / error))
        return Estimate(effect, effect - reach, effect + reach, self.level), p_value


class SwitchbackPower:
    """Finds how long blocks should be for a predicted effect to be seen, or says that it cannot be learnt.

    Long blocks lose less to the washout, short ones are more and compare moments that are closer to each other. The
    variance of the difference follows in closed form from the noise, for each way to draw.

    Args:
        level: Level of the read-out's interval, in (0, 1).
        power: Probability with which the predicted effect is to be proven, in (0, 1).
        drawn: How arms will be given, as for `Switchback`.

    Reference:
        Bojinov, Simchi-Levi and Zhao (2023), section 3, for how long blocks should be beside what carries over.
    """

    def __init__(self, level: float = 0.9, power: float = 0.8, drawn: Drawn = "pairs"):
        self.level = probability(level, "level")
        self.power = probability(power, "power")
        if power <= (1 - level) / 2:
            raise BadInputError("The power is not above that of chance", got=power, allowed=f"above {(1 - level) / 2}")
        self.drawn = _known(drawn)

    def __call__(
        self, noise: Noise, periods: int, effect: Estimate, washout: int = 0, length: int | None = None
    ) -> SwitchbackPlan | Unlearnable:
        """Return the plan, or what could be learnt instead.

        Args:
            noise: Noise of the periods.
            periods: Number of periods that there are.
            effect: Predicted effect per period, once it is fully there.
            washout: Periods through which a turn of the lever is still felt, left out at the start of each block.
            length: Periods in a block; the best one where left out.

        Returns:
            The plan; an even number of blocks, half of them treated.

        Raises:
            BadInputError: If the effect is zero or not finite, a number of periods is not whole, or no length leaves
                enough blocks.
        """
        ends = (effect.low, effect.mid, effect.high)
        if not (all(math.isfinite(end) for end in ends) and effect.mid != 0):
            raise BadInputError(
                "The predicted effect is zero, or no number, and no experiment tells that from nothing", got=ends
            )
        if not all(isinstance(each, Integral) for each in (periods, washout, 1 if length is None else length)):
            raise BadInputError("A number of periods is not whole", got=(periods, washout, length))
        lengths = range(washout + 1, periods // 2 + 1) if length is None else (length,)
        tried = [
            (self._detectable(noise, each, periods // (2 * each) * 2, washout), each) for each in lengths if each > 0
        ]
        tried = [(seen, each) for seen, each in tried if seen is not None]
        if washout < 0 or not tried:
            raise BadInputError(
                f"With {periods} periods and a washout of {washout} nothing can be told", got=length,
                allowed="blocks longer than the washout, and enough of them", do="run for longer",
            )  # fmt: skip
        seen, best = min(tried, key=lambda each: (each[0] or 0.0, each[1]))
        blocks = periods // (2 * best) * 2
        chances = tuple(self._chance(noise, best, blocks, washout, ahead) for ahead in ends)
        if chances[1] < self.power:
            needed = self._needed(noise, best, blocks, washout, effect.mid)
            actions = None if needed is None else math.ceil(needed / periods)
            return Unlearnable("periods", periods, 0.5, effect.mid, chances[1], float(seen or 0), needed, actions)
        error = self._error(noise, best, blocks, washout)
        cost = effect.scaled(blocks * best / 2)
        return SwitchbackPlan(best, blocks, (chances[0], chances[1], chances[2]), float(seen or 0), error, cost)

    def _error(self, noise: Noise, length: int, blocks: int, washout: int) -> float:
        """Standard error of the difference of block means, for noise whose correlation fades geometrically."""
        kept = length - washout
        fade = noise.autocorrelation ** np.arange(length * 2)
        own = noise.sd**2 / kept**2 * (kept + 2 * float((np.arange(kept - 1, 0, -1) * fade[1:kept]).sum()))
        near = noise.sd**2 / kept**2 * float(fade[:kept].sum() * fade[length - kept + 1 : length + 1].sum())
        if self.drawn == "pairs":
            return math.sqrt(2 * (own - near) / (blocks / 2))
        apart = np.arange(1, blocks)
        between = near * (noise.autocorrelation**length) ** (apart - 1)
        if self.drawn == "shuffled":
            spread = own - 2 * float(((blocks - apart) * between).sum()) / (blocks * (blocks - 1))
            return math.sqrt(4 * spread / blocks)
        alternating = own + 2 * float(((blocks - apart) / blocks * np.where(apart % 2, -between, between)).sum())
        return math.sqrt(4 * alternating / blocks)

    def _bound(self, blocks: int) -> tuple[float, float]:
        freedom = {"pairs": blocks // 2 - 1, "shuffled": blocks - 2, "alternating": _cosines(blocks)}[self.drawn]
        outside = 1 - self.level
        if self.drawn == "pairs" and blocks <= 2 * FEW_PAIRS:
            outside = self._extreme(blocks) / 2 ** (blocks // 2 - 1)
        return float(freedom), float(-special.stdtrit(freedom, outside / 2))

    def _extreme(self, blocks: int) -> int:
        """How many of the orders of few pairs lie outside an interval: a whole number of them."""
        return max(math.floor((1 - self.level) * 2.0 ** (blocks // 2 - 1) + 1e-9), 1)

    def _alone(self, blocks: int) -> bool:
        """Whether only the most extreme order proves an effect: that in which all pairs go one way."""
        return self.drawn == "pairs" and blocks <= 2 * FEW_PAIRS and self._extreme(blocks) == 1

    def _chance(self, noise: Noise, length: int, blocks: int, washout: int, effect: float) -> float:
        far, pairs = abs(effect) / self._error(noise, length, blocks, washout), blocks // 2
        if self._alone(blocks):
            return float(special.ndtr(far / math.sqrt(pairs)) ** pairs)
        return _proven(far, *self._bound(blocks))

    def _detectable(self, noise: Noise, length: int, blocks: int, washout: int) -> float | None:
        """Smallest effect that is proven as often as asked; None where nothing can be told."""
        if length <= washout or not _enough(self.drawn, blocks, blocks // 2, self.level):
            return None
        error, pairs = self._error(noise, length, blocks, washout), blocks // 2
        if self._alone(blocks):
            return error * math.sqrt(pairs) * float(special.ndtri(self.power ** (1 / pairs)))
        return error * _distance(*self._bound(blocks), self.power)

    def _needed(self, noise: Noise, length: int, blocks: int, washout: int, effect: float) -> int | None:
        """Periods that would see the effect in blocks of this length."""
        if self._chance(noise, length, 2 * MOST, washout, effect) < self.power:
            return None
        low, high = blocks // 2, MOST
        while high - low > 1:
            middle = (low + high) // 2
            seen = self._chance(noise, length, 2 * middle, washout, effect) >= self.power
            low, high = (low, middle) if seen else (middle, high)
        return int(2 * high * length)


def _known(drawn: Drawn) -> Drawn:
    if drawn not in DRAWN:
        raise BadInputError("Nobody knows that way to draw", got=drawn, allowed=DRAWN)
    return drawn


def _series(outcome: ArrayLike, expected: ArrayLike | None) -> tuple[Array, float]:
    """The outcome of each period, less what was to be expected, and the size of the largest number among both."""
    values = numbers(outcome, "outcome")
    known = np.zeros(values.shape) if expected is None else numbers(expected, "expected outcome")
    if values.ndim != 1 or known.shape != values.shape or not np.isfinite(values - known).all():
        raise BadInputError(
            "The outcome and what was expected are one finite number for each period", got=(values.shape, known.shape)
        )
    return values - known, float(np.maximum(np.abs(values), np.abs(known)).max(initial=0.0))


def _enough(drawn: Drawn, blocks: int, treated: int, level: float) -> bool:
    """Whether an interval can tell anything: chance alone makes any order the most extreme too rarely to matter."""
    if drawn == "pairs":
        return blocks >= 4 and (1 - blocks // 2) * math.log(2) <= math.log(1 - level) + 1e-9
    if drawn == "shuffled":
        return tellable(blocks - treated, treated, level)
    return blocks >= 8


def _cosines(blocks: int) -> int:
    """Number of cosines, which is that of the degrees of freedom."""
    return max(2, round(0.4 * math.pow(blocks, 2 / 3)))


def _until(moved: Array, echoed: Array, effect: float, slack: float) -> Array:
    """The effect up to which each draw is as extreme as the one that happened, from that one's effect upwards.

    Were the effect e, a draw would have given moved − e·echoed beside effect − e: it is as extreme while
    e·(1 + echoed) ≤ moved + effect, or e·(1 − echoed) ≤ effect − moved.
    """
    ends = []
    for sign in (1.0, -1.0):
        slope, room = 1 + sign * echoed, effect + sign * moved
        flat = np.where(room >= -slack, np.inf, -np.inf)
        ends.append(np.where(slope > 1e-12, room / np.where(slope > 1e-12, slope, 1.0), flat))
    end: Array = np.maximum(ends[0], ends[1])
    return end


def _proven(away: float, freedom: float, bound: float) -> float:
    """Return the probability that an effect is proven which lies `away` standard errors from zero.

    Args:
        away: Distance of the effect from zero, in standard errors; not negative.
        freedom: Degrees of freedom of the standard error.
        bound: Distance that proves an effect.

    Returns:
        The probability, by the noncentral t, in the effect's own direction.
    """
    if away > 30 + 10 * bound:  # where nothing is left to lose, and the noncentral t runs out of digits
        return 1.0
    from scipy.stats import nct  # noqa: PLC0415  a second and 50 MiB that a server has no use for until it plans

    return float(nct.sf(bound, freedom, away))


@lru_cache(maxsize=1024)
def _distance(freedom: float, bound: float, power: float) -> float:
    """Return how many standard errors from zero an effect must lie to be proven with the probability `power`."""
    above = bound + 1.0
    while _proven(above, freedom, bound) < power:
        above *= 2
    return float(optimize.brentq(lambda away: _proven(away, freedom, bound) - power, 0, above))
