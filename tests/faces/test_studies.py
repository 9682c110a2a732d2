"""The one list of wings: each keeps the contract by which every face calls it."""

from __future__ import annotations

import dataclasses

import pytest
from typer.testing import CliRunner

from tradewind.decisions.coupons import CouponsSettings
from tradewind.engines.store import Store
from tradewind.errors import BadInputError, NotFoundError
from tradewind.faces import studies
from tradewind.faces.cli import app
from tradewind.period import parse_period
from tradewind.tables import TABLES


@pytest.mark.parametrize("name", studies.WINGS)
def test_a_wing_offers_what_the_faces_call(name: str) -> None:
    answerer = studies.wing(name).load()
    assert {table.partition(".")[0] for table in answerer.needs} <= set(TABLES)
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


@pytest.mark.parametrize(
    ("given", "words"),
    [({"depth": "deep"}, "Allowed: a whole number"), ({"width": "1"}, "no such setting")],
)
def test_settings_that_cannot_be_read(tides: str, given: dict[str, str], words: str) -> None:
    with pytest.raises(BadInputError, match=words):
        studies.settings_read(tides, given)


@pytest.mark.parametrize("seed", ["-1", "one"])
def test_a_seed_is_a_whole_number(seed: str) -> None:
    with pytest.raises(BadInputError, match="whole number"):
        studies.settings_read("coupons", {"seed": seed})


def test_money_is_read_alike_in_every_setting() -> None:
    assert studies.settings_read("coupons", {"budget": "20,000"}) == {"budget": 20_000.0}
    assert studies.settings_read("coupons", {"budget": "1.5M"}) == {"budget": 1.5e6}
    with pytest.raises(BadInputError, match="two ways"):
        studies.settings_read("coupons", {"budget": "1,50"})
    assert CouponsSettings(faces=("2k/8k",)).menu == ((2_000.0, 8_000.0),)


def test_money_is_read_alike_on_the_command_line() -> None:
    for words, said in ((["study", "coupons", "--budget", "1,50"], "two ways"), (["plan", "--least", "5kk"], "amount")):
        result = CliRunner().invoke(app, [*words, "--store", "nowhere"])
        assert result.exit_code != 0
        assert said in str(result.exception) or said in result.output
