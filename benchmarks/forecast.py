"""Expect daily sales of 1,115 stores over their last six weeks, beside mlforecast's conformal intervals.

usage: python benchmarks/forecast.py DATA_DIR --predictions OUT.csv [--no-peer] [--simulated CASES]

DATA_DIR holds rossmann.parquet. The last 42 days are the test: their sales are compared only after both have answered.
Settings were chosen on earlier blocks of 42 days; RESULTS.md tells what was tried.
"""

from __future__ import annotations

import argparse
import resource
import time
from dataclasses import dataclass
from pathlib import Path

import lightgbm as lgb
import numpy as np
import pandas as pd
from mlforecast import MLForecast
from mlforecast.lag_transforms import RollingMean
from mlforecast.target_transforms import GlobalSklearnTransformer
from mlforecast.utils import PredictionIntervals
from sklearn.preprocessing import FunctionTransformer

from tradewind.methods.expect import Expect

HORIZON = 42
LEVEL = 0.9
MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sept", "Oct", "Nov", "Dec"]


@dataclass(frozen=True)
class Data:
    """The file as grids: stores in rows, days in columns."""

    stores: np.ndarray
    dates: pd.DatetimeIndex
    sales: np.ndarray
    open_: np.ndarray
    known: dict[str, np.ndarray]
    traits: dict[str, np.ndarray]


def read(folder: Path) -> Data:
    """Read the sales and split them as the scorer does."""
    frame = pd.read_parquet(folder / "rossmann.parquet")
    frame["Date"] = pd.to_datetime(frame["Date"])
    stores = np.sort(frame["Store"].unique())
    dates = pd.date_range(frame["Date"].min(), frame["Date"].max())
    shape = (len(stores), len(dates))
    row, column = np.searchsorted(stores, frame["Store"]), (frame["Date"] - dates[0]).dt.days.to_numpy()

    def grid(values: np.ndarray, fill: float) -> np.ndarray:
        out = np.full(shape, fill)
        out[row, column] = values
        return out

    # Closed days have no row. The promotion is chain-wide; the other flags count as down where a store is closed.
    promo = np.broadcast_to(np.nan_to_num(np.nanmax(grid(frame["Promo"], np.nan), axis=0)), shape)
    year, month = dates.year.to_numpy(), dates.month.to_numpy()
    first = frame.drop_duplicates("Store").set_index("Store").loc[stores]
    rival = (year * 12 + month) - (
        first["CompetitionOpenSinceYear"] * 12 + first["CompetitionOpenSinceMonth"]
    ).to_numpy()[:, None]
    week = year + dates.isocalendar().week.to_numpy(dtype=float) / 52
    second = week - (first["Promo2SinceYear"] + first["Promo2SinceWeek"] / 52).to_numpy()[:, None]
    active = np.array([[m in names.split(",") for m in MONTHS] for names in first["PromoInterval"].fillna("")])
    known = {
        "promotion": promo,
        "school_holiday": grid(frame["SchoolHoliday"], 0.0),
        "state_holiday": grid((frame["StateHoliday"].astype(str) != "0").to_numpy(), 0.0),
        "second_promotion_mailed": (active[:, month - 1] & (second >= 0)).astype(float),
        "months_since_rival": np.where(np.isfinite(rival), np.clip(rival, -1, 24), -2),
        "years_since_second_promotion": np.where(second >= 0, np.clip(second, 0, 3), -1),
        "month": month.astype(float),
        "day_of_month": dates.day.to_numpy(dtype=float),
        "day_of_year": dates.dayofyear.to_numpy(dtype=float),
    }
    traits = {
        "type": pd.factorize(first["StoreType"], sort=True)[0].astype(float),
        "assortment": pd.factorize(first["Assortment"], sort=True)[0].astype(float),
        "rival_distance": np.log1p(first["CompetitionDistance"].to_numpy(dtype=float)),
        "store": np.arange(len(stores), dtype=float),
    }
    sales = grid(frame["Sales"].where(frame["Sales"] > 0), np.nan)
    return Data(stores, dates, sales, grid(frame["Open"] == 1, 0.0) > 0, known, traits)


def ours(data: Data) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Forecast with `Expect`."""
    past = len(data.dates) - HORIZON
    days = np.array([day.toordinal() for day in data.dates[:past]])
    expect = Expect(seasons=(7, 365.25), level=LEVEL, aim="relative")
    found = expect(data.sales[:, :past], HORIZON, days=days, known=data.known, trading=data.open_, traits=data.traits)
    return found.mid, found.low, found.high, np.array([[t.low, t.high] for t in found.totals])


def mlforecast(data: Data) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Forecast with mlforecast and its conformal intervals."""
    count, length = data.sales.shape
    grids = {
        **{k: np.broadcast_to(v, data.sales.shape) for k, v in data.known.items()},
        "open": data.open_.astype(float),
    }
    frame = pd.DataFrame({"unique_id": np.repeat(data.stores, length), "ds": np.tile(data.dates, count)})
    for name, values in grids.items():
        frame[name] = values.ravel()
    for name, values in data.traits.items():
        frame[name] = np.repeat(np.nan_to_num(values, nan=-1.0), length)
    frame["y"] = np.nan_to_num(data.sales).ravel()
    late = frame["ds"] > data.dates[-1] - pd.Timedelta(days=HORIZON)
    model = lgb.LGBMRegressor(n_estimators=400, num_leaves=63, learning_rate=0.05, subsample=0.7, subsample_freq=1,
                              colsample_bytree=0.7, verbosity=-1, random_state=0)  # fmt: skip
    forecast = MLForecast(
        models={"lgb": model},
        freq="D",
        lags=[1, 7, 14, 21, 28],
        lag_transforms={1: [RollingMean(7), RollingMean(28)], 28: [RollingMean(28)]},
        date_features=["dayofweek"],
        target_transforms=[GlobalSklearnTransformer(FunctionTransformer(func=np.log1p, inverse_func=np.expm1))],
    )
    forecast.fit(
        frame[~late],
        static_features=list(data.traits),
        prediction_intervals=PredictionIntervals(n_windows=2, h=HORIZON),
    )
    future = frame[late].drop(columns=["y", *data.traits])
    out = forecast.predict(HORIZON, X_df=future, level=[round(100 * LEVEL)]).sort_values(["unique_id", "ds"])
    shape = (count, HORIZON)
    return tuple(out[name].to_numpy().reshape(shape) for name in ("lgb", "lgb-lo-90", "lgb-hi-90"))


def measure(run, data: Data) -> tuple[tuple[np.ndarray, ...], float, float]:
    """Measure errors, coverage and width of a forecast."""

    def cpu() -> float:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return usage.ru_utime + usage.ru_stime

    wall, used = time.perf_counter(), cpu()
    out = run(data)
    return out, time.perf_counter() - wall, cpu() - used


def simulated(cases: int) -> None:
    """Print how often intervals hold simulated single series, and their width over that of one who knows the law."""
    week = np.array([0.9, 0.95, 1.0, 1.05, 1.2, 1.4, 0.7])

    def draw(kind: str, rng: np.random.Generator, size: int) -> np.ndarray:
        fresh = rng.standard_normal(size)
        if kind == "heavy":
            return 0.06 * rng.standard_t(3, size)
        if kind == "walk":
            return np.cumsum(0.02 * rng.standard_normal(size)) + 0.1 * fresh
        rho = {"iid": 0.0, "ar1": 0.6}[kind]
        out = 0.1 * fresh
        for i in range(1, size):
            out[i] = rho * out[i - 1] + 0.1 * np.sqrt(1 - rho**2) * fresh[i]
        return out

    print("noise   history  ahead  day held  day width  sum held  sum width  s/series")
    for count, horizon in ((28, 7), (70, 14), (365, 28)):
        t = np.arange(count + horizon)
        base = 100 * week[t % 7]
        for kind in ("iid", "ar1", "heavy", "walk"):
            held, wide, held_sum, wide_sum, start = [], [], [], [], time.process_time()
            for seed in range(cases):
                y = base * np.exp(draw(kind, np.random.default_rng(seed), len(t)))
                found = Expect(level=LEVEL, seed=seed)(y[:count], horizon)
                truth = y[count:]
                held.append(np.mean((truth >= found.low) & (truth <= found.high)))
                wide.append(np.mean((found.high - found.low) / base[count:]))
                held_sum.append(found.total.low <= truth.sum() <= found.total.high)
                wide_sum.append((found.total.high - found.total.low) / base[count:].sum())
            used = (time.process_time() - start) / cases
            rng = np.random.default_rng(10**6)
            paths = base[count:] * np.exp(np.array([draw(kind, rng, horizon) for _ in range(2000)]))
            ends = np.quantile(paths, [0.05, 0.95], axis=0)
            best = np.mean((ends[1] - ends[0]) / base[count:])
            best_sum = np.ptp(np.quantile(paths.sum(axis=1), [0.05, 0.95])) / base[count:].sum()
            print(
                f"{kind:<7} {count:>7}  {horizon:>5}  {np.mean(held):8.3f}  {np.mean(wide) / best:9.2f}  "
                f"{np.mean(held_sum):8.3f}  {np.mean(wide_sum) / best_sum:9.2f}  {used:8.2f}"
            )


def main() -> None:
    """Run the benchmark and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--predictions", type=Path, required=True)
    parser.add_argument("--no-peer", action="store_true", help="leave mlforecast out")
    parser.add_argument("--simulated", type=int, metavar="CASES", help="only print coverage on simulated single series")
    args = parser.parse_args()
    if args.simulated:
        simulated(args.simulated)
        return
    data = read(args.data)
    truth = data.sales[:, -HORIZON:]
    scored = data.open_[:, -HORIZON:] & np.isfinite(truth)
    results = {"tradewind": measure(ours, data)}
    if not args.no_peer:
        results["mlforecast"] = measure(mlforecast, data)

    mid, low, high, totals = results["tradewind"][0]
    row, column = np.nonzero(scored)
    day = data.dates[-HORIZON:][column].strftime("%Y-%m-%d")
    table = {"store": data.stores[row], "date": day, "pred": mid[scored], "low": low[scored], "high": high[scored]}
    pd.DataFrame(table).to_csv(args.predictions, index=False)

    print(f"{scored.sum()} rows, {len(data.stores)} stores, {data.dates[-HORIZON].date()} to {data.dates[-1].date()}")
    print("method       RMSPE    cover 90 %  mean width/truth  median width/truth  wall s  CPU s")
    line: dict[str, np.ndarray] = {}
    for name, (answer, wall, used) in results.items():
        m, a, b = (part[scored] for part in answer[:3])
        y = truth[scored]
        width = (b - a) / y
        numbers = [
            np.sqrt(np.mean((m / y - 1) ** 2)), np.mean((y >= a) & (y <= b)), width.mean(), np.median(width), wall, used
        ]  # fmt: skip
        line[name] = np.array(numbers)
        print(f"{name:<12} {numbers[0]:.5f}  {numbers[1]:.3f}       {numbers[2]:.3f}             "
              f"{numbers[3]:.3f}               {wall:6.0f}  {used:6.0f}")  # fmt: skip
    if len(line) == 2:
        print("ratio        " + "  ".join(f"{x:.3f}" for x in line["tradewind"] / line["mlforecast"]))
    was = np.where(scored, truth, 0).sum(axis=1)
    inside = (was >= totals[:, 0]) & (was <= totals[:, 1])
    print(
        f"sums of six weeks: {inside.mean():.3f} inside, "
        f"mean width/truth {np.mean((totals[:, 1] - totals[:, 0]) / was):.3f}"
    )


if __name__ == "__main__":
    main()
