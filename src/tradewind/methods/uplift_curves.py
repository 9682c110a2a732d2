"""How well a ranking finds those on whom a treatment works: Qini, AUUC, AUTOC, uplift and policy value at a share.

Every measure is a weighted mean of the units' gains, E[w(P) Γ]: P is the share of units that the ranking puts first,
Γ a score whose mean over any group is the group's effect. So all have one way to their interval, one treatment of ties,
and **one normalisation**: a measure over its ceiling, which is its value under the best of all orders of the very same
gains. It is 1 only for a ranking that had seen the outcomes, 0 for a random one where the measure compares with random,
and never above 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import xlogy

from tradewind.errors import BadInputError
from tradewind.methods.crossfit import coded, sized
from tradewind.methods.moments import numbers, probability
from tradewind.methods.uplift_gains import Draw, refuse_still
from tradewind.study import Estimate

Array = NDArray[np.float64]
Rows = NDArray[np.int64]
POINTS = 21  # of a curve
NEAR = 0.05  # of the units: half-width of the window in which the effect at a share is read; wider ties tell it alone


@dataclass(frozen=True)
class Measure:
    """One measure of a ranking.

    Args:
        value: In the unit of the outcome, per unit of the population.
        ceiling: What the best order of the same gains would reach.
    """

    value: Estimate
    ceiling: float

    @property
    def normalised(self) -> Estimate:
        """The value over its ceiling, at most 1; zero where nothing can be won by any order."""
        return self.value.scaled(1 / self.ceiling if self.ceiling > 0 else 0.0)


@dataclass(frozen=True)
class Ranking:
    """How well a ranking finds those on whom a treatment works.

    Args:
        effect: Average effect of treating all rather than nobody.
        qini: ∫ (G(p) − p G(1)) dp, the area between gain and random order.
        auuc: ∫ G(p) dp, the area under the gain; a random order has half the average effect.
        autoc: ∫ (G(p)/p − G(1)) dp, which weighs the very first; 0 for a random order.
        uplift: By share k, the average effect on the first k of the units, G(k)/k.
        policy: By share k, what treating the first k wins over treating as many at random, G(k) − k G(1).
        worth: By share k, the mean outcome when the first k are treated and nobody else is, E[Y(0)] + G(k).
        shares: [points] shares p of the units treated, from 0 to 1.
        gain: [points] G(p), the gain per unit of the population when the first p are treated.
        low: [points] lower end of its interval, point by point.
        high: [points] upper end of it.
    """

    effect: Estimate
    qini: Measure
    auuc: Measure
    autoc: Measure
    uplift: Mapping[float, Measure]
    policy: Mapping[float, Measure]
    worth: Mapping[float, Estimate]
    shares: Array
    gain: Array
    low: Array
    high: Array


class UpliftCurves:
    """Measures how well scores rank units by a treatment's effect, on units that the scores were not learnt from.

    With G(p) = E[Γ 1(unit is among the first p)], every measure is E[w(P) Γ]: w = ½ − P for the Qini area, 1 − P for
    AUUC, −ln P − 1 for AUTOC, 1(P ≤ k)/k for uplift at k, 1(P ≤ k) − k for the policy. Γ is the doubly robust score
    μ₁ − μ₀ + T(Y − μ₁)/e − (1 − T)(Y − μ₀)/(1 − e), with the arms' means for μ unless better ones are given. Tied units
    share the mean weight of their places, which is the average over all ways to break the tie. Intervals are Student's
    t, from influence functions that allow for the ranks being estimated, summed over clusters; an arm never counts as
    varying less than both arms together (`uplift_gains.Draw`).

    Args:
        level: Probability with which each interval is meant to hold the truth, in (0, 1).
        at: Shares of the units at which uplift and policy value are told.

    Reference:
        Yadlowsky, Fleming, Shah, Brunskill and Wager (2025), Evaluating treatment prioritization rules via
        rank-weighted average treatment effects, JASA 120, equations 2.3 to 2.6 (AUTOC, Qini as weights); Radcliffe
        (2007), Using control groups to target on predicted lift (Qini).

    Examples:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> x, arm = rng.random(4000), rng.integers(0, 2, 4000)
        >>> y = arm * (x > 0.5) + 0.1 * rng.normal(size=4000)
        >>> found = UpliftCurves()(x, arm, y)
        >>> round(found.qini.value.mid, 2), round(found.uplift[0.5].value.mid, 1)
        (0.12, 1.0)
    """

    def __init__(self, level: float = 0.9, at: Sequence[float] = (0.1, 0.2, 0.3, 0.5)):
        self.level = probability(float(numbers(level, "level")), "level")
        shares = np.atleast_1d(numbers(at, "share of the units"))
        self.at = tuple(probability(float(share), "share of the units") for share in shares)

    def __call__(
        self,
        score: ArrayLike,
        arm: ArrayLike,
        y: ArrayLike,
        propensity: ArrayLike | None = None,
        means: ArrayLike | None = None,
        cluster: ArrayLike | None = None,
        fold: ArrayLike | None = None,
        versus: ArrayLike | None = None,
    ) -> Ranking:
        """Return the measures of a ranking, or of one less another.

        Args:
            score: [n] scores; the highest is treated first.
            arm: [n] 1 where treated, 0 where not.
            y: [n] outcomes, the more the better.
            propensity: [n] chance with which each unit was treated, inside (0, 1); the treated share where left out.
            means: [n, 2] expected outcome without and with the treatment, from models that did not see the row.
            cluster: [n] whole numbers or other ids of what a row belongs to; each its own where left out. Where none
                has rows in both arms, clusters count as treated as a whole.
            fold: [n] where scores of different folds came from different models: they are ranked within their fold.
            versus: [n] scores of another ranking of the same units: every value is then that of `score` less that of
                `versus`, with a paired interval; ceilings stay.

        Raises:
            BadInputError: If shapes do not fit, a value or an id is missing or infinite, too large or too small, an arm
                has too few units or clusters to tell anything, a propensity is not inside (0, 1), or the outcome is
                constant, or the same for all treated alike.
        """
        gains, without, treated, chance, left = _gains(arm, y, propensity, means)
        n = len(gains)
        part = np.zeros(n, np.int64) if fold is None else coded("fold", fold, n)
        group = np.arange(n) if cluster is None else coded("cluster", cluster, n)
        draw = Draw(treated, np.array([1 - chance, chance]), left, group, self.level)
        sides = [(1.0, _Order.of(score, gains, part))]
        if versus is not None:
            sides.append((-1.0, _Order.of(versus, gains, part)))
        best = _Order.of(gains, gains, np.zeros(n, np.int64))

        def measured(weight: _Weight, mid: float = 0.0, influence: Array | None = None) -> Estimate:
            total, times = np.zeros(n) if influence is None else influence.copy(), np.zeros(n)
            for sign, order in sides:
                weights = order.weights(weight)
                total[order.rows] += sign * order.influence(weight, weights)
                times[order.rows] += sign * weights
                mid += sign * order.mean(weights)
            return draw.estimate(mid, total, (times if influence is None else times - 1, times))

        def measure(weight: _Weight) -> Measure:
            return Measure(measured(weight), best.mean(best.weights(weight)))

        shares = np.linspace(0, 1, POINTS)
        curve = [measured(_first(p)) for p in shares]
        start = (float(without.mean()), without - without.mean()) if versus is None else ()
        return Ranking(
            effect=draw.estimate(float(gains.mean()), gains - gains.mean()),
            qini=measure(_Weight(lambda p: p * (1 - p) / 2, _Smooth(lambda p: 0.5 - p, lambda p: -np.ones_like(p)))),
            auuc=measure(_Weight(lambda p: p - p**2 / 2, _Smooth(lambda p: 1 - p, lambda p: -np.ones_like(p)))),
            autoc=measure(_Weight(lambda p: -xlogy(p, p), _Smooth(lambda p: -np.log(p) - 1, lambda p: -1 / p))),
            uplift={k: measure(_first(k, 1 / k)) for k in self.at},
            policy={k: measure(_first(k, 1.0, k)) for k in self.at},
            worth={k: measured(_first(k), *start) for k in self.at},
            shares=shares,
            gain=np.array([point.mid for point in curve]),
            low=np.array([point.low for point in curve]),
            high=np.array([point.high for point in curve]),
        )


@dataclass(frozen=True)
class _Smooth:
    """A weight that falls without a jump, and its slope."""

    value: Callable[[Array], Array]
    slope: Callable[[Array], Array]


@dataclass(frozen=True)
class _Jump:
    """A weight that is level but for where it jumps, and by how much."""

    share: float
    height: float


@dataclass(frozen=True)
class _Weight:
    """A weight over places: its integral from 0, and how it goes from place to place."""

    integral: Callable[[Array], Array]
    form: _Smooth | _Jump


def _first(share: float, height: float = 1.0, less: float = 0.0) -> _Weight:
    return _Weight(lambda p: height * np.minimum(p, share) - less * p, _Jump(share, -height))


@dataclass(frozen=True)
class _Order:
    """Units in the order of their scores, one part after the other; the tied stand in a block.

    Args:
        rows: [n] which unit stands where.
        parts: Stretches of `rows`, one for each part.
        first: [n] how many of the part stand before the unit's block.
        last: [n] the same, with it.
        begin: [n] `first` as a share of the part.
        end: [n] `last` as a share of the part.
        gains: [n] gains in this order.
        level: [n] the mean of the gains in the unit's block.
    """

    rows: Rows
    parts: tuple[slice, ...]
    first: Rows
    last: Rows
    begin: Array
    end: Array
    gains: Array
    level: Array

    @classmethod
    def of(cls, score: ArrayLike, gains: Array, part: Rows) -> _Order:
        values = numbers(score, "score")
        if values.shape != part.shape:
            raise BadInputError("There is not one score for each unit", got=values.shape, allowed=f"[{len(part)}]")
        missing = ~np.isfinite(values)
        if missing.any():
            got = f"{int(missing.sum())} of {len(part)}"
            raise BadInputError("A score is missing or infinite", got=got, do="leave out the units without a score")
        if np.asarray(score).dtype.kind in "iu":  # floats would make one of large whole numbers
            values = np.unique(np.asarray(score), return_inverse=True)[1].astype(float)
        rows = np.lexsort((-values, part))
        ranked, n = gains[rows], len(rows)
        first, last, parts = np.empty(n, np.int64), np.empty(n, np.int64), []
        begin, end, level = np.empty(n), np.empty(n), np.empty(n)
        bounds = np.r_[0, np.cumsum(np.bincount(part))]
        for start, stop in pairwise(bounds):
            own, count = slice(int(start), int(stop)), stop - start
            fresh = np.flatnonzero(np.r_[True, np.diff(values[rows[own]]) != 0])
            size = np.diff(np.r_[fresh, count])
            first[own], last[own] = np.repeat(fresh, size), np.repeat(fresh + size, size)
            begin[own], end[own] = first[own] / count, last[own] / count
            level[own] = np.repeat(np.add.reduceat(ranked[own], fresh) / size, size)
            parts.append(own)
        return cls(rows, tuple(parts), first, last, begin, end, ranked, level)

    def weights(self, weight: _Weight) -> Array:
        """Return the weight [n] of every unit, in this order."""
        return (weight.integral(self.end) - weight.integral(self.begin)) / (self.end - self.begin)

    def mean(self, weights: Array) -> float:
        """Return the weighted mean of the gains."""
        return float(weights @ self.gains / len(self.gains))

    def influence(self, weight: _Weight, weights: Array) -> Array:
        """Return the influence [n] of every unit, in this order, on the weighted mean."""
        out = weights * self.gains
        for own in self.parts:
            out[own] -= out[own].mean()
            if isinstance(weight.form, _Smooth):
                out[own] += self._pushed(own, weight.form, weights[own])
            elif 0 < weight.form.share < 1:
                out[own] += weight.form.height * self._crossed(own, weight.form.share)
        return out

    def _pushed(self, own: slice, weight: _Smooth, weights: Array) -> Array:
        """Return what one more unit of a part does to the weighted mean by moving the others, [units of the part].

        A unit moves the end of its own block and both ends of all behind it. A block from a to b whose mean weight is m
        has dm = ((w(b) − m) db + (m − w(a)) da) / (b − a); where nobody is tied, E[w'(P) Γ (1(ahead) − P)] is left.
        """
        first, last, begin, end, level = self._of(own)
        size, middle = last - first, (begin + end) / 2
        alone = size == 1
        start = np.where(begin > 0, begin, end)  # nobody stands before the first block, so that it never moves
        far = np.where(alone, weight.slope(middle) * level / len(level), level * (weights - weight.value(start)) / size)
        near = np.where(alone, 0.0, level * (weight.value(end) - weights) / size)
        behind, inside = np.r_[0.0, np.cumsum(far + near)], np.r_[0.0, np.cumsum(near)]
        usual = np.where(alone, middle, begin) @ far + end @ near
        return np.asarray(behind[-1] - behind[last] + inside[last] - inside[first] - usual)

    def _crossed(self, own: slice, share: float) -> Array:
        """Return the gain that one more unit of a part moves across a share, [units of the part].

        It moves the units at the share: those of the block that holds it, where that is wide enough to tell their mean
        gain, else all that are near. A share between two blocks, to within half a unit, is held by both.
        """
        first, last, begin, end, level = self._of(own)
        size, count = last - first, len(level)
        here = np.searchsorted(end, share)
        ahead = np.zeros(count)
        ahead[: first[here]] = 1
        if size[here] == 1:
            ahead[here] = (begin[here] + end[here]) / 2 < share
        else:
            ahead[first[here] : last[here]] = (share - begin[here]) / (end[here] - begin[here])
        steps = np.arange(count + 1) / count
        off = np.abs((steps[:-1] + steps[1:]) / 2 - share)
        near = off <= max(NEAR, off.min())
        before = np.searchsorted(end, share - 0.5 / count)
        after = np.searchsorted(begin, share + 0.5 / count, "right") - 1
        if size[before] > max(1, NEAR * count):
            near[: first[before]] = False
        if size[after] > max(1, NEAR * count):
            near[last[after] :] = False
        return (ahead - share) * float(level[near].mean())

    def _of(self, own: slice) -> tuple[Rows, Rows, Array, Array, Array]:
        return self.first[own], self.last[own], self.begin[own], self.end[own], self.level[own]


def _gains(
    arm: ArrayLike, y: ArrayLike, propensity: ArrayLike | None, means: ArrayLike | None
) -> tuple[Array, Array, Rows, Array, Array]:
    """Return doubly robust scores of the effect and of the outcome without treatment, arms, chances and what is left.

    What is left [n] is the outcome less what was expected under the unit's own arm.
    """
    treated, outcome = numbers(arm, "arm"), numbers(y, "outcome")
    n = len(outcome) if outcome.ndim == 1 else 0
    if n < 2 or treated.shape != (n,) or not np.isin(treated, (0, 1)).all():
        raise BadInputError(
            "Every unit is treated (1) or not (0) and has an outcome", got=(treated.shape, outcome.shape)
        )
    if not np.isfinite(outcome).all():
        raise BadInputError("An outcome is missing or infinite", do="leave out the units without an outcome")
    t = treated
    if not 0 < t.sum() < n:
        raise BadInputError("All units are in one arm", do="bring units that were treated and units that were not")
    if outcome.min() == outcome.max():
        raise BadInputError("The outcome is constant, so that no effect can be ranked", got=float(outcome[0]))
    sized("outcome", outcome)
    refuse_still(t.astype(np.int64), outcome)
    chance = np.full(n, t.mean()) if propensity is None else numbers(propensity, "propensity")
    if chance.shape != (n,) or not ((chance > 0) & (chance < 1)).all():
        raise BadInputError("A propensity is not a chance", allowed="a number inside (0, 1) for every unit")
    if means is None:
        inverse = np.column_stack([(1 - t) / (1 - chance), t / chance])
        table = np.tile((inverse * outcome[:, None]).sum(axis=0) / inverse.sum(axis=0), (n, 1))
    else:
        table = numbers(means, "expected outcome")
        if table.shape != (n, 2) or not np.isfinite(table).all():
            raise BadInputError(
                "The expected outcomes do not fit", got=table.shape, allowed=f"numbers of shape {(n, 2)}"
            )
    without = table[:, 0] + (1 - t) * (outcome - table[:, 0]) / (1 - chance)
    gains = table[:, 1] + t * (outcome - table[:, 1]) / chance - without
    return gains, without, t.astype(np.int64), chance, outcome - np.where(t == 1, table[:, 1], table[:, 0])
