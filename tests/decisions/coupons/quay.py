"""A marketplace whose coupons are drawn by lot and whose answer to them is planted: what one is worth is known."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

import market
from tradewind.engines.store import Store, open_store
from tradewind.period import Period

FIRST, WEEKS = date(2024, 1, 1), 16  # a Monday
LAST = FIRST + timedelta(days=7 * WEEKS - 1)
MONTH = Period(LAST - timedelta(days=27), LAST)
UTC_MIDNIGHT = time(3)  # the zone of the market made by hand lies three hours behind
FACE, THRESHOLD, CHANCE, DAYS = 2.0, 8.0, 0.5, 5
PRICES, SHARES = (4.0, 10.0, 40.0), (0.3, 0.4, 0.3)
"""What orders cost, and how frequent each is without any coupon: one too small for it, one deep, one shallow."""
LIFTS = {"keen": (0.0, 1.5, 0.375), "cool": (0.0, 0.0, 0.0)}
"""By what share orders of each price rise among holders: in proportion to depth, with those who look often."""
RATE = 0.02  # orders a day
COST, FEE = 0.5, 0.05


def build(
    folder: Path, seed: int = 1, people: int = 3_000, *, lot: bool = True, written: bool = True, cost: float = 1,
    named: bool = True, shops: int = 1, by_use: int = 0, about_to_buy: bool = False,
    unwritten: int = 0, claimed: int = 0, mega: int | None = None, merchants: float = 0.0, besides: str = "",
    own: int = 0, lapsed: float | None = None, on_top: str = "", double: float = 1,
) -> Store:  # fmt: skip
    """Write a store in which half of the customers, those who look often, answer to coupons.

    Args:
        folder: The store's folder.
        seed: Draws everything.
        people: Number of customers; those of even number are keen.
        lot: Whether the lot is written to `assignments`.
        written: Whether grants carry the chance by which they were given.
        cost: Share of the orders whose unit cost is known.
        named: Whether coupons name their face value and threshold.
        shops: Number of shops among which orders are spread.
        unwritten: Number of the first coupons whose chances nobody wrote down.
        mega: Week in which everybody orders five times as often.
        merchants: Share of every coupon that merchants pay; the platform pays the rest.
        own: Number of the first coupons that are a shop's own.
        lapsed: By what share orders that fit rise among holders who have not ordered for four weeks; nobody else
            answers then.
        besides: Who gives a quarter of the price off every order, beside coupons; nobody where empty.
        double: How many times as many orders come on double days such as 3.3, on each of which there is a campaign.
        on_top: On which orders a coupon of the shop's own takes 1 off, in every fifth: "any", or "other", those without
            one of the marketplace's; on none where empty.
        by_use: Number of the first coupons of which only those who used one are known.
        claimed: Number of the first coupons that customers took themselves, being about to make a large order: who has
            one makes three times as many.
        about_to_buy: Whether coupons go to customers who are about to order, which nobody writes down: who has one
            orders twice as often while it runs, whatever the size of the order.
    """
    draw = np.random.default_rng(seed)
    ids = [f"c{n:04d}" for n in range(people)]
    keen = np.arange(people) % 2 == 0
    rise = np.where(keen[:, None], np.array(LIFTS["keen"]), np.array(LIFTS["cool"]))
    tables: dict[str, list[dict[str, Any]]] = {
        name: [] for name in ("order_lines", "order_discounts", "coupons", "coupon_grants", "assignments", "events")
    }
    if on_top:
        tables["coupons"].append({"coupon_id": "shop", "shop_id": "s0"})
    number, last = 0, np.full(people, -99)
    for week in range(WEEKS):
        start = datetime.combine(FIRST + timedelta(days=7 * week), UTC_MIDNIGHT)
        given = draw.random(people) < CHANCE
        coupon = f"u{week:02d}"
        terms = {"face_value": Decimal(FACE), "threshold": Decimal(THRESHOLD)} if named else {}
        tables["coupons"].append({
            "coupon_id": coupon, "shop_id": "s0" if week < own else None, "starts_at": start,
            "ends_at": start + timedelta(days=DAYS),
            "platform_share": 1.0, **terms,
        })  # fmt: skip
        used: dict[int, str] = {}
        for day in range(7):
            held = (given & (day < DAYS))[:, None]
            rate = RATE * (5 if week == mega else 1) * np.array(SHARES) * (1 + rise * held) * (1 + about_to_buy * held)
            if lapsed is not None:
                rate = RATE * np.array(SHARES) * np.ones((people, 1))
                gone = 7 * week + day - last >= 28
                rate *= 1 + lapsed * held * gone[:, None] * (np.array(PRICES) >= THRESHOLD)
            if is_double(FIRST + timedelta(days=7 * week + day)):
                rate = rate * double
            rate *= 1 + 2 * held * (np.array(PRICES) >= THRESHOLD) * (week < claimed)
            who, what = np.nonzero(draw.random(rate.shape) < rate)
            last[who] = 7 * week + day
            for n, kind in zip(who.tolist(), what.tolist(), strict=True):
                at = start + timedelta(days=day, hours=1 + int(draw.integers(20)))
                name, price = f"o{number:06d}", PRICES[kind]
                number += 1
                takes = bool(held[n, 0]) and price >= THRESHOLD and n not in used
                tables["order_lines"].append(
                    _line(name, ids[n], price, at, number % 10 < 10 * cost, f"s{number % shops}")
                )
                if takes:
                    used[n] = name
                    tables["order_discounts"] += [
                        {"order_id": name, "line": 0, "n": at, "payer": payer, "kind": "coupon", "coupon_id": coupon,
                         "amount": Decimal(FACE) * Decimal(str(share))}
                        for at, (payer, share) in enumerate((("platform", 1 - merchants), ("merchant", merchants)))
                        if share
                    ]  # fmt: skip
                if number % 5 == 0 and (on_top == "any" or (on_top == "other" and not takes)):
                    tables["order_discounts"].append(
                        {"order_id": name, "line": 0, "n": 3, "payer": "merchant", "kind": "coupon",
                         "coupon_id": "shop", "amount": Decimal(1)}
                    )  # fmt: skip
                if besides:
                    tables["order_discounts"].append(
                        {"order_id": name, "line": 0, "n": 2, "payer": besides, "kind": "campaign",
                         "amount": Decimal(str(price)) / 4}
                    )  # fmt: skip
        for n in used if week < by_use else np.flatnonzero(given).tolist():
            tables["coupon_grants"].append({
                "coupon_id": coupon, "customer_id": ids[n], "granted_at": start, "redeemed_order_id": used.get(n),
                "propensity": CHANCE if written and week >= unwritten else None, "claimed": week < claimed,
            })  # fmt: skip
        tables["assignments"] += [
            {"experiment_id": f"coupon-{week}", "unit_kind": "customer", "unit_id": ids[n], "arm": str(int(given[n])),
             "propensity": CHANCE, "assigned_at": start}
            for n in range(people)
        ] * lot  # fmt: skip
        tables["events"] += _looks(start, ids, keen, draw)
    tables["customers"] = [
        {"customer_id": name, "first_seen_at": datetime.combine(FIRST, UTC_MIDNIGHT) - timedelta(days=1)}
        for name in ids
    ]
    if double != 1:
        starts = [datetime.combine(day, UTC_MIDNIGHT) for day in map(FIRST.__add__, map(timedelta, range(7 * WEEKS)))
                  if is_double(day)]  # fmt: skip
        tables["campaigns"] = [
            {"campaign_id": f"{at:%m.%d}", "starts_at": at, "ends_at": at + timedelta(days=1)} for at in starts
        ]
    tables["shops"] = [{"shop_id": f"s{n}", "name": f"Shop {n}"} for n in range(shops)]
    market.write(folder, {name: rows for name, rows in tables.items() if rows})
    return open_store(str(folder))


def is_double(day: date) -> bool:
    return day.day == day.month


def _line(order: str, customer: str, price: float, at: datetime, cost: bool, shop: str) -> dict[str, Any]:
    local = market.local(at)
    return {
        "order_id": order, "line": 0, "ordered_at": at, "known_at": at, "day": local.date(),
        "hour": local.replace(minute=0), "customer_id": customer, "shop_id": shop, "product_id": f"p{price:g}",
        "quantity": 1, "unit_price": Decimal(str(price)), "platform_fee": Decimal(str(price * FEE)),
        "unit_cost": Decimal(str(price * COST)) if cost else None,
    }  # fmt: skip


def _looks(start: datetime, ids: list[str], keen: np.ndarray, draw: np.random.Generator) -> list[dict[str, Any]]:
    """Who looked on which day of the week: the keen often, the others hardly."""
    found = []
    for day in (1, 4):
        there = np.flatnonzero(draw.random(len(ids)) < np.where(keen, 0.95, 0.05))
        at = start + timedelta(days=day, hours=5)
        local = market.local(at)
        found += [
            {"event_id": f"{at:%m%d}{n}", "at": at, "known_at": at, "day": local.date(), "hour": local, "kind": "click",
             "customer_id": ids[n]}
            for n in there.tolist()
        ]  # fmt: skip
    return found


def worth(people: int, kind: str, days: int) -> float:
    """What one more coupon of these terms is truly worth among so many customers of a kind, over some days.

    Customers hold the marketplace's own coupon with chance 0.5 on five days in seven; another of the same terms then
    adds nothing. It is used on the first order that it fits.
    """
    free = 1 - CHANCE * DAYS / 7
    margin = 1 - COST
    gain = uses = 0.0
    for price, share, lift in zip(PRICES, SHARES, LIFTS[kind], strict=True):
        if price >= THRESHOLD:
            orders = RATE * share * days * free
            gain += orders * (lift * (margin * price - FACE) - FACE)
            uses += orders * (1 + lift)
    return people * gain * (1 - np.exp(-uses)) / uses
