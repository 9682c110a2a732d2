"""Price elasticities and demand: bayesm's orange juice, and generated markets beside EconML.

usage: python benchmarks/elasticity.py DATA_DIR --predictions OUT.csv --elasticity E.csv
       python benchmarks/elasticity.py --markets [--rows 800 8000 800000] [--repeats 200 40 1]
       python benchmarks/elasticity.py --bound [--rows 800 8000] [--repeats 200 40]

The first learns from the first 80 % of weeks and writes what the scorer reads: a prediction for each later row and an
own elasticity for each brand. It reads no quantity and no profit of a later week. The second generates markets whose
elasticities are known and prints the error, coverage and width of ours and of EconML's LinearDML (and OrthoIV where
there is an instrument), with CPU seconds. EconML is handed outcomes, prices and rivals' prices with the level of each
product in each shop already taken out, and dummies of weeks; peers that are not installed are left out. The third
prints how wide intervals must be on the `cost` market that hold 90 % of true elasticities.
"""

from __future__ import annotations

import argparse
import csv
import importlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tradewind.methods.elasticity import Elasticities, Elasticity, Rows, rivals
from tradewind.methods.elasticity_demand import Demand, Shelf

Array = NDArray[np.float64]
BRANDS = 11
SHAPES = {800: (8, 5, 20), 8_000: (20, 10, 40), 80_000: (40, 40, 50), 800_000: (40, 400, 50)}
Z = 1.6449
SHOCK = 0.3  # standard deviation of demand
ENDOGENOUS = ("cost", "calendar", "shops")  # markets whose prices follow demand
INDEPENDENT = ("grocery", "marketplace", "chain")  # the same, by authors who knew neither our method nor its figures


@dataclass(frozen=True)
class Market:
    """Rows and the truth behind them."""

    rows: Rows
    own: Array
    cross: Array
    settings: dict[str, Any]


def market(kind: str, size: int, seed: int) -> Market:
    """Return a generated market: `loglog`, `logit`, `stockpiling`, one of the folder `markets`, or an endogenous one.

    Those are `cost`, which gives what each product costs, `calendar`, which gives the promotions settled beforehand as
    well, and `shops`, which gives neither, but the same product's price in other shops, whose costs move together.
    """
    if kind in INDEPENDENT:
        made = importlib.import_module(f"markets.{kind}").market(size, seed)
        columns = {name: made[name] for name in ("sold", "price", "product", "week", "store", "cross", "instruments")}
        return Market(Rows(**columns), made["own"], made["cross_true"], {})
    rng = np.random.default_rng([seed, size])
    products, stores, weeks = SHAPES[size]
    shape = (products, stores, weeks)
    j, s, t = (axis.ravel() for axis in np.meshgrid(*(np.arange(k) for k in shape), indexing="ij"))
    shock = SHOCK * rng.normal(size=shape)
    season = 0.2 * rng.normal(size=weeks)
    level = rng.normal(3, 0.7, products)[:, None] + rng.normal(0, 0.5, stores)
    cost = 0.12 * rng.normal(size=shape)
    if kind == "shops":
        cost = np.repeat(cost[:, :1], stores, axis=1)
    promotion = -0.25 * (rng.random(shape) < 0.2)
    cut = promotion + 0.05 * rng.normal(size=shape)
    price = rng.normal(1, 0.3, products)[:, None, None] + cost + cut + (0.3 * shock if kind in ENDOGENOUS else 0)
    own, cross = rng.normal(-2.5, 0.7, products), rng.normal(0.5, 0.2, products)
    p = price[j, s, t]
    others = rivals(p, t, s)
    if kind == "logit":
        slope, worth = 1.2, rng.normal(3.0, 0.5, products)[:, None, None] + season
        money = np.exp(price)
        power = np.exp(worth - slope * money + shock)
        share = power / (1 + power.sum(axis=0, keepdims=True) * 8 / products)
        share *= 8 / products
        y = np.log(1e4 * share[j, s, t])
        own = (-slope * money * (1 - share)).mean(axis=(1, 2))
        # Of all rivals' prices moving by one per cent together.
        rest = (share * money).sum(axis=0, keepdims=True) - share * money
        cross = (slope * rest).mean(axis=(1, 2))
    else:
        sold = level[:, :, None] + season + own[:, None, None] * price + shock
        if kind == "stockpiling":
            before = np.concatenate([price[:, :, :1], price[:, :, :-1]], axis=2)
            sold = sold + 0.8 * before
        y = sold[j, s, t] + cross[j] * others
    instruments = {
        "cost": cost[j, s, t],
        "calendar": np.column_stack([cost[j, s, t], promotion[j, s, t]]),
        "shops": ((price.sum(axis=1, keepdims=True) - price) / max(stores - 1, 1))[j, s, t],
    }.get(kind)
    rows = Rows(y, p, j, t, store=s, cross=others, instruments=instruments)
    return Market(rows, own, cross, {"lags": 1} if kind == "stockpiling" else {})


def ours(given: Market) -> tuple[Array, Array]:
    """Return mid, low and high of own and of cross elasticities."""
    found = Elasticity(bend=True, **given.settings)(given.rows)
    own, cross = (
        np.array([(e.mid, e.low, e.high) if e else (np.nan,) * 3 for e in part])
        for part in ([p.own for p in found.products], [p.cross[0] for p in found.products])
    )
    return own, cross


def within(values: Array, unit: NDArray[np.int64]) -> Array:
    """Return values less the mean of their unit."""
    return values - (np.bincount(unit, values) / np.bincount(unit))[unit]


def linear_dml(given: Market) -> tuple[Array, Array] | None:
    """Return the same of EconML's LinearDML: both prices as treatments, one slope for each product."""
    try:
        from econml.dml import LinearDML
        from sklearn.linear_model import Ridge
    except ImportError:
        return None
    y, p, c, x, w = peer_columns(given)
    peer = LinearDML(
        model_y=Ridge(1e-3),
        model_t=Ridge(1e-3),
        fit_cate_intercept=False,
        cv=5,
        random_state=0,
        discrete_treatment=False,
    )
    before = [w] if not given.settings else [w, lag_of(given)[:, None]]
    peer.fit(y, np.column_stack([p, c]), X=x, W=np.hstack(before))
    told = peer.const_marginal_effect_inference(np.eye(x.shape[1]))
    low, high = told.conf_int(alpha=0.1)
    mid = told.point_estimate
    own, cross = (np.column_stack([a[:, k] for a in (mid, low, high)]) for k in (0, 1))
    return own, cross


def ortho_iv(given: Market) -> tuple[Array, Array] | None:
    """Return the same of EconML's OrthoIV, of the own price alone; rivals' prices by product are its controls.

    Several instruments are handed over as one, the line through them that is nearest to the price.
    """
    try:
        from econml.iv.dml import OrthoIV
        from sklearn.linear_model import Ridge
    except ImportError:
        return None
    y, p, c, x, w = peer_columns(given)
    unit = np.unique(np.column_stack([given.rows.product, given.rows.store]), axis=0, return_inverse=True)[1].ravel()
    columns = np.asarray(given.rows.instruments, float).reshape(len(unit), -1)
    z = np.column_stack([within(column, unit) for column in columns.T])
    z = z @ np.linalg.lstsq(z, p, rcond=None)[0]
    models = {f"model_{name}_xw": Ridge(1e-3) for name in ("y", "t", "z")}
    peer = OrthoIV(**models, fit_cate_intercept=False, cv=5, random_state=0)
    peer.fit(y, p, Z=z, X=x, W=np.hstack([w, x * c[:, None]]))
    eye = np.eye(x.shape[1])
    low, high = peer.effect_interval(eye, alpha=0.1)
    mid = np.column_stack([peer.effect(eye).ravel(), np.ravel(low), np.ravel(high)])
    return mid, np.full_like(mid, np.nan)


def peer_columns(given: Market) -> tuple[Array, Array, Array, Array, Array]:
    """Return sold, price and rivals' price within units, and products and weeks as columns of 0 and 1."""
    rows = given.rows
    product = np.asarray(rows.product)
    unit = np.unique(np.column_stack([product, rows.store]), axis=0, return_inverse=True)[1].ravel()
    y, p, c = (within(np.asarray(v, float), unit) for v in (rows.sold, rows.price, rows.cross))
    x = (product[:, None] == np.arange(product.max() + 1)).astype(float)
    week = np.asarray(rows.week)
    return y, p, c, x, (week[:, None] == np.arange(1, week.max() + 1)).astype(float)


def lag_of(given: Market) -> Array:
    """Return the price of the week before, less the unit's mean, as ours sees it."""
    price = np.asarray(given.rows.price, float).reshape(-1, int(np.max(np.asarray(given.rows.week))) + 1)
    before = np.column_stack([price.mean(axis=1), price[:, :-1]])
    return np.asarray((before - before.mean(axis=1, keepdims=True)).ravel())


def bound(given: Market, cost: str) -> tuple[float, float]:
    """Return the mean width of exact 90 % intervals of own and of cross elasticities on a `cost` market.

    They are those of a normal posterior that knows the distributions elasticities and weeks were drawn from, the noise
    that is left, and that demand shows in every product's price alike, but not how much: the slope κ of what the cost
    leaves of the price has a flat prior. How much of the cost is passed on is `known`, `common` (one unknown for all
    products) or `own` (one for each): an error δ of it, as large as the first stage leaves it, leaves −κδ of the cost
    in demand. Levels of product and shop are not known. Whether cuts follow demand is not known either, so that
    only first and second moments are used; who may take them for drawn apart from demand can do better.
    """
    rows = given.rows
    j, s, t = (np.asarray(v, np.int64) for v in (rows.product, rows.store, rows.week))
    price, cost_of, others = (np.asarray(v, float) for v in (rows.price, rows.instruments, rows.cross))
    products, unit = int(j.max()) + 1, j * (int(s.max()) + 1) + s
    left = 0.25**2 * 0.2 * 0.8 + 0.05**2 + 0.3**2 * SHOCK**2  # variance of the price beside its cost
    kappa = 0.3 * SHOCK**2 / left
    noise = SHOCK**2 - kappa**2 * left
    of_product = (j[:, None] == np.arange(products)).astype(float)
    columns = [of_product * price[:, None], of_product * others[:, None], (price - cost_of)[:, None]]
    precision = [np.full(products, 1 / 0.7**2), np.full(products, 1 / 0.2**2), np.zeros(1)]
    mass = np.bincount(j, within(cost_of, unit) ** 2)
    if cost == "common":
        columns.append(-kappa * cost_of[:, None])
        precision.append(np.array([mass.sum() / left]))
    if cost == "own":
        columns.append(-kappa * of_product * cost_of[:, None])
        precision.append(mass / left)
    columns.append((t[:, None] == np.arange(int(t.max()) + 1)).astype(float))
    precision.append(np.full(int(t.max()) + 1, 1 / 0.2**2))
    x = np.column_stack([within(column, unit) for part in columns for column in part.T])
    sd = np.sqrt(np.diag(np.linalg.inv(x.T @ x / noise + np.diag(np.concatenate(precision)))))
    return 2 * Z * float(np.mean(sd[:products])), 2 * Z * float(np.mean(sd[products : 2 * products]))


def bounds(sizes: list[int], repeats: list[int]) -> None:
    """Print the bound of each size, by what is known of the cost."""
    print("| rows | times | cost passed on | own | cross |")
    print("|---|---|---|---|---|")
    for size, times in zip(sizes, repeats, strict=False):
        for cost in ("known", "common", "own"):
            own, cross = np.mean([bound(market("cost", size, seed), cost) for seed in range(times)], axis=0)
            print(f"| {size} | {times} | {cost} | {own:.3f} | {cross:.3f} |", flush=True)


def score(truth: Array, told: Array) -> list[float]:
    """Return the error, the coverage and the width of 90 % intervals, the width that would cover 90 %, and their score.

    The score is that of Gneiting and Raftery (2007), Strictly proper scoring rules, JASA 102(477), equation 43.
    """
    mid, low, high = told.T
    miss = np.maximum(low - truth, 0) + np.maximum(truth - high, 0)
    width = high - low
    stretch = float(np.quantile(np.abs(mid - truth) / (width / 2), 0.9))
    return [
        float(np.sqrt(np.mean((mid - truth) ** 2))), float(np.mean(miss == 0)), float(np.mean(width)),
        stretch * float(np.mean(width)), float(np.mean(width + 20 * miss)),
    ]  # fmt: skip


def markets(sizes: list[int], repeats: list[int], kinds: list[str]) -> None:
    """Print how near each method comes to generated markets' elasticities, a row for each market and method."""
    contenders: dict[str, Callable[[Market], tuple[Array, Array] | None]] = {"ours": ours, "LinearDML": linear_dml}
    names = "RMSE, coverage, width, width that would cover, score"
    print(f"| market | rows | times | method | own: {names} | cross: {names} | CPU s |")
    print("|---|---|---|---|---|---|---|")
    for size, times in zip(sizes, repeats, strict=True):
        for kind in kinds:
            if kind in INDEPENDENT and size == 80_000:  # they have three sizes
                continue
            peers = dict(contenders, OrthoIV=ortho_iv) if kind in ENDOGENOUS else contenders
            for name, method in peers.items():
                found: list[list[Array]] = [[], [], [], []]  # truth and told, of own and of cross elasticities
                seconds = []
                for seed in range(times):
                    given = market(kind, size, seed)
                    start = time.process_time()
                    told = method(given)
                    seconds.append(time.process_time() - start)
                    if told is not None:
                        for part, values in zip(found, (given.own, told[0], given.cross, told[1]), strict=True):
                            part.append(values)
                if seconds and found[0]:
                    truth, own, rival, cross = (np.concatenate(part) for part in found)
                    told_of = " | ".join(_shown(t, e) for t, e in ((truth, own), (rival, cross)))
                    print(f"| {kind} | {size} | {times} | {name} | {told_of} | {np.median(seconds):.2f} |", flush=True)


def _shown(truth: Array, told: Array) -> str:
    if np.isnan(told).all():
        return "–"
    error, coverage, *widths = score(truth, told)
    return f"{error:.3f}, {coverage:.3f}, " + ", ".join(f"{width:.3f}" for width in widths)


def orange_juice(folder: Path) -> tuple[dict[str, Array], Array, NDArray[np.bool_]]:
    """Return the columns, logarithms of the eleven prices, and which rows are test rows."""
    table = pq.read_table(folder / "orangeJuice_yx.parquet").to_pydict()
    data = {name: np.array(values, float) for name, values in table.items()}
    people = {
        name: np.array(v, float)
        for name, v in pq.read_table(folder / "orangeJuice_storedemo.parquet").to_pydict().items()
    }
    place = np.searchsorted(people["STORE"], data["store"])
    data["traits"] = np.column_stack([people[name][place] for name in people if name != "STORE"])
    weeks = np.unique(data["week"])
    test = data["week"] >= weeks[int(np.floor(0.8 * len(weeks)))]
    for name in ("logmove", "profit"):
        data[name][test] = np.nan
    prices = np.log(np.column_stack([data[f"price{k}"] for k in range(1, BRANDS + 1)]))
    return data, prices, test


def juice(folder: Path, predictions: Path | None, elasticity: Path | None) -> None:
    """Write the orange juice's predictions and elasticities, for the scorer."""
    data, prices, test = orange_juice(folder)
    own = prices[np.arange(len(test)), data["brand"].astype(int) - 1]
    flags = np.column_stack([data["deal"], data["feat"]])
    if elasticity:
        start = time.process_time()
        known = ~test
        others = (prices.sum(axis=1) - own) / (BRANDS - 1)
        cost = np.log(np.maximum(np.exp(own) * (1 - data["profit"] / 100), 1e-4))
        columns = {
            "sold": data["logmove"], "price": own, "product": data["brand"].astype(int), "week": data["week"],
            "store": data["store"], "cross": others, "flags": flags,
        }  # fmt: skip
        kept = {name: values[known] for name, values in columns.items()}
        plain = Elasticity()(Rows(**kept))
        instrumented = Elasticity()(Rows(**kept, instruments=cost[known]))
        print(f"elasticities: {time.process_time() - start:.1f} CPU s")
        show(plain, instrumented)
        with elasticity.open("w", encoding="utf-8", newline="") as handle:
            out = csv.writer(handle)
            out.writerow(["brand", "elasticity", "se", "low", "high"])
            for p in plain.products:
                out.writerow([p.product, p.own.mid, (p.own.high - p.own.low) / 2 / Z, p.own.low, p.own.high])
    if predictions:
        start = time.process_time()
        shelf = Shelf(data["logmove"], own, data["brand"], data["week"], data["store"], prices, flags, data["traits"])
        told = Demand()(shelf)
        print(
            f"demand: share of trees {told.share}, error on the weeks set aside {told.error:.4f}, "
            f"{time.process_time() - start:.1f} CPU s"
        )
        with predictions.open("w", encoding="utf-8", newline="") as handle:
            out = csv.writer(handle)
            out.writerow(["store", "brand", "week", "pred_logmove", "low", "high"])
            for i in np.flatnonzero(test):
                ids = [int(data[name][i]) for name in ("store", "brand", "week")]
                out.writerow([*ids, told.mid[i], told.low[i], told.high[i]])


def show(plain: Elasticities, instrumented: Elasticities) -> None:
    """Print each brand's elasticity, what a hidden cause could do to it, and the same by cost as an instrument."""
    names = "brand | elasticity | 90 % interval | hidden cause of 5 % | to reach −1 | by cost | 90 % | effective F"
    print(f"| {names} | cross |")
    print("|---|---|---|---|---|---|---|---|---|")
    for a, b in zip(plain.products, instrumented.products, strict=True):
        wide, cross = a.bounds(0.05), a.cross[0]
        print(
            f"| {a.product} | {a.own.mid:.2f} | {a.own.low:.2f} to {a.own.high:.2f} | "
            f"{wide.low:.2f} to {wide.high:.2f} | {a.robustness():.2f} | "
            f"{b.own.mid:.2f} | {b.own.low:.2f} to {b.own.high:.2f} | {b.strength or 0:.0f} | "
            f"{cross.mid if cross else float('nan'):.2f} |"
        )
    group = instrumented.groups[0]
    print(f"mean {plain.groups[0].mean}, by cost {group.mean}, gap {group.gap}")


def main() -> None:
    """Write predictions and elasticities, or print the generated markets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "data", type=Path, nargs="?", help="folder with orangeJuice_yx and orangeJuice_storedemo .parquet"
    )
    parser.add_argument("--predictions", type=Path)
    parser.add_argument("--elasticity", type=Path)
    parser.add_argument("--markets", action="store_true", help="generated markets beside EconML")
    parser.add_argument("--bound", action="store_true", help="the least width of honest intervals")
    parser.add_argument("--kinds", nargs="+", default=["loglog", *ENDOGENOUS, *INDEPENDENT, "logit", "stockpiling"])
    parser.add_argument("--rows", type=int, nargs="+", default=list(SHAPES))
    parser.add_argument("--repeats", type=int, nargs="+", default=[200, 40, 4, 1])
    arguments = parser.parse_args()
    if arguments.data:
        juice(arguments.data, arguments.predictions, arguments.elasticity)
    if arguments.markets:
        markets(arguments.rows, arguments.repeats, arguments.kinds)
    if arguments.bound:
        bounds(arguments.rows, arguments.repeats)


if __name__ == "__main__":
    main()
