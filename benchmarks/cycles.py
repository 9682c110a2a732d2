"""Plan, launch with holdouts, live, read, calibrate, plan again: does the error of what plans promise fall?

usage: python benchmarks/cycles.py PRESET SEEDS [--cycles 3] [--levers price,commission,coupon] [--futures 1]
       [--work FOLDER]

Each plan's promise stands beside the truth of the world (contribution profit of the whole plan, run alone, averaged
over futures).
The first plan knows no ledger; each further one is calibrated by all readings before it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tradewind.arena.cycles import cycles
from tradewind.faces.options import parts, seeds
from tradewind.study import Lever


def main() -> None:
    """Run the cycles of each seed and print a row for each plan."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("preset")
    asked.add_argument("seeds")
    asked.add_argument("--cycles", type=int, default=3)
    asked.add_argument("--levers", default="price,commission,coupon")
    asked.add_argument("--futures", type=int, default=1)
    asked.add_argument("--work", type=Path)
    given = asked.parse_args()
    levers = tuple(Lever(name) for name in parts(given.levers))
    if given.work:
        given.work.mkdir(parents=True, exist_ok=True)
    print("| seed | plan | actions | promised | low | high | true | error | read, readings |")
    print("|---|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as temporary:
        for seed in seeds(given.seeds):
            for each in cycles(
                given.preset, seed, given.work or Path(temporary), given.cycles, levers, given.futures
            ):  # fmt: skip
                read = "" if each.read is None else f"{each.read:,.0f}, {each.readings}"
                print(
                    f"| {seed} | {each.number} | {each.actions} | {each.promised:,.0f} | {each.low:,.0f} | "
                    f"{each.high:,.0f} | {each.truth:,.0f} | {each.error:,.0f} | {read} |",
                    flush=True,
                )
                for reason in each.unread:
                    print(f"not read: {reason}", file=sys.stderr)


if __name__ == "__main__":
    main()
