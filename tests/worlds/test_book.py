"""What a world writes down: every canonical table, sound by its contract, in which the sums agree to the cent."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tradewind.engines.store import Store
from tradewind.errors import BadInputError
from tradewind.measures.metrics import METRICS
from tradewind.measures.query import Query
from tradewind.sources import fill
from tradewind.sources.worlds.preset import preset
from tradewind.sources.worlds.world import World
from tradewind.tables import TABLES

Ask = Callable[[str], list[tuple[Any, ...]]]


pytestmark = pytest.mark.xdist_group("book")


@pytest.fixture(scope="module")
def ask(tiny_store: Store) -> Ask:
    """SQL over the tables, apart from the engine."""
    con = duckdb.connect()
    con.execute("SET TimeZone = 'UTC'")
    for name, files in tiny_store.manifest.tables.items():
        paths = [str(tiny_store.folder / file.path) for file in files]
        con.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet({paths})")
    return lambda sql: con.execute(sql).fetchall()


def test_every_canonical_table_is_filled(tiny_store: Store) -> None:
    assert {name for name in TABLES if not tiny_store.has(name)} == set()
    assert tiny_store.provenance.simulated
    assert "No shop, product, creator or customer in it exists" in tiny_store.provenance.notice


@pytest.mark.parametrize("name", TABLES)
def test_rows_keep_the_contract(ask: Ask, name: str) -> None:
    table = TABLES[name]
    keys = ", ".join(f'"{column}"' for column in table.key)
    assert ask(f"SELECT {keys}, count(*) FROM {name} GROUP BY ALL HAVING count(*) > 1 LIMIT 3") == []
    for column in table.stored:
        wrong = [] if column.null else [f'"{column.name}" IS NULL']
        wrong += [f'"{column.name}" < {column.low}'] if column.low is not None else []
        wrong += [f'"{column.name}" > {column.high}'] if column.high is not None else []
        wrong += [f'"{column.name}" NOT IN {tuple(column.allowed)}'] if column.allowed else []
        for test in wrong:
            assert ask(f"SELECT count(*) FROM {name} WHERE {test}") == [(0,)], test
    for reference in table.references:
        pairs = zip(reference.columns, reference.targets, strict=True)
        same = " AND ".join(f'a."{mine}" = b."{theirs}"' for mine, theirs in pairs)
        told = " AND ".join(f'a."{column}" IS NOT NULL' for column in reference.columns)
        orphans = f"SELECT count(*) FROM {name} a ANTI JOIN {reference.table} b ON {same} WHERE {told}"
        assert ask(orphans) == [(0,)], reference


def test_days_and_hours_are_local(ask: Ask) -> None:
    for name, moment in (("order_lines", "ordered_at"), ("refunds", "refunded_at"), ("live_sessions", "started_at")):
        local = f"{moment} + INTERVAL 8 HOUR"
        wrong = f"SELECT count(*) FROM {name} WHERE day != CAST({local} AS DATE) OR hour != date_trunc('hour', {local})"
        assert ask(wrong) == [(0,)]


def test_nothing_is_known_before_it_happens(ask: Ask) -> None:
    size = preset("tiny")
    end = size.first + timedelta(days=size.days)
    for name, table in TABLES.items():
        if table.replaced_by_day:
            assert ask(f"SELECT max(day) FROM {name}")[0][0] < end, name
    late = (
        "SELECT count(*) FROM refunds r JOIN order_lines o USING (order_id, line) WHERE r.refunded_at <= o.ordered_at"
    )
    assert ask(late) == [(0,)]
    order = """SELECT count(*) FROM order_status a JOIN order_status b USING (order_id, line)
               WHERE a.status = 'shipped' AND b.status = 'delivered' AND a.at >= b.at"""
    assert ask(order) == [(0,)]


def test_orders_end_the_funnel(ask: Ask) -> None:
    """Each order line is an order event; no cell has more clicks than impressions or more carts than clicks."""
    events = "SELECT customer_id, product_id, events.at FROM events WHERE kind = 'order' ORDER BY ALL"
    assert ask(events) == ask("SELECT customer_id, product_id, ordered_at FROM order_lines ORDER BY ALL")
    assert ask("SELECT count(*) FROM traffic WHERE clicks > impressions OR carts > clicks") == [(0,)]
    [(clicks, carts)] = ask("SELECT sum(clicks), sum(carts) FROM traffic WHERE form != 'live'")
    logged = dict(ask("SELECT kind, count(*) FROM events WHERE kind IN ('click', 'cart') GROUP BY 1"))
    assert logged == {"click": clicks, "cart": carts}
    [(seen, rate)] = ask("SELECT count(*), any_value(sampling_rate) FROM events WHERE kind = 'impression'")
    [(shown,)] = ask("SELECT sum(impressions) FROM traffic WHERE form != 'live'")
    assert abs(seen - shown * rate) < 5 * (shown * rate) ** 0.5


def test_discounts_are_their_payers_shares(ask: Ask) -> None:
    wrong = """
        SELECT count(*) FROM (
            SELECT d.order_id, d.line, any_value(u.platform_share) AS share, sum(d.amount) AS whole,
                   sum(d.amount) FILTER (d.payer = 'platform') AS platform
            FROM order_discounts d JOIN coupons u USING (coupon_id) GROUP BY ALL
        ) WHERE abs(coalesce(platform, 0) - share * whole) > 0.0001"""
    assert ask(wrong) == [(0,)]
    too_much = """SELECT count(*) FROM (SELECT order_id, line, sum(amount) AS off FROM order_discounts GROUP BY ALL)
                  JOIN order_lines USING (order_id, line) WHERE off >= unit_price * quantity"""
    assert ask(too_much) == [(0,)]


def test_each_order_is_paid_or_cancelled(ask: Ask) -> None:
    steps = """SELECT list_sort(list(status)) FROM order_status WHERE status IN ('placed', 'paid', 'cancelled')
               GROUP BY order_id, line"""
    assert {tuple(row[0]) for row in ask(steps)} == {("paid", "placed"), ("cancelled", "placed")}
    assert ask("SELECT count(*) FROM (SELECT DISTINCT order_id, line FROM order_status)") == ask(
        "SELECT count(*) FROM order_lines"
    )


def test_refunds_give_back_what_was_paid(ask: Ask) -> None:
    wrong = """
        SELECT count(*) FROM refunds r JOIN order_lines o USING (order_id, line)
        LEFT JOIN (SELECT order_id, line, sum(amount) AS off FROM order_discounts GROUP BY ALL) d USING (order_id, line)
        WHERE abs(r.amount - (o.unit_price * o.quantity - coalesce(d.off, 0))) > 0.0001
           OR r.commission_reversed != o.commission OR r.fee_reversed != o.platform_fee OR r.quantity != o.quantity
           OR NOT EXISTS (SELECT 1 FROM order_status s WHERE s.order_id = r.order_id AND s.status = 'paid')"""
    assert ask(wrong) == [(0,)]
    assert ask("SELECT count(*) FROM refunds")[0][0] > 0


def test_stock_is_never_below_nothing_and_falls_by_what_is_sold(ask: Ask) -> None:
    """A day's stock is the day's before, less what was sold and paid, plus deliveries, which are never negative."""
    assert ask("SELECT min(on_hand) >= 0 FROM inventory") == [(True,)]
    moved = """
        SELECT min(i.on_hand - (y.on_hand - coalesce(sold, 0)))
        FROM inventory i JOIN inventory y ON y.product_id = i.product_id AND y.day = i.day - 1
        LEFT JOIN (SELECT product_id, o.day, sum(quantity) AS sold FROM order_lines o
                   SEMI JOIN order_status s ON s.order_id = o.order_id AND s.status = 'paid' GROUP BY ALL) q
             ON q.product_id = i.product_id AND q.day = i.day"""
    assert ask(moved)[0][0] == 0


def test_live_rooms_add_up(ask: Ask) -> None:
    """Viewers are who came less who left; a product's orders and GMV by the minute are its order lines."""
    run = """SELECT count(*) FROM (
        SELECT viewers, sum(joins_organic + joins_paid) OVER w AS come, sum(leaves) OVER w AS gone, minute,
               max(minute) OVER (PARTITION BY live_id) AS last
        FROM live_minutes WINDOW w AS (PARTITION BY live_id ORDER BY minute))
        WHERE viewers != come - gone AND minute < last"""
    assert ask(run) == [(0,)]
    sold = """
        SELECT live_id, o.product_id, count(*), sum(unit_price * quantity - coalesce(off, 0)) FROM order_lines o
        LEFT JOIN (SELECT order_id, line, sum(amount) AS off FROM order_discounts WHERE payer = 'merchant'
                   GROUP BY ALL) d USING (order_id, line)
        SEMI JOIN order_status s ON s.order_id = o.order_id AND s.line = o.line AND s.status = 'paid'
        SEMI JOIN live_product_minutes m ON m.live_id = o.live_id AND m.product_id = o.product_id
        WHERE live_id IS NOT NULL GROUP BY ALL ORDER BY ALL"""
    minutes = """SELECT live_id, product_id, sum(orders), sum(gmv) FROM live_product_minutes GROUP BY ALL
                 HAVING sum(orders) > 0 ORDER BY ALL"""
    assert ask(minutes) == ask(sold)
    drops = "SELECT coupon_id, claimed FROM live_drops WHERE claimed > 0 ORDER BY ALL"
    grants = "SELECT coupon_id, count(*) FROM coupon_grants SEMI JOIN live_drops USING (coupon_id) GROUP BY 1"
    assert {row[0] for row in ask(grants)} == {row[0] for row in ask(drops)}
    assert ask("SELECT count(*) FROM live_drops WHERE claimed > quantity") == [(0,)]


def test_the_store_counts_what_the_world_sold(tiny_store: Store) -> None:
    days = World(preset("tiny"), 7).advance(preset("tiny").days)
    [found] = tiny_store.metrics(Query((METRICS["gross_sales"], METRICS["items"]), tiny_store.span)).to_pylist()
    paid = [day.lines.where(day.lines["paid"]) for day in days]
    assert found["items"] == sum(int(part["quantity"].sum()) for part in paid)
    products = World(preset("tiny"), 7).cast.products
    gross = sum(
        Decimal(str(price)) * quantity
        for part in paid
        for price, quantity in zip(
            products.price[part["product"]].round(2).tolist(), part["quantity"].tolist(), strict=True
        )
    )
    assert found["gross_sales"] == gross


def test_who_drew_what_is_written_down(ask: Ask) -> None:
    """Arms of an experiment are drawn with the chance that stands beside them."""
    for arm, count, expected in ask("""
        SELECT arm, count(*), any_value(whole / 3.0) FROM assignments
        JOIN (SELECT experiment_id, count(*) AS whole FROM assignments GROUP BY 1) USING (experiment_id)
        WHERE experiment_id LIKE 'price-%' GROUP BY arm"""):
        assert count > 0, arm
        assert expected > 0
    units = (
        "SELECT count(*) FROM assignments a ANTI JOIN customers c ON unit_id = customer_id WHERE unit_kind = 'customer'"
    )
    assert ask(units) == [(0,)]
    [(given, chance)] = ask("""
        SELECT count(*) FILTER (arm = '1') / count(*), avg(propensity) FROM assignments
        WHERE experiment_id LIKE 'coupon-%'""")
    assert abs(given - chance) < 0.06


def test_the_same_seed_writes_the_same_tables(tiny_folder: Path, tmp_path: Path) -> None:
    fill("tiny", 7, tmp_path / "again")
    fill("tiny", 8, tmp_path / "other")

    def digest(folder: Path, name: str) -> Any:
        return duckdb.sql(
            f"SELECT count(*), bit_xor(hash(t::VARCHAR)) FROM read_parquet('{folder}/data/{name}/*.parquet') t"
        ).fetchall()

    for name in TABLES:
        assert digest(tiny_folder, name) == digest(tmp_path / "again", name), name
    assert digest(tiny_folder, "order_lines") != digest(tmp_path / "other", "order_lines")


def test_a_store_holds_one_world(tiny_folder: Path, tmp_path: Path) -> None:
    again = fill("tiny", 7, tiny_folder)
    assert again.unchanged
    assert again.snapshot == "000001"
    other = fill("tiny", 9, tmp_path / "store")
    assert other.days_added == preset("tiny").days
    short = fill("tiny", 9, tmp_path / "short", days=30)
    longer = fill("tiny", 9, tmp_path / "short")
    assert (short.days_added, short.days_replaced) == (30, 0)
    assert (longer.days_added, longer.days_replaced) == (preset("tiny").days - 30, 30)
    with pytest.raises(BadInputError, match="another source"):
        fill("town", 9, tmp_path / "store")


def test_the_first_day_is_the_presets(tiny_store: Store) -> None:
    assert tiny_store.span.first == preset("tiny").first == date(2025, 3, 3)
    assert tiny_store.span.days == preset("tiny").days


def test_traffic_of_rooms_is_what_their_minutes_show(ask: Ask) -> None:
    """Each product's exposure in a room, over all surfaces, is the sum of its minutes; orders have carts."""
    wrong = """
        WITH minutes AS (
            SELECT live_id, product_id, sum(impressions) AS i, sum(clicks) AS c FROM live_product_minutes GROUP BY ALL
        ), rooms AS (
            SELECT live_id, product_id, sum(impressions) AS i, sum(clicks) AS c FROM traffic WHERE live_id IS NOT NULL
            GROUP BY ALL
        )
        SELECT count(*) FROM minutes FULL JOIN rooms USING (live_id, product_id)
        WHERE coalesce(minutes.i, 0) != coalesce(rooms.i, 0) OR coalesce(minutes.c, 0) != coalesce(rooms.c, 0)"""
    assert ask(wrong) == [(0,)]
    assert ask("SELECT count(DISTINCT surface) FROM traffic WHERE live_id IS NOT NULL")[0][0] > 2
    without = """
        SELECT count(*) FROM order_lines o WHERE live_id IS NOT NULL AND line = 0 AND NOT EXISTS (
            SELECT 1 FROM traffic t WHERE t.live_id = o.live_id AND t.product_id = o.product_id AND t.hour = o.hour
            AND t.surface = o.surface AND t.carts > 0)
        AND EXISTS (SELECT 1 FROM order_status s WHERE s.order_id = o.order_id AND s.status = 'paid')"""
    assert ask(without) == [(0,)]


def test_traffic_bought_for_rooms_is_in_ads(ask: Ask) -> None:
    assert ask("SELECT count(*) > 0, min(spend) > 0, count(live_id) = count(*) FROM ads WHERE product_id IS NULL") == [
        (True, True, True)
    ]
    assert ask(
        "SELECT count(*) FROM ads WHERE product_id IS NULL AND (payer = 'merchant') != (shop_id IS NOT NULL)"
    ) == [(0,)]
    more = """SELECT count(*) FROM ads a WHERE live_id IS NOT NULL AND attributed_orders >
              (SELECT count(*) FROM order_lines o WHERE o.live_id = a.live_id)"""
    assert ask(more) == [(0,)]


def test_the_log_of_impressions_is_a_sample_of_the_traffic(ask: Ask) -> None:
    """Logged impressions over their rate are about the impressions counted, rooms aside."""
    [(logged, rows)] = ask("SELECT sum(1 / sampling_rate), count(*) FROM events WHERE kind = 'impression'")
    [(counted,)] = ask("SELECT sum(impressions) FROM traffic WHERE live_id IS NULL")
    assert abs(logged / counted - 1) < 5 / rows**0.5 + 0.01
    [(clicked,)] = ask("SELECT count(*) FROM events WHERE kind = 'click'")
    assert ask("SELECT sum(clicks) FROM traffic WHERE live_id IS NULL")[0][0] == clicked
