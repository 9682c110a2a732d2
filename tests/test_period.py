from __future__ import annotations

import contextlib
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind.errors import BadInputError, MissingDataError
from tradewind.period import Period, parse_period

SPAN = Period(date(2016, 9, 4), date(2018, 9, 3))
days = st.dates(date(1990, 1, 1), date(2100, 12, 31))
periods = st.builds(lambda first, more: Period(first, first + timedelta(days=more)), days, st.integers(0, 800))
months = st.builds(lambda day: parse_period(f"{day:%Y-%m}", SPAN), days)


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2017", "2017-01-01", "2017-12-31"),
        ("2017-Q1", "2017-01-01", "2017-03-31"),
        ("2017-q4", "2017-10-01", "2017-12-31"),
        ("2017-06", "2017-06-01", "2017-06-30"),
        ("2016-02", "2016-02-01", "2016-02-29"),
        (" 2017-6 ", "2017-06-01", "2017-06-30"),
        ("2017-W01", "2017-01-02", "2017-01-08"),
        ("2018-W1", "2018-01-01", "2018-01-07"),
        ("2015-W53", "2015-12-28", "2016-01-03"),
        ("2017-06-01", "2017-06-01", "2017-06-01"),
        ("2017-06-01..2017-06-14", "2017-06-01", "2017-06-14"),
        ("2017-Q1..2017-W20", "2017-01-01", "2017-05-21"),
        ("all", "2016-09-04", "2018-09-03"),
        ("last-1d", "2018-09-03", "2018-09-03"),
        ("last-28d", "2018-08-07", "2018-09-03"),
        ("last-week", "2018-08-27", "2018-09-02"),
        ("last-month", "2018-08-01", "2018-08-31"),
        ("last-quarter", "2018-04-01", "2018-06-30"),
    ],
)
def test_forms(text: str, first: str, last: str) -> None:
    assert parse_period(text, SPAN) == Period(date.fromisoformat(first), date.fromisoformat(last))


@pytest.mark.parametrize(
    ("last", "text", "wanted"),
    [
        ("2018-09-02", "last-week", "2018-08-27..2018-09-02"),  # a Sunday ends its own week
        ("2018-08-31", "last-month", "2018-08-01..2018-08-31"),
        ("2018-03-31", "last-quarter", "2018-01-01..2018-03-31"),
        ("2018-03-30", "last-quarter", "2017-10-01..2017-12-31"),
        ("2018-01-15", "last-month", "2017-12-01..2017-12-31"),
    ],
)
def test_the_last_complete(last: str, text: str, wanted: str) -> None:
    assert str(parse_period(text, Period(SPAN.first, date.fromisoformat(last)))) == wanted


@pytest.mark.parametrize(
    "text",
    ["", "soon", "2017-13", "2017-00", "2017-06-31", "2017-02-29", "2017-W54", "2017-W00", "2017-Q5", "0000", "last-0d",
     "2017-06-14..2017-06-01", "2017..", "..", "17-06", "2017-06-01-02", "last-99999d", "9999-W53", "2017-W53"],
)  # fmt: skip
def test_what_cannot_be_read_is_said(text: str) -> None:
    with pytest.raises(BadInputError) as raised:
        parse_period(text, SPAN)
    assert raised.value.status == 400


@given(st.text(max_size=24))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(BadInputError):
        assert parse_period(text, SPAN).days >= 1


@given(periods)
def test_its_own_text_is_read_back(period: Period) -> None:
    assert parse_period(str(period), SPAN) == period


@given(days)
def test_iso_weeks_are_read(day: date) -> None:
    year, week, weekday = day.isocalendar()
    found = parse_period(f"{year}-W{week:02d}", SPAN)
    assert found.days == 7
    assert found.first + timedelta(days=weekday - 1) == day


@given(periods.filter(lambda period: not period.is_month))
def test_what_went_before_has_the_same_length_and_weekdays(period: Period) -> None:
    for before in (period.previous, period.last_year):
        assert before.days == period.days
        assert before.first.weekday() == period.first.weekday()
        assert before.last < period.last
    assert period.previous.last < period.first, "a period is never compared with a part of itself"
    assert period.first - period.previous.last <= timedelta(days=7), "nor with one further back than need be"
    assert period.first - period.last_year.first == timedelta(days=364)


@given(months)
def test_months_are_compared_with_months(month: Period) -> None:
    assert month.previous.is_month
    assert month.previous.last + timedelta(days=1) == month.first
    assert month.last_year.is_month
    assert (month.last_year.first.year, month.last_year.first.month) == (month.first.year - 1, month.first.month)


@given(periods, periods)
def test_a_clipped_period_lies_in_both(one: Period, other: Period) -> None:
    both = one.clipped(other)
    assert both == other.clipped(one)
    if both is None:
        assert one.last < other.first or other.last < one.first
        with pytest.raises(MissingDataError, match="outside the data"):
            one.within(other)
    else:
        assert one.within(other) == both
        assert {both.first, both.last} <= {one.first, one.last, other.first, other.last}
        assert all(day in one and day in other for day in (both.first, both.last))


@given(periods, days)
def test_days_inside(period: Period, day: date) -> None:
    assert (day in period) == (0 <= (day - period.first).days < period.days)


def test_text_is_no_day() -> None:
    assert "2017-06-01" not in SPAN


def test_a_period_ends_after_it_begins() -> None:
    with pytest.raises(BadInputError, match="ends before it begins"):
        Period(date(2017, 6, 2), date(2017, 6, 1))


@pytest.mark.parametrize(
    ("text", "title", "during"),
    [
        ("2017", "2017", "in 2017"),
        ("2017-02", "February 2017", "in February 2017"),
        ("2017-06-01", "Thu 1 Jun 2017", "on Thu 1 Jun 2017"),
        ("2017-06-01..2017-06-14", "1 Jun to 14 Jun 2017", "from 1 Jun to 14 Jun 2017"),
        ("2016-12-26..2017-01-01", "26 Dec 2016 to 1 Jan 2017", "from 26 Dec 2016 to 1 Jan 2017"),
    ],
)
def test_titles(text: str, title: str, during: str) -> None:
    period = parse_period(text, SPAN)
    assert (period.title, period.during) == (title, during)
