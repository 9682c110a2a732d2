"""The effect of one treatment as a function of features, learnt from gains of single units that are mostly noise.

What is learnt stands on what is there without learning: one relative lift for all, under which units gain in
proportion to what they do anyhow. Lines and levels (`additive`) are one way to go beyond it; bends, pairs, surfaces and
trees too are another. Units that did not teach say how much of each way is believed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import reduce
from itertools import combinations
from operator import add
from typing import Any

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray

from tradewind.methods.additive import (
    BENDS,
    FIXED,
    LEVELS,
    LINES,
    PAIRS,
    SURFACES,
    Additive,
    Basis,
    Moments,
    average,
    moments,
    shrink,
)
from tradewind.methods.learner import set_aside

Array = NDArray[np.float64]
Rows = NDArray[np.int64]
Mask = NDArray[np.bool_]

FEWEST = 4_000  # units below which no trees are tried
ASIDE = 0.2  # share of the clusters that say how many trees
ROUNDS = 400
PATIENCE = 6
SAMPLE = 20_000  # units on which the two sets of trees are held against each other
NEVER = 1e-12
# Beside the start alone: prior variances of the slopes on the start (around 1) and on trees (around 0), and what else.
WAYS = (((1.0, NEVER), (LINES, LEVELS)), ((1.0, 1.0), (LINES, LEVELS, BENDS, PAIRS, SURFACES)))
LITTLE = 0.01  # share below which a way is not believed at all
GROWING = {
    "objective": "regression",
    "learning_rate": 0.25,
    "num_leaves": 8,
    "linear_tree": True,
    "linear_lambda": 1.0,
    "lambda_l2": 1.0,
    "boost_from_average": False,
    "max_bin": 63,
    "bin_construct_sample_cnt": 20_000,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}


@dataclass(frozen=True)
class Effect:
    """An effect learnt from some of the units, in each of several ways.

    Args:
        trees: What trees say: two sets, each grown on half of the units; one or both may be missing.
        smooth: By way, what is added to the start; start and trees are the columns beside its basis.
        shaken: Variance that the trees take from the luck of their sample.
    """

    trees: tuple[lgb.Booster | None, lgb.Booster | None]
    smooth: tuple[Additive, ...]
    shaken: float

    def beside(self, held: Array, start: Array) -> Array:
        """Return the columns [n, 2] beside the smooth part: the start, and what the trees say of clipped features."""
        if self.trees == (None, None):
            return np.column_stack([start, np.zeros(len(start))])
        return np.column_stack([start, (_said(self.trees[0], held) + _said(self.trees[1], held)) / 2])

    def laws(self, x: Array, start: Array) -> tuple[Array, Array]:
        """Return the effects [ways, n] at features [n, p] given the start [n], and the variance [n] of the last way."""
        beside = self.beside(self.smooth[0].basis.clipped(x), start)
        *simple, last = self.smooth
        mean, variance = last.law(x, beside)
        means = np.array([*(part.predict(x, beside) for part in simple), mean])
        return start + means, variance + self.shake

    def known(self, way: int, beside: Array) -> Array:
        """Return the constant, and what start and trees contribute [n] as far as a way follows them."""
        beta = self.smooth[way].coefficients
        return np.asarray(beta[0] + beside @ (beta[1:3] + np.array([1.0, 0.0])))

    @property
    def shake(self) -> float:
        """The variance that the last way takes from the trees."""
        return self.shaken * float(self.smooth[-1].coefficients[2]) ** 2


@dataclass(frozen=True)
class Effects:
    """The effect learnt without each fold, and the law of their average.

    Args:
        folds: By fold, the effect learnt from the other folds.
        joint: By way, the average smooth part, with the variance that all units together leave.
        share: [ways] how much of each way is believed, adding up to 1.
    """

    folds: tuple[Effect, ...]
    joint: tuple[Additive, ...]
    share: Array

    @property
    def follows(self) -> float:
        """How far the start is followed, on average over folds and ways; 1 where nothing speaks against it."""
        return float(1 + self.share @ [part.coefficients[1] for part in self.joint])

    def predict(self, x: Array, start: Array) -> tuple[Array, Array]:
        """Return the average effect [n] over folds at features [n, p] given the start [n], and its variance [n].

        The variance is by the posterior law of the way that leaves nothing out, around what all ways say together: what
        was shrunk away counts by its prior.
        """
        held = self.joint[0].basis.clipped(x)
        besides = [effect.beside(held, start) for effect in self.folds]
        followed = np.mean(besides, axis=0)
        middles, variance = np.zeros((len(self.share), len(x))), np.zeros(len(x))
        for way, part in enumerate(self.joint):
            if way == len(WAYS):
                middles[way], variance = part.law(x, followed)
            elif self.share[way] > 0:
                middles[way] = part.predict(x, followed)
            else:
                continue
            # Folds differ in how far they follow their trees.
            known = [effect.known(way, beside) for effect, beside in zip(self.folds, besides, strict=True)]
            middles[way] += np.mean(known, axis=0) - part.coefficients[0] - followed @ part.coefficients[1:3]
        # Trees of different folds share units, so that their average is as shaken as trees grown on all units.
        variance += np.mean([effect.shake for effect in self.folds]) * (1 - 1 / len(self.folds))
        return mixed(self.share, middles, variance)


@dataclass(frozen=True)
class Taught:
    """What effects are learnt from.

    Args:
        x: [n, p] features.
        gain: [n] noisy gains of units, right on average.
        weight: [n] their precisions, 1 on average.
        start: [n] what one relative lift for all would add to the average effect.
        fold: [n] fold of each unit.
        cluster: [n] number of each unit's cluster.
    """

    x: Array
    gain: Array
    weight: Array
    start: Array
    fold: NDArray[np.int8]
    cluster: Rows

    def of(self, rows: NDArray[Any]) -> Taught:
        """Return some of the units."""
        return Taught(*(getattr(self, field.name)[rows] for field in fields(self)))


class EffectLearner:
    """Learns how an effect depends on features.

    Args:
        categorical: Which features are categories, coded as whole numbers from 0.
        inflation: How many times the noise of sums exceeds that of independent units.
        seed: Seed of halves and of what is set aside.
    """

    def __init__(self, categorical: Sequence[int] = (), inflation: float = 1.0, seed: int = 0):
        self.categorical = tuple(categorical)
        self.inflation = inflation
        self.seed = seed

    def __call__(self, taught: Taught, rows: Mask, judges: Mask, told: Mask) -> tuple[Effects, Array, Array]:
        """Return the effect learnt from some of the units, and held-out effects [n] with their variances [n].

        Args:
            taught: All units.
            rows: [n] which of them teach.
            judges: [n] which of these say how much of each way is believed.
            told: [n] whose held-out effects are told, the judges among them; NaN for others.
        """
        basis = Basis.of(taught.x if rows.all() else taught.x[rows], self.categorical, surfaces=True)
        count = int(taught.fold.max()) + 1
        learnt = [self._learnt(basis, taught.of(rows & (taught.fold != k)), self.seed + k) for k in range(count)]
        folds = tuple(effect for effect, _ in learnt)
        middles, variance = np.full((len(WAYS) + 1, len(rows)), np.nan), np.full(len(rows), np.nan)
        for k, effect in enumerate(folds):
            own = told & (taught.fold == k)
            middles[:, own], variance[own] = effect.laws(taught.x[own], taught.start[own])
        share = believed(middles[:, judges], taught.gain[judges], taught.weight[judges])
        together = reduce(add, [known for _, known in learnt])
        # Every unit taught all folds but one.
        joint = [average([f.smooth[way] for f in folds], together, 1 / (count - 1)) for way in range(len(share))]
        return Effects(folds, tuple(joint), share), *mixed(share, middles, variance)

    def _learnt(self, basis: Basis, taught: Taught, seed: int) -> tuple[Effect, Moments]:
        rng = np.random.default_rng(seed)
        first = set_aside(taught.cluster, 0.5, rng)
        centre = float(np.average(taught.gain - taught.start, weights=taught.weight))
        left = taught.gain - taught.start - centre
        said, shake = np.zeros(len(left)), 0.0
        trees: tuple[lgb.Booster | None, lgb.Booster | None] = (None, None)
        if len(left) >= FEWEST:
            held = basis.clipped(taught.x)
            leaf = int(np.clip(len(left) // 500, 50, 2000))
            growing = dict(GROWING, min_data_in_leaf=leaf, seed=int(rng.integers(2**31 - 1)))
            data = lgb.Dataset(
                held, left, weight=taught.weight, categorical_feature=list(self.categorical), params=growing,
                free_raw_data=False,
            ).construct()  # fmt: skip
            one, two = (_grown(data, growing, np.flatnonzero(half), taught, left, rng) for half in (first, ~first))
            trees = (one, two)
            said[first], said[~first] = _said(trees[1], held[first]), _said(trees[0], held[~first])
            some = slice(None, None, max(1, len(left) // SAMPLE))
            apart = _said(trees[0], held[some]) - _said(trees[1], held[some])
            shake = float(np.mean((apart - apart.mean()) ** 2)) / 4
        known = moments(basis, taught.x, left, taught.weight, np.column_stack([taught.start, said]))
        smooth = [_alone(basis, known, self.inflation)]
        smooth += [shrink(basis, known, self.inflation, np.array(loose), blocks) for loose, blocks in WAYS]
        for part in smooth:
            part.coefficients[0] += centre
        return Effect(trees, tuple(smooth), shake), known


def believed(told: Array, gain: Array, weight: Array) -> Array:
    """Return how much of each of several effects is believed [ways], by the gains of units that did not teach them.

    Shares w ≥ 0 that add up to 1 minimise ½ Σ(Γ − f·w)² + ½ Σ_j w_j Σ(Γ − f_j)²: what the gains do not tell apart is
    averaged, and what only follows chance is left out.

    Args:
        told: [ways, n] effects out of fold.
        gain: [n] gains.
        weight: [n] their precisions.

    Reference:
        Lan and Syrgkanis (2024), Causal Q-aggregation for CATE model selection, AISTATS, equation 4.
    """
    ways = len(told)
    apart = told - told[0]
    gram = (weight * apart) @ apart.T
    best, scale = 0.0, float(np.trace(gram))
    share: Array = np.eye(ways)[0]
    if scale == 0:
        return share
    line = (np.diag(gram) / 2 - 2 * apart @ (weight * (gain - told[0]))) / scale
    gram /= scale
    for count in range(1, ways + 1):
        for chosen in map(list, combinations(range(ways), count)):
            part = gram[np.ix_(chosen, chosen)]
            inner = np.block([[part, np.ones((count, 1))], [np.ones((1, count)), np.zeros((1, 1))]])
            w = np.linalg.lstsq(inner, np.r_[-line[chosen], 1.0], rcond=None)[0][:count]
            value = float(w @ part @ w / 2 + line[chosen] @ w)
            if (w >= 0).all() and value < best:
                best, share = value, np.zeros(ways)
                share[chosen] = w
    share[share < LITTLE] = 0.0
    return np.asarray(share / share.sum())


def mixed(share: Array, middles: Array, variance: Array) -> tuple[Array, Array]:
    """Return what ways with means [ways, n] say together [n], and its mean squared error [n].

    The error is by the law of the last way, which leaves nothing out: an order that is simple because the data tells no
    more is not certain for that. Its variance is given, [n].
    """
    middle = share @ middles
    return middle, variance + (middles[-1] - middle) ** 2


def _alone(basis: Basis, known: Moments, inflation: float) -> Additive:
    """Return the way that learns nothing but the average."""
    width = len(known.gram)
    coefficients, root, prior = np.zeros(width), np.zeros((width, width)), np.zeros(width)
    mean = float(known.cross[0] / known.count)
    noise = max(known.square / known.count - mean**2, 0.0) * inflation
    coefficients[0], root[0, 0], prior[0] = mean, np.sqrt(noise / known.count), FIXED * noise
    return Additive(basis, coefficients, root, prior, noise)


def _said(trees: lgb.Booster | None, x: Array) -> Array:
    return np.zeros(len(x)) if trees is None else np.asarray(trees.predict(x, num_threads=1))


def _grown(
    data: lgb.Dataset, growing: dict[str, Any], rows: Rows, taught: Taught, left: Array, rng: np.random.Generator
) -> lgb.Booster | None:
    """Return as many trees on some rows as lower the loss on clusters of them set aside, None where that is none."""
    aside = set_aside(taught.cluster[rows], ASIDE, rng)
    teach, check = rows[~aside], rows[aside]
    if min(len(teach), len(check)) == 0:
        return None
    grown = lgb.train(
        growing,
        data.subset(teach.tolist()),
        ROUNDS,
        valid_sets=[data.subset(check.tolist())],
        callbacks=[lgb.early_stopping(PATIENCE, verbose=False)],
    )
    without = float(np.average(left[check] ** 2, weights=taught.weight[check]))
    return grown if grown.best_score["valid_0"]["l2"] < without else None
