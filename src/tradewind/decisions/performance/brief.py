"""The brief: how a period stands beside another and beside what is usual, told in milliseconds for any period and shop.

It counts from a panel, never from the engine, and judges by `usual`; what was expected day by day, and why something
moved, take longer and are for the studies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Any

import numpy as np

from tradewind import charts
from tradewind.decisions.performance.ground import Ground, View, ground
from tradewind.engines.panel import Panel
from tradewind.engines.store import Store
from tradewind.errors import BadInputError
from tradewind.measures import metrics as m
from tradewind.measures.metric import Distinct, Metric, Ratio, leaves
from tradewind.measures.query import DIMENSIONS
from tradewind.methods.contribution import Node, tree
from tradewind.methods.usual import Usual
from tradewind.money import apportioned, cents, human, smallest
from tradewind.period import Period
from tradewind.study import Column, Estimate, Evidence, Finding, Grid, Study

AGAINST = ("previous", "last-year")
LONGEST = 2 * 365  # days from which what is usual is learnt
MOST_DAYS = 120  # days that are drawn one by one
MOST_BARS = 8  # values of a dimension that are told one by one


@dataclass(frozen=True)
class BriefSettings:
    """What to tell.

    Args:
        against: What the period is compared with: `previous`, the comparable one before, or `last-year`.
        shop: The one shop to tell of; all that the caller may see if empty.

    Raises:
        BadInputError: If there is no such comparison.
    """

    against: str = "previous"
    shop: str = ""

    def __post_init__(self) -> None:
        if self.against not in AGAINST:
            raise BadInputError("A period is compared with another", got=self.against, allowed=AGAINST)


@dataclass(frozen=True)
class Standing:
    """How one metric stands.

    Args:
        metric: Its name.
        title: What the reader sees.
        unit: Its unit.
        value: Its value in the period: money as decimals, counts whole, ratios as floats; None where it has none.
        before: Its value in the period compared with; None where that is unknown.
        usual: What it was to be, judging by the days before; None where that is unknown.
        better: +1 where more is better, −1 where less is, 0 where it depends.
    """

    metric: str
    title: str
    unit: str
    value: Any
    before: Any
    usual: Estimate | None
    better: int

    @property
    def verdict(self) -> str:
        """Where the value lies beside its usual range: `within`, `above`, `below`, or `unknown`."""
        if self.usual is None or self.value is None:
            return "unknown"
        value = float(self.value)
        return "below" if value < self.usual.low else "above" if value > self.usual.high else "within"

    @property
    def change(self) -> Any:
        """What it moved by, in its own unit."""
        if self.value is None or self.before is None:
            return None
        return self.value - self.before

    @property
    def relative(self) -> float | None:
        """The change as a share of what it was; of a share None, since it moves by points."""
        if self.change is None or not self.before or float(self.before) < 0 or self.unit == "share":
            return None
        return float(self.change) / float(self.before)


@dataclass(frozen=True)
class _Mover:
    """GMV of one value of a dimension, or of several others together."""

    key: Any
    before: Decimal
    value: Decimal
    others: int = 0

    @property
    def change(self) -> Decimal:
        return self.value - self.before


def prepare(store: Store) -> None:
    """Read what briefs of a store rest on, in seconds, so that none has to wait for it."""
    base = ground(store)
    one = next((key for key in base.by_shop.panel.known.names["shop_id"] if key), "") if base.by_shop else ""
    for days in (28, 7, 1):  # charts of the usual shapes are built here, too
        period = Period(max(base.span.first, base.span.last - timedelta(days=days - 1)), base.span.last)
        for shop in dict.fromkeys(("", one)):
            brief(store, period, BriefSettings(shop=shop))


def brief(store: Store, period: Period, settings: BriefSettings | None = None) -> Study:
    """Tell how a period stands, in a few milliseconds once the store's panel was read.

    Args:
        store: The store, as the caller may see it. At the first call for it what briefs rest on is read, in seconds.
        period: The days in question; what the data does not know of it is not counted.
        settings: What to compare with, and the shop.

    Returns:
        Findings: the reading, a paragraph to be read aloud; the headline metrics beside before and beside what is
        usual; what the factors of GMV added to its change; what each shop, department, surface, form, relation and
        creator did; and GMV day by day.

    Raises:
        MissingDataError: If the period does not meet the data.
        NotFoundError: If the caller sees no such shop.
    """
    settings = settings or BriefSettings()
    base = ground(store)
    seen = period.within(base.span)
    teller = _Teller(base, base.view(settings.shop), period, seen, settings)
    found = (teller.headline(), teller.factors(), teller.movers(), teller.trend())
    findings = tuple(finding for finding in (teller.reading(), *found) if finding is not None)
    who = base.said("shop_id", settings.shop) if settings.shop else "we"
    title = f"How did {who} stand {period.during}?"
    told = asdict(settings)
    return Study("performance", title, period, findings, base.provenance, told, teller.caveats())


class _Teller:
    """Turns one period into findings."""

    def __init__(self, base: Ground, view: View, period: Period, seen: Period, settings: BriefSettings):
        self.base, self.view, self.period, self.seen = base, view, period, seen
        self.currency = base.provenance.currency
        other = period.previous if settings.against == "previous" else period.last_year
        other = other if seen == period else other.starting(seen.days)
        self.here, self.then, self.then_during = seen.title, other.title, other.during
        self.before = other if other.clipped(base.span) == other else None

    @cached_property
    def now(self) -> dict[str, Any]:
        """The metrics over the period."""
        return self.view.panel.values(self.seen)

    @cached_property
    def past(self) -> dict[str, Any]:
        """The metrics over the period compared with; nothing where the data does not hold it."""
        return self.view.panel.values(self.before) if self.before is not None else {}

    @cached_property
    def standings(self) -> tuple[Standing, ...]:
        """How each metric stands, GMV first."""
        found = [
            Standing(
                metric.name, metric.title + (" (assumed)" if metric.name in self.base.assumed else ""), metric.unit,
                self.now[metric.name], self.past.get(metric.name), self._usual(self.view.panel, metric), metric.better,
            )
            for metric in self.view.shown
        ]  # fmt: skip
        if (live := self.view.live) is not None:
            value = live.values(self.seen)[m.GMV.name]
            past = live.values(self.before)[m.GMV.name] if self.before is not None else None
            usual = self._usual(live, m.GMV)
            found.append(Standing("gmv_live", "GMV of live rooms", "money", value, past, usual, m.GMV.better))
        return tuple(found)

    @cached_property
    def moved(self) -> tuple[tuple[Metric, Decimal], ...]:
        """What each factor of GMV added to its change, to the cent; nothing where they do not multiply to it."""
        way = self.view.way
        if way is None or not self.past or not (self.now["gmv"] or self.past["gmv"]):
            return ()
        node = Node(m.GMV.name, "product", tuple(Node(x.name) for x in way.children), way.signs)
        gmv = [float(side["gmv"] or 0) for side in (self.past, self.now)]
        sides = [{x.name: _number(side[x.name]) for x in way.children} for side in (self.past, self.now)]
        try:
            found = tree(node, *({**side, node.name: whole} for side, whole in zip(sides, gmv, strict=True)))
        except BadInputError:
            return ()  # a side on which a factor is unknown, or nothing, as clicks are of some sales: see the caveats
        parts = [float(found.parts[x.name]) for x in way.children]
        rounded = apportioned(parts, self._change, smallest(self.currency), max(map(abs, gmv)))
        return tuple(zip(way.children, rounded, strict=True))

    @property
    def _change(self) -> Decimal:
        return (cents(self.now["gmv"]) - cents(self.past["gmv"])).quantize(smallest(self.currency))

    @cached_property
    def moving(self) -> dict[str, tuple[_Mover, ...]]:
        """By dimension, GMV of the values that changed most, the largest first, and of all others together."""
        found: dict[str, tuple[_Mover, ...]] = {}
        for name in self.view.movers if self.before is not None else ():
            split = self.view.cube.split(name)
            old, new = (split.units(m.GMV, days) for days in (self.before, self.seen) if days is not None)
            there = np.flatnonzero((old != 0) | (new != 0))
            if not len(there) or (len(there) == 1 and name == "shop_id"):
                continue  # of one shop nothing is told by naming it
            ranked = there[np.argsort(-np.abs(new - old)[there], kind="stable")]
            movers = [_Mover(split.keys[n], _money(old[n]), _money(new[n])) for n in ranked[:MOST_BARS]]
            if len(rest := ranked[MOST_BARS:]):
                movers.append(_Mover(None, _money(old[rest].sum()), _money(new[rest].sum()), len(rest)))
            found[name] = tuple(movers)
        return found

    def _usual(self, panel: Panel, metric: Metric) -> Estimate | None:
        """What a metric was to be over the period, judging by the days before."""
        first, length = (self.seen.first - panel.span.first).days, self.seen.days
        start = max(0, first - LONGEST)
        if first - start < length:
            return None
        windows = None
        if any(isinstance(leaf, Distinct) for leaf in leaves(metric)):
            windows = panel.windows(metric, length)[start : first - length + 1]
        if isinstance(metric, Ratio):
            over, under = (panel.daily(part)[start:first] for part in (metric.over, metric.under))
            return _scaled(USUAL(over, length, under=under, windows=_unscaled(windows, metric)), metric)
        return USUAL(panel.daily(metric)[start:first], length, windows=windows)

    def _said(self, value: Any, unit: str, *, signed: bool = False) -> str:
        return human(value, "points" if unit == "share" and signed else unit, self.currency, signed=signed)

    def headline(self) -> Finding:
        """The metrics beside before and beside what is usual."""
        rows = tuple(
            {
                "metric": x.metric, "title": x.title, "value": x.value, "before": x.before, "change": x.change,
                "relative": x.relative, "usual": x.usual, "verdict": x.verdict, "better": x.better, "unit": x.unit,
            }
            for x in self.standings
        )  # fmt: skip
        columns = (
            Column("metric", "Name"), Column("title", "Metric"), Column("value", self.here, "of the row"),
            Column("before", self.then, "of the row"), Column("change", "Change", "of the row"),
            Column("relative", "Change in %", "share"), Column("usual", "Usual", "estimate"),
            Column("verdict", "Beside usual"), Column("better", "Better", "count"), Column("unit", "Unit"),
        )  # fmt: skip
        known = [x for x in self.standings if x.verdict != "unknown"]
        odd = [x for x in known if x.verdict != "within"]
        sentence = (
            f"{len(odd)} of {len(known)} metrics lie outside their usual range" if known else "What is usual is unknown"
        )
        sentence += f": {_listed([f'{x.title} ({x.verdict})' for x in odd])}." if odd else "."
        numbers = {x.metric: x.value for x in self.standings}
        note = (
            "Values are counted totals and sums over sums. What is usual is expected from the days before the period "
            "only, with a 90% range that holds nine of ten such periods; of ten metrics one lies outside by chance."
        )
        return Finding("headline", sentence, Evidence.MEASURED, numbers, Grid(columns, rows), None, note, 90.0)

    def reading(self) -> Finding:
        """The whole in one paragraph."""
        gmv = self.standings[0]
        sentences = [self._of_gmv(gmv), self._of_factors(), self._of_movers(), self._of_odd(), self._of_unknown()]
        numbers: dict[str, Any] = {"gmv": gmv.value, "before": gmv.before, "change": gmv.change, "usual": gmv.usual}
        note = "Where a change lies is counted; it is not what caused it."
        grade = Evidence.MEASURED if gmv.usual is None else Evidence.OBSERVATIONAL
        return Finding("reading", " ".join(filter(None, sentences)), grade, numbers, None, None, note, 100.0)

    def _of_gmv(self, gmv: Standing) -> str:
        said = f"GMV was {self._said(gmv.value, 'money')}"
        if gmv.before is not None:
            moved = f"{human(gmv.relative, 'share', signed=True)} on" if gmv.relative is not None else "after"
            said += f", {moved} {self._said(gmv.before, 'money')} {self.then_during}"
        if gmv.usual is None:
            return said + "; what is usual is unknown, since the days before are too few."
        reach = f"{self._said(gmv.usual.low, 'money')} to {self._said(gmv.usual.high, 'money')}"
        return said + f"; that is {gmv.verdict} its usual range of {reach}."

    def _of_factors(self) -> str:
        ranked = sorted(self.moved, key=lambda part: -abs(part[1]))
        told = [(metric, part) for metric, part in ranked[:2] if part]
        if not told:
            return ""
        parts = [f"{metric.title.lower()} ({self._said(part, 'money', signed=True)})" for metric, part in told]
        return f"Of its factors, {_listed(parts)} moved it most."

    def _of_movers(self) -> str:
        told: list[str] = []
        for name in ("shop_id", "department", "surface", "form"):
            moved = self.moving.get(name)
            if moved and moved[0].change and len(told) < 3:
                kind = _kind(name).lower()
                change = self._said(moved[0].change, "money", signed=True)
                told.append(f"{kind} {self.base.said(name, moved[0].key)} ({change})")
        return f"The largest moves were in {_listed(told)}." if told else ""

    def _of_odd(self) -> str:
        others = [x for x in self.standings[1:] if x.verdict != "unknown"]
        odd = [x for x in others if x.verdict != "within"]
        if not others:
            return ""
        if not odd:
            return f"The other {len(others)} metrics lie within their usual ranges."
        said = [
            f"{x.title} {x.verdict} it at {self._said(x.value, x.unit)} ({self._said(x.usual.low, x.unit)} to "
            f"{self._said(x.usual.high, x.unit)} is usual)"
            for x in odd[:3]
            if x.usual is not None
        ]
        more = f" and {len(odd) - 3} more" if len(odd) > 3 else ""
        return f"Outside their usual range: {'; '.join(said)}{more}."

    def _of_unknown(self) -> str:
        said = []
        if self.seen != self.period:
            said.append(f"days after {self.seen.last} or before {self.seen.first} are not in the data")
        if self.before is None:
            said.append(f"nothing is known of all of {self.then} to compare with")
        missed = [x.title for x in self.standings[1:] if x.verdict == "unknown"]
        if missed and self.standings[0].usual is not None:
            said.append(f"what is usual of {_listed(missed)}")
        lacking = [c.split(":")[0] for c in self.base.caveats if ": unknown, since" in c]
        said += [f"{_listed(lacking)}, which the source lacks"] if lacking else []
        return f"Not known: {'; '.join(said)}." if said else ""

    def factors(self) -> Finding | None:
        """What each factor of GMV added to its change."""
        if not self.moved or self.view.way is None:
            return None
        change = self._change
        rows = tuple(
            {
                "metric": x.name, "title": x.title, "before": self.past[x.name], "value": self.now[x.name],
                "contribution": part, "share": float(part / change) if change else None, "unit": x.unit,
            }
            for x, part in self.moved
        )  # fmt: skip
        columns = (
            Column("title", "Factor"), Column("before", self.then, "of the row"),
            Column("value", self.here, "of the row"), Column("contribution", "Added to GMV", "money"),
            Column("share", "Of the change", "share"),
        )  # fmt: skip
        metric, part = max(self.moved, key=lambda moved: abs(moved[1]))
        sentence = (
            f"GMV moved by {self._said(change, 'money', signed=True)}; {metric.title.lower()} added most: "
            f"{self._said(part, 'money', signed=True)}."
        )
        chart = charts.waterfall(
            (self.then, self.past["gmv"]), [(x.title, part) for x, part in self.moved],
            (self.here, self.now["gmv"]), currency=self.currency,
        )  # fmt: skip
        numbers: dict[str, Any] = {"change": change} | {x.name: part for x, part in self.moved}
        note = f"Exact: {self.view.way.title} multiply to GMV, and their parts add up to its change. Not causes."
        return Finding("factors", sentence, Evidence.MEASURED, numbers, Grid(columns, rows), chart, note, 80.0)

    def movers(self) -> Finding | None:
        """What each value of each dimension added to the change in GMV."""
        if not self.moving:
            return None
        rows = tuple(
            {
                "dimension": name, "by": _kind(name), "key": one.key, "name": self._name(name, one),
                "before": one.before, "value": one.value, "change": one.change, "others": one.others,
            }
            for name, moved in self.moving.items()
            for one in moved
        )  # fmt: skip
        columns = (
            Column("by", "By"), Column("name", "Name"), Column("change", "Change", "money"),
            Column("before", self.then, "money"), Column("value", self.here, "money"),
        )  # fmt: skip
        name, moved = next(iter(self.moving.items()))
        change = self._said(moved[0].change, "money", signed=True)
        sentence = f"{_kind(name)} {self._name(name, moved[0])} moved most: {change} GMV."
        bars = [(self._name(name, one), one.change) for one in moved if not one.others]
        chart = charts.ranked_bars(bars, currency=self.currency)
        note = "Counted. By each dimension the rows add up to the change in GMV. Not causes."
        return Finding("movers", sentence, Evidence.MEASURED, {}, Grid(columns, rows), chart, note, 70.0)

    def _name(self, dimension: str, mover: _Mover) -> str:
        return f"{mover.others} others" if mover.others else self.base.said(dimension, mover.key)

    def trend(self) -> Finding:
        """GMV day by day, of the period and before."""
        reach = (self.seen.first - self.before.first).days if self.before is not None else self.seen.days
        first = max(
            self.base.span.first, self.seen.first - timedelta(days=reach if reach <= MOST_DAYS else self.seen.days)
        )
        shown = Period(first, self.seen.last)
        values = self.view.panel.daily(m.GMV, shown)
        days = [first + timedelta(days=n) for n in range(shown.days)]
        inside = values[(self.seen.first - first).days :]
        best = self.seen.first + timedelta(days=int(np.argmax(inside)))
        sentence = (
            f"GMV was {self._said(inside.mean(), 'money')} a day, at most {self._said(inside.max(), 'money')} on "
            f"{Period(best, best).title}."
        )
        step = "day"
        if shown.days > MOST_DAYS:
            days, values, step = *_weekly(days, values), "week"
        chart = charts.trend(days, values.tolist(), period=self.seen, currency=self.currency)
        numbers = {"gmv": self.now["gmv"], "days": self.seen.days, "highest": float(inside.max())}
        note = f"Counted, a point a {step}. The performance study says what was to be expected of each day."
        return Finding("trend", sentence, Evidence.MEASURED, numbers, None, chart, note, 60.0)

    def caveats(self) -> tuple[str, ...]:
        """What the data could not answer."""
        found = []
        if self.seen != self.period:
            found.append(
                f"The data holds {self.base.span.first} to {self.base.span.last}: of the period {self.seen.days} of "
                f"{self.period.days} days are counted, and compared with as many."
            )
        if self.before is None:
            found.append(f"The data does not hold all of {self.then}, so there is nothing to compare with.")
        elif not self.moved:
            found.append("GMV is not taken apart: its factors are unknown, or do not multiply to it on one side.")
        short = [x.title for x in self.standings if x.usual is None]
        if short:
            found.append(
                f"What is usual is unknown for {_listed(short)}: it needs 28 days of history, and three weeks beyond "
                "the length of the period."
            )
        return (*found, *self.base.caveats)


USUAL = Usual(level=0.9)


def _kind(dimension: str) -> str:
    return DIMENSIONS[dimension].removesuffix(" id")


def _money(units: Any) -> Decimal:
    return Decimal(int(units)).scaleb(-4)


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)


def _scaled(usual: Estimate | None, metric: Ratio) -> Estimate | None:
    return usual.scaled(metric.times) if usual is not None and metric.times != 1 else usual


def _unscaled(windows: Any, metric: Ratio) -> Any:
    return windows / metric.times if windows is not None and metric.times != 1 else windows


def _weekly(days: Sequence[date], values: Any) -> tuple[list[date], Any]:
    """Sum days by sevens, counted back from the last; the first days that fill no week are left out."""
    rest = len(days) % 7
    return list(days[rest::7]), values[rest:].reshape(-1, 7).sum(axis=1)


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else ""
