"""A marketplace whose answer to price is planted: what a price is worth in it can be worked out by hand."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

import market
from tradewind.engines.store import Store, open_store
from tradewind.period import Period
from tradewind.study import Deed, Lever, Subject

FIRST, WEEKS = date(2024, 1, 1), 26  # a Monday
LAST = FIRST + timedelta(days=7 * WEEKS - 1)
MONTH = Period(LAST - timedelta(days=27), LAST)
PRODUCTS, SHOPS = 80, 4
ELASTICITY, FEE = 2.0, 0.05
OFTEN, DEPTH = 0.8, 0.4
"""Every second product is discounted that often and that deep: more than its cost allows."""
ODDS, TIMES = 5.0, 1.4
"""Of a discount in a week with a campaign, for each of another week, and of what is sold in it at the same prices."""
SHOCK, KEPT = 0.3, 0.6
UTC_MIDNIGHT = time(3)  # the zone of the market made by hand lies three hours behind


def build(  # noqa: PLR0912, PLR0915 - a market is written down in one go
    folder: Path,
    seed: int = 1,
    *,
    listings: bool = True,
    cost: bool = True,
    lot: bool = True,
    still: bool = False,
    titles: int = PRODUCTS,
    bulk: tuple[int, int, int] | None = None,
    gifts: tuple[int, int] | None = None,
    mega: int | None = None,
    season: float = 1.0,
    gone: tuple[int, int] | None = None,
    out: tuple[int, int, int] | None = None,
    to_order: int | None = None,
    custom: bool = False,
    dip: float = 0.0,
    weeks: int = WEEKS,
    asked: bool = True,
    timed: float = 0.0,
    shown: float = 0.0,
    planned: tuple[int, float] | None = None,
    extra: dict[str, list[dict[str, Any]]] | None = None,
) -> Store:
    """Write a store in which every product answers to its price with the same elasticity.

    Once, somebody takes many pieces more at once where `bulk` tells the product, the week and how many. Where `gifts`
    names a product, so many pieces of it are given away every week. In the week `mega` of a campaign every second pair
    of products is half off and sells five times as much besides, the others half as much again. In the last four weeks
    all sell `season` times as much. Where `gone` names a product and a week, nobody buys it from then on. Where
    `out` names a product, a first week and an end, it has no stock in between; `to_order` never has any, and sells.
    By `custom` the marketplace has a campaign on each double day (1.1, 2.2, …): in these weeks discounts come by `ODDS`
    times the odds, and all sell `TIMES` as much. The share `dip` of an answer is missing in the week after.
    There are so many `weeks`. No sale price is told where nothing is off unless `asked`. Tables of `extra` are added.
    Where sellers are `timed`, what sells strays by a shock that lasts (`SHOCK`, of which `KEPT` is left a week later),
    and the logarithm of odds of a discount falls by so many times that. A list price is raised by the share `shown` in
    the week of a discount, of every second product in the one after as well. In the last `planned[0]` weeks a plan sets
    the price of every second product to `planned[1]` off (`plan` tells it).
    """
    draw = np.random.default_rng(seed)
    pace = draw.gamma(2.0, 4.0, PRODUCTS)
    lines: list[dict[str, Any]] = []
    discounts: list[dict[str, Any]] = []
    history: list[dict[str, Any]] = []
    arms: list[dict[str, Any]] = []
    empty: list[dict[str, Any]] = []
    earlier = np.zeros(PRODUCTS)  # what was off the week before
    strayed = np.random.default_rng([seed, 1])
    shock = strayed.normal(0.0, SHOCK, PRODUCTS)
    for week in range(weeks):
        monday = FIRST + timedelta(days=7 * week)
        begins = datetime.combine(monday, UTC_MIDNIGHT)
        campaign = custom and any(double(monday + timedelta(days=day)) for day in range(7))
        shock = KEPT * shock + strayed.normal(0.0, SHOCK * (1 - KEPT**2) ** 0.5, PRODUCTS)
        for n in range(PRODUCTS):
            odds = often(n, campaign) / (1 - often(n, campaign)) * np.exp(-timed * shock[n])
            full, on = price(n), draw.random() < odds / (1 + odds)
            off = (DEPTH if n % 2 == 0 else 0.1) if on else 0.0
            if still:
                off = 0.0
            elif lot and draw.random() < 0.15:
                arm = int(draw.integers(3))
                off = 0.1 * arm
                arms.append({
                    "experiment_id": f"week-{week}", "unit_kind": "product", "unit_id": name(n), "arm": str(arm),
                    "propensity": 1 / 3, "assigned_at": begins,
                })  # fmt: skip
            times = (season if week >= weeks - 4 else 1.0) * (TIMES if campaign else 1.0)
            times *= np.exp(shock[n]) if timed else 1.0
            if out is not None and out[0] == n and out[1] <= week < out[2]:
                times = 0.0
                empty += [
                    {"product_id": name(n), "shop_id": shop(n), "day": monday + timedelta(days=day), "on_hand": 0}
                    for day in range(7)
                ]
            if to_order == n:
                empty += [
                    {"product_id": name(n), "shop_id": shop(n), "day": monday + timedelta(days=day), "on_hand": 0}
                    for day in range(7)
                ]
            if gone is not None and gone[0] == n and week >= gone[1]:
                times = 0.0
            if week == mega:
                off, times = (0.5, 5.0) if n % 4 < 2 else (off, 1.5)
            if planned is not None and n % 2 and week >= weeks - planned[0]:
                off = planned[1]
            pieces = int(draw.poisson(times * pace[n] * ((1 - off) / (1 - earlier[n]) ** dip) ** -ELASTICITY))
            listed = full * (1 + shown * bool(off or (n % 2 and earlier[n])))
            earlier[n] = off
            pieces += bulk[2] if bulk is not None and bulk[:2] == (n, week) else 0
            history.append({
                "product_id": name(n), "shop_id": shop(n), "valid_from": begins,
                "valid_to": begins + timedelta(days=7) if week < weeks - 1 else None, "list_price": money(listed),
                "sale_price": money(full * (1 - off)) if off or asked else None, "active": True,
                "unit_cost": Decimal(full) / 2 if cost else None,
            })  # fmt: skip
            if gifts is not None and gifts[0] == n:
                lines.append(_given_away(n, monday, gifts[1], cost))
            if pieces:
                at = datetime.combine(monday + timedelta(days=int(draw.integers(7))), time(12))
                gross = full * pieces
                lines.append({
                    "order_id": f"o{week}-{n}", "line": 0, "ordered_at": at, "known_at": at, "day": at.date(),
                    "hour": at, "customer_id": f"c{n}", "shop_id": shop(n), "product_id": name(n), "quantity": pieces,
                    "unit_price": Decimal(full), "unit_cost": Decimal(full) / 2 if cost else None,
                    "platform_fee": money(FEE * gross * (1 - off)),
                })  # fmt: skip
                if off:
                    discounts.append({
                        "order_id": f"o{week}-{n}", "line": 0, "n": 0, "payer": "merchant", "kind": "promotion",
                        "amount": money(gross * off),
                    })  # fmt: skip
    tables: dict[str, list[dict[str, Any]]] = {
        "order_lines": lines, "order_discounts": discounts,
        "products": [
            {
                "product_id": name(n), "shop_id": shop(n), "title": f"Product {n % titles}",
                "category": f"Home/Sort {n % 5}",
            }
            for n in range(PRODUCTS)
        ],
        "shops": [{"shop_id": f"s{n}", "name": f"Shop {n}"} for n in range(SHOPS)],
        "inventory": [
            {"product_id": name(n), "shop_id": shop(n), "day": FIRST + timedelta(days=7 * weeks - 1),
             "on_hand": 10_000 if n == 3 else 5}
            for n in range(PRODUCTS)
            if n != to_order and (out is None or out[0] != n or out[2] < weeks)
        ] + empty,
    } | (extra or {})  # fmt: skip
    if listings:
        tables["product_history"] = history
    if arms:
        tables["assignments"] = arms
    if custom:
        tables["campaigns"] = [
            {
                "campaign_id": f"g{day}", "starts_at": datetime.combine(day, UTC_MIDNIGHT),
                "ends_at": datetime.combine(day, UTC_MIDNIGHT) + timedelta(hours=23),
            }
            for day in (FIRST + timedelta(days=n) for n in range(7 * weeks)) if double(day)
        ]  # fmt: skip
    market.write(folder, tables)
    return open_store(str(folder))


def _given_away(n: int, day: date, pieces: int, cost: bool) -> dict[str, Any]:
    at = datetime.combine(day, time(12))
    return {
        "order_id": f"g{day}-{n}", "line": 0, "ordered_at": at, "known_at": at, "day": day, "hour": at,
        "customer_id": f"c{n}", "shop_id": shop(n), "product_id": name(n), "quantity": pieces,
        "unit_price": Decimal(0), "unit_cost": Decimal(price(n)) / 2 if cost else None,
    }  # fmt: skip


def double(day: date) -> bool:
    """Whether a day is one on which day and month agree."""
    return day.day == day.month


def plan(weeks: int) -> list[Deed]:
    """What a plan did in the last weeks."""
    days = Period(LAST - timedelta(days=7 * weeks - 1), LAST)
    return [Deed(Lever.PRICE, Subject("product", name(n), shop(n)), days) for n in range(1, PRODUCTS, 2)]


def often(n: int, campaign: bool = False) -> float:
    """How often a product is discounted."""
    share = OFTEN if n % 2 == 0 else 0.15
    return ODDS * share / (1 - share + ODDS * share) if campaign else share


def money(amount: float) -> Decimal:
    """An amount as tables hold it."""
    return Decimal(str(round(amount, 4)))


def price(n: int) -> int:
    """List price of a product."""
    return 10 + n


def name(n: int) -> str:
    """Id of a product."""
    return f"p{n:03d}"


def shop(n: int) -> str:
    """The shop of a product."""
    return f"s{n % SHOPS}"


def worth(n: int, off: float, pace: float, campaigns: int = 0) -> float:
    """What four weeks of a steady price bring more than the seller's usual discounts, by hand, in expectation.

    So many of them are weeks of campaigns.
    """

    def brings(share: float) -> float:
        # Refunds, commission and shipping do not occur; the fee goes from the merchant to the platform.
        return float(price(n) * ((1 - share) - 0.5) * (1 - share) ** -ELASTICITY)

    def week(on: float) -> float:
        return brings(off) - on * brings(DEPTH if n % 2 == 0 else 0.1) - (1 - on) * brings(0.0)

    return pace * ((4 - campaigns) * week(often(n)) + campaigns * TIMES * week(often(n, campaign=True)))
