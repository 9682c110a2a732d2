"""Localise a change: the fewest slices of a cube that explain why a metric is not what was expected."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_array, hstack
from scipy.special import gammaln

from tradewind.errors import BadInputError
from tradewind.methods.localise_cube import (
    AT_REST,
    Bools,
    Cube,
    Floats,
    Ints,
    Quiet,
    combine,
    in_units,
    leaf_variance,
    quotient,
    read_cube,
)
from tradewind.study import Estimate

# How alike leaves of one slice are, as the concentration of a beta distribution: they move by the same effect give or
# take a tenth. Results change little between two thirds and twice of it.
MOVED = 20.0

# No leaf is trusted entirely: one in fifty of those at rest moves for reasons of its own (it is then only loosely where
# it was expected), one in twenty of those in a slice stays. Both bound what a single leaf can say, however large.
STRAYS = 0.02
STRAYED = 20.0
STAYS = 0.05

# Effects that a slice may have: the part of the way from the expected share of hits to none (−1) or to all (1).
EFFECTS = np.concatenate([-np.linspace(0.03, 0.98, 16)[::-1], np.linspace(0.03, 0.98, 16)])

FEWEST, MOST = 4, 24  # values of an attribute of which several may have moved together

DRAWS = 2000


@dataclass(frozen=True)
class Slice:
    """Leaves that moved together, named by the attributes they share.

    Args:
        where: Value of each attribute that names the slice; what is not named is free.
        actual: Sum of the metric over the slice's leaves, without leaves that an earlier slice explains.
        expected: What the sum would be without the slice's own change (with the external one, if there is one).
        change: `actual − expected`, in the metric's unit.
        spread: The change with its interval.
        share: The slice's share of the total change, with its interval; above 1 where other changes offset it.
        effect: Common effect of the leaves, in (−1, 1): the part of the way to nothing or to everything.
        evidence: Log Bayes factor for the slice, less the log of the number of slices it was picked from.
        leaves: Number of leaves that it explains.
    """

    where: Mapping[str, Any]
    actual: float
    expected: float
    change: float
    spread: Estimate
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
class _Candidates:
    """Slices to pick from: the attributes of each kind; kind and cost of each slice; its leaves as a column."""

    axes: tuple[tuple[int, ...], ...]
    kind: Ints
    cost: Floats
    members: csr_array  # [leaves, candidates], 1 where the leaf is of the slice
    floor: float  # the least change that counts


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
    out of trials), but for a few that do as they please, which weighs a leaf by its size but lets none decide alone; a
    slice's evidence is its Bayes factor over all effects, less what it costs to name it (log of the number of slices as
    deep). Slices are taken greedily; the whole cube is one of the hypotheses, and when it wins the cause is external.

    Args:
        level: Probability that an interval is meant to hold the truth, in (0, 1).
        max_depth: Most attributes that name a slice, at least 1.
        max_slices: Most slices to return, at least 1.
        min_share: Least part of the change, in [0, 1], that a slice must account for.
        min_evidence: Least evidence (natural log) for a slice to be told; the default is odds of ten to one.
        certain: Whether something surely happened, as after an alarm: the best slice is told whatever its evidence.
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
        certain: bool = False,
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
        self.certain = certain
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
        cube, quiet = read_cube(attributes, rows | {"history": history, "history_weight": history_weight})
        picks, shift = self._found(cube)
        if picks and cube.weight is None and quiet is None:  # what the slices did was taken for noise: look again
            cube = in_units(cube, None, ~_union(picks, len(cube.actual)))
            picks, shift = self._found(cube)
        return self._report(cube, quiet, picks, shift)

    def _found(self, cube: Cube) -> tuple[list[_Pick], float]:
        """Return the slices and the common effect of the cube; several values of one attribute may be the answer.

        Where several values of one attribute moved by about the same effect, no one of them explains the change, and a
        wider slice or the whole cube may look better than each; together they are weighed as one hypothesis.
        """
        picks, shift, evidence = self._search(cube)
        if cube.weight is not None or self.max_slices < 2:
            return picks, shift
        apart, more = self._apart(cube)
        return (apart, 0.0) if more > max(evidence, self.min_evidence) else (picks, shift)

    def _apart(self, cube: Cube) -> tuple[list[_Pick], float]:
        """Return the values of one attribute that moved together while its others stayed, and the evidence for that."""
        rest = _rest(cube, cube.base) - _level(cube, MOVED) - math.log(1 - STAYS)
        gains = [np.logaddexp(_fit(cube, _moved(cube.base, e), MOVED) - rest, math.log(STAYS)) for e in EFFECTS]
        axes = [a for a, values in enumerate(cube.values) if FEWEST <= len(values) <= MOST]
        best: tuple[list[_Pick], float] = ([], -math.inf)
        for axis in axes:
            codes, count = cube.codes[axis], len(cube.values[axis])
            sums = np.stack([np.bincount(codes, gain, count) for gain in gains], axis=1)
            alone = np.array([_pooled(cube, cube.base, codes == value) for value in range(count)])
            for order in (np.argsort(alone), np.argsort(-alone)):
                scores = np.cumsum(sums[order], axis=0)
                top = scores.max(axis=1, keepdims=True)
                size = np.arange(1, count + 1)
                evidence = top[:, 0] + np.log(np.exp(scores - top).mean(axis=1))
                evidence -= (
                    gammaln(count + 1) - gammaln(size + 1) - gammaln(count - size + 1) + math.log(2 * len(axes) * count)
                )
                evidence[[0, count - 1]] = -np.inf  # one value is a slice, all are the cube
                most = int(np.argmax(evidence))
                if evidence[most] > best[1]:
                    own = sums.max(axis=1) - math.log(len(axes) * count)
                    picks = [
                        _Pick((axis,), codes == value, float(alone[value]), float(own[value]))
                        for value in order[: most + 1].tolist()
                    ]
                    best = picks, float(evidence[most])
        return sorted(best[0], key=lambda pick: -pick.evidence)[: self.max_slices], best[1]

    def _search(self, cube: Cube) -> tuple[list[_Pick], float, float]:
        """Return the slices, the common effect of the whole cube (0 unless it moved as one), and the evidence."""
        change = cube.actual - cube.expected
        named = _candidates(cube, self.max_depth, self.min_share)
        picks = self._pick(cube, named, 0.0)
        outside, told = ~_union(picks, len(change)), sum(pick.evidence for pick in picks)
        if cube.trials[outside].sum() > cube.trials.sum() / 2 and abs(change[outside].sum()) < named.floor:
            return picks, 0.0, told  # most of the cube stayed
        # the external move is what happens outside the slices, and the slices are what it leaves: in turn until stable
        effect = _pooled(cube, cube.base, np.ones(len(change), dtype=bool))
        for _ in range(3):
            others = self._pick(cube, named, effect)
            outside = ~_union(others, len(change))
            if cube.trials[outside].sum() <= cube.trials.sum() / 2:
                return picks, 0.0, told
            before, effect = effect, _pooled(cube, cube.base, outside)
            if abs(effect - before) < 1e-3:
                break
        if effect > 0.99:
            return picks, 0.0, told  # what was not there before did not move
        gain = (_rest(cube, _moved(cube.base, effect)) - _rest(cube, cube.base)).sum()
        gain += sum(pick.evidence for pick in others) - math.log(len(EFFECTS))
        if gain > max(self.min_evidence, told):
            return others, effect, float(gain)
        return picks, 0.0, told

    def _pick(self, cube: Cube, named: _Candidates, shift: float) -> list[_Pick]:
        """Return the slices by falling evidence, each from the leaves that those before it left."""
        base = _moved(cube.base, shift)
        change = cube.actual - _expected(cube, shift)
        rest = _rest(cube, base) - _level(cube, MOVED) - math.log(1 - STAYS)
        stays = math.log(STAYS)
        gains = [np.logaddexp(_fit(cube, _moved(base, effect), MOVED) - rest, stays) for effect in EFFECTS]
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
            if evidence[best] <= (-math.inf if self.certain and not picks else self.min_evidence):
                break
            mask = free & (named.members[:, [best]].toarray()[:, 0] > 0)
            effect = _pooled(cube, base, mask)
            picks.append(_Pick(named.axes[named.kind[best]], mask, effect, float(evidence[best])))
            free &= ~mask
            sums = sums - named.members[mask].T @ table[mask]
        return picks

    def _report(self, cube: Cube, quiet: Quiet | None, picks: list[_Pick], shift: float) -> Localisation:
        """Return the result in the metric's unit, with bootstrap intervals of the shares."""
        total = float((cube.actual - cube.expected).sum())
        expected = _expected(cube, shift)
        external = float((expected - cube.expected).sum())
        change = cube.actual - expected
        # leaves are many or near normal in sum, so the parametric bootstrap draws the sums
        masks = [pick.mask for pick in picks]
        rest = ~_union(picks, len(change))
        explained = _moved(cube.base, shift)
        for pick in picks:
            explained = np.where(pick.mask, _moved(explained, pick.effect), explained)
        variance = leaf_variance(cube, quiet, explained, rest)
        spread = np.sqrt([variance[mask].sum() for mask in [*masks, rest]])
        noise = np.random.default_rng(self.seed).standard_normal((DRAWS, len(spread))) * spread
        parts = np.array([change[mask].sum() for mask in masks])
        totals = total + noise.sum(axis=1)
        slices = []
        for i, pick in enumerate(picks):
            share = quotient(parts[i] + noise[:, i], totals)
            ends = [(1 - self.level) / 2, (1 + self.level) / 2]
            low, high = np.quantile(share, ends)
            least, most = np.quantile(parts[i] + noise[:, i], ends)
            moved = float(parts[i])
            mid = float(quotient(parts[i : i + 1], np.array([total]))[0])
            leaf = int(np.argmax(pick.mask))
            where = {cube.names[a]: cube.values[a].tolist()[cube.codes[a][leaf]] for a in pick.axes}
            slices.append(
                Slice(
                    where=where,
                    actual=float(cube.actual[pick.mask].sum()),
                    expected=float(expected[pick.mask].sum()),
                    change=moved,
                    spread=Estimate(moved, min(float(least), moved), max(float(most), moved), self.level),
                    share=Estimate(mid, min(float(low), mid), max(float(high), mid), self.level),
                    effect=pick.effect,
                    evidence=pick.evidence,
                    leaves=int(pick.mask.sum()),
                )
            )
        return Localisation(tuple(slices), shift != 0, total, external, external + float(parts.sum()))


def _fit(cube: Cube, share: Floats, concentration: float) -> Floats:
    """Return the beta-binomial log-likelihood of each leaf's hits, up to the terms of `_level`."""
    a = share * concentration
    b = concentration - a
    prior = slice(1) if cube.weight is None else slice(None)  # amounts have one share for all leaves
    out: Floats = gammaln(cube.hits + a) + gammaln(cube.trials - cube.hits + b)
    out -= gammaln(a[prior]) + gammaln(b[prior])
    return out


def _level(cube: Cube, concentration: float) -> Floats:
    """Return the terms of the log-likelihood that no share changes, up to what hits and trials alone give."""
    out: Floats = gammaln(concentration) - gammaln(cube.trials + concentration)
    return out


def _rest(cube: Cube, share: Floats) -> Floats:
    """Return the log-likelihood of each leaf's hits if it is at rest at this share, or one of the few that stray."""
    stays = _fit(cube, share, AT_REST) + _level(cube, AT_REST)
    strays = _fit(cube, share, STRAYED) + _level(cube, STRAYED)
    out: Floats = np.logaddexp(stays + math.log(1 - STRAYS), strays + math.log(STRAYS))
    return out


def _moved(base: Floats, effect: float) -> Floats:
    """Return the share of hits after going that part of the way to none (below 0) or to all (above 0)."""
    return base + effect * (1 - base) if effect > 0 else base * (1 + effect)


def _expected(cube: Cube, shift: float) -> Floats:
    """Return the expected metric per leaf after the external move."""
    if cube.weight is not None:
        return cube.weight * _moved(cube.base, shift)
    return cube.expected * ((1 + shift) / (1 - shift))


def _pooled(cube: Cube, base: Floats, mask: Bools) -> float:
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


def _candidates(cube: Cube, max_depth: int, min_share: float) -> _Candidates:
    """Return the slices of at most that many attributes that changed enough to account for a share of the change."""
    change = cube.actual - cube.expected
    axes = [a for a, values in enumerate(cube.values) if len(values) > 1]
    floor, kinds = float(abs(change.sum())), []
    for depth in range(1, min(max_depth, len(axes)) + 1):
        for members in itertools.combinations(axes, depth):
            group, count = combine([cube.codes[a] for a in members], [len(cube.values[a]) for a in members])
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
