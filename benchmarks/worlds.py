"""Set a world's statistics beside those of real marketplaces, with those that miss the range of the real ones.

usage: python benchmarks/worlds.py WORLD_STORE REAL_STORE [REAL_STORE …]

Each statistic is counted over a store's order lines (and refunds, discounts, where there are any). A world is called
within the range where it lies between the smallest and the largest of the real stores, widened by a quarter on a log
scale; real stores that cannot tell a statistic are left out of its range.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable

import ibis
import numpy as np
import pandas as pd

from tradewind.engines.store import Store, open_store
from tradewind.measures.metrics import METRICS
from tradewind.measures.query import Query

WIDER = 1.25


def gini(values: np.ndarray) -> float:
    """Return the Gini coefficient of amounts above zero."""
    ordered = np.sort(values)
    rank = np.arange(1, len(ordered) + 1)
    return float((2 * (rank * ordered).sum() / ordered.sum() - len(ordered) - 1) / len(ordered))


def by(store: Store, dimension: str, metric: str = "gmv") -> np.ndarray:
    """Return a metric by a dimension over the whole store, above zero, the largest first."""
    table = store.metrics(Query((METRICS[metric],), store.span, (dimension,))).to_pydict()
    found = np.array([float(v) for k, v in zip(table[dimension], table[metric], strict=True) if k is not None and v])
    return np.sort(found[found > 0])[::-1]


def one(store: Store, metric: str) -> float:
    """Return a metric over the whole store; not a number where the source cannot tell it."""
    value = store.metrics(Query((METRICS[metric],), store.span)).to_pydict()[metric][0]
    return float("nan") if value is None else float(value)


def top_tenth(store: Store) -> float:
    """Return the share of GMV that the best tenth of the products sold brings."""
    values = by(store, "product_id")
    return float(values[: max(1, round(len(values) / 10))].sum() / values.sum())


def gaps(store: Store) -> pd.Series:
    """Return days between one order day of a customer and the next."""
    lines = store.table("order_lines")
    days = store.run(
        lines.filter(lines.customer_id.notnull()).select("customer_id", "day").distinct().order_by("customer_id", "day")
    ).to_pandas()
    after = days.groupby("customer_id")["day"].diff().dropna()
    return pd.to_timedelta(after).dt.days


def shape(store: Store, dimension: str) -> float:
    """Return how uneven orders are over a dimension: their deviation over their mean."""
    values = by(store, dimension, "orders")
    return float(values.std() / values.mean())


def repeat(store: Store) -> float:
    """Return the share of customers with a second order day."""
    lines = store.table("order_lines")
    counts = lines.filter(lines.customer_id.notnull()).group_by("customer_id").aggregate(n=lines.day.nunique())
    return float(store.run((counts.n > 1).cast("float64").mean().name("share").as_table())["share"][0].as_py())


def price_spread(store: Store) -> float:
    """Return the log deviation of unit prices of lines."""
    lines = store.table("order_lines")
    price = lines.filter(lines.unit_price > 0).unit_price.cast("float64").log()
    return float(store.run(price.std().name("s").as_table())["s"][0].as_py())


STATISTICS: dict[str, Callable[[Store], float]] = {
    "share of the best tenth of products": top_tenth,
    "Gini of products": lambda store: gini(by(store, "product_id")),
    "Gini of customers": lambda store: gini(by(store, "customer_id")),
    "items per order": lambda store: one(store, "items_per_order"),
    "median days between orders": lambda store: float(gaps(store).median()),
    "share of customers who come again": repeat,
    "log deviation of prices": price_spread,
    "discount rate": lambda store: one(store, "discount_rate"),
    "refund rate": lambda store: one(store, "refund_rate"),
    "weekdays, deviation over mean": lambda store: shape(store, "weekday"),
    "hours, deviation over mean": lambda store: shape(store, "hour_of_day"),
    "CTR": lambda store: one(store, "ctr"),
    "CVR": lambda store: one(store, "cvr"),
}


def told(statistic: Callable[[Store], float], store: Store) -> float:
    """Return a statistic, or not a number where the source lacks what it needs."""
    from tradewind.errors import MissingDataError

    try:
        return statistic(store)
    except (MissingDataError, ibis.IbisError):
        return float("nan")


def main() -> None:
    """Print the table."""
    world, *real = (open_store(folder) for folder in sys.argv[1:])
    names = [store.provenance.source for store in (world, *real)]
    print(f"| statistic | {' | '.join(names)} | within |\n|---|{'---|' * len(names)}---|")
    for name, statistic in STATISTICS.items():
        mine, *others = (told(statistic, store) for store in (world, *real))
        known = [value for value in others if math.isfinite(value) and value > 0]
        inside = "no real one" if not known else "yes" if min(known) / WIDER <= mine <= max(known) * WIDER else "**no**"
        cells = " | ".join("" if not math.isfinite(value) else f"{value:.3g}" for value in (mine, *others))
        print(f"| {name} | {cells} | {inside} |", flush=True)


if __name__ == "__main__":
    main()
