"""Rows of sales and prices: what an estimate of elasticity is made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tradewind.errors import BadInputError
from tradewind.methods.moments import numbers, unnamed

Array = NDArray[np.float64]
Codes = NDArray[np.int64]

MOST_WEEKS = 100_000  # from the first to the last; dates written as one number are farther apart


@dataclass(frozen=True)
class Rows:
    """One row for each product, shop and week.

    Args:
        sold: [n] logarithm of the quantity sold, or the quantity itself, 0 or more, where counts are said.
        price: [n] logarithm of the product's own price.
        product: [n] id of the product.
        week: [n] whole number of the week, or of another step of time.
        store: [n] id of the shop; one shop where left out.
        group: [n] category of the product; one where left out.
        cross: [n] or [n, k] logarithms of prices of substitutes, such as `rivals` gives. One column has instruments
            too, the other products', wherever these say enough of it.
        instruments: [n] or [n, m] what moves the price and nothing else of demand: cost, the same product's price in
            other shops, a calendar of promotions settled long before.
        randomised: [n] whether the price of the row was drawn at random.
        flags: [n, f] what may act on each product in its own measure, such as display or feature.
        controls: [n, q] what acts on all products of a category alike, such as season or traffic.
    """

    sold: ArrayLike
    price: ArrayLike
    product: ArrayLike
    week: ArrayLike
    store: ArrayLike | None = None
    group: ArrayLike | None = None
    cross: ArrayLike | None = None
    instruments: ArrayLike | None = None
    randomised: ArrayLike | None = None
    flags: ArrayLike | None = None
    controls: ArrayLike | None = None


@dataclass(frozen=True)
class Checked:
    """Rows as arrays that fit each other, sorted by unit and week.

    Args:
        sold: [n] outcomes.
        price: [n] logarithm of the own price.
        product: [n] number of the product, from 0.
        week: [n] number of the week as given, less the first.
        unit: [n] number of the product in its shop, from 0.
        store: [n] number of the shop, from 0.
        group: [n] number of the category, from 0.
        cross: [n, k] logarithms of prices of substitutes.
        instruments: [n, m] instruments.
        randomised: [n] whether the price was drawn at random.
        flags: [n, f] flags.
        controls: [n, q] controls.
        products: Ids of the products.
        groups: Ids of the categories.
    """

    sold: Array
    price: Array
    product: Codes
    week: Codes
    unit: Codes
    store: Codes
    group: Codes
    cross: Array
    instruments: Array
    randomised: NDArray[np.bool_]
    flags: Array
    controls: Array
    products: tuple[Any, ...]
    groups: tuple[Any, ...]


def checked(rows: Rows, counts: bool) -> Checked:
    """Return the rows as arrays; raise `BadInputError` where they cannot be used."""
    given = numbers(rows.sold, "value of 'sold'")
    if given.ndim != 1 or len(given) < 2:
        raise BadInputError("There are too few rows", got=given.shape, allowed="2 rows or more in one column")
    n = len(given)
    sold, price = column("sold", given, n), column("price", rows.price, n)
    if counts and (sold < 0).any():
        raise BadInputError("A count is negative", do="take returns out, or give logarithms of quantities")
    if counts and not (sold > 0).any():
        raise BadInputError("Nothing was sold in any row", do="take a longer period")
    products, product = ids("product", rows.product, n)
    stores, store = ids("store", np.zeros(n, int) if rows.store is None else rows.store, n)
    groups, group = ids("group", np.zeros(n, int) if rows.group is None else rows.group, n)
    if len(np.unique(np.column_stack([product, group]), axis=0)) != len(products):
        raise BadInputError("A product lies in two groups", do="give each product one group")
    week = weeks(rows.week, n)
    unit = np.unique(product * len(stores) + store, return_inverse=True)[1]
    order = np.lexsort((week, unit))
    if ((np.diff(unit[order]) == 0) & (np.diff(week[order]) == 0)).any():
        raise BadInputError(
            "A product has two rows in one shop and week", do="sum the quantities and average the price of such rows"
        )
    drawn = np.zeros(n, bool) if rows.randomised is None else _array("randomised", rows.randomised)
    if drawn.shape != (n,) or drawn.dtype.kind not in "bui" or not np.isin(drawn, (0, 1)).all():
        raise BadInputError("Whether a price was drawn at random is yes or no", allowed=f"one for each of {n} rows")
    optional = {"cross": rows.cross, "instruments": rows.instruments, "flags": rows.flags, "controls": rows.controls}
    tables = [np.zeros((n, 0)) if value is None else table(name, value, n) for name, value in optional.items()]
    cross, instruments, flags, controls = (values[order] for values in tables)
    return Checked(
        sold[order], price[order], product[order], week[order], unit[order], store[order], group[order], cross,
        instruments, drawn.astype(bool)[order], flags, controls, tuple(products.tolist()), tuple(groups.tolist()),
    )  # fmt: skip


def rivals(price: ArrayLike, week: ArrayLike, store: ArrayLike | None = None, group: ArrayLike | None = None) -> Array:
    """Return the mean logarithm of price of the other products in the same shop, week and group [n].

    A row without others gets the mean of all rows, so that it says nothing.

    Args:
        price: [n] logarithm of the own price.
        week: [n] week.
        store: [n] shop; one where left out.
        group: [n] category; one where left out.

    Raises:
        BadInputError: If columns do not fit each other, or a value is missing.
    """
    n = np.size(price)
    own = column("price", price, n)
    keys = [
        np.zeros(n, np.int64) if values is None else ids(name, values, n)[1]
        for name, values in (("week", week), ("store", store), ("group", group))
    ]
    place = np.unique(np.column_stack(keys), axis=0, return_inverse=True)[1].ravel()
    count = np.bincount(place)[place]
    others: Array = (np.bincount(place, own)[place] - own) / np.maximum(count - 1, 1)
    others[count == 1] = own.sum() / max(n, 1)
    return others


def lagged(values: Array, unit: Codes, week: Codes, lag: int) -> Array:
    """Return values [n] of the same unit `lag` weeks before, sorted by unit and week; the latest known before a gap.

    Before the first row of a unit nothing is known: the unit's mean stands in.
    """
    span = int(week.max()) + lag + 2
    key = unit * span + week
    place = np.searchsorted(key, key - lag, side="right") - 1
    there = (place >= 0) & (unit[np.maximum(place, 0)] == unit)
    mean = (np.bincount(unit, values) / np.bincount(unit))[unit]
    return np.where(there, values[np.maximum(place, 0)], mean)


def alive(sold: Array, unit: Codes, week: Codes, rows: Codes) -> Codes:
    """Return the rows whose product in its shop, and whose week, sold anything: the others say nothing of slopes."""
    while len(rows):
        keep = np.ones(len(rows), bool)
        for code in (unit[rows], week[rows]):
            keep &= np.bincount(code, sold[rows])[code] > 0
        if keep.all():
            break
        rows = rows[keep]
    return rows


def table(name: str, values: ArrayLike, n: int) -> Array:
    """Return values [n, k] as numbers; raise where they do not fit the rows, or one is missing."""
    found = numbers(values, f"value of '{name}'")
    found = found[:, None] if found.ndim == 1 else found
    if found.ndim != 2 or len(found) != n:
        raise BadInputError(f"The column '{name}' does not fit the rows", got=np.shape(values), allowed=f"{n} rows")
    if not np.isfinite(found).all():
        raise BadInputError(
            f"A value of '{name}' is missing or infinite",
            do="leave out such rows; where nothing was sold give counts, not logarithms",
        )
    return found


def column(name: str, values: ArrayLike, n: int) -> Array:
    """Return values [n] as numbers; raise where they are not one column that fits the rows, or one is missing."""
    found = table(name, values, n)
    if found.shape[1] != 1:
        raise BadInputError(f"'{name}' is one column", got=np.shape(values), allowed=f"[{n}]")
    return found[:, 0]


def weeks(values: ArrayLike, n: int) -> Codes:
    """Return numbers [n] of weeks, less the first; raise where one is not a whole number, or missing."""
    if np.asarray(values).dtype.kind in "mM":
        raise BadInputError("A week is a whole number, not a date", do="number the weeks in order")
    time = column("week", values, n)
    if (time != np.round(time)).any() or time.max(initial=0.0) - time.min(initial=0.0) > MOST_WEEKS:
        raise BadInputError(
            "A week is not a whole number, or far from the others", got=f"{time.min():g} to {time.max():g}",
            allowed=f"whole numbers within {MOST_WEEKS:,} of each other", do="number the weeks in order",
        )  # fmt: skip
    return np.asarray(time - time.min(initial=np.inf), np.int64)


def ids(name: str, values: ArrayLike, n: int) -> tuple[NDArray[Any], Codes]:
    """Return the different ids in their order, and the place [n] of each row's; raise where one is missing."""
    given = _array(name, values)
    if given.shape != (n,) or unnamed(given).any():
        raise BadInputError(
            f"The ids of '{name}' do not fit the rows, or one is missing", got=given.shape,
            allowed=f"{n} ids, none missing",
        )  # fmt: skip
    try:
        names, codes = np.unique(given, return_inverse=True)
    except TypeError as error:
        raise BadInputError(f"The ids of '{name}' are of several kinds", got=error, do="write all as text") from error
    return names, np.asarray(codes, np.int64)


def _array(name: str, values: ArrayLike) -> NDArray[Any]:
    if np.ma.isMaskedArray(values):
        raise BadInputError(f"Values of '{name}' are masked", do="leave out such rows")
    try:
        return np.asarray(values)
    except ValueError as error:
        raise BadInputError(f"The column '{name}' is not one value for each row", got=error) from error
