"""A cube of leaves to localise a change in: its checked input, and how noisy its leaves are."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import nnls

from tradewind.errors import BadInputError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

# How alike leaves are that nothing happened to, as the concentration of a beta distribution: they stay within a few
# percent of what was expected. Results change little between half and four times of it.
AT_REST = 300.0

MOST_TRIALS = 1e6  # per leaf: more say no more, and would cost digits
MEDIAN_CHI2 = 0.4549364  # median of a squared standard normal
HISTORY_PRIOR = 5.0  # periods of history that a leaf's own noise needs before it outweighs that of all leaves


@dataclass(frozen=True)
class Cube:
    """Leaves in canonical order: one per combination of attributes, as hits out of trials against a base share."""

    names: tuple[str, ...]
    values: tuple[NDArray[Any], ...]
    codes: tuple[Ints, ...]
    actual: Floats
    expected: Floats
    hits: Floats
    trials: Floats
    base: Floats
    weight: Floats | None  # denominators, where the metric is a proportion


@dataclass(frozen=True)
class Quiet:
    """Changes in which nothing happened but noise: squared change, size, trials and leaf of each."""

    squares: Floats
    size: Floats
    trials: Floats
    leaf: Ints


def read_cube(attributes: Mapping[str, ArrayLike], rows: Mapping[str, ArrayLike | None]) -> tuple[Cube, Quiet | None]:
    """Return the checked input as a cube of leaves, and what its history says of noise."""
    given = {name: values for name, values in rows.items() if values is not None}
    if not attributes:
        raise BadInputError("There is no attribute to search", do="give at least one attribute per row")
    if "expected" not in given and "history" not in given:
        raise BadInputError("There is nothing to compare with", do="give `expected`, or `history` to take it from")
    wanted = {"expected": "weight_expected", "history": "history_weight"}
    if any((wanted[name] in given) != ("weight" in given and name in given) for name in wanted):
        do = "give `weight`, with `weight_expected` for `expected` and `history_weight` for `history`; or none of them"
        raise BadInputError("A ratio needs its denominators in every period", got=sorted(given), do=do)
    n = np.size(given["actual"])
    names = tuple(sorted(attributes))
    values, codes = zip(*(_codes(name, attributes[name], n) for name in names), strict=True)
    key, _ = combine(list(codes), [len(labels) for labels in values])
    _, first, leaf = np.unique(key, return_index=True, return_inverse=True)
    sums = {name: _summed(name, array, n, leaf) for name, array in given.items()}

    actual, weight = sums["actual"], sums.get("weight")
    past, past_weight = sums.get("history"), sums.get("history_weight")
    if "expected" in sums:
        then, then_weight = sums["expected"], sums.get("weight_expected")
    else:  # rates want the sums of all periods, amounts the mean of them
        past_total = sums["history"].sum(axis=1)
        then = past_total / sums["history"].shape[1] if weight is None else past_total
        then_weight = None if past_weight is None else past_weight.sum(axis=1)
    expected = then
    if weight is not None and then_weight is not None:
        if not then_weight.sum() > 0:
            raise BadInputError("The comparison period has no denominators", do="compare with a period that has some")
        pairs = [(actual, weight), (then, then_weight)]
        proportion = all(bool(((top >= 0) & (top <= bottom)).all()) for top, bottom in pairs)
        if proportion and "expected" not in sums and past is not None and past_weight is not None:
            then, then_weight = _usual(past, past_weight)
        rate = _rate(then, then_weight, AT_REST if proportion else 1.0)
        expected = weight * rate
        if proportion:
            cube = Cube(names, values, tuple(c[first] for c in codes), actual, expected, actual, weight, rate, weight)
            return cube, _quiet(past, past_weight, "expected" in sums, True)
    quiet = _quiet(past, past_weight, "expected" in sums, False)
    half = np.full(len(first), 0.5)
    cube = Cube(names, values, tuple(c[first] for c in codes), actual, expected, actual, actual, half, None)
    return in_units(cube, quiet, np.ones(len(first), dtype=bool)), quiet


def in_units(cube: Cube, quiet: Quiet | None, rest: Bools) -> Cube:
    """Return the cube with amounts as trials: one trial is the variance per amount of the leaves at `rest`."""
    hits, misses = np.maximum(cube.actual, 0), np.maximum(cube.expected, 0)  # refunds beyond sales leave no hits
    size = hits + misses
    if quiet is None:  # less what the middle leaf did
        rows = np.flatnonzero((size > 0) & rest)
        gap, base = (hits - misses)[rows], size[rows]
        order = np.argsort(quotient(gap, base), kind="stable")
        middle = order[np.searchsorted(np.cumsum(base[order]), base.sum() / 2)] if len(rows) else rows
        squares = (gap - base * (gap[middle] / base[middle])) ** 2
    else:
        squares, base = quiet.squares, quiet.size
    low = float(max(size.max() / MOST_TRIALS, 1e-99))
    high = float(max(size.max(), low, np.max(squares / base, initial=0)))
    for _ in range(30):  # bisection of logs: the scaled squares' median falls as the unit grows
        unit = math.sqrt(low * high)
        above = len(base) and np.median(squares / (base * (unit + base / (AT_REST + 1)))) > MEDIAN_CHI2
        low, high = (unit, high) if above else (low, unit)
    return dataclasses.replace(cube, hits=hits / high, trials=size / high)


def leaf_variance(cube: Cube, quiet: Quiet | None, share: Floats, rest: Bools) -> Floats:
    """Return the noise variance of each leaf's change, learnt from history or from the leaves at `rest`.

    Args:
        cube: The leaves, [n].
        quiet: What earlier periods say of noise, if there are any.
        share: Share of hits that explains each leaf, [n].
        rest: The leaves that no slice explains, [n].

    Returns:
        The variance, [n], in the metric's unit squared.
    """
    n = len(cube.actual)
    fitted = cube.expected * share / (1 - share) if cube.weight is None else cube.weight * share
    size, trials = _scale(cube.actual, cube.expected if cube.weight is None else fitted, cube.weight)
    factor = np.ones(n)
    if quiet is None:
        outside = rest & (size > 0)
        rows = np.flatnonzero(outside if outside.sum() >= 10 else size > 0)
        squares = (cube.actual - fitted)[rows] ** 2
        level, growth = _fit_noise(Quiet(squares, size[rows], trials[rows], rows))
    else:
        level, growth = _fit_noise(quiet)
        usual = quiet.size * (level + growth * quiet.trials)
        periods = np.bincount(quiet.leaf[usual > 0], minlength=n)
        own = np.bincount(quiet.leaf, quotient(quiet.squares, usual), n)
        factor = (HISTORY_PRIOR + own) / (HISTORY_PRIOR + periods)
    return size * (level + growth * trials) * factor


def _rate(top: Floats, bottom: Floats, prior: float) -> Floats:
    """Return top over bottom, drawn to the overall rate as `prior` more trials would."""
    overall = (top.sum() + 0.5 * np.sign(top.sum() + 0.5)) / (bottom.sum() + 1)
    rate: Floats = (top + prior * overall) / (bottom + prior)
    return rate


def _usual(past: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Return earlier hits and trials without past incidents, which are not expected again.

    They are sums over the half of the periods that lie nearest to each leaf's median; there too, hits count to within
    three deviations of it only.
    """
    middle = np.median(_rate(past, weights, AT_REST), axis=1, keepdims=True) * weights
    spread = np.sqrt(middle * (1 - quotient(middle, weights)) * (1 + np.maximum(weights - 1, 0) / (AT_REST + 1)))
    away = np.clip(quotient(past - middle, spread), -3, 3)
    near = np.argsort((away**2).sum(axis=0), kind="stable")[: past.shape[1] // 2 + 1]
    return (middle + away * spread)[:, near].sum(axis=1), weights[:, near].sum(axis=1)


def _quiet(past: Floats | None, weights: Floats | None, one_period: bool, proportion: bool) -> Quiet | None:
    """Return how each leaf changed in earlier periods, compared as now is, without what the whole cube did."""
    if past is None or past.shape[1] < 2:
        return None
    now, now_weights = (past[:, 1:], None if weights is None else weights[:, 1:]) if one_period else (past, weights)

    def then(array: Floats) -> Floats:  # the period before, or the sum of all others
        return array[:, :-1] if one_period else array.sum(axis=1, keepdims=True) - array

    if weights is None or now_weights is None:
        before = then(past)
    else:
        pairs = zip(then(past).T, then(weights).T, strict=True)
        before = now_weights * np.stack([_rate(*pair, AT_REST if proportion else 1.0) for pair in pairs], axis=1)
    totals = before.sum(axis=0)
    before = before * np.where(totals > 0, quotient(now.sum(axis=0), totals), 1.0)
    size, trials = _scale(now, before, now_weights if proportion else None)
    kept = size.ravel() > 0
    leaf = np.repeat(np.arange(len(past)), now.shape[1])[kept]
    return Quiet(((now - before) ** 2).ravel()[kept], size.ravel()[kept], trials.ravel()[kept], leaf)


def _scale(actual: Floats, expected: Floats, weight: Floats | None) -> tuple[Floats, Floats]:
    """Return what the noise of a leaf's change grows with: its size, and its trials, which share a fate."""
    if weight is not None:
        return expected * (1 - quotient(expected, weight)), weight
    size = np.abs(actual) + np.abs(expected)
    return size, quotient(2 * (actual**2 + expected**2), size)


def _fit_noise(rows: Quiet) -> tuple[float, float]:
    """Return level and growth of the noise: squares ≈ size · (level + growth · trials), by size class."""
    order = np.argsort(rows.trials, kind="stable")
    classes = [c for c in np.array_split(order, min(10, max(1, len(order) // 20))) if rows.size[c].sum() > 0]
    if not classes:
        return 0.0, 0.0
    size = np.array([rows.size[c].sum() for c in classes])
    seen = np.array([rows.squares[c].sum() for c in classes]) / size
    trials = np.array([(rows.size[c] * rows.trials[c]).sum() for c in classes]) / size
    if not seen.max() > 0:
        return 0.0, 0.0
    design = np.column_stack([np.ones(len(seen)), trials / trials.max()])
    fitted = np.full(len(seen), seen.mean())
    for _ in range(10):  # classes differ by powers of ten: weigh each by its own fitted noise
        fit, _residual = nnls(design / fitted[:, None], seen / fitted)
        fitted = np.maximum(design @ fit, 1e-9 * seen.max())
    return float(fit[0]), float(fit[1] / trials.max())


def _summed(name: str, values: ArrayLike, n: int, leaf: Ints) -> Floats:
    """Return the checked numbers, summed per leaf: [leaves], or [leaves, t] for history."""
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise BadInputError(f"`{name}` is not numbers", allowed="an array of numbers") from error
    ndim = 2 if name.startswith("history") else 1
    if array.ndim != ndim or len(array) != n or not array.size:
        allowed = f"{ndim} dimension(s), with the {n} rows of `actual`" if n else "at least one row"
        raise BadInputError(f"`{name}` has the wrong shape", got=array.shape, allowed=allowed)
    if not np.isfinite(array).all():
        raise BadInputError(f"`{name}` has missing or infinite values", allowed="finite numbers")
    if "weight" in name and (array < 0).any():
        raise BadInputError(f"`{name}` has negative denominators", got=float(array.min()), allowed="0 or more")
    columns = np.stack([np.bincount(leaf, column) for column in array.reshape(n, -1).T], axis=1).astype(np.float64)
    return columns[:, 0] if ndim == 1 else columns


def _codes(name: str, values: ArrayLike, n: int) -> tuple[NDArray[Any], Ints]:
    """Return the distinct values of an attribute, and each row's place among them."""
    array = np.asarray(values)
    if array.shape != (n,):
        raise BadInputError(f"Attribute `{name}` has the wrong shape", got=array.shape, allowed=f"({n},), as `actual`")
    if array.dtype.kind == "f" and np.isnan(array).any():
        raise BadInputError(f"Attribute `{name}` has missing values", do="name them, such as `unknown`")
    try:
        labels, codes = np.unique(array, return_inverse=True)
    except TypeError as error:
        raise BadInputError(f"Attribute `{name}` mixes kinds of values", allowed="one kind, none missing") from error
    return labels, codes


def combine(codes: list[Ints], sizes: list[int]) -> tuple[Ints, int]:
    """Return one code per combination of codes, in their order, and how many there are."""
    key, count = np.zeros(len(codes[0]), dtype=np.int64), 1
    for code, size in zip(codes, sizes, strict=True):
        key, count = key * size + code, count * size
        if count > 4 * len(key):  # sparse: number those that occur
            seen, key = np.unique(key, return_inverse=True)
            count = len(seen)
    return key, count


def quotient(top: Floats, bottom: Floats) -> Floats:
    """Return top over bottom, without complaint: 0 over 0 is 0, anything else over 0 is infinite."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.nan_to_num(np.divide(top, bottom), nan=0.0, posinf=np.inf, neginf=-np.inf)
