"""The fluctuation study: from the change to its factors, its slices and its dated causes."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from typing import Any

import numpy as np

from tradewind import charts, progress
from tradewind.decisions.fluctuation.causes import Cause, causes
from tradewind.decisions.fluctuation.comparison import Comparison, compare
from tradewind.decisions.fluctuation.slices import MixRate, Slices
from tradewind.engines.store import Store
from tradewind.errors import BadInputError
from tradewind.measures.metric import Metric, Ratio
from tradewind.measures.metrics import SETTLING, assumed, unsettled
from tradewind.measures.metrics import metric as named
from tradewind.measures.query import DIMENSIONS, Query, left_out
from tradewind.measures.tree import Edge, edges
from tradewind.methods.contribution import Node, tree
from tradewind.money import CENT, apportioned, human, smallest
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
MOST_SHOWN = 8
STEPS = 4
NAMED = 10  # products or creators of a cause that are named


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
    slices = Slices(store, comparison, settings.by)
    if comparison.period != period:
        teller.caveats += (
            f"The data holds {comparison.period.days} of the {period.days} days of {period.title}; as many days are "
            "compared.",
        )
    findings = teller.factors()
    progress.told("searching slices", 2, STEPS)
    comparable = np.isfinite(teller.change) and teller.after[metric.name] is not None
    if slices.dimensions and comparable:
        findings += teller.slices(slices, settings.seed)
        if (mix := slices.mix()) is not None:
            findings.append(teller.mix(mix))
    progress.told("looking for dated causes", 3, STEPS)
    findings += teller.dated(settings.seed)
    findings.append(teller.verdict())
    findings = [teller.graded(finding) for finding in findings]
    question = f"Why did {metric.title} move {comparison.period.during}?"
    ordered = tuple(sorted(findings, key=lambda finding: -finding.weight))
    caveats = (*teller.caveats, *slices.caveats)
    return Study("fluctuation", question, period, ordered, store.provenance, asdict(settings), caveats)


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
                f"{metric.title} {_was(metric)} {self._said(self.after[metric.name])} {comparison.period.during} and "
                f"{self._said(self.base)} {comparison.said}: on one side there was nothing to compare."
            )
            return Finding("verdict", sentence, Evidence.MEASURED, {"actual": self.after[metric.name]}, weight=100.0)
        relative = self.change / abs(self.base) if self.base else None
        unit = "points" if metric.unit == "share" else metric.unit
        size, nothing = (human(amount, unit, self.currency) for amount in (abs(self.change), 0.0))
        percent = f" ({human(abs(relative), 'share')})" if relative is not None else ""
        moved = f"{'up' if self.change > 0 else 'down'} {size}{percent} on"
        if size == nothing:  # less than can be read
            moved = "about the same as the" if self.change else "the same as the"
        head = (
            f"{metric.title} {_was(metric)} {self._said(self.actual)} {comparison.period.during}, {moved} "
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
            tail += ", though more than one quiet period in fifty lies as far out"
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

        Nothing, and a caveat, where they do not make the metric, such as sales of which no buyer is known.
        """
        edge = self.edge
        if edge is None or not np.isfinite(self.base) or self.after[self.metric.name] is None:
            return []
        before = {child.name: self._before(child) for child in edge.children}
        after = {c.name: float("nan") if (v := self.after[c.name]) is None else float(v) for c in edge.children}
        kind: Any = edge.kind
        node = Node(self.metric.name, kind, tuple(Node(child.name) for child in edge.children), edge.signs)
        levels = [self.base, self.actual]
        if kind == "product":
            before[node.name], after[node.name] = levels
        try:
            found = tree(node, before, after)
        except BadInputError:
            self.caveats += (
                f"{self.metric.title} is not taken apart: its factors are unknown, or do not multiply to it on one "
                "side.",
            )
            return []
        names = [child.name for child in edge.children]
        parts = [float(found.parts[name]) * edge.scale for name in names]
        exact: list[Any] = list(parts)
        if self.metric.unit == "money":
            quantum = CENT if isinstance(self.metric, Ratio) else smallest(self.currency)
            total = Decimal(str(round(self.change, 2))).quantize(quantum)
            levels += [*before.values(), *after.values()] if kind == "sum" else []
            exact = list(apportioned(parts, total, quantum, max(map(abs, levels))))
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

    def slices(self, slices: Slices, seed: int) -> list[Finding]:
        """Tell the smallest set of slices that explains the change."""
        if (found := slices.found(seed)) is None:
            return []
        self.unusual += tuple(f"{each.name} ({self._parted(each.alone)})" for each in found.slices if each.unusual)
        by = ", ".join(DIMENSIONS[name] for name in slices.dimensions).lower()
        listed = sorted(found.slices, key=lambda each: (not each.stands_out, -abs(each.change.mid)))
        told = [each for each in listed if each.stands_out]
        if found.alike and not found.slices:
            sentence = f"Every slice moved alike by {by}: look outside for the cause."
        elif not told:
            sentence = f"No slice by {by} stands out from the noise of the others."
        else:
            first = told[0]
            along = first.change.mid * found.change > 0
            verb = "stands out most" if len(told) > 1 else "explains it" if along else "moved against it"
            shown = self.change_is_plain and first.share is not None
            part = f", {human(first.share, 'share')} of the change" if shown else ""
            sentence = (
                f"{first.name} {verb}: {self._parted(first.change.mid)}{part}"
                + (f"; {len(told)} slices stand out." if len(told) > 1 else ".")
                + (" The rest moved alike." if found.alike else "")
            )
        ratio = isinstance(self.metric, Ratio)
        then = "Had it moved as the rest" if found.where.external else comparison_title(self.comparison)
        unit = self._part_unit
        columns = (
            Column("slice", "Slice"), Column("before", "At the earlier rate" if ratio else then, unit),
            Column("now", "Now", unit), Column("change", "Change", unit), *self._shares(),
        )  # fmt: skip
        rows = tuple(
            {"slice": each.name, "before": each.before, "now": each.now, "change": each.change,
             "share": each.share if self.change_is_plain else None}
            for each in listed
        )  # fmt: skip
        bars = [(each.name, each.change) for each in listed]
        chart = charts.ranked_bars(bars, unit=unit, currency=self.currency) if bars else None
        note = (
            f"Searched all combinations of up to three of {by} for the fewest slices "
            "that explain the change beyond the noise; intervals resample the noise of each slice, and share out the "
            "change, not its causes. A slice stands out where its interval leaves out nothing at all; the others are "
            "part of what explains the change best, and may be chance. The rest of a slice is what slices found before "
            "it leave of it."
        )
        grid = Grid(columns, rows) if rows else None
        strongest = max((piece.evidence for piece in found.where.slices), default=None)
        numbers = {"explained": found.where.explained, "evidence": strongest}
        return [Finding("slices", sentence, Evidence.OBSERVATIONAL, numbers, grid, chart, note, 80.0)]

    @property
    def _part_unit(self) -> str:
        """Unit of a slice's part of the change; of a ratio, that of its numerator."""
        return self.metric.over.unit if isinstance(self.metric, Ratio) else self.metric.unit

    def _parted(self, value: float) -> str:
        return human(value, self._part_unit, self.currency, signed=True)

    def mix(self, found: MixRate) -> Finding:
        """Say how much of a ratio's change is mix between slices, and how much is their own rates."""
        mix, rate = float(found.mix.sum()), float(found.rate.sum())
        order = np.argsort(-np.abs(found.mix + found.rate))[:MOST_SHOWN]
        rows = tuple({"slice": found.names[i], "mix": float(found.mix[i]), "rate": float(found.rate[i])} for i in order)
        unit = "points" if self.metric.unit == "share" else self.metric.unit
        columns = (
            Column("slice", DIMENSIONS[found.dimension]),
            Column("mix", "From mix", unit),
            Column("rate", "From rate", unit),
        )
        sentence = (
            f"By {DIMENSIONS[found.dimension].lower()}, {self._said(rate, signed=True)} comes from the slices' own "
            f"{self.metric.title} and {self._said(mix, signed=True)} from the mix between them."
        )
        note = "Exact: mix and rate sum to the change of the ratio; each is a mean over both orders."
        chart = charts.ranked_bars(
            [(row["slice"], row["mix"] + row["rate"]) for row in rows], unit=self.metric.unit, currency=self.currency
        )
        numbers, grid = {"mix": mix, "rate": rate}, Grid(columns, rows)
        return Finding("mix", sentence, Evidence.MEASURED, numbers, grid, chart, note, 70.0)

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
            *([Column("names", "Which")] if any(row["names"] for row in rows) else []),
            Column("when", "When"),
            Column("amount", "Part of the change", self.metric.unit),
            *self._shares(),
            Column("evidence", "Evidence"),
            Column("how", "How"),
        )
        bars = [(cause.name, cause.amount) for cause in weighed[:MOST_SHOWN] if cause.amount is not None]
        chart = charts.ranked_bars(bars, unit=self.metric.unit, currency=self.currency) if bars else None
        first = found[0]
        sentence = f"{first.name} ({first.when}): what it brought is unknown."
        if first.amount is not None:
            sentence = f"{first.name} ({first.when}): {self._said(first.amount, signed=True)} of the change."
        if len(found) > 1 and found[1].amount is not None:
            sentence += f" {found[1].name}: {self._said(found[1].amount, signed=True)}."
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


def comparison_title(comparison: Comparison) -> str:
    """Return the heading of what a period is compared with."""
    if comparison.against != "expected":
        return comparison.base.title
    return "Usual" if isinstance(comparison.metric, Ratio) else "Expected"
