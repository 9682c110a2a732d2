"""What callers of each scope see on a page, and that what is not theirs might as well not exist."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

import market
from oracles import loops
from tradewind.decisions.profiles import ProfileSettings, index, listed, profile, segments
from tradewind.engines.store import Store
from tradewind.errors import NotFoundError
from tradewind.period import Period
from tradewind.scope import Scope
from tradewind.study import Study

NOW = Period(date(2024, 1, 1), date(2024, 1, 28))
EVERY = ProfileSettings(top=1000)
MINE = market.SCOPE


@pytest.fixture(scope="module")
def merchant(market_store: Store) -> Store:
    return market_store.scoped(Scope.of(MINE))


@pytest.fixture(scope="module")
def creator(market_store: Store) -> Store:
    return market_store.scoped(Scope.of_creators(["k1"]))


def ids_in(study: Study, key: str) -> set[str]:
    return {row[key] for finding in study.findings if finding.grid for row in finding.grid.rows if row.get(key)}


def own(line: dict[str, Any]) -> bool:
    return line["shop_id"] in MINE


def test_a_merchant_sees_only_their_own(merchant: Store, market_rows: market.Rows) -> None:
    facts = {name: [row for row in rows if own(row)] for name, rows in loops.facts(market_rows).items()}
    product = next(line["product_id"] for line in facts["sales"] if line["day"] in NOW)
    for name, id, where in (("product", product, "product_id"), ("creator", "k2", "creator_id")):
        study = profile(merchant, name, id, NOW, EVERY)
        numbers = study.finding("headline").numbers
        [wanted] = loops.measure(facts, ("gmv", "orders", "buyers"), NOW, where={where: (id,)}).values()
        assert {key: numbers[key] for key in wanted} == wanted
        assert ids_in(study, "shop_id") <= set(MINE)
        assert any("shops that you may see" in caveat for caveat in study.caveats)


def test_foreign_is_unknown(merchant: Store, creator: Store, market_rows: market.Rows) -> None:
    seen = {line["product_id"] for line in market_rows["order_lines"] if own(line)}
    seen |= {row["product_id"] for row in market_rows["product_history"] if own(row)}
    hidden = next(row["product_id"] for row in market_rows["products"] if row["product_id"] not in seen)
    for store, name, foreign in (
        (merchant, "shop", "shop-09"), (merchant, "product", hidden), (creator, "shop", "shop-11"),
        (creator, "creator", "k2"), (creator, "product", "p28"), (merchant, "creator", "k6"),
    ):  # fmt: skip
        said = []
        for id in (foreign, "nowhere"):
            with pytest.raises(NotFoundError) as caught:
                profile(store, name, id, NOW)
            said.append({**caught.value.as_dict()["error"], "got": caught.value.got == id})
        assert said[0] == said[1], (name, foreign)
        assert said[0]["what"] == f"There is no such {name}"
        assert said[0]["allowed"] is None


def test_a_creator_sees_the_reduced_page(creator: Store, market_rows: market.Rows) -> None:
    study = profile(creator, "creator", "k1", market.SPAN, EVERY)
    keys = {finding.key for finding in study.findings}
    assert keys == {"who", "followers", "sessions", "contracts", "pinned", "drops"}
    assert any(caveat.startswith("Creators see live sessions and contracts") for caveat in study.caveats)
    assert ids_in(study, "live_id") == {r["live_id"] for r in market_rows["live_sessions"] if r["creator_id"] == "k1"}
    deals = [row for row in market_rows["commissions"] if row["creator_id"] == "k1"]
    assert study.finding("contracts").numbers["contracts"] == len(deals)
    [live] = ids_in(study, "live_id")
    minutes = [row for row in market_rows["live_product_minutes"] if row["live_id"] == live]
    grid = study.finding("pinned").grid
    assert grid is not None
    told = {row["product_id"]: (row["shown"], row["pinned"]) for row in grid.rows}
    assert told == {
        id: (sum(m["product_id"] == id for m in minutes), sum(m["product_id"] == id and m["pinned"] for m in minutes))
        for id in {m["product_id"] for m in minutes}
    }
    with pytest.raises(NotFoundError):
        profile(creator, "segment", "new", NOW)
    assert segments(creator, NOW) == ()


def test_shops_and_products_of_a_creator(creator: Store, market_rows: market.Rows) -> None:
    deal = next(r for r in market_rows["commissions"] if r["creator_id"] == "k1" and r["shop_id"])
    shop = profile(creator, "shop", deal["shop_id"], market.SPAN, EVERY)
    assert "contracts" in {finding.key for finding in shop.findings}
    assert "headline" not in {finding.key for finding in shop.findings}
    assert ids_in(shop, "creator_id") == {"k1"}
    product = profile(creator, "product", deal["product_id"], market.SPAN, EVERY)
    assert {finding.key for finding in product.findings} == {"who", "contracts"}


def test_no_list_or_index_shows_what_is_not_theirs(market_store: Store, merchant: Store, creator: Store) -> None:
    for store in (merchant, creator):
        for name, table in (
            ("shop", "shops"),
            ("product", "products"),
            ("creator", "creators"),
            ("live", "live_sessions"),
        ):
            visible = {row[f"{name}_id"] for row in store.run(store.table(table).select(f"{name}_id")).to_pylist()}
            rows = listed(store, name, market.SPAN, limit=1000).rows
            assert {row[f"{name}_id"] for row in rows} == visible
            every = {row[f"{name}_id"] for row in market_store.run(market_store.table(table)).to_pylist()}
            found = {id for id in every if any(hit.id == id for hit in index(store).search(id, kind=name))}
            assert found == visible
    assert index(merchant) is not index(market_store)
    assert index(merchant) is index(merchant)
    assert listed(creator, "segment", NOW).total == 0
