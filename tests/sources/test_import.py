import random
import resource
import shutil
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import ibis
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from own_market import FIRST, contents, write_market

from tradewind.engines.duckdb import staging
from tradewind.engines.snapshot import Draft, existing
from tradewind.engines.store import open_store
from tradewind.errors import BadInputError, BusyError, FullDiskError
from tradewind.sources import importing, load, run_import
from tradewind.tables import TABLES
from tradewind.tables.schema import IBIS_TYPES

HEADER = "order_id,line,ordered_at,customer_id,shop_id,product_id,quantity,unit_price\n"


@pytest.fixture(scope="module")
def market(tmp_path_factory):
    return write_market(tmp_path_factory.mktemp("market"))


@pytest.fixture(scope="module")
def imported(market, tmp_path_factory):
    store = tmp_path_factory.mktemp("imported") / "store"
    return store, run_import(load(market.source), market.data, store)


def test_every_row_is_kept(market, imported):
    store, report = imported
    for name, rows in market.rows.items():
        assert report.tables[name].staged == len(rows) == report.tables[name].kept == existing(store).rows(name), name
    assert report.rejected == 0
    assert report.days_added == len({row["day"] for row in contents(store, "order_lines")})


def test_money_and_moments_are_exact(market, imported):
    store, _ = imported
    kept = {(row["order_id"], row["line"]): row for row in contents(store, "order_lines")}
    for row in market.rows["order_lines"]:
        stored = kept[row["order_id"], row["line"]]
        assert stored["unit_price"] == Decimal(row["unit_price"])
        local = row["ordered_at"]
        local = local if isinstance(local, datetime) else datetime.strptime(local, "%d.%m.%Y %H:%M")
        summer = local >= datetime(2024, 3, 31, 3)
        assert stored["ordered_at"] == local - timedelta(hours=2 if summer else 1)
        assert stored["known_at"] == stored["ordered_at"]
        assert stored["day"] == local.date()
        assert stored["hour"] == local.replace(minute=0)
        assert stored["customer_id"] == (row["customer_id"] or None)


def test_files_are_typed_sorted_and_monthly(imported):
    store, _ = imported
    for name, files in existing(store).tables.items():
        if name not in TABLES:
            continue
        schema = ibis.schema({c.name: IBIS_TYPES[c.kind] for c in TABLES[name].stored}).to_pyarrow()
        for file in files:
            part = pq.read_table(store / file.path)
            assert part.schema.remove_metadata().equals(schema), name
            if TABLES[name].replaced_by_day:
                days = part["day"].to_pylist()
                assert days == sorted(days)
                assert {day.replace(day=1) for day in days} == {date.fromisoformat(file.first_day).replace(day=1)}


def test_the_same_files_again_change_nothing(market, imported):
    store, first = imported
    again = run_import(load(market.source), market.data, store)
    assert again.unchanged
    assert again.snapshot == first.snapshot
    assert again.tables == first.tables
    assert again.files == first.files


def test_a_forced_import_of_the_same_files_gives_the_same_rows(market, imported, tmp_path):
    store = tmp_path / "store"
    shutil.copytree(imported[0], store)
    report = run_import(load(market.source), market.data, store, force=True)
    assert not report.unchanged
    assert report.days_added == 0
    for name in market.rows:
        assert contents(store, name) == contents(imported[0], name), name


def test_later_days_are_added_and_untouched_months_reused(market, imported, tmp_path):
    store = tmp_path / "store"
    early = write_market(tmp_path / "early", until=70)
    late = write_market(tmp_path / "late", since=70)
    first = run_import(load(early.source), early.data, store)
    march = {f.path for f in existing(store).tables["order_lines"] if f.first_day < "2024-04-01"}
    second = run_import(load(late.source), late.data, store)
    assert second.snapshot > first.snapshot
    assert second.days_replaced == 0
    assert march <= {f.path for f in existing(store).tables["order_lines"]}
    for name in (
        "order_lines",
        "order_discounts",
        "order_status",
        "traffic",
        "ads",
        "inventory",
        "live_sessions",
        "products",
    ):
        assert contents(store, name) == contents(imported[0], name), name


def test_days_are_added_to_a_store_written_before_a_table_got_a_column(imported, tmp_path):
    """Files with and without the column are not read together: those of the base are written anew."""
    store = tmp_path / "store"
    early, late = write_market(tmp_path / "early", until=70), write_market(tmp_path / "late", since=70)
    run_import(load(early.source), early.data, store)
    lacking = {"order_lines": "ad_id", "coupon_grants": "claimed"}  # which this source does not fill
    for name, column in lacking.items():
        for file in existing(store).tables[name]:
            pq.write_table(pq.read_table(store / file.path).drop_columns([column]), store / file.path)
    run_import(load(late.source), late.data, store)
    for name in lacking:
        assert contents(store, name) == contents(imported[0], name), name
        for file in existing(store).tables[name]:
            assert pq.read_schema(store / file.path).names == [c.name for c in TABLES[name].stored]


def test_replaced_days_replace_lines_with_their_parts(market, imported, tmp_path):
    store = tmp_path / "store"
    shutil.copytree(imported[0], store)
    day = write_market(tmp_path / "day", since=40, until=42)
    gone = {row["order_id"] for row in day.rows["order_lines"]}
    last = day.rows["order_lines"][-1]["order_id"]
    for name in ("order_lines", "order_discounts", "order_status"):  # one order of these days was cancelled altogether
        path = day.data / f"{name}.csv"
        path.write_text("".join(x for x in path.open(encoding="utf-8") if not x.startswith(last)), encoding="utf-8")
    report = run_import(load(day.source), day.data, store)
    assert report.days_replaced == 2
    assert report.tables["order_lines"].replaced == len(day.rows["order_lines"])
    for name in ("order_lines", "order_discounts", "order_status"):
        before = [row for row in contents(imported[0], name) if row["order_id"] != last]
        assert contents(store, name) == before, name
    assert last in gone


@pytest.mark.parametrize("there", [True, False])
def test_parts_go_with_their_line_where_the_files_say_that_there_are_none(there, market, imported, tmp_path):
    """A file of discounts without rows says that there are none; no file of discounts says nothing."""
    store = tmp_path / "store"
    shutil.copytree(imported[0], store)
    day = write_market(tmp_path / "day", since=40, until=42)
    lines = {(row["order_id"], row["line"]) for row in day.rows["order_lines"]}
    path = day.data / "order_discounts.csv"
    if there:
        path.write_text(path.read_text(encoding="utf-8").splitlines()[0] + "\n", encoding="utf-8")
    else:
        path.unlink()
    before = contents(imported[0], "order_discounts")
    of_these = [row for row in before if (row["order_id"], row["line"]) in lines]
    report = run_import(load(day.source), day.data, store)
    assert of_these
    kept = [row for row in before if row not in of_these] if there else before
    assert contents(store, "order_discounts") == kept
    assert report.tables["order_discounts"].replaced == (len(of_these) if there else 0)


def test_base_rows_that_lose_their_parent_are_dropped_and_written_down(market, imported, tmp_path):
    store = tmp_path / "store"
    shutil.copytree(imported[0], store)
    day = write_market(tmp_path / "day", since=40, until=42)
    last = day.rows["order_lines"][-1]["order_id"]
    for path in day.data.glob("*.csv"):
        if path.stem != "order_lines":
            path.unlink()
    path = day.data / "order_lines.csv"
    path.write_text("".join(x for x in path.open(encoding="utf-8") if not x.startswith(last)), encoding="utf-8")
    report = run_import(load(day.source), day.data, store)
    steps = [row for row in contents(imported[0], "order_status") if row["order_id"] == last]
    assert report.tables["order_status"].dropped == len(steps) > 0
    dropped = [row for row in contents(store, "rejected") if row["table"] == "order_status"]
    assert len(dropped) == len(steps)
    assert {row["reason"] for row in dropped} == {"named a row that a later import took away"}
    assert not [row for row in contents(store, "order_status") if row["order_id"] == last]


def test_another_source_currency_or_timezone_needs_another_folder(own_source, tmp_path):
    data = _orders(tmp_path, "1,1,2024-06-01 10:00,c,s,p,1,5\n")
    run_import(load(own_source()), data, tmp_path / "store")
    with pytest.raises(BadInputError, match="another currency"):
        run_import(load(own_source(currency="USD")), data, tmp_path / "store")
    with pytest.raises(BadInputError, match="another source"):
        run_import(load(own_source(name="other")), data, tmp_path / "store")
    folder = own_source()
    path = folder / "source.toml"
    path.write_text(path.read_text().replace("Europe/Berlin", "UTC"))
    with pytest.raises(BadInputError, match="another timezone"):
        run_import(load(folder), data, tmp_path / "store")


def test_a_busy_store_says_so(own_source, tmp_path):
    data = _orders(tmp_path, "1,1,2024-06-01 10:00,c,s,p,1,5\n")
    with Draft(tmp_path / "store"), pytest.raises(BusyError):
        run_import(load(own_source()), data, tmp_path / "store")


def test_nothing_is_changed_where_no_order_line_can_be_kept(own_source, tmp_path):
    store = tmp_path / "store"
    run_import(load(own_source()), _orders(tmp_path, "1,1,2024-06-01 10:00,c,s,p,1,5\n"), store)
    before = existing(store)
    other = tmp_path / "other"
    with pytest.raises(BadInputError, match="quantity is too low"):
        run_import(load(own_source()), _orders(tmp_path, "1,1,2024-06-01 10:00,c,s,p,0,5\n"), other)
    assert existing(store) == before
    assert not list((other / "data").glob("*/*"))


def test_progress_is_told(own_source, tmp_path):
    steps: list[tuple[str, int, int]] = []
    data = _orders(tmp_path, "1,1,2024-06-01 10:00,c,s,p,1,5\n")
    run_import(load(own_source()), data, tmp_path / "store", lambda *step: steps.append(step))
    assert [done for _, done, _ in steps] == list(range(len(steps)))
    assert {total for _, _, total in steps} == {len(steps)}
    assert steps[0][0] == "reading orders.csv"


def test_sql_of_a_source_that_cannot_run_is_named(own_source, tmp_path):
    folder = own_source()
    data = _orders(tmp_path, "1,1,2024-06-01 10:00,c,s,p,x,5\n")
    for sql, message in (
        ("SELECT nonsense FROM orders", "cannot run"),
        ("SELECT * REPLACE (CAST(quantity AS INTEGER) AS quantity) FROM orders", "TRY_CAST"),
        ("SELECT * EXCLUDE (_file) FROM orders", "where its rows come from"),
        ("SELECT *, 1 AS colour FROM orders", "not declared"),
        ("SELECT * EXCLUDE (quantity) FROM orders", "lacks columns"),
    ):
        (folder / "order_lines.sql").write_text(sql)
        told: list[str] = []
        with pytest.raises(BadInputError, match=message):
            run_import(load(folder), data, tmp_path / "store", lambda step, *_, told=told: told.append(step))
        assert bool(told) == (message == "TRY_CAST")  # only what hangs on the values waits until the files are read


def test_an_error_of_sql_is_said_in_one_line(own_source, tmp_path):
    folder, data = own_source(), _orders(tmp_path, "1,1,2024-06-01 10:00,c,s,p,x,5\n")
    for sql, got in (
        ("SELEC *\nFROM orders", 'Parser Error: syntax error at or near "SELEC" In line 1: SELEC *'),
        (
            "SELECT *, sum(quantity) OVER () AS n FROM orders",
            "Binder Error: No function matches the given name and argument types 'sum(VARCHAR)'."
            " You might need to add explicit type casts. In line 1: SELECT *, sum(quantity) OVER () AS n FROM orders",
        ),
        ("SELECT *,\n  nonsense FROM orders", "In line 2: nonsense FROM orders"),
    ):
        (folder / "order_lines.sql").write_text(sql)
        with pytest.raises(BadInputError, match="cannot run") as raised:
            run_import(load(folder), data, tmp_path / "store")
        assert str(raised.value.got).endswith(got)
        assert ("TRY_CAST" in str(raised.value.do)) == ("sum" in sql)


def test_columns_may_hang_on_the_rows(own_source, tmp_path):
    """As of a table that lies on its side: what a pivot gives is known once it is read, and not before."""
    folder = own_source()
    (folder / "order_lines.sql").write_text(
        "SELECT * EXCLUDE (q, u), q AS quantity, u AS unit_price FROM"
        " (PIVOT (SELECT * EXCLUDE (quantity, unit_price), unnest([{'k': 'q', 'v': quantity},"
        " {'k': 'u', 'v': unit_price}], recursive := true) FROM orders) ON k USING first(v))"
    )
    report = run_import(load(folder), _orders(tmp_path, "1,1,2024-06-01 10:00,c,s,p,2,5\n"), tmp_path / "store")
    assert report.tables["order_lines"].kept == 1


def test_rows_that_no_table_takes_are_rejected_and_skipped_ones_are_counted(own_source, tmp_path):
    folder = own_source()
    sql = folder / "order_lines.sql"
    sql.write_text(sql.read_text() + " WHERE order_id NOT IN ('2', '3')")
    (folder / "skipped.sql").write_text("SELECT _file, _row, 'a test order' AS reason FROM orders WHERE order_id = '3'")
    rows = "".join(f"{n},1,2024-06-01 10:00,c,s,p,1,5\n" for n in (1, 2, 3))
    report = run_import(load(folder), _orders(tmp_path, rows), tmp_path / "store")
    assert report.files[0].untaken == 1
    assert report.files[0].skipped == {"a test order": 1}
    (row,) = contents(tmp_path / "store", "rejected")
    assert (row["file"], row["row"], row["reason"]) == ("orders.csv", 3, "is taken by no table of this source")
    assert '"order_id":"2"' in row["record"]


class Counting:
    """A staging database that counts the statements that it is given."""

    def __init__(self, con):
        self._con = con
        self.statements = 0

    def execute(self, *given):
        self.statements += 1
        return self._con.execute(*given)

    def __getattr__(self, name):
        return getattr(self._con, name)


def _statements(monkeypatch, folder, data, store):
    """Import, and return how many statements that took beside the report."""
    made = []

    def counting(scratch):
        made.append(Counting(staging(scratch)))
        return made[-1]

    monkeypatch.setattr(importing, "staging", counting)
    return run_import(load(folder), data, store), made[-1].statements


def test_more_files_and_more_rows_that_cannot_be_read_ask_no_more_of_the_database(own_source, tmp_path, monkeypatch):
    folder = own_source()
    source = folder / "source.toml"
    source.write_text(source.read_text().replace("orders.csv", "orders*.csv"))
    (folder / "skipped.sql").write_text("SELECT _file, _row, 'a test order' AS reason FROM orders WHERE order_id = 't'")
    sql = folder / "order_lines.sql"
    sql.write_text(sql.read_text() + " WHERE order_id NOT IN ('t', 'u')")
    took = {}
    for files in (1, 20):
        data = tmp_path / str(files)
        data.mkdir()
        for n in range(files):
            rows = f"{n},1,2024-06-01 10:00,c,s,p,1,5\n{n},2\nt,1,2024-06-01 10:00,c,s,p,1,5\n" + f"{n},3\n" * n
            (data / f"orders{n:02d}.csv").write_text(HEADER + rows, encoding="utf-8")
        report, took[files] = _statements(monkeypatch, folder, data, tmp_path / f"store{files}")
        assert [file.unreadable for file in report.files] == [1 + n for n in range(files)]
        assert [dict(file.skipped) for file in report.files] == [{"a test order": 1}] * files
        assert not any(file.untaken for file in report.files)
        there = sorted((row["file"], row["row"]) for row in contents(tmp_path / f"store{files}", "rejected"))
        assert there == [(f"orders{n:02d}.csv", at) for n in range(files) for at in (3, *range(5, 5 + n))]
    assert took[20] == took[1]


def test_a_rejected_row_names_file_row_value_and_what_is_allowed(own_source, tmp_path):
    rows = "1,1,2024-06-01 10:00,c,s,p,1,5\n2,1,2024-06-01 10:00,c,s,p,many,-3\n"
    run_import(load(own_source()), _orders(tmp_path, rows), tmp_path / "store")
    (row,) = contents(tmp_path / "store", "rejected")
    assert (row["table"], row["column"], row["value"]) == ("order_lines", "quantity", "many")
    assert (row["file"], row["row"], row["further"]) == ("orders.csv", 3, 2)
    assert row["reason"] == "cannot be read"
    assert row["allowed"] == "a whole number such as 3, at least 1, at most 1,000,000,000; never empty"


def test_a_mended_file_clears_its_rejected_rows(own_source, tmp_path):
    store = tmp_path / "store"
    good = "1,1,2024-06-01 10:00,c,s,p,1,5\n"
    run_import(load(own_source()), _orders(tmp_path, good + "2,1,2024-06-01 10:00,c,s,p,x,5\n"), store)
    assert len(contents(store, "rejected")) == 1
    run_import(load(own_source()), _orders(tmp_path, good + "2,1,2024-06-01 10:00,c,s,p,1,5\n"), store)
    assert contents(store, "rejected") == []
    assert len(contents(store, "order_lines")) == 2


def test_parquet_values_that_are_not_castable_are_rejected(own_source, tmp_path):
    rows = {
        "order_id": [1, 2, 3],
        "line": [1, 1, 1],
        "ordered_at": [datetime(2024, 6, 1, 10)] * 3,
        "customer_id": ["a"] * 3,
        "shop_id": ["s"] * 3,
        "product_id": ["p"] * 3,
        "quantity": [1.0, 1.5, float("nan")],
        "unit_price": [2.5] * 3,
    }
    data = tmp_path / "data"
    data.mkdir()
    pq.write_table(pa.table(rows), data / "orders.parquet")
    report = run_import(load(own_source()), data, tmp_path / "store")
    assert (report.tables["order_lines"].kept, report.tables["order_lines"].rejected) == (1, 2)
    assert [row["row"] for row in contents(tmp_path / "store", "rejected")] == [2, 3]


def test_first_day_is_a_day_of_the_market(market):
    assert date(2024, 3, 1) == FIRST
    assert len(market.rows["shops"]) == 12


def _orders(folder: Path, rows: str) -> Path:
    data = folder / "data"
    data.mkdir(exist_ok=True)
    (data / "orders.csv").write_text(HEADER + rows, encoding="utf-8")
    return data


RETAIL = ("Invoice", "StockCode", "Description", "Quantity", "InvoiceDate", "Price", "Customer ID", "Country")


def test_two_files_of_invoices_that_overlap(tmp_path):
    """Rows of two files have the same numbers, and the two sheets of Online Retail II share some days."""

    def row(invoice: str, code: str, pieces: int, day: str, price: str, customer: str) -> tuple[str, ...]:
        return (invoice, code, code, str(pieces), f"{day} 10:00:00", price, customer, "United Kingdom")

    shared = row("102", "B1", 3, "2010-12-05", "4", "222")
    sheets = {
        "online_retail_1.parquet": [
            row("100", "A1", 5, "2010-01-05", "2", "111"),
            row("C101", "A1", -5, "2010-01-06", "2", "111"),
            shared,
        ],
        "online_retail_2.parquet": [
            shared,
            row("C201", "B1", -3, "2010-12-10", "4", "222"),
            row("203", "A1", 1, "2011-01-01", "2", "111"),
        ],
    }
    data = tmp_path / "data"
    data.mkdir()
    for name, rows in sheets.items():
        pq.write_table(pa.table(dict(zip(RETAIL, map(list, zip(*rows, strict=True)), strict=True))), data / name)
    report = run_import(load("online_retail"), data, tmp_path / "store")
    lines = {(x["order_id"], x["line"], x["quantity"]) for x in contents(tmp_path / "store", "order_lines")}
    assert lines == {("100", 1, 5), ("102", 1, 3), ("203", 1, 1)}
    refunds = {(x["product_id"], x["order_id"], x["line"]) for x in contents(tmp_path / "store", "refunds")}
    assert refunds == {("A1", "100", 1), ("B1", "102", 1)}
    assert [dict(file.skipped) for file in report.files] == [{}, {"its invoice stands in an earlier file too": 1}]
    assert report.rejected == 0


def test_names_of_files_are_no_patterns(own_source, tmp_path):
    """Nor is an apostrophe the end of a name, of a file or of a store."""
    data, store = tmp_path / "o'brien [1]", tmp_path / "o'brien [1] store"
    data.mkdir()
    columns = HEADER.strip().split(",")
    for name, order in (("orders[1]", "a"), ("orders1", "b"), ("orders*", "c"), ("orders?", "d"), ("orders'", "e")):
        row = (order, "1", "2024-06-01", "c", "s", "p", "1", "5")
        pq.write_table(
            pa.table({column: [value] for column, value in zip(columns, row, strict=True)}), data / f"{name}.parquet"
        )
    for _ in range(2):
        report = run_import(load(own_source()), data, store, force=True)
        assert (report.tables["order_lines"].kept, report.rejected) == (5, 0)
    assert [row["order_id"] for row in contents(store, "order_lines")] == list("abcde")
    opened = open_store(str(store))
    lines = opened.table("order_lines")
    assert opened.run(lines.aggregate(n=lines.count())).to_pylist() == [{"n": 5}]


@pytest.mark.parametrize("room", [40_000, 400_000, 2_000_000])
def test_a_full_disk_is_called_one(own_source, tmp_path, room):
    data, store = tmp_path / "data", tmp_path / "store"
    data.mkdir()
    draw = random.Random(1)
    rows = "".join(f"{draw.random()},1,2024-06-01,{draw.random()},s,{draw.random()},1,5\n" for _ in range(30_000))
    (data / "orders.csv").write_text(HEADER + rows)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
    try:
        with pytest.raises(FullDiskError) as caught:
            run_import(load(own_source()), data, store)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.do == "make room"
    assert not (store / "CURRENT").exists()
    assert run_import(load(own_source()), data, store).tables["order_lines"].kept == 30_000
