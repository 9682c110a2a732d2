"""Goods: what is known of every product, and what a piece of it brings to whom before any commission."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tradewind.decisions.commissions.gifts import PIECES, sold
from tradewind.engines.store import Store
from tradewind.measures import metrics as m
from tradewind.measures.fact import MONEY, WHOLE
from tradewind.measures.metric import Additive
from tradewind.measures.query import Query, lights_up, require_costs
from tradewind.period import Period

Array = NDArray[np.float64]
Codes = NDArray[np.int64]

PSEUDO = 5.0  # pieces for which a department's figures count beside a product's own
MERCHANT: tuple[tuple[Additive, int], ...] = (
    (m.GMV, 1), (m.COST, -1), (m.REFUND_AMOUNT, -1), (m.PLATFORM_FEE, -1), (m.FEE_BACK, 1), (m.PAYMENT_FEE, -1),
    (m.SHIPPING_PAID, 1), (m.SHIPPING_COST, -1), (m.RETURN_SHIPPING, -1),
)  # fmt: skip
PLATFORM: tuple[tuple[Additive, int], ...] = (
    (m.PLATFORM_FEE, 1), (m.FEE_BACK, -1), (m.PLATFORM_DISCOUNT, -1), (m.SUBSIDY_BACK, 1),
)  # fmt: skip
CREATOR: tuple[tuple[Additive, int], ...] = ((m.CREATOR_DISCOUNT, -1),)
BRAND: tuple[tuple[Additive, int], ...] = ((m.BRAND_DISCOUNT, -1),)
BOUGHT = replace(
    m.COST, name="bought", value=lambda row: (row.unit_cost_or_assumed * row.quantity.cast(WHOLE)).cast(MONEY),
    doc="Unit cost of what was sold, whatever came back.",
)  # fmt: skip
LISTED, COSTS = sold(m.GROSS_SALES), (sold(m.COST), sold(BOUGHT), sold(m.COST, gifts=True))
BY_PIECE = (m.SHIPPING_PAID, m.SHIPPING_COST, m.RETURN_SHIPPING)  # what a parcel costs does not follow its price


@dataclass(frozen=True)
class Goods:
    """What is known of products; arrays are [products].

    Args:
        ids: Their ids, in rising order.
        title: What they are called; the id where nobody says.
        shop: The shop of each, None where several sell it.
        department: Number of the department.
        price: What a piece usually sells for, sellers' own discounts off: its GMV, which commissions are shares of.
        merchant: What a piece brings its merchant before commission, at today's unit cost, returns counted, and what
            its shop gives away with as much GMV.
        platform: What a piece brings the platform before its share of commission.
        creator: What it brings creators before commission: below 0 by the discounts that they fund.
        brand: What it brings its brand: below 0 likewise.
        returned: Share of the goods' value that comes back, and with it the commission.
        assumed: Whether unit costs rest on an assumed margin.
    """

    ids: tuple[str, ...]
    title: tuple[str, ...]
    shop: tuple[str | None, ...]
    department: Codes
    price: Array
    merchant: Array
    platform: Array
    creator: Array
    brand: Array
    returned: Array
    assumed: bool

    @property
    def joint(self) -> Array:
        """What a piece brings all parties, [products]."""
        return self.merchant + self.platform + self.creator + self.brand


def require(store: Store) -> None:
    """Refuse a store of whose order lines too many have no unit cost.

    Raises:
        MissingDataError: If so, and no margin is assumed.
    """
    require_costs(m.COST, store)


def goods(store: Store, window: Period) -> Goods:
    """Return what is known of products by the end of a window.

    Args:
        store: The store, as the caller may see it.
        window: The days whose sales tell what a piece brings.

    Raises:
        MissingDataError: If too many lines have no unit cost and no margin is assumed.
    """
    require(store)
    terms = tuple(dict.fromkeys(term for term, _ in (*MERCHANT, *PLATFORM, *CREATOR, *BRAND)))
    paid_for = {m.SHIPPING_PAID} if not lights_up(m.SHIPPING_COST, store, ("product_id",)) else set()
    known = tuple(term for term in terms if lights_up(term, store, ("product_id",)) and term not in paid_for)
    sums = store.metrics(Query((PIECES, LISTED, *COSTS, *known), window, by=("product_id",))).to_pydict()
    described = _described(store)
    shops = _shops(store)
    ids = tuple(sorted({*sums["product_id"], *described, *shops}))
    place = {name: n for n, name in enumerate(ids)}
    at = np.array([place[name] for name in sums["product_id"]], np.int64)

    def spread(name: str) -> Array:
        out = np.zeros(len(ids))
        out[at] = np.array(sums[name], float)
        return out

    pieces, gross, gmv = (spread(metric.name) for metric in (PIECES, LISTED, m.GMV))
    names = [described.get(name, (name, "", None))[1] for name in ids]
    kinds = {name: n for n, name in enumerate(sorted(set(names)))}
    department = np.array([kinds[name] for name in names], np.int64)

    def of_department(over: Array, under: Array) -> Array:
        return _ratio(_by(department, over), _by(department, under))[department]

    listing, asked, unit_cost = _current(store, window, place)
    one = np.array([shops.get(name) is not None for name in ids])  # of several shops each may pay another cost
    now = np.where(one, np.where(np.isfinite(unit_cost), unit_cost, _last_paid(store, window, place)), np.nan)
    own = np.divide(gross, pieces, out=np.full(len(ids), gross.sum() / max(pieces.sum(), 1.0)), where=pieces > 0)
    listed = np.where(np.isfinite(listing), listing, own)  # before what sellers take off
    usual = np.where(np.isfinite(listing) | np.isnan(asked), listed * of_department(gmv, gross), asked)
    price = (gmv + PSEUDO * usual) / (pieces + PSEUDO)
    worth = {}
    for term in known:
        total = spread(term.name)
        if term is m.COST:
            kept, bought, presents = (spread(metric.name) for metric in COSTS)
            # a seller's discount makes no goods cheaper
            each = np.where(np.isfinite(unit_cost), unit_cost, listed * of_department(bought, gross))
            mean = (bought + PSEUDO * each) / (pieces + PSEUDO)
            gone = (kept + PSEUDO * each * of_department(kept, bought)) / np.maximum(bought + PSEUDO * each, 1e-9)
            of_shop = np.unique([shops.get(name) or "" for name in ids], return_inverse=True)[1]
            worth[term] = np.where(np.isfinite(now), now, mean) * gone
            worth[term] += price * _ratio(_by(of_shop, presents), _by(of_shop, gmv))[of_shop]
            continue
        each = of_department(total, pieces) if term in BY_PIECE else usual * of_department(total, gmv)
        worth[term] = (total + PSEUDO * each) / (pieces + PSEUDO)
    zero = np.zeros(len(ids))
    merchant, platform, creator, brand = (
        sum((sign * worth[term] for term, sign in part if term in worth), zero)
        for part in (MERCHANT, PLATFORM, CREATOR, BRAND)
    )
    back = worth.get(m.REFUND_AMOUNT, zero) / np.maximum(worth.get(m.GMV, price), 1e-9)
    return Goods(
        ids, tuple(described.get(name, (name, "", None))[0] for name in ids), tuple(shops.get(name) for name in ids),
        department, price, merchant, platform, creator, brand, np.clip(back, 0.0, 1.0), m.assumed(m.COST, store),
    )  # fmt: skip


def _by(group: Codes, values: Array) -> Array:
    return np.asarray(np.bincount(group, values), np.float64)


def _ratio(over: Array, under: Array) -> Array:
    """Sums over sums; where there is nothing to divide by, those of all together."""
    overall = over.sum() / max(float(under.sum()), 1e-9)
    return np.asarray(np.divide(over, under, out=np.full(len(over), overall), where=under > 0))


def _described(store: Store) -> dict[str, tuple[str, str, str | None]]:
    """Title, department and shop of each product that the source describes."""
    if not store.has("products"):
        return {}
    rows = store.run(store.table("products").select("product_id", "title", "category", "shop_id")).to_pydict()
    return {
        name: (title or name, (category or "").split("/")[0], shop)
        for name, title, category, shop in zip(*(rows[key] for key in rows), strict=True)
    }


def _shops(store: Store) -> dict[str, str | None]:
    """The shop of each product that was sold; None where several sold it."""
    lines = store.table("order_lines")
    found = store.run(
        lines.group_by("product_id").aggregate(one=lines.shop_id.min(), shops=lines.shop_id.nunique())
    ).to_pydict()
    told = {
        name: one if shops == 1 else None
        for name, one, shops in zip(found["product_id"], found["one"], found["shops"], strict=True)
    }
    for name, (_, _, shop) in _described(store).items():
        told[name] = told.get(name, shop) or shop
    return told


def _last_paid(store: Store, window: Period, place: dict[str, int]) -> Array:
    """Mean unit cost of what each product sold on the last day of a window on which it is known: [n], else NaN."""
    found = np.full(len(place), np.nan)
    if not store.has("order_lines", "unit_cost"):
        return found
    lines = store.table("order_lines")
    lines = lines.filter(lines.day.between(window.first, window.last), lines.unit_cost.notnull(), lines.quantity > 0)
    lines = lines.select("product_id", "day", "quantity", cost=lines.unit_cost.cast("float64"))
    last = lines.group_by("product_id").aggregate(day=lines.day.max())
    lines = lines.semi_join(last, ["product_id", "day"])
    paid = (lines.cost * lines.quantity).sum() / lines.quantity.sum()
    rows = store.run(lines.group_by("product_id").aggregate(paid=paid)).to_pydict()
    for name, cost in zip(rows["product_id"], rows["paid"], strict=True):
        if name in place:
            found[place[name]] = float(cost)
    return found


def _current(store: Store, window: Period, place: dict[str, int]) -> Array:
    """List price, sale price and unit cost of each product in its last version: [3, n], NaN where nobody says."""
    names = ("list_price", "sale_price", "unit_cost")
    found = np.full((len(names), len(place)), np.nan)
    if not store.has("product_history"):
        return found
    history = store.table("product_history")
    until = history.filter(history.valid_from < window.end(store.provenance.timezone))
    ordered = until.order_by("valid_from", "product_id", "shop_id")  # of shops that list alike, the last by id counts
    rows = store.run(ordered.select("product_id", *names)).to_pydict()
    for row, name in enumerate(names):
        for product, value in zip(rows["product_id"], rows[name], strict=True):  # the last version stays
            if product in place and value is not None:
                found[row, place[product]] = float(value)
    return found


__all__ = ["Goods", "goods", "require"]
