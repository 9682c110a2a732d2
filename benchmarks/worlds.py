"""Set a world's statistics beside those of real data, with those that miss what they are held against.

usage: python benchmarks/worlds.py WORLD_STORE [--real STORE ...] [--data DATA_DIR]

Prints one Markdown table. Each statistic is counted alike in the world and in every real source that can tell it;
what it is held against, why and how near it must come is declared in `worlds_targets.py`. All orders are counted in
windows as long as a world's history, 180 days: of a real store the last two that do not overlap, whose mean is shown.
± is a standard error: a tenth of customers, products, shops, orders or weeks left out at a time (which tells little of
medians of round numbers), or half the difference of two windows where that is more.
"""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

import worlds_orders as orders
from tradewind.engines.store import open_store
from worlds_responses import Told, clicks, hillstrom, messages, open_bandit, robustspot, rooms
from worlds_targets import NAMES, OLIST, TARGETS
from worlds_windows import DAYS, GROUPS, Window, cdnow, windows

Function = Callable[[Window], float]


def _concentration(unit: str) -> dict[str, tuple[str, Function]]:
    best = f"{unit}s: share of the best tenth"
    return {
        best: (unit, lambda window: orders.top_tenth(orders.takings(window, unit))),
        f"{unit}s: Gini": (unit, lambda window: orders.gini(orders.takings(window, unit))),
    }


LOTS = 5
"""Times that a world is thinned by lot; the mean is shown."""
STATISTICS: dict[str, tuple[str, Function]] = {
    **_concentration("product"),
    "products: Gini of lines": ("product", orders.lines_gini),
    "products: share of lines of the best seller": ("order", orders.best_seller),
    "products: correlation of log price and log lines": ("product", orders.price_and_lines),
    "products: log deviation of price": ("product", orders.price_spread),
    **_concentration("customer"),
    **_concentration("shop"),
    "lines per order": ("order", orders.lines_per_order),
    "items per order": ("order", orders.items_per_order),
    "share of single-line orders": ("order", orders.single_line),
    "share of orders of several lines": ("order", orders.several_lines),
    "log deviation of order value": ("order", orders.order_values),
    "order values: Gini": ("order", orders.order_gini),
    "days between orders: median": ("customer", partial(orders.gap, share=0.5)),
    "days between orders: 90th percentile": ("customer", partial(orders.gap, share=0.9)),
    "share who come again within 90 days": ("customer", orders.again),
    "the same, of new customers": ("customer", orders.again_new),
    "discount over gross sales": ("week", orders.discount_rate),
    "share of lines with a discount": ("week", orders.discounted),
    "median depth of discounted lines": ("week", orders.depth),
    "refunds over GMV": ("week", orders.refund_rate),
    "refunds per line": ("week", orders.refunded_lines),
    "weekdays: deviation over mean": ("week", orders.weekly),
    "hours: deviation over mean": ("week", orders.hourly),
    "peak hour": ("week", orders.peak),
    "share of orders from 18:00 to midnight": ("week", orders.evening),
    "days: log deviation after weekday and trend": ("week", orders.restless),
    "products first sold in days 30 to 90, of all": ("product", orders.first_sales),
    "new products: share that sell in the fourth week": ("product", partial(orders.survives, first=4, last=4)),
    "new products: share that sell in weeks 8 to 12": ("product", partial(orders.survives, first=8, last=12)),
    "new products: weeks 1 to 4 of the pieces of weeks 1 to 12": ("product", orders.early),
}
"""What is left out for the noise, and the function, by statistic."""
THINNED: dict[str, tuple[str, str]] = {
    "products: share of the best tenth, thinned": ("product", "products: share of the best tenth"),
    "products: Gini, thinned": ("product", "products: Gini"),
    "shops: share of the best tenth, thinned": ("shop", "shops: share of the best tenth"),
    "shops: Gini, thinned": ("shop", "shops: Gini"),
    "new products: share that sell in weeks 8 to 12, thinned": (
        "product",
        "new products: share that sell in weeks 8 to 12",
    ),
    "new products: weeks 1 to 4 of weeks 1 to 12, thinned": (
        "product",
        "new products: weeks 1 to 4 of the pieces of weeks 1 to 12",
    ),
}
"""Statistics of the world with so few lines for each product or shop as Olist's sample has, which stays as it is."""


def counted(window: Window, names: list[str]) -> dict[str, Told]:
    """Return the statistics that a window can tell, with the noise of leaving out a tenth at a time."""
    found: dict[str, Told] = {}
    for unit in sorted({STATISTICS[name][0] for name in names}):
        mine = {n: STATISTICS[n][1] for n in names if STATISTICS[n][0] == unit and _can(window, STATISTICS[n][1])}
        left: dict[str, list[float]] = {name: [] for name in mine}
        for part in window.without(unit) if mine else ():
            for name, function in mine.items():
                left[name].append(function(part))
        for name, function in mine.items():
            noise = math.sqrt((GROUPS - 1) / GROUPS * np.square(np.array(left[name]) - np.mean(left[name])).sum())
            found[name] = Told(function(window), noise)
    return found


def _can(window: Window, function: Function) -> bool:
    """Whether a window has the columns that a statistic needs."""
    try:
        return math.isfinite(function(window))
    except (KeyError, ZeroDivisionError):
        return False


def over(parts: list[Window], names: list[str]) -> dict[str, Told]:
    """Return the statistics of a source over its windows."""
    each = [counted(part, names) for part in parts]
    found = {}
    for name in names:
        told = [one[name] for one in each if name in one]
        if told:
            values = [one.value for one in told]
            noise = max(float(np.mean([one.noise for one in told])), (max(values) - min(values)) / 2)
            found[name] = Told(float(np.mean(values)), noise)
    return found


def verdict(name: str, world: Told | None, real: dict[str, Told]) -> str:
    """Say whether a world's statistic is within its band; of a miss, which way, and whether that may be noise."""
    target = TARGETS.get(name)
    if not target:
        return "not held against any" if real else "no real one"
    if any(source not in real for source in target.sources):
        return "sources not given"
    sources = [real[source] for source in target.sources]
    if world is None:
        return "the world has none"
    low, high = target.band([source.value for source in sources])
    if low <= world.value <= high:
        return "within"
    edge, way = (low, "low") if world.value < low else (high, "high")
    noise = math.hypot(world.noise, *(source.noise for source in sources))
    return f"**miss** ({way}{', by less than 2 se' if abs(world.value - edge) < 2 * noise else ''})"


def rows(world: str, real: list[str], data: Path | None) -> tuple[list[str], Iterator[str]]:
    """Return the names of the stores, and the table's rows."""
    store = open_store(world)
    names = list(STATISTICS)
    [window] = windows(store, 1)
    mine = over([window], names)
    theirs: dict[str, dict[str, Told]] = {}

    def tell(source: str, told: dict[str, Told]) -> None:
        for name, value in told.items():
            theirs.setdefault(name, {})[source] = value

    columns = []
    for folder in real:
        other = open_store(folder)
        source = other.provenance.source
        columns.append(source)
        parts = windows(other)
        told = over(parts, names)
        tell(source, told)
        if source == OLIST:
            for unit in ("product", "shop"):
                few = float(np.mean([len(part.lines) / part.lines[unit].nunique() for part in parts]))
                pairs = {name: plain for name, (kind, plain) in THINNED.items() if kind == unit}
                found = over([window.thinned(unit, few, lot) for lot in range(LOTS)], list(pairs.values()))
                mine |= {n: found[plain]._replace(note=f"{few:.2g} lines each") for n, plain in pairs.items()}
                tell(source, {name: told[plain] for name, plain in pairs.items()})
    if data:
        tell("CDNOW", over(cdnow(data), names))
        for source in (open_bandit, hillstrom, robustspot):
            for name, of, told in source(data):
                tell(of, {name: told})
    for of_world in (clicks, messages, rooms):
        mine |= dict(of_world(store))
    return columns, _lines(mine, theirs, columns)


def _lines(mine: dict[str, Told], theirs: dict[str, dict[str, Told]], columns: list[str]) -> Iterator[str]:
    order = [*STATISTICS, *mine, *theirs]
    for name in dict.fromkeys([*TARGETS, *order]):
        beside = theirs.get(name, {})
        if name not in mine and not beside:
            continue
        cells = [str(beside.get(column, "")) for column in columns]
        rest = "; ".join(f"{source} {told}" for source, told in beside.items() if source not in columns)
        target = TARGETS.get(name)
        held = (
            " and ".join(NAMES.get(source, source) for source in target.sources) + f": {target.why}" if target else ""
        )
        world = mine.get(name)
        said = [str(world or ""), *cells, rest, held, target.tolerance if target else ""]
        yield f"| {name} | {' | '.join(said)} | {verdict(name, world, beside)} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("world")
    parser.add_argument("--real", nargs="*", default=[], help="stores of real data")
    parser.add_argument("--data", default=os.environ.get("TRADEWIND_DATA"), help="folder of the public data")
    given = parser.parse_args()
    columns, table = rows(given.world, given.real, Path(given.data) if given.data else None)
    titles = [
        "statistic",
        "world",
        *(NAMES.get(c, c) for c in columns),
        "other real data",
        "target",
        "tolerance",
        "verdict",
    ]
    print(f"Orders are counted in windows of {DAYS} days; ± is a standard error.\n")
    print(f"| {' | '.join(titles)} |\n|{'---|' * len(titles)}")
    for line in table:
        print(line, flush=True)


if __name__ == "__main__":
    main()
