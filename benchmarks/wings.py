"""Wings in worlds of known truth: what they tell, beside boosting on the truth, attribution and the oracle.

usage: python benchmarks/wings.py PRESET SEEDS [--levers price,commission,coupon] [--work FOLDER]

For each lever alone the wing appraises the arena's offer from the store, and the best settings under the payers' whole
budgets and a third of them are taken. They are worth what the closed form says, to the first order: the arena then runs
the choices themselves. Boosting is shown the truth of other products and customers. `--work` keeps histories.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from tradewind.arena import policies
from tradewind.arena.offer import Offer, offer
from tradewind.arena.oracle import Oracle, sure
from tradewind.engines.store import open_store
from tradewind.faces.options import parts, seeds
from tradewind.sources import fill
from tradewind.sources.worlds.preset import preset
from tradewind.sources.worlds.world import World
from tradewind.study import Choice, Lever

SHARES = {"whole": 1.0, "a third": 1 / 3}


def show(made: Offer, knows: Oracle, seed: int) -> None:
    """Print how the wing of the one lever on offer and its peers did."""
    begun = time.process_time()
    told = policies.appraised(made, seed)
    seconds = time.process_time() - begun
    keys = list(knows.first)
    true = np.array([knows.first[key] for key in keys])
    joint = [told[n].menu[place].joint for n, place in keys]
    mid, low, high = (np.array([getattr(each, end) for each in joint]) for end in ("mid", "low", "high"))
    held = (low <= true) & (true <= high)
    print(
        f"all {len(keys)} settings: told {mid.sum():,.0f}, true {true.sum():,.0f}, correlation "
        f"{np.corrcoef(mid, true)[0, 1]:.2f}, held {held.mean():.3f}, width {np.mean(high - low):.2f}, "
        f"{seconds:.0f} CPU s"
    )
    values = {
        "ours": dict(zip(keys, mid.tolist(), strict=True)),
        "boosting on the truth": knows.guess(seed),
        "oracle": knows.first,
    }
    for share, part in SHARES.items():
        purse = replace(made, budgets={payer: limit * part for payer, limit in made.budgets.items()})
        chosen = {name: policies.best(purse, sure(value)) for name, value in values.items()}
        chosen["attribution"] = policies.attributed(purse, seed)
        worth = {name: sum(knows.worth(choice) for choice in some) for name, some in chosen.items()}
        said = _told(chosen["ours"], dict(zip(keys, joint, strict=True)), knows, made)
        for name, some in chosen.items():
            of = worth[name] / worth["oracle"] if worth["oracle"] else float("nan")
            print(
                f"  {share:8} {name:22} {len(some):5} actions, true {worth[name]:9,.1f}, {of:6.3f} of the oracle"
                + (said if name == "ours" else "")
            )


def _told(some: list[Choice], joint: dict, knows: Oracle, made: Offer) -> str:
    if not some:
        return ""
    number = {action.key: n for n, action in enumerate(made.actions)}
    told = [joint[number[choice.action.key], choice.place] for choice in some]
    held = np.mean([each.low <= knows.worth(choice) <= each.high for each, choice in zip(told, some, strict=True)])
    width = np.mean([each.high - each.low for each in told])
    return f", told {sum(each.mid for each in told):,.1f}, held {held:.3f}, width {width:.2f}"


def main() -> None:
    """Print the wings' standing in each world."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("preset")
    asked.add_argument("seeds")
    asked.add_argument("--levers", default="price,commission,coupon")
    asked.add_argument("--work", type=Path)
    given = asked.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        for seed in seeds(given.seeds):
            folder = (given.work or Path(temporary)) / f"{given.preset}-{seed}"
            fill(given.preset, seed, folder)
            store = open_store(str(folder))
            world = World(preset(given.preset), seed)
            world.advance(preset(given.preset).days)
            for lever in parts(given.levers):
                print(f"{given.preset} {seed}, {lever}: ", end="")
                made = offer(store, (Lever(lever),))
                show(made, Oracle(world, made, 1), seed)


if __name__ == "__main__":
    main()
