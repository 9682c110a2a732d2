"""What is kept comes back equal and of the same types; what cannot be kept, or is no such text, is refused."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tradewind import keeping, study
from tradewind.engines.store import Store
from tradewind.errors import BadInputError
from tradewind.faces import studies
from tradewind.period import Period
from tradewind.scope import Scope
from tradewind.study import (
    DOSES,
    Action,
    Assignment,
    Choice,
    Column,
    Estimate,
    Evidence,
    Finding,
    Grid,
    LeftOut,
    Lever,
    Party,
    Plan,
    Provenance,
    Purse,
    Rule,
    Setting,
    Study,
    Subject,
)


def same(one: Any, other: Any) -> bool:
    """Whether values are equal, part by part of the same types; what is no number is equal to itself."""
    if type(one) is not type(other):
        return False
    if dataclasses.is_dataclass(one):
        return all(same(getattr(one, f.name), getattr(other, f.name)) for f in dataclasses.fields(one))
    if isinstance(one, Mapping):
        return same(list(one.items()), list(other.items()))
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, datetime):
        return (one, one.tzinfo, one.fold) == (other, other.tzinfo, other.fold)
    return repr(one) == repr(other)


TEXT = st.text(st.characters(), max_size=8)  # characters that stand alone only in pairs, too
FLOATS = st.floats()
FINITE = st.floats(-1e9, 1e9)
DAYS = st.dates()
ZONES = st.sampled_from(
    [None, UTC, timezone(timedelta(hours=-3)), timezone(timedelta(seconds=3601)), ZoneInfo("America/Sao_Paulo")]
)
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), FLOATS, st.decimals(), TEXT, DAYS,
    st.datetimes(timezones=ZONES), st.sampled_from([*Party, *Evidence, *Lever]),
)  # fmt: skip
ESTIMATES = st.builds(
    lambda ends, level: Estimate(ends[1], ends[0], ends[2], level), st.tuples(FINITE, FINITE, FINITE).map(sorted),
    st.floats(0.01, 0.99),
)  # fmt: skip
PERIODS = st.tuples(DAYS, DAYS).map(lambda days: Period(min(days), max(days)))
SOME = st.none() | TEXT
COSTS = st.dictionaries(st.sampled_from(Party), st.floats(0, 1e9), max_size=2)
GAINS = st.dictionaries(st.sampled_from(Party), ESTIMATES, max_size=3)


def menus(lever: Lever) -> st.SearchStrategy[tuple[Setting, ...]]:
    doses = st.fixed_dictionaries({}, optional={name: FLOATS for name in sorted(DOSES[lever])})
    one = st.builds(Setting, doses, COSTS, GAINS, st.none() | ESTIMATES, st.none() | FLOATS)
    return st.lists(one, min_size=1, max_size=3).map(tuple)


@st.composite
def actions(draw: st.DrawFn) -> Action:
    lever = draw(st.sampled_from(Lever))
    kind = draw(st.sampled_from(["product", "shop", "customers"]))
    units = st.lists(TEXT, max_size=40)
    reached = draw(st.builds(Assignment, TEXT, units | units.map(tuple))) if kind == "customers" else None
    subject = Subject(kind, draw(TEXT), draw(SOME), draw(SOME))
    return Action(draw(TEXT), lever, subject, draw(PERIODS), draw(menus(lever)), draw(st.sampled_from(Evidence)),
                  draw(TEXT), draw(st.none() | DAYS), reached)  # fmt: skip


SUMS = st.dictionaries(TEXT, FINITE, max_size=2)
PLANS = st.builds(
    Plan, TEXT, TEXT, FINITE, st.lists(st.builds(Choice, actions(), st.just(0)), max_size=2).map(tuple),
    st.dictionaries(TEXT, menus(Lever.PRICE).map(lambda menu: menu[0]), max_size=2), SUMS,
    st.dictionaries(st.sampled_from(Party), st.builds(Purse, FLOATS, FLOATS, FLOATS), max_size=2),
    st.lists(st.builds(Rule, TEXT, TEXT, TEXT, TEXT, FLOATS, FLOATS, st.booleans()), max_size=2).map(tuple),
    st.lists(st.builds(LeftOut, actions(), ESTIMATES, TEXT), max_size=2).map(tuple), GAINS, ESTIMATES, FLOATS, FLOATS,
)  # fmt: skip
KEYS = st.one_of(st.none(), st.integers(), TEXT, DAYS, st.sampled_from([*Party, *Evidence]))
VALUES = st.recursive(
    SCALARS | ESTIMATES | PERIODS,
    lambda parts: st.lists(parts, max_size=20) | st.lists(parts, max_size=20).map(tuple)
    | st.lists(TEXT, min_size=14, max_size=40) | st.dictionaries(KEYS, parts),
    max_leaves=30,
)  # fmt: skip
GRIDS = st.builds(
    Grid, st.lists(st.builds(Column, TEXT, TEXT, TEXT), max_size=3).map(tuple),
    st.lists(st.dictionaries(TEXT, SCALARS, max_size=3), max_size=3).map(tuple),
)  # fmt: skip
FINDINGS = st.builds(
    Finding, TEXT, TEXT, st.sampled_from(Evidence), st.dictionaries(TEXT, SCALARS | ESTIMATES, max_size=3),
    st.none() | GRIDS, st.none() | st.dictionaries(TEXT, VALUES, max_size=3), TEXT, FLOATS,
)  # fmt: skip
ORIGINS = st.builds(Provenance, TEXT, TEXT, TEXT, TEXT, TEXT, st.booleans(), st.lists(TEXT, max_size=2).map(tuple))
STUDIES = st.builds(
    Study, TEXT, TEXT, PERIODS, st.lists(FINDINGS, max_size=2).map(tuple), ORIGINS,
    st.dictionaries(TEXT, VALUES, max_size=2), st.lists(TEXT, max_size=2).map(tuple),
    st.lists(actions(), max_size=2).map(tuple),
)  # fmt: skip


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(VALUES)
def test_any_value_comes_back(value: Any) -> None:
    assert same(keeping.read(keeping.kept(value)), value)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STUDIES | PLANS | st.lists(actions(), max_size=3).map(tuple))
def test_studies_plans_and_actions_come_back(value: Any) -> None:
    text = keeping.kept(value)
    found = keeping.read(text)
    assert same(found, value)
    assert keeping.kept(found) == text


def test_every_frozen_dataclass_of_a_study_is_declared() -> None:
    spoken = {name for name, kind in vars(study).items() if dataclasses.is_dataclass(kind)}
    assert spoken - {"Deed"} == set(keeping.TYPES)  # what plans did is told to a store and stands in no study


@pytest.mark.parametrize("wing", ["performance", "fluctuation"])
def test_a_real_study_comes_back(market_store: Store, wing: str) -> None:
    found = studies.answer(wing, market_store, Period(date(2024, 1, 15), date(2024, 2, 11)))
    back = keeping.read(keeping.kept(found))
    assert back == found
    assert back.as_dict() == found.as_dict()


def test_numbers_of_numpy_become_those_of_python_and_any_mapping_a_dictionary() -> None:
    given_ = [np.float64(1.5), np.float32(0.5), np.int64(3), np.bool_(True), MappingProxyType({Party.BRAND: 1})]
    found = keeping.read(keeping.kept(given_))
    assert same(found, [1.5, 0.5, 3, True, {Party.BRAND: 1}])


def test_many_customers_take_little_room() -> None:
    customers = [f"customer-{n}" for n in range(70_000)]
    lists = [tuple(customers[n:]) for n in range(4)]
    text = keeping.kept(lists)
    assert keeping.read(text) == lists
    assert len(text) < 4 * 70_000 * 6 + sum(map(len, customers)) + 4 * len(customers)


@pytest.mark.parametrize("value", [{1, 2}, b"1", Scope(), np.arange(3), range(3), object(), [10**5000], [lambda: 1]])
def test_what_cannot_be_kept_is_refused(value: Any) -> None:
    with pytest.raises(BadInputError, match="cannot be kept"):
        keeping.kept(value)


def changed(kept: Any, **parts: Any) -> str:
    return json.dumps({**json.loads(keeping.kept(kept)), **parts})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "cannot be read"),
        ("[]", "keeps no value"),
        ("{}", "keeps no value"),
        ("[" * 100_000, "cannot be read"),
        (changed(1, format=2), "another format"),
        (changed(1, value=math.nan), "cannot be read"),
        (changed(1, value=[]), "cannot be read"),
        (changed(1, value=[[1]]), "cannot be read"),
        (changed(1, value=["os.system", "true"]), "not known here"),
        (changed(1, value=["Scope", None]), "not known here"),
        (changed(1, value=["tuple", ["Evidence", "rumour"]]), "cannot be read"),
        (changed(1, types={"Popen": ["args"]}), "not known here"),
        (changed(1, types={"Purse": ["limit", "spent", "worth", "colour"]}), "no such field"),
        (changed(1, types={"Purse": ["limit"]}, value=["Purse", 1.0]), "cannot be read"),
        (changed(1, types={"Purse": ["limit", "spent", "worth"]}, value=["Purse", 1.0]), "cannot be read"),
        (changed(1, value=["map", 1]), "cannot be read"),
        (changed(1, value=["texts", "list", "<u2", "AQ=="]), "cannot be read"),
        (changed(1, value=["texts", "list", "<u2", "AQA="]), "cannot be read"),
        (changed(1, value=["texts", "list", "O", "AQA="]), "cannot be read"),
        (changed(1, value=["texts", "list", "<u2", "%%%%"]), "cannot be read"),
        (changed(1, value=["decimal", "many"]), "cannot be read"),
        (changed(1, value=["day", "2025-13-01"]), "cannot be read"),
        (changed(1, value=["moment", "2025-01-01", 0, "Mars/Base"]), "cannot be read"),
        (changed(Estimate(1.0, 0.5, 2.0), value=["Estimate", 1.0, 2.0, 0.5, 0.9]), "out of order"),
    ],
)
def test_what_is_no_such_text_is_refused(text: str, said: str) -> None:
    with pytest.raises(BadInputError, match=said):
        keeping.read(text)


def test_a_field_that_was_added_since_takes_its_default() -> None:
    text = changed(1, types={"Provenance": ["source", "licence", "notice", "currency", "timezone"]},
                   value=["Provenance", "s", "l", "n", "EUR", "UTC"])  # fmt: skip
    assert keeping.read(text) == Provenance("s", "l", "n", "EUR", "UTC")


def test_decimals_and_days_stay_what_they_are() -> None:
    value = {"a": Decimal("1.50"), "b": (date(2025, 1, 2), [datetime(2025, 1, 2, tzinfo=UTC)])}
    assert same(keeping.read(keeping.kept(value)), value)
