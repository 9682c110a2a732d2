"""One store, many threads: each gets its own answer whole, whatever the others ask at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import market
from tradewind.engines.duckdb import DuckDB
from tradewind.engines.store import Store, open_store
from tradewind.measures import metrics as m
from tradewind.measures.query import Query
from tradewind.scope import Scope

THREADS = 8


def at_once(asked: Callable[[int], object]) -> list[object]:
    """Ask from every thread at the same moment."""
    ready = threading.Barrier(THREADS)

    def one(n: int) -> object:
        ready.wait()
        return asked(n)

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(one, range(THREADS)))


@pytest.fixture
def fresh(market_folder: Path) -> Store:
    """A store whose tables nobody has opened."""
    return open_store(str(market_folder))


def test_answers_of_eight_threads_are_those_of_one(fresh: Store, market_store: Store) -> None:
    dimensions = ("shop_id", "product_id", "surface", "form")

    def asked(store: Store, n: int) -> list[object]:
        lines = store.table("order_lines")
        by = dimensions[n % 4]
        counted = lines.group_by(by).aggregate(pieces=lines.quantity.sum(), worth=lines.unit_price.sum())
        mine = store.scoped(Scope.of(market.SCOPE[n % 2 : n % 2 + 1])).table("order_lines")
        return [store.run(counted.order_by(by)).to_pylist(), store.run(mine.count()).as_py()]

    wanted = [asked(market_store, n) for n in range(THREADS)]
    assert at_once(lambda n: [asked(fresh, n) for _ in range(10)]) == [[answer] * 10 for answer in wanted]


def test_metrics_of_eight_threads_are_those_of_one(fresh: Store, market_store: Store) -> None:
    queries = [Query((metric,), market.PERIOD) for metric in (m.GMV, m.ORDERS, m.REFUND_AMOUNT, m.IMPRESSIONS)]
    wanted = [market_store.metrics(query).to_pylist() for query in queries]
    assert at_once(lambda n: fresh.metrics(queries[n % 4]).to_pylist()) == wanted * 2


def test_streams_are_whole_while_others_ask(fresh: Store, market_store: Store) -> None:
    lines = fresh.table("order_lines")
    wanted = sorted(market_store.run(market_store.table("order_lines").select("order_id", "line")).to_pylist(), key=str)

    def asked(n: int) -> list[dict]:
        if n % 2:
            return [fresh.run(lines.aggregate(pieces=lines.quantity.sum())).to_pylist()[0] for _ in range(20)]
        found: list[dict] = []
        for batch in fresh.batches(lines.select("order_id", "line"), 50):
            found += batch.to_pylist()
            fresh.run(lines.count())  # by this thread too
        return sorted(found, key=str)

    assert [rows for n, rows in enumerate(at_once(asked)) if n % 2 == 0] == [wanted] * (THREADS // 2)


def test_a_stream_left_half_way_keeps_nobody_waiting(fresh: Store) -> None:
    lines = fresh.table("order_lines").select("order_id")
    streams = [fresh.batches(lines, 10) for _ in range(3)]
    for stream in streams:
        next(iter(stream))
    assert at_once(lambda _: fresh.run(lines).num_rows) == [fresh.counts("order_lines").rows] * THREADS
    threading.Thread(target=streams[0].close).start()
    assert fresh.run(lines).num_rows == fresh.counts("order_lines").rows


def test_every_session_has_the_engines_settings() -> None:
    engine = DuckDB("700MB")
    names = ("TimeZone", "memory_limit", "preserve_insertion_order", "temp_directory")
    with engine._session() as session:
        for name in names:
            query = f"SELECT current_setting('{name}')"
            assert session.raw_sql(query).fetchone() == engine._con.raw_sql(query).fetchone(), name
