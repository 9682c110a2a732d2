"""The fluctuation study: from the change to its factors, its slices and its dated causes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from typing import Any

import numpy as np

from tradewind import charts, progress
from tradewind.decisions.fluctuation.causes import Cause, causes
from tradewind.decisions.fluctuation.comparison import BEFORE, Comparison, Leaves, compare
from tradewind.engines.store import Store
from tradewind.errors import BadInputError
from tradewind.measures.metric import Distinct, Metric, Ratio, leaves
from tradewind.measures.metrics import NEW_BUYERS, SETTLING, assumed, unsettled
from tradewind.measures.metrics import metric as named
from tradewind.measures.query import DIMENSIONS, Query, left_out, lights_up
from tradewind.measures.tree import Edge, edges
from tradewind.methods.contribution import Node, to_cents, tree, volume_mix_rate
from tradewind.methods.localise import Localisation, Localise, Slice
from tradewind.money import CENT, human, smallest
from tradewind.period import Period
from tradewind.study import Column, Estimate, Evidence, Finding, Grid, Study

NEEDS = ("order_lines",)
IMPROVED_BY = {
    "products": "slices by category and brand",
    "shops": "slices by shop and region",
    "customers": "slices by customers' region",
    "order_discounts": "what discounts did to prices",
    "traffic": "impressions, CTR and CVR as factors",
    "promotions": "what promotions that began or ended did",
    "campaigns": "what campaigns that began or ended did",
    "inventory": "what stock-outs cost",
}
SLICED_BY = (
    "department", "shop_id", "customer_type", "surface", "form", "relation", "customer_region", "creator_id", "brand",
)  # fmt: skip
TIMES = ("day", "week", "month", "cohort")  # periods differ in their days by definition
MOST_DIMENSIONS = 8
MOST_SHOWN = 8
STEPS = 4
CLOSE = 1e-9  # relative distance within which factors multiply to the metric
TOLD = math.log(10)  # evidence of a slice that is told: odds of ten to one
BEYOND = 9.2  # evidence (natural log) of a slice that is unusual by itself: odds of ten thousand to one
NAMED = 10  # products or creators of a cause that are named
ASTRAY = 0.02  # part of a ratio's whole by which its slices at earlier rates may miss it
EVERYTHING = 0.9  # a slice that holds more of the metric than this is the whole, not a part


@dataclass(frozen=True)
class FluctuationSettings:
    """What to explain.

    Args:
        metric: Name of the metric.
        against: `previous` period, `last-year`, or what was `expected`.
        by: Dimensions to search for slices; chosen from what the source has if empty.
        seed: Seed of intervals.
    """

    metric: str = "gmv"
    against: str = "previous"
    by: tuple[str, ...] = ()
    seed: int = 0


def study(store: Store, period: Period, settings: FluctuationSettings | None = None) -> Study:
    """Explain why a metric moved in a period.

    Args:
        store: The store, as the caller may see it.
        period: The days in question.
        settings: What to explain.

    Returns:
        Findings: the verdict (moved, or within the normal range), the factors of the metric tree, the slices that
        explain the change, for a ratio its mix and rate, and the dated changes near the break.

    Raises:
        NotFoundError: If the metric is not known.
        MissingDataError: If the source lacks what the metric needs, or the periods lie outside the data.
    """
    settings = settings or FluctuationSettings()
    metric = named(settings.metric)
    progress.told("comparing with what was to be expected", 0, STEPS)
    comparison = compare(store, metric, period, settings.against, settings.seed)
    progress.told("taking the metric apart", 1, STEPS)
    teller = _Teller(store, comparison)
    dimensions = teller.whole(_dimensions(store, comparison, settings.by), settings.by)
    if comparison.period != period:
        teller.caveats += (
            f"The data holds {comparison.period.days} of the {period.days} days of {period.title}; as many days are "
            "compared.",
        )
    findings = teller.factors()
    progress.told("searching slices", 2, STEPS)
    comparable = np.isfinite(teller.change) and teller.after[metric.name] is not None
    if dimensions and comparable and (slices := teller.slices(dimensions, settings.seed)) is not None:
        findings.append(slices)
    if dimensions and comparable and isinstance(metric, Ratio):
        findings += teller.mix(dimensions)
    progress.told("looking for dated causes", 3, STEPS)
    findings += teller.dated(settings.seed)
    findings.append(teller.verdict())
    findings = [teller.graded(finding) for finding in findings]
    question = f"Why did {metric.title} move in {comparison.period.title}?"
    ordered = tuple(sorted(findings, key=lambda finding: -finding.weight))
    return Study("fluctuation", question, period, ordered, store.provenance, asdict(settings), teller.caveats)


def _dimensions(store: Store, comparison: Comparison, wanted: Sequence[str]) -> tuple[str, ...]:
    """Return the dimensions to slice by: the wanted ones, or those of the house that split the metric into parts."""
    for name in wanted:
        if name not in DIMENSIONS or name in TIMES:
            allowed = [name for name in DIMENSIONS if name not in TIMES]
            raise BadInputError("There is no such dimension to explain a change by", got=name, allowed=allowed)
    metric = comparison.metric
    offered = wanted or [name for name in SLICED_BY if lights_up(metric, store, (name,))]
    counted = [leaf for leaf in leaves(metric) if isinstance(leaf, Distinct)]
    if not wanted and unsettled(NEW_BUYERS, min(comparison.bases), store.span):
        offered = [name for name in offered if name != "customer_type"]
    found = [name for name in offered if all(_splits(store, leaf, comparison.period, name) for leaf in counted)]
    if wanted and len(found) < len(wanted):
        raise BadInputError(
            f"{metric.title} does not split into parts by this, since what it counts lies in several of them",
            got=", ".join(name for name in wanted if name not in found),
            do="choose another dimension, or a metric that adds up, such as gmv",
        )
    return tuple(found[:MOST_DIMENSIONS])


def _splits(store: Store, metric: Metric, period: Period, dimension: str) -> bool:
    """Whether what a metric counts lies in one slice each, so that the slices' counts add up to the whole."""
    parts = store.metrics(Query((metric,), period, (dimension,))).to_pydict()[metric.name]
    whole = store.metrics(Query((metric,), period)).to_pydict()[metric.name][0]
    return sum(value or 0 for value in parts) == (whole or 0)


class _Teller:
    """Turns one comparison into findings, and collects what the data could not answer."""

    def __init__(self, store: Store, comparison: Comparison):
        self.store = store
        self.comparison = comparison
        self.metric = comparison.metric
        self.currency = store.provenance.currency
        self.caveats: tuple[str, ...] = ()
        self.unusual: tuple[str, ...] = ()
        self.assumed = assumed(self.metric, store)
        if absent := left_out(self.metric, store):
            names = ", ".join(part.title.lower() for part in absent)
            self.caveats += (f"{self.metric.title} is computed without {names}: the source has none.",)
        early = min(comparison.bases)
        if unsettled(self.metric, early, store.span):
            self.caveats += (
                f"The data begins on {store.span.first}, less than {SETTLING} days before {early.title}: some who look "
                "new there had bought before, so part of the change is of the data, not of the business.",
            )
        edge = (edges(self.metric, store) or (None,))[0]
        self.edge: Edge | None = edge
        wanted = tuple(
            dict.fromkeys(each for m in (self.metric, *(edge.children if edge else ())) for each in _levels(m))
        )
        slots = (comparison.period, *comparison.bases)
        table = store.metrics(Query(wanted, comparison.period, slots=slots)).to_pylist()
        rows = {row["slot"]: row for row in table}
        nothing = {metric.name: None if isinstance(metric, Ratio) else 0 for metric in wanted}
        self.after: dict[str, Any] = rows.get(0, nothing)
        self.tables: list[dict[str, Any]] = [rows.get(n, nothing) for n in range(1, len(slots))]
        self.actual = float(self.after[self.metric.name] or 0)
        self.base = self._before(self.metric)

    def _before(self, metric: Metric) -> float:
        """Level of a metric in the periods compared with; a ratio is a sum over a sum, NaN over nothing."""
        if isinstance(metric, Ratio):
            under = self._before(metric.under)
            return self._before(metric.over) / under * metric.times if under else float("nan")
        return float(np.mean([float(table[metric.name] or 0) for table in self.tables])) * self.comparison.scale

    def _said(self, value: Any, *, signed: bool = False, metric: Metric | None = None) -> str:
        unit = (metric or self.metric).unit
        return human(value, "points" if unit == "share" and signed else unit, self.currency, signed=signed)

    def whole(self, dimensions: tuple[str, ...], wanted: Sequence[str]) -> tuple[str, ...]:
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

    @property
    def change(self) -> float:
        """The metric now less what it is compared with."""
        return self.actual - self.base

    @property
    def change_is_plain(self) -> bool:
        """Whether the change is large enough, beside what is normal, for shares of it to mean anything."""
        band = self.comparison.band
        return bool(self.change) and (band is None or abs(self.change) > (band.high - band.low) / 20)

    def graded(self, finding: Finding) -> Finding:
        """Return the finding no better graded than what the metric rests on."""
        if not self.assumed:
            return finding
        return replace(finding, evidence=Evidence.ASSUMED)

    def _shares(self) -> tuple[Column, ...]:
        return (Column("share", "Share of the change", "share"),) if self.change_is_plain else ()

    def verdict(self) -> Finding:
        """Say whether it moved, by how much, and whether that is within the normal range."""
        metric, comparison, band = self.metric, self.comparison, self.comparison.band
        if not np.isfinite(self.base) or self.after[metric.name] is None:
            sentence = (
                f"{metric.title} {_was(metric)} {self._said(self.after[metric.name])} in {comparison.period.title} and "
                f"{self._said(self.base)} {comparison.said}: on one side there was nothing to compare."
            )
            return Finding("verdict", sentence, Evidence.MEASURED, {"actual": self.after[metric.name]}, weight=100.0)
        relative = self.change / abs(self.base) if self.base else None
        size = f"{self._said(abs(self.change))}" if metric.unit != "share" else human(abs(self.change), "points")
        percent = f" ({human(abs(relative), 'share')})" if relative is not None else ""
        moved = f"{'up' if self.change > 0 else 'down'} {size}{percent} on" if self.change else "the same as the"
        head = (
            f"{metric.title} {_was(metric)} {self._said(self.actual)} in {comparison.period.title}, {moved} "
            f"{self._said(self.base)} {comparison.said}"
        )
        numbers: dict[str, Any] = {
            "actual": self.after[self.metric.name],
            "compared_with": self.base,
            "change": self.change,
        }
        weight = 100.0
        if band is None:
            tail = "; there is too little history to say what was normal"
            self.caveats += ("A normal range needs at least 28 days of history before the period.",)
        else:
            numbers["expected"] = band
            ends = f"{self._said(band.low)} to {self._said(band.high)}"
            place = "within" if not self.comparison.is_outside else "above" if self.actual > band.high else "below"
            tail = f"; that is {place} the normal range of {ends}"
        numbers["unusual"] = int(self.comparison.is_far or bool(self.unusual))
        if self.comparison.is_outside and not self.comparison.is_far:
            tail += ", no further than one quiet period in ten lies"
        if self.unusual:
            tail += f". Beyond what chance would give: {', '.join(self.unusual[:3])}"
        expectation = comparison.expectation
        shown = max(0, len(comparison.days) - max(91, 3 * comparison.period.days))
        expected: list[Estimate | None] | None = None
        if expectation is not None:
            ends_of = zip(expectation.mid, expectation.low, expectation.high, strict=True)
            future = [Estimate(float(m), float(lo), float(hi), expectation.level) for m, lo, hi in ends_of]
            expected = [None] * (len(comparison.days) - len(future) - shown) + list(future)
        values = [None if np.isnan(value) else value for value in comparison.values[shown:]]
        chart = charts.trend(
            comparison.days[shown:], values, expected=expected, period=comparison.period, unit=metric.unit,
            currency=self.currency,
        )  # fmt: skip
        note = (
            "The normal range is what season, trend, public holidays and the noise of the past would give in nine of "
            "ten cases, learnt from the days before the period and from campaigns known by then. Where one moves them, "
            "what Today and the performance study expect without campaigns is another range."
        )
        return Finding("verdict", head + tail + ".", Evidence.MEASURED, numbers, None, chart, note, weight)

    def factors(self) -> list[Finding]:
        """Take the change apart over the metric tree; the parts sum to it to the cent.

        Nothing, and a caveat, where factors do not multiply to the metric, such as sales of which no buyer is known.
        """
        edge = self.edge
        if edge is None or not np.isfinite(self.base) or self.after[self.metric.name] is None:
            return []
        before = {child.name: self._before(child) for child in edge.children}
        after = {c.name: float("nan") if (v := self.after[c.name]) is None else float(v) for c in edge.children}
        kind: Any = edge.kind
        node = Node(self.metric.name, kind, tuple(Node(child.name) for child in edge.children), edge.signs)
        found = tree(node, before, after)
        levels = [self.base, self.actual]
        if kind == "product" and not np.allclose([found.before, found.after], levels, rtol=CLOSE, atol=0):
            self.caveats += (
                f"{self.metric.title} is not taken apart: on one side its factors do not multiply to it, since one of "
                "them is nothing.",
            )
            return []
        names = [child.name for child in edge.children]
        parts = [float(found.parts[name]) * edge.scale for name in names]
        exact: list[Any] = list(parts)
        if self.metric.unit == "money":
            quantum = CENT if isinstance(self.metric, Ratio) else smallest(self.currency)
            total = Decimal(str(round(self.change, 2))).quantize(quantum)
            levels += [*before.values(), *after.values()] if kind == "sum" else []
            exact = list(to_cents(parts, total, quantum, max(map(abs, levels))))
        order = sorted(range(len(names)), key=lambda i: -abs(parts[i]))
        top = [i for i in order if parts[i]][:2]
        said = [
            f"{edge.children[i].title} ({self._said(before[names[i]], metric=edge.children[i])} to "
            f"{self._said(after[names[i]], metric=edge.children[i])}) {'brought' if parts[i] > 0 else 'cost'} "
            f"{human(abs(parts[i]), 'points') if self.metric.unit == 'share' else self._said(abs(parts[i]))}"
            for i in top
        ]
        rows = tuple(
            {
                "factor": edge.children[i].title,
                "before": self._said(before[names[i]], metric=edge.children[i]),
                "after": self._said(after[names[i]], metric=edge.children[i]),
                "contribution": exact[i], "share": parts[i] / self.change if self.change_is_plain else None,
            }
            for i in order
        )  # fmt: skip
        unit = "points" if self.metric.unit == "share" else self.metric.unit
        columns = (
            Column("factor", "Factor"), Column("before", comparison_title(self.comparison), "text"),
            Column("after", "Now", "text"), Column("contribution", "Contribution", unit), *self._shares(),
        )  # fmt: skip
        chart = charts.waterfall(
            (comparison_title(self.comparison), self.base), [(edge.children[i].title, parts[i]) for i in order],
            ("Now", self.actual), unit=self.metric.unit, currency=self.currency,
        )  # fmt: skip
        note = (
            f"{self.metric.title} taken apart into {edge.title}. Each factor gets its Shapley value: the mean of what "
            "its move brings over every order in which the factors could have moved, so the parts sum to the change "
            "exactly and no order is favoured. It is accounting, not cause."
        )
        sentence = " and ".join(said) + "." if said else "No factor moved."
        return [Finding("factors", sentence[0].upper() + sentence[1:], Evidence.MEASURED,
                        {names[i]: exact[i] for i in order}, Grid(columns, rows), chart, note, 90.0)]  # fmt: skip

    def slices(self, dimensions: tuple[str, ...], seed: int) -> Finding | None:
        """Find the smallest set of slices that explains the change; None where nothing happened in either period."""
        metric = self.metric
        over: tuple[Metric, ...] = (metric.over, metric.under) if isinstance(metric, Ratio) else (metric,)
        cube = self.comparison.leaves(self.store, over, dimensions, self._earlier())
        now, was = cube.now(over[0].name), cube.before(over[0].name)
        if not len(now):
            return None
        if isinstance(metric, Ratio):
            weight, weight_expected = cube.now(over[1].name), cube.before(over[1].name)
            found = Localise(seed=seed)(cube.attributes, now, was, weight=weight, weight_expected=weight_expected)
            level = was.sum() / weight_expected.sum() * weight.sum()
            if abs(now.sum() - found.total_change - level) > ASTRAY * abs(level):
                self.caveats += (
                    f"Slices of {metric.title} are left out: the mix between them moved, or they are too thin to have "
                    "a rate of their own, so that what they would be at earlier rates does not add up to the whole.",
                )
                return None
        else:
            # outside the normal range something did happen: the best slice is told from even odds
            least = 0.0 if self.comparison.is_outside and self.comparison.against == "expected" else TOLD
            method = Localise(seed=seed, min_evidence=least)
            found = method(cube.attributes, now, was, history=cube.earlier(metric.name))
        return self._told(found, dimensions, cube)

    def _earlier(self) -> tuple[Period, ...]:
        """Periods before those compared with, which tell how noisy each slice is."""
        if isinstance(self.metric, Ratio):
            return ()
        found: list[Period] = []
        period, span = self.comparison.bases[-1], self.store.span
        while len(found) < BEFORE - 1 and (period := period.previous).clipped(span) == period:
            found.append(period)
        return tuple(found)

    def _told(self, found: Localisation, dimensions: tuple[str, ...], cube: Leaves) -> Finding:
        title = {name: DIMENSIONS[name] for name in dimensions}
        whole = self._at_earlier_rates(cube, np.ones(len(next(iter(cube.attributes.values()))), dtype=bool))
        ratio = isinstance(self.metric, Ratio)
        moved = float(cube.now(self.metric.over.name).sum()) - whole if isinstance(self.metric, Ratio) else self.change
        rows: list[dict[str, Any]] = []
        told: list[dict[str, Any]] = []
        for name, mask, piece in _named_pieces(found, cube):
            if piece.expected > EVERYTHING * whole or len(rows) == MOST_SHOWN:
                continue
            before = self._at_earlier_rates(cube, mask) if ratio else piece.expected
            change = piece.spread.moved(piece.expected - before)
            share = None
            if self.change_is_plain and moved:
                share = change.scaled(1 / moved) if ratio else piece.share.scaled(found.total_change / moved)
            rows.append({"slice": name, "before": before, "now": piece.actual, "change": change, "share": share})
            if change.low > 0 or change.high < 0:
                told.append(rows[-1])
            if self._beyond(piece, cube):
                self.unusual += (f"{name} ({self._signed(piece.change)})",)
        alike = found.external or len(rows) < len(found.slices[:MOST_SHOWN])
        if alike and not rows:
            sentence = f"Every slice moved alike by {', '.join(title.values()).lower()}: look outside for the cause."
        elif not told:
            sentence = f"No slice by {', '.join(title.values()).lower()} stands out from the noise of the others."
        else:
            first = told[0]
            along = first["change"].mid * moved > 0
            verb = "stands out most" if len(told) > 1 else "explains it" if along else "moved against it"
            part = f", {human(first['share'], 'share')} of the change" if first["share"] is not None else ""
            sentence = (
                f"{first['slice']} {verb}: {self._signed(first['change'].mid)}{part}"
                + (f"; {len(told)} slices stand out." if len(told) > 1 else ".")
                + (" The rest moved alike." if alike else "")
            )
        then = comparison_title(self.comparison)
        if ratio:
            then = "At the earlier rate"
        elif found.external:
            then = "Had it moved as the rest"
        bars = [(row["slice"], row["change"]) for row in rows]
        unit = self.metric.over.unit if isinstance(self.metric, Ratio) else self.metric.unit
        columns = (
            Column("slice", "Slice"), Column("before", then, unit),
            Column("now", "Now", unit), Column("change", "Change", unit), *self._shares(),
        )  # fmt: skip
        chart = charts.ranked_bars(bars, unit=unit, currency=self.currency) if bars else None
        note = (
            f"Searched all combinations of up to three of {', '.join(title.values()).lower()} for the fewest slices "
            "that explain the change beyond the noise; intervals resample the noise of each slice, and share out the "
            "change, not its causes. The rest of a slice is what slices found before it leave of it."
        )
        grid = Grid(columns, tuple(rows)) if rows else None
        strongest = max((piece.evidence for piece in found.slices), default=None)
        numbers = {"explained": found.explained, "evidence": strongest}
        return Finding("slices", sentence, Evidence.OBSERVATIONAL, numbers, grid, chart, note, 80.0)

    def _at_earlier_rates(self, cube: Leaves, mask: np.ndarray[Any, Any]) -> float:
        """What leaves would be without a change: their level before; for a ratio, at their rate before."""
        if not isinstance(self.metric, Ratio):
            return float(cube.before(self.metric.name)[mask].sum())
        over, under = self.metric.over.name, self.metric.under.name
        then = cube.before(under)[mask].sum()
        return float(cube.before(over)[mask].sum() / then * cube.now(under)[mask].sum()) if then else 0.0

    def _beyond(self, piece: Slice, cube: Leaves) -> bool:
        """Whether a slice is unusual by itself: beyond chance, large enough to matter, and more than a usual burst."""
        if isinstance(self.metric, Ratio) or piece.evidence <= BEYOND or not self.comparison.weighs(piece.change):
            return False
        return cube.is_news(self.metric.name, piece.where)

    def _signed(self, value: float) -> str:
        unit = self.metric.over.unit if isinstance(self.metric, Ratio) else self.metric.unit
        return human(value, unit, self.currency, signed=True)

    def mix(self, dimensions: Sequence[str]) -> list[Finding]:
        """Say how much of a ratio's change is mix between slices, and how much is their own rates."""
        metric = self.metric
        if not isinstance(metric, Ratio):
            raise TypeError("only a ratio has mix and rate")
        over, under = metric.over.name, metric.under.name
        for dimension in dimensions:
            cube = self.comparison.leaves(self.store, (metric.over, metric.under), (dimension,))
            if not ((cube.values[under] == 0) & (cube.values[over] != 0)).any():
                break
        else:
            return []  # in each split some slice has a numerator and nothing under it, such as orders without a buyer
        found = volume_mix_rate(cube.before(over), cube.before(under), cube.now(over), cube.now(under))
        mix, rate = (float(part.sum()) * metric.times for part in (found.ratio_mix, found.ratio_rate))
        if not math.isclose(mix + rate, self.change, rel_tol=CLOSE, abs_tol=CLOSE * abs(self.base)):
            return []
        names = [str(value) for value in cube.attributes[dimension]]
        order = np.argsort(-np.abs(found.ratio_mix + found.ratio_rate))[:MOST_SHOWN]
        rows = tuple(
            {"slice": names[i], "mix": float(found.ratio_mix[i]) * metric.times,
             "rate": float(found.ratio_rate[i]) * metric.times}
            for i in order
        )  # fmt: skip
        unit = "points" if metric.unit == "share" else metric.unit
        columns = (
            Column("slice", DIMENSIONS[dimension]),
            Column("mix", "From mix", unit),
            Column("rate", "From rate", unit),
        )
        sentence = (
            f"By {DIMENSIONS[dimension].lower()}, {self._said(rate, signed=True)} comes from the slices' own "
            f"{metric.title} and {self._said(mix, signed=True)} from the mix between them."
        )
        note = "Exact: mix and rate sum to the change of the ratio; each is a mean over both orders."
        chart = charts.ranked_bars(
            [(row["slice"], row["mix"] + row["rate"]) for row in rows], unit=metric.unit, currency=self.currency
        )
        numbers, grid = {"mix": mix, "rate": rate}, Grid(columns, rows)
        return [Finding("mix", sentence, Evidence.MEASURED, numbers, grid, chart, note, 70.0)]

    def dated(self, seed: int) -> list[Finding]:
        """List the dated changes near the break."""
        found = causes(self.store, self.comparison, seed)
        if not found:
            if isinstance(self.metric, Ratio):
                self.caveats += ("Dated causes are weighed for totals; ask for the numerator to see them.",)
            return []
        weighed = [cause for cause in found if cause.amount is not None]
        rows = tuple(self._row(cause) for cause in found[: MOST_SHOWN + 4])
        self.unusual += tuple(f"{c.name} ({self._said(c.amount, signed=True)})" for c in found if c.beyond)
        columns = (
            Column("cause", "What changed"),
            Column("names", "Which"),
            Column("when", "When"),
            Column("amount", "Part of the change", self.metric.unit),
            *self._shares(),
            Column("evidence", "Evidence"),
            Column("how", "How"),
        )
        bars = [(cause.name, cause.amount) for cause in weighed[:MOST_SHOWN] if cause.amount is not None]
        chart = charts.ranked_bars(bars, unit=self.metric.unit, currency=self.currency) if bars else None
        first = found[0]
        sentence = f"{first.name} ({first.when}) go with {self._said(first.amount, signed=True)} of the change."
        if len(found) > 1 and found[1].amount is not None:
            sentence += f" {found[1].name} go with {self._said(found[1].amount, signed=True)}."
        note = (
            "Found in the tables near the break. Amounts may overlap (a new product may be promoted too), so they need "
            "not add up. Counted amounts are accounting; the others compare those reached with those not reached."
        )
        grade = Evidence.weakest([cause.evidence for cause in weighed or found])
        return [Finding("causes", sentence, grade, {}, Grid(columns, rows), chart, note, 79.0)]

    def _row(self, cause: Cause) -> dict[str, Any]:
        share: Any = None
        if self.change_is_plain and cause.amount is not None:
            amount = cause.amount
            share = amount.scaled(1 / self.change) if isinstance(amount, Estimate) else amount / self.change
        names = ", ".join(cause.names[:NAMED])
        if more := len(cause.names) - NAMED:
            names += f" and {more:,} more" if more > 0 else ""
        return {"cause": cause.name, "names": names, "when": cause.when, "amount": cause.amount, "share": share,
                "evidence": cause.evidence.value, "how": cause.how}  # fmt: skip


def _levels(metric: Metric) -> tuple[Metric, ...]:
    """Return a metric and, for a ratio, what its level is computed from."""
    return (metric, *_levels(metric.over), *_levels(metric.under)) if isinstance(metric, Ratio) else (metric,)


def _was(metric: Metric) -> str:
    """Return the verb of a metric's title in the past: refunds were, the refund rate was."""
    return "were" if metric.unit == "count" or metric.title.split()[0].endswith("s") else "was"


def _named_pieces(found: Localisation, cube: Leaves) -> Iterator[tuple[str, np.ndarray[Any, Any], Slice]]:
    """Yield each slice with its leaves and its name, which says where slices before it hold some of it."""
    free = np.ones(len(next(iter(cube.attributes.values()))), dtype=bool)
    for piece in found.slices:
        inside = np.logical_and.reduce([cube.attributes[key] == value for key, value in piece.where.items()])
        name = ", ".join(_named(key, value) for key, value in piece.where.items())
        yield (name if free[inside].all() else f"The rest of {name}"), inside & free, piece
        free &= ~inside


def _named(dimension: str, value: Any) -> str:
    """Return a slice as a reader would name it."""
    if dimension == "customer_type":
        return f"{str(value).capitalize()} customers"
    if dimension == "department":
        return f"Department {str(value).title()}"
    return f"{DIMENSIONS[dimension].removesuffix(' id')} {value}"


def comparison_title(comparison: Comparison) -> str:
    """Return the heading of what a period is compared with."""
    if comparison.against != "expected":
        return comparison.base.title
    return "Usual" if isinstance(comparison.metric, Ratio) else "Expected"
