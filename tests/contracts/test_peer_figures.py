"""What a merchant learns of other shops, on both engines: figures by another hand, own values as they see them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import fair
import market
from tradewind.engines.store import Store
from tradewind.errors import BadInputError, ForbiddenError
from tradewind.measures.metrics import AOV, GMV, METRICS, ORDERS, within_a_shop
from tradewind.measures.query import Query
from tradewind.period import parse_period
from tradewind.scope import Scope

TOWN = fair.town({"Tea": 24, "Silk/Scarves": 16, "Spice": 7, None: 6, "Gold": 9}, seed=2)
GROUPS = {"Tea": ("Tea",), "Silk/Scarves": ("Silk/Scarves",), "Spice": ("Spice", None, "Gold")}


@pytest.fixture(scope="module")
def fair_store(opened: Callable[[Path], Store], tmp_path_factory: pytest.TempPathFactory) -> Store:
    return opened(fair.write(tmp_path_factory.mktemp("fair") / "store", TOWN))


def told_by_hand(values: list[float]) -> list[float]:
    """Quartiles: means over the middle five shops' ranks around each, from a fine grid of ranks, to two digits."""
    count = len(values)
    reach = min(2.5 / count, 0.15)
    figures = []
    for quarter in (0.25, 0.5, 0.75):
        at = np.linspace(quarter - reach, quarter + reach, 400_001)[:-1] + reach / 400_000
        figures.append(float(np.sort(values)[(at * count).astype(int)].mean()))
    return figures


@pytest.mark.parametrize("asked", [*fair.MONTHS[:2], fair.QUARTER])
def test_figures_are_those_of_the_shops_of_the_group(fair_store: Store, asked: str) -> None:
    months = fair.MONTHS if asked == fair.QUARTER else (asked,)
    period = parse_period(asked, fair_store.span)
    for category, together in GROUPS.items():
        mine = next(shop for shop in TOWN if shop.category == category)
        group = [shop for shop in TOWN if shop.category in together]
        merchant = fair_store.scoped(Scope.of((mine.shop_id,)))
        gmv, orders, aov = merchant.peers([GMV, ORDERS, AOV], period).metrics
        assert gmv.own == sum(mine.taken[month] for month in months)
        assert orders.own == mine.orders * len(months)
        assert aov.own == pytest.approx(mine.gmv(*months) / orders.own)
        for told, values in (
            (gmv, [shop.gmv(*months) for shop in group]),
            (orders, [float(shop.orders * len(months)) for shop in group]),
            (aov, [shop.gmv(*months) / shop.orders / len(months) for shop in group]),
        ):
            assert told.shops == len(group) // 5 * 5, (category, told)
            for figure, wanted in zip((told.low, told.middle, told.high), told_by_hand(values), strict=True):
                unit = 10 ** (np.floor(np.log10(wanted)) - 1)
                assert abs(figure - wanted) <= 0.5001 * unit, (category, told, wanted)


def test_ones_own_value_is_what_one_sees(store: Store) -> None:
    """Counted among all shops or in the merchant's scope: nothing of other shops is in it."""
    metrics = [metric for metric in METRICS.values() if within_a_shop(metric)]
    period = parse_period("2024-01", market.SPAN)
    merchant = store.scoped(Scope.of(market.SCOPE))
    shop = market.SCOPE[0]
    answer = merchant.peers(metrics, period, shop)
    [row] = merchant.metrics(Query(tuple(metrics), period, where={"shop_id": (shop,)})).to_pylist()
    for told in answer.metrics:
        assert told.own == (None if row[told.metric] is None else pytest.approx(row[told.metric], abs=0)), told.metric
        assert told.own is None or type(told.own) is type(row[told.metric])


def test_who_may_ask_what(fair_store: Store) -> None:
    period, shop = parse_period("2024-01", fair_store.span), TOWN[0].shop_id
    assert fair_store.peers([GMV], period, shop) == fair_store.scoped(Scope.of((shop,))).peers([GMV], period)
    with pytest.raises(ForbiddenError):
        fair_store.scoped(Scope.of((shop,))).peers([GMV], period, TOWN[1].shop_id)
    with pytest.raises(ForbiddenError):
        fair_store.scoped(Scope.of_creators(("anna",))).peers([GMV], period, shop)
    with pytest.raises(BadInputError, match="whole calendar months"):
        fair_store.peers([GMV], parse_period("2024-W03", fair_store.span), shop)
