"""Record: what a store knows of customers' orders, visits and coupons, as arrays that the wing learns from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tradewind.engines.store import Store
from tradewind.errors import MissingDataError
from tradewind.measures import metrics as m
from tradewind.measures.fact import MONEY, WHOLE, WIDE, Row, whole_seconds
from tradewind.measures.facts import REFUNDS_BY_ORDER, SALES
from tradewind.measures.query import require_costs
from tradewind.period import Period
from tradewind.study import Party

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

DAY = 86_400
PARTIES = (Party.MERCHANT, Party.PLATFORM, Party.CREATOR)
FEWEST_GRANTS = 50
"""Customers to whom a coupon of the marketplace was given, from which on it teaches anything."""
BY_USE = 0.9
"""Share of the known holders of a coupon who used it, from which on they are taken to be known by that alone."""
HANDFUL = 10
"""Holders below which it says nothing that nearly all used theirs."""
LOT = 0.95
"""Share of one arm that has a coupon, and of the others that has none, for an experiment to be this coupon's lot."""
ENOUGH = 50
"""Orders that reach a threshold only by several pieces, from which on their use of coupons tells anything."""
MATURE = 30
"""Days after which most of what comes back of an order has come back."""


@dataclass(frozen=True)
class Orders:
    """Orders in the order of customer and time.

    Args:
        customer: [n] number of the customer.
        at: [n] second of the order.
        value: [n] what a coupon's threshold is held against, after the seller's discounts and before coupons of others:
            what all goods cost, or the dearest piece.
        dearest: [n] what the dearest piece cost.
        profit: [n, parties] contribution profit before coupons of others, without what comes back.
        back: [parties] what comes back of orders old enough, as a share of what they cost buyers.
        kept: Share of an order's value that is not given back.
        priced: [n] list price of what its cost is assumed of, less what comes back: what a margin of 1 would leave.
        by_piece: Whether thresholds are held against the dearest piece.
    """

    customer: Ints
    at: Ints
    value: Array
    dearest: Array
    profit: Array
    back: Array
    kept: float
    priced: Array
    by_piece: bool = False


@dataclass(frozen=True)
class Issues:
    """Coupons of the marketplace, those of the same days taken as one, in the order of their first moment.

    Args:
        names: Their ids.
        start: [issues] second from which it could be used.
        end: [issues] second at which it ended.
        face: [issues] face value; where coupons name none, what was taken off on average of orders that used any.
        threshold: [issues] least value of an order that it could be used on.
        told: [issues] whether the face value is the coupon's own, and not what was seen.
        given: [customers, issues] who was given it.
        used: [customers, issues] whether it was used.
        cost: [issues] what was taken off where it was used, as far as orders or its face value tell.
        untold: [issues] uses of which neither tells.
        recorded: [customers, issues] chance with which it was given, as written down; NaN where it was not.
        lot: [customers, issues] whether it was drawn by lot whether this customer gets it.
        lot_chance: [customers, issues] the chance of that lot; NaN where there was none.
        unwritten: How many more coupons there are whose chances nobody wrote down, while those of these were.
        claimed: How many more coupons there are that customers took themselves.
    """

    names: tuple[str, ...]
    start: Ints
    end: Ints
    face: Array
    threshold: Array
    told: Bools
    given: Bools
    used: Bools
    cost: Array
    untold: Ints
    recorded: Array
    lot: Bools
    lot_chance: Array
    unwritten: int = 0
    claimed: int = 0

    def __len__(self) -> int:
        return len(self.start)


@dataclass(frozen=True)
class Record:
    """What is known at the end of a period.

    Args:
        ids: Ids of the customers, in rising order.
        since: [customers] second from which each is known.
        now: The second after the last of the period.
        first: The first second of the data.
        orders: Their orders.
        uses: Customer and second of each order on which any coupon was used.
        grants: Customer and second of each coupon given.
        visits: Customer and second of each day on which one was seen; None where the source logs no clicks.
        issues: Coupons of the marketplace.
        by_use: How many more of these there are whose holders are known only by having used them, and how many holders.
    """

    ids: tuple[str, ...]
    since: Ints
    now: int
    first: int
    orders: Orders
    uses: tuple[Ints, Ints]
    grants: tuple[Ints, Ints]
    visits: tuple[Ints, Ints] | None
    issues: Issues
    by_use: tuple[int, int]


def read(store: Store, period: Period) -> Record:
    """Return what a store knows at the end of a period.

    Raises:
        MissingDataError: If too many lines have no unit cost and no margin is assumed, or no coupon was given by then.
    """
    require_costs(m.COST, store)
    zone = ZoneInfo(store.provenance.timezone)
    moment = period.end(store.provenance.timezone)
    now = int(moment.replace(tzinfo=UTC).timestamp())
    sales = _sales(store, period, moment)
    people = _people(store, sales, moment)
    ids = pa.array(sorted(people), pa.string())
    since = np.array([people[name] for name in ids.to_pylist()], np.int64)
    orders = _orders(sales, ids, now)
    at_order = dict(zip(sales["order_id"].to_pylist(), sales["at"].to_pylist(), strict=True))
    grants = _given(store, moment)
    whose = _numbers(grants["customer_id"], ids)
    silent, by_use = _known_by_use(grants, whose)
    issues = _issues(store, grants.filter(pa.array(~silent)), ids, moment, now, by_use[0])
    orders = _held_against(orders, issues)
    redeemed = np.array([at_order.get(name, -1) for name in grants["order_id"].to_pylist()], np.int64)
    used = (whose >= 0) & (redeemed >= 0)
    mine = (whose >= 0) & (~silent | used)
    granted_at = np.where(silent, redeemed, _floats(grants, "granted")).astype(np.int64)  # known from its use on
    return Record(
        tuple(ids.to_pylist()), since, now, _seconds(store.span.first, zone), orders,
        (whose[used], redeemed[used]), (whose[mine], granted_at[mine]), _visits(store, ids, period), issues,
        by_use,
    )  # fmt: skip


def _seconds(day: date, zone: ZoneInfo) -> int:
    return int(datetime.combine(day, time(), zone).timestamp())


def _number(value: ir.Value) -> ir.Value:
    return value.cast("float64").fill_null(0.0)


def _sales(store: Store, period: Period, moment: datetime) -> pa.Table:
    """Every paid order up to the period's end that names its customer: when, what it was worth and to whom."""
    lines = {
        "commission": "commission", "platform_commission": "platform_commission", "platform_fee": "platform_fee",
        "payment_fee": "payment_fee", "shipping_paid": "shipping_paid", "shipping_cost": "shipping_cost",
    }  # fmt: skip
    there = {name: field for name, field in lines.items() if not SALES.missing(store, _get(field))}
    if "shipping_cost" not in there:
        there.pop("shipping_paid", None)  # what buyers pay to ship is no profit where its cost is not known

    def cost(row: Row) -> ir.Value:
        return (row.unit_cost_or_assumed * row.quantity.cast(WHOLE)).cast(MONEY)

    def priced(row: Row) -> ir.Value:
        known = row.unit_cost.notnull() if row.has("order_lines", "unit_cost") else ibis.literal(value=False)
        return known.ifelse(ibis.literal(0).cast(MONEY), row.gross)

    gets = [_get(n) for n in ("order_id", "customer_id", "ordered_at", "day", "quantity", "gmv", *there.values())]
    if store.assumptions.margin is not None:
        gets.append(priced)
    within = (Period(min(store.span.first, period.first), period.last),)
    relation, row = SALES.rows(store, *gets, cost, within=within)
    rows = relation.select(
        order_id=row.order_id, customer_id=row.customer_id, at=whole_seconds(row.ordered_at), day=row.day,
        gmv=row.gmv, cost=cost(row), quantity=row.quantity,
        **{name: getattr(row, field) for name, field in there.items()},
        **({} if store.assumptions.margin is None else {"priced": priced(row)}),
    )  # fmt: skip
    rows = rows.filter(rows.customer_id.notnull() & (rows.day <= ibis.literal(period.last)))
    summed = [name for name in ("gmv", "cost", "quantity", "priced", *there) if name in rows.columns]
    sums = {name: _number(rows[name].sum()) for name in summed}  # exact sums: those of floats go by how threads meet
    dearest = (_number(rows.gmv) / rows.quantity.cast("float64").nullif(0.0)).max()
    orders = rows.group_by("order_id").aggregate(
        customer_id=rows.customer_id.max(), at=rows.at.min(), dearest=dearest, **sums
    )
    if store.has("refunds", "order_id"):
        orders = _with_refunds(store, orders, moment)
    return store.run(orders.order_by("order_id"))


def _get(name: str) -> Callable[[Row], ir.Value]:
    return lambda row: getattr(row, name)


def _with_refunds(store: Store, orders: ibis.Table, moment: datetime) -> ibis.Table:
    fields = {
        "back": "gmv_back", "commission_back": "commission_reversed", "fee_back": "fee_reversed",
        "platform_commission_back": "platform_commission_reversed", "return_shipping": "return_shipping",
    }  # fmt: skip
    there = {name: f for name, f in fields.items() if not REFUNDS_BY_ORDER.missing(store, _get(f))}
    gets = [_get(n) for n in ("order_id", "known_at", *there.values())]
    restocked = store.has("refunds", "restocked") and store.has("refunds", "quantity")
    if restocked:
        gets += [_get("restocked"), _get("quantity")]
    relation, row = REFUNDS_BY_ORDER.rows(store, *gets)
    values = {name: getattr(row, f) for name, f in there.items()}
    if restocked:
        values["restocked"] = row.restocked.fill_null(False).ifelse(row.quantity, 0)
    rows = relation.select(refunded=row.order_id, known=row.known_at, **values)
    rows = rows.filter(rows.refunded.notnull() & (rows.known < ibis.literal(moment)))
    sums = rows.group_by("refunded").aggregate(**{name: _number(rows[name].sum()) for name in values})
    joined = orders.left_join(sums, orders.order_id == sums.refunded).drop("refunded")
    return joined.mutate(**{name: joined[name].fill_null(0.0) for name in values})


def _orders(sales: pa.Table, ids: pa.Array, now: int) -> Orders:
    def column(name: str) -> Array:
        return sales[name].to_numpy().astype(float) if name in sales.column_names else np.zeros(len(sales))

    value, cost, quantity = column("gmv"), column("cost"), np.maximum(column("quantity"), 1.0)
    by_platform = column("platform_commission")
    merchant = value - cost - column("commission") + by_platform - column("platform_fee") - column("payment_fee")
    merchant += column("shipping_paid") - column("shipping_cost")
    profit = np.stack([merchant, column("platform_fee") - by_platform, column("commission")], axis=1)
    again = np.minimum(column("restocked") / quantity, 1.0)
    restocked, priced = again * cost, column("priced")
    taken = column("commission_back") - column("platform_commission_back")
    lost = np.stack([
        column("back") - restocked - taken - column("fee_back") + column("return_shipping"),
        column("fee_back") - column("platform_commission_back"), column("commission_back"),
    ], axis=1)  # fmt: skip
    at = sales["at"].to_numpy().astype(np.int64)
    old = at <= now - MATURE * DAY if (at <= now - MATURE * DAY).any() else np.ones(len(at), bool)
    sums = value[old].sum()
    back = lost[old].sum(axis=0) / sums if sums > 0 else np.zeros(len(PARTIES))
    kept = 1 - column("back")[old].sum() / sums if sums > 0 else 1.0
    priced = priced - value * ((again * priced)[old].sum() / sums if sums > 0 else 0.0)
    whose = _numbers(sales["customer_id"], ids)
    order = np.lexsort((at, whose))
    dearest = np.nan_to_num(column("dearest"))
    return Orders(
        whose[order], at[order], value[order], dearest[order], profit[order], back, float(np.clip(kept, 0.0, 1.0)),
        priced[order],
    )  # fmt: skip


def _held_against(orders: Orders, issues: Issues) -> Orders:
    """Return the orders with the value that thresholds are held against.

    Where holders of a coupon hardly ever use it on orders that reach the threshold only by several pieces, it is the
    dearest piece that must reach it.
    """
    used, could = np.zeros(2), np.zeros(2)  # by the sum of pieces only, and by the dearest piece
    for issue in np.flatnonzero(issues.threshold > 0):
        some = (orders.at >= issues.start[issue]) & (orders.at < issues.end[issue])
        some &= issues.given[orders.customer, issue] & (orders.value >= issues.threshold[issue])
        alone = (orders.dearest[some] >= issues.threshold[issue]).astype(int)
        could += np.bincount(alone, minlength=2)
        used += np.bincount(alone, issues.used[orders.customer[some], issue], 2)
    if could[0] >= ENOUGH and used[0] / could[0] < 0.5 * used[1] / max(could[1], 1.0):
        return replace(orders, value=orders.dearest, by_piece=True)
    return orders


def _people(store: Store, sales: pa.Table, moment: datetime) -> dict[str, int]:
    """From when each customer is known: since the source saw them first, else since their first order.

    A caller limited to some shops sees only who bought from them. Such customers count from their first order there on,
    since to count from before would be to pick them by what they did later.
    """
    firsts: dict[str, int] = {}
    for name, at in zip(sales["customer_id"].to_pylist(), sales["at"].to_pylist(), strict=True):
        firsts[name] = min(at, firsts.get(name, at))
    if store.scope.shops is not None or not store.has("customers", "first_seen_at"):
        return {name: at + 1 for name, at in firsts.items()}
    people = store.table("customers")
    people = people.filter(people.first_seen_at.isnull() | (people.first_seen_at < ibis.literal(moment)))
    found = store.run(people.select("customer_id", at=whole_seconds(people.first_seen_at)))
    known = zip(found["customer_id"].to_pylist(), found["at"].to_pylist(), strict=True)
    return firsts | {name: at if at is not None else firsts.get(name, 0) for name, at in known}


def _numbers(names: pa.ChunkedArray, ids: pa.Array) -> Ints:
    """The number of each name among the ids, -1 where it is none of them."""
    return np.asarray(pc.fill_null(pc.index_in(names, value_set=ids), -1), np.int64)


def _visits(store: Store, ids: pa.Array, period: Period) -> tuple[Ints, Ints] | None:
    if not store.has("events", "customer_id"):
        return None
    events = store.table("events")
    mine = events.filter((events.kind == "click") & (events.day <= ibis.literal(period.last)))
    days = mine.group_by("customer_id", "day").aggregate(at=whole_seconds(mine["at"].max()))
    found = store.run(days.select("customer_id", "at").order_by("customer_id", "at"))
    if not len(found):
        return None
    whose = _numbers(found["customer_id"], ids)
    return whose[whose >= 0], found["at"].to_numpy().astype(np.int64)[whose >= 0]


def _given(store: Store, moment: datetime) -> pa.Table:
    """Every coupon given by then: to whom, when, by what chance, which order used it and what was taken off there."""
    for table in ("coupons", "coupon_grants"):
        if not store.has(table):
            raise MissingDataError(
                f"The source has no {table.replace('_', ' ')}", got=store.provenance.source,
                do="import who was given which coupon, or give one to half of the customers by lot first",
            )  # fmt: skip
    grants, coupons = store.table("coupon_grants"), store.table("coupons")
    terms = coupons.select(
        "coupon_id", "shop_id", start=whole_seconds(coupons.starts_at), end=whole_seconds(coupons.ends_at),
        face=coupons.face_value.cast("float64"), rate=coupons.rate.cast("float64"),
        threshold=coupons.threshold.cast("float64"),
    )  # fmt: skip
    given = grants.filter(grants.granted_at < ibis.literal(moment))
    joined = given.join(terms, "coupon_id")
    dropped: ir.Value = ibis.literal(value=False)
    if store.has("live_drops", "coupon_id"):  # there for the first to take them
        drops = store.table("live_drops").select(thrown="coupon_id").distinct()
        joined = joined.left_join(drops, joined.coupon_id == drops.thrown)
        dropped = joined.thrown.notnull()
    joined = joined.mutate(took=joined.claimed.fill_null(dropped))
    taken: ir.Value = ibis.null("float64")
    if store.has("order_discounts", "coupon_id"):
        discounts = store.table("order_discounts").filter(lambda rows: rows.coupon_id.notnull())
        off = discounts.group_by(of=discounts.coupon_id, on=discounts.order_id).aggregate(
            taken=discounts.amount.cast(WIDE).sum().cast("float64")
        )
        joined = joined.left_join(off, (joined.coupon_id == off.of) & (joined.redeemed_order_id == off.on))
        taken = joined.taken
    return store.run(joined.select(
        "coupon_id", "customer_id", "shop_id", "start", "end", "face", "rate", "threshold",
        granted=whole_seconds(joined.granted_at), chance=joined.propensity.cast("float64"),
        order_id=joined.redeemed_order_id, taken=taken, claimed=joined.took,
    ).order_by("coupon_id", "customer_id"))  # fmt: skip


def _marketwide(grants: pa.Table) -> Bools:
    """Which grants are of coupons of the whole marketplace that name their days."""
    dated = pc.and_(pc.is_valid(grants["start"]), pc.is_valid(grants["end"]))
    return np.asarray(pc.and_(pc.is_null(grants["shop_id"]), dated), bool)


def _spans(grants: pa.Table) -> tuple[Array, Ints]:
    """First and last second [spans, 2] of coupons, those of the same days once, and the span of each grant."""
    key = np.stack([_floats(grants, "start"), _floats(grants, "end")], axis=1)
    spans, of = np.unique(key, axis=0, return_inverse=True)
    return spans, of.ravel()


def _known_by_use(grants: pa.Table, whose: Ints) -> tuple[Bools, tuple[int, int]]:
    """Find the marketplace's coupons of which only those who used one are known: to have had one is to have ordered.

    Where the chances were written down, or more than a few are known to have let theirs lapse, holders are known.

    Returns:
        Which grants are of these; how many such coupons there are, and how many holders of them.
    """
    some = np.flatnonzero(_marketwide(grants) & (whose >= 0))
    spans, of = _spans(grants.take(some))
    people = int(whose.max(initial=0)) + 1
    pairs, place = np.unique(of * people + whose[some], return_inverse=True)
    used = np.bincount(place, np.asarray(pc.is_valid(grants["order_id"]))[some], len(pairs)) > 0
    holders = np.bincount(pairs // people, minlength=len(spans))
    users = np.bincount(pairs // people, used, len(spans))
    written = np.bincount(of, np.isfinite(_floats(grants, "chance"))[some], len(spans)) > 0
    only = (holders >= HANDFUL) & (users >= BY_USE * holders) & ~written
    silent = np.zeros(len(grants), bool)
    silent[some] = only[of]
    return silent, (int(only.sum()), int(holders[only].sum()))


def _issues(store: Store, grants: pa.Table, ids: pa.Array, moment: datetime, now: int, by_use: int) -> Issues:
    """Gather the marketplace's coupons of the same days; those that customers took themselves teach nothing."""
    every = grants.filter(pa.array(_marketwide(grants)))
    mine, claimed = _given_out(every)
    given_out = pc.count_distinct(mine["coupon_id"]).as_py()
    if mine["chance"].null_count < len(mine):
        mine = mine.filter(pc.is_valid(mine["chance"]))
    unwritten = given_out - pc.count_distinct(mine["coupon_id"]).as_py()
    spans, of = _spans(mine)
    whose = _numbers(mine["customer_id"], ids)
    people = np.unique(np.stack([of, whose], axis=1)[whose >= 0], axis=0)[:, 0]
    large = np.bincount(people, minlength=len(spans)) >= FEWEST_GRANTS
    spans, place = spans[large], np.where(large, np.cumsum(large) - 1, -1)[of]
    if not len(spans):
        raise MissingDataError(
            "No coupon of the whole marketplace was given by the end of the period"
            + ", but for those of which only who used one is known" * (by_use > 0)
            + ", but for those that customers took themselves" * (claimed > 0),
            got=store.provenance.source,
            do="give one to half of some customers by lot for a week",
        )  # fmt: skip
    shape = (len(ids), len(spans))
    real = (whose >= 0) & (place >= 0)
    who, which = whose[real], place[real]
    given, used = np.zeros(shape, bool), np.zeros(shape, bool)
    given[who, which] = True
    redeemed = np.asarray(pc.is_valid(mine["order_id"]))[real]
    used[who[redeemed], which[redeemed]] = True
    recorded = np.full(shape, np.nan)
    recorded[who, which] = _floats(mine, "chance")[real]
    face, threshold, told = _terms(mine.filter(pa.array(real)), which, len(spans))
    cost, untold = _cost(mine.filter(pa.array(real)), which, len(spans))
    lot, chance = _lots(store, ids, spans[:, 0], given, moment)
    names = tuple(f"{int(start)}" for start in spans[:, 0])
    return Issues(
        names, spans[:, 0].astype(np.int64), np.minimum(spans[:, 1], now + 10**9).astype(np.int64) + 1, face, threshold,
        told, given, used, cost, untold, recorded, lot, chance, unwritten, claimed,
    )  # fmt: skip


def _given_out(grants: pa.Table) -> tuple[pa.Table, int]:
    """Return the grants of coupons that were given, and how many coupons most of whose holders took them themselves.

    Who takes a coupon is about to order, whether or not it does anything.
    """
    took = pc.and_(grants["claimed"], pc.is_null(grants["chance"]))
    counted = grants.append_column("took", took).group_by("coupon_id").aggregate([("took", "mean")])
    taken = counted.filter(pc.greater(counted["took_mean"], 0.5))["coupon_id"]
    return grants.filter(pc.invert(pc.is_in(grants["coupon_id"], value_set=taken))), len(taken)


def _floats(table: pa.Table, name: str) -> Array:
    return np.asarray(table[name].to_numpy(), float)


def _terms(mine: pa.Table, which: Ints, count: int) -> tuple[Array, Array, Bools]:
    """Face value and threshold of each issue, and whether coupons name them or only their use shows them."""
    face, taken = _floats(mine, "face"), _floats(mine, "taken")
    told = np.isfinite(face)
    weight = np.bincount(which[told], minlength=count)
    mean = np.bincount(which[told], face[told], count) / np.maximum(weight, 1)
    least = np.nan_to_num(_floats(mine, "threshold"))
    threshold = np.bincount(which, least, count) / np.maximum(np.bincount(which, minlength=count), 1)
    known = weight > 0
    orders = pc.count_distinct(mine["order_id"].filter(pa.array(np.isfinite(taken)))).as_py()
    return np.where(known, mean, np.nansum(taken) / max(orders, 1)), threshold, known


def _cost(mine: pa.Table, which: Ints, count: int) -> tuple[Array, Ints]:
    """What was taken off by coupons of each issue, and how many uses tell neither that nor a face value."""
    taken = _floats(mine, "taken")
    each = np.where(np.isfinite(taken), taken, _floats(mine, "face"))
    used, told = np.asarray(pc.is_valid(mine["order_id"])), np.isfinite(each)
    cost = np.bincount(which[used & told], each[used & told], count)
    return np.asarray(cost, float), np.bincount(which[used & ~told], minlength=count).astype(np.int64)


def _lots(store: Store, ids: pa.Array, start: Array, given: Bools, moment: datetime) -> tuple[Bools, Array]:
    """Whose coupon was drawn by lot, and with which chance: experiments whose one arm has the coupon and no other."""
    lot, chance = np.zeros(given.shape, bool), np.full(given.shape, np.nan)
    if not store.has("assignments", "propensity"):
        return lot, chance
    table = store.table("assignments")
    rows = store.run(
        table.filter((table.unit_kind == "customer") & (table.assigned_at < ibis.literal(moment)))
        .select("experiment_id", "unit_id", "arm", "propensity", at=whole_seconds(table.assigned_at))
        .order_by("experiment_id", "unit_id")
    )  # fmt: skip
    whose = _numbers(rows["unit_id"], ids)
    names = rows["experiment_id"].dictionary_encode().combine_chunks()
    arms = rows["arm"].dictionary_encode().combine_chunks()
    number, arm = np.asarray(names.indices), np.asarray(arms.indices)
    at, odds = rows["at"].to_numpy().astype(float), rows["propensity"].to_numpy().astype(float)
    order = np.argsort(number, kind="stable")
    for some in np.split(order, np.flatnonzero(np.diff(number[order])) + 1):
        mine = some[whose[some] >= 0]
        if not len(mine):
            continue
        for issue in np.flatnonzero(np.abs(start - np.median(at[mine])) <= DAY):
            has = given[whose[mine], issue]
            rates = {a: has[arm[mine] == a].mean() for a in np.unique(arm[mine])}
            treated = [a for a, rate in rates.items() if rate >= LOT]
            if len(treated) == 1 and all(rate <= 1 - LOT for a, rate in rates.items() if a != treated[0]):
                lot[whose[mine], issue] = True
                in_arm = arm[mine] == treated[0]
                chance[whose[mine], issue] = np.where(in_arm, odds[mine], 1 - odds[mine])
    return lot, chance
