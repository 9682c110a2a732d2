"""Pages of one shop, product and creator on the market made by hand, beside plain loops over its rows."""

from __future__ import annotations

import re
from collections import defaultdict
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import market
from oracles import loops
from tradewind.charts import svg
from tradewind.decisions.profiles import KINDS, SEGMENTS, ProfileSettings, profile
from tradewind.engines.store import Store, open_store
from tradewind.errors import MissingDataError, NotFoundError
from tradewind.measures.assume import Assumptions
from tradewind.period import Period
from tradewind.study import Evidence, Study

NOW, BEFORE = Period(date(2024, 1, 1), date(2024, 1, 28)), Period(date(2023, 12, 4), date(2023, 12, 31))
EVERY = ProfileSettings(top=1000)
SHOP, PRODUCT, CREATOR = "shop-02", "p02", "k3"


@pytest.fixture(scope="module")
def facts(market_rows: market.Rows) -> dict[str, list[dict]]:
    return loops.facts(market_rows)


@pytest.fixture(scope="module")
def shop(market_store: Store) -> Study:
    return profile(market_store, "shop", SHOP, NOW, EVERY)


@pytest.fixture(scope="module")
def product(market_store: Store) -> Study:
    return profile(market_store, "product", PRODUCT, NOW, EVERY)


@pytest.fixture(scope="module")
def creator(market_store: Store) -> Study:
    return profile(market_store, "creator", CREATOR, NOW, EVERY)


def rows_of(study: Study, key: str) -> list[dict[str, Any]]:
    grid = study.finding(key).grid
    assert grid is not None
    for row in grid.rows:
        assert {column.name for column in grid.columns} <= row.keys(), key
    return [dict(row) for row in grid.rows]


def sums(facts: dict[str, list[dict]], by: str, where: dict[str, str], name: str = "gmv") -> dict[Any, Decimal]:
    found: dict[Any, Decimal] = defaultdict(Decimal)
    for line in facts["sales"]:
        if line["day"] in NOW and all(line[key] == value for key, value in where.items()):
            found[line[by]] += line[name]
    return found


@pytest.mark.parametrize(
    ("name", "where"),
    [("shop", {"shop_id": SHOP}), ("product", {"product_id": PRODUCT}), ("creator", {"creator_id": CREATOR})],
)
def test_headline(
    name: str, where: dict[str, str], facts: dict[str, list[dict]], request: pytest.FixtureRequest
) -> None:
    finding = request.getfixturevalue(name).finding("headline")
    wanted = {key: (value,) for key, value in where.items()}
    [counted] = loops.measure(facts, tuple(finding.numbers), NOW, where=wanted).values()
    assert finding.numbers == {
        key: pytest.approx(value) if isinstance(value, float) else value for key, value in counted.items()
    }
    assert finding.evidence is Evidence.MEASURED
    assert BEFORE.title in finding.sentence


@pytest.mark.parametrize(
    ("name", "key", "by", "where"),
    [
        ("shop", "products", "product_id", {"shop_id": SHOP}),
        ("shop", "creators", "creator_id", {"shop_id": SHOP}),
        ("product", "shops", "shop_id", {"product_id": PRODUCT}),
        ("creator", "products", "product_id", {"creator_id": CREATOR}),
        ("creator", "shops", "shop_id", {"creator_id": CREATOR}),
    ],
)
def test_rankings(
    name: str, key: str, by: str, where: dict[str, str], facts: dict[str, list[dict]], request: pytest.FixtureRequest
) -> None:
    told = rows_of(request.getfixturevalue(name), key)
    wanted = {id: gmv for id, gmv in sums(facts, by, where).items() if id and gmv}
    assert {row[by]: row["gmv"] for row in told} == wanted
    assert [row["gmv"] for row in told] == sorted(wanted.values(), reverse=True)
    assert sum(row["share"] for row in told) == pytest.approx(1)
    items = sums(facts, by, where, "quantity")
    back: dict[Any, Decimal] = defaultdict(Decimal)
    for row in facts["refunds"]:
        if row["day"] in NOW and all(row[k] == value for k, value in where.items()):
            back[row[by]] += row["gmv_back"]
    for row in told:
        assert row["items"] == items[row[by]]
        assert row["refund_rate"] == pytest.approx(float(back[row[by]]) / float(row["gmv"]))


def test_what_is_named(shop: Study, market_rows: market.Rows) -> None:
    named = {row["product_id"]: row["title"] for row in market_rows["products"]}
    assert all(row["title"] == named[row["product_id"]] for row in rows_of(shop, "products"))
    [own] = [row for row in market_rows["shops"] if row["shop_id"] == SHOP]
    assert shop.title == own["name"]
    assert shop.wing == "profiles"
    assert shop.settings == {"kind": "shop", "id": SHOP, "top": 1000}


def test_places(shop: Study, facts: dict[str, list[dict]]) -> None:
    wanted: dict[tuple, Decimal] = defaultdict(Decimal)
    clicks: dict[tuple, int] = defaultdict(int)
    for line in facts["sales"]:
        if line["day"] in NOW and line["shop_id"] == SHOP:
            wanted[tuple(line[n] or "unknown" for n in ("surface", "form", "relation"))] += line["gmv"]
    for row in facts["traffic"]:
        if row["day"] in NOW and row["shop_id"] == SHOP:
            clicks[tuple(row[n] or "unknown" for n in ("surface", "form", "relation"))] += row["clicks"] or 0
    told = {(row["surface"], row["form"], row["relation"]): row for row in rows_of(shop, "places")}
    assert {place: row["gmv"] for place, row in told.items()} == {k: v for k, v in wanted.items() if v}
    assert all(row["clicks"] == clicks[place] for place, row in told.items())


def test_trend(shop: Study, facts: dict[str, list[dict]]) -> None:
    days = sums(facts, "day", {"shop_id": SHOP})
    numbers = shop.finding("trend").numbers
    assert numbers == {"best": max(days.values()), "idle_days": NOW.days - sum(bool(v) for v in days.values())}


def test_sessions_of_a_shop_and_of_a_creator(
    market_store: Store, facts: dict[str, list[dict]], market_rows: market.Rows
) -> None:
    whole = market.SPAN
    rooms = {row["live_id"]: row for row in market_rows["live_sessions"]}
    sold = sums_of_rooms(facts, whole, {"shop_id": SHOP})
    told = {r["live_id"]: r["gmv"] for r in rows_of(profile(market_store, "shop", SHOP, whole, EVERY), "sessions")}
    own = {live for live, row in rooms.items() if row["shop_id"] == SHOP}
    assert told == {live: sold.get(live, 0) for live in own | set(sold)}
    told = {r["live_id"]: r["gmv"] for r in rows_of(profile(market_store, "creator", "k5", whole, EVERY), "sessions")}
    every = sums_of_rooms(facts, whole, {})
    assert told == {live: every.get(live, 0) for live, row in rooms.items() if row["creator_id"] == "k5"}


def sums_of_rooms(facts: dict[str, list[dict]], period: Period, where: dict[str, str]) -> dict[str, Decimal]:
    found: dict[str, Decimal] = defaultdict(Decimal)
    for line in facts["sales"]:
        if line["live_id"] and line["day"] in period and all(line[k] == v for k, v in where.items()):
            found[line["live_id"]] += line["gmv"]
    return found


def test_contracts(shop: Study, creator: Study, market_rows: market.Rows) -> None:
    for study, own, beside in ((shop, ("shop_id", SHOP), "creator_id"), (creator, ("creator_id", CREATOR), "shop_id")):
        deals = [row for row in market_rows["commissions"] if row[own[0]] == own[1]]
        told = rows_of(study, "contracts")
        assert sum(row["contracts"] for row in told) == len(deals)
        assert {row[beside] for row in told} == {row[beside] for row in deals}
        assert study.finding("contracts").numbers["co_funded"] == len(deals)


def test_coupons_and_campaigns(shop: Study, product: Study, market_rows: market.Rows) -> None:
    assert [row["coupon_id"] for row in rows_of(shop, "coupons")] == ["coupon-0"]
    assert "order_discounts" not in str(shop.caveats)
    told = rows_of(product, "campaigns")
    listed = {row["campaign_id"] for row in market_rows["campaign_products"] if row["product_id"] == PRODUCT}
    assert sum(row["source"] == "campaign" for row in told) == len(listed)
    deals = [row for row in market_rows["promotions"] if row["product_id"] == PRODUCT]
    assert sum(row["products"] for row in told if row["source"] == "promotion") == len({r["product_id"] for r in deals})


def test_stock_runs_out(shop: Study, product: Study, facts: dict[str, list[dict]], market_rows: market.Rows) -> None:
    stock = {row["product_id"]: row["on_hand"] for row in market_rows["inventory"] if row["shop_id"] == SHOP}
    pace = {
        id: float(items) / NOW.days for id, items in sums(facts, "product_id", {"shop_id": SHOP}, "quantity").items()
    }
    short = {id: stock[id] / each for id, each in pace.items() if id in stock and stock[id] / each < 14}
    if short:
        assert {row["product_id"]: row["lasts"] for row in rows_of(shop, "stock")} == pytest.approx(short)
    else:
        with pytest.raises(KeyError):
            shop.finding("stock")
    assert product.finding("stock").numbers["on_hand"] == sum(
        row["on_hand"] for row in market_rows["inventory"] if row["product_id"] == PRODUCT
    )


def test_what_runs_is_dated_by_the_local_day(product: Study, market_rows: market.Rows) -> None:
    """The market lies three hours behind UTC: what begins there at midnight in UTC begins the evening before."""
    [(begins, ends)] = {(market.local(r["starts_at"]), market.local(r["ends_at"])) for r in market_rows["campaigns"]}
    told = [row for row in rows_of(product, "campaigns") if row["source"] == "campaign"]
    assert {(row["begins"], row["ends"]) for row in told} == {(begins.date(), ends.date())}
    assert begins.date() == date(2023, 11, 23)


def test_a_day_whose_stock_is_unknown_is_passed_over(market_copy: Path, market_rows: market.Rows) -> None:
    """Of products that run out equally soon, which come first goes by their ids, not by the order of rows."""
    lines = [
        row | {"product_id": f"p0{n % 9}", "shop_id": SHOP, "quantity": 1, "day": date(2024, 1, 1 + n // 9 % 9)}
        for n, row in enumerate(market_rows["order_lines"])
    ]
    known = [{"product_id": f"p0{n}", "shop_id": SHOP, "day": date(2024, 1, 5), "on_hand": 0} for n in (5, 3, 8, 1, 7)]
    unknown = [row | {"day": date(2024, 1, 8), "on_hand": None} for row in known]
    store = open_store(str(market_copy)).write(
        {"inventory": market.arrow("inventory", unknown + known), "order_lines": market.arrow("order_lines", lines)}
    )
    told = rows_of(profile(store, "shop", SHOP, NOW), "stock")
    assert {(row["on_hand"], row["day"]) for row in told} == {(0, date(2024, 1, 5))}
    ranked = sorted(told, key=lambda row: (-row["pace"], row["product_id"]))
    assert told == ranked
    found = profile(store, "product", "p05", NOW).finding("stock")
    assert found.numbers["on_hand"] == 0


def test_prices_of_a_product(product: Study, market_rows: market.Rows) -> None:
    listed = [row for row in market_rows["product_history"] if row["product_id"] == PRODUCT]
    assert product.finding("prices").numbers == {
        "changes": 0, "shops": 1, "lowest": listed[0]["list_price"], "highest": listed[0]["list_price"],
    }  # fmt: skip
    [row] = rows_of(product, "prices")
    assert (row["list_price"], row["sale_price"], row["until"]) == (listed[0]["list_price"], None, None)


def test_a_product_beside_its_category(product: Study, facts: dict[str, list[dict]]) -> None:
    category = next(row["category"] for row in facts["sales"] if row["product_id"] == PRODUCT)
    gmv = {id: value for id, value in sums(facts, "product_id", {"category": category}).items() if value}
    numbers = product.finding("category").numbers
    assert numbers["products"] == len(gmv)
    assert numbers["place"] == 1 + sum(value > gmv[PRODUCT] for value in gmv.values())
    assert numbers["share"] == pytest.approx(float(gmv[PRODUCT] / sum(gmv.values())))
    back = [row for row in facts["refunds"] if row["category"] == category and row["day"] in NOW]
    others = float(sum(row["gmv_back"] for row in back if row["product_id"] in gmv and row["product_id"] != PRODUCT))
    assert numbers["refund_rate_of_others"] == pytest.approx(others / float(sum(gmv.values()) - gmv[PRODUCT]))


def test_reviews_are_counted_and_never_quoted(product: Study, market_rows: market.Rows) -> None:
    known = [row for row in market_rows["reviews"] if row["product_id"] == PRODUCT and row["day"] <= NOW.last]
    numbers = product.finding("reviews").numbers
    assert numbers == {"reviews": len(known), "rating": pytest.approx(4.5), "new": sum(r["day"] in NOW for r in known)}
    assert "Très bon" not in str(product.as_dict())


def test_followers_and_refunds_of_a_creator(creator: Study, facts: dict[str, list[dict]]) -> None:
    assert creator.finding("followers").numbers == {"followers": 3000, "gained": 0}
    rows = [row for row in facts["sales"] if row["day"] in NOW and row["creator_id"]]
    back = [row for row in facts["refunds_by_order"] if row["day"] in NOW and row["creator_id"]]
    numbers = creator.finding("refunds").numbers
    for name, own in (("refund_rate", True), ("refund_rate_of_others", False)):
        gmv = sum(row["gmv"] for row in rows if (row["creator_id"] == CREATOR) is own)
        given = sum(row["gmv_back"] for row in back if (row["creator_id"] == CREATOR) is own)
        assert numbers[name] == pytest.approx(float(given) / float(gmv))


def test_forms_of_a_creator(creator: Study, facts: dict[str, list[dict]]) -> None:
    titles = {"video": "Videos", "live": "Live", "card": "Product cards", None: "Unknown"}
    wanted = {titles[form]: gmv for form, gmv in sums(facts, "form", {"creator_id": CREATOR}).items()}
    assert creator.finding("forms").numbers == wanted


def test_charts_are_drawn_and_told(shop: Study, product: Study, creator: Study) -> None:
    for study in (shop, product, creator):
        drawn = [finding.chart for finding in study.findings if finding.chart is not None]
        assert drawn
        for chart in drawn:
            assert chart["description"]
            assert svg(chart).startswith("<svg")


def test_what_is_supposed_is_not_compared_with_peers(bare_folder: Path) -> None:
    supposed = open_store(str(bare_folder)).assuming(Assumptions.parse(("margin=0.3",)))
    shop, plain = profile(supposed, "shop", SHOP, NOW), profile(open_store(str(bare_folder)), "shop", SHOP, NOW)
    assert shop.finding("peers") == plain.finding("peers")
    assert [caveat for caveat in shop.caveats if caveat.startswith("Not compared with peers")] == [
        "Not compared with peers, as it is supposed and not known: Merchants' contribution profit."
    ]


def test_the_barest_source_still_has_pages(bare_folder: Path) -> None:
    bare = open_store(str(bare_folder))
    shop, product = profile(bare, "shop", SHOP, NOW), profile(bare, "product", PRODUCT, NOW)
    assert (shop.title, product.title) == (SHOP, PRODUCT)
    assert {finding.key for finding in shop.findings} == {"who", "headline", "trend", "peers", "products"}
    assert any("does not name its shops" in caveat for caveat in shop.caveats)
    assert any(caveat == "CVR: unknown, since the source lacks traffic." for caveat in shop.caveats)
    assert any("tells nothing of creators, stock, live sessions" in caveat for caveat in shop.caveats)
    for name, id in (("creator", CREATOR), ("live", "live-1"), ("segment", "new")):
        with pytest.raises((NotFoundError, ModuleNotFoundError)):
            profile(bare, name, id, NOW)


def test_a_source_that_tells_only_the_surface(market_copy: Path, shop: Study) -> None:
    store = open_store(str(market_copy))
    lines, traffic = store.table("order_lines"), store.table("traffic")
    poorer = store.write(
        {"order_lines": lines.drop("form", "relation"), "traffic": traffic.drop("surface", "form", "relation")}
    )
    study = profile(poorer, "shop", SHOP, NOW, EVERY)
    whole: dict[str, Decimal] = defaultdict(Decimal)
    for row in rows_of(shop, "places"):
        whole[row["surface"]] += row["gmv"]
    assert {row["surface"]: row["gmv"] for row in rows_of(study, "places")} == whole
    assert study.finding("places").chart is None
    assert study.finding("headline").numbers["cvr"] == pytest.approx(shop.finding("headline").numbers["cvr"])


def test_an_assumed_margin_is_labelled(market_store: Store) -> None:
    study = profile(market_store.assuming(Assumptions(margin=0.3)), "shop", SHOP, NOW)
    finding = study.finding("headline")
    assert "assumed margin" in finding.note
    assert any("(assumed)" in row["metric"] for row in rows_of(study, "headline"))


def test_a_period_without_one_before_and_one_outside(market_store: Store) -> None:
    study = profile(market_store, "shop", SHOP, market.SPAN)
    grid = study.finding("headline").grid
    assert grid is not None
    assert [column.name for column in grid.columns] == ["metric", "now"]
    for name, id in (("shop", SHOP), ("product", PRODUCT), ("creator", CREATOR), ("segment", "new")):
        with pytest.raises(MissingDataError, match="outside the data"):
            profile(market_store, name, id, market.QUIET)


def test_an_entity_that_sold_nothing(market_store: Store) -> None:
    last = f"p{market.PRODUCTS}"
    study = profile(market_store, "product", last, NOW)
    assert {finding.key for finding in study.findings} >= {"who", "stock"}
    with pytest.raises(KeyError):
        study.finding("shops")


def test_kinds(market_store: Store) -> None:
    assert list(KINDS) == ["shop", "product", "creator", "live", "segment"]
    with pytest.raises(NotFoundError, match="kind of page"):
        profile(market_store, "parcel", "1", NOW)


def test_every_page_and_finding_is_documented(market_store: Store) -> None:
    page = (Path(__file__).parents[3] / "docs" / "profiles.md").read_text()
    sections = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", page, re.S | re.M))
    assert set(KINDS) <= sections.keys()
    for name, id in (("shop", SHOP), ("product", PRODUCT), ("creator", CREATOR), ("segment", "active")):
        told = {key for row in re.findall(r"^\| ([\w, ]+) \|", sections[name], re.M) for key in row.split(", ")}
        assert {finding.key for finding in profile(market_store, name, id, NOW).findings} <= told
    assert all(f"`{id}`" in sections["segment"] for id in SEGMENTS)
