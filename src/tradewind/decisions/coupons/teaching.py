"""Teaching: each customer at each coupon of the past, what was known of them then, and what they ordered after."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tradewind.decisions.coupons.issues import DAY
from tradewind.decisions.coupons.odds import Odds, odds
from tradewind.decisions.coupons.past import Past
from tradewind.decisions.coupons.record import Record
from tradewind.decisions.coupons.worth import DEEP, Worth
from tradewind.errors import MissingDataError
from tradewind.methods.crossfit import Crossfit, Nuisance
from tradewind.methods.lift import Lift, LiftFit, Rows, base_of

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
Floats = NDArray[np.float32]

MOST = 800_000
"""Cases that teach; of larger marketplaces a part of the customers, drawn by lot, teaches for all."""
ECHO = 14  # days after a coupon has ended in which later orders are counted, too
DEPTHS = (0.16, 0.10, 0.06)
"""Depths, face value over order value, between which orders are counted apart."""
PRIOR = 20.0  # orders for which the expected number counts beside the observed, in the level of a size of order
SELDOM = 0.1  # of the mean: fewer orders are expected of nobody
WARM = 14  # days of data before the first coupon that teaches


@dataclass(frozen=True)
class Looks:
    """How features enter the lift: standardised, and as cells: of what they say together, and of how long ago.

    Args:
        centre: [p] what is taken off each feature.
        scale: [p] what it is divided by.
    """

    centre: Array
    scale: Array

    @classmethod
    def of(cls, features: Array) -> Looks:
        """Return how these features [n, p] enter."""
        scale = features.std(axis=0)
        return cls(features.mean(axis=0), np.where(scale > 1e-9, scale, 1.0))

    def cells(self, features: Array) -> Ints:
        """Return the cells [n, 2] of customers: by orders, coupons used and visits; and by how long ago they bought."""
        orders = np.digitize(np.expm1(features[:, 0]), [0.5, 1.5, 3.5])
        seen = np.digitize(np.expm1(features[:, 8]), [2.5, 7.5])
        together = orders + 4 * (features[:, 4] > 0) + 8 * seen
        return np.stack([together, CELLS + np.digitize(np.expm1(features[:, 2]), AWAY)], axis=1)

    def by_cell(self, features: Array, weight: Array) -> Array:
        """Return the sums of weights [n] of customers in each cell."""
        return np.bincount(self.cells(features).ravel(), np.repeat(weight, 2), CELLS + len(AWAY) + 1).astype(float)

    @property
    def width(self) -> int:
        """Columns of the design."""
        return len(self.block)

    @property
    def block(self) -> Ints:
        """The block of each column: level, lines, lines by depth, cells of each kind."""
        lines = len(self.centre)
        sizes = (2, lines, lines, CELLS, len(AWAY) + 1)
        return np.repeat(np.arange(len(sizes)), sizes)

    def design(self, features: Array, flat: Array, deep: Array) -> Floats:
        """Return the columns [n, width] of customers who meet a coupon.

        Args:
            features: [n, p].
            flat: [n] share of what it tells on.
            deep: [n] the same weighted by depth.
        """
        count = len(self.centre)
        found = np.zeros((len(features), self.width), np.float32)
        line = (features - self.centre) / self.scale
        found[:, 0], found[:, 1] = flat, deep
        found[:, 2 : 2 + count] = line * flat[:, None]
        found[:, 2 + count : 2 + 2 * count] = line * deep[:, None]
        found[np.arange(len(features))[:, None], 2 + 2 * count + self.cells(features)] = deep[:, None]
        return found

    def parts(self, features: Array, coefficients: Array) -> tuple[Array, Array]:
        """Return what a share of one and a depth of one add to the lift of customers: two arrays [n]."""
        count = len(self.centre)
        line = (features - self.centre) / self.scale
        cells = coefficients[2 + 2 * count :]
        flat = coefficients[0] + line @ coefficients[2 : 2 + count]
        deep = coefficients[1] + line @ coefficients[2 + count : 2 + 2 * count]
        deep = deep + cells[self.cells(features)].sum(axis=1)
        return np.asarray(flat), np.asarray(deep)


CELLS = 24
AWAY = (7.0, 14.0, 28.0, 56.0)  # days since the last order, between which an answer may differ


@dataclass(frozen=True)
class Follow:
    """Orders that follow from each order that a coupon brings.

    Args:
        mid: How many; below zero where it takes their place.
        deviation: How far that may be off.
    """

    mid: float
    deviation: float


@dataclass(frozen=True)
class _Band:
    """What customers met of a coupon in orders of one size; all arrays are [rows].

    Args:
        mean: Expected orders.
        flat: Share of the time in which they held no other coupon that fits.
        deep: How deep the coupon is, less what other coupons held take away of it.
        own: Its lift.
        other: The lift of the other coupons.
    """

    mean: Array
    flat: Array
    deep: Array
    own: Array
    other: Array


@dataclass(frozen=True)
class Cases:
    """Customers at the coupons of the past.

    Args:
        record: What is known.
        worth: What orders bring.
        customer: [n] customer.
        issue: [n] issue.
        features: [n, p] what was known then.
        kind: [n] kind of customer by what they usually spend.
        treated: [n] 1 where given.
        odds: Chances of being given.
        mean: [n] expected orders while the coupon ran.
        rate: What predicts orders a day from features.
        least: Fewest orders a day that anybody is expected to make.
        edges: Values between the bands of each issue; the first band is of orders too small.
        looks: How features enter the lift.
        controlled: Whether orders too small for a coupon are to show what chances that are only guessed leave out.
        hidden: By what share who was given a coupon orders more for reasons that its chance leaves out, once learnt.
    """

    record: Record
    worth: Worth
    customer: Ints
    issue: Ints
    features: Array
    kind: Ints
    treated: Array
    odds: Odds
    mean: Array
    rate: Nuisance
    least: float
    edges: tuple[Array, ...]
    looks: Looks
    controlled: bool
    hidden: float = 0.0

    def expected(self, features: Array) -> Array:
        """Return the orders a day [n] that customers with features [n, p] are expected to make; nobody makes none."""
        return np.maximum(self.rate.predict(features), self.least)

    @cached_property
    def teaching(self) -> Ints:
        """The issues that teach."""
        return np.unique(self.issue)

    @property
    def block(self) -> Ints:
        """The block of each column of the design; the last is what is hidden, where orders too small show it."""
        own = self.looks.block
        return np.append(own, own[-1] + 1) if self.controlled else own

    def rows(self, coefficients: Array) -> Iterator[Rows]:
        """Yield what teaches the lift: for each issue, and each size of order that it fits, all customers.

        Where chances are guessed, orders too small for a coupon teach too: it cannot bring them. By what share they are
        more among those who were given it, orders of every size are taken to be for the same hidden reason.

        Args:
            coefficients: Of the lift, as far as it is known: what comes without any coupon rests on it.

        Reference:
            Lipsitch, Tchetgen Tchetgen and Cohen (2010), Negative controls: a tool for detecting confounding and bias
            in observational studies, Epidemiology 21(3).
        """
        own, hidden = coefficients[: self.looks.width], float(coefficients[-1]) if self.controlled else 0.0
        for issue in self.teaching.tolist():
            mine = self._kept(issue)
            counts, chance = self._counts(mine, self.edges[issue], *self._span(issue)), self.odds.chance[mine]
            parts = list(self._bands(issue, mine, own))
            if self.controlled and self.record.issues.threshold[issue] > 0:
                nothing = np.zeros(len(mine))
                share = self.worth.bands(self.edges[issue], float(self.record.issues.face[issue]))[0]
                parts.append((0, _Band(self.mean[mine] * share[self.kind[mine], 0], *(nothing,) * 4)))
            for b, part in parts:
                expected = part.mean * (counts[:, b].sum() + PRIOR) / (part.mean.sum() + PRIOR)
                base = base_of(expected, chance * (part.own + hidden) + part.other)
                design = self.looks.design(self.features[mine], part.flat, part.deep)
                if self.controlled:
                    design = np.column_stack([design, np.ones(len(mine), np.float32)])
                yield Rows(design, base, expected, self.treated[mine], chance, counts[:, b], self.customer[mine])

    def _more(self, part: _Band) -> Array:
        """By what share who was given a coupon orders more, by the coupon and by what is hidden."""
        return part.own * (1 + self.hidden) + self.hidden

    def _kept(self, issue: int) -> Ints:
        return np.flatnonzero((self.issue == issue) & self.odds.kept)

    def _span(self, issue: int) -> tuple[int, int]:
        return int(self.record.issues.start[issue]), int(self.record.issues.end[issue])

    def _bands(self, issue: int, mine: Ints, coefficients: Array) -> Iterator[tuple[int, _Band]]:
        """Yield the sizes of order that a coupon fits, by their number, with what customers met in them."""
        issues, edges, kind = self.record.issues, self.edges[issue], self.kind[mine]
        share, value, depth = self.worth.bands(edges, float(issues.face[issue]))
        free, less, held, held_deep = self._background(issue, mine, value)
        by_flat, by_deep = self.looks.parts(self.features[mine], coefficients)
        for b in np.flatnonzero(edges[:-1] >= issues.threshold[issue]).tolist():
            deep = np.maximum(depth[kind, b] - less[:, b], 0.0)
            yield b, _Band(
                self.mean[mine] * share[kind, b], free[:, b], deep, free[:, b] * by_flat + deep * by_deep,
                held[:, b] * by_flat + held_deep[:, b] * by_deep,
            )  # fmt: skip

    def _counts(self, mine: Ints, edges: Array, start: int, end: int) -> Array:
        """Orders [rows, bands] by value between two moments."""
        orders = self.record.orders
        some = (orders.at >= start) & (orders.at < end)
        some &= (orders.value >= edges[0]) & (orders.value < edges[-1])
        band = np.searchsorted(edges, orders.value[some], side="right") - 1
        place = np.full(len(self.record.ids), -1)
        place[self.customer[mine]] = np.arange(len(mine))
        row = place[orders.customer[some]]
        found = np.zeros((len(mine), len(edges) - 1))
        np.add.at(found, (row[row >= 0], band[row >= 0]), 1.0)
        return found

    def _background(
        self, issue: int, mine: Ints, value: Array, least: float = 0.0
    ) -> tuple[Array, Array, Array, Array]:
        """What customers held of other coupons of some face value while one ran, by size of order: [rows, bands] each.

        Returns:
            The share of the time in which they held none that fits; the depth that what they held took away from this
            one; the share of the time in which they held one; and its depth.
        """
        issues, chance = self.record.issues, self.odds.chance[mine]
        start, end = int(issues.start[issue]), int(issues.end[issue])
        kind, who = self.kind[mine], self.customer[mine]
        shape = (len(mine), value.shape[1])
        taken, less, deep = np.zeros(shape), np.zeros(shape), np.zeros(shape)
        own = np.minimum(issues.face[issue] / np.maximum(value, 0.01), 1.0) / DEEP
        for other in range(len(issues)):
            overlap = min(int(issues.end[other]), end) - max(int(issues.start[other]), start)
            if other == issue or overlap <= 0 or issues.face[other] < least:
                continue
            # What came before is known; who would be given the next is not, but as likely as this one.
            has = issues.given[who, other].astype(float) if issues.start[other] < start else chance
            share = overlap / (end - start) * has
            fits = value >= issues.threshold[other]
            theirs = np.minimum(issues.face[other] / np.maximum(value, 0.01), 1.0) / DEEP
            taken += share[:, None] * fits[kind]
            deep += share[:, None] * (fits * theirs)[kind]
            less += share[:, None] * (fits * np.minimum(theirs, own))[kind]
        return np.maximum(1 - taken, 0.0), less, np.minimum(taken, 1.0), deep

    def follows(self, fit: LiftFit, prior: float) -> tuple[Follow, Follow]:
        """Return what follows from each order that a coupon brought: later orders, and orders too small for it.

        Coupons pull forward what would have come later, or make habits; and who takes a dearer thing for the coupon's
        sake may leave the cheap one. The expectation before the data is nothing, with deviation `prior`.
        """
        square, cross = np.full(2, 1 / prior**2), np.zeros(2)
        for issue in self.teaching.tolist():
            mine, (start, end) = self._kept(issue), self._span(issue)
            if not len(mine):
                continue
            more = np.zeros(len(mine))
            for _, part in self._bands(issue, mine, fit.coefficients):
                base = base_of(part.mean, self.odds.chance[mine] * self._more(part) + part.other)
                more += base * part.own * (1 + self.hidden)
            away = self.treated[mine] - self.odds.chance[mine]
            push = away * more
            least = float(self.record.issues.threshold[issue])
            spans = [(-np.inf, np.inf, end, end + ECHO * DAY), (-np.inf, least, start, end)]
            for n, (low, high, first, last) in enumerate(spans):
                if last > self.record.now or high <= 0:
                    continue
                came = self._counts(mine, np.array([low, high]), first, last)[:, 0]
                expected = self.mean[mine] * (came.sum() + PRIOR) / (self.mean[mine].sum() + PRIOR)
                if high == least:  # what is hidden brings these, not the coupon
                    came = came - away * self.hidden * expected
                weight = 1 / np.maximum(expected, 1e-6) / (fit.dispersion * fit.inflation)
                square[n] += float((weight * push * push).sum())
                cross[n] += float((weight * push * (came - expected)).sum())
        later, small = (Follow(float(c / q), float(1 / np.sqrt(q))) for c, q in zip(cross, square, strict=True))
        return later, small

    def spent(self, issue: int, coefficients: Array) -> tuple[int, float]:
        """Return how many customers used a coupon, and on what share of uses an order would have come anyway."""
        mine = np.flatnonzero((self.issue == issue) & (self.treated > 0))
        whole = anyway = 0.0
        for _, part in self._bands(issue, mine, coefficients):
            base = base_of(part.mean, self.odds.chance[mine] * self._more(part) + part.other)
            # Only where no other coupon is held does this one's use say anything of it.
            whole += float((base * np.maximum(part.flat + part.own, 0.0)).sum())
            anyway += float((base * part.flat).sum())
        return int(self.record.issues.used[:, issue].sum()), min(anyway / whole, 1.0) if whole > 0 else 1.0

    def use(self) -> float:
        """Return the share of the orders that a coupon fits, of those who hold it and none better, that use it."""
        issues, used, could = self.record.issues, 0.0, 0.0
        for issue in self.teaching.tolist():
            mine = np.flatnonzero((self.issue == issue) & (self.treated > 0))
            edges, face = self.edges[issue], float(issues.face[issue])
            value = self.worth.bands(edges, face)[1]
            counts = self._counts(mine, edges, *self._span(issue))
            better = self._background(issue, mine, value, face)[2]
            fits = edges[:-1] >= issues.threshold[issue]
            could += float(np.minimum((counts * (1 - better))[:, fits].sum(axis=1), 1.0).sum())
            used += float(issues.used[self.customer[mine], issue].sum())
        return min(used / could, 1.0) if could > 0 else 1.0


def cases(record: Record, past: Past, worth: Worth, seed: int) -> Cases:
    """Return the cases that teach.

    Raises:
        MissingDataError: If no coupon has run to its end within the data.
    """
    issues, orders = record.issues, record.orders
    warm = issues.start >= record.first + WARM * DAY
    over = np.flatnonzero((issues.end <= record.now) & (warm if (warm & (issues.end <= record.now)).any() else True))
    if not len(over):
        raise MissingDataError("No coupon has run to its end by then", do="choose a later period")
    people = np.arange(len(record.ids))
    if len(people) * len(over) > MOST:
        people = np.sort(np.random.default_rng(seed).permutation(len(people))[: max(MOST // len(over), 1)])
    there = record.since[people][:, None] < issues.start[over][None, :]
    row, column = np.nonzero(there)
    customer, issue = people[row], over[column]
    features = past.features(customer, issues.start[issue])
    kind = worth.kind(past.usual(customer, issues.start[issue]))
    chances = odds(record, features, customer, issue, seed)
    days = (issues.end - issues.start)[issue] / DAY
    counts = np.zeros(len(customer))
    place = np.full((len(record.ids), len(issues)), -1, np.int64)
    place[customer, issue] = np.arange(len(customer))
    for number in over:
        some = (orders.at >= issues.start[number]) & (orders.at < issues.end[number])
        rows = place[orders.customer[some], number]
        np.add.at(counts, rows[rows >= 0], 1.0)
    fit = Crossfit(2, seed=seed, learner="linear")
    rate = fit.mean(fit.split(len(customer), customer), features, counts / days, weight=days / days.mean())
    least = SELDOM * float(counts.sum() / days.sum())
    mean = np.maximum(rate.values[0], least) * days
    totals = [np.bincount(issue, values, len(issues)) for values in (counts, mean)]
    mean = mean * ((totals[0] + PRIOR) / (totals[1] + PRIOR))[issue]
    edges = tuple(_edges(float(face), float(least)) for face, least in zip(issues.face, issues.threshold, strict=True))
    treated = issues.given[customer, issue].astype(float)
    looks = Looks.of(features[chances.kept])
    controlled = chances.how == "guess" and bool((issues.threshold[over] > 0).any())
    return Cases(
        record, worth, customer, issue, features, kind, treated, chances, mean, rate, least, edges, looks, controlled
    )  # fmt: skip


def lifted(taught: Cases) -> tuple[Cases, LiftFit]:
    """Return the lift that cases teach, and the cases with what is hidden in them.

    Where fewer small orders come with a coupon, it takes their place (`follows`), and nothing hidden is shown.
    """
    fit = Lift(taught.block).fit(taught.rows)
    if not taught.controlled:
        return taught, fit
    hidden = float(fit.coefficients[-1])
    if hidden <= 0:
        return lifted(replace(taught, controlled=False))
    rise = 1 + hidden  # what a coupon adds is a share of what its holders would order anyway
    own = replace(fit, coefficients=fit.coefficients[:-1] / rise, covariance=fit.covariance[:-1, :-1] / rise**2)
    return replace(taught, hidden=hidden), own


def _edges(face: float, threshold: float) -> Array:
    """Values between the bands of orders that a coupon meets: too small first, then from deep to shallow."""
    inner = [face / depth for depth in DEPTHS if face / depth > threshold * 1.02]
    return np.array([-np.inf, *([threshold] if threshold > 0 else []), *inner, np.inf])
