"""Read-outs of holdouts on money that is mostly zero: false alarms, coverage, width and power beside peers.

usage: PYTHONPATH=src PEERS/bin/python benchmarks/holdout.py [--runs 2000]

PEERS is an environment with numpy, scipy, tea-tasting and ville. Nothing is read: populations of 200,000 customers are
drawn from a seed, and experiments are drawn from them.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from tradewind.methods.moments import Moments, Verdict, contrast
from tradewind.methods.power import Holdout, Power
from tradewind.methods.power_outcome import Outcome
from tradewind.methods.sequence import Sequence
from tradewind.study import Estimate

Array = NDArray[np.float64]
Interval = tuple[float, float, float]
PEOPLE = 200_000


def populations(seed: int) -> dict[str, tuple[Array, Array]]:
    """Money in a period and in the one before it."""
    rng = np.random.default_rng(seed)
    found = {}
    for name, shape, rate, spread in (("usual", 0.5, 0.3, 0.5), ("rare", 0.1, 0.3, 1.0)):
        habit, size = rng.gamma(shape, rate / shape, PEOPLE), np.exp(rng.normal(3, 0.7, PEOPLE))
        now, before = (rng.poisson(habit) * size * np.exp(rng.normal(0, spread, PEOPLE)) for _ in range(2))
        found[name] = (now, before)
    return found


def arm(now: Array, before: Array) -> Moments:
    """Moments of an arm."""
    return Moments.of(now, before)


def ours(spread: Any) -> Callable[[Moments, Moments], Interval]:
    """Return our contrast of two arms' means, by the spread that is assumed of it."""

    def read(control: Moments, treated: Moments) -> Interval:
        found = contrast(control, treated, spread).interval(0.9)
        return found.mid, found.low, found.high

    return read


def tea(equal: bool) -> Callable[[Moments, Moments], Interval]:
    """tea-tasting's mean with its covariate: Welch's test, or Student's."""
    from tea_tasting import Mean
    from tea_tasting.aggr import Aggregates

    metric = Mean("now", "before", confidence_level=0.9, equal_var=equal)

    def read(control: Moments, treated: Moments) -> Interval:
        both = []
        for each in (control, treated):
            square = each.scatter / (each.count - 1)
            both.append(
                Aggregates(
                    count_=each.count,
                    mean_={"now": each.mean[1], "before": each.mean[2]},
                    var_={"now": square[1, 1], "before": square[2, 2]},
                    cov_={("before", "now"): square[1, 2]},
                )
            )
        found = metric.analyze_aggregates(both[0], both[1])
        return found.effect_size, found.effect_size_ci_lower, found.effect_size_ci_upper

    return read


def fixed(runs: int) -> None:
    """False alarms at a single look, and power at an effect of 2.5 true standard errors."""
    contenders = {
        "ours": ours("larger"), "ours, own spread": ours("own"),
        "tea-tasting (Welch, CUPED)": tea(False), "tea-tasting (equal variances)": tea(True),
    }  # fmt: skip
    print("\n| money | held out, treated | contender | false gains | false harms | width over needed | power |")
    print("|---|---|---|---|---|---|---|")
    for name, (now, before) in populations(1).items():
        for held, treated in ((2000, 2000), (250, 4750), (1000, 9000)):
            rng = np.random.default_rng(2)
            read: dict[str, list[Interval]] = {each: [] for each in contenders}
            for _ in range(runs):
                picks = [rng.integers(0, PEOPLE, size) for size in (held, treated)]
                arms = [arm(now[chosen], before[chosen]) for chosen in picks]
                for each, contender in contenders.items():
                    read[each].append(contender(*arms))
            for each, intervals in read.items():
                mid, low, high = np.array(intervals).T
                needed = 2 * stats.norm.ppf(0.95) * mid.std()
                power = (low + 2.5 * mid.std() > 0).mean()
                print(
                    f"| {name}, skewness {stats.skew(now):.0f} | {held:,}, {treated:,} | {each} | "
                    f"{(low > 0).mean():.3f} | {(high < 0).mean():.3f} | {np.median(high - low) / needed:.2f} | "
                    f"{power:.2f} |",
                    flush=True,
                )


def looks(now: Array, rng: np.random.Generator, days: int, daily: tuple[int, int]) -> Iterator[tuple[Array, Array]]:
    """New customers of both arms, day by day."""
    for _ in range(days):
        held, treated = (now[rng.integers(0, PEOPLE, size)] for size in daily)
        yield held, treated


def sequences(runs: int, days: int = 40) -> None:
    """False alarms over all daily looks together, and how many of true effects were found by the last."""
    from ville import AsymptoticABTest

    print("\n| money | a day: held out, treated | contender | false gain | false harm | found | median day |")
    print("|---|---|---|---|---|---|---|")
    for name, (now, _) in populations(3).items():
        for daily in ((100, 100), (25, 225)):
            share = daily[1] / sum(daily)
            error = float(now.std()) * (1 / (daily[0] * days) + 1 / (daily[1] * days)) ** 0.5
            for gain in (0.0, 4 * error):
                said: dict[str, list[tuple[int, int]]] = {}
                rng = np.random.default_rng(4)
                for _ in range(runs):
                    first: dict[str, list[int]] = {}
                    peer = AsymptoticABTest(alpha=0.1, propensity=share, t_opt=days * sum(daily), min_samples=100)
                    own, sequence, arms = Sequence(error, spread="own"), Sequence(error), None
                    for day, (held, treated) in enumerate(looks(now, rng, days, daily)):
                        fresh = Moments.of(held), Moments.of(treated + gain)
                        arms = fresh if arms is None else (arms[0] + fresh[0], arms[1] + fresh[1])
                        order = rng.permutation(sum(daily))
                        peer.update(
                            np.concatenate([held, treated + gain])[order],
                            np.repeat([0, 1], daily)[order],
                        )
                        ends = peer.interval()
                        low, high = (float(np.ravel(end)[-1]) for end in ends)
                        if not (np.isfinite(low) and np.isfinite(high)):
                            low, high = -np.inf, np.inf
                        naive = contrast(*arms, "own").interval(0.9)
                        verdicts = {
                            "ours": sequence(*arms).verdict, "ours, own spread": own(*arms).verdict,
                            "ville": Verdict.GAIN if low > 0 else Verdict.HARM if high < 0 else Verdict.OPEN,
                            "Welch, every day": Verdict.of(naive),
                        }  # fmt: skip
                        for each, verdict in verdicts.items():
                            first.setdefault(each, [days, days])
                            for place, kind in enumerate((Verdict.GAIN, Verdict.HARM)):
                                if verdict is kind:
                                    first[each][place] = min(first[each][place], day)
                    for each, (up, down) in first.items():
                        said.setdefault(each, []).append((up, down))
                if gain == 0:
                    alarms = {each: np.array(days_) < days for each, days_ in said.items()}
                else:
                    for each, days_ in said.items():
                        when = np.array(days_)[:, 0]
                        wrong = alarms[each].mean(axis=0)
                        print(
                            f"| {name} | {daily[0]}, {daily[1]} | {each} | {wrong[0]:.3f} | {wrong[1]:.3f} | "
                            f"{(when < days).mean():.2f} | {np.median(when) + 1:.0f} |",
                            flush=True,
                        )


def promised(runs: int) -> None:
    """Power promised from the moments of everybody, and of a sample of the past, beside what read-outs achieved."""
    print("\n| money | moments of | units | held out | promised | achieved |")
    print("|---|---|---|---|---|---|")
    for name, (now, before) in populations(5).items():
        for known in (PEOPLE, 50_000):
            outcome = replace(Outcome.of(now[:known], before[:known]), size=None)  # here all gain alike
            for units, share in ((3000, 0.5), (3000, 0.1), (30_000, 0.5), (30_000, 0.1)):
                effect = Power().detectable(outcome, units, share)
                found = Power()(outcome, units, Estimate(effect, effect, effect))
                if not isinstance(found, Holdout):
                    continue
                rng, proven = np.random.default_rng(6), 0
                for _ in range(runs):
                    sides = []
                    for size, gain in ((found.held, 0.0), (units - found.held, effect)):
                        picks = rng.integers(0, PEOPLE, size)
                        sides.append(arm(now[picks] + gain, before[picks]))
                    proven += contrast(*sides).interval(0.9).low > 0
                said, done = found.chances[1], proven / runs
                print(f"| {name} | {known:,} | {units:,} | {found.held:,} | {said:.2f} | {done:.2f} |", flush=True)


def main() -> None:
    """Print the three tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=2000, help="experiments in each cell; a tenth for the sequences")
    parser.add_argument("--tables", nargs="*", default=["fixed", "sequences", "promised"], help="which to print")
    arguments = parser.parse_args()
    started = time.perf_counter()
    if "fixed" in arguments.tables:
        fixed(arguments.runs)
    if "sequences" in arguments.tables:
        sequences(max(10, arguments.runs // 10))
    if "promised" in arguments.tables:
        promised(arguments.runs // 4)
    print(f"\n{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
