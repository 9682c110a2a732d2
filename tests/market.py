"""A tiny marketplace, made by hand from a seed: every canonical table filled, every edge that a metric must survive.

Rows are plain mappings, so that an oracle can loop over them without any engine. The store's timezone lies three hours
behind UTC, so that orders before three in the night belong to the day before.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import ibis
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tradewind.engines.snapshot import Draft, Manifest
from tradewind.engines.store import Store, open_store
from tradewind.period import Period
from tradewind.study import Provenance, Study
from tradewind.tables import TABLES
from tradewind.tables.schema import IBIS_TYPES

Rows = dict[str, list[dict[str, Any]]]

ZONE = ZoneInfo("America/Sao_Paulo")
SPAN = Period(date(2023, 11, 20), date(2024, 2, 17))
PERIOD = Period(date(2023, 12, 4), date(2024, 1, 28))
"""Eight weeks inside the span: customers came before it, refunds come after it."""
QUIET = Period(date(2022, 3, 1), date(2022, 3, 31))
"""A month without a row."""
SCOPE = ("shop-02", "shop-05")
PROVENANCE = Provenance(
    "market", "CC0-1.0", "A market made by hand for tests.", "BRL", "America/Sao_Paulo", simulated=True
)

SHOPS, PRODUCTS, CUSTOMERS, CREATORS, ORDERS = 12, 30, 60, 6, 330
SURFACES = ("feed", "search", "mall", "store", "external", None)
FORMS = ("card", "video", "live", None)
CATEGORIES = ("Beauté/Soins/Crèmes", "Beauté/Parfums", "食品/茶", "Home", "Home/Café & Chá", None)
BARE = ("order_id", "line", "ordered_at", "known_at", "shop_id", "product_id", "quantity", "unit_price", "day", "hour")
"""The columns without which there is no order line: all that the barest source has."""


def rows(seed: int = 20240117) -> Rows:
    """Return the rows of every canonical table."""
    draw = random.Random(seed)
    market: Rows = {name: [] for name in TABLES}
    _people(market, draw)
    _orders(market, draw)
    _refunds(market, draw)
    _attention(market, draw)
    _marketing(market, draw)
    _live(market, draw)
    for name, found in market.items():
        _with_local_time(name, found)
    return market


def bare(market: Rows) -> Rows:
    """Return only the order lines, and of them only what no order line is without."""
    return {"order_lines": [{name: line[name] for name in BARE} for line in market["order_lines"]]}


def arrow(name: str, found: list[dict[str, Any]]) -> pa.Table:
    """Return rows of a canonical table as Arrow, in the types in which they are stored."""
    schema = ibis.schema({column.name: IBIS_TYPES[column.kind] for column in TABLES[name].stored}).to_pyarrow()
    return pa.Table.from_pylist([{column: row.get(column) for column in schema.names} for row in found], schema)


def write(folder: Path, market: Rows) -> Manifest:
    """Write the rows as a snapshot of a store; tables with many rows in two files."""
    with Draft(folder) as draft:
        files: dict[str, list[Path]] = {}
        for name, found in market.items():
            half = len(found) // 2 if len(found) > 100 else len(found)
            for part in filter(None, (found[:half], found[half:])):
                path = draft.new_file(name)
                pq.write_table(arrow(name, part), path)
                files.setdefault(name, []).append(path)
        return draft.commit(PROVENANCE, files, {"digest": "made by hand"})


def rewritten(store: Store, folder: Path, times: int) -> Store:
    """Write a copy of a store whose money is so many times as much, as in a currency of small units, rows reversed."""
    with Draft(folder) as draft:
        files: dict[str, list[Path]] = {}
        for name, parts in store.manifest.tables.items():
            table = pa.concat_tables([pq.read_table(store.folder / part.path) for part in parts])
            for column in TABLES[name].columns:
                if column.kind == "money" and column.name in table.column_names:
                    place = table.column_names.index(column.name)
                    field = table.schema.field(place)
                    more = pc.multiply(table[column.name], pa.scalar(Decimal(times))).cast(field.type)
                    table = table.set_column(place, field, more)
            path = draft.new_file(name)
            pq.write_table(table.take(list(range(len(table)))[::-1]), path)
            files[name] = [path]
        draft.commit(store.manifest.provenance, files, {"digest": "rewritten"})
    return open_store(str(folder))


def worth(study: Study, times: float = 1.0) -> list[tuple[str, list[float]]]:
    """Return what each setting of each action is worth, with its ends, over so many times."""
    found = [(each.key, [setting.joint for setting in each.menu if setting.joint]) for each in study.actions]
    return [
        (key, [end / times for joint in every for end in (joint.mid, joint.low, joint.high)]) for key, every in found
    ]


def money(low: float, high: float, draw: random.Random) -> Decimal:
    """Draw an amount with four decimals."""
    return Decimal(draw.randint(int(low * 10_000), int(high * 10_000))).scaleb(-4)


def moment(draw: random.Random, first: date = SPAN.first, last: date = SPAN.last) -> datetime:
    """Draw a moment in UTC whose local day lies in the days given; one in eight is within minutes of midnight."""
    day = first + timedelta(days=draw.randint(0, (last - first).days))
    if draw.random() < 0.125:
        clock = draw.choice((time(23, 59, 59, 999_999), time(0, 0), time(23, 30), time(0, 10)))
    else:
        clock = time(draw.randint(0, 23), draw.randint(0, 59), draw.randint(0, 59))
    return datetime.combine(day, clock, ZONE).astimezone(ZoneInfo("UTC")).replace(tzinfo=None)


def local(at: datetime) -> datetime:
    """Return the local clock's reading at a moment given in UTC."""
    return at.replace(tzinfo=ZoneInfo("UTC")).astimezone(ZONE).replace(tzinfo=None)


def _with_local_time(name: str, found: list[dict[str, Any]]) -> None:
    source = TABLES[name].time
    stored = {column.name for column in TABLES[name].stored}
    for row in found:
        if source == "hour":
            row["day"] = row["hour"].date()
        elif source and {"day", "hour"} <= stored:
            clock = local(row[source])
            row["day"], row["hour"] = clock.date(), clock.replace(minute=0, second=0, microsecond=0)


def _people(market: Rows, draw: random.Random) -> None:
    opened = datetime(2020, 1, 1)
    names = ("Maré", "北京茶庄", "Süß & Salzig", "O'Brien", "Ação", "Plain")
    for n in range(1, SHOPS + 1):
        region = draw.choice(("São Paulo", "Ceará", None))
        market["shops"].append(
            {"shop_id": f"shop-{n:02d}", "name": f"{names[n % 6]} {n}", "category": draw.choice(CATEGORIES),
             "region": region, "opened_at": opened}
        )  # fmt: skip
    for n in range(1, PRODUCTS + 1):
        owner = None if n % 5 == 0 else f"shop-{(n - 1) % SHOPS + 1:02d}"
        market["products"].append(
            {"product_id": f"p{n:02d}", "shop_id": owner, "title": f"Crème № {n}", "category": CATEGORIES[n % 6],
             "brand": draw.choice(("Ipê", "Öko", None)), "attributes": '{"colour": "blå"}'}
        )  # fmt: skip
        for shop in _sellers(n):
            market["product_history"].append(
                {"product_id": f"p{n:02d}", "shop_id": shop, "valid_from": opened, "list_price": money(5, 90, draw),
                 "unit_cost": money(1, 20, draw), "active": True}
            )  # fmt: skip
            market["inventory"].append({"product_id": f"p{n:02d}", "shop_id": shop, "day": SPAN.first, "on_hand": n})
    for n in range(1, CUSTOMERS + 1):
        market["customers"].append({"customer_id": f"c{n:02d}", "region": draw.choice(("Norte", "São João", None))})
    for n in range(1, CREATORS + 1):
        market["creators"].append({"creator_id": f"k{n}", "name": f"Zoë {n}", "kind": "affiliate"})
        market["creator_history"].append({"creator_id": f"k{n}", "valid_from": opened, "followers": 1000 * n})


def _sellers(product: int) -> tuple[str, ...]:
    """Who sells a product: its owner, or three shops where it has none."""
    home = (product - 1) % SHOPS
    return tuple(f"shop-{(home + step) % SHOPS + 1:02d}" for step in ((0, 1, 4) if product % 5 == 0 else (0,)))


def _orders(market: Rows, draw: random.Random) -> None:
    for n in range(1, ORDERS + 1):
        at = moment(draw)
        buyer = None if draw.random() < 0.06 else f"c{min(int(draw.expovariate(0.06)), CUSTOMERS - 1) + 1:02d}"
        for line in range(1, draw.choice((1, 1, 1, 2, 2, 3)) + 1):
            row = _line(f"o{n:04d}", line, at, buyer, draw)
            market["order_lines"].append(row)
            _lifeline(market, row, draw)
            _discounts(market, row, draw)


def _line(order: str, line: int, at: datetime, buyer: str | None, draw: random.Random) -> dict[str, Any]:
    product = draw.randint(1, PRODUCTS - 2)  # the last two are never sold
    price = money(3, 120, draw)
    relation = draw.choice(("own", "affiliate", "affiliate", None))
    affiliate = relation == "affiliate"
    form = draw.choice(FORMS)
    return {
        "order_id": order,
        "line": line,
        "ordered_at": at,
        "known_at": at + timedelta(minutes=5),
        "customer_id": buyer,
        "shop_id": draw.choice(_sellers(product)),
        "product_id": f"p{product:02d}",
        "quantity": draw.choice((1, 1, 1, 2, 3, 7)),
        "unit_price": price,
        "unit_cost": None if draw.random() < 0.08 else (price * Decimal("0.55")).quantize(Decimal("0.0001")),
        "tax": money(0, 5, draw),
        "shipping_paid": money(0, 9, draw) if line == 1 else None,
        "shipping_cost": money(2, 12, draw) if line == 1 else None,
        "commission": money(0.1, 9, draw) if affiliate else None,
        "commission_platform_share": draw.choice((None, 0.0, 0.3, 0.125, 1 / 3, 1.0)) if affiliate else None,
        "platform_fee": money(0.1, 6, draw),
        "payment_fee": money(0.01, 2, draw) if draw.random() < 0.9 else None,
        "surface": draw.choice(SURFACES),
        "form": form,
        "relation": relation,
        "creator_id": f"k{draw.randint(1, CREATORS - 1)}" if affiliate else None,
        "live_id": f"live-{draw.randint(1, 5)}" if form == "live" else None,
        "content_id": f"v{draw.randint(1, 8)}" if form == "video" else None,
    }


def _lifeline(market: Rows, line: dict[str, Any], draw: random.Random) -> None:
    """An order line is placed; most are paid, some twice; some are cancelled before or after that."""
    fate = draw.random()
    steps = ["placed"]
    if fate > 0.12:
        steps.append("paid")
        steps += ["paid"] if fate < 0.2 else []
        steps += ["cancelled"] if 0.2 < fate < 0.25 else ["shipped", "delivered"]
    elif fate > 0.06:
        steps.append("cancelled")
    for hours, status in enumerate(steps):
        at = line["ordered_at"] + timedelta(hours=hours)
        market["order_status"].append(
            {"order_id": line["order_id"], "line": line["line"], "at": at, "status": status, "known_at": at}
        )


def _discounts(market: Rows, line: dict[str, Any], draw: random.Random) -> None:
    for n in range(draw.choice((0, 0, 1, 2, 3, 5))):
        market["order_discounts"].append(
            {"order_id": line["order_id"], "line": line["line"], "n": n,
             "payer": draw.choice(("merchant", "merchant", "platform", "brand", "creator")),
             "kind": draw.choice(("coupon", "campaign")), "amount": money(0, 3, draw)}
        )  # fmt: skip


def _refunds(market: Rows, draw: random.Random) -> None:
    paid = {(s["order_id"], s["line"]) for s in market["order_status"] if s["status"] == "paid"}
    lines = [line for line in market["order_lines"] if (line["order_id"], line["line"]) in paid]
    chosen = sorted(draw.sample(range(len(lines)), 60))
    for line in (lines[n] for n in chosen):
        pieces = draw.randint(1, line["quantity"])
        for _ in range(2 if pieces * 2 <= line["quantity"] else 1):  # some lines come back in two parcels
            market["refunds"].append(_refund(len(market["refunds"]), line, pieces, draw))
    for n in range(8):  # orders from before the data, named or not
        line = {**draw.choice(lines), "order_id": "before-the-data" if n % 2 else None, "line": 1 if n % 2 else None}
        line["ordered_at"] = moment(draw, last=SPAN.last - timedelta(days=20))
        market["refunds"].append(_refund(len(market["refunds"]), line, 1, draw))


def _refund(n: int, line: Mapping[str, Any], pieces: int, draw: random.Random) -> dict[str, Any]:
    at = line["ordered_at"] + timedelta(days=draw.randint(1, 18), hours=draw.randint(0, 23))
    return {
        "refund_id": f"r{n:03d}",
        "order_id": line["order_id"],
        "line": line["line"],
        "quantity": pieces,
        "amount": (line["unit_price"] * pieces * Decimal("0.9")).quantize(Decimal("0.0001")),
        "subsidy_reversed": money(0, 1, draw) if n % 3 else None,
        "commission_reversed": line["commission"] if n % 4 else None,
        "fee_reversed": money(0, 1, draw) if n % 5 else None,
        "restocked": draw.choice((True, True, False, None)),
        "return_shipping": money(1, 6, draw) if n % 2 else None,
        "refunded_at": at,
        "known_at": at,
        "shop_id": line["shop_id"],
        "product_id": line["product_id"],
        "customer_id": line["customer_id"],
    }


def _attention(market: Rows, draw: random.Random) -> None:
    seen: set[tuple[Any, ...]] = set()
    for _ in range(260):
        product = draw.randint(1, PRODUCTS)
        shown = draw.randint(0, 900)
        key = {
            "hour": local(moment(draw)).replace(minute=0, second=0, microsecond=0),
            "shop_id": draw.choice(_sellers(product)),
            "product_id": None if draw.random() < 0.1 else f"p{product:02d}",
            "surface": draw.choice(SURFACES),
            "form": draw.choice(FORMS),
            "relation": draw.choice(("own", "affiliate", None)),
            "creator_id": draw.choice(("k1", "k2", None)),
            "live_id": draw.choice(("live-1", None)),
            "content_id": draw.choice(("v1", "v2", None)),
        }
        if tuple(key.values()) not in seen:
            seen.add(tuple(key.values()))
            clicks = shown // 9 if draw.random() < 0.9 else None
            market["traffic"].append({**key, "impressions": shown, "clicks": clicks, "carts": (clicks or 0) // 4})
    for n in range(120):
        hour = local(moment(draw)).replace(minute=0, second=0, microsecond=0)
        credited = draw.random() < 0.8
        product = draw.randint(1, PRODUCTS)
        payer = draw.choice(("merchant", "platform", "creator", None))
        market["ads"].append(
            {"ad_id": f"ad{n % 9}-{n}", "hour": hour, "payer": "brand" if n % 10 == 9 else payer,
             "shop_id": draw.choice((*_sellers(product), None)), "product_id": f"p{product:02d}",
             "content_id": "v3", "live_id": f"live-{n % 5 + 1}" if n % 3 else None, "spend": money(0, 12, draw),
             "attributed_orders": n % 4, "attributed_gmv": money(0, 80, draw) if credited else None}
        )  # fmt: skip
    for n in range(20):
        at = moment(draw)
        market["events"].append(
            {"event_id": f"e{n}", "at": at, "known_at": at, "customer_id": f"c{n + 1:02d}", "kind": "view",
             "shop_id": draw.choice((*SCOPE, "shop-09", None)), "product_id": "p02"}
        )  # fmt: skip
        market["reviews"].append(
            {"review_id": f"w{n}", "product_id": "p02", "shop_id": draw.choice((*SCOPE, "shop-09", None)),
             "rating": 4.5, "text": "Très bon", "at": at}
        )  # fmt: skip


def _marketing(market: Rows, draw: random.Random) -> None:
    start, end = datetime(2023, 11, 24), datetime(2024, 1, 6)
    for n, shop in enumerate((*SCOPE, "shop-09", "shop-10", None)):
        market["coupons"].append({"coupon_id": f"coupon-{n}", "shop_id": shop, "face_value": money(1, 9, draw)})
        market["campaigns"].append(
            {"campaign_id": f"camp-{n}", "shop_id": shop, "name": "Très Noël", "starts_at": start, "ends_at": end}
        )
        for product in draw.sample(range(1, PRODUCTS + 1), 6):
            market["campaign_products"].append(
                {"campaign_id": f"camp-{n}", "product_id": f"p{product:02d}", "price": money(3, 50, draw)}
            )
        for customer in draw.sample(range(1, CUSTOMERS + 1), 12):
            who = {"customer_id": f"c{customer:02d}"}
            market["campaign_customers"].append({"campaign_id": f"camp-{n}", **who})
            market["coupon_grants"].append({"coupon_id": f"coupon-{n}", **who, "granted_at": start, "propensity": 0.5})
    for n, shop in enumerate((*SCOPE, "shop-09", "shop-10", None) * 2):
        market["contacts"].append(
            {"contact_id": f"msg{n}", "customer_id": f"c{n + 1:02d}", "shop_id": shop, "sent_at": moment(draw)}
        )
        market["commissions"].append(
            {"contract_id": f"deal{n}", "shop_id": shop, "product_id": f"p{n + 1:02d}", "creator_id": f"k{n % 5 + 1}",
             "rate": 0.2, "platform_share": 0.25}
        )  # fmt: skip
        market["assignments"].append(
            {"experiment_id": "x1", "unit_kind": "customer", "unit_id": f"c{n:02d}", "shop_id": shop, "arm": "held"}
        )
        if shop:
            market["promotions"].append(
                {"product_id": f"p{n + 1:02d}", "shop_id": shop, "starts_on": start.date(), "discount": 0.2}
            )


def _live(market: Rows, draw: random.Random) -> None:
    for n, shop in enumerate((*SCOPE, "shop-09", "shop-10", None), start=1):
        live = {"live_id": f"live-{n}"}
        started = moment(draw)
        market["live_sessions"].append(
            {**live, "shop_id": shop, "creator_id": f"k{n}", "title": "Ao vivo ✨", "started_at": started}
        )
        for minute in range(3):
            market["live_minutes"].append({**live, "minute": minute, "viewers": 10 * n + minute})
            for product, owner in (("p02", "shop-02"), ("p09", "shop-09")):
                market["live_product_minutes"].append(
                    {**live, "minute": minute, "product_id": product, "shop_id": shop or owner, "pinned": minute == 1}
                )
        market["live_drops"].append({**live, "at": started, "coupon_id": f"coupon-{n - 1}", "shop_id": shop})
    for n in range(1, 11):  # the last two sell nothing
        market["contents"].append({"content_id": f"v{n}", "creator_id": f"k{n % 6 + 1}", "form": "video",
                                   "shop_id": f"shop-{n % 9 + 1:02d}" if n % 2 else None})  # fmt: skip
        market["content_products"].append({"content_id": f"v{n}", "product_id": f"p{n:02d}"})


def plain(table: pa.Table) -> Iterator[tuple[Any, ...]]:
    """Yield an Arrow table's rows as tuples."""
    return zip(*(column.to_pylist() for column in table.columns), strict=True)
