"""Windows of equal length cut out of a store or a purchase log, for `worlds.py`: what each statistic is counted over.

A world's history is 180 days, so whatever is counted in a real source is counted in 180 days too: in its last two such
windows that do not overlap, or in as many as it has. A source's value is the mean of its windows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import ibis
import numpy as np
import pandas as pd

from tradewind.engines.store import Store

DAYS = 180
MOST = 2
"""Windows of a real source, counted back from its end."""
GROUPS = 10
"""Groups of the jackknife: one of ten is left out at a time."""


@dataclass(frozen=True)
class Window:
    """What a source tells of some days.

    Args:
        lines: One row for each product of an order: `order`, `customer` (none: −1), `shop`, `product` as whole numbers,
            `day` from the first, `weekday`, `hour`, `quantity`, `gross`, `discount` (whoever pays it), `value` (after
            the seller's discounts) and `new` (whether the customer is new in these days). What a source does not tell
            has no column.
        refunds: `day`, `amount` and `count` of refunds; empty where the source has none.
    """

    lines: pd.DataFrame
    refunds: pd.DataFrame

    def without(self, unit: str) -> Iterator[Window]:
        """Leave out one tenth of the units at a time: customers, products, shops, orders or weeks."""
        for group in range(GROUPS):
            if unit == "week":
                kept, back = self.lines["day"] // 7 % GROUPS != group, self.refunds["day"] // 7 % GROUPS != group
                yield Window(self.lines[kept], self.refunds[back])
            else:
                yield Window(self.lines[self.lines[unit] % GROUPS != group], self.refunds)

    def thinned(self, unit: str, lines_each: float, lot: int) -> Window:
        """Keep so many orders by lot that each unit sold has so many lines on average, or all where it has no more."""
        drawn = np.random.default_rng(lot).random(int(self.lines["order"].max()) + 1)[self.lines["order"]]
        low, high = 0.0, 1.0
        for _ in range(20):
            share = (low + high) / 2
            kept = self.lines[drawn < share]
            enough = len(kept) / max(kept[unit].nunique(), 1) > lines_each
            low, high = (low, share) if enough else (share, high)
        return Window(self.lines[drawn < high], self.refunds)


def windows(store: Store, most: int = MOST) -> list[Window]:
    """Return the last windows of a store, the latest first."""
    first, last = store.span.first, _end(store)
    count = max(1, min(most, ((last - first).days + 1) // DAYS))
    starts = [max(first, last - timedelta(days=DAYS * (n + 1) - 1)) for n in range(count)]
    return [_window(store, start) for start in starts]


def _end(store: Store) -> date:
    """Return the last day of the last week that is not cut short: with at least half the orders of sixty days before.

    Olist's last week has a third of the orders of those before it, since the extract ends among them.
    """
    lines = store.table("order_lines")
    daily = store.run(lines.group_by("day").aggregate(orders=lines.order_id.nunique())).to_pandas()
    orders = daily.set_index("day")["orders"].sort_index()
    last = store.span.last
    while orders[last - timedelta(days=6) : last].sum() < 3.5 * orders[last - timedelta(days=66) : last].median():
        last -= timedelta(days=7)
    return last


def _paid(store: Store) -> ibis.Table:
    """Order lines that were paid; all where the source tells no payments."""
    lines = store.table("order_lines")
    if not store.has("order_status"):
        return lines
    status = store.table("order_status")
    return lines.semi_join(status.filter(status.status == "paid"), ["order_id", "line"])


def _window(store: Store, start: date) -> Window:
    lines = _paid(store)
    end = start + timedelta(days=DAYS)
    lines = lines.filter(lines.day >= start, lines.day < end)
    gross = lines.unit_price.cast("float64") * lines.quantity.cast("float64")
    lines = lines.mutate(gross=gross, hour_of_day=lines.hour.hour())
    columns = ["order_id", "customer_id", "shop_id", "product_id", "day", "hour_of_day", "quantity", "gross"]
    if store.has("order_discounts"):
        found = store.table("order_discounts")
        amount = found.amount.cast("float64")
        sums = found.group_by("order_id", "line").aggregate(
            discount=amount.sum(), seller=amount.sum(where=found.payer == "merchant").fill_null(0.0)
        )
        lines = lines.left_join(sums, ["order_id", "line"]).select(*columns, "discount", "seller")
        lines = lines.mutate(discount=lines.discount.fill_null(0.0), seller=lines.seller.fill_null(0.0))
    else:
        lines = lines.select(*columns).mutate(discount=ibis.literal(0.0), seller=ibis.literal(0.0))
    merged = lines.group_by("order_id", "product_id", "shop_id").aggregate(
        customer_id=lines.customer_id.max(),
        day=lines.day.min(),
        hour=lines.hour_of_day.min(),
        quantity=lines.quantity.sum(),
        gross=lines.gross.sum(),
        discount=lines.discount.sum(),
        value=(lines.gross - lines.seller).sum(),
    )
    frame = store.run(merged).to_pandas().sort_values(["order_id", "product_id", "shop_id"], ignore_index=True)
    days = pd.to_datetime(frame["day"])
    frame["day"], frame["weekday"] = (days - pd.Timestamp(start)).dt.days, days.dt.weekday
    new = _new(store, start)
    if new is not None:
        frame["new"] = frame["customer_id"].isin(new)
    for name in ("order", "customer", "shop", "product"):
        frame[name] = _shuffled(frame.pop(f"{name}_id"))
    frame["quantity"] = frame["quantity"].astype(float)
    untold = [] if store.has("order_discounts") else ["discount"]
    untold += [] if frame["shop"].nunique() > 1 else ["shop"]
    return Window(frame.drop(columns=untold), _refunds(store, start, end))


def _shuffled(names: pd.Series) -> np.ndarray:
    """Number names by lot, none as −1: in the order in which they come, tenths would be alike in when they came."""
    codes, known = pd.factorize(names)
    return np.append(np.random.default_rng(0).permutation(len(known)), -1)[codes]


def _new(store: Store, start: date) -> pd.Series | None:
    """Return who is new from a day on: by the customers' own date, else by first orders after a half year of others."""
    if store.has("customers", "first_seen_at"):
        table = store.table("customers")
        found = store.run(table.filter(table.first_seen_at.date() >= start).select("customer_id"))
        return found.to_pandas()["customer_id"]
    lines = store.table("order_lines")
    if start < store.span.first + timedelta(days=DAYS) or store.provenance.source == "complete_journey":
        return None  # too little history before it; the grocer's households were chosen as customers of long standing
    first = lines.group_by("customer_id").aggregate(first=lines.day.min())
    return store.run(first.filter(first["first"] >= start).select("customer_id")).to_pandas()["customer_id"]


def _refunds(store: Store, start: date, end: date) -> pd.DataFrame:
    if not store.has("refunds"):
        return pd.DataFrame({"day": [], "amount": [], "count": []})
    table = store.table("refunds")
    table = table.filter(table.day >= start, table.day < end)
    daily = table.group_by("day").aggregate(amount=table.amount.cast("float64").sum(), count=table.count())
    frame = store.run(daily).to_pandas()
    frame["day"] = (pd.to_datetime(frame["day"]) - pd.Timestamp(start)).dt.days
    return frame


def cdnow(data: Path) -> list[Window]:
    """Return CDNOW's purchases: everyone who first bought at a music shop on the web in early 1997, from January on."""
    path = data / "cdnow" / "CDNOW_master.txt"
    frame = pd.read_csv(path, sep=r"\s+", header=None, names=["customer", "date", "quantity", "value"], dtype=str)
    frame = frame[frame["date"].str.fullmatch(r"\d{8}")]
    day = (pd.to_datetime(frame["date"]) - pd.Timestamp("1997-01-01")).dt.days
    frame = pd.DataFrame({
        "customer": _shuffled(frame["customer"]), "day": day, "quantity": frame["quantity"].astype(float),
        "value": frame["value"].astype(float), "order": np.arange(len(frame)), "new": True,
    })  # fmt: skip
    empty = pd.DataFrame({"day": [], "amount": [], "count": []})
    return [Window(frame[frame["day"] < DAYS].reset_index(drop=True), empty)]
