from __future__ import annotations

import math
from datetime import date
from decimal import Context, Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.errors import BadInputError
from tradewind.money import apportioned, cents, human, smallest
from tradewind.study import Estimate


@pytest.mark.parametrize(
    ("amount", "rounded"),
    [
        ("0.005", "0.00"),
        ("0.015", "0.02"),
        ("-0.005", "0.00"),
        ("2.675", "2.68"),
        ("1.0049", "1.00"),
        ("-1.015", "-1.02"),
    ],
)
def test_cents_round_half_to_even(amount: str, rounded: str) -> None:
    assert cents(Decimal(amount)) == Decimal(rounded)
    assert cents(float(amount)) == Decimal(rounded), "a float is read as it is written, not as it is stored"


def test_some_currencies_have_no_cents() -> None:
    assert [smallest(currency) for currency in ("VND", "JPY", "IDR", "BRL")] == [1, 1, Decimal("0.01"), Decimal("0.01")]


@given(st.decimals(-(10**12), 10**12, places=4))
def test_cents_are_the_nearest(amount: Decimal) -> None:
    assert abs(cents(amount) - amount) <= Decimal("0.005")
    assert cents(cents(amount)) == cents(amount)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (None, "money", "unknown"),
        (float("nan"), "share", "unknown"),
        (Decimal("12.5"), "money", "R$12.50"),
        (Decimal("-12.5"), "money", "−R$12.50"),
        (0, "money", "R$0.00"),
        (999.4, "money", "R$999.40"),
        (1234, "money", "R$1,234"),
        (9999, "money", "R$9,999"),
        (10_000, "money", "R$10.0k"),
        (123_456, "money", "R$123k"),
        (999_600, "money", "R$1.00M"),
        (Decimal("1240000.1234"), "money", "R$1.24M"),
        (2.5e9, "money", "R$2.50B"),
        (3e12, "money", "R$3.00T"),
        (0.032, "share", "3.20%"),
        (1.5, "share", "150%"),
        (-0.0512, "points", "−5.12 pp"),
        (3, "days", "3.00 days"),
        (1234, "count", "1,234"),
        (18_400, "count", "18.4k"),
        (2.345, "ratio", "2.35"),
        (123.45, "ratio", "123.5"),
        (date(2017, 6, 1), "day", "2017-06-01"),
        ("Crème", "text", "Crème"),
        ("Tea\r\nHouse", "text", "Tea House"),
    ],
)
def test_numbers_as_a_person_reads_them(value: Any, unit: str, text: str) -> None:
    assert human(value, unit, "BRL") == text


def test_a_gain_carries_its_sign_where_asked() -> None:
    assert human(18_400, "money", "USD", signed=True) == "+$18.4k"
    assert human(-18_400, "money", "USD", signed=True) == "−$18.4k"
    assert human(0, "money", "USD", signed=True) == "$0.00"


def test_an_estimate_carries_its_interval() -> None:
    assert human(Estimate(10, -2, 22), "money", "EUR") == "€10.00 (−€2.00 to €22.00)"


def test_a_currency_without_a_symbol_is_named() -> None:
    assert human(5, "money", "SEK") == "SEK 5.00"
    assert human(5, "money") == "5.00"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "¥0"), (0.25, "¥0.25"), (9, "¥9"), (9.999, "¥10.00"), (12.5, "¥12"), (999.4, "¥999"), (1234, "¥1,234")],
)
def test_a_currency_without_cents_has_none(value: float, text: str) -> None:
    assert human(value, "money", "JPY") == text
    assert human(12.5, "money", "CNY") == "¥12.50"


@given(st.floats(0, 1e15), st.floats(0, 1e15), st.sampled_from(["money", "count", "share", "ratio"]))
def test_more_never_reads_as_less(one: float, other: float, unit: str) -> None:
    less, more = sorted((one, other))
    assert size(human(less, unit)) <= size(human(more, unit))


@given(st.floats(0.01, 1e14))
def test_what_is_read_is_near_the_number(number: float) -> None:
    assert size(human(number, "money")) == pytest.approx(number, rel=0.0051, abs=0.0051)


def size(text: str) -> float:
    """Return the number that a reader takes from the text."""
    steps = {"k": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}
    text = text.replace(",", "").rstrip("%")
    return float(text.rstrip("kMBT")) * steps.get(text[-1], 1)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(-0.004, "money", "$0.00"), (0.004, "money", "$0.00"), (-0.006, "money", "−$0.01"), (0.4, "count", "0"),
     (-0.00001, "share", "0.00%"), (-0.00001, "points", "0.00 pp"), (-0.001, "days", "0.00 days"),
     (-0.0001, "ratio", "−0.0001")],
)  # fmt: skip
def test_what_reads_as_nothing_has_no_sign(value: float, unit: str, text: str) -> None:
    assert human(value, unit, "USD", signed=True) == text


@pytest.mark.parametrize(
    ("parts", "total", "quantum", "expected"),
    [
        ([10 / 3] * 3, "10.00", "0.01", ["3.34", "3.33", "3.33"]),
        ([-10 / 3] * 3, "-10.00", "0.01", ["-3.33", "-3.33", "-3.34"]),
        ([0.005, 0.005], "0.01", "0.01", ["0.01", "0.00"]),
        ([2.9999999999, -1.0], "2.00", "0.01", ["3.00", "-1.00"]),
        ([3.0, 2.0], "4.99", "0.01", ["3.00", "1.99"]),
        ([0.0, 0.0], "0.00", "0.01", ["0.00", "0.00"]),
        ([1.4, 1.6], "3", "1", ["1", "2"]),
        ([0.1], "0.1000", "0.0001", ["0.1000"]),
        ([1e15 / 3] * 3, "1000000000000000.00", "0.01", ["333333333333333.34"] + ["333333333333333.33"] * 2),
        ([1.0, 2.0, 1e16 + 2], "10000000000000009", "1", ["3", "3", "10000000000000003"]),
    ],
)
def test_parts_are_rounded_to_the_total(parts: list[float], total: str, quantum: str, expected: list[str]) -> None:
    rounded = apportioned(parts, Decimal(total), Decimal(quantum))
    assert [str(value) for value in rounded] == expected


@settings(max_examples=150, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30))
def test_parts_sum_to_the_total_and_stay_near(parts: list[float]) -> None:
    total = Decimal(repr(math.fsum(parts))).quantize(Decimal("0.01"))
    rounded = apportioned(parts, total)
    assert sum(rounded) == total
    assert max(abs(float(value) - part) for value, part in zip(rounded, parts, strict=True)) <= 0.01 + 1e-6


@settings(max_examples=150, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30), st.integers(6, 25))
def test_parts_of_any_size_sum_to_the_total(parts: list[float], size: int) -> None:
    parts = [part * 10.0**size for part in parts]
    total = Decimal(repr(math.fsum(parts))).quantize(Decimal("0.01"), context=Context(prec=100))
    assert sum(map(Fraction, apportioned(parts, total))) == Fraction(total)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (([], Decimal(0)), "can be rounded"),
        (([math.nan], Decimal(0)), "can be rounded"),
        (([1.0], Decimal("1.001")), "whole number of quanta"),
        (([1.0], Decimal("1.00"), Decimal(0)), "whole number of quanta"),
        (([1.0], Decimal("NaN")), "whole number of quanta"),
        (([1.0], Decimal("2.00")), "do not sum"),
        (([1e14], Decimal(10**14 + 3)), "do not sum"),
        (([1.0], Decimal("1.00"), Decimal("0.01"), math.inf), "finite"),
    ],
)
def test_parts_that_cannot_be_rounded(arguments: tuple[Any, ...], words: str) -> None:
    with pytest.raises(BadInputError, match=words):
        apportioned(*arguments)
