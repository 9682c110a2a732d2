"""Cross-fitting, written once: what is predicted for a row comes from a model that saw nothing of its cluster.

A method that needs to know a mean or a propensity first (a nuisance) asks here for predictions out of fold, so that
fitting them too closely cannot leak into the answer. Rows of one cluster (a customer, a shop, a product) never
straddle folds; the same ids and seed give the same folds, in whatever order rows come.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tradewind.errors import BadInputError
from tradewind.methods.learner import Chances, Kind, Learner, Mean
from tradewind.methods.moments import counted, numbers

Array = NDArray[np.float64]
Rows = NDArray[np.int64]

NOTHING = 1e-26  # of the squared mean: what rounding leaves of the variance of a constant
LARGEST = 1e30  # of a number, and one over it the least: squares of others are lost in single precision
EXACT = 2**53  # up to it a float tells whole numbers apart


@dataclass(frozen=True)
class Folds:
    """Which fold every row is held out in, in each of several splits.

    Args:
        held: [repeats, n] fold of each row, from 0.
        count: Number of folds.
        cluster: [n] number of each row's cluster, from 0.
    """

    held: NDArray[np.int8]
    count: int
    cluster: Rows

    @property
    def rows(self) -> int:
        """Number of rows."""
        return int(self.held.shape[1])

    @property
    def repeats(self) -> int:
        """Number of splits."""
        return int(self.held.shape[0])

    @property
    def clusters(self) -> int:
        """Number of clusters."""
        return int(self.cluster.max()) + 1

    def __iter__(self) -> Iterator[tuple[int, Rows, Rows]]:
        """Yield the number of a split, the rows that teach, and the rows held out, for every fold of every split."""
        for repeat in range(self.repeats):
            for fold in range(self.count):
                out = self.held[repeat] == fold
                yield repeat, np.flatnonzero(~out), np.flatnonzero(out)

    def sums(self, values: Array) -> Array:
        """Return the sums [clusters] of values [n] over the rows of each cluster."""
        total: Array = np.bincount(self.cluster, weights=values, minlength=self.clusters).astype(float)
        return total

    def variance(self, influence: Array) -> float:
        """Return the variance of a mean from its influence [n], allowing for any dependence within clusters.

        It is G/(G−1) Σ_g (Σ_{i in g} (ψ_i − ψ̄))² / n² over G clusters.
        """
        groups = self.clusters
        centred = self.sums(influence - influence.mean())
        return float(groups / (groups - 1) * (centred @ centred) / self.rows**2)


@dataclass(frozen=True)
class Nuisance:
    """Predictions out of fold, and the models that made them.

    Args:
        values: [repeats, n] means, or [repeats, n, classes] chances; no model saw the cluster of the row it predicts.
        models: The fitted models, of every fold of every split.
        skill: Share of a constant's squared error (of a mean) or logarithmic loss (of chances) that the models take
            away out of fold; at or below 0 they know nothing.
        columns: Number of features.
    """

    values: Array
    models: tuple[Mean, ...] | tuple[Chances, ...]
    skill: float
    columns: int

    def predict(self, x: ArrayLike) -> Array:
        """Return the average [m] or [m, classes] of all models at new features [m, p].

        Raises:
            BadInputError: If there are more or fewer features than were learnt from, or one is infinite.
        """
        features = numbers(x, "feature")
        if features.ndim != 2 or features.shape[1] != self.columns or np.isinf(features).any():
            raise BadInputError(
                "Other features were learnt from, or one is infinite", got=features.shape,
                allowed=f"a table of {self.columns} columns, NaN where missing",
            )  # fmt: skip
        total: Array = np.mean([model.predict(features) for model in self.models], axis=0)
        return total


class Crossfit:
    """Splits rows into folds, and predicts each fold by models that learnt from the others.

    The learner is a regression shrunk by evidence with boosted trees on what it leaves: none below a thousand rows,
    above it as many as lower the loss on clusters set aside inside the teaching folds.

    Args:
        folds: Number of folds, 2 or more.
        repeats: Number of splits; the spread of an answer over splits falls with their number.
        seed: Seed of the splits and of the learner.
        learner: `auto`, `linear` (no trees) or `boosted` (trees are tried however few the rows).
        categorical: Which features are categories, coded as whole numbers from 0.
        most: Most rows that teach one model; more are sampled down.

    Reference:
        Chernozhukov et al. (2018), Double/debiased machine learning for treatment and structural parameters, The
        Econometrics Journal 21(1), definition 3.2 (DML2) and definition 3.3 (repeated splits).

    Examples:
        >>> import numpy as np
        >>> x = np.linspace(0, 1, 200)[:, None]
        >>> crossfit = Crossfit(folds=2, learner="linear")
        >>> expected = crossfit.mean(crossfit.split(200), x, 3 * x[:, 0])
        >>> expected.values.shape, round(expected.skill, 3)
        ((1, 200), 1.0)
    """

    def __init__(
        self,
        folds: int = 5,
        repeats: int = 1,
        seed: int = 0,
        learner: Kind = "auto",
        categorical: Sequence[int] = (),
        most: int = 200_000,
    ):
        self.folds = counted(folds, "number of folds", 2, 100)
        self.repeats = counted(repeats, "number of splits", 1)
        self.seed = counted(seed, "seed")
        self.learner = Learner(learner, categorical, most, seed)

    def split(self, rows: int, cluster: ArrayLike | None = None, strata: ArrayLike | None = None) -> Folds:
        """Return the folds of rows.

        Folds hold near equal numbers of rows, and of each stratum.

        Args:
            rows: Number of rows.
            cluster: [n] ids of what a row belongs to, such as its customer; each row is its own where left out.
            strata: [n] whole numbers from 0, such as the arm of an experiment, to be spread evenly over the folds. A
                cluster counts for the stratum of most of its rows.

        Raises:
            BadInputError: If lengths differ, an id is missing, a stratum is not a whole number, or there are fewer
                clusters than folds.
        """
        rows = counted(rows, "number of rows")
        codes = np.arange(rows) if cluster is None else coded("cluster", cluster, rows)
        groups = int(codes.max()) + 1 if rows else 0
        if groups < self.folds:
            raise BadInputError(
                "There are fewer units than folds", got=f"{groups} units", allowed=f"{self.folds} or more",
                do="take a longer period, more units, or fewer folds",
            )  # fmt: skip
        size = np.bincount(codes, minlength=groups)
        stratum = np.zeros(groups, np.int64)
        if strata is not None:
            label = whole("strata", strata, rows)
            if groups == rows:
                stratum[codes] = label
            else:
                pairs, count = np.unique(np.column_stack([codes, label]), axis=0, return_counts=True)
                last = np.lexsort((-pairs[:, 1], count, pairs[:, 0]))  # of each cluster the most frequent label, last
                stratum[pairs[last, 0]] = pairs[last, 1]
        rng = np.random.default_rng(self.seed)
        held = np.empty((self.repeats, rows), np.int8)
        blocks = -(-groups // self.folds)
        for repeat in range(self.repeats):
            # Dealt out like cards, largest clusters first, every round of cards in an order of its own.
            order = np.lexsort((rng.permutation(groups), -size, stratum))
            deal = rng.permuted(np.tile(np.arange(self.folds, dtype=np.int8), (blocks, 1)), axis=1).ravel()[:groups]
            fold = np.empty(groups, np.int8)
            fold[order] = deal
            held[repeat] = fold[codes]
        return Folds(held, self.folds, codes)

    def mean(
        self, folds: Folds, x: ArrayLike, y: ArrayLike, weight: ArrayLike | None = None, among: ArrayLike | None = None
    ) -> Nuisance:
        """Return the mean of an outcome given features, predicted out of fold.

        Args:
            folds: The folds of the rows.
            x: [n, p] features, NaN where missing.
            y: [n] outcomes; those of rows that do not teach may be NaN.
            weight: [n] weights, 0 or more; all 1 where left out. Rows of weight 0 do not teach.
            among: [n] whether a row may teach, such as those of one arm; all where left out. Every row is predicted.

        Raises:
            BadInputError: If shapes do not fit, a value is infinite, too large or too small, an outcome is missing, or
                no row teaches a fold.
        """
        features = self._features(folds, x)
        outcome = numbers(y, "outcome")
        given = np.ones(folds.rows, bool) if among is None else np.asarray(among)
        if given.dtype.kind not in "biuf" or not np.isin(given, (0, 1)).all():
            raise BadInputError("A row may teach or may not", got=given.dtype, allowed="yes or no for every row")
        teaching = given.astype(bool)
        if outcome.shape != (folds.rows,) or teaching.shape != (folds.rows,):
            raise BadInputError(
                "The rows do not fit", got=(outcome.shape, teaching.shape), allowed=f"{folds.rows} rows"
            )
        if not np.isfinite(outcome[teaching]).all():
            raise BadInputError("An outcome is missing or infinite", do="leave out the rows without an outcome")
        sized("outcome", outcome[teaching])
        heavy = None if weight is None else numbers(weight, "weight")
        if heavy is not None and (heavy.shape != (folds.rows,) or not np.isfinite(heavy).all() or (heavy < 0).any()):
            raise BadInputError("A weight is missing, infinite or negative", allowed="0 or more for every row")
        if heavy is not None:
            sized("weight", heavy)
            teaching = teaching & (heavy > 0)
        values, models = np.empty((folds.repeats, folds.rows)), []
        constant = np.empty_like(values)
        for repeat, teach, held in folds:
            own = teach[teaching[teach]]
            if len(own) == 0:
                raise BadInputError("No row teaches one of the folds", do="take fewer folds or more units")
            times = None if heavy is None else heavy[own]
            model = self.learner.mean(features[own], outcome[own], folds.cluster[own], times)
            values[repeat, held] = model.predict(features[held])
            constant[repeat, held] = np.average(outcome[own], weights=times)
            models.append(model)
        judged = np.ones(folds.rows)[teaching] if heavy is None else heavy[teaching]
        wrong = float((judged * (values - outcome)[:, teaching] ** 2).sum())
        plain = float((judged * (constant - outcome)[:, teaching] ** 2).sum())
        varies = plain > NOTHING * folds.repeats * float(judged @ outcome[teaching] ** 2)
        return Nuisance(values, tuple(models), 1 - wrong / plain if varies else 0.0, features.shape[1])

    def chances(self, folds: Folds, x: ArrayLike, label: ArrayLike) -> Nuisance:
        """Return the chances of each class given features, predicted out of fold.

        Args:
            folds: The folds of the rows.
            x: [n, p] features, NaN where missing.
            label: [n] class of each row, whole numbers from 0 without gaps.

        Raises:
            BadInputError: If shapes do not fit, a value is infinite, or a class is absent from what teaches a fold.
        """
        features = self._features(folds, x)
        kind = whole("label", label, folds.rows)
        classes = int(kind.max()) + 1
        if len(np.unique(kind)) < classes:
            raise BadInputError("The classes are not numbered without gaps", got=f"class {classes - 1} is the highest")
        values, models = np.empty((folds.repeats, folds.rows, classes)), []
        constant = np.empty_like(values)
        for repeat, teach, held in folds:
            count = np.bincount(kind[teach], minlength=classes)
            if (count == 0).any():
                raise BadInputError(
                    "A class is absent from what teaches one of the folds", got=f"class {int(np.argmin(count))}",
                    do="take fewer folds, more units, or leave the class out",
                )  # fmt: skip
            model = self.learner.chances(features[teach], kind[teach], classes, folds.cluster[teach])
            values[repeat, held] = model.predict(features[held])
            constant[repeat, held] = count / count.sum()
            models.append(model)
        row = np.arange(folds.rows)
        wrong, plain = (-np.log(np.maximum(table[:, row, kind], 1e-300)).sum() for table in (values, constant))
        return Nuisance(values, tuple(models), float(1 - wrong / plain) if plain > 0 else 0.0, features.shape[1])

    def _features(self, folds: Folds, x: ArrayLike) -> Array:
        features = features_of(x, self.learner.categorical)
        if len(features) != folds.rows:
            raise BadInputError("The features do not fit the folds", got=len(features), allowed=f"{folds.rows} rows")
        return features


def features_of(x: ArrayLike, categorical: Sequence[int] = ()) -> Array:
    """Return features as an array [n, p]; raise `BadInputError` where they cannot be used as such."""
    features = numbers(x, "feature")
    if features.ndim != 2 or features.shape[0] == 0 or features.shape[1] == 0:
        raise BadInputError(
            "Features are a table of rows and columns", got=features.shape, allowed="one column or more"
        )
    if np.isinf(features).any():
        raise BadInputError("A feature is infinite", do="give it as missing (NaN) or cap it")
    for column in features.T:
        sized("feature", column)
    for column in categorical:
        if not 0 <= column < features.shape[1]:
            raise BadInputError("No such column", got=column, allowed=f"0 to {features.shape[1] - 1}")
        seen = features[:, column][~np.isnan(features[:, column])]
        if ((seen < 0) | (seen != np.round(seen)) | (seen > 2**30)).any():
            raise BadInputError(
                "Categories are coded as whole numbers from 0", got=f"column {column}", do="number its levels"
            )
    return features


def whole(name: str, values: ArrayLike, rows: int) -> Rows:
    """Return values as whole numbers from 0 [n]; raise `BadInputError` where they are none."""
    given: NDArray[Any] = np.asarray(values)
    fits = given.shape == (rows,) and given.dtype.kind in "biuf" and rows > 0
    if not fits or not ((given >= 0) & (given <= EXACT)).all() or (given != np.round(given)).any():
        raise BadInputError(f"The {name} must be whole numbers from 0", allowed=f"one for each of {rows} rows")
    return given.astype(np.int64)


def sized(what: str, values: Array, largest: float = LARGEST) -> None:
    """Raise `BadInputError` where the largest of the values, NaN aside, is too large or too small to reckon with."""
    most = float(max(np.fmax.reduce(values, initial=0.0), -np.fmin.reduce(values, initial=0.0)))
    if most > largest or 0 < most < 1 / largest:
        raise BadInputError(
            f"The {what} is too large or too small to reckon with", got=most,
            allowed=f"the largest from {1 / largest:.0e} to {largest:.0e}, or all 0", do="give it in another unit",
        )  # fmt: skip


def coded(what: str, ids: ArrayLike, rows: int) -> Rows:
    """Return ids as whole numbers from 0 in their order [n]; raise `BadInputError` where one is missing."""
    given: NDArray[Any] = np.asarray(ids, object) if isinstance(ids, list | tuple) else np.asarray(ids)
    if given.shape != (rows,):
        raise BadInputError(
            f"The ids of {what}s do not fit the rows", got=given.shape, allowed=f"one id for each of {rows} rows"
        )
    kind = given.dtype.kind
    try:
        if kind == "O":
            missing = np.array([each is None or each == "" or bool(each != each) for each in given])  # noqa: PLR0124
        else:
            missing = np.isnat(given) if kind in "mM" else given == "" if kind == "U" else given != given  # noqa: PLR0124
        names, codes = np.unique(given, return_inverse=True)
    except (TypeError, ValueError) as error:
        raise BadInputError(f"The ids of {what}s are not of one kind, or one is missing", got=error) from error
    if missing.any():
        raise BadInputError(
            f"The id of a {what} is missing", got=f"{int(missing.sum())} of {rows}",
            do="leave out those rows or give each an id of its own",
        )  # fmt: skip
    if kind == "f" and rows and np.abs(names).max() >= EXACT:
        raise BadInputError(
            f"The ids of {what}s are too large for floats to tell apart", got=float(np.abs(names).max()),
            do="give them as whole numbers or words",
        )  # fmt: skip
    return np.asarray(codes, np.int64).reshape(-1)
