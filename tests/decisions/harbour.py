"""A small quiet marketplace whose changes are planted, so that a study has a truth to find."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import market
from tradewind.engines.store import Store, open_store
from tradewind.period import Period

FIRST = date(2024, 1, 1)
WEEKS = 20
LAST_WEEK = Period(FIRST + timedelta(days=7 * (WEEKS - 1)), FIRST + timedelta(days=7 * WEEKS - 1))
DEPARTMENTS = ("Beauty", "Home", "Food")
Line = dict[str, Any]


def build(
    folder: Path, plant: Callable[[Line], Line | None] = lambda line: line, seed: int = 3, **tables: list[Line]
) -> Store:
    """Write a store of twenty weeks; `plant` may change or drop a line."""
    draw = random.Random(seed)
    products = [
        {"product_id": f"p{n}", "title": f"Product {n}", "category": f"{DEPARTMENTS[n % 3]}/Sort {n % 6}", "brand": "B"}
        for n in range(30)
    ]
    lines = []
    for offset in range(7 * WEEKS):
        day = FIRST + timedelta(days=offset)
        for n in range(draw.randint(55, 65) + (12 if day.weekday() >= 5 else 0)):
            at = datetime.combine(day, time(draw.randint(8, 21), draw.randint(0, 59)))
            product = draw.randrange(30)
            line = {
                "order_id": f"{day}-{n}", "line": 0, "ordered_at": at, "known_at": at, "day": day,
                "hour": at.replace(minute=0), "customer_id": f"c{draw.randrange(400)}", "shop_id": f"s{product % 4}",
                "product_id": f"p{product}", "quantity": draw.randint(1, 3), "unit_price": Decimal(5 + product),
                "surface": draw.choice(("feed", "search", "mall")),
            }  # fmt: skip
            if (planted := plant(line)) is not None:
                lines.append(planted)
    shops = [{"shop_id": f"s{n}", "name": f"Shop {n}"} for n in range(4)]
    customers = [{"customer_id": f"c{n}"} for n in range(400)]
    rows = {"order_lines": lines, "products": products, "shops": shops, "customers": customers, **tables}
    market.write(folder, rows)
    return open_store(str(folder))


def sold(folder: Path, sales: Iterable[Line], **tables: list[Line]) -> Store:
    """Write a store of just these order lines: each names its day, and what else it has unlike all others."""
    lines = []
    for n, sale in enumerate(sales):
        at = datetime.combine(sale["day"], time(12))
        usual = {
            "order_id": f"o{n}", "line": 0, "ordered_at": at, "known_at": at, "hour": at, "customer_id": "c",
            "shop_id": "s", "product_id": "p", "quantity": 1, "unit_price": Decimal(100),
        }  # fmt: skip
        lines.append({**usual, **sale})
    market.write(folder, {"order_lines": lines, **tables})
    return open_store(str(folder))
