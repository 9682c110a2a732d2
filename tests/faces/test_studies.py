"""The one list of wings: each keeps the contract by which every face calls it."""

from __future__ import annotations

import dataclasses

import pytest

from tradewind.engines.store import Store
from tradewind.errors import NotFoundError
from tradewind.faces import studies
from tradewind.period import parse_period
from tradewind.tables import TABLES


@pytest.mark.parametrize("name", studies.WINGS)
def test_a_wing_offers_what_the_faces_call(name: str) -> None:
    answerer = studies.wing(name).load()
    assert set(answerer.needs) <= set(TABLES)
    assert {table.partition(".")[0] for table in answerer.improved_by} <= set(TABLES)
    assert dataclasses.is_dataclass(answerer.settings())
    assert answerer.settings.__doc__
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(answerer.settings(), dataclasses.fields(answerer.settings)[0].name, None)


def test_there_is_no_other_study() -> None:
    with pytest.raises(NotFoundError, match="performance"):
        studies.wing("weather")


def test_a_study_is_answered_by_name_and_settings(market_store: Store, tides: str) -> None:
    period = parse_period("2024-01", market_store.span)
    answer = studies.answer(tides, market_store, period, {"depth": 7})
    assert (answer.wing, answer.period, answer.settings["depth"]) == ("tides", period, 7)
