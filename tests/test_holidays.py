"""Public holidays, as what a forecast knows ahead."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest

from tradewind.holidays import REGRESSOR, countries, holidays_as_known
from tradewind.methods.expect import Expect


@pytest.mark.parametrize(
    ("country", "day"),
    [("US", date(2017, 11, 23)), ("BR", date(2018, 9, 7)), ("GB", date(2010, 12, 27)), ("DE", date(2024, 10, 3))],
)
def test_holidays_are_where_the_law_puts_them(country: str, day: date) -> None:
    [flags] = holidays_as_known(country, day - timedelta(days=3), 5).values()
    assert flags[3] == 1
    assert country in countries()


def test_no_country_or_no_holiday_is_no_regressor() -> None:
    assert holidays_as_known("", date(2024, 1, 1), 400) == {}
    assert holidays_as_known("US", date(2024, 8, 1), 20) == {}


def test_a_holiday_to_come_is_expected_as_those_before_were() -> None:
    """Half is sold on a holiday: known of, it is expected; not known of, a usual day is."""
    first, count = date(2023, 1, 1), 358  # up to Christmas Eve
    known = holidays_as_known("US", first, count + 7)
    draw = np.random.default_rng(5)
    weekday = np.array([1 + 0.2 * ((first + timedelta(days=n)).weekday() == 5) for n in range(count + 7)])
    truth = 100 * weekday * (1 - 0.5 * known[REGRESSOR])
    days = np.arange(count) + first.toordinal()
    past = truth[:count] * np.exp(draw.normal(0, 0.03, count))
    at = int(np.flatnonzero(known[REGRESSOR][count:])[0])
    told = Expect(draws=300)(past, 7, days=days, known=known)
    untold = Expect(draws=300)(past, 7, days=days)
    assert told.mid[at] == pytest.approx(truth[count + at], rel=0.1)
    assert told.low[at] < truth[count + at] < told.high[at] < untold.mid[at]
