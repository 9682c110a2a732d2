"""Dirty files: each row is kept or rejected with its reason, or the whole file is refused with a clear error."""

import csv
import gzip
import io
import shutil
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from own_market import ORDER_COLUMNS, contents

from tradewind.errors import BadInputError, TradewindError
from tradewind.sources import load, run_import

GOOD = ["o1", "1", "2024-06-01 10:00", "c", "s", "p1", "1", "5.00"]
DIRT = [
    "",
    " ",
    "x",
    "-1",
    "0",
    "1.5",
    "NaN",
    "inf",
    "-inf",
    "1e3",
    "9" * 30,
    "é",
    "ß\n2",
    'a "quote"',
    "2024-13-45",
    "null",
]
MOMENTS = [
    "2024-06-01 10:00",
    "2024-06-01T10:00:00+02:00",
    "01.06.2024 10:00",
    "13/06/2024",
    "06/13/2024",
    "06/07/2024",
    "31.02.2024 10:00",
    "0001-01-01",
    "infinity",
    "1/2/24",
    "soon",
]

cells = st.one_of(
    st.sampled_from(DIRT), st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
)
orders = st.tuples(
    st.sampled_from(["o1", "o2", "o3", "ö4"]) | cells,
    st.sampled_from(["1", "2"]) | cells,
    st.sampled_from(MOMENTS) | cells,
    st.sampled_from(["c", ""]) | cells,
    st.just("s") | cells,
    st.sampled_from(["p1", "p2", "orphan"]) | cells,
    st.sampled_from(["1", "2"]) | cells,
    st.sampled_from(["5", "-5", "0.001", "1,50"]) | cells,
).map(list)
ragged = st.lists(cells, max_size=12)
encodings = st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252", "latin-1", "mixed"])


def _text(rows: list[list[str]], delimiter: str) -> str:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter).writerows(rows)
    return out.getvalue()


def _bytes(text: str, encoding: str) -> bytes:
    if encoding == "mixed":
        lines = text.splitlines(keepends=True)
        return b"".join(x.encode(("utf-8", "cp1252")[n % 2], errors="replace") for n, x in enumerate(lines))
    return text.encode(encoding, errors="replace")


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    rows=st.lists(st.one_of(orders, orders, ragged), max_size=12),
    delimiter=st.sampled_from([",", ";", "\t", "|"]),
    encoding=encodings,
    goods=st.lists(st.sampled_from(["p1", "p1", "p2", "", "ü"]), max_size=4),
    end=st.sampled_from(["", "\n", ",,,\n", '"', "o9,1"]),
)
def test_no_row_is_lost(own_source, tmp_path, rows, delimiter, encoding, goods, end):
    data, store = tmp_path / "data", tmp_path / "store"
    for folder in (data, store):
        shutil.rmtree(folder, ignore_errors=True)
    data.mkdir()
    (data / "orders.csv").write_bytes(_bytes(_text([list(ORDER_COLUMNS), GOOD, *rows], delimiter) + end, encoding))
    (data / "goods.csv").write_text(_text([["product_id", "title"], *([p, "t"] for p in ["p1", *goods])], ","), "utf-8")
    try:
        report = run_import(load(own_source()), data, store)
    except TradewindError:
        assert not (store / "CURRENT").exists()
        return
    for name, count in report.tables.items():
        assert count.staged == count.kept + count.rejected, name
        assert len(contents(store, name)) == count.kept
    rejected = contents(store, "rejected")
    assert len(rejected) == report.rejected
    assert all(row["reason"] and row["file"] and row["row"] >= 2 for row in rejected)
    for file, table in zip(report.files, ("order_lines", "products"), strict=True):
        staged = report.tables[table].staged
        assert file.rows == staged + file.unreadable + file.skipped.get("an empty row", 0)
    for row in contents(store, "order_lines"):
        assert row["quantity"] >= 1
        assert row["unit_price"] >= 0
        assert row["product_id"] in {product["product_id"] for product in contents(store, "products")}
        assert 1900 <= row["ordered_at"].year < 10_000


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("2024-06-01 10:00", "2024-06-01 08:00:00"),
        ("2024-06-01T10:00:00Z", "2024-06-01 10:00:00"),
        ("2024-06-01T10:00:00-05:00", "2024-06-01 15:00:00"),
        ("2024-06-01 10:00:00.5+0530", "2024-06-01 04:30:00.500000"),
        ("2024-06-01 10:00:00-00:30:30", "2024-06-01 10:30:30"),
        ("2024-06-01 10:00:00 UTC", "2024-06-01 10:00:00"),
        ("2024-06-01 10:00:00 utc", "2024-06-01 10:00:00"),
        ("2024-06-01 10:00:00 GMT", "2024-06-01 10:00:00"),
        ("2024-06-01 10:00:00 EST", None),
        ("2024-06-01 10:00:00 Etc/UTC", None),
        ("9999-12-31 23:59", None),
        ("infinity", None),
        ("-infinity", None),
        ("01.06.2024 10:00", "2024-06-01 08:00:00"),
        ("13/06/2024", "2024-06-12 22:00:00"),
        ("06/13/2024", "2024-06-12 22:00:00"),
        ("06/06/2024", "2024-06-05 22:00:00"),
        ("06/07/2024", None),
        ("31.02.2024 10:00", None),
        ("1/2/24", None),
    ],
)
def test_dates_of_several_formats(own_source, tmp_path, moment, expected):
    store = tmp_path / "store"
    bad = GOOD.copy()
    bad[0], bad[2] = "o2", moment
    run_import(load(own_source()), _orders(tmp_path, _text([list(ORDER_COLUMNS), GOOD, bad], ",").encode()), store)
    found = [str(row["ordered_at"]) for row in contents(store, "order_lines") if row["order_id"] == "o2"]
    assert found == ([expected] if expected else [])
    if expected is None:
        (row,) = contents(store, "rejected")
        assert row["value"].removesuffix(":00") == moment.removesuffix(":00")
        assert "%d/%m/%Y" in row["allowed"]


@pytest.mark.parametrize(
    ("amounts", "currency", "written", "expected"),
    [
        ("1,234.56", "EUR", "1,234.50", "1234.5"),
        ("1,234.56", "EUR", "1,234,567.5", "1234567.5"),
        ("1,234.56", "EUR", "€ 5.00", "5"),
        ("1,234.56", "SGD", "S$1,234.50", "1234.5"),
        ("1,234.56", "EUR", "12,50", None),
        ("1.234,56", "EUR", "1.234,50", "1234.5"),
        ("1.234,56", "EUR", "12,50 EUR", "12.5"),
        ("1.234,56", "EUR", "5.00", None),
        ("1.234,56", "EUR", "USD 5,00", None),
        ("1 234,56", "EUR", "1\u202f234,50", "1234.5"),
        ("1234,56", "EUR", "1234,5", "1234.5"),
        ("1.234", "VND", "150.000 ₫", "150000"),
        ("1.234", "VND", "12.5", None),
        ("", "EUR", "1,234.50", None),
        ("", "VND", "150.000", None),
        ("", "VND", "150000.0000", "150000"),
        ("", "EUR", "150.000", "150"),
    ],
)
def test_amounts_are_read_as_the_source_writes_them(own_source, tmp_path, amounts, currency, written, expected):
    """An amount that is not written so is rejected by name, and none is taken for a thousandth of what it is."""
    folder, store = own_source(currency=currency), tmp_path / "store"
    told = folder / "source.toml"
    told.write_text(f'amounts = "{amounts}"\n' * bool(amounts) + told.read_text(encoding="utf-8"), encoding="utf-8")
    (folder / "order_lines.sql").write_text(
        "SELECT * REPLACE (utc(moment(ordered_at)) AS ordered_at, money(unit_price) AS unit_price),"
        " number(unit_price) AS tax FROM orders"
    )
    odd = ["o2", *GOOD[1:-1], written]
    fine = [*GOOD[:-1], "7"]
    run_import(load(folder), _orders(tmp_path, _text([list(ORDER_COLUMNS), fine, odd], ";").encode()), store)
    found = [row for row in contents(store, "order_lines") if row["order_id"] == "o2"]
    if expected is None:
        assert found == []
        (row,) = contents(store, "rejected")
        assert (row["column"], row["reason"]) == ("unit_price", "cannot be read")
        assert row["value"].startswith(written)
        assert ("take money() off" in row["value"]) == bool(amounts)
    else:
        assert [row["unit_price"] for row in found] == [Decimal(expected)]
        assert [row["tax"] for row in found] == [Decimal(expected)]


def test_amounts_are_shown_by_one_that_can_be_read(own_source):
    folder = own_source()
    told = folder / "source.toml"
    declared = told.read_text(encoding="utf-8")
    for sample in ("1,234,56", "12.50", "yes"):
        told.write_text(f'amounts = "{sample}"\n' + declared, encoding="utf-8")
        with pytest.raises(BadInputError, match="does not show how amounts are written"):
            load(folder)


@pytest.mark.parametrize("simulated", [False, True])
def test_what_happened_after_the_import_did_not(own_source, tmp_path, simulated):
    """A year mistyped is a rejected row; a simulated market may lie in the future."""
    folder = own_source()
    path = folder / "source.toml"
    path.write_text(path.read_text().replace('name = "own"', f'name = "own"\nsimulated = {str(simulated).lower()}'))
    soon = (datetime.now(UTC) + timedelta(days=1)).strftime("%Y-%m-%d %H:%M")
    moments = [GOOD[2], soon, "2124-06-01 10:00", "9998-12-31 10:00", "9999-12-31 23:59"]
    rows = [[f"o{n}", "1", at, *GOOD[3:]] for n, at in enumerate(moments)]
    store = tmp_path / "store"
    run_import(load(folder), _orders(tmp_path, _text([list(ORDER_COLUMNS), *rows], ",").encode()), store)
    late = {row["value"][:4]: row["reason"] for row in contents(store, "rejected")}
    kept = {row["ordered_at"].year for row in contents(store, "order_lines")}
    beyond = "lies before 1900-01-01 or has no end"
    if simulated:
        assert {2124, 9998} < kept
        assert late == {"9999": beyond}
    else:
        assert len(contents(store, "order_lines")) == 2
        assert late == {"2124": "lies after the import", "9998": "lies after the import", "9999": beyond}


@pytest.mark.parametrize("zone", ["EST", "Asia/Tokyo", "America/New_York", "GMT"])
def test_a_zone_named_in_one_row_moves_no_other(own_source, tmp_path, zone):
    rows = [[f"o{n}", *GOOD[1:]] for n in range(40)]
    rows[10][2] = f"2024-06-01 10:00:00 {zone}"
    run_import(load(own_source()), _orders(tmp_path, _text([list(ORDER_COLUMNS), *rows], ",").encode()), tmp_path / "s")
    kept = contents(tmp_path / "s", "order_lines")
    assert {str(row["ordered_at"]) for row in kept if row["order_id"] != "o10"} == {"2024-06-01 08:00:00"}
    assert len(kept) == 40 - (zone != "GMT")
    for row in contents(tmp_path / "s", "rejected"):
        assert (row["row"], row["value"], row["reason"]) == (12, f"2024-06-01 10:00:00 {zone}", "cannot be read")
        assert "no other zone by name" in row["allowed"]


def test_local_time_of_a_zone_named_in_one_row(own_source, tmp_path):
    folder = own_source()
    (folder / "traffic.sql").write_text(
        "SELECT local_time(ordered_at) AS hour, order_id AS shop_id, 'feed' AS surface, 'card' AS form,"
        " 'own' AS relation, 1 AS impressions, _file, _row FROM orders"
    )
    ends = ["", " Asia/Tokyo", "", "Z", " UTC", "+02:00"]
    rows = [[f"o{n}", *GOOD[1:2], "2024-06-01 10:00:00" + end, *GOOD[3:]] for n, end in enumerate(ends)]
    run_import(load(folder), _orders(tmp_path, _text([list(ORDER_COLUMNS), *rows], ",").encode()), tmp_path / "store")
    hours = {row["shop_id"]: str(row["hour"])[11:] for row in contents(tmp_path / "store", "traffic")}
    assert hours == {"o0": "12:00:00", "o2": "12:00:00", "o3": "12:00:00", "o4": "12:00:00", "o5": "10:00:00"}


@pytest.mark.parametrize("end", ["Z", " UTC", "+02:00", "-0330", "+05", ":00Z", ":00.5Z"])
def test_moments_to_the_minute_may_carry_their_offset(own_source, tmp_path, end):
    rows = [["o1", "1", f"2024-06-01{between}10:00{end}", *GOOD[3:]] for between in "T "]
    rows[1][0] = "o2"
    run_import(load(own_source()), _orders(tmp_path, _text([list(ORDER_COLUMNS), *rows], ",").encode()), tmp_path / "s")
    expected = {"+02:00": "08:00", "-0330": "13:30", "+05": "05:00"}.get(end, "10:00")
    at = [str(row["ordered_at"]) for row in contents(tmp_path / "s", "order_lines")]
    assert [moment[:16] for moment in at] == [f"2024-06-01 {expected}"] * 2


def test_formats_with_and_without_an_offset_stand_side_by_side(own_source, tmp_path):
    folder = own_source()
    path = folder / "source.toml"
    path.write_text(path.read_text().replace('["%d.%m.%Y %H:%M"', '["%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M %z"'))
    rows = [[f"o{n}", "1", at, *GOOD[3:]] for n, at in enumerate(["01.06.2024 10:00", "01.06.2024 10:00 +0500"])]
    run_import(load(folder), _orders(tmp_path, _text([list(ORDER_COLUMNS), *rows], ",").encode()), tmp_path / "store")
    at = [str(row["ordered_at"]) for row in contents(tmp_path / "store", "order_lines")]
    assert sorted(at) == ["2024-06-01 05:00:00", "2024-06-01 08:00:00"]


@pytest.mark.parametrize("form", ["%K", "%d.%m.%"])
def test_a_format_that_is_none_is_named(own_source, tmp_path, form):
    folder = own_source()
    path = folder / "source.toml"
    path.write_text(path.read_text().replace("%d.%m.%Y %H:%M", form))
    data = _orders(tmp_path, _text([list(ORDER_COLUMNS), GOOD], ",").encode())
    with pytest.raises(BadInputError, match="A format of moments cannot be read") as caught:
        run_import(load(folder), data, tmp_path / "store")
    assert caught.value.got == form


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "file is empty"),
        (b"\n\n", "no header"),
        (b"order_id,line\n1,2\n", "lacks columns"),
        ((",".join(ORDER_COLUMNS) + "\n").encode(), "No order line"),
        ((",".join(ORDER_COLUMNS) + "\no1\0,1\n").encode(), "NUL"),
        ((",".join(ORDER_COLUMNS) + "\n").encode("utf-16-le"), "NUL"),
        ((",".join((*ORDER_COLUMNS, "line")) + "\n").encode(), "stands twice"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(own_source, tmp_path, content, message):
    with pytest.raises(BadInputError, match=message) as caught:
        run_import(load(own_source()), _orders(tmp_path, content), tmp_path / "store")
    assert caught.value.do


def test_a_missing_file_is_named(own_source, tmp_path):
    (tmp_path / "data").mkdir()
    with pytest.raises(BadInputError, match="missing") as caught:
        run_import(load(own_source()), tmp_path / "data", tmp_path / "store")
    assert caught.value.allowed == "orders*"


def test_a_parquet_file_that_is_none_is_refused(own_source, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    (data / "orders.parquet").write_bytes(b"no parquet")
    with pytest.raises(BadInputError, match="not a Parquet file"):
        run_import(load(own_source()), data, tmp_path / "store")


def test_a_parquet_file_that_is_damaged_inside_is_named(own_source, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    columns = {
        column: [value * 40 if column == "order_id" else value]
        for column, value in zip(ORDER_COLUMNS, GOOD, strict=True)
    }
    pq.write_table(pa.table(columns), data / "orders.parquet")
    whole = bytearray((data / "orders.parquet").read_bytes())
    whole[20:120] = bytes(byte ^ 0xFF for byte in whole[20:120])
    (data / "orders.parquet").write_bytes(whole)
    with pytest.raises(BadInputError, match="Parquet file is damaged") as caught:
        run_import(load(own_source()), data, tmp_path / "store")
    assert "orders.parquet" in caught.value.got


def test_encodings_and_marks_are_read(own_source, tmp_path):
    for n, encoding in enumerate(("utf-8", "utf-8-sig", "utf-16", "cp1252")):
        store = tmp_path / str(n)
        row = [*GOOD]
        row[3] = "Zoë"
        run_import(
            load(own_source()), _orders(tmp_path, _text([list(ORDER_COLUMNS), row], ";").encode(encoding)), store
        )
        assert contents(store, "order_lines")[0]["customer_id"] == "Zoë"


def test_duplicates_keep_the_first_row_and_orphans_are_rejected(own_source, tmp_path):
    again, orphan = GOOD.copy(), GOOD.copy()
    again[6] = "7"
    orphan[0], orphan[5] = "o2", "p9"
    data = _orders(tmp_path, _text([list(ORDER_COLUMNS), GOOD, again, orphan], ",").encode())
    (data / "goods.csv").write_text("product_id,title\np1,tea\n")
    run_import(load(own_source()), data, tmp_path / "store")
    (kept,) = contents(tmp_path / "store", "order_lines")
    assert kept["quantity"] == 1
    reasons = {
        (row["row"], row["column"], row["value"], row["reason"]) for row in contents(tmp_path / "store", "rejected")
    }
    assert reasons == {
        (3, "order_id, line", "o1, 1", "is a second row of the same key"),
        (4, "product_id", "p9", "names a row that is not there"),
    }


def test_more_pieces_than_a_line_can_hold_are_rejected(own_source, tmp_path):
    most, more = GOOD.copy(), GOOD.copy()
    most[0], most[6], more[6] = "o2", "1000000000", "4006381333931"
    data = _orders(tmp_path, _text([list(ORDER_COLUMNS), most, more], ",").encode())
    run_import(load(own_source()), data, tmp_path / "store")
    (row,) = contents(tmp_path / "store", "rejected")
    assert (row["column"], row["reason"]) == ("quantity", "is too high")
    assert "at most 1,000,000,000" in row["allowed"]


def test_the_first_row_of_each_kind_that_was_rejected_is_shown(own_source, tmp_path):
    rows = [GOOD.copy() for _ in range(4)]
    for n, pieces in enumerate(("1", "5000000000", "4000000000", "6000000000")):
        rows[n][0], rows[n][6] = f"o{n}", pieces
    data = _orders(tmp_path, _text([list(ORDER_COLUMNS), *rows], ",").encode())
    [reason] = run_import(load(own_source()), data, tmp_path / "store").reasons
    assert (reason.rows, reason.row, reason.value) == (3, 3, "5000000000")
    assert "at most 1,000,000,000" in (reason.allowed or "")


def test_a_quote_that_is_never_closed_is_named(own_source, tmp_path):
    text = _text([list(ORDER_COLUMNS), GOOD], ",") + 'o2,1,2024-06-01,c,s,p,1,"5\no3,1,2024-06-01,c,s,p,1,5\n'
    report = run_import(load(own_source()), _orders(tmp_path, text.encode()), tmp_path / "store")
    assert report.files[0].unreadable == 1
    (row,) = contents(tmp_path / "store", "rejected")
    assert row["reason"] == "a quote is never closed"
    assert "o3,1" in row["record"]


def test_rows_between_two_quotes_are_not_swallowed(own_source, tmp_path):
    """A quote that is never closed ends at the next one, rows later."""
    rows = [
        f"o{n},1,2024-06-01,c,s,{product},1,5" for n, product in enumerate(["p1", '"pX', *["p1"] * 5, '"pZ"', "p1"])
    ]
    text = "\n".join([",".join(ORDER_COLUMNS), *rows, ""])
    report = run_import(load(own_source()), _orders(tmp_path, text.encode()), tmp_path / "store")
    assert {row["order_id"] for row in contents(tmp_path / "store", "order_lines")} == {"o0", "o8"}
    assert report.tables["order_lines"].rejected == 1
    (row,) = contents(tmp_path / "store", "rejected")
    assert (row["column"], row["reason"]) == ("product_id", "holds a line break")
    assert "a quote that is never closed" in row["allowed"]
    assert all(f"o{n},1" in row["record"] for n in range(2, 8))


def test_a_title_may_hold_a_line_break(own_source, tmp_path):
    data = _orders(tmp_path, _text([list(ORDER_COLUMNS), GOOD], ",").encode())
    (data / "goods.csv").write_text('product_id,title\np1,"green\ntea"\n')
    assert run_import(load(own_source()), data, tmp_path / "store").rejected == 0


@pytest.mark.parametrize("harm", ["cut", "changed", "plain"])
def test_a_packed_file_that_is_damaged_is_named(own_source, tmp_path, harm):
    packed = bytearray(
        gzip.compress(_text([list(ORDER_COLUMNS), *([*GOOD[:7], str(n)] for n in range(999))], ",").encode())
    )
    if harm == "changed":
        packed[200:260] = bytes(60)
    data = tmp_path / "data"
    data.mkdir()
    whole = {"cut": packed[: len(packed) // 2], "changed": packed, "plain": b"order_id,line\n"}
    (data / "orders.csv.gz").write_bytes(whole[harm])
    with pytest.raises(BadInputError, match="cut short or damaged") as caught:
        run_import(load(own_source()), data, tmp_path / "store")
    assert caught.value.do == "fetch it or pack it again"


def _orders(folder: Path, content: bytes) -> Path:
    data = folder / "data"
    data.mkdir(exist_ok=True)
    (data / "orders.csv").write_bytes(content)
    return data


def test_row_numbers_are_exact_across_blocks(own_source, tmp_path, monkeypatch):
    monkeypatch.setattr("tradewind.sources.staging.BLOCK", 200)
    rows: list[list[str]] = [list(ORDER_COLUMNS)]
    odd, bad, broken = [], [], []
    for n in range(2, 200):
        row = [f"o{n}", *GOOD[1:]]
        if n % 7 == 0:
            odd.append(n)
            row = row[:3]
        elif n % 11 == 0:
            bad.append(n)
            row[6] = "many"
        elif n % 13 == 0:
            row[3] = "two\nlines"
            broken.append(n)
        rows.append(row)
    store = tmp_path / "store"
    report = run_import(load(own_source()), _orders(tmp_path, _text(rows, ",").encode()), store)
    rejected = {(row["row"], row["column"]) for row in contents(store, "rejected")}
    assert rejected == {(n, None) for n in odd} | {(n, "quantity") for n in bad} | {(n, "customer_id") for n in broken}
    assert report.files[0].rows == 198


@pytest.mark.parametrize("empty", ["", '""'])
def test_an_empty_cell_is_null_to_the_sources_sql(own_source, tmp_path, empty):
    """As whoever writes SQL expects: `coalesce` and `IS NULL` see it."""
    folder = own_source()
    (folder / "order_lines.sql").write_text(
        "SELECT * REPLACE (utc(moment(ordered_at)) AS ordered_at, coalesce(customer_id, 'guest') AS customer_id, "
        "CASE WHEN unit_price IS NULL THEN '9' ELSE unit_price END AS unit_price) FROM orders"
    )
    rows = [",".join(ORDER_COLUMNS), ",".join(GOOD), f"o2,1,2024-06-01 10:00,{empty},s,p1,1,{empty}", ",,,,,,,"]
    report = run_import(load(folder), _orders(tmp_path, "\n".join([*rows, ""]).encode()), tmp_path / "store")
    assert report.rejected == 0
    kept = {row["order_id"]: row for row in contents(tmp_path / "store", "order_lines")}
    assert (kept["o1"]["customer_id"], kept["o1"]["unit_price"]) == ("c", Decimal(5))
    assert (kept["o2"]["customer_id"], kept["o2"]["unit_price"]) == ("guest", Decimal(9))
