"""One run of each study gives the same answer on both engines: money to the cent, floats to a millionth."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import market
from tradewind.decisions import fluctuation, performance
from tradewind.engines.store import Store, open_store
from tradewind.measures.assume import Assumptions

STUDIES: dict[str, Callable[[Store], Any]] = {
    "performance": lambda store: performance.study(store, market.PERIOD),
    "fluctuation": lambda store: fluctuation.study(
        store, market.Period(market.date(2024, 1, 8), market.date(2024, 2, 4))
    ),
}


def same(left: Any, right: Any, at: str = "") -> None:
    """Compare JSON-ready answers, saying where they differ."""
    if isinstance(left, dict):
        assert left.keys() == right.keys(), at
        for key in left:
            same(left[key], right[key], f"{at}.{key}")
    elif isinstance(left, list):
        assert len(left) == len(right), at
        for n, pair in enumerate(zip(left, right, strict=True)):
            same(*pair, f"{at}[{n}]")
    elif isinstance(left, float):
        assert math.isclose(left, right, rel_tol=1e-6, abs_tol=1e-6), (at, left, right)
    else:
        assert left == right, at


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_gives_the_same_answer_on_both_engines(name: str, store: Store, engine: str, market_folder: Path):
    embedded = open_store(str(market_folder)).assuming(Assumptions(margin=0.3))
    here = STUDIES[name](store.assuming(Assumptions(margin=0.3))).as_dict()
    same(here, STUDIES[name](embedded).as_dict(), name)
    assert here["findings"]
