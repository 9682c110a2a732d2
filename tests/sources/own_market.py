"""A tiny marketplace written as somebody's own source: CSV files, source.toml and SQL, the same for the same seed."""

from __future__ import annotations

import csv
import random
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from tradewind.engines.snapshot import existing
from tradewind.tables import TABLES

FIRST = date(2024, 3, 1)
SHOPS, PRODUCTS, CUSTOMERS, CREATORS = 12, 36, 80, 5
TIMEZONE = "Europe/Berlin"
NAMES = (
    "Café Zoë",
    "茶屋",
    "Smørrebrød",
    "Łódź Mode",
    "Ñandú",
    "Ωmega",
    "Brot, Butter",
    'Müller "Eck"',
    "Kiosk, Nord",
)
FILLED = (
    *("shops", "products", "product_history", "customers", "creators", "creator_history", "commissions"),
    *("order_lines", "order_discounts", "order_status", "refunds", "traffic", "ads", "coupons", "coupon_grants"),
    *("campaigns", "campaign_products", "promotions", "inventory", "live_sessions", "contents", "reviews"),
)
ORDER_COLUMNS = ("order_id", "line", "ordered_at", "customer_id", "shop_id", "product_id", "quantity", "unit_price")
CATEGORIES = ("home/kitchen/tea", "home/kitchen/pans", "fashion/shoes", "fashion/hats", "beauty/care")

Row = dict[str, Any]


@dataclass(frozen=True)
class Market:
    """Where a market was written, and the rows that were written, by table."""

    source: Path
    data: Path
    rows: dict[str, list[Row]] = field(repr=False)


def write_market(
    folder: Path, seed: int = 7, days: int = 90, orders: int = 300, since: int = 0, until: int | None = None
) -> Market:
    """Write a market of twelve shops into `folder` as a source and its data.

    Args:
        folder: Where `source` and `data` are made.
        seed: Seed of everything random.
        days: Days of trade from `FIRST` on; a clock change lies within them.
        orders: Number of orders, each of one to three lines.
        since: First day written, counted from 0; rows of earlier days are left out of the files.
        until: Day before which the files end; by default `days`.
    """
    rows = _Trade(random.Random(seed), days, orders).rows
    end = days if until is None else until
    kept = {name: [row for row in part if since <= row.pop("_day", since) < end] for name, part in rows.items()}
    source, data = folder / "source", folder / "data"
    source.mkdir(parents=True, exist_ok=True)
    data.mkdir(parents=True, exist_ok=True)
    _write_source(source)
    for name, part in kept.items():
        write_csv(data / f"{name}.csv", [column.name for column in TABLES[name].columns], part)
    return Market(source, data, kept)


def write_csv(path: Path, columns: list[str], rows: list[Row]) -> None:
    """Write rows as UTF-8 CSV; what a row lacks is left empty."""
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)


def _write_source(folder: Path) -> None:
    lines = [
        'name = "market"',
        'licence = "CC0"',
        'notice = "Made up for tests."',
        'currency = "EUR"',
        f'timezone = "{TIMEZONE}"',
        "simulated = true",
        'moments = ["%d.%m.%Y %H:%M"]',
        'tables.order_status.replace = "parents"',
    ]
    for name in FILLED:
        table = TABLES[name]
        columns = ", ".join(f'"{column.name}"' for column in table.columns)
        lines += [f"[files.{name}]", f'pattern = "{name}.csv"', f"columns = [{columns}]", "required = false"]
        values = [
            f'utc(moment("{c.name}")) AS "{c.name}"' if c.kind == "moment" and c.unit == "UTC" else f'"{c.name}"'
            for c in table.columns
        ]
        (folder / f"{name}.sql").write_text(f"SELECT {', '.join(values)}, _file, _row FROM {name}\n", encoding="utf-8")
    (folder / "source.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")


class _Trade:
    """What happened on the market, as rows whose moments are local; `_day` counts the days of dated rows."""

    def __init__(self, rng: random.Random, days: int, orders: int):
        self.rng = rng
        self.days = days
        self.rows: dict[str, list[Row]] = {name: [] for name in FILLED}
        self.prices = {n: rng.randint(300, 9000) for n in range(PRODUCTS)}
        self._catalogue()
        self._people()
        self._marketing()
        self._live()
        for n in range(orders):
            self._order(n)
        self._daily()

    def _add(self, table: str, **row: Any) -> None:
        self.rows[table].append(row)

    def _at(self, day: int, hour: int | None = None) -> datetime:
        hour = self.rng.randint(7, 22) if hour is None else hour
        return datetime.combine(FIRST + timedelta(days=day), time(hour, self.rng.randint(0, 59)))

    def _cost(self, product: int) -> str:
        return f"{self.prices[product] * 0.6 / 100:.4f}"

    def _shop(self, product: int) -> str:
        return f"s{product % SHOPS + 1}"

    def _catalogue(self) -> None:
        for n in range(SHOPS):
            self._add(
                "shops", shop_id=f"s{n + 1}", name=f"{NAMES[n % len(NAMES)]} {n + 1}", region=("north", "south")[n % 2]
            )
        for n in range(PRODUCTS):
            product, shop, price = f"p{n + 1}", self._shop(n), self.prices[n]
            title = f"{NAMES[n % len(NAMES)]} no. {n + 1}"
            self._add(
                "products",
                product_id=product,
                shop_id="" if n == 0 else shop,  # the first product is sold by two shops
                title=title,
                category=CATEGORIES[n % len(CATEGORIES)],
                brand=f"brand {n % 4}",
                launched_at=f"{FIRST - timedelta(days=200 - n)} 09:00:00",
            )
            half = self.days // 2
            for start, factor in ((-30, 100), (half, 110)):
                self._add(
                    "product_history",
                    product_id=product,
                    shop_id=shop,
                    valid_from=f"{FIRST + timedelta(days=start)} 00:00:00",
                    valid_to=f"{FIRST + timedelta(days=half)} 00:00:00" if start < 0 else "",
                    list_price=f"{price * factor / 10000:.2f}",
                    sale_price=f"{price * factor / 10000:.2f}",
                    unit_cost=self._cost(n),
                    title=title,
                    active="true",
                )

    def _people(self) -> None:
        for n in range(CUSTOMERS):
            consent = self.rng.choice(["", "email", "email,push"])
            self._add("customers", customer_id=f"c{n + 1}", region=("Köln", "Gdańsk", "Oslo")[n % 3], consent=consent)
        for n in range(CREATORS):
            creator = f"k{n + 1}"
            self._add(
                "creators", creator_id=creator, name=f"Zoë {n + 1} ★", kind=("host", "video")[n % 2], region="north"
            )
            for day in (-30, 30):
                self._add(
                    "creator_history",
                    creator_id=creator,
                    valid_from=f"{FIRST + timedelta(days=day)} 00:00:00",
                    followers=self.rng.randint(1_000, 90_000),
                )
            self._add(
                "commissions",
                contract_id=f"a{n + 1}",
                shop_id=f"s{n + 1}",
                product_id=f"p{n + 1}",
                creator_id=creator,
                rate="0.1",
                platform_share="0.2",
                accepted_at=f"{FIRST} 08:00:00",
            )
            self._add(
                "contents",
                content_id=f"v{n + 1}",
                creator_id=creator,
                form="video",
                published_at=f"{FIRST + timedelta(days=n)} 12:00:00",
                duration="31.5",
                text="Un été à Łódź 🎉",
            )

    def _marketing(self) -> None:
        for n in range(3):
            start = FIRST + timedelta(days=20 * n + 5)
            campaign = {"campaign_id": f"m{n + 1}", "name": f"Spring {n + 1}", "kind": "sale"}
            shop = "" if n == 0 else f"s{n + 1}"
            self._add("campaigns", **campaign, shop_id=shop, starts_at=f"{start} 00:00:00", ends_at=f"{start} 23:59:59")
            self._add(
                "coupons", coupon_id=f"q{n + 1}", shop_id=shop, face_value="5.00", threshold="30", platform_share="0.5"
            )
            for product in range(n, n + 4):
                self._add("campaign_products", campaign_id=f"m{n + 1}", product_id=f"p{product + 1}", price="9.99")
            for customer in self.rng.sample(range(CUSTOMERS), 15):
                self._add(
                    "coupon_grants",
                    coupon_id=f"q{n + 1}",
                    customer_id=f"c{customer + 1}",
                    granted_at=f"{start} 08:00:00",
                )
        for n in range(0, PRODUCTS, 3):
            start = FIRST + timedelta(days=n)
            self._add(
                "promotions",
                product_id=f"p{n + 1}",
                shop_id=self._shop(n),
                starts_on=start,
                ends_on=start + timedelta(days=6),
                kind="discount",
                placement="front page",
                discount="0.15",
            )

    def _live(self) -> None:
        for n in range(8):
            day = n * self.days // 8
            start = self._at(day, 19)
            self._add(
                "live_sessions",
                live_id=f"l{n + 1}",
                shop_id="" if n == 7 else f"s{n % SHOPS + 1}",
                creator_id=f"k{n % CREATORS + 1}",
                title=f"Live № {n + 1}",
                started_at=start,
                ended_at=start + timedelta(minutes=90),
                host_cost="120.00",
                slot_fee="40",
                _day=day,
            )

    def _order(self, n: int) -> None:
        rng = self.rng
        day = n * self.days // 300 % self.days
        at = self._at(day)
        order = f"o{n + 1:04d}"
        customer = "" if rng.random() < 0.08 else f"c{rng.randint(1, CUSTOMERS)}"
        fate = rng.choices(["delivered", "paid", "placed", "cancelled"], [80, 8, 6, 6])[0]
        way = rng.choice(["own", "own", "video", "live"])
        for line in range(1, rng.randint(1, 3) + 1):
            product = rng.randrange(PRODUCTS)
            quantity, price = rng.randint(1, 4), self.prices[product]
            shop = "s5" if product == 0 and rng.random() < 0.5 else self._shop(product)
            extra: Row = {"surface": rng.choice(["search", "mall", "store"]), "form": "card", "relation": "own"}
            if way != "own":
                creator = f"k{rng.randint(1, CREATORS)}"
                rate = f"{price * quantity / 1000:.4f}"
                extra = {
                    "surface": "feed",
                    "form": way,
                    "relation": "affiliate",
                    "creator_id": creator,
                    "commission": rate,
                }
                extra["commission_platform_share"] = "0.25"
                extra |= (
                    {"live_id": f"l{rng.randint(1, 8)}"}
                    if way == "live"
                    else {"content_id": f"v{rng.randint(1, CREATORS)}"}
                )
            self._add(
                "order_lines",
                order_id=order,
                line=line,
                ordered_at=at.strftime("%d.%m.%Y %H:%M") if n % 10 == 0 else at,
                customer_id=customer,
                shop_id=shop,
                product_id=f"p{product + 1}",
                quantity=quantity,
                unit_price=f"{price / 100:.2f}",
                unit_cost=self._cost(product),
                shipping_paid="2.90" if line == 1 else "0",
                shipping_cost="3.40" if line == 1 else "0",
                platform_fee=f"{price * quantity * 0.03 / 100:.4f}",
                payment_fee=f"{price * quantity * 0.01 / 100:.4f}",
                **extra,
                _day=day,
            )
            self._discounts(order, line, price * quantity, day)
            self._steps(order, line, at, fate, day)
            if fate == "delivered" and rng.random() < 0.15:
                self._refund(order, line, at, shop, product, quantity, customer)
            if fate == "delivered" and rng.random() < 0.2:
                self._add(
                    "reviews",
                    review_id=f"w{len(self.rows['reviews']) + 1}",
                    order_id=order,
                    product_id=f"p{product + 1}",
                    shop_id=shop,
                    rating=rng.randint(1, 5),
                    text="schön,\nbut late",
                    at=at + timedelta(days=6),
                    _day=day,
                )

    def _discounts(self, order: str, line: int, gross: int, day: int) -> None:
        for n, (payer, chance, part) in enumerate(
            (("merchant", 0.3, 0.1), ("platform", 0.15, 0.05), ("brand", 0.05, 0.05)), 1
        ):
            if self.rng.random() < chance:
                self._add(
                    "order_discounts",
                    order_id=order,
                    line=line,
                    n=n,
                    payer=payer,
                    kind="coupon" if n > 1 else "sale",
                    coupon_id=f"q{n}" if n > 1 else "",
                    amount=f"{gross * part / 100:.2f}",
                    _day=day,
                )

    def _steps(self, order: str, line: int, at: datetime, fate: str, day: int) -> None:
        steps = {"placed": ["placed"], "cancelled": ["placed", "cancelled"], "paid": ["placed", "paid"]}
        for n, status in enumerate(steps.get(fate, ["placed", "paid", "shipped", "delivered"])):
            self._add(
                "order_status", order_id=order, line=line, at=at + timedelta(hours=20 * n), status=status, _day=day
            )

    def _refund(
        self, order: str, line: int, at: datetime, shop: str, product: int, quantity: int, customer: str
    ) -> None:
        back = at + timedelta(days=self.rng.randint(3, 9))
        day = (back.date() - FIRST).days
        if day >= self.days:
            return
        pieces = self.rng.randint(1, quantity)
        self._add(
            "refunds",
            refund_id=f"r{len(self.rows['refunds']) + 1}",
            order_id=order,
            line=line,
            quantity=pieces,
            amount=f"{self.prices[product] * pieces * 0.9 / 100:.2f}",
            subsidy_reversed="0",
            commission_reversed="0",
            restocked=self.rng.choice(["true", "false", ""]),
            reason="too small",
            refunded_at=back,
            shop_id=shop,
            product_id=f"p{product + 1}",
            customer_id=customer,
            _day=day,
        )

    def _daily(self) -> None:
        for day in range(0, self.days, 3):
            on = FIRST + timedelta(days=day)
            for shop in range(0, SHOPS, 2):
                product = (shop + day) % PRODUCTS
                seen = self.rng.randint(50, 900)
                surface, form, relation = self.rng.choice(
                    [("search", "card", "own"), ("feed", "video", "affiliate"), ("feed", "live", "affiliate")]
                )
                self._add(
                    "traffic",
                    hour=f"{on} {self.rng.randint(8, 21):02d}:00:00",
                    shop_id=self._shop(product),
                    product_id=f"p{product + 1}",
                    surface=surface,
                    form=form,
                    relation=relation,
                    creator_id="k1" if relation == "affiliate" else "",
                    impressions=seen,
                    clicks=seen // 11,
                    carts=seen // 60,
                    _day=day,
                )
            self._add(
                "ads",
                ad_id=f"d{day % 4 + 1}",
                hour=f"{on} 10:00:00",
                payer=("merchant", "platform", "creator")[day % 3],
                shop_id=f"s{day % 4 + 1}",
                spend=f"{self.rng.randint(500, 4000) / 100:.2f}",
                impressions=self.rng.randint(100, 2000),
                clicks=self.rng.randint(1, 90),
                attributed_orders=self.rng.randint(0, 4),
                attributed_gmv="55.50",
                attribution_window="7",
                _day=day,
            )
            for product in range(day % 5, PRODUCTS, 9):
                self._add(
                    "inventory",
                    product_id=f"p{product + 1}",
                    shop_id=self._shop(product),
                    day=on,
                    on_hand=self.rng.randint(0, 60),
                    _day=day,
                )


def contents(store: Path, table: str) -> list[Row]:
    """Return all rows of a table of the current snapshot, in an order of their own."""
    files = existing(store).tables.get(table, ())
    rows = [row for file in files for row in pq.read_table(store / file.path).to_pylist()]
    return sorted(rows, key=repr)
