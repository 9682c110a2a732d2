"""A panel answers any period as the store would: money and counts exactly, ratios to the last digits."""

from __future__ import annotations

import math
import random
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

import market
from tradewind.engines.panel import Panel
from tradewind.engines.store import Store
from tradewind.errors import BadInputError, MissingDataError
from tradewind.measures import metrics as m
from tradewind.measures.assume import Assumptions
from tradewind.measures.metric import Metric, Ratio
from tradewind.measures.query import Query, lights_up
from tradewind.period import Period
from tradewind.scope import Scope

TOLERANCE = 1e-12
DIMENSIONS = ("shop_id", "department", "category", "surface", "form", "relation", "creator_id")
OUTSIDE = (
    market.QUIET,
    Period(market.QUIET.first, market.SPAN.last + timedelta(days=400)),
    Period(market.SPAN.last - timedelta(days=3), market.SPAN.last + timedelta(days=9)),
)
"""Periods of which the data knows nothing or a part."""


def periods(count: int, seed: int = 11) -> list[Period]:
    """Draw periods inside the market's span and around its ends."""
    draw = random.Random(seed)
    found = []
    for _ in range(count):
        first = market.SPAN.first + timedelta(days=draw.randint(-5, market.SPAN.days))
        found.append(Period(first, first + timedelta(days=draw.choice((0, 1, 6, 13, 27, 30, draw.randint(0, 99))))))
    return found


ON_SPARK = (
    m.GMV,
    m.ORDERS,
    m.BUYERS,
    m.NEW_BUYERS,
    m.RETURNING_BUYERS,
    m.AOV,
    m.IMPRESSIONS,
    m.CVR,
    m.REFUND_RATE,
    m.MERCHANT_PROFIT,
)
"""Metrics of every fact and kind: on Spark each question costs seconds, and the expressions are the same."""


def lit(store: Store, *splits: str) -> tuple[Metric, ...]:
    asked = ON_SPARK if store.engine.name == "spark" else m.METRICS.values()
    return tuple(metric for metric in asked if lights_up(metric, store, splits))


def same(got: dict[str, Any], wanted: dict[str, Any], metrics: tuple[Metric, ...], where: str) -> None:
    for metric in metrics:
        mine, theirs = got[metric.name], wanted[metric.name]
        if isinstance(metric, Ratio) and mine is not None and theirs is not None:
            assert isinstance(mine, float)
            assert math.isclose(mine, theirs, rel_tol=TOLERANCE), f"{metric.name} {where}: {mine} is not {theirs}"
        else:
            assert type(mine) is type(theirs), f"{metric.name} {where}"
            assert mine == theirs, f"{metric.name} {where}: {mine} is not {theirs}"


def rows(store: Store, query: Query) -> list[dict[str, Any]]:
    return store.metrics(query).to_pylist()


@pytest.fixture(scope="session")
def panel(store: Store) -> Panel:
    return store.panel(lit(store))


def tiled(seed: int) -> tuple[Period, ...]:
    """Draw periods beside each other, some with days between, which the store answers in one query."""
    draw = random.Random(seed)
    days = sorted(draw.sample(range(-9, market.SPAN.days + 9), 22))
    edges = [market.SPAN.first + timedelta(days=n) for n in days]
    kept = [Period(a, b - timedelta(days=1)) for a, b in pairwise(edges)]
    return tuple(period for n, period in enumerate(kept) if n % 3 or seed % 2)


def zeros(metrics: tuple[Metric, ...]) -> dict[str, Any]:
    return {x.name: None if isinstance(x, Ratio) else Decimal(0) if x.unit == "money" else 0 for x in metrics}


def test_any_period_as_the_store_answers(store: Store, panel: Panel) -> None:
    for seed in range(1 if store.engine.name == "spark" else 6):
        slots = tiled(seed)
        answers = {row.pop("slot"): row for row in rows(store, Query(panel.metrics, market.PERIOD, slots=slots))}
        assert len(answers) > 8
        for n, period in enumerate(slots):
            same(panel.values(period), answers.get(n, zeros(panel.metrics)), panel.metrics, f"over {period}")


def test_long_periods_and_those_outside_as_the_store_answers(market_store: Store) -> None:
    panel = market_store.panel(lit(market_store))
    for period in (market.PERIOD, *OUTSIDE, *periods(2)):
        [wanted] = rows(market_store, Query(panel.metrics, period))
        same(panel.values(period), wanted, panel.metrics, f"over {period}")


def test_everything_lights_up_in_the_market(market_store: Store) -> None:
    assert {metric.name for metric in lit(market_store)} == set(m.METRICS)


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_splits_as_the_store_answers(market_store: Store, dimension: str) -> None:
    split_by(market_store, dimension)


def test_splits_by_shop_on_each_engine(store: Store) -> None:
    split_by(store, "shop_id")


def split_by(store: Store, dimension: str, **where: str | None) -> None:
    """Compare a split, of one value of other dimensions, over many periods, groups and their order included."""
    metrics = lit(store, dimension, *where)
    panel = store.panel(metrics, (dimension, *where))
    for name, value in where.items():
        panel = panel.of(name, value)
    split = panel.split(dimension)
    slots = tiled(3)
    limits = {name: (value,) for name, value in where.items()}
    answers: dict[int, dict[Any, dict[str, Any]]] = {n: {} for n in range(len(slots))}
    for row in rows(store, Query(metrics, market.PERIOD, (dimension,), where=limits, slots=slots)):
        answers[row["slot"]][row[dimension]] = row
    for n, period in enumerate(slots):
        got = split.values(period)
        assert list(got) == list(answers[n])
        for key, row in answers[n].items():
            same(got[key], row, metrics, f"of {dimension} {key} over {period}")
    assert split.values(market.QUIET) == {}


def test_one_value_of_a_dimension_alone(market_store: Store) -> None:
    metrics = lit(market_store, "surface")
    panel = market_store.panel(metrics, ("surface", "shop_id"))
    slots = tiled(5)
    for name, value in (("shop_id", market.SCOPE[0]), ("surface", None), ("shop_id", "nobody")):
        alone = panel.of(name, value)
        query = Query(metrics, market.PERIOD, where={name: (value,)}, slots=slots)
        answers = {row.pop("slot"): row for row in rows(market_store, query)}
        for n, period in enumerate(slots):
            same(alone.values(period), answers.get(n, zeros(metrics)), metrics, f"of {value} over {period}")


def test_a_split_of_one_value(market_store: Store) -> None:
    split_by(market_store, "surface", shop_id=market.SCOPE[0])


def test_parts_that_know_no_such_dimension_are_left_out_as_the_store_does(market_store: Store) -> None:
    """Advertising knows no surface: the whole counts it, a split by surface does not."""
    panel = market_store.panel((m.MERCHANT_PROFIT,), ("surface",))
    [whole] = rows(market_store, Query(panel.metrics, market.PERIOD))
    assert panel.values(market.PERIOD) == whole
    parts = panel.split("surface").values(market.PERIOD)
    wanted = {row["surface"]: row for row in rows(market_store, Query(panel.metrics, market.PERIOD, ("surface",)))}
    assert {key: row["merchant_profit"] for key, row in parts.items()} == {
        key: row["merchant_profit"] for key, row in wanted.items()
    }
    [spent] = rows(market_store, Query((m.MERCHANT_AD_SPEND,), market.PERIOD))
    lost = sum(row["merchant_profit"] for row in parts.values()) - whole["merchant_profit"]
    assert lost == spent["merchant_ad_spend"] > 0


def test_a_merchant_has_a_panel_of_their_own_shops(store: Store) -> None:
    merchant = store.scoped(Scope.of(market.SCOPE))
    metrics = lit(merchant)
    panel = merchant.panel(metrics, ("shop_id",))
    assert set(panel.split("shop_id").keys) == set(market.SCOPE)
    slots = tiled(7)
    answers = {row.pop("slot"): row for row in rows(merchant, Query(metrics, market.PERIOD, slots=slots))}
    for n, period in enumerate(slots):
        same(panel.values(period), answers.get(n, zeros(metrics)), metrics, f"of {market.SCOPE} over {period}")


def test_the_barest_source(bare_store: Store) -> None:
    metrics = lit(bare_store)
    panel = bare_store.panel(metrics)
    for period in (market.PERIOD, *periods(2, seed=4)):
        [wanted] = rows(bare_store, Query(metrics, period))
        same(panel.values(period), wanted, metrics, f"over {period}")
    with pytest.raises(MissingDataError, match="order_discounts"):
        bare_store.panel((m.DISCOUNT,))


def test_an_assumed_margin_is_that_of_its_store(market_store: Store) -> None:
    assuming = market_store.assuming(Assumptions(margin=0.3))
    [wanted] = rows(assuming, Query((m.COST,), market.PERIOD))
    assert assuming.panel((m.COST,)).values(market.PERIOD) == wanted
    assert market_store.panel((m.COST,)).values(market.PERIOD) != wanted


def test_days_and_windows(market_store: Store, panel: Panel) -> None:
    metrics = (m.GMV, m.ORDERS, m.BUYERS, m.RETURNING_BUYERS, m.AOV, m.REFUND_RATE, m.MERCHANT_PROFIT)
    period = Period(market.SPAN.first - timedelta(days=4), market.SPAN.last + timedelta(days=30))
    _, days = market_store.series(metrics, period)
    for metric in metrics:
        assert panel.daily(metric, period) == pytest.approx(days[metric.name], rel=TOLERANCE, nan_ok=True)
        for length in (1, 7, 30):
            windows = panel.windows(metric, length)
            assert len(windows) == panel.span.days - length + 1
            for n in range(0, len(windows), 13):
                first = panel.span.first + timedelta(days=n)
                value = panel.values(Period(first, first + timedelta(days=length - 1)))[metric.name]
                assert windows[n] == pytest.approx(math.nan if value is None else float(value), nan_ok=True)
    with pytest.raises(BadInputError, match="fewer days"):
        panel.windows(m.GMV, panel.span.days + 1)


def test_it_is_read_once_and_says_what_it_was_not_made_for(market_store: Store) -> None:
    panel = market_store.panel((m.GMV,), ("shop_id",))
    assert market_store.panel([m.GMV], ["shop_id"]) is panel
    with pytest.raises(BadInputError, match="not made for"):
        panel.split("surface")
    with pytest.raises(BadInputError, match="no such dimension"):
        market_store.panel((m.GMV,), ("colour",))
    with pytest.raises(MissingDataError, match="ads:surface"):
        market_store.panel((m.AD_SPEND,), ("surface",))
    with pytest.raises(MissingDataError, match="ads:surface"):
        market_store.panel((m.GMV, m.AD_SPEND), ("surface",)).split("surface")
