"""Time our metric expressions through the Store beside hand-written SQL, polars, pandas and Spark, in one run.

usage: python benchmarks/metrics.py [--rows 50000000] [--store FOLDER] [--contenders ours,sql,…] [--repeats 3]

Makes a store of generated order lines (a year, 200,000 customers, 20,000 products, 500 shops; one line in five has a
seller's discount), then asks each contender the same questions, each in a process of its own: wall seconds from a
started process to the answer, peak memory, and whether the answer is the same to the cent.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

from tradewind.engines.duckdb import staging
from tradewind.engines.snapshot import Draft, existing
from tradewind.engines.store import open_store
from tradewind.measures.metrics import metric
from tradewind.measures.query import Query
from tradewind.period import parse_period
from tradewind.study import Provenance
from tradewind.tables import TABLES

QUESTIONS: dict[str, dict[str, Any]] = {
    "gmv and items by month": {"metrics": ("gmv", "items"), "every": "month"},
    "gmv, orders, buyers by shop": {"metrics": ("gmv", "orders", "buyers"), "by": ("shop_id",)},
    "gmv by category and week": {"metrics": ("gmv",), "by": ("category",), "every": "week"},
    "gmv, orders in June": {"metrics": ("gmv", "orders"), "period": "2025-06"},
}
COLUMNS = {
    "order_id",
    "line",
    "customer_id",
    "shop_id",
    "product_id",
    "quantity",
    "unit_price",
    "day",
    "payer",
    "amount",
}
SQL_TYPES = {
    "text": "VARCHAR", "integer": "BIGINT", "real": "DOUBLE", "money": "DECIMAL(18,4)", "moment": "TIMESTAMP",
    "day": "DATE", "flag": "BOOLEAN", "json": "VARCHAR",
}  # fmt: skip


def generate(folder: Path, rows: int) -> None:
    """Write the store: order lines by month, discounts and products."""
    with Draft(folder) as draft:
        con = staging(draft.scratch)

        def write(table: str, sql: str) -> Path:
            names = [column[0] for column in con.execute(f"DESCRIBE {sql}").fetchall()]
            columns = ", ".join(
                f"CAST({c.name if c.name in names else 'NULL'} AS {SQL_TYPES[c.kind]}) AS {c.name}"
                for c in TABLES[table].stored
            )
            path = draft.new_file(table)
            con.execute(f"COPY (SELECT {columns} FROM ({sql})) TO '{path}' (FORMAT parquet, COMPRESSION zstd)")
            return path

        lines, discounts = [], []
        for month in range(12):
            first, last = rows * month // 12, rows * (month + 1) // 12
            source = f"""
                SELECT (i // 2)::VARCHAR AS order_id, i % 2 AS line, t AS ordered_at, t AS known_at,
                       (hash(i // 2) % 200000)::VARCHAR AS customer_id, (hash(i // 2 + 7) % 500)::VARCHAR AS shop_id,
                       (hash(i * 13) % 20000)::VARCHAR AS product_id, 1 + hash(i * 17) % 3 AS quantity,
                       (100 + hash(i * 19) % 9900) / 100.0 AS unit_price, t::DATE AS day, date_trunc('hour', t) AS hour
                FROM (SELECT i, TIMESTAMP '2025-01-01' + to_months({month})
                             + to_seconds((i - {first}) * 2419200 // {last - first}) AS t
                      FROM range({first}, {last}) AS r(i))"""
            lines.append(write("order_lines", source))
            discounts.append(
                write("order_discounts", f"""
                    SELECT (i // 2)::VARCHAR AS order_id, i % 2 AS line, 1 AS n, 'merchant' AS payer, 'coupon' AS kind,
                           0.5 AS amount
                    FROM range({first}, {last}) AS t(i) WHERE hash(i * 23) % 5 = 0""")
            )  # fmt: skip
            print(f"  generated {last:,} of {rows:,} order lines", file=sys.stderr)
        products = write("products", """
            SELECT i::VARCHAR AS product_id, 'Product ' || i AS title, 'Category ' || (i % 40) AS category
            FROM range(20000) AS t(i)""")  # fmt: skip
        con.close()
        files = {"order_lines": lines, "order_discounts": discounts, "products": [products]}
        draft.commit(Provenance("generated", "none", "Generated.", "USD", "UTC", simulated=True), files, {})


def ours(folder: Path, question: dict[str, Any], address: str = "") -> list[tuple[Any, ...]]:
    """Ask the Store."""
    store = open_store(address or str(folder))
    period = parse_period(question.get("period", "2025"), store.span)
    wanted = tuple(metric(name) for name in question["metrics"])
    query = Query(wanted, period, question.get("by", ()), question.get("every"))
    return [tuple(row.values()) for row in store.metrics(query).to_pylist()]


def tight(folder: Path, question: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Ask the Store, with 2 GB for the engine."""
    os.environ["TRADEWIND_MEMORY"] = "2GB"
    return ours(folder, question)


def spark(folder: Path, question: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Ask the Store, on Spark."""
    return ours(folder, question, f"spark+local[2]:{folder}")


def _files(folder: Path, table: str) -> list[str]:
    return [str(folder / file.path) for file in existing(folder).tables[table]]


def _groups(question: dict[str, Any]) -> list[str]:
    return [*question.get("by", ()), *([question["every"]] if "every" in question else [])]


def sql(folder: Path, question: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Ask DuckDB in SQL as an analyst would write it."""
    import duckdb

    groups = _groups(question)
    named = {"month": "date_trunc('month', l.day)::DATE AS month", "week": "date_trunc('week', l.day)::DATE AS week",
             "shop_id": "l.shop_id", "category": "p.category"}  # fmt: skip
    sums = {
        "gmv": "sum(l.unit_price * l.quantity) - coalesce(sum(d.amount), 0) AS gmv",
        "items": "sum(l.quantity)::BIGINT AS items",
        "orders": "count(DISTINCT l.order_id) AS orders",
        "buyers": "count(DISTINCT l.customer_id) AS buyers",
    }
    join = f"JOIN read_parquet({_files(folder, 'products')}) p USING (product_id)" if "category" in groups else ""
    where = "WHERE l.day BETWEEN DATE '2025-06-01' AND DATE '2025-06-30'" if "period" in question else ""
    text = f"""
        SELECT {", ".join([*(named[g] for g in groups), *(sums[m] for m in question["metrics"])])}
        FROM read_parquet({_files(folder, "order_lines")}) l {join}
        LEFT JOIN (SELECT order_id, line, sum(amount) AS amount FROM read_parquet({_files(folder, "order_discounts")})
                   WHERE payer = 'merchant' GROUP BY ALL) d USING (order_id, line)
        {where} {"GROUP BY ALL ORDER BY ALL" if groups else ""}"""
    return duckdb.sql(text).fetchall()


def polars(folder: Path, question: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Ask polars, lazily, streaming."""
    import polars as pl

    groups = _groups(question)
    lines = pl.scan_parquet(_files(folder, "order_lines"))
    if "period" in question:
        lines = lines.filter(pl.col("day").is_between(pl.date(2025, 6, 1), pl.date(2025, 6, 30)))
    off = pl.scan_parquet(_files(folder, "order_discounts")).filter(pl.col("payer") == "merchant")
    off = off.group_by("order_id", "line").agg(pl.col("amount").sum().alias("off"))
    rows = lines.join(off, on=["order_id", "line"], how="left")
    if "category" in groups:
        products = pl.scan_parquet(_files(folder, "products")).select("product_id", "category")
        rows = rows.join(products, on="product_id")
    steps = {
        "month": pl.col("day").dt.truncate("1mo").alias("month"),
        "week": pl.col("day").dt.truncate("1w").alias("week"),
    }
    rows = rows.with_columns([steps[group] for group in groups if group in steps])
    gross = pl.col("unit_price") * pl.col("quantity").cast(pl.Decimal(18, 0)) - pl.col("off").fill_null(0)
    sums = {
        "gmv": gross.sum().alias("gmv"), "items": pl.col("quantity").sum().alias("items"),
        "orders": pl.col("order_id").n_unique().alias("orders"),
        "buyers": pl.col("customer_id").n_unique().alias("buyers"),
    }  # fmt: skip
    wanted = [sums[name] for name in question["metrics"]]
    found = rows.group_by(groups).agg(wanted).sort(groups) if groups else rows.select(wanted)
    return found.collect(engine="streaming").rows()


def pandas(folder: Path, question: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Ask pandas, in memory, reading only the columns that it needs; money in float64, as it is mostly used."""
    import pandas as pd

    groups = _groups(question)
    columns = ["order_id", "line", "quantity", "unit_price", "day"]
    columns += ["shop_id", "customer_id"] * ("shop_id" in groups) + ["product_id"] * ("category" in groups)
    lines = pd.concat(
        pd.read_parquet(f, columns=columns, dtype_backend="pyarrow") for f in _files(folder, "order_lines")
    )
    lines["day"] = pd.to_datetime(lines["day"])
    if "period" in question:
        lines = lines[(lines["day"] >= "2025-06-01") & (lines["day"] <= "2025-06-30")]
    off = pd.concat(
        pd.read_parquet(f, columns=["order_id", "line", "amount"], dtype_backend="pyarrow")
        for f in _files(folder, "order_discounts")
    )
    rows = lines.merge(off, on=["order_id", "line"], how="left")
    price = rows["unit_price"].astype("float64") * rows["quantity"].astype("float64")
    rows["gmv"] = price - rows["amount"].astype("float64").fillna(0.0)
    if "category" in groups:
        products = pd.concat(pd.read_parquet(f, columns=["product_id", "category"]) for f in _files(folder, "products"))
        rows = rows.merge(products, on="product_id")
    if "month" in groups:
        rows["month"] = rows["day"].dt.to_period("M").dt.start_time.dt.date
    if "week" in groups:
        rows["week"] = rows["day"].dt.to_period("W").dt.start_time.dt.date
    sums = {"gmv": ("gmv", "sum"), "items": ("quantity", "sum"), "orders": ("order_id", "nunique"),
            "buyers": ("customer_id", "nunique")}  # fmt: skip
    wanted = {name: sums[name] for name in question["metrics"]}
    if groups:
        return list(
            rows.groupby(groups).agg(**wanted).reset_index().sort_values(groups).itertuples(index=False, name=None)
        )
    return [tuple(rows[column].agg(how) for column, how in wanted.values())]


CONTENDERS: dict[str, Callable[[Path, dict[str, Any]], list[tuple[Any, ...]]]] = {
    "ours": ours, "sql": sql, "polars": polars, "ours in 2 GB": tight, "pandas": pandas, "spark": spark,
}  # fmt: skip


def _digest(rows: list[tuple[Any, ...]]) -> list[str]:
    """Sums of each column, money to the cent, so that answers can be compared across types."""
    columns = list(zip(*rows, strict=True))
    numbers = [c for c in columns if isinstance(c[0], (int, float, Decimal)) or hasattr(c[0], "item")]
    return [str(len(rows)), *(f"{sum(float(value) for value in column):.2f}" for column in numbers)]


def _unpacked(folder: Path) -> tuple[float, float]:
    """GiB of the order lines and discounts as Arrow: all columns, and the nine that the questions read."""
    import pyarrow.parquet as pq

    whole = used = 0.0
    for table in ("order_lines", "order_discounts"):
        files = _files(folder, table)
        rows = pq.read_table(files[0])
        read = [name for name in rows.column_names if name in COLUMNS]
        times = existing(folder).rows(table) / len(rows) / 2**30
        whole += rows.nbytes * times
        used += rows.select(read).nbytes * times
    return whole, used


def _alone(contender: str, question: str, folder: Path) -> dict[str, Any]:
    run = [sys.executable, __file__, "--store", str(folder), "--contenders", contender, "--only", question]
    done = subprocess.run(run, capture_output=True, text=True, check=False, env={**os.environ})
    if done.returncode:
        return {"error": (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1][:120]}
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def _median(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """The run of middle time; one that failed, where any did."""
    failed = [run for run in runs if "error" in run]
    return failed[0] if failed else sorted(runs, key=lambda run: run["seconds"])[len(runs) // 2]


def main() -> None:
    """Run the benchmark and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=50_000_000)
    parser.add_argument("--store", type=Path)
    parser.add_argument("--contenders", default=",".join(CONTENDERS))
    parser.add_argument("--repeats", type=int, default=1, help="runs of each, taken in turn; the median is shown")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.only:
        started, cpu = time.perf_counter(), time.process_time()
        rows = CONTENDERS[given.contenders](given.store, QUESTIONS[given.only])
        seconds, burnt = time.perf_counter() - started, time.process_time() - cpu
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(json.dumps({"seconds": seconds, "cpu": burnt, "peak_gib": peak, "answer": _digest(rows)}))
        return
    with tempfile.TemporaryDirectory() as place:
        folder = given.store or Path(place) / "store"
        if not (folder / "CURRENT").exists():
            generate(folder, given.rows)
        size = sum(file.stat().st_size for file in (folder / "data").rglob("*.parquet")) / 2**30
        lines = existing(folder).rows("order_lines")
        whole, used = _unpacked(folder)
        print(f"{lines:,} order lines: {size:.2f} GiB of Parquet, {whole:.1f} GiB unpacked, of which {used:.1f} read\n")
        print(
            "| question | contender | seconds | CPU s | peak GiB | × sql | same answer |\n|---|---|---|---|---|---|---|"
        )
        for question in QUESTIONS:
            names = given.contenders.split(",")
            runs = [(name, _alone(name, question, folder)) for _ in range(given.repeats) for name in names]
            found = {name: _median([run for other, run in runs if other == name]) for name in names}
            hand = found.get("sql", {})
            for name, run in found.items():
                if "error" in run:
                    print(f"| {question} | {name} | failed: {run['error']} | | | | |", flush=True)
                    continue
                ratio = f"{run['seconds'] / hand['seconds']:.2f}" if "seconds" in hand else ""
                same = "yes" if run["answer"] == hand.get("answer") else "NO"
                print(
                    f"| {question} | {name} | {run['seconds']:.1f} | {run['cpu']:.1f} | {run['peak_gib']:.2f} "
                    f"| {ratio} | {same} |", flush=True,
                )  # fmt: skip


if __name__ == "__main__":
    main()
