"""Budgets and rules as people write them."""

from __future__ import annotations

import math

import pytest

from tradewind.decisions.plan import budgets, rules
from tradewind.errors import BadInputError
from tradewind.study import Party


def test_budgets_are_read() -> None:
    assert budgets(["platform=50,000", "merchant = 2e4EUR"], "EUR") == {
        Party.PLATFORM: 50_000.0,
        Party.MERCHANT: 20_000.0,
    }


@pytest.mark.parametrize(
    ("text", "currency", "told"),
    [("5k", "EUR", 5e3), ("2.01k", "EUR", 2010.0), ("1.5m", "EUR", 1.5e6), ("1.5M", "EUR", 1.5e6),
     ("20,000k", "EUR", 2e7), ("5kEUR", "EUR", 5e3), ("5MXN", "MXN", 5.0), ("5KRW", "KRW", 5.0), ("5MMXN", "MXN", 5e6)],
)  # fmt: skip
def test_thousands_and_millions_are_read(text: str, currency: str, told: float) -> None:
    assert budgets([f"platform={text}"], currency) == {Party.PLATFORM: told}


def test_rules_read_money_as_budgets_do() -> None:
    assert [rule.most for rule in rules(["shop<=2k", "coupon<=1,500", "price<=1.5M"])] == [2e3, 1.5e3, 1.5e6]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["platform=4.000k"], "two ways"),
        (["platform=1,5k"], "two ways"),
        (["platform=k"], "cannot be read"),
        (["platform=5kk"], "cannot be read"),
        (["platform=-5"], "nothing or more"),
        (["platform=1e999"], "nothing or more"),
        (["shop=5"], "no such payer"),
        (["platform"], "cannot be read"),
        (["platform=1,50"], "two ways"),
        (["platform=1.000,50"], "two ways"),
        (["platform=50000", "merchant=1", "platform=50000"], "platform is given two budgets"),
        (["platform=5e"], "amount of money"),
        (["platform=50USD"], "another currency"),
        ([], "needs a budget"),
    ],
)
def test_budgets_that_make_no_sense(given: list[str], words: str) -> None:
    with pytest.raises(BadInputError, match=words):
        budgets(given, "EUR")


def test_rules_are_read() -> None:
    cap, count, floor, words = rules(
        ["coupon <= 20%", "shop=S 1".replace(" ", "") + " actions<=3", "shop>=5", "all gain"]
    )
    assert (cap.of, cap.counts, cap.most, cap.share) == ("coupon", "spend", 0.2, True)
    assert (count.of, count.id, count.counts, count.most) == ("shop", "S1", "actions", 3.0)
    assert (floor.most, floor.least) == (math.inf, 5.0)
    assert words.of == "all gain"


@pytest.mark.parametrize(
    "text",
    ["coupon", "moon<=5", "coupon=C1<=5", "shop actions<=20%", "shop<=-5", "coupon<5", "coupon<=200%", "shop<=1,50"],
)
def test_rules_that_cannot_be_read(text: str) -> None:
    with pytest.raises(BadInputError, match=r"cannot be read|not of actions|up to 100%|two ways"):
        rules([text])
