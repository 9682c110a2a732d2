"""One learner for what other methods need to know first: a mean, or the chances of classes, given features.

It starts with a regression that is linear in its columns and shrunk by evidence (`additive`), and grows boosted trees
on what that leaves, as many as lower the loss on rows set aside, which may be none. Few rows get no trees at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from tradewind.errors import BadInputError
from tradewind.methods.additive import Additive, Basis, additive
from tradewind.methods.moments import counted, numbers

Array = NDArray[np.float64]
Kind = Literal["auto", "linear", "boosted"]

FEWEST = 1_000  # rows below which no trees are grown
WHOLE = 50_000  # rows up to which trees are grown again on all rows, once their number is known
ASIDE = 0.25  # share of the clusters that say how many trees
ROUNDS = 500
PATIENCE = 15
PENALTIES = (0.001, 0.01, 0.1, 1.0, 100.0)  # of the logistic start: prior variance of its standardised coefficients
NEWTON = 1_000  # slopes up to which a matrix of their second derivatives is worth its time
FLOOR = 1e-6  # no chance is closer to 0 or 1
TREES = {
    "learning_rate": 0.1,
    "num_leaves": 15,
    "lambda_l2": 1.0,
    "max_bin": 63,
    "bin_construct_sample_cnt": 20_000,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}


@dataclass(frozen=True)
class Mean:
    """A fitted mean.

    Args:
        start: The additive part.
        trees: What trees add, None where they add nothing.
        low: No prediction is below it.
        high: No prediction is above it.
    """

    start: Additive
    trees: lgb.Booster | None
    low: float
    high: float

    def predict(self, x: Array) -> Array:
        """Return the mean [n] at features [n, p]."""
        out = self.start.predict(x)
        if self.trees is not None:
            out = out + self.trees.predict(x, num_threads=1)
        return np.clip(out, self.low, self.high)

    def variance(self, x: Array) -> Array:
        """Return the posterior variance [n] of the additive part at features [n, p]."""
        return self.start.law(x)[1]


@dataclass(frozen=True)
class Chances:
    """Fitted chances of classes.

    Args:
        basis: The columns of the start; none where the chances do not depend on features.
        slopes: [columns + 1, classes] of the start, the constant first.
        trees: What trees add to its scores, None where they add nothing.
    """

    basis: Basis
    slopes: Array
    trees: lgb.Booster | None

    def predict(self, x: Array) -> Array:
        """Return the chances [n, classes] at features [n, p]; every row sums to 1."""
        score = self.slopes[0] + self.basis.design(x) @ self.slopes[1:]
        if self.trees is not None:
            score = score + np.asarray(self.trees.predict(x, raw_score=True, num_threads=1)).reshape(score.shape)
        return _softmax(score)


def columns(categorical: Sequence[int]) -> tuple[int, ...]:
    """Return numbers of columns; raise `BadInputError` where they are no whole numbers from 0."""
    found = numbers(categorical, "number of a column")
    if found.ndim != 1 or not ((found >= 0) & (found == np.round(found))).all():
        raise BadInputError(
            "Columns of categories are named by their numbers", got=categorical, allowed="whole numbers from 0"
        )
    return tuple(found.astype(int).tolist())


class Learner:
    """Learns a mean or chances from rows.

    Args:
        kind: `linear` grows no trees, `boosted` always tries them, `auto` tries them from a thousand rows on.
        categorical: Which features are categories, coded as whole numbers from 0.
        most: Most rows that teach; more are sampled down, whole clusters at a time.
        seed: Seed of the rows set aside and sampled.
    """

    def __init__(self, kind: Kind = "auto", categorical: Sequence[int] = (), most: int = 200_000, seed: int = 0):
        if kind not in ("auto", "linear", "boosted"):
            raise BadInputError("Unknown kind of learner", got=kind, allowed=("auto", "linear", "boosted"))
        self.kind = kind
        self.categorical = columns(categorical)
        self.most = counted(most, "number of rows that teach", FEWEST)
        self.seed = counted(seed, "seed")

    def mean(self, x: Array, y: Array, cluster: NDArray[np.int64], weight: Array | None = None) -> Mean:
        """Return the mean of an outcome given features, of least squared error.

        Predictions stay within the range of the outcomes that taught.

        Args:
            x: [n, p] features, NaN where missing.
            y: [n] outcomes.
            cluster: [n] whole numbers, the same for rows that belong together.
            weight: [n] weights of the rows, 0 or more; all 1 where left out.
        """
        rng = np.random.default_rng(self.seed)
        rows = self._taught(cluster, rng)
        x, y, cluster = x[rows], y[rows], cluster[rows]
        weight = None if weight is None else weight[rows] / weight[rows].mean()
        low, high = float(y.min()), float(y.max())
        start = additive(Basis.of(x, self.categorical), x, y, weight)
        if not self._trees(len(y)) or low == high:
            return Mean(start, None, low, high)
        from_start = start.predict(x)
        growing = dict(TREES, objective="regression", min_data_in_leaf=_leaf(len(y)), seed=self.seed)
        data = self._data(x, y, weight, from_start, growing)
        loss = (y - from_start) ** 2
        return Mean(start, self._grown(data, cluster, loss, weight, growing, rng), low, high)

    def chances(self, x: Array, label: NDArray[np.int64], classes: int, cluster: NDArray[np.int64]) -> Chances:
        """Return the chances of classes given features, of least logarithmic loss.

        Args:
            x: [n, p] features, NaN where missing.
            label: [n] class of each row, from 0; each class occurs.
            classes: Number of classes.
            cluster: [n] whole numbers, the same for rows that belong together.
        """
        rng = np.random.default_rng(self.seed)
        rows = self._taught(cluster, rng)
        x, label, cluster = x[rows], label[rows], cluster[rows]
        basis = Basis.of(x, self.categorical)
        design = basis.design(x)
        aside = set_aside(cluster, ASIDE, rng)
        share = np.bincount(label, minlength=classes) / len(label)
        slopes = np.zeros((design.shape[1] + 1, classes))
        slopes[0] = np.log(np.maximum(share, FLOOR))
        best = _loss(slopes[0] + np.zeros((int(aside.sum()), 1)), label[aside])
        chosen = None
        for penalty in PENALTIES if design.shape[1] else ():
            tried = _logistic(design[~aside], label[~aside], classes, penalty)
            loss = _loss(tried[0] + design[aside] @ tried[1:], label[aside])
            if loss < best:
                best, chosen = loss, penalty
        if chosen is not None:
            slopes = _logistic(design, label, classes, chosen)
        if not self._trees(len(label)):
            return Chances(basis, slopes, None)
        score = slopes[0] + design @ slopes[1:]
        growing = dict(
            TREES, objective="multiclass", num_class=classes, min_data_in_leaf=_leaf(len(label)), seed=self.seed
        )
        data = self._data(x, label, None, score.ravel(order="F"), growing)
        each = -np.log(_softmax(score)[np.arange(len(label)), label])
        return Chances(basis, slopes, self._grown(data, cluster, each, None, growing, rng))

    def _taught(self, cluster: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        if len(cluster) <= self.most:
            return np.arange(len(cluster))
        rank = np.cumsum(np.bincount(cluster) > 0) - 1
        names = int(rank[-1]) + 1
        return np.flatnonzero(rng.permutation(names)[rank[cluster]] < names * self.most / len(cluster))

    def _trees(self, rows: int) -> bool:
        return self.kind == "boosted" or (self.kind == "auto" and rows >= FEWEST)

    def _data(
        self, x: Array, y: NDArray[Any], weight: Array | None, start: Array, growing: dict[str, Any]
    ) -> lgb.Dataset:
        return lgb.Dataset(
            x,
            y,
            weight=weight,
            init_score=start,
            categorical_feature=list(self.categorical),
            params=growing,
            free_raw_data=False,
        ).construct()

    @staticmethod
    def _grown(
        data: lgb.Dataset,
        cluster: NDArray[np.int64],
        loss: Array,
        weight: Array | None,
        growing: dict[str, Any],
        rng: np.random.Generator,
    ) -> lgb.Booster | None:
        """Return as many trees as lower the loss on clusters set aside, None where that is none."""
        aside = set_aside(cluster, ASIDE, rng)
        teach, check = np.flatnonzero(~aside), np.flatnonzero(aside)
        if min(len(teach), len(check)) == 0:
            return None
        without = float(np.average(loss[check], weights=None if weight is None else weight[check]))
        tried = lgb.train(
            growing,
            data.subset(teach.tolist()),
            ROUNDS,
            valid_sets=[data.subset(check.tolist())],
            callbacks=[lgb.early_stopping(PATIENCE, verbose=False)],
        )
        (best,) = tried.best_score["valid_0"].values()
        if not best < without:
            return None
        if len(cluster) > WHOLE:
            return tried
        return lgb.train(growing, data, tried.best_iteration)


def _leaf(rows: int) -> int:
    return int(np.clip(rows // 200, 20, 500))


def set_aside(cluster: NDArray[np.int64], share: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return which rows [n] are set aside: a share of the clusters, drawn at random."""
    names = np.flatnonzero(np.bincount(cluster))
    taken = np.zeros(int(cluster.max()) + 1, bool)
    taken[names[rng.permutation(len(names))[: int(share * len(names))]]] = True
    return taken[cluster]


def _softmax(score: Array) -> Array:
    power = np.exp(score - score.max(axis=1, keepdims=True))
    chances = np.clip(power / power.sum(axis=1, keepdims=True), FLOOR, None)
    return np.asarray(chances / chances.sum(axis=1, keepdims=True))


def _loss(score: Array, label: NDArray[np.int64]) -> float:
    return float(-np.log(_softmax(score)[np.arange(len(label)), label]).mean())


def _logistic(design: NDArray[np.float32], label: NDArray[np.int64], classes: int, penalty: float) -> Array:
    """Return slopes [columns + 1, classes] whose softmax are the chances; classes that are absent get the floor."""
    present = np.unique(label)
    slopes = np.zeros((design.shape[1] + 1, classes))
    slopes[0] = np.log(FLOOR)
    if len(present) == 1:
        slopes[0, present] = 0.0
        return slopes
    # Columns that nearly repeat each other cost a search along gradients hundreds of steps, and Newton's method five.
    solver = "newton-cholesky" if slopes.size <= NEWTON else "lbfgs"
    with threadpool_limits(1):  # sums in one order on every machine; threads would only wait for each other
        fitted = LogisticRegression(C=penalty, max_iter=300, solver=solver).fit(design.astype(np.float64), label)
    slopes[:, present] = 0.0
    if len(present) == 2:
        slopes[0, present[1]] = fitted.intercept_[0]
        slopes[1:, present[1]] = fitted.coef_[0]
    else:
        slopes[0, present] = fitted.intercept_
        slopes[1:, present] = fitted.coef_.T
    return slopes
