"""Dose–response: what each dose of a lever brings in each group, and which dose earns most."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray
from scipy import special

from tradewind.errors import BadInputError
from tradewind.methods.moments import counted, labels, numbers, probability

Array = NDArray[np.float64]
Shape = Literal["auto", "free", "monotone", "concave"]

SIZES = np.geomspace(0.03, 30, 11)  # deviation of the common curve at the largest dose, in units of the typical effect
APART = (0.1, 0.25, 0.5, 1.0, 2.0)  # deviation of a group's curve from the common one, relative to that
STRAIGHT = (0.2, 0.6, 0.95)  # share of a curve's variance that is a straight line
LEAST = 0.01  # weight below which a setting of the prior is left out
PRIOR_DRAWS = 20_000
SPREAD = 4  # doses on which the odds of a shape are told
BLOCK = 200_000  # draws times groups that are held at once
STEPS = 10  # of the projection, at most so many for each wall; about one is enough
CLOSE = 1e-9  # of a curve: how far beyond a wall it may be left
CHANCE = 0.001  # below which data contradict what curves are held to
APART_AT_MOST = 1e6  # largest number over the smallest one with which there is anything to compute
EXTREME = 1e100  # numbers beyond which squares overflow


@dataclass(frozen=True)
class Best:
    """The dose that earns most in each group; arrays are [groups].

    Args:
        dose: The dose of the greatest expected value, 0 where none is worth its cost.
        low: Lower end of the interval that holds the best dose.
        high: Upper end of it.
        value: Expected value at `dose`, in the unit of the effects.
        value_low: Lower end of its interval.
        value_high: Upper end of it.
        identified: Whether the data tell the best dose: its interval is not the whole range, nor open above, and they
            do not contradict the shape.
        reason: Why not, in words; empty where it is identified.
    """

    dose: Array
    low: Array
    high: Array
    value: Array
    value_low: Array
    value_high: Array
    identified: NDArray[np.bool_]
    reason: tuple[str, ...]


@dataclass(frozen=True)
class Curves:
    """Dose–response curves of groups.

    Args:
        groups: [groups] their ids, in rising order.
        doses: [doses] the doses at which curves are told, in rising order, without 0.
        mid: [groups, doses] expected effect.
        low: [groups, doses] lower end of its interval.
        high: [groups, doses] upper end of it.
        common: [doses] expected effect of the curve that groups are drawn towards.
        shape: The shape that curves are held to; of `auto` the likelier one.
        concave_odds: Odds of a concave common curve against one that only rises, from equal odds before the data; NaN
            where fewer than two doses tell nothing of it.
        tried: [groups] number of doses with data.
        misfit: [groups] in words, what the data contradict: that effects of one dose agree, or the shape. Empty where
            chance would bring data as far off at least once in a thousand times.
    """

    groups: NDArray[np.generic]
    doses: Array
    mid: Array
    low: Array
    high: Array
    common: Array
    shape: Shape
    concave_odds: float
    tried: NDArray[np.int64]
    misfit: tuple[str, ...]
    _posterior: _Posterior
    _level: float

    def best(self, cost: ArrayLike, worth: float = 1.0) -> Best:
        """Return the dose that earns most in each group: worth × effect − cost, against doing nothing.

        Args:
            cost: [doses] or [groups, doses] what each dose costs, in the unit of value.
            worth: Value of one unit of effect.

        Raises:
            BadInputError: If costs do not fit the doses, or are not finite.
        """
        costs = numbers(cost, "cost")
        shape = (len(self.groups), len(self.doses))
        value_of_one = numbers(worth, "value of one unit of effect")
        if value_of_one.shape != () or not np.isfinite(value_of_one):
            raise BadInputError("The value of an effect cannot be used", got=worth, allowed="a finite number")
        if costs.shape not in (shape, shape[1:]) or not np.isfinite(costs).all():
            raise BadInputError(
                "Costs do not fit the doses", got=costs.shape, allowed=f"{shape} or {shape[1:]}, finite"
            )
        costs = np.broadcast_to(costs, shape)
        options = np.concatenate([[0.0], self.doses])
        ends = ((1 - self._level) / 2, (1 + self._level) / 2)
        parts: list[list[Array]] = []
        for rows, effects in self._posterior.draws():
            value = np.concatenate([np.zeros((*effects.shape[:2], 1)), value_of_one * effects - costs[rows]], axis=2)
            mean = value.mean(axis=0)
            pick = np.argmax(mean, axis=1)
            at = np.arange(len(pick))
            bests = options[np.argmax(value, axis=2)]
            low, high = np.quantile(bests, ends, axis=0, method="closest_observation")
            least, most = np.quantile(value[:, at, pick], ends, axis=0)
            parts.append([options[pick], low, high, mean[at, pick], least, most])
        dose, low, high, mid, least, most = (np.concatenate(column) for column in zip(*parts, strict=True))
        reasons = [misfit or self._why(*row) for misfit, *row in zip(self.misfit, low, high, self.tried, strict=True)]
        known = np.array([not reason for reason in reasons])
        return Best(dose, low, high, mid, least, most, known, tuple(reasons))

    def _why(self, low: float, high: float, tried: int) -> str:
        last = self.doses[-1]
        if low == 0 and high == last:
            return "any dose of the range may be the best one, and none at all"
        if low == last:
            return "the best dose lies at the largest one told or beyond"
        if high == last:
            return "the best dose may lie at the largest one told or beyond"
        return "fewer than two doses were tried here: this rests on other groups" if tried < 2 else ""


class Response:
    """Learns dose–response curves from effects that were estimated dose by dose.

    Curves are Gaussian processes that begin at no effect: Brownian motion and a straight line, so that thresholds and
    saturations both fit. A group's curve is the common one and a deviation of its own; how large both are is averaged
    over by their evidence, any deviation as likely as any other before the data, so that few groups are hardly drawn
    towards nothing. Draws of the posterior are projected onto curves that never fall, and onto concave ones as often as
    the odds have it.

    Args:
        level: Probability with which an interval is meant to hold the truth, in (0, 1).
        shape: `auto` (rising; concave as far as the odds are for it), `monotone`, `concave` or `free`.
        anchored: Whether the smallest dose does next to nothing, so that curves begin at 0. If not, as where a coupon
            annoys whatever its size, they may begin anywhere, rise from there, and are not held to be concave.
        draws: Number of draws of the posterior, 100 or more.
        seed: Seed of the draws, 0 or more.

    Raises:
        BadInputError: If a setting is out of range.

    Reference:
        Lin and Dunson (2014), Bayesian monotone regression using Gaussian process projection, Biometrika 101(2),
        section 2; Gelman (2006), Prior distributions for variance parameters in hierarchical models, Bayesian Analysis
        1(3), section 7.1 (a uniform prior of deviations); Klugkist and Hoijtink (2007), The Bayes factor for inequality
        and about equality constrained models, equation 8 (odds of a shape); Lawson and Hanson (1974), Solving least
        squares problems, chapter 23 (projection).

    Examples:
        >>> found = Response()([5, 10, 20] * 2, [1.0, 1.6, 2.1, 0.8, 1.5, 1.9], [0.1] * 6, ["a"] * 3 + ["b"] * 3)
        >>> found.best(cost=[0.3, 0.7, 1.6]).dose
        array([10., 10.])
    """

    def __init__(
        self, level: float = 0.9, shape: Shape = "auto", anchored: bool = True, draws: int = 1000, seed: int = 0
    ):
        level, seed = probability(level, "level"), counted(seed, "seed")
        draws = counted(draws, "number of draws", 100)
        if shape not in ("auto", "free", "monotone", "concave"):
            raise BadInputError("No such shape", got=shape, allowed=("auto", "free", "monotone", "concave"))
        if shape == "concave" and not anchored:
            raise BadInputError("A curve that does not begin at 0 is not held to be concave", do="take monotone")
        self.level, self.shape, self.anchored, self.draws, self.seed = level, shape, anchored, draws, seed

    def __call__(
        self,
        dose: ArrayLike,
        effect: ArrayLike,
        error: ArrayLike,
        group: ArrayLike | None = None,
        at: ArrayLike | None = None,
    ) -> Curves:
        """Return the curves of all groups.

        Args:
            dose: [n] doses, above 0, in any unit.
            effect: [n] effect of that dose against none, a mean for each unit reached.
            error: [n] standard error of the effect, above 0; errors are taken to be independent.
            group: [n] id of the group, all of one type; one group where left out. Doses may differ between groups.
            at: Doses at which curves are told; those with data where left out. None may lie beyond the largest one.

        Raises:
            BadInputError: If lengths differ, a number is not finite, a dose or an error is not above 0, numbers lie
                too far apart to compute with, a group is missing, or a dose asked for lies outside what was tried.
        """
        given = [numbers(v, what) for v, what in ((dose, "dose"), (effect, "effect"), (error, "error"))]
        size = given[0].shape
        ids = np.zeros(size, np.int64) if group is None else np.asarray(group)
        if len(size) != 1 or not size[0] or any(values.shape != size for values in (*given, ids)):
            raise BadInputError(
                "The rows do not fit", got=[v.shape for v in (*given, ids)], allowed="one length, not 0"
            )
        if not all(np.isfinite(values).all() for values in given) or (given[0] <= 0).any() or (given[2] <= 0).any():
            raise BadInputError(
                "A dose, an effect or an error cannot be used", allowed="finite numbers; doses and errors above 0",
                do="leave out doses with too few units for a standard error",
            )  # fmt: skip
        doses, effects, errors = given
        smallest, largest = errors.min(), max(np.abs(effects).max(), errors.max())
        if (
            not 1 / EXTREME < smallest <= largest < EXTREME
            or largest / smallest > APART_AT_MOST
            or doses.max() / APART_AT_MOST > doses.min()
        ):
            raise BadInputError(
                "Doses, or effects and errors, lie too far apart to compute with",
                got=f"doses from {doses.min():g} to {doses.max():g}, errors from {smallest:g}, numbers to {largest:g}",
                allowed=f"a factor of {APART_AT_MOST:,.0f} between doses, and between an error and the largest effect",
                do="leave out what cannot be right",
            )
        _known(ids)
        told = np.unique(doses if at is None else numbers(at, "dose"))
        if not len(told) or not (told[0] > 0 and told[-1] <= doses.max()):
            raise BadInputError(
                "Curves are told only where doses were tried", got=told.tolist(), allowed=f"above 0, to {doses.max()}"
            )
        grid = np.unique(np.concatenate([doses, told]))
        names, code = np.unique(ids, return_inverse=True)
        place = np.searchsorted(grid, doses)
        precision = np.zeros((len(names), len(grid)))
        sums = np.zeros_like(precision)
        np.add.at(precision, (code, place), errors**-2)
        np.add.at(sums, (code, place), effects * errors**-2)
        seen = precision > 0
        y = np.divide(sums, precision, out=np.zeros_like(sums), where=seen)
        posterior, common, odds = self._posterior(grid, y, precision, np.searchsorted(grid, told))
        mid, low, high = np.empty((3, len(names), len(told)))
        ends = ((1 - self.level) / 2, (1 + self.level) / 2)
        for rows, drawn in posterior.draws():
            mid[rows] = drawn.mean(axis=0)
            low[rows], high[rows] = np.quantile(drawn, ends, axis=0)
        off = np.bincount(code, ((effects - y[code, place]) / errors) ** 2, len(names))
        repeats = np.bincount(code, minlength=len(names)) - seen.sum(axis=1)
        misfit = self._misfit(posterior, grid, special.chdtrc(np.maximum(repeats, 1), np.where(repeats > 0, off, 0.0)))
        return Curves(
            names, told, mid, low, high, common, posterior.shape, odds, seen.sum(axis=1), misfit, posterior, self.level
        )

    def _misfit(self, posterior: _Posterior, grid: Array, alike: Array) -> tuple[str, ...]:
        """Say what the data of each group contradict, given the chance of effects of one dose as far apart as they are.

        How far a group's effects lie from the nearest curve of the shape, in squared errors, is at most chi-squared
        with a degree of freedom for each dose; the same holds for the sum over groups.
        """
        shape = posterior.shape
        if shape == "concave" and posterior.concave < 1 - CHANCE:
            shape = "monotone"  # what only rises was still allowed for
        seen = posterior.precision > 0
        far = np.zeros(len(seen))
        for n, at in enumerate(seen):
            root = np.sqrt(posterior.precision[n, at])
            own = root * posterior.y[n, at]
            far[n] = ((own - projected(own[None], _walls(grid[at], shape, self.anchored) / root)[0]) ** 2).sum()
        tried = seen.sum(axis=1)
        bad = special.chdtrc(tried, far) < CHANCE
        together = (~bad).sum() > 1 and special.chdtrc(tried[~bad].sum(), far[~bad].sum()) < CHANCE
        slower = "ever more slowly " if shape == "concave" else ""
        contradict = f"the outcomes contradict a response that rises {slower}with the dose"
        rest = f"together with those of other groups {contradict}" if together else ""
        return tuple(
            contradict if far_off else "outcomes of one dose differ by more than chance" if chance < CHANCE else rest
            for far_off, chance in zip(bad, alike, strict=True)
        )

    def _posterior(
        self, grid: Array, y: Array, precision: Array, told: NDArray[np.intp]
    ) -> tuple[_Posterior, Array, float]:
        rng = np.random.default_rng(self.seed)
        seen = precision > 0
        typical = float(np.sqrt(np.average(y[seen] ** 2, weights=precision[seen]) + 1 / precision[seen].max()))
        apart = APART if len(y) > 1 else APART[:1]
        # places are not evenly spaced: each counts for its stretch
        stretch = np.outer(np.gradient(SIZES), np.gradient(APART) if len(y) > 1 else 1.0)
        fits = [
            _fit(_kernel(grid, straight, self.anchored) * (size * typical) ** 2, ratio, y, precision)
            for size in SIZES
            for ratio in apart
            for straight in STRAIGHT
        ]
        evidence = np.array([fit.evidence for fit in fits]) + np.log(np.repeat(stretch, len(STRAIGHT)))
        weight = np.exp(evidence - evidence.max())
        weight /= weight.sum()
        kept = np.flatnonzero(weight >= LEAST * weight.max())
        weight = weight[kept] / weight[kept].sum()
        fits = [fits[n] for n in kept]
        counts = np.diff(np.round(np.cumsum(np.append(0.0, weight)) * self.draws).astype(int))
        odds = _concave_odds(fits, weight, grid, rng) if self.anchored and len(grid) > 1 else float("nan")
        shape, concave = self.shape, float(self.shape == "concave")
        if shape == "auto":
            shape = "concave" if odds > 1 else "monotone"
            concave = odds / (1 + odds) if np.isfinite(odds) else 0.0
        walls = (_walls(grid, "free" if shape == "free" else "monotone", self.anchored), _walls(grid, "concave", True))
        posterior = _Posterior(fits, counts, y, precision, walls, concave, told, shape, self.seed)
        means = np.array([fit.mean for fit in fits])
        held = (1 - concave) * projected(means, walls[0]) + concave * projected(means, walls[1])
        return posterior, np.asarray(weight @ held)[told], odds


@dataclass(frozen=True)
class _Fit:
    """The posterior of the common curve at one setting of the prior; matrices are [doses, doses]."""

    prior: Array
    own: Array
    evidence: float
    mean: Array
    covariance: Array


@dataclass(frozen=True)
class _Posterior:
    """The curves' posterior, from which draws can be taken again and again, the same each time."""

    fits: list[_Fit]
    counts: NDArray[np.int64]
    y: Array
    precision: Array
    walls: tuple[Array, Array]  # of curves that rise, and of concave ones
    concave: float  # share of draws that are held to be concave
    told: NDArray[np.intp]
    shape: Shape
    seed: int

    def draws(self) -> Iterator[tuple[slice, Array]]:
        """Yield groups, block by block, with draws [draws, groups, doses told] of their curves."""
        groups, size = self.y.shape
        rng = np.random.default_rng([self.seed, 1])
        commons = [
            fit.mean + rng.standard_normal((count, size)) @ _root(fit.covariance).T
            for fit, count in zip(self.fits, self.counts, strict=True)
        ]
        bent = np.random.default_rng([self.seed, 2]).random(int(self.counts.sum())) < self.concave
        step = max(1, BLOCK // len(bent))
        for start in range(0, groups, step):
            rows = slice(start, min(start + step, groups))
            parts = []
            for fit, common in zip(self.fits, commons, strict=True):
                y, w = self.y[rows], self.precision[rows]
                inverse = np.linalg.inv(fit.own)
                covariance = np.linalg.inv(inverse + w[:, :, None] * np.eye(size))
                pull = (common @ inverse)[:, None, :] + (w * y)[None, :, :]
                centre = np.einsum("gij,ngj->ngi", np.asarray(covariance), pull)
                noise = rng.standard_normal((len(common), len(y), size))
                drawn = centre + np.einsum("gij,ngj->ngi", _root(np.asarray(covariance)), noise)
                parts.append(drawn)
            curves = np.concatenate(parts)
            for some, walls in zip((~bent, bent), self.walls, strict=True):
                curves[some] = projected(curves[some], walls)
            yield rows, curves[:, :, self.told]


def _known(ids: NDArray[Any]) -> None:
    """Raise where the group of an effect is missing, or groups are of several types."""
    labels(ids, len(ids), "group")
    kinds = sorted({type(each).__name__ for each in ids.tolist()})
    if len(kinds) > 1:
        raise BadInputError("Groups have ids of several types", got=", ".join(kinds), allowed="one type")


def _kernel(grid: Array, straight: float, anchored: bool) -> Array:
    """Covariance of a curve over doses: a straight line, Brownian motion and, where it is not anchored, a jump."""
    d = grid / grid[-1]
    found = straight * np.outer(d, d) + (1 - straight) * np.minimum.outer(d, d)
    found += 1e-9 * np.eye(len(d))
    return np.asarray(found if anchored else 0.5 * (found + 1.0))


def _fit(prior: Array, apart: float, y: Array, precision: Array) -> _Fit:
    """Return the posterior of the common curve and the evidence of a setting, groups' own curves integrated out.

    A group's doses y = e + ε with e ~ N(m, C) and precision W of ε tell m with information J = W − W (C⁻¹ + W)⁻¹ W.
    """
    size = len(prior)
    own = prior * apart**2
    inverse = np.linalg.inv(own)
    inner = inverse + precision[:, :, None] * np.eye(size)
    solved = np.linalg.inv(inner)
    information = precision[:, :, None] * np.eye(size) - precision[:, :, None] * solved * precision[:, None, :]
    pull = np.einsum("gij,gj->gi", information, y)
    total = np.linalg.inv(prior) + information.sum(axis=0)
    covariance = np.linalg.inv(total)
    covariance = (covariance + covariance.T) / 2
    b = pull.sum(axis=0)
    mean = covariance @ b
    seen = precision > 0
    evidence = -0.5 * (np.einsum("gi,gi->", y, pull) - b @ mean)
    evidence -= 0.5 * (np.linalg.slogdet(inner)[1].sum() + len(y) * np.linalg.slogdet(own)[1])
    evidence += 0.5 * np.log(precision[seen]).sum()
    evidence -= 0.5 * (np.linalg.slogdet(total)[1] + np.linalg.slogdet(prior)[1])
    return _Fit(prior, own, float(evidence), mean, covariance)


def _root(covariance: Array) -> Array:
    """Return a square root of covariances [..., n, n] that may be near singular."""
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0))[..., None, :])


def _walls(grid: Array, shape: Shape, anchored: bool) -> Array:
    """Return the rows a for which a·curve ≥ 0 holds: rising, and falling slopes where it is concave."""
    size = len(grid)
    if shape == "free":
        return np.zeros((0, size))
    rise = np.eye(size) - np.eye(size, k=-1)
    if not anchored:
        rise = rise[1:]
    if shape == "monotone" or size == 1:
        return rise
    slope = rise / np.diff(np.concatenate([[0.0], grid / grid[-1]]))[:, None]
    walls = np.vstack([slope[:-1] - slope[1:], slope[-1:]])
    return np.asarray(walls / np.linalg.norm(walls, axis=1, keepdims=True))


def projected(curves: Array, walls: Array) -> Array:
    """Return the nearest curves that keep to all walls: the projection on a cone, by non-negative least squares.

    Args:
        curves: [..., doses].
        walls: [k, doses] rows a with a·curve ≥ 0.
    """
    found = np.array(curves, float, order="C")
    if len(walls):
        gram = walls @ walls.T
        gram += 1e-14 * np.diag(np.diag(gram))  # doses next to each other have walls that are alike to rounding
        _project(found.reshape(-1, found.shape[-1]), np.ascontiguousarray(walls), gram)
    return found


@njit(cache=True)
def _project(curves: Any, walls: Any, gram: Any) -> None:
    """Move each row of curves [n, doses] to the nearest point of the cone, in place.

    The nearest point is the curve pushed off the walls that it leans on: pushes ≥ 0 are found by adding the wall that
    is passed furthest and letting go of walls that would pull, until none is passed.
    """
    count = len(walls)
    size = np.sqrt(np.diag(gram))
    for n in range(len(curves)):
        x = curves[n]
        along = walls @ x
        push, on = np.zeros(count), np.zeros(count, np.bool_)
        for _ in range(STEPS * count):
            passed = np.where(on, 0.0, (along + gram @ push) / size)
            worst = np.argmin(passed)
            if passed[worst] >= -CLOSE * np.abs(x).max():
                break
            on[worst] = True
            while on.any():
                at = np.flatnonzero(on)
                full = np.linalg.solve(gram[at][:, at], -along[at])
                if full.min() > 0:
                    push[at] = full
                    break
                share, last = 1.0, at[0]
                for k, there in zip(at, full):  # noqa: B905 - numba knows no strict
                    if there <= 0 and push[k] <= share * (push[k] - there):
                        share, last = push[k] / max(push[k] - there, 1e-300), k
                push[at] = np.maximum(push[at] + share * (full - push[at]), 0.0)
                push[last], on[last] = 0.0, False
        x += push @ walls


def _concave_odds(fits: list[_Fit], weight: Array, grid: Array, rng: np.random.Generator) -> float:
    """Odds of a concave common curve against one that only rises, on four doses spread over the range.

    The Bayes factor of a shape within a wider prior is the share of the posterior that has it over the share of the
    prior that does (Klugkist and Hoijtink, 2007, equation 8).
    """
    few = np.unique(np.round(np.linspace(0, len(grid) - 1, min(len(grid), SPREAD))).astype(int))
    walls = [_walls(grid[few], shape, True) for shape in ("monotone", "concave")]
    noise = rng.standard_normal((PRIOR_DRAWS, len(few)))
    shares = np.full((2, 2), 1 / PRIOR_DRAWS)  # before and after the data, rising and concave
    for part, fit in zip(weight, fits, strict=True):
        for row, (centre, spread) in enumerate(((0.0 * fit.mean, fit.prior), (fit.mean, fit.covariance))):
            curves = centre[few] + noise @ _root(spread[np.ix_(few, few)]).T
            shares[row] += [part * (curves @ wall.T >= 0).all(axis=1).mean() for wall in walls]
    return float(shares[1, 1] / shares[1, 0] / (shares[0, 1] / shares[0, 0]))
