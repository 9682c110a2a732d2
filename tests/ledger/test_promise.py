"""A promise is kept to the last digit, and read back as it was."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import numpy as np
import pytest
from deeds import WEEK, coupon, price, promise, setting
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tradewind.errors import BadInputError
from tradewind.ledger import Promise
from tradewind.ledger.chain import canonical
from tradewind.ledger.promise import choice_read, number, promise_said, setting_read
from tradewind.period import Period
from tradewind.study import DOSES, Action, Assignment, Choice, Estimate, Evidence, Lever, Party, Setting, Subject

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=20)


@st.composite
def estimates(draw: st.DrawFn) -> Estimate:
    low, mid, high = sorted(draw(st.lists(NUMBERS, min_size=3, max_size=3)))
    return Estimate(mid, low, high, draw(st.floats(0.01, 0.99)))


@st.composite
def choices(draw: st.DrawFn) -> Choice:
    lever = draw(st.sampled_from(Lever))
    party = st.sampled_from(Party)
    menu = draw(
        st.lists(
            st.builds(
                Setting,
                st.fixed_dictionaries({}, optional={dose: NUMBERS for dose in DOSES[lever]}),
                st.dictionaries(party, st.floats(0, allow_infinity=False)),
                st.dictionaries(party, estimates(), min_size=1),
                st.none() | estimates(),
                st.none() | NUMBERS,
            ),
            min_size=1,
            max_size=3,
        )
    )
    kind = draw(st.sampled_from(["product", "shop", "customers"]))
    first = draw(st.dates(date(2000, 1, 1), date(2100, 1, 1)))
    units = draw(st.lists(NAMES, unique=True, min_size=1, max_size=4).map(sorted).map(tuple))
    action = Action(
        draw(NAMES), lever, Subject(kind, draw(NAMES), draw(st.none() | NAMES), draw(st.none() | NAMES)),
        Period(first, first + timedelta(days=draw(st.integers(0, 400)))), tuple(menu), draw(st.sampled_from(Evidence)),
        draw(st.text(st.characters(codec="utf-8"))), draw(st.none() | st.dates()),
        Assignment(draw(NAMES), units) if kind == "customers" else None,
    )  # fmt: skip
    return Choice(action, draw(st.integers(0, len(menu) - 1)))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(choices())
def test_what_was_chosen_is_read_back_as_it_was(choice: Choice) -> None:
    said = promise_said(Promise(choice, 0.1))
    text = canonical(said)
    assert text == canonical(json.loads(text))
    assert text.isascii()
    units = choice.action.assignment.units if choice.action.assignment else ()
    assert choice_read(json.loads(text), tuple(units)) == choice
    again = Promise(choice_read(json.loads(text), tuple(units)), 0.1)
    assert canonical(promise_said(again)) == text


def test_the_text_holds_no_number_that_a_reader_could_round() -> None:
    text = canonical(promise_said(promise(coupon("a", ["c1"]))))
    found: list[object] = []
    json.loads(text, parse_float=found.append, parse_int=found.append)
    assert found == []


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.1, "0.1"), (1e300, "1e+300"), (-0.0, "-0.0"), (3, "3"), (Decimal("12.3400"), "12.3400"),
        (Decimal("1E+2"), "100"), (np.float64(0.1), "0.1"), (np.int64(3), "3"),
    ],
)  # fmt: skip
def test_numbers_are_exact(value: object, text: str) -> None:
    assert number(value, "It") == text


@pytest.mark.parametrize("value", [math.nan, math.inf, None, "1", True, Decimal("NaN")])
def test_what_is_no_number(value: object) -> None:
    with pytest.raises(BadInputError, match="not a finite number"):
        number(value, "It")


def test_what_was_predicted_before_a_calibration_is_kept_beside() -> None:
    raw = setting({"off": 0.1}, Estimate(30.0, 10.0, 50.0))
    said = promise_said(Promise(Choice(price("a", "p1"), 0), 0.1, raw=raw))
    assert setting_read(said["raw"]) == raw
    with pytest.raises(BadInputError, match="promises nothing"):
        promise_said(Promise(Choice(price("a", "p1"), 0), 0.1, raw=replace(raw, gain={}, joint=None)))


@pytest.mark.parametrize("holdout", [-0.1, 1.0, 2.0, math.nan])
def test_a_share_out_of_range(holdout: float) -> None:
    with pytest.raises(BadInputError, match="share held out"):
        promise(price("a", "p1", days=WEEK), holdout)


@pytest.mark.parametrize("place", [-1, 1])
def test_a_place_that_the_menu_does_not_have(place: int) -> None:
    with pytest.raises(BadInputError, match="no such place"):
        Promise(Choice(price("a", "p1"), place))
