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
from numpy.typing import NDArray

from tradewind.decisions.coupons.issues import (
    DAY,
    Issues,
    floats,
    given_by,
    issues_of,
    known_by_use,
    numbers,
)
from tradewind.engines.store import Store
from tradewind.measures import metrics as m
from tradewind.measures.fact import MONEY, WHOLE, Row, whole_seconds
from tradewind.measures.facts import REFUNDS_BY_ORDER, SALES
from tradewind.measures.query import require_costs
from tradewind.period import Period
from tradewind.study import Party

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

PARTIES = (Party.MERCHANT, Party.PLATFORM, Party.CREATOR, Party.BRAND)
GIVERS = PARTIES[1:]
"""Parties whose part of a discount does not come off GMV."""
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
        value: [n] what a coupon's threshold is held against, after the seller's discounts and before any coupon: what
            all goods cost, or the dearest piece.
        dearest: [n] what the dearest piece cost.
        profit: [n, parties] contribution profit before any coupon, without what comes back.
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


def require(store: Store) -> None:
    """Refuse a store of whose order lines too many have no unit cost.

    Raises:
        MissingDataError: If so, and no margin is assumed.
    """
    require_costs(m.COST, store)


def read(store: Store, period: Period) -> Record:
    """Return what a store knows at the end of a period.

    Raises:
        MissingDataError: If too many lines have no unit cost and no margin is assumed, or no coupon was given by then.
    """
    require(store)
    zone = ZoneInfo(store.provenance.timezone)
    moment = period.end(store.provenance.timezone)
    now = int(moment.replace(tzinfo=UTC).timestamp())
    sales = _sales(store, period, moment)
    people = _people(store, sales, moment)
    ids = pa.array(sorted(people), pa.string())
    since = np.array([people[name] for name in ids.to_pylist()], np.int64)
    orders = _orders(sales, ids, now)
    at_order = dict(zip(sales["order_id"].to_pylist(), sales["at"].to_pylist(), strict=True))
    grants = given_by(store, moment)
    whose = numbers(grants["customer_id"], ids)
    silent, by_use = known_by_use(grants, whose)
    issues = issues_of(store, grants.filter(pa.array(~silent)), ids, moment, now, by_use[0])
    orders = _held_against(orders, issues)
    redeemed = np.array([at_order.get(name, -1) for name in grants["order_id"].to_pylist()], np.int64)
    used = (whose >= 0) & (redeemed >= 0)
    mine = (whose >= 0) & (~silent | used)
    granted_at = np.where(silent, redeemed, floats(grants, "granted")).astype(np.int64)  # known from its use on
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

    gets = [
        _get(n) for n in ("order_id", "line", "customer_id", "ordered_at", "day", "quantity", "gmv", *there.values())
    ]
    if store.assumptions.margin is not None:
        gets.append(priced)
    within = (Period(min(store.span.first, period.first), period.last),)
    relation, row = SALES.rows(store, *gets, cost, within=within)
    rows = relation.select(
        order_id=row.order_id, customer_id=row.customer_id, at=whole_seconds(row.ordered_at), day=row.day,
        line=row.line, gmv=row.gmv, cost=cost(row), quantity=row.quantity,
        **{name: getattr(row, field) for name, field in there.items()},
        **({} if store.assumptions.margin is None else {"priced": priced(row)}),
    )  # fmt: skip
    rows = _with_discounts(store, rows.filter(rows.customer_id.notnull() & (rows.day <= ibis.literal(period.last))))
    taken = ("off", "theirs", *(f"{by}_{party}" for by in ("by", "own") for party in PARTIES))
    summed = [name for name in ("gmv", "cost", "quantity", "priced", *there, *taken) if name in rows.columns]
    sums = {name: _number(rows[name].sum()) for name in summed}  # exact sums: those of floats go by how threads meet
    before = rows.gmv + rows.off if "off" in rows.columns else rows.gmv
    dearest = (_number(before) / rows.quantity.cast("float64").nullif(0.0)).max()
    orders = rows.group_by("order_id").aggregate(
        customer_id=rows.customer_id.max(), at=rows.at.min(), dearest=dearest, **sums
    )
    if store.has("refunds", "order_id"):
        orders = _with_refunds(store, orders, moment)
    return store.run(orders.order_by("order_id"))


def _with_discounts(store: Store, rows: ibis.Table) -> ibis.Table:
    """Order lines with the merchants' part of coupons, which GMV is less, what is given besides, and shops' own.

    GMV does not know of what others give. Of the marketplace's coupons one can be used on an order, so that another's
    cost is none of the orders that one brings; whether a shop's own comes on top is for its orders to show.
    """
    if not store.has("order_discounts"):
        return rows
    given, none = store.table("order_discounts"), ibis.literal(0).cast(MONEY)
    coupon = given.coupon_id.notnull() | (given.kind.lower() == "coupon").fill_null(False)
    own: ir.Value = ibis.literal(value=False)
    if store.has("coupons", "shop_id"):
        coupons = store.table("coupons")
        shops = coupons.filter(coupons.shop_id.notnull()).select(theirs="coupon_id")
        given = given.left_join(shops, given.coupon_id == shops.theirs)
        own = given.theirs.notnull()

    def sum_of(which: ir.Value) -> ir.Value:
        return which.ifelse(given.amount, none).sum()

    sums = given.group_by(of=given.order_id, on=given.line).aggregate(
        off=sum_of(coupon & (given.payer == "merchant")),
        theirs=(given.coupon_id.notnull() & ~own).cast(WHOLE).max(),
        **{f"by_{giver}": sum_of(~coupon & (given.payer == giver.value)) for giver in GIVERS},
        **{f"own_{party}": sum_of(own & (given.payer == party.value)) for party in PARTIES},
    )  # fmt: skip
    joined = rows.left_join(sums, (rows.order_id == sums.of) & (rows.line == sums.on)).drop("of", "on")
    return joined.mutate(**{name: joined[name].fill_null(0 if name == "theirs" else none) for name in sums.columns[2:]})


def _get(name: str) -> Callable[[Row], ir.Value]:
    return lambda row: getattr(row, name)


def _with_refunds(store: Store, orders: ibis.Table, moment: datetime) -> ibis.Table:
    fields = {
        "back": "gmv_back", "commission_back": "commission_reversed", "fee_back": "fee_reversed",
        "platform_commission_back": "platform_commission_reversed", "return_shipping": "return_shipping",
        "subsidy_back": "subsidy_reversed",
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

    gmv, cost, quantity = column("gmv"), column("cost"), np.maximum(column("quantity"), 1.0)
    value, by_platform = gmv + column("off"), column("platform_commission")
    merchant = value - cost - column("commission") + by_platform
    merchant += column("shipping_paid") - column("shipping_cost") - column("platform_fee") - column("payment_fee")
    given = np.stack([column(f"by_{giver}") for giver in GIVERS], axis=1)
    own = np.stack([column(f"own_{party}") for party in PARTIES], axis=1)
    own *= _stacks(own.sum(axis=1), column("theirs"))
    given += own[:, 1:]
    earned = np.stack([column("platform_fee") - by_platform, column("commission"), np.zeros(len(gmv))], axis=1)
    profit = np.column_stack([merchant - own[:, 0], earned - given])
    again = np.minimum(column("restocked") / quantity, 1.0)
    restocked, priced = again * cost, column("priced")
    taken = column("commission_back") - column("platform_commission_back")
    lost = np.column_stack([
        column("back") - restocked - taken - column("fee_back") + column("return_shipping"),
        column("fee_back") - column("platform_commission_back"), column("commission_back"), np.zeros(len(gmv)),
    ])  # fmt: skip
    if "subsidy_back" in sales.column_names:  # what others gave is taken back with the goods
        lost[:, 1:] -= given * np.clip(column("back") / np.maximum(gmv, 1e-9), 0.0, 1.0)[:, None]
    at = sales["at"].to_numpy().astype(np.int64)
    old = at <= now - MATURE * DAY if (at <= now - MATURE * DAY).any() else np.ones(len(at), bool)
    sums = value[old].sum()
    back = lost[old].sum(axis=0) / sums if sums > 0 else np.zeros(len(PARTIES))
    kept = 1 - column("back")[old].sum() / sums if sums > 0 else 1.0
    priced = priced - value * ((again * priced)[old].sum() / sums if sums > 0 else 0.0)
    whose = numbers(sales["customer_id"], ids)
    order = np.lexsort((at, whose))
    dearest = np.nan_to_num(column("dearest"))
    return Orders(
        whose[order], at[order], value[order], dearest[order], profit[order], back, float(np.clip(kept, 0.0, 1.0)),
        priced[order],
    )  # fmt: skip


def _stacks(own: Array, theirs: Array) -> float:
    """Return how often shops' own coupons are used on orders that used one of the marketplace's, by what is usual.

    1 where as often as on others, 0 where never.
    """
    beside = theirs > 0
    if not beside.any() or not own.any():
        return 0.0
    return min(float(np.mean(own[beside] > 0) / np.mean(own > 0)), 1.0)


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


def _visits(store: Store, ids: pa.Array, period: Period) -> tuple[Ints, Ints] | None:
    if not store.has("events", "customer_id"):
        return None
    events = store.table("events")
    mine = events.filter((events.kind == "click") & (events.day <= ibis.literal(period.last)))
    days = mine.group_by("customer_id", "day").aggregate(at=whole_seconds(mine["at"].max()))
    found = store.run(days.select("customer_id", "at").order_by("customer_id", "at"))
    if not len(found):
        return None
    whose = numbers(found["customer_id"], ids)
    return whose[whose >= 0], found["at"].to_numpy().astype(np.int64)[whose >= 0]
