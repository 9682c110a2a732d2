"""What a store shows and keeps, on both engines: scope, batches, snapshots."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import market
from needs import MASTER
from tradewind.engines.spark import Spark
from tradewind.engines.store import Store, open_store
from tradewind.errors import BadInputError, ForbiddenError, MissingDataError, NotFoundError
from tradewind.measures.assume import Assumptions
from tradewind.measures.fact import whole_seconds
from tradewind.measures.metrics import GMV, IMPRESSIONS, ITEMS
from tradewind.measures.query import Query
from tradewind.period import Period
from tradewind.scope import Scope
from tradewind.study import Deed, Lever, Subject
from tradewind.tables import TABLES

MINE = frozenset(market.SCOPE)
Rule = Callable[[dict[str, Any]], bool]


def visible(rows: market.Rows) -> dict[str, Rule]:
    """Return for each table, said by hand, which rows a merchant with the shops of `MINE` may see."""
    lines = [line for line in rows["order_lines"] if line["shop_id"] in MINE]
    sold = {(line["order_id"], line["line"]) for line in lines}
    buyers = {line["customer_id"] for line in lines} - {None}
    listed = {row["product_id"] for row in rows["product_history"] if row["shop_id"] in MINE}
    products = listed | {line["product_id"] for line in lines}
    products |= {row["product_id"] for row in rows["products"] if row["shop_id"] in MINE}
    partners = {line["creator_id"] for line in lines}
    partners |= {row["creator_id"] for row in rows["commissions"] if row["shop_id"] in MINE}
    shown = {line["content_id"] for line in lines}
    shown |= {row["content_id"] for row in rows["traffic"] if row["shop_id"] in MINE}
    shown |= {row["content_id"] for row in rows["contents"] if row["shop_id"] in MINE}
    lives = {row["live_id"] for row in rows["live_sessions"] if row["shop_id"] in MINE}
    owners = {kind: {row[f"{kind}_id"]: row["shop_id"] for row in rows[f"{kind}s"]} for kind in ("coupon", "campaign")}

    def of_my_shop(row: dict[str, Any]) -> bool:
        return row["shop_id"] in MINE

    def mine_or_everybodys(row: dict[str, Any]) -> bool:
        return row["shop_id"] in MINE or row["shop_id"] is None

    def part(kind: str, key: str, mine: set[Any]) -> Rule:
        def rule(row: dict[str, Any]) -> bool:
            owner = owners[kind][row[f"{kind}_id"]]
            return owner in MINE or (owner is None and row[key] in mine)

        return rule

    return dict.fromkeys(TABLES, of_my_shop) | {
        "products": lambda row: row["product_id"] in products,
        "customers": lambda row: row["customer_id"] in buyers,
        "order_discounts": lambda row: (row["order_id"], row["line"]) in sold,
        "order_status": lambda row: (row["order_id"], row["line"]) in sold,
        "creators": lambda row: row["creator_id"] in partners,
        "creator_history": lambda row: row["creator_id"] in partners,
        "contents": lambda row: row["content_id"] in shown,
        "content_products": lambda row: row["content_id"] in shown and row["product_id"] in products,
        "coupons": mine_or_everybodys,
        "campaigns": mine_or_everybodys,
        "coupon_grants": part("coupon", "customer_id", buyers),
        "campaign_customers": part("campaign", "customer_id", buyers),
        "campaign_products": part("campaign", "product_id", products),
        "live_minutes": lambda row: row["live_id"] in lives,
    }


def labels(store: Store, names: Iterable[str] = tuple(TABLES)) -> dict[str, Counter[str]]:
    """Return how often each row, named by its key without its moments, stands in each table that a store shows."""
    parts = []
    for name in names:
        table, rows = TABLES[name], store.table(name)
        pieces = [rows[key].cast("string").fill_null("∅") for key in table.key if key in keys_of(name)]
        parts.append(rows.select(table=ibis.literal(name), label=ibis.literal("|").join(pieces)))
    together = ibis.union(*parts)
    counted = store.run(together.group_by("table", "label").aggregate(n=together.count()))
    found: dict[str, Counter[str]] = {name: Counter() for name in TABLES}
    for name, label, n in market.plain(counted):
        found[name][label] = n
    return found


def keys_of(name: str) -> list[str]:
    table = TABLES[name]
    return [key for key in table.key if table.column(key).kind not in {"moment", "day"}]


def wanted_labels(rows: market.Rows, rules: Mapping[str, Rule]) -> dict[str, Counter[str]]:
    return {
        name: Counter(
            "|".join("∅" if row[key] is None else str(row[key]) for key in keys_of(name))
            for row in found
            if rules[name](row)
        )
        for name, found in rows.items()
    }


def test_an_operator_sees_every_row(market_store: Store, market_rows: market.Rows) -> None:
    assert labels(market_store) == wanted_labels(market_rows, dict.fromkeys(TABLES, lambda row: True))


def test_a_merchant_sees_only_rows_that_are_theirs(store: Store, market_rows: market.Rows) -> None:
    wanted = wanted_labels(market_rows, visible(market_rows))
    assert all(wanted.values()), "a table in which a merchant sees nothing proves nothing"
    assert all(len(wanted[name]) < len(market_rows[name]) for name in TABLES)
    assert labels(store.scoped(Scope.of(market.SCOPE))) == wanted


HOSTS = ("k1", "k2")


def visible_to_hosts(rows: market.Rows) -> dict[str, Rule]:
    """Return for each table, said by hand, which rows the creators `HOSTS` may see: their sessions and offers."""
    lives = {row["live_id"] for row in rows["live_sessions"] if row["creator_id"] in HOSTS}
    deals = [row for row in rows["commissions"] if row["creator_id"] in HOSTS]
    products = {row["product_id"] for row in deals}
    products |= {row["product_id"] for row in rows["live_product_minutes"] if row["live_id"] in lives}
    shops = {row["shop_id"] for row in deals}
    shops |= {row["shop_id"] for row in rows["live_sessions"] if row["live_id"] in lives}

    def own(row: dict[str, Any]) -> bool:
        return row["creator_id"] in HOSTS

    def of_session(row: dict[str, Any]) -> bool:
        return row["live_id"] in lives

    sessions = ("live_minutes", "live_product_minutes", "live_drops")
    return {
        **dict.fromkeys(("creators", "creator_history", "commissions", "live_sessions"), own),
        **dict.fromkeys(sessions, of_session),
        "products": lambda row: row["product_id"] in products,
        "shops": lambda row: row["shop_id"] in shops,
    }


def test_what_was_not_known_by_a_moment_is_not_seen(store: Store, market_rows: market.Rows) -> None:
    every = sorted(row["known_at"] for row in market_rows["refunds"])
    moment = every[len(every) // 2]
    then, mine = store.known_by(moment), store.scope.shops
    for name in ("refunds", "order_status"):
        whole, seen = (each.run(each.table(name).count()).as_py() for each in (store, then))
        assert seen < whole
        if mine is None:
            assert seen == sum(row["known_at"] < moment for row in market_rows[name])
    lines = [each.run(each.table("order_lines").count()).as_py() for each in (store, then)]
    assert lines[0] == lines[1]
    assert store.run(store.table("refunds").count()).as_py() > then.run(then.table("refunds").count()).as_py()


def test_a_creator_sees_only_their_own_sessions_and_offers(store: Store, market_rows: market.Rows) -> None:
    host, rules = store.scoped(Scope.of_creators(HOSTS)), visible_to_hosts(market_rows)
    wanted = wanted_labels({name: market_rows[name] for name in rules}, rules)
    assert all(wanted.values()), "a table in which a creator sees nothing proves nothing"
    assert {name: found for name, found in labels(host, tuple(rules)).items() if name in rules} == wanted
    for name in TABLES.keys() - rules.keys():
        assert host.counts(name).rows == 0
        assert not host.has(name)
        with pytest.raises(ForbiddenError, match="Only operators and merchants"):
            host.table(name)
    assert host.provenance.shops.startswith("creators ")
    mine = [row["started_at"] for row in market_rows["live_sessions"] if row["creator_id"] in HOSTS]
    assert host.span.days <= (max(mine) - min(mine)).days + 2
    assert host.counts("live_sessions").rows == len(mine)


def test_a_creators_scope_is_neither_widened_nor_a_merchants(market_store: Store) -> None:
    host = market_store.scoped(Scope.of_creators(HOSTS))
    assert host.scoped(Scope.of_creators(HOSTS[:1])).scope.creators == {"k1"}
    for other in (Scope(), Scope.of(market.SCOPE), Scope.of(()), Scope.of_creators(("k1", "k3"))):
        with pytest.raises(ForbiddenError):
            host.scoped(other)
    with pytest.raises(ForbiddenError):
        market_store.scoped(Scope.of(market.SCOPE)).scoped(Scope.of_creators(HOSTS))
    with pytest.raises(ValueError, match="sees no shop"):
        Scope(frozenset(market.SCOPE), frozenset(HOSTS))
    with pytest.raises(MissingDataError, match="no live sessions"):
        _ = market_store.scoped(Scope.of_creators(("nobody",))).span


def test_a_merchant_is_told_only_how_much_is_theirs(store: Store, market_rows: market.Rows) -> None:
    """Rows and gaps are counted in the scope: a whole store's total would tell about the others.

    Days end when the store's do: until when data are there is no secret, and a shop without a sale has sold nothing.
    """
    merchant = store.scoped(Scope.of(market.SCOPE))
    rules = visible(market_rows)
    for name in ("order_lines", "refunds", "inventory"):
        mine = [row for row in market_rows[name] if rules[name](row)]
        found = merchant.counts(name)
        assert found.rows == len(mine) < store.counts(name).rows
        for column in found.filled:
            assert found.filled[column] == sum(row.get(column) is not None for row in mine), (name, column)
    days = [line["day"] for line in market_rows["order_lines"] if line["shop_id"] in MINE]
    assert merchant.span == Period(min(days), store.span.last)
    assert merchant.assuming(Assumptions(margin=0.3)).span == merchant.span
    deed = Deed(Lever.PRICE, Subject("product", "p1"), store.span)
    known = store.acted([deed]).scoped(merchant.scope).assuming(Assumptions(margin=0.3))
    assert known.known_by(datetime(2100, 1, 1)).deeds == (deed,)
    assert known.span == merchant.span
    assert not store.deeds


def test_a_shop_that_sells_no_more_has_days_without_a_sale(market_copy: Path, market_rows: market.Rows) -> None:
    mine = [row["day"] for row in market_rows["order_lines"] if row["shop_id"] in MINE]
    half = sorted(mine)[len(mine) // 2]
    lines = [row for row in market_rows["order_lines"] if row["shop_id"] not in MINE or row["day"] <= half]
    store = market_store_with(market_copy, "order_lines", lines)
    merchant = store.scoped(Scope.of(market.SCOPE))
    assert merchant.span == Period(min(mine), store.span.last)
    assert merchant.span.last > half
    after = Period(half + timedelta(days=1), store.span.last)
    assert merchant.metrics(Query((GMV,), after))["gmv"].to_pylist() in ([0], [None])


def test_what_a_merchant_has_none_of_is_missing(market_copy: Path, market_rows: market.Rows) -> None:
    others = [row for row in market_rows["refunds"] if row["shop_id"] not in MINE]
    store = market_store_with(market_copy, "refunds", others)
    merchant = store.scoped(Scope.of(market.SCOPE))
    assert store.has("refunds")
    assert not merchant.has("refunds")
    assert merchant.coverage("refunds", "amount") == 0
    with pytest.raises(MissingDataError, match="no order lines"):
        _ = store.scoped(Scope.of(("nobody",))).span


def test_numbers_say_whose_they_are(market_store: Store, bare_store: Store) -> None:
    assert market_store.provenance.shops == ""
    one, many = market.SCOPE[:1], [f"shop-{n:02d}" for n in range(9)]
    assert re.fullmatch(rf"shop .+ \({one[0]}\)", market_store.scoped(Scope.of(one)).provenance.shops)
    assert market_store.scoped(Scope.of(many)).provenance.shops == "9 shops"
    assert bare_store.scoped(Scope.of(one)).provenance.shops == f"shop {one[0]}"


def market_store_with(folder: Path, table: str, rows: list[dict[str, Any]]) -> Store:
    """Return the store in a folder with other rows in one table."""
    return open_store(str(folder)).write({table: market.arrow(table, rows)})


def test_a_merchant_without_shops_sees_nobodys_rows(market_store: Store) -> None:
    nobody = labels(market_store.scoped(Scope.of(())))
    assert {name for name, found in nobody.items() if found} == {"coupons", "campaigns"}


def test_a_scope_narrows_and_never_widens(market_store: Store) -> None:
    merchant = market_store.scoped(Scope.of(market.SCOPE))
    assert merchant.scoped(Scope.of(market.SCOPE[:1])).scope.shops == {market.SCOPE[0]}
    for wider in (Scope(), Scope.of(("shop-09",)), Scope.of((*market.SCOPE, "shop-09"))):
        with pytest.raises(ForbiddenError):
            merchant.scoped(wider)


def test_a_table_for_operators_is_closed_to_merchants(market_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TABLES, "inventory", replace(TABLES["inventory"], shop=()))
    fresh = market_store.scoped(Scope())
    assert fresh.run(fresh.table("inventory").count()).as_py() > 0
    with pytest.raises(ForbiddenError, match="inventory"):
        market_store.scoped(Scope.of(market.SCOPE)).table("inventory")


def test_a_table_that_is_not_filled_or_not_known(bare_store: Store) -> None:
    with pytest.raises(MissingDataError, match="no live sessions"):
        bare_store.table("live_sessions")
    with pytest.raises(NotFoundError):
        bare_store.table("parcels")
    assert bare_store.has("order_lines", "unit_price")
    assert not bare_store.has("order_lines", "unit_cost")
    assert not bare_store.has("refunds")


def test_rows_come_back_as_they_were_written(store: Store, market_rows: market.Rows) -> None:
    """Text, money, moments and nulls survive the way through an engine."""
    written = market.arrow("order_lines", market_rows["order_lines"])
    read = store.run(store.table("order_lines").order_by("order_id", "line"))
    assert read.column_names == written.column_names
    for name in written.column_names:
        assert read[name].to_pylist() == written[name].to_pylist(), name


def test_an_end_that_never_comes(opened: Callable[[Path], Store], tmp_path: Path, market_rows: market.Rows) -> None:
    """Sources write 9999-12-31 where something goes on; no engine may stumble over it, nor over the folder's name."""
    never = datetime(9999, 12, 31, 23, 59, 59, 999_999)
    rows = {**market_rows, "coupons": [{**row, "ends_at": never} for row in market_rows["coupons"]]}
    folder = tmp_path / "o'brien [1] {a,b}"
    market.write(folder, rows)
    store = opened(folder)
    coupons = store.table("coupons")
    found = store.run(coupons.select("ends_at", seconds=whole_seconds(coupons.ends_at))).to_pylist()
    assert found == [{"ends_at": never, "seconds": 253_402_300_799}] * len(rows["coupons"])


def test_a_large_whole_number_beside_none_is_exact(
    opened: Callable[[Path], Store], tmp_path: Path, market_rows: market.Rows
) -> None:
    views = [2**53 + 1, None, 2**62 + 1]
    rows = {**market_rows, "contents": [{**market_rows["contents"][n], "views": views[n]} for n in range(3)]}
    market.write(tmp_path / "store", rows)
    store = opened(tmp_path / "store")
    assert store.run(store.table("contents").select("views"))["views"].to_pylist() == views


def test_a_sum_that_is_too_large_is_an_error_and_never_nothing(
    opened: Callable[[Path], Store], engine: str, tmp_path: Path, market_rows: market.Rows
) -> None:
    """Spark can be set to make nothing of it, and then of a total; whatever the session was, it is not."""
    rows = {**market_rows, "traffic": [row | {"impressions": 2**62} for row in market_rows["traffic"]]}
    market.write(tmp_path / "store", rows)
    store = opened(tmp_path / "store")
    if engine == "spark":
        spark: Any = store.engine
        spark._session.conf.set("spark.sql.ansi.enabled", "false")
        store = Store(store.folder, Spark(MASTER), store.manifest)
    with pytest.raises(Exception, match=r"(?i)overflow|out of bounds"):
        store.metrics(Query((IMPRESSIONS,), market.PERIOD))


ODD = (
    "${x}", "${env:PATH}", "${spark.app.name}", "o'brien", 'say "', "back\\n", "100%", " ", "", "\U0010ffff", "\uffff",
)  # fmt: skip


def test_ids_of_any_letters_stand_for_themselves(
    opened: Callable[[Path], Store], tmp_path: Path, market_rows: market.Rows
) -> None:
    lines = [row | {"shop_id": ODD[n % len(ODD)]} for n, row in enumerate(market_rows["order_lines"])]
    market.write(tmp_path / "store", market.bare({"order_lines": lines}))
    store = opened(tmp_path / "store")
    counted = Counter(row["shop_id"] for row in lines)
    for some in (ODD[:6], ODD[6:]):
        asked = Query((ITEMS,), market.SPAN, ("shop_id",), where={"shop_id": some})
        found = store.metrics(asked)["shop_id"].to_pylist()
        assert found == sorted(some)
        assert store.scoped(Scope.of(some)).counts("order_lines").rows == sum(counted[id] for id in some)


def test_batches_give_the_rows_of_a_run(store: Store) -> None:
    lines = store.table("order_lines")
    expression = lines.select("order_id", "line", "unit_price", "day").order_by("order_id", "line")
    batches = list(store.batches(expression, rows=100))
    assert max(len(batch) for batch in batches) <= 100
    assert pa.Table.from_batches(batches).to_pylist() == store.run(expression).to_pylist()


def test_writing_makes_a_snapshot_and_leaves_readers_alone(
    opened: Callable[[Path], Store], market_copy: Path, market_rows: market.Rows
) -> None:
    reader = opened(market_copy)
    lines = reader.table("order_lines")
    stock = market.arrow("inventory", [{**row, "on_hand": 7} for row in market_rows["inventory"]])
    dear = lines.filter(lines.unit_price > 60)
    writer = reader.write({"order_lines": dear, "inventory": stock})
    wanted = sum(line["unit_price"] > 60 for line in market_rows["order_lines"])
    later = opened(market_copy)
    assert (reader.manifest.name, writer.manifest.name, later.manifest.name) == ("000001", "000002", "000002")
    for store, rows, pieces in (
        (reader, len(market_rows["order_lines"]), sum(row["on_hand"] for row in market_rows["inventory"])),
        (writer, wanted, 7 * len(market_rows["inventory"])),
        (later, wanted, 7 * len(market_rows["inventory"])),
    ):
        assert store.run(store.table("order_lines").count()).as_py() == rows == store.manifest.rows("order_lines")
        assert store.run(store.table("inventory").on_hand.sum()).as_py() == pieces
    kept = [line for line in market_rows["order_lines"] if line["unit_price"] > 60]
    read = later.run(later.table("order_lines").order_by("order_id", "line"))
    assert read.to_pylist() == market.arrow("order_lines", kept).to_pylist()


def test_columns_that_are_left_out_become_unknown(opened: Callable[[Path], Store], market_copy: Path) -> None:
    store = opened(market_copy)
    written = store.write({"order_lines": store.table("order_lines").select(*market.BARE)})
    assert written.has("order_lines", "unit_price")
    assert not written.has("order_lines", "unit_cost")
    assert written.span == store.span


def test_a_store_written_before_a_table_got_a_column_is_read(
    opened: Callable[[Path], Store], market_copy: Path, market_rows: market.Rows
) -> None:
    for file in opened(market_copy).manifest.tables["coupon_grants"]:
        pq.write_table(pq.read_table(market_copy / file.path).drop_columns(["propensity"]), market_copy / file.path)
    store = opened(market_copy)
    for seen in (store, store.scoped(Scope.of(market.SCOPE))):
        rows = seen.run(seen.table("coupon_grants"))
        assert rows.schema.names == [column.name for column in TABLES["coupon_grants"].stored]
        assert rows["propensity"].null_count == len(rows) > 0
    assert store.counts("coupon_grants").rows == len(market_rows["coupon_grants"])


def test_what_cannot_be_written(market_copy: Path, market_store: Store) -> None:
    store = Store(market_copy, market_store.engine, market_store.manifest)
    lines = store.table("order_lines")
    for wrong in (lines.mutate(colour=ibis.literal("blue")), lines.drop("shop_id"), lines.drop("day")):
        with pytest.raises(BadInputError, match="order_lines"):
            store.write({"order_lines": wrong})
    with pytest.raises(ForbiddenError):
        store.scoped(Scope.of(market.SCOPE)).write({"order_lines": lines})
    assert (market_copy / "CURRENT").read_text() == "000001\n"
