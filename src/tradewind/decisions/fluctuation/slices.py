"""Slices: the parts of a business that a metric's change is looked for in, as far as they add up to it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tradewind.decisions.fluctuation.comparison import BEFORE, Comparison, Leaves
from tradewind.engines.store import Store
from tradewind.errors import BadInputError
from tradewind.measures.metric import Distinct, Leaf, Metric, Ratio, leaves
from tradewind.measures.metrics import NEW_BUYERS, unsettled
from tradewind.measures.query import DIMENSIONS, Query, left_out, lights_up
from tradewind.methods.contribution import volume_mix_rate
from tradewind.methods.localise import Localisation, Localise, Slice
from tradewind.period import Period
from tradewind.study import Estimate

SLICED_BY = (
    "department", "shop_id", "customer_type", "surface", "form", "relation", "customer_region", "creator_id", "brand",
)  # fmt: skip
TIMES = ("day", "week", "month", "cohort")  # periods differ in their days by definition
MOST_DIMENSIONS = 8
MOST_SLICES = 8
BEYOND = 9.2  # evidence (natural log) of a slice that is unusual by itself: odds of ten thousand to one
ASTRAY = 0.02  # part of a ratio's whole by which its slices at earlier rates may miss it
EVERYTHING = 0.9  # a slice that holds more of the metric than this is the whole, not a part


@dataclass(frozen=True)
class Moved:
    """What one slice did.

    Args:
        name: The slice as a reader would name it, which says where slices before it hold some of it.
        before: What it would be without a change of its own; of a ratio, its numerator at its earlier rate.
        now: What it is.
        change: `now − before`.
        share: Its share of the change that all slices sum to; None where that is nothing.
        alone: Its change beside what everything moved by.
        unusual: Whether it is unusual by itself: beyond chance, large enough to matter, and more than a usual burst.
    """

    name: str
    before: float
    now: float
    change: Estimate
    share: Estimate | None
    alone: float
    unusual: bool

    @property
    def stands_out(self) -> bool:
        """Whether its change is more than the noise of others."""
        return self.change.low > 0 or self.change.high < 0


@dataclass(frozen=True)
class Found:
    """The fewest slices that explain a change.

    Args:
        slices: What each did, the one with the strongest evidence first.
        change: What they are parts of; of a ratio, the change of its numerator at today's denominators.
        alike: Whether the rest moved alike.
        where: All that the search tells.
    """

    slices: tuple[Moved, ...]
    change: float
    alike: bool
    where: Localisation


@dataclass(frozen=True)
class MixRate:
    """The change of a ratio, by slices of one dimension.

    Args:
        dimension: The dimension.
        names: The slices.
        mix: What shares that moved between slices brought to the ratio, by slice, in its unit.
        rate: What the slices' own rates brought to it.
    """

    dimension: str
    names: tuple[str, ...]
    mix: np.ndarray[Any, Any]
    rate: np.ndarray[Any, Any]


class Slices:
    """The slices of a comparison's metric: by which dimensions, and what moved in them.

    Args:
        store: The store, as the caller may see it.
        comparison: The metric, the period, and what it is compared with.
        wanted: Dimensions to slice by; those of the house that split the metric into parts if empty.

    Attributes:
        dimensions: The dimensions by which slices add up to the metric.
        caveats: What is not looked at, and why.

    Raises:
        BadInputError: If there is no such dimension, or slices by a wanted one do not add up to the metric.
    """

    def __init__(self, store: Store, comparison: Comparison, wanted: Sequence[str]):
        self.store, self.comparison, self.metric = store, comparison, comparison.metric
        self.caveats: tuple[str, ...] = ()
        self.dimensions = self._whole(self._splitting(wanted), wanted)

    def _splitting(self, wanted: Sequence[str]) -> tuple[str, ...]:
        """Return the dimensions that split what the metric counts into parts."""
        for name in wanted:
            if name not in DIMENSIONS or name in TIMES:
                allowed = [name for name in DIMENSIONS if name not in TIMES]
                raise BadInputError("There is no such dimension to explain a change by", got=name, allowed=allowed)
        offered = wanted or [name for name in SLICED_BY if lights_up(self.metric, self.store, (name,))]
        if not wanted and unsettled(NEW_BUYERS, min(self.comparison.bases), self.store.span):
            offered = [name for name in offered if name != "customer_type"]
        counted = [leaf for leaf in leaves(self.metric) if isinstance(leaf, Distinct)]
        found = [name for name in offered if all(self._splits(leaf, name) for leaf in counted)]
        if wanted and len(found) < len(wanted):
            raise BadInputError(
                f"{self.metric.title} does not split into parts by this, since what it counts lies in several of them",
                got=", ".join(name for name in wanted if name not in found),
                do="choose another dimension, or a metric that adds up, such as gmv",
            )
        return tuple(found[:MOST_DIMENSIONS])

    def _splits(self, leaf: Leaf, dimension: str) -> bool:
        """Whether all that a leaf counts, now and in the periods compared with, lies in one slice each."""
        slots = (self.comparison.period, *self.comparison.bases)
        sums = []
        for by in ((dimension,), ()):
            table = self.store.metrics(Query((leaf,), self.comparison.period, by, slots=slots)).to_pydict()
            counts = [value or 0 for value in table[leaf.name]]
            sums.append(np.bincount(np.array(table["slot"], dtype=int), counts, len(slots)).tolist())
        return bool(sums[0] == sums[1])

    def _whole(self, dimensions: tuple[str, ...], wanted: Sequence[str]) -> tuple[str, ...]:
        """Return the dimensions by which every part of the metric is known, and say in a caveat which are none."""
        absent = set(left_out(self.metric, self.store))
        lost = {name: [m for m in left_out(self.metric, self.store, (name,)) if m not in absent] for name in dimensions}
        if not any(lost.values()):
            return dimensions
        parts = ", ".join(dict.fromkeys(part.title.lower() for lacking in lost.values() for part in lacking))
        names = ", ".join(DIMENSIONS[name].lower() for name, lacking in lost.items() if lacking)
        if any(lost[name] for name in wanted):
            raise BadInputError(
                f"{self.metric.title} cannot be split by this, since parts of it are not known by it ({parts})",
                got=names,
                do="choose another dimension, or a metric that is known by it, such as gmv",
            )
        self.caveats += (
            f"{self.metric.title} is not looked at by {names}: not all of {parts} is known by these, and slices "
            "without it would not add up to the change.",
        )
        return tuple(name for name, lacking in lost.items() if not lacking)

    def found(self, seed: int) -> Found | None:
        """Find the fewest slices that explain the change; None where nothing happened, or slices do not add up to it.

        Args:
            seed: Seed of intervals.
        """
        metric = self.metric
        over: tuple[Metric, ...] = (metric.over, metric.under) if isinstance(metric, Ratio) else (metric,)
        cube = self.comparison.leaves(self.store, over, self.dimensions, self._earlier())
        now, was = cube.now(over[0].name), cube.before(over[0].name)
        if not len(now):
            return None
        if isinstance(metric, Ratio):
            weight, weight_expected = cube.now(over[1].name), cube.before(over[1].name)
            where = Localise(seed=seed)(cube.attributes, now, was, weight=weight, weight_expected=weight_expected)
            level = was.sum() / weight_expected.sum() * weight.sum()
            if abs(now.sum() - where.total_change - level) > ASTRAY * abs(level):
                self.caveats += (
                    f"Slices of {metric.title} are left out: the mix between them moved, or they are too thin to have "
                    "a rate of their own, so that what they would be at earlier rates does not add up to the whole.",
                )
                return None
        else:
            # outside the normal range something did happen: the best slice is told from even odds
            surely = self.comparison.is_outside and self.comparison.against == "expected"
            method = Localise(seed=seed, min_evidence=0.0) if surely else Localise(seed=seed)
            where = method(cube.attributes, now, was, history=cube.earlier(metric.name))
        whole = self._at_earlier_rates(cube, np.ones(len(now), dtype=bool))
        change = float(now.sum()) - whole
        slices: list[Moved] = []
        for name, mask, piece in _named_pieces(where, cube):
            if piece.expected <= EVERYTHING * whole and len(slices) < MOST_SLICES:
                slices.append(self._moved(name, mask, piece, cube, change))
        alike = where.external or len(slices) < len(where.slices[:MOST_SLICES])
        return Found(tuple(slices), change, alike, where)

    def _earlier(self) -> tuple[Period, ...]:
        """Periods before those compared with, which tell how noisy each slice is."""
        if isinstance(self.metric, Ratio):
            return ()
        found: list[Period] = []
        period, span = self.comparison.bases[-1], self.store.span
        while len(found) < BEFORE - 1 and (period := period.previous).clipped(span) == period:
            found.append(period)
        return tuple(found)

    def _moved(self, name: str, mask: np.ndarray[Any, Any], piece: Slice, cube: Leaves, whole: float) -> Moved:
        ratio = isinstance(self.metric, Ratio)
        before = self._at_earlier_rates(cube, mask) if ratio else piece.expected
        change = piece.spread.moved(piece.expected - before)
        share = (change.scaled(1 / whole) if ratio else piece.share) if whole else None
        unusual = not ratio and piece.evidence > BEYOND and self.comparison.weighs(piece.change)
        unusual = unusual and cube.is_news(self.metric.name, piece.where)
        return Moved(name, before, piece.actual, change, share, piece.change, unusual)

    def _at_earlier_rates(self, cube: Leaves, mask: np.ndarray[Any, Any]) -> float:
        """What leaves would be without a change: their level before; for a ratio, at their rate before."""
        if not isinstance(self.metric, Ratio):
            return float(cube.before(self.metric.name)[mask].sum())
        over, under = self.metric.over.name, self.metric.under.name
        then = cube.before(under)[mask].sum()
        return float(cube.before(over)[mask].sum() / then * cube.now(under)[mask].sum()) if then else 0.0

    def mix(self) -> MixRate | None:
        """Tell how much of a ratio's change is mix between slices, and how much is their own rates; they sum to it.

        None where the metric is no ratio, or in each split some slice has a numerator and nothing under it, such as
        orders without a buyer.
        """
        metric = self.metric
        if not isinstance(metric, Ratio):
            return None
        over, under = metric.over.name, metric.under.name
        for dimension in self.dimensions:
            cube = self.comparison.leaves(self.store, (metric.over, metric.under), (dimension,))
            if ((cube.values[under] == 0) & (cube.values[over] != 0)).any():
                continue
            found = volume_mix_rate(cube.before(over), cube.before(under), cube.now(over), cube.now(under))
            names = tuple(map(str, cube.attributes[dimension]))
            return MixRate(dimension, names, found.ratio_mix * metric.times, found.ratio_rate * metric.times)
        return None


def _named_pieces(found: Localisation, cube: Leaves) -> Iterator[tuple[str, np.ndarray[Any, Any], Slice]]:
    """Yield each slice with its name and its leaves, less those of slices before it."""
    free = np.ones(len(next(iter(cube.attributes.values()))), dtype=bool)
    for piece in found.slices:
        inside = np.logical_and.reduce([cube.attributes[key] == value for key, value in piece.where.items()])
        name = ", ".join(_named(key, value) for key, value in piece.where.items())
        yield (name if free[inside].all() else f"The rest of {name}"), inside & free, piece
        free &= ~inside


def _named(dimension: str, value: Any) -> str:
    if dimension == "customer_type":
        return f"{str(value).capitalize()} customers"
    if dimension == "department":
        return f"Department {str(value).title()}"
    return f"{DIMENSIONS[dimension].removesuffix(' id')} {value}"
