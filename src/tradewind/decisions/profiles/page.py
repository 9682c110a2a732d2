"""A page: what the findings of every profile share: days side by side, how numbers are said, tables with links."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import ibis

from tradewind import charts
from tradewind.decisions.profiles.kinds import KINDS, Entity, titles
from tradewind.engines.store import Store
from tradewind.errors import MissingDataError
from tradewind.measures import metrics as m
from tradewind.measures.cuts import Cut, Cuts, worth
from tradewind.measures.metric import Metric, Total, leaves
from tradewind.measures.query import left_out, lights_up, partly_said, present
from tradewind.money import human
from tradewind.period import Period
from tradewind.study import Column, Evidence, Finding, Grid, Study

NOW, BEFORE = 0, 1

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class ProfileSettings:
    """What a profile shows.

    Args:
        top: Most rows of a ranking or a list.
    """

    top: int = 10


@dataclass(frozen=True)
class Side:
    """One group's metrics in the period and in the one before; empty where nothing happened."""

    now: Mapping[str, Any]
    before: Mapping[str, Any]

    def change(self, metric: Metric) -> Any:
        """Change of an additive metric between the periods."""
        return (self.now.get(metric.name) or 0) - (self.before.get(metric.name) or 0)


class Page:
    """One entity over one period: counts its sides and says them.

    Args:
        store: The store, as the caller may see it.
        who: The entity.
        period: The days in question.
        settings: What to show.
        alone: Whether the period is not set beside the one before.

    Raises:
        MissingDataError: If the period does not meet the data.
    """

    def __init__(
        self, store: Store, who: Entity, period: Period, settings: ProfileSettings | None, *, alone: bool = False
    ):
        self.store = store
        self.who = who
        self.period = period
        self.settings = settings or ProfileSettings()
        self.currency = store.provenance.currency
        self.caveats: list[str] = []
        self._names: dict[tuple[str, str], str] = {}
        span = store.span
        self.seen = seen = period.within(span)
        before = period.previous if seen == period else period.previous.starting(seen.days)
        self.before = before if before.clipped(span) == before and not alone else None
        if store.scope.creators is not None:
            self.caveats.append(
                "Creators see live sessions and contracts: orders, refunds, traffic, videos and stock are not shown "
                "to them, and sales here are what the live rooms recorded."
            )
        elif store.scope.shops is not None and who.kind.name != "shop":
            self.caveats.append("Only what happened in the shops that you may see is counted.")

    @property
    def slots(self) -> tuple[Period, ...]:
        """The period, the one before, and the days between them, where there are any."""
        if self.before is None:
            return (self.seen,)
        first, last = self.before.last + timedelta(days=1), self.seen.first - timedelta(days=1)
        return (self.seen, self.before, *((Period(first, last),) if first <= last else ()))

    def cuts(
        self, cuts: Mapping[str, Cut], where: Mapping[str, str], among: ibis.Table | None = None
    ) -> dict[str, list[dict[str, Any]]]:
        """Count the entity's rows, grouped several ways in one pass; a cut of which nothing lights up has no rows."""
        days = any("day" in cut.by for cut in cuts.values())  # the days between are for the trend only
        asked = Cuts(cuts, self.slots if days else self.slots[: BEFORE + 1], where, among)
        expression = asked.expression(self.store)
        return asked.read(self.store, [] if expression is None else self.store.run(expression).to_pylist())

    def said(self, value: Any, metric: Metric) -> str:
        """Write a metric's value as a person reads it."""
        return human(value, metric.unit, self.currency)

    def money(self, value: Any, *, signed: bool = False) -> str:
        """Write an amount as a person reads it."""
        return human(value, "money", self.currency, signed=signed)

    def within(self, begins: ibis.Value, ends: ibis.Value) -> ibis.Value:
        """Whether what runs from one moment (UTC) to another runs in the period; an unknown moment is no limit."""
        zone = ZoneInfo(self.store.provenance.timezone)
        first, after = (
            datetime.combine(day, time(), zone).astimezone(ZoneInfo("UTC")).replace(tzinfo=None)
            for day in (self.seen.first, self.seen.last + timedelta(days=1))
        )
        return (begins.isnull() | (begins < ibis.literal(after))) & (ends.isnull() | (ends >= ibis.literal(first)))

    def local(self, at: datetime | None) -> date | None:
        """Return the local day of a moment given in UTC."""
        zone = ZoneInfo(self.store.provenance.timezone)
        return None if at is None else at.replace(tzinfo=ZoneInfo("UTC")).astimezone(zone).date()

    def headline(self, shown: Sequence[Metric], rows: Rows, where: Sequence[str]) -> Finding | None:
        """The metrics of the whole that light up, beside the period before.

        Args:
            shown: The metrics, the first of which the sentence begins with.
            rows: The whole, by slot.
            where: Dimensions that the whole is limited by.
        """
        if not rows:
            return None
        side = self.sides(rows, ()).get((), Side({}, {}))
        lit = [metric for metric in shown if lights_up(metric, self.store, tuple(where))]
        nothing = {metric.name: worth(metric, {}, leaves(metric)) for metric in lit}
        now, past = {**nothing, **side.now}, {**nothing, **side.before} if self.before else {}
        table = []
        for metric in lit:
            title = f"{metric.title} (assumed)" if m.assumed(metric, self.store) else metric.title
            moved = self._moved(now[metric.name], past.get(metric.name), metric)
            row = {"metric": title, "now": self.said(now[metric.name], metric)}
            table.append(row | ({"before": self.said(past[metric.name], metric), "change": moved} if past else {}))
            self._say_gaps(metric, where)
        for metric in shown:
            if metric not in lit:
                self.caveats.append(f"{metric.title}: unknown, since the source lacks {self._lacking(metric, where)}.")
        change = self._moved(now["gmv"], past.get("gmv"), m.GMV)
        said = f", {change} on {self.before.title}" if change and self.before else ""
        buyers = f" by {self.said(now['buyers'], m.BUYERS)} buyers" if now.get("buyers") else ""
        orders = self.said(now["orders"], m.ORDERS)
        sentence = f"GMV was {self.said(now['gmv'], m.GMV)} from {orders} orders{buyers}{said}."
        columns = [Column("metric", "Metric"), Column("now", self.seen.title)]
        if self.before:
            columns += [Column("before", self.before.title), Column("change", "Change")]
        note = "Counted totals and sums over sums. Changes of shares are in percentage points."
        if any(m.assumed(metric, self.store) for metric in lit):
            note += " Profit rests on an assumed margin."
        numbers = {metric.name: now[metric.name] for metric in lit}
        grid = Grid(tuple(columns), tuple(table))
        return Finding("headline", sentence, Evidence.MEASURED, numbers, grid, None, note, 100.0)

    def trend(self, rows: Rows, metric: Metric) -> Finding | None:
        """GMV day by day, the period highlighted."""
        if not rows:
            return None
        at = {row["day"]: row[metric.name] for row in rows}
        first = self.before.first if self.before else self.seen.first
        days = [first + timedelta(days=n) for n in range((self.seen.last - first).days + 1)]
        values = [at.get(day, 0) for day in days]
        own = [(value, day) for day, value in zip(days, values, strict=True) if day in self.seen]
        best, when = max(own, key=lambda pair: (pair[0], pair[1]))
        idle = sum(not value for value, _ in own)
        sentence = f"The best day was {when:%a} {when.day} {when:%b %Y} with {self.said(best, metric)} {metric.title}"
        sentence += f"; nothing was sold on {idle} of {len(own)} days." if idle else "."
        chart = charts.trend(days, values, period=self.seen, unit=metric.unit, currency=self.currency)
        numbers = {"best": best, "idle_days": idle}
        return Finding("trend", sentence, Evidence.MEASURED, numbers, None, chart, "Counted by local day.", 90.0)

    def sides(self, rows: Rows, by: Sequence[str]) -> dict[tuple[Any, ...], Side]:
        """Return each group's metrics in the period and before, by the values of its dimensions."""
        found: dict[tuple[Any, ...], dict[int, Mapping[str, Any]]] = {}
        for row in rows:
            if row["slot"] in (NOW, BEFORE):
                found.setdefault(tuple(row[name] for name in by), {})[row["slot"]] = row
        return {key: Side(slots.get(NOW, {}), slots.get(BEFORE, {})) for key, slots in found.items()}

    def best(self, rows: Rows, name: str, metric: Metric) -> list[tuple[str, Side]]:
        """Return the groups of a kind with something to show, the greatest first."""
        key = KINDS[name].key
        found = [(id, side) for (id,), side in self.sides(rows, (key,)).items() if id and side.now.get(metric.name)]
        return sorted(found, key=lambda pair: (-pair[1].now[metric.name], pair[0]))

    def names(self, **ids: Iterable[str]) -> Callable[[str, str], str]:
        """Return what tells the title of a kind's id; the id itself where it has none. Each is looked up once."""
        asked = {kind: [id for id in some if (kind, id) not in self._names] for kind, some in ids.items()}
        found = titles(self.store, asked)
        for kind, some in asked.items():
            self._names |= {(kind, id): found.get((kind, id), id) for id in some}
        return lambda kind, id: self._names.get((kind, id), id)

    def ranking(
        self,
        name: str,
        best: Sequence[tuple[str, Side]],
        title: Callable[[str, str], str],
        beside: Mapping[Column, Callable[[str, Side], Any]],
        sentence: Callable[[str, float], str],
        weight: float,
        *,
        drawn: bool = False,
    ) -> Finding | None:
        """The best of a kind by GMV, each with its id to link to.

        Args:
            name: The kind.
            best: Ids and metrics of all, the greatest first.
            title: Tells the title of a kind's id.
            beside: Further columns, each with what it shows of an id.
            sentence: Says who is first, and with which share of GMV.
            weight: Headline order.
            drawn: Whether a chart is drawn too.
        """
        if not best:
            return None
        kind, total = KINDS[name], sum(side.now["gmv"] for _, side in best)
        top = best[: self.settings.top]
        columns = [Column(kind.key, f"{kind.title} id"), Column("title", kind.title), Column("gmv", "GMV", "money")]
        columns += [Column("change", "Change", "money")] if self.before else []
        columns += [Column("share", "Share", "share")]
        table = []
        for id, side in top:
            row = {kind.key: id, "title": title(name, id), "gmv": side.now["gmv"]}
            row |= {"share": float(side.now["gmv"]) / float(total) if total else None, "change": side.change(m.GMV)}
            table.append(row | {column.name: value(id, side) for column, value in beside.items()})
        first = float(best[0][1].now["gmv"]) / float(total) if total else 0.0
        bars = [(title(name, id), side.now["gmv"]) for id, side in top]
        chart = charts.ranked_bars(bars, unit="money", currency=self.currency, signed=False) if drawn else None
        note = f"Counted; the first {len(top)} of {len(best):,} with GMV. Change is against {self._before_said}."
        numbers = {"count": len(best), "gmv": total, "first_share": first}
        grid = Grid((*columns, *beside), tuple(table))
        said = sentence(title(name, best[0][0]), first)
        return Finding(f"{name}s", said, Evidence.MEASURED, numbers, grid, chart, note, weight)

    def sold_beside(self) -> dict[Column, Callable[[str, Side], Any]]:
        """Columns beside GMV in a ranking: pieces, and refunds as a share of GMV where the source has refunds."""
        beside: dict[Column, Callable[[str, Side], Any]] = {
            Column("items", "Items", "count"): lambda _, side: side.now["items"]
        }
        if self.store.has("refunds"):
            beside[Column("refund_rate", "Refund rate", "share")] = lambda _, side: worth(m.REFUND_RATE, side.now, ())
        return beside

    def study(self, findings: Sequence[Finding | None]) -> Study:
        """Return the page as a study, headline first."""
        told = tuple(sorted((f for f in findings if f is not None), key=lambda finding: -finding.weight))
        settings = {"kind": self.who.kind.name, "id": self.who.id, **asdict(self.settings)}
        caveats = tuple(dict.fromkeys(self.caveats))
        return Study("profiles", self.who.title, self.period, told, self.store.provenance, settings, caveats)

    @property
    def _before_said(self) -> str:
        return self.before.title if self.before else "no earlier period, of which there is no data"

    def _moved(self, now: Any, past: Any, metric: Metric) -> str:
        """Relative change on the period before in words; for shares the difference, in percentage points."""
        if now is None or past is None:
            return ""
        if metric.unit == "share":
            return human(float(now) - float(past), "points", signed=True)
        return human(float(now) / float(past) - 1, "share", signed=True) if float(past) > 0 else ""

    def say_lacking(self, words: Mapping[str, str]) -> None:
        """Name what the source has nothing of, so that nobody takes a missing finding for a nought.

        Args:
            words: What each table tells, by its name.
        """
        absent = [said for table, said in words.items() if not self.store.manifest.rows(table)]
        if absent and self.store.scope.creators is None:
            self.caveats.append(f"The source tells nothing of {', '.join(absent)}; nothing is shown of it.")

    def _lacking(self, metric: Metric, where: Sequence[str]) -> str:
        try:
            present(metric, self.store, tuple(where))
        except MissingDataError as error:
            return error.what.rsplit("lacks ", 1)[-1]
        return "nothing"

    def _say_gaps(self, metric: Metric, where: Sequence[str]) -> None:
        if isinstance(metric, Total) and (absent := left_out(metric, self.store, tuple(where))):
            names = ", ".join(leaf.title.lower() for leaf in absent)
            self.caveats.append(f"{metric.title} is computed without {names}: the source has none for this.")
        self.caveats.extend(partly_said((metric,), self.store))
