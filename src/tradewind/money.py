"""Money and the other units: exact in the store, readable on the page."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import date, datetime
from decimal import MAX_PREC, ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from typing import Any

from tradewind.errors import BadInputError
from tradewind.study import Estimate

CENT = Decimal("0.01")
ROUNDING = 1e-14  # of an amount, by which floats that were multiplied and added a few times may miss it
_EXACT = Context(prec=MAX_PREC)
_GROUPED = re.compile(r"^[-+]?\d{1,3}(,\d{3})+(\.\d*)?$")
_TWO_WAYS = re.compile(r"^[-+]?[1-9]\d{0,2}\.\d{3}$")
SYMBOLS = {"USD": "$", "GBP": "£", "EUR": "€", "BRL": "R$", "CNY": "¥", "JPY": "¥", "INR": "₹", "VND": "₫", "THB": "฿"}
WHOLE = {"CLP", "ISK", "JPY", "KRW", "PYG", "UGX", "VND", "XAF", "XOF"}  # currencies without cents
_SUFFIXES = {"share": "%", "points": " pp", "days": " days"}
_TIMES = {"k": "e3", "m": "e6"}
_STEPS = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))


def smallest(currency: str) -> Decimal:
    """Return the smallest amount that a currency has: 1 where it has no cents, else 0.01."""
    return Decimal(1) if currency in WHOLE else CENT


def cents(amount: Decimal | float | int) -> Decimal:
    """Return the amount rounded to the cent, half to even."""
    exact = amount if isinstance(amount, Decimal) else Decimal(str(amount))
    return exact.quantize(CENT, rounding=ROUND_HALF_EVEN)


def apportioned(
    parts: Sequence[float], total: Decimal, quantum: Decimal = CENT, whole: float = 0.0
) -> tuple[Decimal, ...]:
    """Round parts so that they sum to the total exactly: the largest remainders are rounded up, the first on a tie.

    Args:
        parts: Amounts of money, whose sum is the total to within one quantum and what floats round off.
        total: The total, a whole number of quanta.
        quantum: The smallest unit of money.
        whole: The largest amount, in money, that the parts were computed from, such as GMV where they are of its
            change: floats of that size carry its rounding.

    Returns:
        One decimal per part, whose exact sum is the total: less than one quantum away from the part, or as many more
        as the sum itself was off for each.

    Raises:
        BadInputError: If there is no part, one is not finite, they do not sum to the total, the total is not a whole
            number of quanta, or the whole is not finite.

    Reference:
        Balinski and Young (1982), Fair representation: Hamilton's method of largest remainders.

    Examples:
        >>> apportioned([10 / 3, 10 / 3, 10 / 3], Decimal("10.00"))
        (Decimal('3.34'), Decimal('3.33'), Decimal('3.33'))
    """
    if not parts or not all(map(math.isfinite, parts)):
        raise BadInputError("Only numbers can be rounded to a total", got=parts, allowed="one number or more, no NaN")
    if not (quantum.is_finite() and quantum > 0 and total.is_finite()) or Fraction(total) % Fraction(quantum):
        raise BadInputError("The total is not a whole number of quanta", got=total, allowed=f"a multiple of {quantum}")
    if not math.isfinite(whole):
        raise BadInputError("What the parts were computed from is an amount", got=whole, allowed="a finite number")
    exact = [Fraction(value) / Fraction(quantum) for value in parts]
    goal = int(Fraction(total) / Fraction(quantum))
    slack = 1 + Fraction(ROUNDING) * (Fraction(abs(whole)) / Fraction(quantum) + sum(map(abs, exact)))
    if abs(sum(exact, Fraction(-goal))) > slack:
        allowed = f"{total} ± {float(slack * Fraction(quantum)):.3g}"
        raise BadInputError("The parts do not sum to the total", got=math.fsum(parts), allowed=allowed)
    units = [math.floor(value) for value in exact]
    each, rest = divmod(goal - sum(units), len(units))
    by_remainder = sorted(range(len(units)), key=lambda i: units[i] - exact[i])
    for place, i in enumerate(by_remainder):
        units[i] += each + (place < rest)
    return tuple(_EXACT.multiply(Decimal(unit), quantum) for unit in units)


def amount(text: str) -> float:
    """Return the amount of money that was written, such as `20,000`, `20_000`, `1.50`, `5k` or `1.5M`.

    Args:
        text: What was written; k is a thousand and m a million, large or small.

    Raises:
        BadInputError: If it can be read in two ways, as `1,50` and `4.000`, or in none, or is negative or endless.
    """
    written = text.strip()
    times = _TIMES.get(written[-1:].lower(), "")
    written = written[:-1] if times else written
    if ("," in written and not _GROUPED.match(written)) or _TWO_WAYS.match(written):
        raise BadInputError(
            "A budget's comma or point can be read in two ways", got=text, allowed="1.50, or 20,000",
            do="write the amount with a decimal point and without commas",
        )  # fmt: skip
    try:
        found = float(written.replace(",", "").replace("_", "") + times)
    except ValueError:
        raise BadInputError("A budget is an amount of money", got=text, allowed="such as 50000, 50k or 1.5M") from None
    if not 0 <= found < math.inf:
        raise BadInputError("A budget is nothing or more", got=text, do="write an amount of 0 or more")
    return found


def plainly(value: float) -> str:
    """Return an amount as `amount` reads it: no more than two digits after the point, none where they are 0."""
    return f"{value:.2f}".removesuffix(".00")


def human(value: Any, unit: str, currency: str = "", *, signed: bool = False) -> str:
    """Write a number as a person reads it: `$1.24M`, `3.2%`, `+18.4k`.

    Args:
        value: A number, an `Estimate` (written with its interval), a day, text or None (written `unknown`).
        unit: `money`, `count`, `share` (0.032 reads 3.2%), `points` (a difference of shares, in percentage points),
            `ratio`, `days`, `day` or `text`.
        currency: ISO 4217 code, for money.
        signed: Whether a gain carries its plus sign.

    Returns:
        The text; at most four significant digits, since the exact number stands in the table.
    """
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "unknown"
    if isinstance(value, Estimate):
        ends = (human(end, unit, currency, signed=signed) for end in (value.low, value.high))
        return f"{human(value.mid, unit, currency, signed=signed)} ({' to '.join(ends)})"
    if isinstance(value, (date, datetime)) or unit in {"text", "day"}:
        return " ".join(str(value).splitlines())  # a name from outside with a line break would tear a table
    number = float(value)
    size = abs(number)
    written = {"share": _digits(size * 100), "points": _digits(size * 100), "days": _digits(size)}.get(unit)
    written = _shortened(size, unit, currency) if written is None else written
    sign = "" if not written.strip("0.") else "−" if number < 0 else "+" if signed else ""  # what reads 0 has none
    prefix = SYMBOLS.get(currency, f"{currency} " if currency else "") if unit == "money" else ""
    return f"{sign}{prefix}{written}{_SUFFIXES.get(unit, '')}"


def several(count: int, name: str) -> str:
    """Write how many there are of something: `1 product`, `12,300 products`."""
    return f"{human(count, 'count')} {name}{'' if count == 1 else 's'}"


def gained(value: Any, currency: str) -> str:
    """Write a gain or loss of money, or an `Estimate` of one, with its sign; in words where it reads 0."""
    if isinstance(value, Estimate):
        low, high = (human(end, "money", currency, signed=True) for end in (value.low, value.high))
        return f"{gained(value.mid, currency)} ({low} to {high})"
    said = human(value, "money", currency, signed=True)
    return said if any(digit in said for digit in "123456789") else "next to nothing"


def _shortened(size: float, unit: str, currency: str) -> str:
    for step, letter in _STEPS:
        if size >= step * 0.9995 and (size >= 9_999.5 or step > 1e3):
            return f"{_digits(size / step)}{letter}"
    if unit == "money" and currency in WHOLE and (size >= 10 or size.is_integer()):
        return f"{size:,.0f}"
    if unit == "money":
        return f"{size:,.2f}" if size < 1000 else f"{size:,.0f}"
    if unit == "count":
        return f"{size:,.0f}"
    return f"{size:,.3g}" if size < 100 else f"{size:,.1f}"


def _digits(size: float) -> str:
    if size >= 99.95:
        return f"{size:,.0f}"
    return f"{size:.1f}" if size >= 9.995 else f"{size:.2f}"
