"""A bazaar whose laws are known: creators share their hours by what a line pays, and part of what they show is new."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

import market
from tradewind.engines.snapshot import Draft
from tradewind.period import Period
from tradewind.study import Provenance

FIRST, WEEKS = date(2024, 1, 1), 17
SPAN = Period(FIRST, FIRST + timedelta(days=7 * WEEKS - 1))
LAST = Period(SPAN.last - timedelta(days=27), SPAN.last)
PROVENANCE = Provenance(
    "bazaar", "CC0-1.0", "Made for tests.", "EUR", "UTC", simulated=True, whole_marketplace=True
)  # fmt: skip
PRODUCTS, CREATORS, SHOPS = 120, 30, 6
ANSWER, CROWDING, BEND, MARGIN, FEE = 0.8, 0.9, 0.3, 0.5, 0.05
"""Powers of effort in the rate and in a creator's load; what a unit of effort adds to exposure; shares of a price."""


def truth(rate: np.ndarray, hours: np.ndarray, by: np.ndarray, pull: np.ndarray, answer: np.ndarray) -> np.ndarray:
    """Return the effort of lines that hold at one time."""
    drive = pull * rate**answer
    load = np.bincount(by, drive, CREATORS)[by]
    return hours[by] * drive / load**CROWDING


def build(
    folder: Path,
    seed: int = 1,
    leave: tuple[str, ...] = (),
    *,
    off: float = 0.0,
    back: float = 0.0,
    mega: int | None = None,
    gone: tuple[str, frozenset[int], int] | None = None,
    ended: frozenset[int] = frozenset(),
    besides: str = "",
    apart: bool = False,
    taken: float | None = None,
    deaf: bool = False,
    doubled: bool = False,
) -> Path:
    """Write a store of the bazaar; tables named in `leave` are left out.

    Sellers take a share of `off` off their list prices, twice that on every other piece, and a share `back` comes back.
    In the week `mega` all is shown ten times as often. Where `gone` names products or creators, and a week, these are
    shown or show no more from then on, whatever contracts say. Listings of the products in `ended` have ended. The
    party `besides` gives a tenth of the price off every piece. Sellers' own orders name another surface than their
    traffic where these are `apart`. Where a share is `taken`, a mall sells each product three times as often as its
    seller does, less that share of what they sell in a week. Small creators answer to no
    rate where they are `deaf`. Where contracts are `doubled`, an open plan that pays half as much stands beside each.
    """
    rng, luck = np.random.default_rng(seed), np.random.default_rng(seed + 1)
    price = np.round(rng.uniform(10, 60, PRODUCTS), 2)
    base = rng.lognormal(7.5, 0.7, PRODUCTS)
    sells = 0.004 * rng.lognormal(0, 0.3, PRODUCTS)
    hours, followers = rng.lognormal(0.5, 0.4, CREATORS), rng.permutation(CREATORS) * 100 + 50
    answer = np.where(deaf & (followers < np.quantile(followers, 1 / 3)), 0.0, ANSWER)
    contracts = []
    for begin in range(-6, WEEKS, 2):
        for product in np.flatnonzero(rng.random(PRODUCTS) < 0.5).tolist():
            rate = round(float(rng.uniform(0.03, 0.25)), 3)
            contracts.append((product, int(rng.integers(CREATORS)), rate, begin, begin + 8, rng.lognormal(0, 0.4)))
    kept = list({(c[0], c[1]): c for c in reversed(contracts)}.values())  # one contract of a product with a creator
    product, by, begin, end = (np.array([c[n] for c in kept]) for n in (0, 1, 3, 4))
    rate, pull = np.array([c[2] for c in kept]), np.array([c[5] for c in kept])
    rows: market.Rows = {name: [] for name in market.TABLES}
    for week in range(WEEKS):
        live = np.flatnonzero((begin <= week) & (end > week))
        effort = truth(rate[live], hours, by[live], pull[live], answer[by[live]])
        total = np.bincount(product[live], effort, PRODUCTS)
        noise = rng.lognormal(0, 0.05, PRODUCTS)
        shown = base * noise * (1 + BEND * total) * (10 if week == mega else 1)
        day = FIRST + timedelta(days=7 * week + 6)
        cells = [(p, None, rng.poisson(shown[p] / (1 + total[p]))) for p in range(PRODUCTS)]
        cells += [
            (int(product[c]), int(c), rng.poisson(shown[product[c]] * effort[n] / (1 + total[product[c]])))
            for n, c in enumerate(live.tolist())
        ]
        for p, c, count in cells:
            if (
                gone is not None
                and week >= gone[2]
                and (p if gone[0] == "product" else c is not None and by[c]) in gone[1]
            ):
                continue
            moment = datetime(day.year, day.month, day.day, 12)
            who = {
                "relation": "own" if c is None else "affiliate",
                "creator_id": None if c is None else f"k{by[c]:02d}",
            }
            where = {"product_id": f"p{p:03d}", "shop_id": f"s{p % SHOPS}", "surface": "feed", "form": "video", **who}
            rows["traffic"].append(
                {"hour": moment, **where, "impressions": int(count),
                 "clicks": int(rng.binomial(count, 0.02)), "carts": 0}
            )  # fmt: skip
            for _ in range(int(rng.poisson(count * sells[p]))):
                place = {**where, "surface": "mall"} if apart and c is None else where
                _sell(rows, luck, place, moment, price[p], 0.0 if c is None else rate[c], off, back, besides=besides)
        left = np.maximum(base * 3 - (taken or 0.0) * shown * total / (1 + total), 0.3 * base)
        _mall(rows, luck, day, left * sells * (taken is not None), price)
    midnight = datetime(FIRST.year, FIRST.month, FIRST.day)
    for n, (p, k, r, first, last, _) in enumerate([*kept, *[(*c[:2], c[2] / 2, *c[3:]) for c in kept if doubled]]):
        rows["commissions"].append({
            "contract_id": f"n{n:05d}", "shop_id": f"s{p % SHOPS}", "product_id": f"p{p:03d}",
            "creator_id": f"k{k:02d}", "rate": r, "platform_share": 0.0,
            "invited_at": midnight + timedelta(days=7 * first), "accepted_at": midnight + timedelta(days=7 * first),
            "ends_at": midnight + timedelta(days=7 * last, seconds=-1),
        })  # fmt: skip
    for k in range(CREATORS):
        rows["creators"].append({"creator_id": f"k{k:02d}", "name": f"Creator {k}"})
        rows["creator_history"].append(
            {"creator_id": f"k{k:02d}", "valid_from": midnight, "followers": int(followers[k])}
        )
    for p in range(PRODUCTS):
        rows["products"].append(
            {"product_id": f"p{p:03d}", "shop_id": f"s{p % SHOPS}", "title": f"Product {p}", "category": f"D{p % 3}/X"}
        )
        if off:
            rows["product_history"].append(
                {"product_id": f"p{p:03d}", "shop_id": f"s{p % SHOPS}", "valid_from": midnight,
                 "list_price": _money(price[p]),
                 "valid_to": midnight + timedelta(days=7 * WEEKS - 1) if p in ended else None}
            )  # fmt: skip
    with Draft(folder) as draft:
        files: dict[str, list[Path]] = {}
        for name, found in rows.items():
            if found and name not in leave:
                for row in found:
                    if name in ("traffic", "order_lines", "refunds"):
                        moment = row.get("hour") or row.get("ordered_at") or row["refunded_at"]
                        row |= {"day": moment.date(), "hour": moment}
                path = draft.new_file(name)
                pq.write_table(market.arrow(name, found), path)
                files[name] = [path]
        draft.commit(PROVENANCE, files, {"digest": "made by hand"})
    return folder


def _mall(rows: market.Rows, luck: np.random.Generator, day: date, pieces: np.ndarray, price: np.ndarray) -> None:
    """Show and sell every product where no creator is: fifty times shown for a piece."""
    if not pieces.any():
        return
    moment = datetime(day.year, day.month, day.day, 12)
    for p, count in enumerate(luck.poisson(pieces * 50).tolist()):
        where = {"product_id": f"p{p:03d}", "shop_id": f"s{p % SHOPS}", "surface": "mall", "form": "card",
                 "relation": "own", "creator_id": None}  # fmt: skip
        rows["traffic"].append({"hour": moment, **where, "impressions": count, "clicks": count // 20, "carts": 0})
        for _ in range(int(luck.poisson(count / 50))):
            _sell(rows, luck, where, moment, price[p], 0.0, 0.0, 0.0, besides="")


def _sell(
    rows: market.Rows, luck: np.random.Generator, where: dict[str, object], moment: datetime, price: float, rate: float,
    off: float, back: float, *, besides: str,
) -> None:  # fmt: skip
    number = len(rows["order_lines"])
    name = {"order_id": f"o{number:06d}", "line": 0}
    less = round(price * 2 * off * (number % 2), 4)
    left = price - less
    paid, fee = _money(left * rate), _money(left * FEE)
    rows["order_lines"].append({
        **name, "ordered_at": moment, "known_at": moment, "customer_id": f"c{number % 500}", "quantity": 1,
        "unit_price": _money(price), "unit_cost": _money(price * (1 - MARGIN)), "platform_fee": fee, "commission": paid,
        "commission_platform_share": None if where["creator_id"] is None else 0.0, **where,
    })  # fmt: skip
    if off:
        rows["order_discounts"].append(
            {**name, "n": 0, "payer": "merchant", "kind": "promotion", "amount": _money(less)}
        )
    if besides:
        rows["order_discounts"].append(
            {**name, "n": 1, "payer": besides, "kind": "campaign", "amount": _money(price / 10)}
        )
    if luck.random() < back:
        rows["refunds"].append({
            "refund_id": f"r{number:06d}", **name, "product_id": where["product_id"], "shop_id": where["shop_id"],
            "quantity": 1, "amount": _money(left), "commission_reversed": paid,
            "fee_reversed": fee, "restocked": False, "refunded_at": moment, "known_at": moment,
        })  # fmt: skip


def _money(value: float) -> Decimal:
    return Decimal(str(round(float(value), 4)))
