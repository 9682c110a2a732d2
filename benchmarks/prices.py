"""Prices in worlds of known truth: the wing beside attribution and boosting that was shown the truth of other products.

Usage: python benchmarks/prices.py PRESET SEED [SEED ...]

A world is filled, its offer of prices appraised by the wing from the store alone, and the best settings under the
merchants' budget and a
third of it are taken. Their worth is the closed form of one future, without the oracle's scale: coverage and width
are of it too.
"""

from __future__ import annotations

import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

import numpy as np

from tradewind.arena.offer import BUDGETS, COUPON_DAYS, COUPONS, DAYS, EFFORTS, OFF, RATES, offer
from tradewind.arena.oracle import guessed
from tradewind.arena.policies import credited
from tradewind.arena.purse import pick
from tradewind.decisions import prices
from tradewind.engines.store import open_store
from tradewind.period import Period
from tradewind.sources import fill
from tradewind.sources.worlds.marginal import Doses, marginal
from tradewind.sources.worlds.preset import preset
from tradewind.sources.worlds.world import World
from tradewind.study import Lever, Party


def main(name: str, seed: int) -> None:
    """Print how the wing and its peers did in one world."""
    with tempfile.TemporaryDirectory() as folder:
        fill(name, seed, Path(folder))
        store = open_store(folder)
        made = offer(store)
        known = made.products.matrix()
        begun = time.process_time()
        learnt = prices.learn(store, Period(store.span.last - timedelta(days=27), store.span.last))
        numbers = [n for n, action in enumerate(made.actions) if action.lever == Lever.PRICE]
        told = learnt.appraise([made.actions[n] for n in numbers])
        seconds = time.process_time() - begun
        gmv = credited(made)
        world = World(preset(name), seed)
        world.advance(preset(name).days)
    worths = marginal(world, Doses(OFF, COUPONS, COUPON_DAYS, RATES, BUDGETS, EFFORTS), DAYS, 1).price.sum(axis=2)
    worths = worths[[int(product[1:]) for product in made.products.ids]]
    unit = np.array([made.unit[n] for n in numbers])
    truth = worths[unit]
    ours, low, high = (
        np.array([[getattr(s.joint, end) for s in a.menu] for a in told]) for end in ("mid", "low", "high")
    )
    cost = np.array([[s.cost[Party.MERCHANT] for s in a.menu] for a in told])
    credit = np.array([[0.3 * gmv[n, k] for k in range(len(OFF))] for n in numbers]) - cost
    menu = np.repeat(np.arange(len(truth)), len(OFF))
    held = (low <= truth) & (truth <= high)
    print(f"{name} {seed}: {seconds:.1f} CPU s; of all settings, shallow to deep:")
    print(f"  told {ours.sum(axis=0).round()}, true {truth.sum(axis=0).round()}")
    print(f"  held {held.mean(axis=0).round(3)}, width {(high - low).mean(axis=0).round(2)}")
    values = {
        "ours": ours,
        "attribution": credit,
        "boosting on the truth": guessed(known, worths, 0)[unit],
        "oracle": truth,
    }
    for share in (1.0, 1 / 3):
        purse = {Party.MERCHANT: made.budgets[Party.MERCHANT] * share}
        taken = {who: pick(menu, v.ravel(), {Party.MERCHANT: cost.ravel()}, purse) for who, v in values.items()}
        best = truth.ravel()[taken["oracle"]].sum()
        for who, places in taken.items():
            true, said = truth.ravel()[places].sum(), values[who].ravel()[places].sum()
            line = f"  budget {purse[Party.MERCHANT]:7.0f}  {who:22}{len(places):5} prices"
            line += f", told {said:7.0f}, true {true:7.0f} ({true / best:.3f} of the oracle)"
            if who == "ours":
                line += f", held {held.ravel()[places].mean():.3f}, width {(high - low).ravel()[places].mean():.2f}"
            print(line)


if __name__ == "__main__":
    for given in sys.argv[2:]:
        main(sys.argv[1], int(given))
