"""Power: how many to hold out so that a predicted effect can be seen, and what could be learnt where it cannot."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special

from tradewind.errors import BadInputError
from tradewind.methods.moments import enough, numbers, probability, single, spread_error, tellable
from tradewind.methods.power_outcome import Outcome
from tradewind.methods.sequence import boundary, narrowest
from tradewind.money import human
from tradewind.study import Estimate

Array = NDArray[np.float64]
_NODES, _WEIGHTS = (np.polynomial.legendre.leggauss(32) + np.array([[1], [0]])) / 2
MOST = 2**50
"""Number of units beyond which nobody searches."""


@dataclass(frozen=True)
class _Drawn:
    """What is drawn.

    Args:
        count: Number of randomised units.
        size: Mean number of units in each.
        sd: Standard deviation of the mean of one.
        columns: Number of values from before that are adjusted for.
        weight: How many of one weight tell as much as one does.
        spread: How many that vary alike tell as much of the variance as one does.
        outcome: How the outcome of a unit varies.
    """

    count: int
    size: float
    sd: float
    columns: int
    outcome: Outcome
    weight: float = 1.0
    spread: float = 1.0

    def error(self, held: int) -> float:
        """Standard error of the effect per unit with so many held out, and what the slope itself does not know."""
        return self.errors(held, 0.0)[0]

    def errors(self, held: int, effect: float) -> tuple[float, float]:
        """Standard error at a true effect, and the one that is read: both arms' spread where that is the larger."""
        slope = 1 + self.columns / (self.count - self.columns - 3)
        treated = self.count - held
        own, further = self.sd**2, self.outcome.further(effect) / self.size
        common = own * (1 / held + 1 / treated)
        true = common + further / treated
        read = common + further / treated * (1 + treated**2 / (held * self.count))
        return math.sqrt(true * slope), math.sqrt(read * slope)

    @property
    def what(self) -> str:
        """What is drawn, in the plural."""
        return "clusters" if self.size > 1 else "units"


@dataclass(frozen=True)
class Holdout:
    """The smallest holdout that sees the predicted effect as often as asked.

    Args:
        share: Share of the randomised units that is held out.
        held: Number of units held out.
        units: Number of units altogether.
        drawn: Number of randomised units held out: the same, or clusters.
        chances: Probability that the low, mid and high prediction would each be proven in its own direction.
        detectable: Smallest effect per unit that is proven as often as asked.
        error: Standard error that the effect per unit will have; `Sequence` is planned with it.
        cost: What the held out forgo.
    """

    share: float
    held: int
    units: int
    drawn: int
    chances: tuple[float, float, float]
    detectable: float
    error: float
    cost: Estimate

    def sentence(self, currency: str = "") -> str:
        """Say it in words; amounts are money in the currency."""
        seen, cost = (human(each, "money", currency) for each in (self.detectable, self.cost))
        return (
            f"Hold out {self.held:,} of {self.units:,} units ({human(self.share, 'share')}): the predicted effect is "
            f"proven with a chance of {self.chances[1]:.0%}. Effects from {seen} a unit, either way, are proven as "
            f"often as asked. It forgoes {cost}."
        )


@dataclass(frozen=True)
class Unlearnable:
    """You cannot learn this; here is what you could.

    Args:
        what: What there is of, in the plural, such as `units` or `periods`.
        number: How many there are.
        share: Share held out: the largest that is allowed.
        effect: Predicted effect per unit.
        chance: Probability that it would be proven.
        detectable: Effect per unit that would be proven as often as asked.
        needed: Number of units with which the predicted effect would be; None where no number is enough.
        actions: Number of actions like this, each with its own units, that would learn it when read out together.
        share_needed: Share held out with which it would be, were it allowed; None where none is.
        days: Days that were planned.
        days_needed: Days in which it would be learnt; None where it is not known, or no number is enough.
    """

    what: str
    number: int
    share: float
    effect: float
    chance: float
    detectable: float
    needed: int | None
    actions: int | None
    share_needed: float | None = None
    days: float | None = None
    days_needed: float | None = None

    def sentence(self, currency: str = "") -> str:
        """Say it in words; amounts are money in the currency."""
        effect, seen = (human(each, "money", currency) for each in (self.effect, self.detectable))
        within = "" if self.days is None else f" in {self.days:,.0f} days"
        could = [f"an effect of {seen}"]
        if self.share_needed is not None:
            could.append(f"this one with {human(self.share_needed, 'share')} held out")
        if self.needed is not None:
            could.append(f"this one with {self.needed:,} {self.what}")
        if self.days_needed is not None and self.days_needed <= 3_650:
            could.append(f"in {self.days_needed:,.0f} days")
        if self.actions is not None:
            could.append(f"over {self.actions:,} actions like it, read out together")
        return (
            f"You cannot learn this with {self.number:,} {self.what}{within}: with {human(self.share, 'share')} held "
            f"out, an effect of {effect} each would be proven with a chance of {self.chance:.0%}. "
            f"You could learn {', or '.join(could)}."
        )


class Power:
    """Finds the smallest holdout that sees a predicted effect, or says that none does and what could be learnt.

    The difference of two arms of k and K − k randomised units has the variance s²(1 − ρ²)·D/m·(1/k + 1/(K − k)), with
    m units on average in each; D = 1 + (Σm²/Σm − 1)·r is what drawing whole clusters costs at an intraclass correlation
    r, and 1 − ρ² is what values from before leave; p slopes cost 1 + p/(K − p − 3). An effect is proven where it passes
    the bound of the read-out, by the larger spread: the chance is the mean over what variances of both arms may be
    found, chi-square each, of that of the normal, in the effect's own direction. Where a gain is further buyers (see
    `Outcome`), the treated vary more than the held out, and so does what the read-out takes both for. An outcome with
    rare and large amounts in a very small holdout is less regular than that; see the figures in the documentation.

    Args:
        level: Level of the read-out's interval, in (0, 1); an effect is proven where the interval leaves zero out.
        power: Probability with which the predicted effect is to be proven, in (0, 1).
        anytime: Whether a `Sequence` will read it, planned for the stop date: larger, since it may stop on any day; the
            chance is that of a proof on the last day, earlier ones come on top.
        largest: Largest share that may be held out, up to one half, which sees the most.

    Reference:
        Cohen (1988), Statistical power analysis for the behavioral sciences, chapter 2; Eldridge, Ashby and Kerry
        (2006), Sample size for cluster randomized trials: effect of coefficient of variation of cluster size, equation
        5; Deng, Xu, Kohavi and Walker (2013), section 3; Cochran (1957), Analysis of covariance (what slopes cost);
        Satterthwaite (1946), An approximate distribution of estimates of variance components (unequal clusters).
    """

    def __init__(self, level: float = 0.9, power: float = 0.8, anytime: bool = False, largest: float = 0.5):
        largest = single(largest, "largest share held out")
        if not 0 < largest <= 0.5:
            raise BadInputError("The largest share held out is out of range", got=largest, allowed="above 0, to 0.5")
        self.level = probability(level, "level")
        self.power = probability(power, "power")
        if power <= (1 - level) / 2:
            raise BadInputError("The power is not above that of chance", got=power, allowed=f"above {(1 - level) / 2}")
        self.anytime = anytime
        self.largest = largest

    def __call__(
        self,
        outcome: Outcome,
        units: ArrayLike,
        effect: Estimate,
        days: float | None = None,
        arriving: bool = False,
        gain: Estimate | None = None,
    ) -> Holdout | Unlearnable:
        """Return the smallest holdout, or what could be learnt instead.

        Args:
            outcome: How the outcome varies.
            units: Number of units, or [clusters] the number in each where whole clusters are drawn.
            effect: Predicted effect per unit over the whole experiment, in the unit of the outcome.
            days: How long it lasts, to say how long it should.
            arriving: Whether further days bring further units. Where they do not, the same units are seen for longer,
                with the effect growing with the days, and what each keeps spending anyway does not average out.
            gain: What a unit forgoes that is held out; the effect where left out.

        Returns:
            The holdout, or why there is none.

        Raises:
            BadInputError: If the effect is zero, a cluster is empty, values from before are too many, or there are so
                few that nothing can be told.
        """
        drawn = _drawn(outcome, units)
        if not all(map(math.isfinite, (effect.low, effect.mid, effect.high))) or effect.mid == 0:
            raise BadInputError(
                "The predicted effect is zero, or no number, and no holdout tells that from nothing", got=effect.mid,
                do="predict an effect, or ask for the detectable one",
            )  # fmt: skip
        if days is not None and not days > 0:
            raise BadInputError("The experiment lasts for a positive number of days", got=days)
        count, size = drawn.count, drawn.size
        fewest, most = self._bounds(drawn)
        if self._chance(drawn, most, effect.mid) < self.power:
            return self._instead(outcome, drawn, most, effect.mid, (days, arriving))
        low = self._smallest(drawn, fewest, most, effect.mid)
        low_chance, chance, high_chance = (
            self._chance(drawn, low, ahead) for ahead in (effect.low, effect.mid, effect.high)
        )
        forgone = (effect if gain is None else gain).scaled(low * size)
        return Holdout(
            low / count, round(low * size), round(count * size), low, (low_chance, chance, high_chance),
            self._least(drawn, low), drawn.error(low), forgone,
        )  # fmt: skip

    def detectable(self, outcome: Outcome, units: ArrayLike, share: float) -> float:
        """Return the smallest effect per unit that a holdout of this share proves as often as asked.

        Args:
            outcome: How the outcome varies.
            units: Number of units, or [clusters] the number in each.
            share: Share held out, in (0, 1).

        Returns:
            The effect, in the unit of the outcome.

        Raises:
            BadInputError: If the share is out of range, a cluster is empty, values from before are too many, or nothing
                can be told.
        """
        return self._least(*self._shared(outcome, units, share))

    def chance(self, outcome: Outcome, units: ArrayLike, share: float, effect: float) -> float:
        """Return the probability that a holdout of this share proves the effect, in the effect's own direction.

        Args:
            outcome: How the outcome varies.
            units: Number of units, or [clusters] the number in each.
            share: Share held out, in (0, 1).
            effect: Effect per unit, in the unit of the outcome.

        Returns:
            The probability.

        Raises:
            BadInputError: If the share is out of range, a cluster is empty, values from before are too many, or nothing
                can be told.
        """
        drawn, held = self._shared(outcome, units, share)
        if not math.isfinite(effect):
            raise BadInputError("The effect is not a finite number", got=effect)
        return self._chance(drawn, held, effect)

    def _shared(self, outcome: Outcome, units: ArrayLike, share: float) -> tuple[_Drawn, int]:
        drawn = _drawn(outcome, units)
        held = round(probability(share, "share held out") * drawn.count)
        enough(held, drawn.count - held, self.level, drawn.what)
        return drawn, held

    def _bounds(self, drawn: _Drawn) -> tuple[int, int]:
        """Fewest and most that can be held out; raise where nothing can be told."""
        count = drawn.count
        most = math.floor(self.largest * count + 1e-9)
        enough(most, count - most, self.level, drawn.what)
        return next(held for held in range(2, most + 1) if tellable(held, count - held, self.level)), most

    def _smallest(self, drawn: _Drawn, low: int, high: int, effect: float) -> int:
        """The fewest held out, of `low` to `high`, that see the effect; `high` is known to."""
        while low < high:
            middle = (low + high) // 2
            if self._chance(drawn, middle, effect) >= self.power:
                high = middle
            else:
                low = middle + 1
        return low

    def _chance(self, drawn: _Drawn, held: int, effect: float) -> float:
        return self._proven(drawn, held, effect, *self._bound(drawn, held))

    @staticmethod
    def _proven(drawn: _Drawn, held: int, effect: float, bound: Array, weight: Array) -> float:
        true, read = drawn.errors(held, effect)
        return float(weight @ special.ndtr((abs(effect) - bound * read) / true))

    def _least(self, drawn: _Drawn, held: int) -> float:
        """Effect that is proven as often as asked."""
        bound, error = self._bound(drawn, held), drawn.error(held)

        def short(away: float) -> float:
            return self._proven(drawn, held, away * error, *bound) - self.power

        above = 1.0
        while short(above) < 0:
            above *= 2
        return error * float(optimize.brentq(short, 0, above))

    def _bound(self, drawn: _Drawn, held: int) -> tuple[Array, Array]:
        """[spreads] how many true standard errors prove an effect, by the spread that is found, and how likely that is.

        The share of all squares that the held out have, Beta, is independent of their sum, chi-square.
        """
        counts = np.array([held, drawn.count - held])
        freedom = (counts - 1) * drawn.spread
        whole = freedom.sum()
        share = special.betaincinv(*(freedom / 2), _NODES)  # of all squares, in the arm held out
        found = np.column_stack([share, 1 - share]) * whole / freedom
        variance, told = spread_error(counts, 1 + (counts - 1) * drawn.weight, found)
        times = variance / (1 / counts).sum()
        told = np.minimum(told, drawn.count - 2 - drawn.columns)
        tail = (1 - self.level) / 2
        if self.anytime:
            tail = special.ndtr([-boundary(narrowest(self.level) / each, self.level) for each in times])
        scale = special.chdtri(whole, 1 - _NODES) / whole
        bound = np.outer(-special.stdtrit(told, tail) * np.sqrt(times), np.sqrt(scale))
        return bound.ravel(), np.outer(_WEIGHTS, _WEIGHTS).ravel()

    def _instead(
        self, outcome: Outcome, drawn: _Drawn, held: int, effect: float, time: tuple[float | None, bool]
    ) -> Unlearnable:
        """Say what could be learnt where the largest holdout does not see the effect."""
        count, size, (days, arriving) = drawn.count, drawn.size, time
        seen = self._least(drawn, held)
        needed = self._needed(drawn, effect)
        half = count // 2
        share = None
        if held < half and self._chance(drawn, half, effect) >= self.power:
            share = self._smallest(drawn, held, half, effect) / count
        times = min(seen / abs(effect), MOST) ** 2
        longer = times if arriving else _longer(times, outcome.correlation)
        return Unlearnable(
            "units", round(count * size), held / count, effect, self._chance(drawn, held, effect), seen,
            None if needed is None else round(needed * size), None if needed is None else math.ceil(needed / count),
            share, days, None if days is None or longer is None else math.ceil(days * longer - 1e-9),
        )  # fmt: skip

    def _needed(self, drawn: _Drawn, effect: float) -> int | None:
        """Number that must be drawn from, at the largest share."""

        def sees(total: int) -> bool:
            held = max(2, math.floor(self.largest * total + 1e-9))
            return self._chance(replace(drawn, count=total), held, effect) >= self.power

        low, high = drawn.count, 2 * drawn.count
        while not sees(high):
            low, high = high, 2 * high
            if high > MOST:
                return None
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if sees(middle) else (middle, high)
        return high


def _drawn(outcome: Outcome, units: ArrayLike) -> _Drawn:
    """What is drawn, of a number of units or of the number in each cluster."""
    sizes = numbers(units, "number of units")
    if sizes.ndim > 1 or not np.isfinite(sizes).all() or sizes.size == 0:
        raise BadInputError("The units are a number, or the number in each cluster", got=sizes.shape)
    if (sizes > MOST).any() or (sizes % 1 != 0).any():
        raise BadInputError(
            "The units are whole numbers that can be counted", got=float(sizes.max()), allowed=f"1 to {MOST:,}"
        )
    if (sizes < 1).any():
        what = "There are no units" if sizes.ndim == 0 else "A cluster is empty"
        raise BadInputError(what, got=f"{int((sizes < 1).sum())} of {sizes.size}", allowed="one unit or more in each")
    if sizes.ndim == 0:
        drawn = _Drawn(int(sizes), 1.0, outcome.left, outcome.adjusted, outcome)
    else:
        size = float(sizes.mean())
        design = 1 + (float((sizes**2).sum() / sizes.sum()) - 1) * outcome.intraclass
        sums = sizes * (1 + (sizes - 1) * outcome.intraclass)  # as the variances of the sums of clusters
        sd = outcome.left * math.sqrt(design / size)
        drawn = _Drawn(len(sizes), size, sd, outcome.adjusted, outcome, _alike(sizes), _alike(sums))
    if drawn.columns and drawn.count - 3 <= drawn.columns:
        raise BadInputError(
            f"There are too many values from before for so few {drawn.what}", got=(drawn.columns, drawn.count),
            do="give fewer columns",
        )  # fmt: skip
    return drawn


def _alike(values: Array) -> float:
    """Share of the values that, all alike, would count as much (Kish)."""
    return float(values.mean() ** 2 / (values**2).mean())


def _longer(times: float, correlation: float | None) -> float | None:
    """By how much longer the same units are to be seen, so that the squared distance grows by `times`.

    A unit's periods share what it always spends, a part ρ of the variance, and adjusting for a period before leaves
    (1 − ρ)k(1 + kρ) of k periods' variance while the effect grows by k: the squared distance grows by
    k(1 + ρ)/(1 + kρ), which never passes (1 + ρ)/ρ.
    """
    if correlation is None:
        return None
    left = 1 + correlation - times * correlation
    return times / left if left > 0 else None
