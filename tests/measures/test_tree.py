"""The metric tree: each edge gives its parent back, on data where some lines name no customer and where all do."""

from __future__ import annotations

import math

import pytest

import market
from tradewind.engines.store import Store, open_store
from tradewind.measures.metrics import METRICS
from tradewind.measures.query import Query
from tradewind.measures.tree import EDGES, Edge, edges

KNOWN = METRICS["orders_per_known"]


@pytest.fixture(scope="module")
def named_store(tmp_path_factory: pytest.TempPathFactory, market_rows: market.Rows) -> Store:
    """The market as if every line named its customer."""
    folder = tmp_path_factory.mktemp("named")
    lines = [{**line, "customer_id": line["customer_id"] or "visitor"} for line in market_rows["order_lines"]]
    market.write(folder, {**market_rows, "order_lines": lines})
    return open_store(str(folder))


def value(edge: Edge, store: Store) -> tuple[float, float]:
    """Return the parent as counted, and as its children give it."""
    asked = dict.fromkeys((edge.parent, *edge.children))
    [found] = store.metrics(Query(tuple(asked), market.PERIOD)).to_pylist()
    children = [float(found[child.name]) for child in edge.children]
    if edge.kind == "sum":
        total = math.fsum(sign * child for sign, child in zip(edge.signs, children, strict=True))
    else:
        total = math.prod(child**sign for sign, child in zip(edge.signs, children, strict=True))
    return float(found[edge.parent.name]), total * edge.scale


@pytest.mark.parametrize("parent", METRICS.values(), ids=lambda metric: metric.name)
@pytest.mark.parametrize("named", [False, True], ids=["some without a customer", "all with a customer"])
def test_each_way_gives_the_metric_back(market_store: Store, named_store: Store, parent, named) -> None:
    store = named_store if named else market_store
    for edge in edges(parent, store):
        counted, made = value(edge, store)
        assert made == pytest.approx(counted, rel=1e-9), edge.title


def test_the_step_from_known_orders_stands_only_where_some_are_not(market_store: Store, named_store: Store) -> None:
    with_step = {edge.parent.name for edge in EDGES if KNOWN in edge.children}
    assert with_step == {"gmv", "gross_sales", "orders", "items"}
    for name in with_step:
        assert KNOWN in edges(METRICS[name], market_store)[0].children
        assert KNOWN not in edges(METRICS[name], named_store)[0].children
    ways = [edge.title for edge in edges(METRICS["gmv_per_buyer"], market_store)]
    assert ways == ["GMV with a customer over Buyers"]
    assert len(edges(METRICS["gmv_per_buyer"], named_store)) == 2
