"""The study of one live session: what it came to, minute by minute, and what was pinned and dropped when."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from tradewind import charts
from tradewind.decisions.profiles.live_minutes import CROWD, SOLD, Drop, Room, Span, local, over, the_room, total
from tradewind.decisions.profiles.live_moments import moments
from tradewind.decisions.profiles.live_replay import Frame, Pinned, Replay, replay
from tradewind.decisions.profiles.live_summary import Summary, unit_of
from tradewind.engines.store import Store
from tradewind.errors import BadInputError
from tradewind.money import human
from tradewind.period import Period
from tradewind.study import Column, Evidence, Finding, Grid, Study

__all__ = ["Frame", "LiveSettings", "Pinned", "Replay", "profile", "replay"]

NOT_CAUSE = "Seen, not tried: who pins and drops picks the moment, so a difference is not what it caused."


@dataclass(frozen=True)
class LiveSettings:
    """What to show.

    Args:
        window: Minutes before and after a coupon drop that are put beside each other.
        unusual: Deviations from the usual change of viewers from which a minute mattered.
        most_moments: At most so many such minutes.

    Raises:
        BadInputError: If a setting is out of range.
    """

    window: int = 10
    unusual: float = 3.5
    most_moments: int = 6

    def __post_init__(self) -> None:
        if not (self.window >= 1 and self.unusual > 0 and self.most_moments >= 1):
            raise BadInputError(
                "A setting of the live session is out of range", got=asdict(self),
                allowed="a window of at least a minute, a positive score, at least one moment",
            )  # fmt: skip


def profile(store: Store, id: str, period: Period | None = None, settings: LiveSettings | None = None) -> Study:
    """Tell how one live session went.

    Args:
        store: The store, as the caller may see it.
        id: The session.
        period: Earlier sessions are put beside it only where they began in it; all where None.
        settings: What to show.

    Returns:
        Findings, as far as the tables have what they need: `summary`, `timeline`, `pins`, `drops`, `products` and
        `moments`. Its period are the session's days.

    Raises:
        NotFoundError: If there is none of that id, or nothing in it is the caller's: both read the same.
    """
    teller = _Teller(store, the_room(store, id), period, settings or LiveSettings())
    parts: tuple[Callable[[], Finding | None], ...] = (
        teller.summary, teller.timeline, teller.products, teller.pins, teller.drops, teller.moments,
    )  # fmt: skip
    findings = tuple(finding for part in parts if (finding := part()) is not None)
    return Study(
        "profiles", teller.title, teller.days, findings, store.provenance, asdict(teller.settings),
        tuple(teller.caveats),
    )  # fmt: skip


class _Teller:
    """Turns one session into findings, and collects what the data could not answer."""

    def __init__(self, store: Store, room: Room, period: Period | None, settings: LiveSettings):
        self.store, self.room, self.period, self.settings = store, room, period, settings
        self.currency = store.provenance.currency
        self.caveats: list[str] = []
        self.days = self._days()
        session = room.session
        words = [session.title or room.id, session.host, session.shop or "several shops"] if session else [room.id]
        self.title = f"Live session: {', '.join(word for word in words if word)}"
        self._said()

    def _days(self) -> Period:
        """The days of the session; where the caller is not told, those of what they see of it."""
        session = self.room.session
        if session is not None:
            last = session.ended_at or session.started_at + timedelta(minutes=max(self.room.length - 1, 0))
            return Period(local(self.store, session.started_at).date(), local(self.store, last).date())
        days = [local(self.store, drop.at).date() for drop in self.room.drops]
        if self.store.has("order_lines", "live_id"):
            lines = self.store.table("order_lines")
            lines = lines.filter(lines.live_id == self.room.id)
            [found] = self.store.run(lines.aggregate(first=lines.day.min(), last=lines.day.max())).to_pylist()
            days += [day for day in found.values() if day is not None]
        if days:
            return Period(min(days), max(days))
        self.caveats.append("On which day it was is not told to you: the period shown is that of all your data.")
        return self.store.span

    def _said(self) -> None:
        """Say what the caller sees of the session and what the source left out."""
        room, scope = self.room, self.store.scope
        if room.session is None:
            self.caveats.append(
                "The session sells for several shops: you see the minutes of your own products only, not when it "
                "began, its viewers, its host or its costs. Clicks, orders and GMV are of your own products."
            )
        elif scope.shops is not None and scope.creators is None:
            self.caveats.append("Clicks, orders and GMV are of your own products only.")
        if nameless := [id for id in room.products if id not in room.titles]:
            self.caveats.append(
                f"{len(nameless)} of its {len(room.products)} products have no title that you may see: their ids stand "
                "for them."
            )
        for rows, names, what in ((list(room.minutes.values()), CROWD, "minutes"), (room.sales, SOLD, "product rows")):
            for name in names:
                known = sum(row[name] is not None for row in rows)
                if 0 < known < len(rows):
                    self.caveats.append(f"{name} is known for {known:,} of its {len(rows):,} {what} only.")
        empty = sum(n not in room.minutes for n in range(room.length))
        if room.session is not None and not room.minutes:
            self.caveats.append("The source has no minutes of its viewers: what needs them is left out.")
        elif room.minutes and empty:
            self.caveats.append(f"The viewers of {empty:,} of its {room.length:,} minutes are not recorded.")
        if not room.sales:
            self.caveats.append("The source has no minutes of its products: what they sold when is unknown.")
        elif silent := room.length - len(room.sold):
            self.caveats.append(
                f"{silent:,} of its {room.length:,} minutes have no row of a product: they count in no rate a minute."
            )
        if not room.drops:
            self.caveats.append("It had no coupon drop that is recorded.")

    def _say(self, value: Any, unit: str) -> str:
        return human(value, unit, self.currency)

    def summary(self) -> Finding:
        """What it came to, beside the earlier sessions of its host and shop."""
        finding, caveats = Summary(self.store, self.room, self.days, self.period).told()
        self.caveats += caveats
        return finding

    def timeline(self) -> Finding | None:
        """All of it on one axis of minutes."""
        room = self.room
        if not room.length:
            return None
        every = range(room.length)
        name = "gmv" if any(row["gmv"] is not None for row in room.sales) else "orders"
        labels = self._labels()
        sales: dict[str, list[Any]] = {labels[id]: [None] * room.length for id in room.products}
        for row in room.sales:
            sales[labels[row["product_id"]]][row["minute"]] = row[name]
        joins = {"organic joins": room.crowd("joins_organic"), "paid joins": room.crowd("joins_paid"),
                 "leaves": room.crowd("leaves")}  # fmt: skip
        chart = charts.live_room(
            room.crowd("viewers"),
            joins,
            sales,
            [(labels[span.product_id], span.first, span.last) for span in room.spans],
            [(drop.minute, _claims(drop)) for drop in room.drops if drop.minute is not None and drop.minute in every],
            unit="money" if name == "gmv" else "count",
            currency=self.currency,
        )
        seen = {n: v for n, v in enumerate(room.crowd("viewers")) if v is not None}
        sold = {n: v for n, v in enumerate(room.taken(name, every)) if v}
        words = []
        numbers: dict[str, Any] = {}
        if seen:
            top = max(seen, key=lambda n: seen[n])
            numbers |= {"peak_minute": top, "peak": seen[top]}
            words.append(f"Most viewers, {seen[top]:,}, were there in minute {top}")
        if sold:
            best = max(sold, key=lambda n: sold[n])
            numbers |= {"best_minute": best, "best": sold[best]}
            what = "GMV" if name == "gmv" else "orders"
            words.append(f"most {what}, {self._say(sold[best], unit_of(name))}, came in minute {best}")
        sentence = "; ".join(words) if words else "Neither viewers nor sales of its minutes are known"
        note = (
            "Minutes since it began, from the tables of minutes. Where nothing is recorded the line has a gap. When a "
            "room closes all leave: that bar is cut where it would dwarf the others."
        )
        return Finding(
            "timeline", f"{sentence[0].upper()}{sentence[1:]}.", Evidence.MEASURED, numbers, None, chart, note, 90.0
        )

    def _labels(self) -> dict[str, str]:
        """A title for each product, with its id where two have the same."""
        titles = [self.room.title_of(id) for id in self.room.products]
        return {
            id: title if titles.count(title) == 1 else f"{title} ({id})"
            for id, title in zip(self.room.products, titles, strict=True)
        }

    def products(self) -> Finding | None:
        """What each product did in the session."""
        room = self.room
        if not room.sales:
            return None
        rows = []
        for id in room.products:
            own = [row for row in room.sales if row["product_id"] == id]
            sums = {name: total(row[name] for row in own) for name in SOLD}
            rows.append(
                {"product": room.title_of(id), "product_id": id, "pinned": sum(bool(row["pinned"]) for row in own),
                 **sums, "ctr": over(sums["clicks"], sums["impressions"]),
                 "cvr": over(sums["orders"], sums["clicks"])}
            )  # fmt: skip
        rows.sort(key=lambda row: (-(row["gmv"] or 0), -(row["orders"] or 0), row["product_id"]))
        whole = total(row["gmv"] for row in rows)
        best = rows[0]
        sentence = f"{len(rows)} products were in it"
        if whole:
            share = human(over(best["gmv"], whole), "share")
            sentence += f"; {best['product']} brought {self._say(best['gmv'], 'money')}, {share} of GMV"
            sentence += f", and was pinned for {best['pinned']:,} minutes"
        columns = (
            Column("product", "Product"), Column("pinned", "Minutes pinned", "count"), *_sold(),
            Column("cvr", "Orders per click", "share"),
        )  # fmt: skip
        note = "Counted from the minutes of products; an order of two products counts with each."
        return Finding(
            "products", sentence + ".", Evidence.MEASURED, {"products": len(rows), "gmv": whole},
            Grid(columns, tuple(rows)), None, note, 80.0,
        )  # fmt: skip

    def pins(self) -> Finding | None:
        """What each pinned product did while it was pinned, beside the room's other minutes."""
        room = self.room
        if not room.spans:
            return None
        rows = [self._pin(span) for span in room.spans]
        best = max(rows, key=lambda row: row["rate"] or 0)
        sentence = f"{len({span.product_id for span in room.spans})} products were pinned, {len(rows)} times in all"
        if best["rate"]:
            sentence += (
                f"; {best['product']} did best, in minutes {best['first']} to {best['last']}: "
                f"{self._say(best['rate'], 'money')} of GMV a minute"
            )
            if best["elsewhere"] is not None:
                sentence += f", while in its other minutes the room sold for {self._say(best['elsewhere'], 'money')}"
        columns = (
            Column("product", "Product"), Column("first", "From minute", "count"), Column("last", "To minute", "count"),
            *_sold(), Column("rate", "Its GMV a minute", "money"), Column("room", "The room's GMV a minute", "money"),
            Column("elsewhere", "In the room's other minutes", "money"),
        )  # fmt: skip
        return Finding(
            "pins", sentence + ".", Evidence.OBSERVATIONAL, {"pins": len(rows)}, Grid(columns, tuple(rows)), None,
            f"Counted, then put beside the room's GMV in all minutes outside that span. {NOT_CAUSE}", 70.0,
        )  # fmt: skip

    def _pin(self, span: Span) -> dict[str, Any]:
        room = self.room
        inside = range(span.first, span.last + 1)
        own = [row for n in inside for row in room.sold.get(n, ()) if row["product_id"] == span.product_id]
        sums = {name: total(row[name] for row in own) for name in SOLD}
        outside = [n for n in range(room.length) if n not in inside]
        return {
            "product": room.title_of(span.product_id), "product_id": span.product_id, "first": span.first,
            "last": span.last, **sums, "ctr": over(sums["clicks"], sums["impressions"]),
            "rate": _rate([row["gmv"] for row in own]), "room": _rate(room.taken("gmv", inside)),
            "elsewhere": _rate(room.taken("gmv", outside)),
        }  # fmt: skip

    def drops(self) -> Finding | None:
        """Each coupon drop, with the minutes before it beside those after."""
        if not self.room.drops:
            return None
        rows = [self._drop(drop) for drop in self.room.drops]
        claimed, quantity = (total(row[name] for row in rows) for name in ("claimed", "quantity"))
        sentence = f"{len(rows)} coupon drop{'s' if len(rows) > 1 else ''}"
        if claimed is not None and quantity:
            sentence += f": {claimed:,} of {quantity:,} coupons claimed"
        best = max((row for row in rows if row["orders_before"] is not None and row["orders_after"] is not None),
                   key=lambda row: row["orders_after"] - row["orders_before"], default=None)  # fmt: skip
        if best is not None:
            sentence += (
                f"; in the {best['window']} minutes from minute {best['minute']} on there were "
                f"{best['orders_after']:,} orders, after {best['orders_before']:,} in as many before"
            )
        columns = (
            Column("minute", "Minute", "count"), Column("coupon_id", "Coupon"), Column("quantity", "Coupons", "count"),
            Column("claimed", "Claimed", "count"), Column("window", "Minutes before and after", "count"),
            Column("viewers_before", "Viewers before", "ratio"), Column("viewers_after", "Viewers after", "ratio"),
            Column("orders_before", "Orders before", "count"), Column("orders_after", "Orders after", "count"),
        )  # fmt: skip
        note = (
            f"Viewers on average and orders in all, in up to {self.settings.window} minutes before the drop's minute "
            f"and in as many from it on; fewer where the session has fewer on a side. {NOT_CAUSE}"
        )
        numbers = {"drops": len(rows), "claimed": claimed, "quantity": quantity}
        return Finding(
            "drops", sentence + ".", Evidence.OBSERVATIONAL, numbers, Grid(columns, tuple(rows)), None, note, 60.0
        )

    def _drop(self, drop: Drop) -> dict[str, Any]:
        room, at = self.room, drop.minute
        window = 0 if at is None else max(0, min(self.settings.window, at, room.length - at))
        row: dict[str, Any] = {
            "minute": at, "coupon_id": drop.coupon_id, "at": local(self.store, drop.at), "quantity": drop.quantity,
            "claimed": drop.claimed, "window": window,
        }  # fmt: skip
        for side, step in (("before", -window), ("after", 0)):
            minutes = range(at + step, at + step + window) if at is not None else range(0)
            row[f"viewers_{side}"] = _rate(room.crowd("viewers", minutes))
            row[f"orders_{side}"] = total(room.taken("orders", minutes))
        return row

    def moments(self) -> Finding | None:
        """The minutes in which viewers came or went beyond what is usual."""
        settings = self.settings
        found = moments(self.room, settings.unusual, settings.most_moments)
        if found is None:
            if self.room.minutes:
                self.caveats.append("Too few minutes of viewers are known to say which changes are unusual.")
            return None
        rows = [
            {"minute": x.minute, "clock": self._clock(x.minute), "before": x.before, "after": x.after,
             "change": x.after - x.before, "score": x.score, "beside": "; ".join(x.beside) or "nothing recorded"}
            for x in found
        ]  # fmt: skip
        if found:
            top = max(found, key=lambda x: abs(x.score))
            word = "gain" if top.after > top.before else "loss"
            sentence = (
                f"In {len(found)} minute{'s' if len(found) > 1 else ''} viewers came or went beyond what is usual; the "
                f"sharpest {word} was from {top.before:,} to {top.after:,} in minute {top.minute}"
            )
        else:
            sentence = "In no minute did viewers come or go beyond what is usual in this session"
        columns = (
            Column("minute", "Minute", "count"), Column("clock", "Local time"),
            Column("before", "Viewers before", "count"), Column("after", "Viewers", "count"),
            Column("change", "Change", "count"), Column("score", "Usual deviations", "ratio"),
            Column("beside", "What happened there"),
        )  # fmt: skip
        note = (
            "Change of viewers on the minute before, less the session's median change, in robust deviations (1.4826 × "
            f"the median absolute deviation); shown from {settings.unusual:g} on. What stands beside it happened then; "
            "whether it was the cause is not known."
        )
        return Finding(
            "moments", sentence + ".", Evidence.OBSERVATIONAL, {"moments": len(rows)}, Grid(columns, tuple(rows)), None,
            note, 50.0,
        )  # fmt: skip

    def _clock(self, minute: int) -> str:
        session = self.room.session
        return f"{self._at(session.started_at, minute):%H:%M}" if session else ""

    def _at(self, began: datetime, minute: int) -> datetime:
        return local(self.store, began + timedelta(minutes=minute))


def _rate(values: Sequence[Any]) -> float | None:
    """Mean over the minutes whose value is known; None where none is."""
    known = [value for value in values if value is not None]
    return over(total(known), len(known))


def _claims(drop: Drop) -> str:
    known = [human(value, "count") for value in (drop.claimed, drop.quantity) if value is not None]
    if len(known) == 2:
        return f"{known[0]} of {known[1]} claimed"
    if drop.claimed is not None:
        return f"{known[0]} claimed"
    return f"{known[0]} coupons" if known else "coupons"


def _sold() -> tuple[Column, ...]:
    return (
        Column("impressions", "Impressions", "count"), Column("clicks", "Clicks", "count"),
        Column("ctr", "CTR", "share"), Column("orders", "Orders", "count"), Column("gmv", "GMV", "money"),
    )  # fmt: skip
