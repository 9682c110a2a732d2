"""Cuts: every way to group gives what a query gives, and what plain loops give, in one pass."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

import market
from oracles import loops
from tradewind.engines.store import Store, open_store
from tradewind.errors import BadInputError
from tradewind.measures import metrics as m
from tradewind.measures.cuts import Cut, Cuts, worth
from tradewind.measures.query import Query
from tradewind.period import Period

NOW, BEFORE = Period(date(2024, 1, 1), date(2024, 1, 28)), Period(date(2023, 12, 4), date(2023, 12, 31))
WHERE = {"shop_id": "shop-02"}
CUTS = {
    "whole": Cut((), (m.GMV, m.ORDERS, m.BUYERS, m.AOV, m.CVR, m.REFUND_RATE, m.DISCOUNT_RATE, m.MERCHANT_PROFIT)),
    "days": Cut(("day",), (m.GMV, m.ITEMS)),
    "products": Cut(("product_id",), (m.GMV, m.REFUND_AMOUNT, m.CLICKS, m.ORDERS)),
    "places": Cut(("surface", "form", "relation"), (m.GMV, m.ORDERS)),
}


def answered(store: Store, cuts: Cuts) -> dict[str, list[dict]]:
    expression = cuts.expression(store)
    assert expression is not None
    return cuts.read(store, store.run(expression).to_pylist())


def test_cuts_are_queries(market_store: Store) -> None:
    found = answered(market_store, Cuts(CUTS, (NOW, BEFORE), WHERE))
    for name, cut in CUTS.items():
        every = "day" if cut.by == ("day",) else None
        by = () if every else cut.by
        query = Query(cut.metrics, NOW, by, every, {"shop_id": ("shop-02",)}, slots=(NOW, BEFORE))
        asked = {tuple(row[k] for k in (*cut.by, "slot")): row for row in market_store.metrics(query).to_pylist()}
        mine = {tuple(row[k] for k in (*cut.by, "slot")): row for row in found[name]}
        assert mine.keys() == asked.keys()
        for key, row in asked.items():
            for metric in cut.metrics:
                value, wanted = mine[key][metric.name], row[metric.name]
                assert value == (pytest.approx(wanted) if isinstance(wanted, float) else wanted), (
                    name,
                    key,
                    metric.name,
                )


def test_cuts_are_what_loops_count(market_store: Store, market_rows: market.Rows) -> None:
    facts = loops.facts(market_rows)
    found = answered(market_store, Cuts(CUTS, (NOW, BEFORE), WHERE))
    for slot, period in enumerate((NOW, BEFORE)):
        [whole] = [row for row in found["whole"] if row["slot"] == slot]
        names = [metric.name for metric in CUTS["whole"].metrics]
        [wanted] = loops.measure(facts, names, period, where={"shop_id": ("shop-02",)}).values()
        assert {name: whole[name] for name in names} == {
            name: pytest.approx(value) if isinstance(value, float) else value for name, value in wanted.items()
        }


def test_only_some_customers_count(market_store: Store, market_rows: market.Rows) -> None:
    people = ["c01", "c02", "c05"]
    customers = market_store.table("customers")
    among = customers.filter(customers.customer_id.isin(people))
    found = answered(market_store, Cuts({"whole": Cut((), (m.GMV, m.ORDERS, m.CVR))}, (NOW,), {}, among))
    [row] = found["whole"]
    facts = loops.facts(market_rows)
    [wanted] = loops.measure(facts, ("gmv", "orders"), NOW, where={"customer_id": tuple(people)}).values()
    assert row == {"slot": 0, **wanted}, "clicks are nobody's, so that no conversion is told"


def test_what_the_source_lacks_is_left_out(bare_folder: Path, market_store: Store) -> None:
    bare = open_store(str(bare_folder))
    found = answered(bare, Cuts({"a": Cut((), (m.GMV, m.BUYERS)), "b": Cut(("creator_id",), (m.GMV,))}, (NOW,), WHERE))
    assert set(found["a"][0]) == {"slot", "gmv"}
    assert found["b"] == []
    assert Cuts({"b": Cut(("creator_id",), (m.GMV,))}, (NOW,), WHERE).expression(bare) is None


def test_a_dimension_that_is_not_known() -> None:
    with pytest.raises(BadInputError, match="dimension"):
        Cut(("colour",), (m.GMV,))


def test_worth_over_nothing() -> None:
    assert worth(m.AOV, {"gmv": 5, "orders": 0}, ()) is None
    assert worth(m.GMV, {}, ()) == 0
    assert worth(m.GPM, {"gmv": 3, "impressions": 1500}, ()) == pytest.approx(2.0)
