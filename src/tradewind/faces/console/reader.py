"""Reader: how numbers and days are written for whoever looks at a page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from typing import Any

from babel import Locale, UnknownLocaleError, negotiate_locale

from tradewind.money import human
from tradewind.study import Estimate

WORDS = frozenset({"text", "day"})
LOCALES = (
    "en", "en_GB", "en_IN", "de", "de_CH", "fr", "es", "es_MX", "pt", "pt_BR", "it", "nl", "pl", "cs", "sv", "da", "nb",
    "fi", "tr", "ru", "uk", "el", "hu", "ro", "id", "vi", "th", "ja", "ko", "zh", "zh_TW",
)  # fmt: skip
NARROW = "\u202f"


@dataclass(frozen=True)
class Reader:
    """How numbers are written for a reader; the words of the pages are English.

    Args:
        locale: The reader's locale, such as `de`.
        decimal: What stands before decimals.
        group: What stands between thousands.
    """

    locale: str
    decimal: str
    group: str

    @classmethod
    def of(cls, accept: str) -> Reader:
        """Return the reader of an Accept-Language header; an English one where nothing in it is known."""
        wanted = [part.split(";")[0].strip().replace("-", "_") for part in accept[:200].split(",")]
        return _reader(negotiate_locale([name for name in wanted if name], LOCALES) or "en")

    def human(self, value: Any, unit: str, currency: str = "", *, signed: bool = False) -> str:
        """Write a number as this reader reads it, as `money.human` does for an English one."""
        said = human(value, unit, currency, signed=signed)
        return said if unit in WORDS or value is None else self.said(said)

    def said(self, text: str) -> str:
        """Return an English number in this reader's signs."""
        if (self.decimal, self.group) == (".", ","):
            return text
        return text.translate({ord("."): self.decimal, ord(","): self.group})

    def band(self, value: Estimate, unit: str, currency: str) -> str:
        """Write only the ends of an interval."""
        low, high = (self.human(end, unit, currency) for end in (value.low, value.high))
        return f"{low} to {high}"

    def day(self, day: date) -> str:
        """Write a day: ISO 8601 is read alike everywhere."""
        return day.isoformat()

    def moment(self, text: str | None) -> str:
        """Write a moment that is kept in ISO 8601, to the minute, in UTC."""
        return "" if not text else f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M} UTC"


@cache
def _reader(name: str) -> Reader:
    try:
        symbols = Locale.parse(name).number_symbols["latn"]
    except UnknownLocaleError:
        return Reader("en", ".", ",")
    group = symbols["group"]
    return Reader(name, symbols["decimal"], NARROW if group.isspace() else group)
