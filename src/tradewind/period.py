"""Periods: whole days in the store's timezone, first and last included."""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from tradewind.errors import BadInputError, MissingDataError

_WEEK = timedelta(days=7)
ALLOWED = (
    "2017, 2017-Q2, 2017-06, 2017-W23, 2017-06-01, 2017-06-01..2017-06-14, last-28d, last-week, last-month, "
    "last-quarter or all"
)


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """A run of whole days.

    Args:
        first: First day.
        last: Last day, included.

    Raises:
        BadInputError: If the last day is before the first.
    """

    first: date
    last: date

    def __post_init__(self) -> None:
        if self.last < self.first:
            raise BadInputError("The period ends before it begins", got=f"{self.first}..{self.last}")

    def __str__(self) -> str:
        return f"{self.first}..{self.last}"

    def __contains__(self, day: object) -> bool:
        return isinstance(day, date) and not isinstance(day, datetime) and self.first <= day <= self.last

    @property
    def days(self) -> int:
        """Number of days."""
        return (self.last - self.first).days + 1

    @property
    def is_month(self) -> bool:
        """Whether the period is exactly one calendar month."""
        return self == _month(self.first.year, self.first.month)

    @property
    def months(self) -> int:
        """Number of calendar months, quarters and years among them, that the period is exactly; 0 where it is none."""
        count = (self.last.year - self.first.year) * 12 + self.last.month - self.first.month + 1
        whole = self.first.day == 1 and (self.last + timedelta(days=1)).day == 1
        return count if whole and count in (1, 3, 12) and (self.first.month - 1) % count == 0 else 0

    @property
    def title(self) -> str:
        """The period as a reader would say it."""
        if self.days == 1:
            return f"{self.first:%a} {self.first.day} {self.first:%b %Y}"
        if self.is_month:
            return f"{self.first:%B %Y}"
        if self == Period(date(self.first.year, 1, 1), date(self.first.year, 12, 31)):
            return str(self.first.year)
        same = self.first.year == self.last.year
        head = f"{self.first.day} {self.first:%b}" + ("" if same else f" {self.first.year}")
        return f"{head} to {self.last.day} {self.last:%b %Y}"

    @property
    def during(self) -> str:
        """The period in a sentence: in December 2017, on Mon 4 Dec 2017, from 2 Aug to 29 Aug 2025."""
        if self.days == 1:
            return f"on {self.title}"
        return f"from {self.title}" if " to " in self.title else f"in {self.title}"

    @property
    def previous(self) -> Period:
        """The comparable period just before: the month before a month (quarter, year), else as many days before.

        Whole weeks keep the weekdays aligned: ten days are compared with the ten days that began two weeks earlier.
        """
        if self.months:
            end = self.first - timedelta(days=1)
            index = end.year * 12 + end.month - self.months
            return Period(date(index // 12, index % 12 + 1, 1), end)
        back = _WEEK * -(-self.days // 7)
        return Period(self.first - back, self.last - back)

    @property
    def last_year(self) -> Period:
        """The same period a year before: the same months, else 364 days back so that the weekdays align."""
        if self.months:
            return Period(
                self.first.replace(year=self.first.year - 1), _month(self.last.year - 1, self.last.month).last
            )
        return Period(self.first - 52 * _WEEK, self.last - 52 * _WEEK)

    def starting(self, days: int) -> Period:
        """Return the first days of the period: so many, or all where it has no more."""
        return Period(self.first, min(self.last, self.first + timedelta(days=days - 1)))

    def end(self, timezone: str) -> datetime:
        """Return the moment in UTC, as tables hold moments, at which the last day ends in a timezone."""
        after = datetime.combine(self.last + timedelta(days=1), time(), ZoneInfo(timezone))
        return after.astimezone(UTC).replace(tzinfo=None)

    def clipped(self, span: Period) -> Period | None:
        """Return the part of the period inside `span`, or None where they do not meet."""
        first, last = max(self.first, span.first), min(self.last, span.last)
        return Period(first, last) if first <= last else None

    def within(self, span: Period) -> Period:
        """Return the part of the period that lies within the days of the data.

        Raises:
            MissingDataError: If none of it does.
        """
        if (seen := self.clipped(span)) is None:
            raise MissingDataError(
                "The period lies outside the data", got=self, allowed=f"days from {span.first} to {span.last}",
                do="choose a period inside",
            )  # fmt: skip
        return seen


def parse_period(text: str, span: Period) -> Period:
    """Read a period as a person writes it.

    Args:
        text: One of the forms in `ALLOWED`. The relative ones count back from the last day of `span`; `last-week`,
            `last-month` and `last-quarter` are the last complete ones.
        span: The days that the store holds.

    Returns:
        The period; it may reach beyond the span.

    Raises:
        BadInputError: If the text is none of the allowed forms or names days that do not exist.
    """
    text = text.strip().lower()
    try:
        if text == "all":
            return span
        if match := re.fullmatch(r"last-(\d{1,4})d", text):
            return Period(span.last - timedelta(days=int(match[1]) - 1), span.last)
        if match := re.fullmatch(r"last-(week|month|quarter)", text):
            return _last_complete(match[1], span.last)
        if ".." in text:
            first, last = text.split("..", 1)
            return Period(parse_period(first, span).first, parse_period(last, span).last)
        if match := re.fullmatch(r"(\d{4})(?:-(?:q([1-4])|w(\d{1,2})|(\d{1,2})(?:-(\d{1,2}))?))?", text):
            return _calendar(*(int(part) if part else None for part in match.groups()))
    except (ValueError, OverflowError) as error:
        raise BadInputError(f"The period names days that do not exist ({error})", got=text, allowed=ALLOWED) from error
    raise BadInputError("The period cannot be read", got=text or "nothing", allowed=ALLOWED)


def _calendar(year: int | None, quarter: int | None, week: int | None, month: int | None, day: int | None) -> Period:
    if year is None:
        raise ValueError("a period needs a year")
    if quarter is not None:
        return Period(date(year, 3 * quarter - 2, 1), _month(year, 3 * quarter).last)
    if week is not None:
        monday = date.fromisocalendar(year, week, 1)
        return Period(monday, monday + timedelta(days=6))
    if month is None:
        return Period(date(year, 1, 1), date(year, 12, 31))
    if day is None:
        return _month(year, month)
    return Period(date(year, month, day), date(year, month, day))


def _month(year: int, month: int) -> Period:
    return Period(date(year, month, 1), date(year, month, calendar.monthrange(year, month)[1]))


def _last_complete(unit: str, today: date) -> Period:
    after = today + timedelta(days=1)
    if unit == "week":
        sunday = after - timedelta(days=after.isoweekday())
        return Period(sunday - timedelta(days=6), sunday)
    if unit == "month":
        end = after.replace(day=1) - timedelta(days=1)
        return _month(end.year, end.month)
    first = after.replace(month=3 * ((after.month - 1) // 3) + 1, day=1)
    end = first - timedelta(days=1)
    return Period(end.replace(month=end.month - 2, day=1), end)
