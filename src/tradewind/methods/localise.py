"""Localise a change: the fewest slices of a cube that explain why a metric is not what was expected."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import nnls
from scipy.sparse import csr_array, hstack
from scipy.special import gammaln

from tradewind.errors import BadInputError
from tradewind.study import Estimate

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

# How alike leaves are, as the concentration of a beta distribution: leaves that nothing happened to stay within a few
# percent of what was expected, leaves of one slice move by the same effect give or take a tenth. Both also bound what
# a single leaf can say, however large it is. Results change little between half and twice of these.
AT_REST = 100.0
MOVED = 15.0

# Effects that a slice may have: the part of the way from the expected share of hits to none (−1) or to all (1).
EFFECTS = np.concatenate([-np.linspace(0.03, 0.98, 16)[::-1], np.linspace(0.03, 0.98, 16)])

MOST_TRIALS = 1e6  # per leaf: more say no more, and would cost digits
MEDIAN_CHI2 = 0.4549364  # median of a squared standard normal
HISTORY_PRIOR = 5.0  # periods of history that a leaf's own noise needs before it outweighs that of all leaves
DRAWS = 2000


@dataclass(frozen=True)
class Slice:
    """Leaves that moved together, named by the attributes they share.

    Args:
        where: Value of each attribute that names the slice; what is not named is free.
        actual: Sum of the metric over the slice's leaves, without leaves that an earlier slice explains.
        expected: What the sum would be without the slice's own change (with the external one, if there is one).
        change: `actual − expected`, in the metric's unit.
        share: The slice's share of the total change, with its interval; above 1 where other changes offset it.
        effect: Common effect of the leaves, in (−1, 1): the part of the way to nothing or to everything.
        evidence: Log Bayes factor for the slice, less the log of the number of slices it was picked from.
        leaves: Number of leaves that it explains.
    """

    where: Mapping[str, Any]
    actual: float
    expected: float
    change: float
    share: Estimate
    effect: float
    evidence: float
    leaves: int

    @property
    def ratio(self) -> float:
        """Actual over expected; infinite where nothing was expected."""
        return self.actual / self.expected if self.expected else math.inf


@dataclass(frozen=True)
class Localisation:
    """Where a change came from.

    Args:
        slices: The slices, the one with the strongest evidence first; no leaf counts in two of them.
        external: Whether everything moved alike, so that the cause is outside the cube.
        total_change: Σ actual − Σ expected, in the metric's unit; of a ratio, at today's denominators.
        external_change: The part of it that comes from everything moving alike; 0 if not external.
        explained: The part of the total change that slices and the external move explain together.
    """

    slices: tuple[Slice, ...]
    external: bool
    total_change: float
    external_change: float
    explained: float


@dataclass(frozen=True)
class _Cube:
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
class _Candidates:
    """Slices to pick from: the attributes of each kind; kind and cost of each slice; its leaves as a column."""

    axes: tuple[tuple[int, ...], ...]
    kind: Ints
    cost: Floats
    members: csr_array  # [leaves, candidates], 1 where the leaf is of the slice
    floor: float  # the least change that counts


@dataclass(frozen=True)
class _Quiet:
    """Changes in which nothing happened but noise: squared change, size, trials and leaf of each."""

    squares: Floats
    size: Floats
    trials: Floats
    leaf: Ints


@dataclass(frozen=True)
class _Pick:
    """A slice as found: its attributes, and the mask of the leaves it explains."""

    axes: tuple[int, ...]
    mask: Bools
    effect: float
    evidence: float


class Localise:
    """Find the fewest slices of a cube that explain a change of an additive or ratio metric.

    Each slice is a hypothesis: its leaves moved by one common effect, all others stayed. Leaves are beta-binomial (hits
    out of trials), which weighs a leaf by its size but lets none decide alone; a slice's evidence is its Bayes factor
    over all effects, less what it costs to name it (log of the number of slices as deep). Slices are taken greedily;
    the whole cube is one of the hypotheses, and when it wins the cause is external.

    Args:
        level: Probability that an interval is meant to hold the truth, in (0, 1).
        max_depth: Most attributes that name a slice, at least 1.
        max_slices: Most slices to return, at least 1.
        min_share: Least part of the change, in [0, 1], that a slice must account for.
        min_evidence: Least evidence (natural log) for a slice to be told; the default is odds of ten to one.
        seed: Seed of the bootstrap.

    Raises:
        BadInputError: If a setting is out of its range.

    Reference:
        Likelihood and effect: ripple effect of Li et al. (2019), "Generic and Robust Localization of Multi-dimensional
        Root Causes" (Squeeze), eq. 3, as a beta-binomial share (Skellam 1948). Cost of a name: minimum description
        length, Rissanen (1978).
    """

    def __init__(
        self,
        *,
        level: float = 0.9,
        max_depth: int = 3,
        max_slices: int = 5,
        min_share: float = 0.1,
        min_evidence: float = math.log(10),
        seed: int = 0,
    ):
        if not 0 < level < 1:
            raise BadInputError("The level of an interval is a probability", got=level, allowed="between 0 and 1")
        if max_depth < 1 or max_slices < 1:
            got = (max_depth, max_slices)
            raise BadInputError("max_depth and max_slices count something", got=got, allowed="1 or more")
        if not 0 <= min_share <= 1:
            raise BadInputError("min_share is a share of the change", got=min_share, allowed="0 to 1")
        self.level = level
        self.max_depth = max_depth
        self.max_slices = max_slices
        self.min_share = min_share
        self.min_evidence = min_evidence
        self.seed = seed

    def __call__(
        self,
        attributes: Mapping[str, ArrayLike],
        actual: ArrayLike,
        expected: ArrayLike | None = None,
        *,
        weight: ArrayLike | None = None,
        weight_expected: ArrayLike | None = None,
        history: ArrayLike | None = None,
        history_weight: ArrayLike | None = None,
    ) -> Localisation:
        """Return the slices that explain why `actual` is not what was expected.

        Args:
            attributes: Name to value per row, [n] each; rows of one combination are summed.
            actual: The metric now, or a ratio's numerator, [n], in any unit; may be negative.
            expected: The same in the comparison period, scaled to be comparable, [n]; by default the history's mean.
            weight: A ratio's denominators now, [n], not negative.
            weight_expected: A ratio's denominators in the comparison period, [n], not negative.
            history: Earlier comparable periods, oldest first, [n, t], to tell how noisy a leaf is; 0 where absent.
            history_weight: A ratio's denominators in these periods, [n, t], not negative.

        Returns:
            The slices with their shares, and whether the cause is external.

        Raises:
            BadInputError: If shapes differ, a value is not finite, a weight is negative, or nothing is to compare with.
        """
        rows = {"actual": actual, "expected": expected, "weight": weight, "weight_expected": weight_expected}
        cube, quiet = _read(attributes, rows | {"history": history, "history_weight": history_weight})
        picks, shift = self._search(cube)
        if picks and cube.weight is None and quiet is None:  # what the slices did was taken for noise: look again
            cube = _in_units(cube, None, picks)
            picks, shift = self._search(cube)
        return self._report(cube, quiet, picks, shift)

    def _search(self, cube: _Cube) -> tuple[list[_Pick], float]:
        """Return the slices, and the common effect of the whole cube (0 unless it moved as one)."""
        change = cube.actual - cube.expected
        named = _candidates(cube, self.max_depth, self.min_share)
        picks = self._pick(cube, named, 0.0)
        outside = ~_union(picks, len(change))
        if cube.trials[outside].sum() > cube.trials.sum() / 2 and abs(change[outside].sum()) < named.floor:
            return picks, 0.0  # most of the cube stayed
        # the external move is what happens outside the slices, and the slices are what it leaves: in turn until stable
        effect = _pooled(cube, cube.base, np.ones(len(change), dtype=bool))
        for _ in range(3):
            others = self._pick(cube, named, effect)
            outside = ~_union(others, len(change))
            if cube.trials[outside].sum() <= cube.trials.sum() / 2:
                return picks, 0.0
            before, effect = effect, _pooled(cube, cube.base, outside)
            if abs(effect - before) < 1e-3:
                break
        if effect > 0.99:
            return picks, 0.0  # what was not there before did not move
        gain = (_fit(cube, _moved(cube.base, effect), AT_REST) - _fit(cube, cube.base, AT_REST)).sum()
        gain += sum(pick.evidence for pick in others) - math.log(len(EFFECTS))
        if gain > max(self.min_evidence, sum(pick.evidence for pick in picks)):
            return others, effect
        return picks, 0.0

    def _pick(self, cube: _Cube, named: _Candidates, shift: float) -> list[_Pick]:
        """Return the slices by falling evidence, each from the leaves that those before it left."""
        base = _moved(cube.base, shift)
        change = cube.actual - _expected(cube, shift)
        rest = _fit(cube, base, AT_REST) + _level(cube, AT_REST) - _level(cube, MOVED)
        gains = [_fit(cube, _moved(base, effect), MOVED) - rest for effect in EFFECTS]
        table = np.stack([*gains, change], axis=1)  # [leaves, effects and change]
        sums = named.members.T @ table
        free = np.ones(len(change), dtype=bool)
        picks: list[_Pick] = []
        while len(picks) < self.max_slices and len(sums):
            scores = sums[:, :-1]  # the Bayes factor is the mean likelihood ratio: a flat prior over effects
            top = scores.max(axis=1)
            evidence = top + np.log(np.exp(scores - top[:, None]).mean(axis=1)) - named.cost
            evidence[np.abs(sums[:, -1]) < named.floor] = -np.inf
            best = int(np.argmax(evidence))
            if evidence[best] <= self.min_evidence:
                break
            mask = free & (named.members[:, [best]].toarray()[:, 0] > 0)
            effect = _pooled(cube, base, mask)
            picks.append(_Pick(named.axes[named.kind[best]], mask, effect, float(evidence[best])))
            free &= ~mask
            sums = sums - named.members[mask].T @ table[mask]
        return picks

    def _report(self, cube: _Cube, quiet: _Quiet | None, picks: list[_Pick], shift: float) -> Localisation:
        """Return the result in the metric's unit, with bootstrap intervals of the shares."""
        total = float((cube.actual - cube.expected).sum())
        expected = _expected(cube, shift)
        external = float((expected - cube.expected).sum())
        change = cube.actual - expected
        variance = _variance(cube, quiet, picks, shift)
        # leaves are many or near normal in sum, so the parametric bootstrap draws the sums
        masks = [pick.mask for pick in picks]
        rest = ~_union(picks, len(change))
        spread = np.sqrt([variance[mask].sum() for mask in [*masks, rest]])
        noise = np.random.default_rng(self.seed).standard_normal((DRAWS, len(spread))) * spread
        parts = np.array([change[mask].sum() for mask in masks])
        totals = total + noise.sum(axis=1)
        slices = []
        for i, pick in enumerate(picks):
            share = _ratio(parts[i] + noise[:, i], totals)
            low, high = np.quantile(share, [(1 - self.level) / 2, (1 + self.level) / 2])
            mid = float(_ratio(parts[i : i + 1], np.array([total]))[0])
            leaf = int(np.argmax(pick.mask))
            where = {cube.names[a]: cube.values[a].tolist()[cube.codes[a][leaf]] for a in pick.axes}
            slices.append(
                Slice(
                    where=where,
                    actual=float(cube.actual[pick.mask].sum()),
                    expected=float(expected[pick.mask].sum()),
                    change=float(parts[i]),
                    share=Estimate(mid, min(float(low), mid), max(float(high), mid), self.level),
                    effect=pick.effect,
                    evidence=pick.evidence,
                    leaves=int(pick.mask.sum()),
                )
            )
        return Localisation(tuple(slices), shift != 0, total, external, external + float(parts.sum()))


def _fit(cube: _Cube, share: Floats, concentration: float) -> Floats:
    """Return the beta-binomial log-likelihood of each leaf's hits, up to the terms of `_level`."""
    a = share * concentration
    b = concentration - a
    prior = slice(1) if cube.weight is None else slice(None)  # amounts have one share for all leaves
    out: Floats = gammaln(cube.hits + a) + gammaln(cube.trials - cube.hits + b)
    out -= gammaln(a[prior]) + gammaln(b[prior])
    return out


def _level(cube: _Cube, concentration: float) -> Floats:
    """Return the terms of the log-likelihood that no share changes, up to what hits and trials alone give."""
    out: Floats = gammaln(concentration) - gammaln(cube.trials + concentration)
    return out


def _moved(base: Floats, effect: float) -> Floats:
    """Return the share of hits after going that part of the way to none (below 0) or to all (above 0)."""
    return base + effect * (1 - base) if effect > 0 else base * (1 + effect)


def _expected(cube: _Cube, shift: float) -> Floats:
    """Return the expected metric per leaf after the external move."""
    if cube.weight is not None:
        return cube.weight * _moved(cube.base, shift)
    return cube.expected * ((1 + shift) / (1 - shift))


def _pooled(cube: _Cube, base: Floats, mask: Bools) -> float:
    """Return the common effect that gives the masked leaves as many hits in sum as they have."""
    trials = cube.trials[mask]
    share = base[mask]
    more = float((cube.hits[mask] - trials * share).sum())
    room = float((trials * ((1 - share) if more > 0 else share)).sum())
    return float(np.clip(more / room, -0.999, 0.999)) if room > 0 else 0.0


def _union(picks: list[_Pick], n: int) -> Bools:
    mask = np.zeros(n, dtype=bool)
    for pick in picks:
        mask |= pick.mask
    return mask


def _ratio(top: Floats, bottom: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.nan_to_num(np.divide(top, bottom), nan=0.0, posinf=np.inf, neginf=-np.inf)


def _candidates(cube: _Cube, max_depth: int, min_share: float) -> _Candidates:
    """Return the slices of at most that many attributes that changed enough to account for a share of the change."""
    change = cube.actual - cube.expected
    axes = [a for a, values in enumerate(cube.values) if len(values) > 1]
    floor, kinds = float(abs(change.sum())), []
    for depth in range(1, min(max_depth, len(axes)) + 1):
        for members in itertools.combinations(axes, depth):
            group, count = _combine([cube.codes[a] for a in members], [len(cube.values[a]) for a in members])
            sums: Floats = np.abs(np.bincount(group, change, count))
            floor = max(floor, float(sums.max())) if depth == 1 else floor  # changes that offset each other are changes
            cost = math.log(math.comb(len(axes), depth)) + sum(math.log(len(cube.values[a])) for a in members)
            kinds.append((members, group, sums, cost))
    floor *= min_share
    blocks = [csr_array((len(change), 0))]
    for _, group, sums, _ in kinds:
        large = (sums >= floor) & (sums > 0)
        rows = np.flatnonzero(large[group])
        places = (np.cumsum(large) - 1)[group[rows]]
        blocks.append(csr_array((np.ones(len(rows)), (rows, places)), shape=(len(change), int(large.sum()))))
    kind = np.repeat(np.arange(len(kinds)), [block.shape[1] for block in blocks[1:]])
    costs = np.array([k[3] for k in kinds], dtype=np.float64)[kind]
    members = hstack(blocks, format="csr")
    return _Candidates(tuple(k[0] for k in kinds), kind, costs, members, floor)


def _combine(codes: list[Ints], sizes: list[int]) -> tuple[Ints, int]:
    """Return one code per combination of codes, in their order, and how many there are."""
    key, count = np.zeros(len(codes[0]), dtype=np.int64), 1
    for code, size in zip(codes, sizes, strict=True):
        key, count = key * size + code, count * size
        if count > 4 * len(key):  # sparse: number those that occur
            seen, key = np.unique(key, return_inverse=True)
            count = len(seen)
    return key, count


def _variance(cube: _Cube, quiet: _Quiet | None, picks: list[_Pick], shift: float) -> Floats:
    """Return the noise variance of each leaf's change, learnt from history or from the leaves outside the slices."""
    n = len(cube.actual)
    share = _moved(cube.base, shift)
    for pick in picks:
        share = np.where(pick.mask, _moved(share, pick.effect), share)
    fitted = cube.expected * share / (1 - share) if cube.weight is None else cube.weight * share
    size, trials = _scale(cube.actual, cube.expected if cube.weight is None else fitted, cube.weight)
    factor = np.ones(n)
    if quiet is None:
        outside = ~_union(picks, n) & (size > 0)
        rows = np.flatnonzero(outside if outside.sum() >= 10 else size > 0)
        squares = (cube.actual - fitted)[rows] ** 2
        level, growth = _fit_noise(_Quiet(squares, size[rows], trials[rows], rows))
    else:
        level, growth = _fit_noise(quiet)
        usual = quiet.size * (level + growth * quiet.trials)
        periods = np.bincount(quiet.leaf[usual > 0], minlength=n)
        own = np.bincount(quiet.leaf, _ratio(quiet.squares, usual), n)
        factor = (HISTORY_PRIOR + own) / (HISTORY_PRIOR + periods)
    return size * (level + growth * trials) * factor


def _scale(actual: Floats, expected: Floats, weight: Floats | None) -> tuple[Floats, Floats]:
    """Return what the noise of a leaf's change grows with: its size, and its trials, which share a fate."""
    if weight is not None:
        return expected * (1 - _ratio(expected, weight)), weight
    size = np.abs(actual) + np.abs(expected)
    return size, _ratio(2 * (actual**2 + expected**2), size)


def _fit_noise(rows: _Quiet) -> tuple[float, float]:
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


def _in_units(cube: _Cube, quiet: _Quiet | None, picks: list[_Pick]) -> _Cube:
    """Return the cube with amounts as trials: one trial is the variance per amount of the leaves at rest."""
    hits, misses = np.maximum(cube.actual, 0), np.maximum(cube.expected, 0)  # refunds beyond sales leave no hits
    size = hits + misses
    if quiet is None:  # at rest are the leaves outside the slices, less what their middle one did
        rows = np.flatnonzero((size > 0) & ~_union(picks, len(size)))
        gap, base = (hits - misses)[rows], size[rows]
        order = np.argsort(_ratio(gap, base), kind="stable")
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


def _read(attributes: Mapping[str, ArrayLike], rows: Mapping[str, ArrayLike | None]) -> tuple[_Cube, _Quiet | None]:
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
    key, _ = _combine(list(codes), [len(labels) for labels in values])
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
            then = _usual(past, past_weight).sum(axis=1)
        rate = _rate(then, then_weight, AT_REST if proportion else 1.0)
        expected = weight * rate
        if proportion:
            cube = _Cube(names, values, tuple(c[first] for c in codes), actual, expected, actual, weight, rate, weight)
            return cube, _quiet(past, past_weight, "expected" in sums, True)
    quiet = _quiet(past, past_weight, "expected" in sums, False)
    half = np.full(len(first), 0.5)
    cube = _Cube(names, values, tuple(c[first] for c in codes), actual, expected, actual, actual, half, None)
    return _in_units(cube, quiet, []), quiet


def _rate(top: Floats, bottom: Floats, prior: float) -> Floats:
    """Return top over bottom, drawn to the overall rate as `prior` more trials would."""
    overall = (top.sum() + 0.5 * np.sign(top.sum() + 0.5)) / (bottom.sum() + 1)
    rate: Floats = (top + prior * overall) / (bottom + prior)
    return rate


def _usual(past: Floats, weights: Floats) -> Floats:
    """Return earlier hits, drawn to within three deviations of the leaf's median: past incidents are not expected."""
    middle = np.median(_rate(past, weights, AT_REST), axis=1, keepdims=True) * weights
    spread = np.sqrt(middle * (1 - _ratio(middle, weights)) * (1 + np.maximum(weights - 1, 0) / (AT_REST + 1)))
    out: Floats = np.clip(past, middle - 3 * spread, middle + 3 * spread)
    return out


def _quiet(past: Floats | None, weights: Floats | None, one_period: bool, proportion: bool) -> _Quiet | None:
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
    before = before * np.where(totals > 0, _ratio(now.sum(axis=0), totals), 1.0)
    size, trials = _scale(now, before, now_weights if proportion else None)
    kept = size.ravel() > 0
    leaf = np.repeat(np.arange(len(past)), now.shape[1])[kept]
    return _Quiet(((now - before) ** 2).ravel()[kept], size.ravel()[kept], trials.ravel()[kept], leaf)


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
