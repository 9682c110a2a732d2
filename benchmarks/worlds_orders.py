"""Statistics of orders that `worlds.py` counts alike in a world and in real sources: one function for each.

Each takes a window and returns one number; a source that lacks a column it needs cannot tell it.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from worlds_windows import Window

SECOND = 90
"""Days within which a customer comes again, and the last day of a first order that can be watched for as long."""
NEW_FROM, NEW_TO = 30, 90
"""Days of a window in which a product's first sale makes it new."""


def gini(values: np.ndarray) -> float:
    """Return the Gini coefficient of amounts above zero."""
    ordered = np.sort(values)
    rank = np.arange(1, len(ordered) + 1)
    return float((2 * (rank * ordered).sum() / ordered.sum() - len(ordered) - 1) / len(ordered))


def top_tenth(values: np.ndarray) -> float:
    """Return the share that the best tenth of them brings."""
    ordered = np.sort(values)[::-1]
    return float(ordered[: max(1, round(len(ordered) / 10))].sum() / ordered.sum())


def takings(window: Window, unit: str) -> np.ndarray:
    """Return GMV by product, customer or shop, of those with any."""
    lines = window.lines[window.lines[unit] >= 0]
    values = lines.groupby(unit)["value"].sum().to_numpy()
    return values[values > 0]


def _products(window: Window) -> pd.DataFrame:
    """Return lines and the log of the mean price before discounts by product, of those with a price."""
    each = window.lines.groupby("product").agg(
        lines=("order", "size"), gross=("gross", "sum"), quantity=("quantity", "sum")
    )
    each = each[(each["gross"] > 0) & (each["quantity"] > 0)]
    return each.assign(price=np.log(each["gross"] / each["quantity"]))


def lines_gini(window: Window) -> float:
    """Return the Gini of order lines by product: of popularity alone, whatever the price."""
    return gini(_products(window)["lines"].to_numpy())


def best_seller(window: Window) -> float:
    """Return the share of all lines that the product with the most has."""
    lines = _products(window)["lines"]
    return float(lines.max() / lines.sum())


def price_and_lines(window: Window) -> float:
    """Return the correlation over products of log price and log lines: whether the cheap sell more."""
    each = _products(window)
    return float(np.corrcoef(each["price"], np.log(each["lines"]))[0, 1])


def price_spread(window: Window) -> float:
    """Return the log deviation of products' prices, each product once."""
    return float(_products(window)["price"].std())


def lines_per_order(window: Window) -> float:
    """Return different products of an order, on average."""
    return len(window.lines[["product"]]) / window.lines["order"].nunique()


def items_per_order(window: Window) -> float:
    """Return pieces of an order, on average."""
    return float(window.lines["quantity"].sum() / window.lines["order"].nunique())


def single_line(window: Window) -> float:
    """Return the share of orders of one product."""
    return float((window.lines.groupby("order")["product"].size() == 1).mean())


def several_lines(window: Window) -> float:
    """Return the share of orders of several products: what `single_line` leaves, on a scale that shows differences."""
    return 1 - single_line(window)


def order_gini(window: Window) -> float:
    """Return the Gini of what orders come to: unlike the log deviation it weighs the dear ones."""
    values = window.lines.groupby("order")["value"].sum().to_numpy()
    return gini(values[values > 0])


def order_values(window: Window) -> float:
    """Return the log deviation of what orders come to."""
    values = window.lines.groupby("order")["value"].sum()
    return float(np.log(values[values > 0]).std())


def _order_days(window: Window) -> pd.DataFrame:
    """Return the days on which each customer ordered."""
    known = window.lines[window.lines["customer"] >= 0]
    return known[["customer", "day"]].drop_duplicates().sort_values(["customer", "day"])


def gap(window: Window, share: float) -> float:
    """Return a quantile of the days between one order day of a customer and the next, both inside the window."""
    return float(_order_days(window).groupby("customer")["day"].diff().dropna().quantile(share))


def again(window: Window) -> float:
    """Return the share of customers with an order on another day within 90 days of their first one in the window."""
    days = _order_days(window)
    days["first"] = days.groupby("customer")["day"].transform("min")
    days = days[days["first"] < SECOND]
    later = days[(days["day"] > days["first"]) & (days["day"] <= days["first"] + SECOND)]
    return later["customer"].nunique() / days["customer"].nunique()


def again_new(window: Window) -> float:
    """Return the same share of those who are new in the window: nobody who bought before it."""
    return again(Window(window.lines[window.lines["new"]], window.refunds))


def discount_rate(window: Window) -> float:
    """Return all discounts, whoever pays, as a share of gross sales."""
    return float(window.lines["discount"].sum() / window.lines["gross"].sum())


def discounted(window: Window) -> float:
    """Return the share of lines with any discount."""
    return float((window.lines["discount"] > 0).mean())


def depth(window: Window) -> float:
    """Return the median depth of the lines that have a discount."""
    lines = window.lines[(window.lines["discount"] > 0) & (window.lines["gross"] > 0)]
    return float((lines["discount"] / lines["gross"]).median())


def refund_rate(window: Window) -> float:
    """Return money given back in the window as a share of its GMV."""
    if window.refunds.empty:
        raise KeyError("refunds")
    return float(window.refunds["amount"].sum() / window.lines["value"].sum())


def refunded_lines(window: Window) -> float:
    """Return refunds of the window as a share of its lines."""
    if window.refunds.empty:
        raise KeyError("refunds")
    return float(window.refunds["count"].sum() / len(window.lines))


def _orders(window: Window, *by: str) -> pd.Series:
    """Return orders by something of theirs."""
    return window.lines.drop_duplicates("order").groupby(list(by)).size()


def weekly(window: Window) -> float:
    """Return the deviation over the mean of orders by weekday."""
    counts = _orders(window, "weekday").reindex(range(7), fill_value=0)
    return float(counts.std(ddof=0) / counts.mean())


def hourly(window: Window) -> float:
    """Return the deviation over the mean of orders by hour of the day."""
    counts = _orders(window, "hour").reindex(range(24), fill_value=0)
    return float(counts.std(ddof=0) / counts.mean())


def peak(window: Window) -> float:
    """Return the hour of the day with the most orders."""
    return float(_orders(window, "hour").idxmax())


def evening(window: Window) -> float:
    """Return the share of orders from 18:00 to midnight."""
    counts = _orders(window, "hour")
    return float(counts[counts.index >= 18].sum() / counts.sum())


def restless(window: Window) -> float:
    """Return the deviation of log orders a day after weekday and a straight trend, less what counting alone makes.

    Days without an order are left out (a shop that is shut).
    """
    counts = _orders(window, "day", "weekday").reset_index(name="orders")
    given = np.column_stack([np.eye(7)[counts["weekday"]], counts["day"]])
    log = np.log(counts["orders"])
    rest = log - given @ np.linalg.lstsq(given, log, rcond=None)[0]
    return float(np.sqrt(max((rest**2).sum() / (len(rest) - 8) - (1 / counts["orders"]).mean(), 0.0)))


def _new_products(window: Window) -> pd.DataFrame:
    """Return the sales of products that first sold from day 30 to 90 of the window, with days since that first sale."""
    lines = window.lines[["product", "day", "quantity"]]
    since = lines.groupby("product")["day"].transform("min")
    fresh = lines[(since >= NEW_FROM) & (since < NEW_TO)]
    return fresh.assign(age=fresh["day"] - since)


def survives(window: Window, first: int, last: int) -> float:
    """Return the share of new products that sell in some weeks after their first sale, of which 1 is the first."""
    sales = _new_products(window)
    later = sales[(sales["age"] >= 7 * (first - 1)) & (sales["age"] < 7 * last)]
    return later["product"].nunique() / sales["product"].nunique()


def early(window: Window) -> float:
    """Return the first four weeks' share of the pieces that new products sell in their first twelve."""
    sales = _new_products(window)
    return float(sales["quantity"][sales["age"] < 28].sum() / sales["quantity"][sales["age"] < 84].sum())


def first_sales(window: Window) -> float:
    """Return the share of all products sold whose first sale in the window falls from day 30 to 90."""
    return _new_products(window)["product"].nunique() / window.lines["product"].nunique()
