"""The effect of one treatment as a function of features, learnt from gains of single units that are mostly noise.

What is learnt stands on what is there without learning: one relative lift for all, under which units gain in
proportion to what they do anyhow. Trees with lines in their leaves take what they can confirm; lines, bends, levels and
pairs (`additive`) take from the rest as much as the evidence bears, and say how far start and trees are followed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import reduce
from operator import add
from typing import Any

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray

from tradewind.methods.additive import Additive, Basis, Moments, average, moments, shrink
from tradewind.methods.learner import set_aside

Array = NDArray[np.float64]
Rows = NDArray[np.int64]

FEWEST = 4_000  # units below which no trees are tried
ASIDE = 0.2  # share of the clusters that say how many trees
ROUNDS = 400
PATIENCE = 10
SAMPLE = 20_000  # units on which the two sets of trees are held against each other
LOOSE = 1.0  # prior variance of the slopes on start and trees: followed in full, give or take all of it
GROWING = {
    "objective": "regression",
    "learning_rate": 0.2,
    "num_leaves": 8,
    "linear_tree": True,
    "linear_lambda": 1.0,
    "lambda_l2": 1.0,
    "boost_from_average": False,
    "max_bin": 63,
    "bin_construct_sample_cnt": 50_000,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}


@dataclass(frozen=True)
class Effect:
    """An effect learnt from some of the units.

    Args:
        trees: What trees say: two sets, each grown on half of the units; one or both may be missing.
        smooth: What is added to the start and the trees, which are the columns beside its basis.
        shaken: Variance that the trees take from the luck of their sample.
    """

    trees: tuple[lgb.Booster | None, lgb.Booster | None]
    smooth: Additive
    shaken: float

    def beside(self, x: Array, start: Array) -> Array:
        """Return the columns [n, 2] beside the smooth part: the start, and what the trees say."""
        if self.trees == (None, None):
            return np.column_stack([start, np.zeros(len(start))])
        held = self.smooth.basis.clipped(x)
        return np.column_stack([start, (_said(self.trees[0], held) + _said(self.trees[1], held)) / 2])

    def known(self, beside: Array) -> Array:
        """Return what start and trees contribute [n], as far as they are followed."""
        beta = self.smooth.coefficients
        return np.asarray(beta[0] + beside @ (1 + beta[1:3]))


@dataclass(frozen=True)
class Effects:
    """The effect learnt without each fold, and the law of their average.

    Args:
        folds: By fold, the effect learnt from the other folds.
        joint: The average smooth part, with the variance that all units together leave.
    """

    folds: tuple[Effect, ...]
    joint: Additive

    def held_out(self, x: Array, start: Array, fold: NDArray[np.int8]) -> tuple[Array, Array]:
        """Return the effect [n] of units by what was learnt without their fold, and its variance [n]."""
        middle, variance = np.empty(len(x)), np.empty(len(x))
        for k, effect in enumerate(self.folds):
            own = fold == k
            beside = effect.beside(x[own], start[own])
            middle[own] = beside.sum(axis=1) + effect.smooth.predict(x[own], beside)
            variance[own] = effect.smooth.variance(x[own], beside) + effect.shaken
        return middle, variance

    @property
    def follows(self) -> float:
        """How far the start is followed, on average over folds; 1 where nothing speaks against it."""
        return float(1 + self.joint.coefficients[1])

    def predict(self, x: Array, start: Array) -> tuple[Array, Array]:
        """Return the average effect [n] over folds at features [n, p] given the start [n], and its variance [n].

        The variance is that of the posterior law: what was shrunk away counts by its prior.
        """
        besides = [effect.beside(x, start) for effect in self.folds]
        known = np.mean([effect.known(beside) for effect, beside in zip(self.folds, besides, strict=True)], axis=0)
        bare = self.joint.basis.design(x) @ self.joint.coefficients[3:].astype(np.float32)
        # Trees of different folds share units, so that their average is as shaken as trees grown on all units.
        shaken = float(np.mean([effect.shaken for effect in self.folds])) * (1 - 1 / len(self.folds))
        return known + bare, self.joint.variance(x, np.mean(besides, axis=0)) + shaken


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

    def __call__(self, taught: Taught) -> Effects:
        """Return the effect learnt without each fold, and all of them together."""
        basis = Basis.of(taught.x, self.categorical)
        count = int(taught.fold.max()) + 1
        learnt = [self._learnt(basis, taught.of(taught.fold != k), self.seed + k) for k in range(count)]
        folds = tuple(effect for effect, _ in learnt)
        # Every unit taught all folds but one.
        joint = average(
            [effect.smooth for effect in folds], reduce(add, [known for _, known in learnt]), 1 / (count - 1)
        )
        return Effects(folds, joint)

    def _learnt(self, basis: Basis, taught: Taught, seed: int) -> tuple[Effect, Moments]:
        rng = np.random.default_rng(seed)
        first = set_aside(taught.cluster, 0.5, rng)
        centre = float(np.average(taught.gain, weights=taught.weight))
        left = taught.gain - taught.start - centre
        said, shake = np.zeros(len(left)), 0.0
        trees: tuple[lgb.Booster | None, lgb.Booster | None] = (None, None)
        if len(left) >= FEWEST:
            held = basis.clipped(taught.x)
            one, two = (
                _grown(held[half], left[half], taught.weight[half], taught.cluster[half], rng, self.categorical)
                for half in (first, ~first)
            )
            trees = (one, two)
            said[first], said[~first] = _said(trees[1], held[first]), _said(trees[0], held[~first])
            some = slice(None, None, max(1, len(left) // SAMPLE))
            apart = _said(trees[0], held[some]) - _said(trees[1], held[some])
            shake = float(np.mean((apart - apart.mean()) ** 2)) / 4
        beside = np.column_stack([taught.start, said])
        known = moments(basis, taught.x, left - said, taught.weight, beside)
        smooth = shrink(basis, known, self.inflation, np.full(2, LOOSE))
        smooth.coefficients[0] += centre
        return Effect(trees, smooth, shake * (1 + smooth.coefficients[2]) ** 2), known


def _said(trees: lgb.Booster | None, x: Array) -> Array:
    return np.zeros(len(x)) if trees is None else np.asarray(trees.predict(x, num_threads=1))


def _grown(
    x: Array, y: Array, weight: Array, cluster: Rows, rng: np.random.Generator, categorical: tuple[int, ...]
) -> lgb.Booster | None:
    """Return as many trees as lower the loss on clusters set aside, None where that is none."""
    aside = set_aside(cluster, ASIDE, rng)
    growing = dict(GROWING, min_data_in_leaf=int(np.clip(len(y) // 250, 50, 2000)), seed=int(rng.integers(2**31 - 1)))
    data = lgb.Dataset(
        x, y, weight=weight, categorical_feature=list(categorical), params=growing, free_raw_data=False
    ).construct()
    grown = lgb.train(
        growing,
        data.subset(np.flatnonzero(~aside).tolist()),
        ROUNDS,
        valid_sets=[data.subset(np.flatnonzero(aside).tolist())],
        callbacks=[lgb.early_stopping(PATIENCE, verbose=False)],
    )
    without = float(np.average(y[aside] ** 2, weights=weight[aside]))
    return grown if grown.best_score["valid_0"]["l2"] < without else None
