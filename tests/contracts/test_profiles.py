"""A page of each kind, a list and the index are the same on both engines."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from test_wings import same

from tradewind.decisions.profiles import index, listed, profile
from tradewind.engines.store import Store, open_store
from tradewind.period import Period
from tradewind.study import jsonable

NOW = Period(date(2024, 1, 1), date(2024, 1, 28))
PAGES = {"shop": "shop-02", "product": "p02", "creator": "k3", "segment": "active"}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_the_same_on_both_engines(name: str, store: Store, market_folder: Path) -> None:
    embedded = open_store(str(market_folder))
    here = profile(store, name, PAGES[name], NOW).as_dict()
    same(here, profile(embedded, name, PAGES[name], NOW).as_dict(), name)
    assert here["findings"]


def test_lists_and_the_index_are_the_same_on_both_engines(store: Store, market_folder: Path) -> None:
    embedded = open_store(str(market_folder))
    asked = ("product", NOW, "creme", "gmv", 5, 2)
    same(jsonable(listed(store, *asked)), jsonable(listed(embedded, *asked)))
    assert index(store).search("mare") == index(embedded).search("mare")
