"""A fair: a store of many shops, each of which took a known amount each month, to see what others learn of it."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import market
from tradewind.period import parse_period

MONTHS = ("2024-01", "2024-02", "2024-03")
QUARTER = "2024-Q1"


@dataclass(frozen=True)
class Stand:
    """One shop of the fair.

    Args:
        shop_id: Its id.
        category: Its category.
        taken: GMV by month; a month left out had no sale.
        reduced: Discount that it paid by month.
        orders: Orders a month.
    """

    shop_id: str
    category: str | None
    taken: Mapping[str, Decimal]
    reduced: Mapping[str, Decimal]
    orders: int = 12

    def gmv(self, *months: str) -> float:
        """Its GMV in some months."""
        return float(sum(self.taken.get(month, Decimal(0)) for month in months))

    def discount(self, *months: str) -> float:
        """The discounts that it paid in some months."""
        return float(sum(self.reduced.get(month, Decimal(0)) for month in months))


def stand(shop_id: str, category: str | None, *taken: float | None, orders: int = 12) -> Stand:
    """Return a shop that took these amounts, month by month, and paid no discount; None is a month without a sale."""
    amounts = {month: Decimal(f"{value:.2f}") for month, value in zip(MONTHS, taken, strict=False) if value is not None}
    return Stand(shop_id, category, amounts, {}, orders)


def town(sizes: Mapping[str | None, int], seed: int = 0) -> list[Stand]:
    """Return shops as a town has them: log-normal in size, each with its own level, and months about it.

    Args:
        sizes: Number of shops by category.
        seed: Seed of the draw.
    """
    draw = random.Random(seed)
    shops = []
    for category, count in sizes.items():
        for _ in range(count):
            level = draw.lognormvariate(6.5, 0.9)
            taken = {m: Decimal(f"{level * draw.lognormvariate(0, 0.35):.2f}") for m in MONTHS}
            reduced = {m: Decimal(f"{float(v) * draw.uniform(0.02, 0.25):.2f}") for m, v in taken.items()}
            shops.append(Stand(f"hidden-{len(shops):03d}", category, taken, reduced, draw.randint(10, 30)))
    return shops


def rows(stands: Sequence[Stand], named: bool = True) -> market.Rows:
    """Return the rows of the fair's store: each shop sells on the first and the last day of its months, and between."""
    found: market.Rows = {"order_lines": [], "order_discounts": []}
    if named:
        found["shops"] = [{"shop_id": s.shop_id, "name": f"Secret {s.shop_id}", "category": s.category} for s in stands]
    for one in stands:
        for month, taken in one.taken.items():
            period = parse_period(month, market.SPAN)
            reduced = one.reduced.get(month, Decimal(0))
            gross = taken + reduced
            for n in range(one.orders):
                part = (gross / one.orders).quantize(Decimal("0.01"))
                price = gross - part * (one.orders - 1) if n == 0 else part
                day = (period.days - 1) * n // max(one.orders - 1, 1)
                at = datetime.combine(period.first, datetime.min.time()) + timedelta(days=day, hours=12)
                line = {"order_id": f"{one.shop_id}-{month}-{n}", "line": 1}
                found["order_lines"].append(
                    {**line, "ordered_at": at, "known_at": at, "shop_id": one.shop_id, "product_id": f"p{n}",
                     "quantity": 1, "unit_price": price, "day": at.date(), "hour": at}
                )  # fmt: skip
                if n == 0 and reduced:
                    found["order_discounts"].append(
                        {**line, "n": 0, "payer": "merchant", "kind": "coupon", "amount": reduced}
                    )
    return {name: lines for name, lines in found.items() if lines}


def write(folder: Path, stands: Sequence[Stand], named: bool = True) -> Path:
    """Write the fair as a store and return its folder."""
    market.write(folder, rows(stands, named))
    return folder
