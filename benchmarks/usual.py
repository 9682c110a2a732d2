"""What is usual over a week or four: `Usual` beside `Expect` and the weeks before, on series that neither was tuned on.

usage: python benchmarks/usual.py [--town STORE] [--rossmann FILE] [--cases N] [--seed SEED]

Settings of `Usual` were chosen on generated series of seed 1 and other stores; reported are another seed, a store and
stores that played no part. Each truth lies after all that a method was given. Width is over the mean total before;
the score is Gneiting and Raftery's (width, and 2/α for each unit outside), over the same: less is better.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import numpy as np

from tradewind.engines.store import open_store
from tradewind.measures import metrics as m
from tradewind.methods.expect import Expect
from tradewind.methods.usual import Usual
from tradewind.study import Estimate

LEVEL = 0.9
WEEK = np.array([0.9, 0.95, 1.0, 1.05, 1.2, 1.4, 0.7])
KINDS = ("stable", "weekly", "trending", "drifting", "shifting", "lasting noise", "heavy", "intermittent", "rare")


@dataclass
class Score:
    """How a method did on some series: whether each total was held, width and score of its range, and CPU time."""

    held: list[float] = field(default_factory=list)
    width: list[float] = field(default_factory=list)
    score: list[float] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, found: Estimate, truth: float, size: float, seconds: float) -> None:
        """Score one answer against the truth."""
        self.held.append(found.low - 1e-9 <= truth <= found.high + 1e-9)
        self.width.append((found.high - found.low) / size)
        outside = max(found.low - truth, truth - found.high, 0.0)
        self.score.append((found.high - found.low + 2 / (1 - LEVEL) * outside) / size)
        self.seconds += seconds

    def __str__(self) -> str:
        count = max(len(self.held), 1)
        if not self.held:
            return "       –      –      –        –"
        return (
            f"{np.mean(self.held):8.3f} {np.mean(self.width):6.3f} {np.mean(self.score):6.3f} "
            f"{1e3 * self.seconds / count:8.2f}"
        )


def usual(past: np.ndarray, length: int) -> Estimate | None:
    """As `Usual` tells it."""
    return Usual(LEVEL)(past, length)


def expect(past: np.ndarray, length: int) -> Estimate | None:
    """As `Expect` tells it, from the first day with anything on."""
    begun = np.flatnonzero(past)
    return Expect(level=LEVEL)(past[begun[0] :], length).total if len(begun) else None


def before(past: np.ndarray, length: int) -> Estimate | None:
    """As much as on the same weekdays before, give or take what that missed at every earlier origin."""
    back = 7 * -(-length // 7)
    sums = np.convolve(past, np.ones(length), "valid")
    then, now = sums[:-back], sums[back:]
    if len(now) < 14:
        return None
    low, high = np.quantile(now - then, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    mid = past[len(past) - back :][:length].sum()
    return Estimate(mid, min(max(mid + low, 0.0), mid), max(mid + high, mid), LEVEL)


METHODS: dict[str, Callable[[np.ndarray, int], Estimate | None]] = {
    "Usual": usual, "Expect": expect, "weeks before": before
}  # fmt: skip


def generated(kind: str, rng: np.random.Generator, count: int) -> np.ndarray:
    """Draw daily values of one kind."""
    day, noise = np.arange(count), rng.standard_normal(count)
    season = 1000 * WEEK[day % 7]
    if kind == "stable":
        return 1000 * np.exp(0.1 * noise)
    if kind == "weekly":
        return season * np.exp(0.12 * noise)
    if kind == "trending":
        return season * np.exp(rng.choice([-1, 1]) * 0.003 * day + 0.12 * noise)
    if kind == "drifting":
        return season * np.exp(np.cumsum(0.02 * rng.standard_normal(count)) + 0.1 * noise)
    if kind == "shifting":
        steps = np.where(rng.random(count) < 1 / 60, 0.3 * rng.standard_normal(count), 0.0)
        return season * np.exp(np.cumsum(steps) + 0.12 * noise)
    if kind == "lasting noise":
        left = 0.15 * noise
        for n in range(1, count):
            left[n] = 0.6 * left[n - 1] + 0.8 * left[n]
        return season * np.exp(left)
    if kind == "heavy":
        return season * np.exp(0.08 * rng.standard_t(3, count))
    return (
        rng.poisson(0.6, count) * rng.lognormal(3, 0.6, count)
        if kind == "intermittent"
        else rng.poisson(0.15, count) * 1.0
    )


def compared(series: Iterator[tuple[np.ndarray, int]], length: int, names: tuple[str, ...]) -> dict[str, Score]:
    """Score methods on the days after each origin; only where all of them answer."""
    scores = {name: Score() for name in names}
    for values, origin in series:
        truth = float(values[origin : origin + length].sum())
        size = max(float(values[:origin].mean() * length), 1e-9)
        answers = {}
        for name in names:
            start = time.process_time()
            answers[name] = (METHODS[name](values[:origin], length), time.process_time() - start)
        if all(found is not None for found, _ in answers.values()):
            for name, (found, seconds) in answers.items():
                scores[name].add(found, truth, size, seconds)
    return scores


def shown(what: str, length: int, scores: dict[str, Score]) -> None:
    """Print a line for each method."""
    for name, score in scores.items():
        print(f"{what:<28} {length:>3}  {name:<13} {len(score.held):>5} {score}", flush=True)


def of_town(address: str) -> None:
    """Daily metrics of a store, and of its shops, at the last origins that leave their truth inside."""
    store = open_store(address)
    metrics = (m.GMV, m.ORDERS, m.IMPRESSIONS, m.BUYERS, m.AOV, m.CVR)
    panel = store.panel(metrics, ("shop_id",))
    begin = (store.span.first - panel.span.first).days
    days = store.span.days
    for length in (7, 28):
        origins = range(begin + 70, begin + days - length + 1, 4)
        for metric in (m.GMV, m.ORDERS, m.IMPRESSIONS):
            values = panel.daily(metric)
            shown(metric.title, length, compared(((values, n) for n in origins), length, tuple(METHODS)))
        for metric in (m.BUYERS, m.AOV, m.CVR):
            score = Score()
            windows = panel.windows(metric, length)
            for n in origins:
                past = windows[: n - length + 1]
                start = time.process_time()
                if metric is m.BUYERS:
                    found = Usual(LEVEL)(panel.daily(metric)[:n], length, windows=past)
                else:
                    over, under = (panel.daily(part)[:n] for part in (metric.over, metric.under))
                    found = Usual(LEVEL)(over, length, under=under, windows=past)
                if found is not None:
                    score.add(found, windows[n], windows[n], time.process_time() - start)
            shown(metric.title, length, {"Usual": score})
        shops = panel.split("shop_id").keys
        chosen = [shops[n] for n in np.linspace(0, len(shops) - 1, 60).astype(int)]
        series = {shop: panel.of("shop_id", shop).daily(m.GMV) for shop in chosen}
        some = [begin + days - length - 14 * back for back in range(3)]
        pairs = ((values, n) for values in series.values() for n in some)
        shown("GMV of 60 shops", length, compared(pairs, length, tuple(METHODS)))
    last = store.span.last - timedelta(days=27)
    print(f"town: {store.span}, last origin before {last}")


def of_rossmann(file: Path) -> None:
    """Daily sales of stores; closed days are zeros, promotions nobody is told of."""
    import pandas as pd

    frame = pd.read_parquet(file)
    frame["Date"] = pd.to_datetime(frame["Date"])
    table = frame.pivot_table(index="Store", columns="Date", values="Sales", aggfunc="sum").fillna(0.0)
    table = table.reindex(columns=pd.date_range(table.columns.min(), table.columns.max()), fill_value=0.0)
    stores = table.to_numpy(dtype=float)[np.linspace(0, len(table) - 1, 40).astype(int)]
    for length in (7, 28):
        origins = [table.shape[1] - length - 35 * back for back in range(4)]
        pairs = ((values, n) for values in stores for n in origins)
        shown("Rossmann, 40 stores", length, compared(pairs, length, tuple(METHODS)))
        pairs = ((values[-600:], n - table.shape[1] + 600) for values in stores for n in origins)
        shown("Rossmann, short history", length, compared(pairs, length, ("Usual", "weeks before")))


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--town", default="", help="a store")
    parser.add_argument("--rossmann", type=Path, help="rossmann.parquet")
    parser.add_argument("--cases", type=int, default=200, help="generated series a row")
    parser.add_argument("--seed", type=int, default=2)
    args = parser.parse_args()
    Usual(LEVEL)(np.arange(60.0), 7)  # compiled before it is timed
    print("series                       days method        cases     held  width  score ms of CPU")
    for kind in KINDS if args.cases else ():
        for history in (60, 150, 800):
            for length in (7, 28, 31):
                rngs = (np.random.default_rng([args.seed, n, history, length]) for n in range(args.cases))
                pairs = ((generated(kind, rng, history + length), history) for rng in rngs)
                names = ("Usual", "weeks before")
                shown(f"{kind}, {history} days", length, compared(pairs, length, names))
        rngs = (np.random.default_rng([args.seed, n, 99]) for n in range(max(args.cases // 8, 1)))
        pairs = ((generated(kind, rng, 178), 150) for rng in rngs)
        shown(f"{kind}, 150 days, fewer", 28, compared(pairs, 28, tuple(METHODS)))
    if args.town:
        of_town(args.town)
    if args.rossmann:
        of_rossmann(args.rossmann)


if __name__ == "__main__":
    main()
