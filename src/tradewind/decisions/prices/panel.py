"""Panel: what each product sold, at which price, week by week, as known on the last day in question."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tradewind.decisions.prices.reference import rebased
from tradewind.engines.campaigns import marketplace_days, meets
from tradewind.engines.store import Store
from tradewind.errors import MissingDataError
from tradewind.measures import metrics as m
from tradewind.measures.fact import Row
from tradewind.measures.facts import SALES
from tradewind.measures.metric import Additive
from tradewind.measures.query import Query, lights_up
from tradewind.period import Period
from tradewind.study import Lever

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

WEEKS = 26  # weeks of history that prices and demand are learnt from
FEWEST = 6  # weeks: four are held out to choose how fast the past is forgotten
DENSE = 0.6  # share of weeks in which a product sold, for its price to be known from its sales alone
CLEAR = 0.8  # share of what prices vary by that an experiment's arms explain, if it is one about prices
DEEPEST = 0.9  # share off the list price beyond which a record counts as an error
ANYWAY = 3  # days without stock on which something was ordered, from which on stock does not limit what is sold


def _of_paid(metric: Additive) -> Additive:
    """The same metric over lines that the seller asked money for: what is given away for nothing is no demand."""

    def value(row: Row) -> ir.Value:
        asked = row.gmv.cast("float64") > (1 - DEEPEST) * row.gross.cast("float64")
        return asked.ifelse(metric.value(row), 0)

    return Additive(
        name=f"{metric.name}_paid", title=metric.title, unit=metric.unit, better=metric.better, fact=SALES, value=value,
        doc="Of lines that were not given away.",
    )  # fmt: skip


PAID = tuple(_of_paid(metric) for metric in (m.ITEMS, m.GMV, m.GROSS_SALES))


@dataclass(frozen=True)
class Panel:
    """Products by weeks (Monday to Sunday; the first and the last may be cut).

    Args:
        products: [n] ids in rising order.
        shops: [n] the shop of each; empty where several sell it.
        category: [n] path of each; empty where none is known.
        weeks: [w] first day of each week.
        last: Last day that is known.
        units: [n, w] pieces sold, without what was given away.
        off: [n, w] share off the list price, where that was raised for a while only off what is usual; NaN where the
            product was not on sale or nothing tells.
        usual: [n] what is usually the list price: today's, but where that was raised for a while only.
        raised: [n] whether list prices were raised for a while without being asked.
        drawn: [n, w] whether the week's price was drawn by lot.
        planned: [n, w] whether a launched plan set the price on some day of the week.
        arms: [n, w] share off the list price that was drawn, on average over its arm; NaN where none was.
        list_price: [n] list price now; NaN where none is known.
        price: [n] price now.
        cost: [n] unit cost now; NaN where none is known.
        assumed: [n] whether it rests on an assumed margin of the list price.
        active: [n] whether it is on sale now.
        clicks: [n, 2] clicks in the four weeks before the last four, and in the last four; NaN without traffic.
        told: Whether prices come from listings, rather than from what was paid.
        stocked: [n, w] 0 where there was stock on no day of the week, else 1, also where nothing tells.
        short: [n, w] whether a day of the week ended without any, so that more might have been sold.
        held: [n] pieces on hand when the last day ended; NaN where nothing tells, or it is sold without stock.
        campaigns: Days of the marketplace's own campaigns, known and to come; none where hardly a week is without.
    """

    products: tuple[str, ...]
    shops: tuple[str, ...]
    category: tuple[str, ...]
    weeks: tuple[date, ...]
    last: date
    units: Array
    off: Array
    usual: Array
    raised: Flags
    drawn: Flags
    planned: Flags
    arms: Array
    list_price: Array
    price: Array
    cost: Array
    assumed: Flags
    active: Flags
    clicks: Array
    told: bool
    stocked: Array
    short: Flags
    held: Array
    campaigns: frozenset[date]

    @property
    def campaign(self) -> Flags:
        """[w] whether the marketplace had a campaign in the known days of each week."""
        return np.array(
            [meets(self.campaigns, week, int(days)) for week, days in zip(self.weeks, self.days, strict=True)]
        )

    @property
    def out(self) -> Flags:
        """[n] whether the last day ended without any."""
        return np.asarray(self.held <= 0)

    @property
    def days(self) -> Array:
        """[w] days of each week that are known."""
        ends = [min(week + timedelta(days=6 - week.weekday()), self.last) for week in self.weeks]
        return np.array([(end - week).days + 1.0 for week, end in zip(self.weeks, ends, strict=True)])

    @property
    def sellers(self) -> Flags:
        """[n, w] whether a price is known that the seller set: no lot and no launched plan tells what one would do."""
        return np.asarray(~np.isnan(self.off) & ~self.drawn & ~self.planned)

    @property
    def dense(self) -> Flags:
        """[n] whether a product's price is known in enough weeks to tell how demand answers to it."""
        if self.told:
            return np.asarray(self.units.sum(axis=1) > 0)
        return np.asarray((self.units > 0).mean(axis=1) >= DENSE)


def read(store: Store, last: date) -> Panel:
    """Return the panel of the weeks up to a day.

    Args:
        store: The store, as the caller may see it.
        last: Last day that may be known.

    Raises:
        MissingDataError: If fewer than six weeks are known, or no product was sold.
    """
    first = max(store.span.first, last - timedelta(days=7 * WEEKS - 1))
    days = Period(first, last)
    monday = first - timedelta(days=first.weekday())
    weeks = [monday + timedelta(days=7 * n) for n in range((last - monday).days // 7 + 1)]
    if len(weeks) < FEWEST:
        raise MissingDataError(
            "Prices need six weeks of sales up to the last day in question", got=f"{days.days} days",
            do="choose a later period, or import more days",
        )  # fmt: skip
    sold = store.metrics(Query(PAID, days, ("product_id",), every="week"))
    told = store.has("product_history", "sale_price") and store.has("product_history", "list_price")
    listed = _listed(store, last) if told else None
    ids = strings(listed["product_id"]) if listed is not None else strings(sold["product_id"])
    products = np.unique(ids[ids != ""])
    if not len(products):
        raise MissingDataError("No product was sold", do="choose another period")
    shape = (len(products), len(weeks))
    row = places(products, strings(sold["product_id"]))
    column = np.array([(week - monday).days // 7 for week in sold["week"].to_pylist()], np.int64)
    units, gmv, gross = (summed(shape, row, column, floats(sold[each.name])) for each in PAID)
    shops, category = _about(store, products)
    raised = np.zeros(len(products), bool)
    drawn = np.zeros(shape, bool)
    arms = np.full(shape, np.nan)
    if listed is not None:
        zone = ZoneInfo(store.provenance.timezone)
        off, usual, raised, now = _from_listings(listed, products, weeks, last, zone)
        drawn, arms = _by_lot(store, products, weeks, off, zone)
    else:
        off, now = _from_sales(units, gmv, gross)
        usual = now["list"]
    cost = now["cost"]
    if store.has("order_lines", "unit_cost"):
        cost = np.where(np.isnan(cost), _paid_cost(store, days, products), cost)
    margin = store.assumptions.margin
    assumed = np.isnan(cost) & (margin is not None)
    if margin is not None:
        cost = np.where(np.isnan(cost), now["list"] * (1 - margin), cost)
    starts = tuple(max(week, first) for week in weeks)
    campaigns = marketplace_days(store, days)
    if sum(not meets(campaigns, week, 7) for week in weeks) < FEWEST:
        campaigns = frozenset()
    return Panel(
        tuple(products.tolist()), shops, category, starts, last, units, off, usual, raised, drawn,
        _planned(store, products, weeks), arms, now["list"], now["price"], cost, assumed, now["active"] > 0,
        _clicks(store, last, products), told,
        *_in_stock(store, days, products, weeks), campaigns,
    )  # fmt: skip


def _listed(store: Store, last: date) -> pa.Table:
    history = store.table("product_history")
    cost = history.unit_cost.cast("float64") if store.has("product_history", "unit_cost") else None
    chosen = history.select(
        "product_id", "shop_id", "valid_from", "valid_to", "active", list=history.list_price.cast("float64"),
        price=history.sale_price.fill_null(history.list_price).cast("float64"),
        **({} if cost is None else {"cost": cost}),
    )  # fmt: skip
    return store.run(chosen.filter(chosen.valid_from.date() <= last + timedelta(days=1)))


def _from_listings(
    rows: pa.Table, products: NDArray[np.str_], weeks: list[date], last: date, zone: ZoneInfo
) -> tuple[Array, Array, Flags, dict[str, Array]]:
    """Return share off by week, off what, whose list price was raised for a while, and what stands on the last day."""
    monday, end = weeks[0], (last - weeks[0]).days + 1
    begin = np.maximum(_day(rows["valid_from"], monday, zone, 0), 0)
    until = np.minimum(_day(rows["valid_to"], monday, zone, end), end)
    place = places(products, strings(rows["product_id"]))
    full, price = floats(rows["list"]), floats(rows["price"])
    cost = floats(rows["cost"]) if "cost" in rows.column_names else np.full(len(full), np.nan)
    off = 1 - price / np.where(full > 0, full, np.nan)
    active = np.array([value is not False for value in rows["active"].to_pylist()])
    good = active & (begin < until) & (off < DEEPEST) & (off > -1.0)
    # A price that holds for several weeks counts in each of them by its days.
    place, begin, until = place[good], begin[good], until[good]
    off, full, price, cost = off[good], full[good], price[good], cost[good]
    of, week, held = by_week(begin, until)
    shape = (len(products), len(weeks))
    days = summed(shape, place[of], week, held.astype(float))
    least = np.minimum(3, np.minimum(end - 7 * np.arange(len(weeks)), 7))  # the last week may be cut
    mean, listed = (
        np.where(days >= least, summed(shape, place[of], week, held * each[of]) / np.maximum(days, 1.0), np.nan)
        for each in (off, full)
    )
    now = np.flatnonzero(until == end)
    found = {name: np.full(len(products), np.nan) for name in ("list", "price", "cost")}
    found["active"] = np.zeros(len(products))
    for name, values in (("list", full), ("price", price), ("cost", cost)):
        some = now[np.isfinite(values[now])]
        count = np.bincount(place[some], minlength=len(products))
        found[name] = np.where(count > 0, np.bincount(place[some], values[some], len(products)), np.nan)
        found[name] = found[name] / np.maximum(count, 1)
    found["active"][place[now]] = 1.0
    return *rebased(mean, listed, found["list"]), found


def _from_sales(units: Array, gmv: Array, gross: Array) -> tuple[Array, dict[str, Array]]:
    """Return the same from what was paid; a week without a sale is taken to have had the price of the week before."""
    off = np.where(gross > 0, np.clip(1 - gmv / np.where(gross > 0, gross, 1.0), 0.0, DEEPEST), np.nan)
    known = np.where(np.isnan(off), -1, np.arange(off.shape[1]))
    latest = np.maximum.accumulate(known, axis=1)
    rows = np.arange(len(off))[:, None]
    filled = np.where(latest >= 0, off[rows, np.maximum(latest, 0)], np.nan)
    recent = slice(-8, None)
    pieces = units[:, recent].sum(axis=1)
    full = np.where(pieces > 0, gross[:, recent].sum(axis=1) / np.maximum(pieces, 1.0), np.nan)
    found = {"list": np.where(full > 0, full, np.nan), "cost": np.full(len(off), np.nan)}
    found["price"] = found["list"] * (1 - np.nan_to_num(filled[:, -1]))
    found["active"] = (~np.isnan(found["list"])).astype(float)
    return filled, found


def _planned(store: Store, products: NDArray[np.str_], weeks: list[date]) -> Flags:
    """Return in which weeks a launched plan set the price of a product."""
    found = np.zeros((len(products), len(weeks)), bool)
    monday, number = weeks[0], {name: n for n, name in enumerate(products.tolist())}
    for deed in store.deeds:
        place = number.get(deed.subject.id)
        if deed.lever == Lever.PRICE and deed.subject.kind == "product" and place is not None:
            first, last = ((day - monday).days // 7 for day in (deed.days.first, deed.days.last))
            found[place, max(first, 0) : max(last + 1, 0)] = True
    return found


def _by_lot(
    store: Store, products: NDArray[np.str_], weeks: list[date], off: Array, zone: ZoneInfo
) -> tuple[Flags, Array]:
    """Return in which weeks a product's price was drawn, and the mean share off of what was drawn.

    An experiment is one about prices if its arms explain nearly all that prices vary by; it counts for the week that
    begins on the day of the draw.
    """
    drawn, arms = np.zeros(off.shape, bool), np.full(off.shape, np.nan)
    if not store.has("assignments", "propensity"):
        return drawn, arms
    table = store.table("assignments")
    rows = store.run(
        table.filter((table.unit_kind == "product") & table.propensity.notnull())
        .select("experiment_id", "unit_id", "arm", "assigned_at")
    )  # fmt: skip
    if not rows.num_rows:
        return drawn, arms
    place = places(products, strings(rows["unit_id"]))
    day = _day(rows["assigned_at"], weeks[0], zone, -1)
    good = (place >= 0) & (day >= 0) & (day % 7 == 0) & (day // 7 < len(weeks))
    place, week = place[good], day[good] // 7
    experiment = np.unique(strings(rows["experiment_id"])[good], return_inverse=True)[1]
    arm = np.unique(
        np.char.add(np.char.add(strings(rows["experiment_id"])[good], "\n"), strings(rows["arm"])[good]),
        return_inverse=True,
    )[1]
    price = off[place, week]
    known = ~np.isnan(price)
    place, week, experiment, arm, price = (v[known] for v in (place, week, experiment, arm, price))
    if not len(price):
        return drawn, arms

    def centred(code: Ints) -> Array:
        return np.asarray((np.bincount(code, price) / np.maximum(np.bincount(code), 1))[code])

    between, within = (price - centred(experiment)) ** 2, (price - centred(arm)) ** 2
    of_price = np.bincount(experiment, within) < (1 - CLEAR) * np.bincount(experiment, between)
    chosen = of_price[experiment]
    drawn[place[chosen], week[chosen]] = True
    arms[place[chosen], week[chosen]] = centred(arm)[chosen]
    return drawn, arms


def _about(store: Store, products: NDArray[np.str_]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the one shop that sells each product, and its category."""
    shops, category = np.full(len(products), "", object), np.full(len(products), "", object)
    if store.has("products"):
        table = store.table("products")
        rows = store.run(table.select("product_id", "shop_id", "category"))
        place = places(products, strings(rows["product_id"]))
        there = place >= 0
        shops[place[there]] = strings(rows["shop_id"])[there]
        category[place[there]] = strings(rows["category"])[there]
    return tuple(shops.tolist()), tuple(category.tolist())


def _paid_cost(store: Store, days: Period, products: NDArray[np.str_]) -> Array:
    """Mean unit cost of what was sold on the last day of each product's that tells one."""
    lines = store.table("order_lines")
    lines = lines.filter(lines.day.between(days.first, days.last) & lines.unit_cost.notnull())
    daily = lines.group_by("product_id", "day").aggregate(cost=lines.unit_cost.cast("float64").mean())
    latest = daily.group_by("product_id").aggregate(day=daily.day.max())
    rows = store.run(daily.view().semi_join(latest, ["product_id", "day"]).select("product_id", "cost"))
    found = np.full(len(products), np.nan)
    place = places(products, strings(rows["product_id"]))
    found[place[place >= 0]] = floats(rows["cost"])[place >= 0]
    return found


def _in_stock(store: Store, days: Period, products: NDArray[np.str_], weeks: list[date]) -> tuple[Array, Flags, Array]:
    """Return in which weeks there was any stock, in which it ran out, and how much there is when the last day ends.

    A day that ended without stock and on which nothing was ordered had none; one on which the last piece went had some.
    What was ordered on several days that began and ended without is sold without stock, as to order or by others, or
    its records ended: they tell nothing.
    """
    shape = (len(products), len(weeks))
    if not store.has("inventory", "on_hand"):
        return np.ones(shape), np.zeros(shape, bool), np.full(len(products), np.nan)
    held, lines = store.table("inventory"), store.table("order_lines")
    held = held.filter(held.day.between(days.first, days.last)).group_by("product_id", "day")
    held = held.aggregate(left=lambda rows: rows.on_hand.sum())
    empty = held.filter(held["left"] <= 0)
    ordered = lines.filter(lines.day.between(days.first, days.last)).select("product_id", "day").distinct()
    on = ["product_id", "day"]
    began = empty.view().mutate(day=lambda rows: (rows.day + ibis.interval(days=1)).cast("date"))
    anyway = (
        empty.view().semi_join(ordered, on).semi_join(began, on).group_by("product_id").aggregate(n=lambda r: r.count())
    )
    anyway = anyway.filter(anyway.n >= ANYWAY)
    empty = empty.anti_join(anyway, "product_id")

    def counted(rows: ibis.Table) -> Array:
        found = store.run(rows.group_by("product_id", week=rows.day.truncate("W")).aggregate(days=rows.count()))
        week = np.array([(monday - weeks[0]).days // 7 for monday in found["week"].to_pylist()], np.int64)
        return summed(shape, places(products, strings(found["product_id"])), week, floats(found["days"]))

    none = counted(empty.anti_join(ordered, on))
    first, end, monday = (days.first - weeks[0]).days, (days.last - weeks[0]).days, 7 * np.arange(len(weeks))
    length = np.minimum(monday + 6, end) - np.maximum(monday, first) + 1.0
    now = store.run(held.filter(held.day == days.last).anti_join(anyway, "product_id").select("product_id", "left"))
    left, place = np.full(len(products), np.nan), places(products, strings(now["product_id"]))
    left[place[place >= 0]] = floats(now["left"])[place >= 0]
    return (none < length).astype(float), counted(empty) > 0, left


def _clicks(store: Store, last: date, products: NDArray[np.str_]) -> Array:
    """Clicks on each product in the last four weeks, and in the four before."""
    if not lights_up(m.CLICKS, store, ("product_id",)):
        return np.full((len(products), 2), np.nan)
    slots = tuple(Period(last - timedelta(days=back + 27), last - timedelta(days=back)) for back in (28, 0))
    rows = store.metrics(Query((m.CLICKS,), slots[1], ("product_id",), slots=slots))
    place = places(products, strings(rows["product_id"]))
    slot = np.array(rows["slot"].to_pylist(), np.int64)
    return summed((len(products), 2), place, slot, floats(rows["clicks"]))


def summed(shape: tuple[int, int], row: Ints, column: Ints, values: Array) -> Array:
    """Add values up in the cells of a table; rows of no known product are left out."""
    good = (row >= 0) & (column >= 0) & (column < shape[1])
    cell = row[good] * shape[1] + column[good]
    return np.asarray(np.bincount(cell, values[good], shape[0] * shape[1]).reshape(shape), float)


def by_week(begin: Ints, until: Ints) -> tuple[Ints, Ints, Ints]:
    """Return, for spans of days from `begin` up to `until`, each span's number, week and days in it, week by week."""
    spans = (until - 1) // 7 - begin // 7 + 1
    of = np.repeat(np.arange(len(spans)), spans)
    week = begin[of] // 7 + np.arange(len(of)) - np.repeat(np.cumsum(spans) - spans, spans)
    return of, week, np.minimum(until[of], 7 * week + 7) - np.maximum(begin[of], 7 * week)


def places(products: NDArray[np.str_], names: NDArray[np.str_]) -> Ints:
    """The place of each name among the products; -1 where it is none of them."""
    place = np.minimum(np.searchsorted(products, names), len(products) - 1)
    return np.where(products[place] == names, place, -1)


def strings(column: pa.ChunkedArray) -> NDArray[np.str_]:
    """Text, empty where there is none; each different one is turned into Python's once."""
    coded = pc.dictionary_encode(pc.fill_null(pc.cast(column, pa.string()), "")).combine_chunks()
    names = np.asarray(coded.dictionary.to_pylist() or [""], str)
    return np.asarray(names[coded.indices.to_numpy(zero_copy_only=False)])


def floats(column: pa.ChunkedArray) -> Array:
    """Numbers, NaN where there is none."""
    return np.asarray(pc.cast(column, pa.float64()).to_numpy(zero_copy_only=False), float)


def _day(column: pa.ChunkedArray, monday: date, zone: ZoneInfo, missing: int) -> Ints:
    """Days from a Monday to the local days of UTC moments, which are few and often the same."""
    coded = pc.dictionary_encode(column).combine_chunks()
    days = [_local(moment, monday, zone) for moment in coded.dictionary.to_pylist()] + [missing]
    index = pc.fill_null(coded.indices, len(days) - 1).to_numpy(zero_copy_only=False)
    return np.asarray(np.array(days, np.int64)[index])


def _local(moment: datetime, monday: date, zone: ZoneInfo) -> int:
    utc = moment.replace(tzinfo=ZoneInfo("UTC"))
    return (utc.astimezone(zone).date() - monday).days
