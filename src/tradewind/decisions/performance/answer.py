"""The performance study: metrics beside earlier periods, tree, trend, movers, funnel, refunds, cohorts and outlook."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

import numpy as np

from tradewind import charts, progress
from tradewind.decisions.performance.cohorts import cohorts
from tradewind.decisions.performance.returns import still_to_come
from tradewind.engines.returns import COHORT_DAYS, told_until
from tradewind.engines.store import Store
from tradewind.errors import MissingDataError
from tradewind.holidays import holidays_as_known
from tradewind.measures import metrics as m
from tradewind.measures.assume import Assumptions
from tradewind.measures.metric import Metric, Ratio, Total
from tradewind.measures.query import DIMENSIONS, Query, left_out, lights_up, partly_said
from tradewind.measures.tree import edges
from tradewind.methods.expect import Expect, Expectation
from tradewind.methods.thin import thin_total
from tradewind.money import human
from tradewind.period import Period
from tradewind.study import Column, Estimate, Evidence, Finding, Grid, Study

NEEDS = ("order_lines",)
IMPROVED_BY = {
    "products": "movers and concentration by category",
    "order_discounts": "who funds discounts",
    "order_status": "the steps from order to delivery",
    "refunds": "refunds, by booking day and by order",
    "traffic": "the funnel from impression to order",
    "ads": "advertising in the profit",
}
HEADLINE = (
    m.GMV, m.ORDERS, m.AOV, m.BUYERS, m.NEW_BUYERS, m.REPEAT_RATE, m.ITEMS_PER_ORDER, m.PRODUCTS_SOLD, m.DISCOUNT_RATE,
    m.REFUND_RATE, m.REFUND_RATE_OF_ORDERS, m.IMPRESSIONS, m.CTR, m.CVR, m.GPM, m.MERCHANT_PROFIT, m.MERCHANT_MARGIN,
    m.PLATFORM_PROFIT, m.CREATOR_PROFIT,
)  # fmt: skip
PAYERS = (m.MERCHANT_DISCOUNT, m.PLATFORM_DISCOUNT, m.BRAND_DISCOUNT, m.CREATOR_DISCOUNT)
MOVERS = ("department", "shop", "shop_id", "surface", "creator", "customer_region")
MOST_MOVERS = 10
LONGEST = 3 * 364  # days of history that the outlook is learnt from
FEWEST = 28  # days of history before anything is expected


@dataclass(frozen=True)
class PerformanceSettings:
    """What to show.

    Args:
        by: Dimension by which movers are ranked; chosen from what the source has if empty.
        seed: Seed of intervals.
    """

    by: str = ""
    seed: int = 0


def study(store: Store, period: Period, settings: PerformanceSettings | None = None) -> Study:
    """Tell how the business did in a period and where it is heading.

    Args:
        store: The store, as the caller may see it.
        period: The days in question; one that reaches beyond the data is forecast to its end.
        settings: What to show.

    Returns:
        Findings: the headline metrics beside the period before and the year before, the trend with what was expected,
        the outlook to the end of the period or the next one, top movers, the funnel, discounts by payer, how
        concentrated sales are, and how cohorts of customers come back.

    Raises:
        MissingDataError: If the period does not meet the data.
    """
    settings = settings or PerformanceSettings()
    seen = period.within(store.span)
    teller = _Teller(store, period, seen, settings)
    parts: dict[str, Callable[[], Finding | None]] = {
        "counting the headline metrics": teller.headline, "taking GMV apart": teller.tree,
        "comparing with what was to be expected": teller.trend, "looking ahead": teller.outlook,
        "looking for movers": teller.movers, "following the funnel": teller.funnel,
        "counting discounts": teller.discounts, "expecting refunds": teller.refunds,
        "ranking products": teller.concentration, "following cohorts": lambda: cohorts(store, seen),
    }  # fmt: skip
    findings = []
    for n, (step, part) in enumerate(parts.items()):
        progress.told(step, n, len(parts))
        findings.append(part())
    told = tuple(sorted((f for f in findings if f is not None), key=lambda finding: -finding.weight))
    title = f"How did the business do {period.during}?"
    return Study("performance", title, period, told, store.provenance, asdict(settings), tuple(teller.caveats))


class _Teller:
    """Turns one period of a store into findings, and collects what the data could not answer."""

    def __init__(self, store: Store, period: Period, seen: Period, settings: PerformanceSettings):
        self.store = store
        self.period = period
        self.seen = seen
        self.settings = settings
        self.currency = store.provenance.currency
        self.caveats: list[str] = []
        self.span = store.span
        self.history = Period(max(self.span.first, seen.first - timedelta(days=LONGEST)), seen.last)
        self.days, columns = store.series((m.GMV,), self.history)
        self.gmv = columns[m.GMV.name]
        self.cut = (seen.first - self.history.first).days
        self.before = self._alike(period.previous)
        self.year = self._alike(period.last_year)

    def _alike(self, other: Period) -> Period:
        """As many days of another period as are known of this one, so that a running period is fairly compared."""
        if self.seen == self.period:
            return other
        return other.starting(self.seen.days)

    def _answer(self, metrics: tuple[Metric, ...], period: Period) -> dict[str, Any]:
        """Metrics over one period; 0 where nothing happened, None for a ratio over nothing."""
        found = self.store.metrics(Query(metrics, period)).to_pylist()
        row: dict[str, Any] = found[0] if found else {}
        return {m.name: row.get(m.name) if isinstance(m, Ratio) else row.get(m.name) or 0 for m in metrics}

    def _said(self, value: Any, metric: Metric, *, signed: bool = False) -> str:
        unit = "points" if metric.unit == "share" and signed else metric.unit
        return human(value, unit, self.currency, signed=signed)

    def headline(self) -> Finding:
        """The metrics that light up, beside the period before and the year before."""
        shown = [metric for metric in HEADLINE if lights_up(metric, self.store)]
        compared = [other for other in (self.before, self.year) if other.clipped(self.span) == other]
        now = self._answer(tuple(shown), self.seen)
        answers = {other: self._answer(tuple(shown), other) for other in compared}
        rows = []
        for metric in shown:
            row: dict[str, Any] = {
                "metric": f"{metric.title} (assumed)" if m.assumed(metric, self.store) else metric.title,
                "now": self._said(now.get(metric.name), metric),
            }
            for name, other in (("before", self.before), ("year", self.year)):
                past = answers[other][metric.name] if other in compared else None
                row[name] = self._said(past, metric) if other in compared else "no data"
                row[f"{name}_change"] = self._moved(now.get(metric.name), past, metric, other)
            rows.append(row)
        if any(m.unsettled(metric, other, self.span) for metric in shown for other in compared):
            self.caveats.append(
                f"Customers are new where the data knows no earlier order. It begins on {self.span.first}: in periods "
                f"that start within {m.SETTLING} days of it too many look new, so such changes are left out."
            )
        for metric in shown:
            if isinstance(metric, Total) and (absent := left_out(metric, self.store)):
                names = ", ".join(leaf.title.lower() for leaf in absent)
                self.caveats.append(f"{metric.title} is computed without {names}: the source has none.")
        self.caveats.extend(partly_said(shown, self.store))
        for metric in (m.MERCHANT_PROFIT, m.IMPRESSIONS, m.REFUND_AMOUNT):
            if not lights_up(metric, self.store):
                lacking = ", ".join(self._lacking(metric))
                self.caveats.append(f"{metric.title}: unknown, since the source lacks {lacking}.")
        gmv = now.get("gmv")
        known = [(rows[0]["before_change"], self.before.title), (rows[0]["year_change"], "the year before")]
        moves = [f"{change} on {other}" for change, other in known if change]
        buyers = f" by {self._said(now['buyers'], m.BUYERS)} buyers" if now.get("buyers") else ""
        sentence = (
            f"GMV was {self._said(gmv, m.GMV)} from {self._said(now.get('orders'), m.ORDERS)} orders{buyers}"
            + "".join(f", {move}" for move in moves)
            + "."
        )
        columns: tuple[Column, ...] = (
            Column("metric", "Metric"), Column("now", self.seen.title), Column("before", self.before.title),
            Column("before_change", "Change"),
        )  # fmt: skip
        if self.year in compared:
            columns += (Column("year", self.year.title), Column("year_change", "Change on the year"))
        numbers = {metric.name: now.get(metric.name) for metric in shown}
        note = "Counted totals and sums over sums. Changes of shares are in percentage points."
        if any(m.assumed(metric, self.store) for metric in shown):
            note += " Profit rests on an assumed margin." + self._break_even(now)
        return Finding("headline", sentence, Evidence.MEASURED, numbers, Grid(columns, tuple(rows)), None, note, 100.0)

    def tree(self) -> Finding | None:
        """What GMV is made of, each way that the source can take it apart, beside the period before."""
        ways = edges(m.GMV, self.store)
        if not ways or self.before.clipped(self.span) != self.before:
            return None
        nodes = tuple(dict.fromkeys((m.GMV, *(child for way in ways for child in way.children))))
        now, past = self._answer(nodes, self.seen), self._answer(nodes, self.before)
        rows, moves = [], []
        for way in ways:
            joint = " × " if way.kind == "product" else " + "
            formula = f"= {joint.join(child.title for child in way.children)}"
            rows.append({"metric": "GMV", "made_of": formula, **self._sides(m.GMV, now, past)})
            for child in way.children:
                rows.append({"metric": f"· {child.title}", "made_of": child.doc, **self._sides(child, now, past)})
        for child in ways[0].children if ways[0].kind == "product" else ():
            old, new = past.get(child.name), now.get(child.name)
            if old and new:
                moves.append((abs(float(new) / float(old) - 1), child, self._said(old, child), self._said(new, child)))
        if not moves:
            return None
        _, child, old, new = max(moves, key=lambda move: move[0])
        sentence = f"Of the factors of GMV, {child.title.lower()} moved most: from {old} to {new}."
        columns = (
            Column("metric", "Metric"),
            Column("now", self.seen.title),
            Column("before", self.before.title),
            Column("change", "Change"),
            Column("made_of", "Made of"),
        )
        note = (
            "Each way multiplies or adds up to GMV exactly. The fluctuation study says what each factor's move brought."
        )
        return Finding("tree", sentence, Evidence.MEASURED, {}, Grid(columns, tuple(rows)), None, note, 76.0)

    def _sides(self, metric: Metric, now: dict[str, Any], past: dict[str, Any]) -> dict[str, str]:
        new, old = now.get(metric.name), past.get(metric.name)
        return {
            "now": self._said(new, metric), "before": self._said(old, metric),
            "change": self._moved(new, old, metric, self.before),
        }  # fmt: skip

    def _moved(self, now: Any, past: Any, metric: Metric, other: Period) -> str:
        """Relative change on another period in words; for shares the difference, in percentage points.

        Empty where one side is not known, or cannot be compared: the younger the orders, the more refunds are still to
        come, and near the first day of the data every customer looks new.
        """
        if now is None or past is None or metric is m.REFUND_RATE_OF_ORDERS or m.unsettled(metric, other, self.span):
            return ""
        if metric.unit == "share":
            return human(float(now) - float(past), "points", signed=True)
        return human(float(now) / float(past) - 1, "share", signed=True) if float(past) > 0 else ""

    def _lacking(self, metric: Metric) -> Sequence[str]:
        try:
            Query((metric,), self.seen).expression(self.store)
        except MissingDataError as error:
            return (error.what.rsplit("lacks ", 1)[-1],)
        return ()

    def _break_even(self, now: dict[str, Any]) -> str:
        """The margin at which merchants' profit would be nought, all else equal."""
        profit, margin = now.get("merchant_profit"), self.store.assumptions.margin
        if profit is None or margin is None:
            return ""
        known = self.store.assuming(Assumptions())
        supposed = self._cost(self.store) - (self._cost(known) if lights_up(m.COST, known) else 0.0)
        if not supposed:
            return ""
        full = supposed / (1 - margin)  # the supposed part of the cost at no margin at all
        even = margin - float(profit) / full
        if even < 0:
            lost = human(-even, "share")
            return f" Merchants would break even only if what has no known cost lost {lost} of its price."
        return f" Merchants would break even at a margin of {human(even, 'share')}."

    def _cost(self, store: Store) -> float:
        table = store.metrics(Query((m.COST,), self.seen)).to_pydict()
        return float(table["cost"][0] or 0)

    def _expect(self, cut: int, horizon: int) -> Expectation | None:
        begun = np.flatnonzero(self.gmv[:cut])
        start = int(begun[0]) if len(begun) else cut  # what had not begun yet says nothing of what is normal
        past = np.array(self.gmv[start:cut])
        if len(past) < FEWEST:
            return None
        ordinals = np.array([day.toordinal() for day in self.days[start:cut]])
        known = holidays_as_known(self.store.provenance.country, self.days[start], len(past) + horizon)
        return thin_total(Expect(seed=self.settings.seed)(past, horizon, days=ordinals, known=known), past)

    def trend(self) -> Finding:
        """GMV day by day, with what was expected of the period."""
        expected = self._expect(self.cut, self.seen.days)
        actual = sum(self.gmv[self.cut :])
        first = max(0, len(self.days) - max(91, 3 * self.seen.days))
        band: list[Estimate | None] | None = None
        numbers: dict[str, Any] = {"gmv": actual}
        if expected is None:
            unsold = self.cut >= FEWEST and not any(self.gmv[: self.cut])
            why = "history is too short to expect any"
            if unsold:
                why = "nothing was sold before, so that nothing is known to be normal"
            sentence = f"GMV was {self._said(actual / self.seen.days, m.GMV)} a day; {why}."
            self.caveats.append(f"What is normal needs at least {FEWEST} days since the first sale before the period.")
        else:
            ends = list(zip(expected.mid, expected.low, expected.high, strict=True))
            band = [None] * (self.cut - first) + [Estimate(float(a), float(b), float(c)) for a, b, c in ends]
            actual_days = zip(self.gmv[self.cut :], ends, strict=True)
            outside = sum(not low <= value <= high for value, (_, low, high) in actual_days)
            total = expected.total
            place = "within" if total.low <= actual <= total.high else "above" if actual > total.high else "below"
            sentence = (
                f"GMV lay {place} what season and trend gave reason to expect ({self._said(total.low, m.GMV)} to "
                f"{self._said(total.high, m.GMV)}); {outside} of {self.seen.days} days lay outside their own range."
            )
            numbers |= {"expected": total, "days_outside": outside}
        chart = charts.trend(
            self.days[first:], self.gmv[first:], expected=band, period=self.seen, unit="money", currency=self.currency
        )
        note = (
            "Expected from the days before the period only, without campaigns, which the study of why a metric moved "
            "takes in; one day in ten lies outside its range by chance."
        )
        return Finding("trend", sentence, Evidence.MEASURED, numbers, None, chart, note, 74.0)

    def outlook(self) -> Finding | None:
        """Forecast to the end of a running period, or of the next one."""
        running = self.seen.last < self.period.last
        last = self.period.last if running else self.seen.last + timedelta(days=self.period.days)
        if not running and self.seen.last < self.span.last:
            return None  # the next days are already known
        horizon = (last - self.seen.last).days
        found = self._expect(len(self.days), horizon)
        if found is None:
            return None
        done = sum(self.gmv[self.cut :]) if running else 0.0
        whole = found.total
        mid, low, high = (max(end, 0.0) + done for end in (whole.mid, whole.low, whole.high))
        total = Estimate(mid, low, high, whole.level)
        name = f"by {last:%d %b %Y}" if running else f"over the next {horizon} days"
        sentence = (
            f"GMV is heading for {self._said(total.mid, m.GMV)} {name} "
            f"({self._said(total.low, m.GMV)} to {self._said(total.high, m.GMV)})."
        )
        ahead = [self.seen.last + timedelta(days=n + 1) for n in range(horizon)]
        first = max(0, len(self.days) - max(56, 2 * horizon))
        ends = [
            Estimate(float(a), float(b), float(c)) for a, b, c in zip(found.mid, found.low, found.high, strict=True)
        ]
        chart = charts.trend(
            [*self.days[first:], *ahead], [*self.gmv[first:], *([None] * horizon)],
            expected=[*([None] * (len(self.days) - first)), *ends], unit="money", currency=self.currency,
        )  # fmt: skip
        note = (
            "Level, trend, weekday, season and public holidays of the past carried on; it knows of no campaign to come."
        )
        return Finding("outlook", sentence, Evidence.OBSERVATIONAL, {"gmv": total}, None, chart, note, 60.0)

    def movers(self) -> Finding | None:
        """The slices that gained and lost most against the period before."""
        if self.before.clipped(self.span) != self.before:
            return None
        offered = (self.settings.by,) if self.settings.by else MOVERS
        if self.settings.by and not lights_up(m.GMV, self.store, offered):
            Query((m.GMV,), self.seen, offered).expression(self.store)  # says what is lacking
        by = next((name for name in offered if lights_up(m.GMV, self.store, (name,))), None)
        if by is None:
            return None
        table = self.store.metrics(Query((m.GMV,), self.seen, (by,), slots=(self.seen, self.before))).to_pylist()
        sides: dict[str, list[float]] = {}
        for row in table:
            sides.setdefault(str(row[by] or "(none)"), [0.0, 0.0])[row["slot"]] += float(row["gmv"])

        def change(name: str) -> float:
            return sides[name][0] - sides[name][1]

        ranked = sorted(sides, key=lambda name: (-abs(change(name)), name))[:MOST_MOVERS]
        rows = tuple({"name": n, "before": sides[n][1], "now": sides[n][0]} | {"change": change(n)} for n in ranked)
        if not rows:
            return None
        title = DIMENSIONS[by]
        sentence = f"{title} {ranked[0]} moved most: {self._said(change(ranked[0]), m.GMV, signed=True)} GMV."
        columns = (
            Column("name", title),
            Column("before", self.before.title, "money"),
            Column("now", self.seen.title, "money"),
            Column("change", "Change", "money"),
        )
        chart = charts.ranked_bars([(name, change(name)) for name in ranked], unit="money", currency=self.currency)
        note = "Counted. The fluctuation study says which of these stand out from the noise."
        return Finding("movers", sentence, Evidence.MEASURED, {}, Grid(columns, rows), chart, note, 80.0)

    def funnel(self) -> Finding | None:
        """The steps from impression to order, or from order to delivery, as far as the data goes."""
        stages: list[tuple[str, float | None]]
        if lights_up(m.IMPRESSIONS, self.store):
            shown = [x for x in (m.IMPRESSIONS, m.CLICKS, m.CARTS, m.ORDERS) if lights_up(x, self.store)]
            table = self.store.metrics(Query(tuple(shown), self.seen)).to_pydict()
            stages = [(metric.title, float(table[metric.name][0] or 0)) for metric in shown]
        elif self.store.has("order_status"):
            lines, status = self.store.table("order_lines"), self.store.table("order_status")
            placed = lines.filter(lines.day.between(self.seen.first, self.seen.last)).select("order_id", "line")
            steps = status.select("order_id", "line", "status").distinct().semi_join(placed, ["order_id", "line"])
            counted = self.store.run(steps.group_by("status").aggregate(rows=steps.count())).to_pydict()
            sizes = dict(zip(counted["status"], counted["rows"], strict=True))
            stages = [(s.title(), float(sizes[s])) for s in ("placed", "paid", "shipped", "delivered") if s in sizes]
        else:
            return None
        if len(stages) < 2 or not stages[0][1]:
            return None
        last = float(stages[-1][1] or 0)
        sentence = (
            f"Of {human(stages[0][1], 'count')} {stages[0][0].lower()}, {human(last, 'count')} "
            f"({human(last / float(stages[0][1] or 1), 'share')}) came to {stages[-1][0].lower()}."
        )
        rows = tuple(
            {"stage": name, "size": size, "of_before": None if n == 0 else (size or 0) / (stages[n - 1][1] or 1)}
            for n, (name, size) in enumerate(stages)
        )
        columns = (
            Column("stage", "Step"),
            Column("size", "Count", "count"),
            Column("of_before", "Of the step before", "share"),
        )
        note = "Counted. Steps that the source does not tell are left out."
        return Finding(
            "funnel", sentence, Evidence.MEASURED, dict(stages), Grid(columns, rows), charts.funnel(stages), note, 70.0
        )

    def discounts(self) -> Finding | None:
        """Who funds the discounts."""
        if not lights_up(m.DISCOUNT, self.store):
            return None
        table = self.store.metrics(Query((*PAYERS, m.DISCOUNT, m.GROSS_SALES), self.seen)).to_pylist()
        row = table[0] if table else {}
        whole, gross = float(row.get("discount") or 0), float(row.get("gross_sales") or 0)
        if not whole or not gross:
            return None
        parts = sorted(((x, float(row[x.name] or 0)) for x in PAYERS), key=lambda part: -part[1])
        names = {m.MERCHANT_DISCOUNT: "sellers", m.PLATFORM_DISCOUNT: "the platform", m.BRAND_DISCOUNT: "brands",
                 m.CREATOR_DISCOUNT: "creators"}  # fmt: skip
        said = ", ".join(f"{human(part / whole, 'share')} by {names[x]}" for x, part in parts if part)
        sentence = f"Discounts were {human(whole / gross, 'share')} of gross sales, paid {said}."
        rows = tuple({"payer": names[x], "amount": row[x.name], "share": part / whole} for x, part in parts if part)
        columns = (Column("payer", "Paid by"), Column("amount", "Amount", "money"), Column("share", "Share", "share"))
        numbers, note = {"discount": row["discount"]}, "Counted over paid lines of the period."
        return Finding("discounts", sentence, Evidence.MEASURED, numbers, Grid(columns, rows), None, note, 50.0)

    def refunds(self) -> Finding | None:
        """Refunds by booking day, and of the period's own orders with those still to come."""
        if not lights_up(m.REFUND_AMOUNT, self.store):
            return None
        wanted = (m.GMV, m.REFUND_AMOUNT, m.REFUND_RATE)
        booked = self.store.metrics(Query(wanted, self.seen)).to_pylist()[0]
        sentence = (
            f"Refunds booked were {self._said(booked['refunds'], m.REFUND_AMOUNT)}, "
            f"{self._said(booked['refund_rate'], m.REFUND_RATE)} of GMV"
        )
        numbers: dict[str, Any] = {"booked": booked["refunds"]}
        note, evidence = "Counted on the day of the refund.", Evidence.MEASURED
        told = told_until(self.store)
        if told < self.seen.last:
            self.caveats.append(
                f"The last refund is of {told}, and never before was there none for so long: later ones were probably "
                "not imported, so that refunds booked are too few, and profits too high. What is still to come is what "
                f"was not booked by {told}."
            )
        found = still_to_come(self.store, self.days, self.gmv, self.seen, told, self.settings.seed)
        if found is not None:
            done, coming, reach = found
            until = f"within {reach} days of the order" if reach < COHORT_DAYS else "in the end"
            numbers |= {"of_these_orders_so_far": done, "still_expected": coming}
            share = (done + coming.mid) / float(booked["gmv"]) if booked["gmv"] else None
            sentence += (
                f"; of these orders {self._said(done, m.GMV)} came back so far and {self._said(coming.mid, m.GMV)} "
                f"more ({self._said(coming.low, m.GMV)} to {self._said(coming.high, m.GMV)}) is to be expected, "
                f"{human(share, 'share')} {until}"
            )
            note = (
                "Booked refunds are counted on the day of the refund. What is still to come is expected from how "
                "earlier orders came back, day by day of age, over the last half year, and none after more days than "
                "have been seen; refunds that name no order are in the booked ones only."
            )
            evidence = Evidence.OBSERVATIONAL
        return Finding("refunds", sentence + ".", evidence, numbers, None, None, note, 55.0)

    def concentration(self) -> Finding | None:
        """How much of GMV the best products bring."""
        table = self.store.metrics(Query((m.GMV,), self.seen, ("product_id",))).to_pydict()
        values = np.sort(np.array([float(value) for value in table["gmv"] if value and value > 0]))[::-1]
        if len(values) < 10:
            return None
        brought = np.cumsum(values) / values.sum()
        part = np.arange(1, len(values) + 1) / len(values)
        tenth = float(brought[max(1, round(len(values) / 10)) - 1])
        half = int(np.searchsorted(brought, 0.5)) + 1
        shown = np.unique(np.geomspace(1, len(values), 60).astype(int)) - 1
        count = f"{len(values):,} products sold"
        sentence = f"The best tenth of {count} brings {human(tenth, 'share')} of GMV; {half:,} bring half."
        chart = charts.concentration([(0.0, 0.0), *((float(part[i]), float(brought[i])) for i in shown)])
        note = "Counted over products with GMV above zero. The dashed line is what equal sales of all would give."
        numbers = {"top_tenth_share": tenth, "products_for_half": half, "products": len(values)}
        return Finding("concentration", sentence, Evidence.MEASURED, numbers, None, chart, note, 40.0)
