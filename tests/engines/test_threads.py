"""Many threads ask one store at once, as requests do: each gets its own answer."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import market
from tradewind.engines.duckdb import DuckDB
from tradewind.engines.store import open_store
from tradewind.measures.metrics import GMV, ORDERS
from tradewind.measures.query import Query


def test_threads_that_share_a_store_do_not_take_each_others_answers(market_folder: Path) -> None:
    store = open_store(str(market_folder))
    queries = [Query((metric,), market.PERIOD, by=(by,)) for metric in (GMV, ORDERS) for by in ("shop_id", "surface")]
    alone = [store.metrics(query).to_pylist() for query in queries]
    lines = store.table("order_lines").select("order_id", "line").order_by("order_id", "line")
    whole = store.run(lines).to_pylist()

    def ask(n: int) -> bool:
        if n % 5 == 4:
            return [row for batch in store.batches(lines, rows=50) for row in batch.to_pylist()] == whole
        return store.metrics(queries[n % 5]).to_pylist() == alone[n % 5]

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(60)))


def test_a_stream_that_nobody_reads_to_its_end_disturbs_nobody(market_folder: Path) -> None:
    store = open_store(str(market_folder))
    lines = store.table("order_lines").order_by("order_id", "line")
    first, second = store.batches(lines, rows=10), store.batches(lines, rows=10)
    assert next(first).to_pylist() == next(second).to_pylist()
    first.close()
    rest = sum(len(batch) for batch in second)
    assert rest == store.run(lines.count()).as_py() - 10


def test_every_session_has_the_engines_settings(tmp_path: Path) -> None:
    engine = DuckDB("700MB")
    names = ("TimeZone", "memory_limit", "preserve_insertion_order", "temp_directory")
    with engine._session() as session:
        for name in names:
            query = f"SELECT current_setting('{name}')"
            assert session.raw_sql(query).fetchone() == engine._con.raw_sql(query).fetchone(), name
