"""Economics: what one more piece at a price brings each party, at the rates that a shop's own history shows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from tradewind.decisions.prices.panel import Panel
from tradewind.engines.store import Store
from tradewind.errors import MissingDataError
from tradewind.measures import metrics as m
from tradewind.measures.fact import WHOLE
from tradewind.measures.facts import SALES
from tradewind.measures.metric import Additive, Metric
from tradewind.measures.query import Query, lights_up
from tradewind.period import Period
from tradewind.study import Party

Array = NDArray[np.float64]

RIPE = 28  # days after which refunds of an order have come
PIECES = 50.0  # pieces of everybody's that a shop's or product's own rates are steadied by
BOUGHT = Additive(
    name="cost_of_pieces", title="Cost of pieces sold", unit="money", better=-1, fact=SALES,
    value=lambda row: row.unit_cost_or_assumed * row.quantity.cast(WHOLE),
    doc="Unit cost of what was sold, whether or not it came back.",
)  # fmt: skip
OF_SALES = {  # each a share of GMV
    "refunds": m.REFUNDS_OF_ORDERS, "fee": m.PLATFORM_FEE, "payment": m.PAYMENT_FEE, "commission": m.COMMISSION,
    "by_platform": m.PLATFORM_COMMISSION, "subsidy": m.PLATFORM_DISCOUNT, "by_brand": m.BRAND_DISCOUNT,
    "by_creator": m.CREATOR_DISCOUNT,
}  # fmt: skip
PER_PIECE = {"shipping": m.SHIPPING_COST, "postage": m.SHIPPING_PAID, "way_back": m.RETURN_SHIPPING}
PARTIES = (Party.MERCHANT, Party.PLATFORM, Party.CREATOR, Party.BRAND)


@dataclass(frozen=True)
class Economics:
    """What a piece brings: a share of its price less an amount, by party.

    Args:
        share: [parties, n] part of the price after the seller's discount that each party keeps.
        amount: [parties, n] what a piece costs each party besides.
        cost: [n] unit cost.
        others: [parties] what a piece of other products brings on average, at the prices that were paid.
        same_shop: [n] share of all sales that the product's own shop makes.
        absent: What the source does not tell, so that it counts as nothing.
        margin: The margin that is assumed where a cost is not known; None where costs are known.
        priced: [n] what a margin of 1 would take off the amount: the list price where its margin is assumed.
        others_priced: The same of a piece of other products on average.
    """

    share: Array
    amount: Array
    cost: Array
    others: Array
    same_shop: Array
    absent: tuple[str, ...]
    margin: float | None
    priced: Array
    others_priced: float

    def profit(self, price: Array) -> Array:
        """Return what one piece brings each party at a price.

        Args:
            price: [n, ...] price of each product after the seller's discount.

        Returns:
            [parties, n, ...] contribution profit of one piece.
        """
        extra = (slice(None), slice(None), *(None,) * (price.ndim - 1))
        return np.asarray(self.share[extra] * price - self.amount[extra])

    @property
    def joint(self) -> tuple[Array, Array]:
        """[n] share of the price that all parties keep together, and the amount that a piece costs them."""
        return self.share.sum(axis=0), self.amount.sum(axis=0)


def require_costed(panel: Panel) -> None:
    """Refuse products of which none on sale has a unit cost.

    Raises:
        MissingDataError: If so.
    """
    if np.isnan(panel.cost[panel.active]).all():
        raise MissingDataError(
            "Prices are judged by profit, and nothing tells what products cost",
            do="import unit costs, or assume a margin with --assume margin=0.3",
        )


def economics(store: Store, panel: Panel) -> Economics:
    """Return what a piece of each product brings.

    Args:
        store: The store, as the caller may see it.
        panel: The products.

    Raises:
        MissingDataError: If nothing tells what products cost.
    """
    require_costed(panel)
    seen = Period(panel.weeks[0], panel.last)
    ripe = Period(seen.first, max(seen.first, seen.last - timedelta(days=RIPE)))
    wanted: dict[str, Metric] = {**OF_SALES, **PER_PIECE, "kept": m.COST, "bought": BOUGHT}
    there = {name: metric for name, metric in wanted.items() if lights_up(metric, store, ("shop_id",))}
    absent = tuple(metric.title.lower() for name, metric in wanted.items() if name not in there and name != "bought")
    base: tuple[Metric, ...] = (m.GMV, m.ITEMS)
    shop = _by(store, (*base, *there.values()), "shop_id", ripe)
    own = {name: metric for name, metric in there.items() if name in ("commission", "by_platform")}
    product = _by(store, (*base, *own.values()), "product_id", ripe) if own else {}
    count = len(panel.products)

    def rate(name: str, under: str) -> Array:
        if name not in there:
            return np.zeros(count)
        metric = wanted[name].name
        total = _over(sum(r[metric] for r in shop.values()), sum(r[under] for r in shop.values()))
        found = np.array([_steadied(shop.get(s), metric, under, total) for s in panel.shops])
        if name not in own:
            return found
        return np.array([
            _steadied(product.get(p), metric, under, usual)
            for p, usual in zip(panel.products, found.tolist(), strict=True)
        ])  # fmt: skip

    gmv, items = m.GMV.name, m.ITEMS.name
    of = {name: rate(name, gmv) for name in OF_SALES}
    per = {name: rate(name, items) for name in PER_PIECE}
    if "shipping" not in there:  # what buyers pay for it counts only beside what it costs
        per["postage"] = np.zeros(count)
    kept = rate("kept", BOUGHT.name) if "bought" in there else np.ones(count)
    back = 1 - of["refunds"]
    fee, commission = of["fee"] * back, of["commission"] * back
    by_platform = of["by_platform"] * back
    cost = np.where(np.isnan(panel.cost), np.nanmedian(panel.cost / panel.list_price) * panel.list_price, panel.cost)
    share = np.stack([
        back - fee - of["payment"] - (commission - by_platform),
        fee - by_platform - of["subsidy"] * back,
        commission - of["by_creator"],
        -of["by_brand"] * back,
    ])  # fmt: skip
    nothing = np.zeros(count)
    amount = np.stack([
        cost * np.where(kept > 0, kept, 1.0) + per["shipping"] - per["postage"] + per["way_back"],
        nothing, nothing, nothing,
    ])  # fmt: skip
    pieces = panel.units[:, -4:].sum(axis=1)
    worth = share * np.where(np.isnan(panel.price), 0.0, panel.price) - np.where(np.isnan(amount), 0.0, amount)
    others = (worth * pieces).sum(axis=1) / max(float(pieces.sum()), 1e-9)
    in_shop: dict[str, float] = {}
    for name, sold in zip(panel.shops, pieces.tolist(), strict=True):
        in_shop[name] = in_shop.get(name, 0.0) + sold
    everything = max(float(pieces.sum()), 1e-9)
    same = np.array([in_shop[name] / everything for name in panel.shops])
    assumed = store.assumptions.margin is not None and store.coverage("order_lines", "unit_cost") < 1
    priced = np.where(panel.assumed, np.nan_to_num(panel.list_price), 0.0) * np.where(kept > 0, kept, 1.0)
    return Economics(
        share, amount, cost, others, same, absent, store.assumptions.margin if assumed else None, priced,
        float(priced @ pieces) / everything,
    )  # fmt: skip


def _by(store: Store, metrics: tuple[Metric, ...], key: str, days: Period) -> dict[str, dict[str, float]]:
    rows = store.metrics(Query(metrics, days, (key,))).to_pylist()
    return {row[key]: {name: float(value or 0) for name, value in row.items() if name != key} for row in rows}


def _over(sum_of: float, under: float) -> float:
    return sum_of / under if under > 0 else 0.0


def _steadied(row: dict[str, float] | None, metric: str, under: str, usual: float) -> float:
    """A rate of sums, drawn towards the usual one as if some pieces of everybody's were among its own."""
    if row is None or row[under] <= 0:
        return usual
    weight = PIECES * row[under] / max(row[m.ITEMS.name], 1.0)
    return (row[metric] + usual * weight) / (row[under] + weight)
