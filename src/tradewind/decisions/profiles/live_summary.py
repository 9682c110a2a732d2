"""What one live session came to, beside earlier ones, and what merchants keep of it."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

from tradewind.decisions.profiles.live_minutes import Room, local, total
from tradewind.decisions.profiles.live_past import earlier, totals, usual
from tradewind.engines.store import Store
from tradewind.measures import metrics as m
from tradewind.measures.query import Query, lights_up, partly_said
from tradewind.money import human
from tradewind.period import Period
from tradewind.study import Column, Evidence, Finding, Grid

SHOWN: tuple[tuple[str, str, str], ...] = (
    ("minutes", "Minutes on air", "count"),
    ("peak", "Most viewers at once", "count"),
    ("viewers", "Viewers on average", "ratio"),
    ("watched", "Minutes watched by viewers", "count"),
    ("joins", "Viewers who came", "count"),
    ("clicks", "Clicks on products", "count"),
    ("orders", "Orders", "count"),
    ("conversion", "Orders per click", "share"),
    ("gmv", "GMV", "money"),
    ("per_hour", "GMV per hour watched", "money"),
    ("claimed", "Coupons claimed", "count"),
    ("host_cost", "Cost of the host", "money"),
    ("slot_fee", "Slot fee", "money"),
)
"""The numbers of a session: their name in `Totals`, title and unit."""


class Summary:
    """Sums up one session.

    Args:
        store: The store, as the caller may see it.
        room: The session.
        days: Its days.
        period: Earlier sessions count where they began in it; all where None.
    """

    def __init__(self, store: Store, room: Room, days: Period, period: Period | None):
        self.store, self.room, self.days, self.period = store, room, days, period
        self.currency = store.provenance.currency
        self.totals = totals(room)
        self.caveats: list[str] = []

    def _say(self, value: Any, unit: str) -> str:
        return human(value, unit, self.currency)

    def told(self) -> tuple[Finding, list[str]]:
        """Return the finding, and what the data could not answer."""
        room, found = self.room, self.totals
        past = earlier(self.store, room, self.period)
        sides = [("host", "host", past.host), ("shop", "shop", past.shop)]
        sides = [side for side in sides if side[2]]
        rows = []
        numbers: dict[str, Any] = {}
        for name, title, unit in SHOWN:
            value = getattr(found, name)
            row: dict[str, Any] = {"what": title, "now": self._say(value, unit)}
            numbers[name] = value
            for side, _, sessions in sides:
                middle, known = usual(sessions, name)
                numbers[f"{side}_{name}"] = middle
                row[side] = self._say(middle, unit) + (f" (of {known})" if 0 < known < len(sessions) else "")
            rows.append(row)
        numbers |= {"host_sessions": len(past.host), "shop_sessions": len(past.shop)}
        credited = self._credited()
        numbers |= {name: value for name, (_, value) in credited.items()}
        blank = dict.fromkeys((side for side, _, _ in sides), "")
        rows += [{"what": title, "now": self._say(value, unit_of(name)), **blank}
                 for name, (title, value) in credited.items()]  # fmt: skip
        columns = (
            Column("what", "Number"), Column("now", "This session"),
            *(Column(side, f"Median of the {of}'s earlier sessions ({len(sessions)})") for side, of, sessions in sides),
        )  # fmt: skip
        self._compared(past.endless, bool(past.host), bool(past.shop))
        note = "Counted from the session's own minutes."
        if sides:
            note += (
                " Beside it stand medians of sessions that had ended before it began"
                f"{f' and began {self.period.during}' if self.period else ''}, of those that you may see."
            )
        if credited:
            note += (
                " Clicks, orders and GMV are those of its minutes, since only these tell when; order lines credited to "
                "the session are paid lines by attribution and may differ. The contribution counts refunds so far."
            )
        grid = Grid(columns, tuple(rows))
        finding = Finding("summary", self._summed(numbers), Evidence.MEASURED, numbers, grid, None, note, 100.0)
        return finding, self.caveats

    def _summed(self, numbers: dict[str, Any]) -> str:
        found, when = self.totals, self._when()
        parts = []
        if found.orders is not None:
            parts.append(f"{self._say(found.orders, 'count')} orders")
        if found.gmv is not None:
            parts.append(f"GMV of {self._say(found.gmv, 'money')}")
        if found.peak is not None:
            average = self._say(found.viewers, "ratio")
            parts.append(f"{average} viewers on average, {self._say(found.peak, 'count')} at most")
        sentence = f"{when}{': ' if parts else ''}{', '.join(parts)}"
        for side, of in (("host", "the host's"), ("shop", "the shop's")):
            if (middle := numbers.get(f"{side}_gmv")) is not None and found.gmv is not None:
                count = numbers[f"{side}_sessions"]
                past = "earlier session had a" if count == 1 else f"{count} earlier sessions had a median"
                sentence += f"; {of} {past} GMV of {self._say(middle, 'money')}"
                break
        return sentence + "."

    def _when(self) -> str:
        session = self.room.session
        long = self.totals.minutes
        lasting = (
            f"{int(long // 60)} h {int(long % 60)} min" if long is not None and long >= 60 else f"{long or 0:.0f} min"
        )
        if session is None:
            return f"Own products in a session of several shops, {self.days.title}"
        start = local(self.store, session.started_at)
        words = f"{start:%a} {start.day} {start:%b %Y}, {start:%H:%M}"
        if session.ended_at is not None:
            return f"{words} to {local(self.store, session.ended_at):%H:%M} ({lasting})"
        self.caveats.append("When it ended is not recorded: how long it was is counted from its minutes.")
        return f"{words}{f' ({lasting})' if long else ''}"

    def _credited(self) -> dict[str, tuple[str, Any]]:
        """What order lines credit to the session, and what merchants keep of it, where the caller may see it."""
        store, room = self.store, self.room
        if not store.has("order_lines", "live_id"):
            self.caveats.append(
                "Order lines that name this session are not there for you: its contribution is unknown."
            )
            return {}
        profit = lights_up(m.MERCHANT_PROFIT, store, ("live_id",))
        asked = (m.GMV, m.ORDERS, m.MERCHANT_PROFIT) if profit else (m.GMV, m.ORDERS)
        whole = Period(date.min, date.max)  # lines count that name it, and their refunds whenever they were booked
        rows = store.metrics(Query(asked, whole, where={"live_id": (room.id,)})).to_pylist()
        row = rows[0] if rows else {}
        found: dict[str, tuple[str, Any]] = {
            "credited_orders": ("Orders credited to it", row.get("orders") or 0),
            "credited_gmv": ("GMV credited to it", row.get("gmv") or Decimal(0)),
        }
        if not profit:
            self.caveats.append("Contribution to merchants: unknown, since the source has no unit cost.")
            return found
        supposed = " (assumed)" if m.assumed(m.MERCHANT_PROFIT, store) else ""
        kept = row.get("merchant_profit") or Decimal(0)
        found["merchant_profit"] = (f"Contribution to merchants{supposed}", kept)
        self.caveats.extend(partly_said((m.COST,), store))
        cost = total((self.totals.host_cost, self.totals.slot_fee))
        if cost is not None:
            found["profit_after_room"] = (f"… after host and slot fee{supposed}", kept - cost)
        return found

    def _compared(self, endless: int, host: bool, shop: bool) -> None:
        session = self.room.session
        if endless:
            self.caveats.append(f"{endless} earlier sessions are left out, since nobody knows when they ended.")
        if session is None:
            return
        if session.creator_id and not host:
            self.caveats.append("No session of its host that you may see had ended before it began.")
        if session.shop_id and not shop:
            self.caveats.append("No session of its shop that you may see had ended before it began.")


def unit_of(name: str) -> str:
    """Return the unit of a number by its name: a count of orders, else money."""
    return "count" if name.endswith("orders") else "money"
