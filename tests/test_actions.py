"""Actions say what they set, what it costs and whom it reaches; what makes no sense is refused."""

from __future__ import annotations

from datetime import date

import pytest

from tradewind.errors import BadInputError
from tradewind.period import Period
from tradewind.study import Action, Assignment, Choice, Lever, Party, Setting, Subject, jsonable

WEEK = Period(date(2025, 3, 3), date(2025, 3, 9))
PRICE = Setting({"off": 0.2}, {Party.MERCHANT: 10.0})


def test_a_choice_is_a_place_in_a_menu() -> None:
    action = Action("a", Lever.PRICE, Subject("product", "p1", "s1"), WEEK, (PRICE, Setting({"off": 0.3}, {})))
    assert Choice(action, 1).setting.dose == {"off": 0.3}
    assert jsonable(action)["lever"] == "price"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Action("a", Lever.PRICE, Subject("product", "p1"), WEEK, ()), "at least one setting"),
        (lambda: Action("a", Lever.TRAFFIC, Subject("product", "p1"), WEEK, (PRICE,)), "says something else"),
        (lambda: Action("a", Lever.OUTREACH, Subject("customers", "x"), WEEK, (Setting({}, {}),)),
         "names the customers"),
        (lambda: Action("a", Lever.PRICE, Subject("product", "p1"), WEEK, (PRICE,), assignment=Assignment("x", [])),
         "names the customers"),
        (lambda: Subject("moon", "1"), "pulled on something else"),
        (lambda: Setting({"off": 0.1}, {Party.BRAND: -1.0}), "nothing or more"),
        (lambda: Setting({"off": 0.1}, {Party.BRAND: float("nan")}), "nothing or more"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(make: object, words: str) -> None:
    with pytest.raises(BadInputError, match=words):
        make()
