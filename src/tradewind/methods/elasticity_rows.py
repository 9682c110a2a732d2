"""Rows of sales and prices: what an estimate of elasticity is made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tradewind.errors import BadInputError

Array = NDArray[np.float64]
Codes = NDArray[np.int64]


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
    n = np.asarray(rows.sold).shape[0] if np.ndim(rows.sold) == 1 else 0
    if n < 2:
        raise BadInputError("There are too few rows", got=f"{n} rows", allowed="2 rows or more in one column")
    sold, price = _table("sold", rows.sold, n)[:, 0], _table("price", rows.price, n)[:, 0]
    if counts and (sold < 0).any():
        raise BadInputError("A count is negative", do="take returns out, or give logarithms of quantities")
    if counts and not (sold > 0).any():
        raise BadInputError("Nothing was sold in any row", do="take a longer period")
    products, product = _ids("product", rows.product, n)
    stores, store = _ids("store", np.zeros(n, int) if rows.store is None else rows.store, n)
    groups, group = _ids("group", np.zeros(n, int) if rows.group is None else rows.group, n)
    if len(np.unique(np.column_stack([product, group]), axis=0)) != len(products):
        raise BadInputError("A product lies in two groups", do="give each product one group")
    time = _table("week", rows.week, n)[:, 0]
    if (time != np.round(time)).any():
        raise BadInputError("A week is not a whole number", do="number the weeks in order")
    week = (time - time.min()).astype(np.int64)
    unit = np.unique(product * len(stores) + store, return_inverse=True)[1]
    order = np.lexsort((week, unit))
    if ((np.diff(unit[order]) == 0) & (np.diff(week[order]) == 0)).any():
        raise BadInputError(
            "A product has two rows in one shop and week", do="sum the quantities and average the price of such rows"
        )
    given = np.zeros(n, bool) if rows.randomised is None else np.asarray(rows.randomised)
    if given.shape != (n,) or given.dtype.kind not in "bui" or not np.isin(given, (0, 1)).all():
        raise BadInputError("Whether a price was drawn at random is yes or no", allowed=f"one for each of {n} rows")
    tables = [_table(name, value, n) for name, value in _optional(rows).items()]
    cross, instruments, flags, controls = (table[order] for table in tables)
    return Checked(
        sold[order], price[order], product[order], week[order], unit[order], store[order], group[order], cross,
        instruments, given.astype(bool)[order], flags, controls, tuple(products.tolist()), tuple(groups.tolist()),
    )  # fmt: skip


def rivals(price: ArrayLike, week: ArrayLike, store: ArrayLike | None = None, group: ArrayLike | None = None) -> Array:
    """Return the mean logarithm of price of the other products in the same shop, week and group [n].

    A row without others gets the mean of all rows, so that it says nothing.

    Args:
        price: [n] logarithm of the own price.
        week: [n] week.
        store: [n] shop; one where left out.
        group: [n] category; one where left out.
    """
    own = np.asarray(price, float)
    keys = [
        np.zeros(len(own), int) if ids is None else np.unique(np.asarray(ids), return_inverse=True)[1]
        for ids in (week, store, group)
    ]
    place = np.unique(np.column_stack(keys), axis=0, return_inverse=True)[1].ravel()
    count = np.bincount(place)[place]
    others: Array = (np.bincount(place, own)[place] - own) / np.maximum(count - 1, 1)
    others[count == 1] = own.mean()
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


def _optional(rows: Rows) -> dict[str, ArrayLike | None]:
    return {"cross": rows.cross, "instruments": rows.instruments, "flags": rows.flags, "controls": rows.controls}


def _table(name: str, values: ArrayLike | None, n: int) -> Array:
    if values is None:
        return np.zeros((n, 0))
    table = np.asarray(values, float)
    table = table[:, None] if table.ndim == 1 else table
    if table.ndim != 2 or len(table) != n:
        raise BadInputError(f"The column '{name}' does not fit the rows", got=table.shape, allowed=f"{n} rows")
    if not np.isfinite(table).all():
        raise BadInputError(
            f"A value of '{name}' is missing or infinite",
            do="leave out such rows; where nothing was sold give counts, not logarithms",
        )
    return table


def _ids(name: str, values: ArrayLike, n: int) -> tuple[NDArray[Any], Codes]:
    ids: NDArray[Any] = np.asarray(values)
    if ids.shape != (n,) or (ids.dtype.kind == "f" and np.isnan(ids).any()):
        raise BadInputError(f"The ids of '{name}' do not fit the rows", got=ids.shape, allowed=f"{n} ids, none missing")
    names, codes = np.unique(ids, return_inverse=True)
    return names, np.asarray(codes, np.int64)
