"""Plant incidents of known size in simulated marketplaces and see which of them the fluctuation wing finds.

usage: python benchmarks/incidents.py --seeds 100-104 [--folder DIR]

What is measured, and how:

* **World.** A marketplace of 60 shops, 1,200 products, 12,000 customers, 200 creators and 2 rooms a day, lived for 16 to 18
  weeks (by seed, so that weeks with and without a campaign day come up); the week after is the week in question.
* **Residual sd.** Over quiet weeks (every week from the tenth of a seed's history, and other futures of the week in
  question), the wing's own forecast error for the whole metric, GMV: actual over expected less 1. Its root mean square over
  the seeds asked for, times what is expected of the week in question, is one sd of that week.
* **An incident of k sd** is one whose true effect over its week (`aftermath`: the world with it less the world without it, on
  the same luck) is k such sd in all. Its size is searched for; where one subject is not enough it strikes several, drawn in
  random order: regions, departments, surfaces; of products the larger fifth, of creators the larger half. Where striking them all is not
  enough, the case is left out and counted as out of reach.
* **Alarm.** The study says of itself that the week is unusual: `unusual` among the numbers of its verdict, and the words there.
* **Found.** An alarm, and the first three slices or dated causes name what was struck. Slices do where those that name one
  of the struck subjects hold at least half of the true loss inside all struck subjects. A cause that counts products or
  creators does where at least half of those that it names were struck, and its amount is at least half of that loss.
* **False alarm.** An alarm in a quiet week.

Rates come with 90 % Wilson intervals. Weeks of one seed share a history, so they are not independent. With `--folder`, worlds and
cases are kept there, and a second run only asks the wing again.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import json
import pickle
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

from tradewind.decisions.fluctuation import FluctuationSettings, study
from tradewind.engines.snapshot import DataFile, Draft
from tradewind.engines.store import Store, open_store
from tradewind.period import Period
from tradewind.sources.worlds.aftermath import DIMENSIONS, inside, named, takings
from tradewind.sources.worlds.book import Book, clock_of
from tradewind.sources.worlds.incidents import KINDS, Incident
from tradewind.sources.worlds.preset import DEPARTMENTS, REGIONS, SURFACES, TOWN, Preset
from tradewind.sources.worlds.sheets import TIMEZONE, Sheets
from tradewind.sources.worlds.world import Day, World
from tradewind.study import Provenance, Study

MID = dataclasses.replace(TOWN, name="mid", shops=60, products=1200, customers=12_000, creators=200, rooms=2)
WEEKS = (16, 17, 18)
FIRST_WEEK = 9  # the first quiet week that is asked about
FUTURES = 4  # other futures of the week in question, quiet ones
SIZES = (1, 2, 3, 4, 5)
CLOSE = 0.12  # a case's true effect is within this share of what it should be
METRICS = {"creator leaves": "commission"}
"""The metric that is asked about: GMV, but for creators, most of whose sales others make in their place."""
LARGER = {"product": 0.2, "creator": 0.5}  # share of products and creators, the larger ones, that may be struck
Z = 1.645
PROVENANCE = Provenance("world_mid", "CC0-1.0", "Simulated by Tradewind.", "USD", TIMEZONE, simulated=True)
Tables = dict[str, list[Any]]


@dataclasses.dataclass
class Base:
    """A seed's quiet history: the world and its book as they stand, and the files of its days."""

    seed: int
    folder: Path
    world: World
    book: Book
    days: dict[str, tuple[DataFile, ...]]

    def week(self, number: int) -> Period:
        """Return a week of the world, from 0."""
        first = self.world.preset.first + timedelta(days=7 * number)
        return Period(first, first + timedelta(days=6))

    @property
    def weeks(self) -> int:
        """Weeks lived."""
        return self.world.state.day // 7

    def alone(self, sheets: Sheets) -> tuple[World, Book]:
        """Return a copy of the world and its book that writes to other sheets."""
        memo = {id(self.book.sheets): sheets, id(self.world.cast): self.world.cast}
        return copy.deepcopy((self.world, self.book), memo)

    def write(self, incidents: Sequence[Incident], luck: int = 0) -> str:
        """Live the week in question and make it a snapshot beside the history; return the snapshot's name."""
        newest = max(path.stem for path in (self.folder / "snapshots").glob("*.json"))
        (self.folder / "CURRENT").write_text(newest + "\n")  # the next one is numbered after the current one
        with Draft(self.folder) as draft:
            sheets = Sheets(draft.new_file, clock_of(self.world))
            world, book = self.alone(sheets)
            world.incidents = tuple(incidents)
            if luck:
                keeps = world.diary
                fork = world.fork(luck=luck)
                world.conduct, world.demand, world.live, world.trade = fork.conduct, fork.demand, fork.live, fork.trade
                world.diary = keeps
            world.advance(7, watch=book)
            return self.commit(draft, book, sheets)

    def commit(self, draft: Draft, book: Book, sheets: Sheets) -> str:
        """Close a book, and make its rows and the history's a snapshot; return its name."""
        book.close(book.world.state)
        sheets.turn()
        tables: Tables = {name: [*files] for name, files in self.days.items()}
        for name, files in sheets.files.items():
            tables.setdefault(name, []).extend(files)
        return draft.commit(PROVENANCE, tables, {}).name

    def open(self, snapshot: str) -> Store:
        """Return the store as it was at a snapshot."""
        (self.folder / "CURRENT").write_text(snapshot + "\n")
        return open_store(str(self.folder))


def preset_of(seed: int) -> Preset:
    """Return the preset of a seed: weeks differ, so that campaigns fall into some of the weeks in question."""
    return dataclasses.replace(MID, days=7 * (WEEKS[seed % len(WEEKS)] + 1))


def lived(seed: int, folder: Path) -> tuple[Base, str]:
    """Return a seed's base, and the snapshot of its history; taken from the folder where it is there."""
    kept = folder / "base.pickle"
    if kept.exists():
        world, book, files, snapshot = pickle.loads(kept.read_bytes())
        return Base(seed, folder, world, book, files), snapshot
    world = World(preset_of(seed), seed)
    with Draft(folder) as draft:
        sheets = Sheets(draft.new_file, clock_of(world))
        book = Book(world, sheets)
        for _ in range(WEEKS[seed % len(WEEKS)]):
            world.advance(7, watch=book)
        sheets.turn()
        files = {name: tuple(DataFile.read(folder, path) for path in paths) for name, paths in sheets.files.items()}
        sheets.place = None  # it would take the draft along
        base = Base(seed, folder, world, book, files)
        fresh = Sheets(draft.new_file, clock_of(world))
        snapshot = base.commit(draft, base.alone(fresh)[1], fresh)
    kept.write_bytes(pickle.dumps((world, book, files, snapshot)))
    return base, snapshot


def amounts(day: Day, world: World, metric: str) -> Any:
    """Return the metric of each line of a day, [lines]."""
    if metric == "commission":
        return np.where(day.lines["paid"], day.lines["commission"], 0.0)
    return takings(day.lines, world.state, world.cast) / 10_000


def total(days: Iterable[Day], world: World, metric: str) -> float:
    """Return the metric of days."""
    return float(sum(amounts(day, world, metric).sum() for day in days))


def order_of(base: Base, kind: str) -> list[int]:
    """Return what an incident of a kind may strike, in the order in which it is struck."""
    world = base.world
    rng = np.random.default_rng([base.seed, list(KINDS).index(kind)])
    every = {"region": len(REGIONS), "department": len(DEPARTMENTS), "surface": len(SURFACES)}
    strikes = KINDS[kind]
    if strikes in every:
        return rng.permutation(every[strikes]).tolist()
    if strikes == "product":
        weight = world.state.pace * world.cast.products.price * (world.state.stock > 0)
    else:
        contracts = world.state.contracts["creator"]
        effort = world.conduct.effort(world.state, world.cast.products.price)
        weight = np.bincount(contracts, effort * world.cast.creators.makes[contracts], world.preset.creators)
    return rng.permutation(np.argsort(-weight)[: int(LARGER[strikes] * len(weight))]).tolist()


class Aim:
    """Searches for incidents of a kind whose true effect is what it should be."""

    def __init__(self, base: Base, kind: str):
        self.base, self.kind = base, kind
        self.order = order_of(base, kind)
        self.metric = METRICS.get(kind, "gmv")
        self.plain = total(*self._lived([]), self.metric)
        self.graded = KINDS[kind] in {"region", "department", "surface"}
        self.known: dict[tuple[int, float], float] = {}

    def _lived(self, incidents: Sequence[Incident]) -> tuple[list[Day], World]:
        world = self.base.world.fork(incidents)
        return world.advance(7), world

    def incidents(self, count: int, size: float = 1.0) -> list[Incident]:
        """Return incidents of one size on the first so many subjects."""
        return [Incident(self.kind, n, self.base.world.state.day, 7, size) for n in self.order[:count]]

    def lost(self, count: int, size: float = 1.0) -> float:
        """Return how much of the metric these incidents truly cost."""
        key = (count, round(size, 4))
        if key not in self.known:
            self.known[key] = self.plain - total(*self._lived(self.incidents(count, size)), self.metric)
        return self.known[key]

    def near(self, target: float) -> list[Incident] | None:
        """Return incidents that truly cost about so much, or None where there are none."""
        low, high = 1, len(self.order)
        if self.lost(high) < target * (1 - CLOSE):
            return None
        while low < high:  # the fewest subjects that cost as much
            middle = (low + high) // 2
            low, high = (low, middle) if self.lost(middle) >= target * (1 - CLOSE / 2) else (middle + 1, high)
        if not self.graded:
            best = min((low, max(low - 1, 1)), key=lambda n: abs(self.lost(n) - target))
            return self.incidents(best) if abs(self.lost(best) / target - 1) <= 2 * CLOSE else None
        a, b = 0.0, 1.0
        for _ in range(10):
            size = (a + b) / 2 if a else min(1.0, target / max(self.lost(low), 1e-9)) if b == 1.0 else (a + b) / 2
            found = self.lost(low, size)
            if abs(found / target - 1) <= CLOSE:
                return self.incidents(low, round(size, 4))
            a, b = (size, b) if found < target else (a, size)
            if size == 1.0:
                break
        return None

    def truth(self, incidents: Sequence[Incident]) -> dict[str, Any]:
        """Return what incidents struck, and the true loss of each of their slices and of all."""
        days, world = self._lived(incidents)
        usual, other = self._lived([])
        slices: dict[str, float] = {}
        for incident in incidents:
            losses = []
            for run, of in ((usual, other), (days, world)):
                losses.append(sum(
                    float(amounts(day, of, self.metric)[inside(day.lines, of.state, of.cast, incident)].sum())
                    for day in run
                ))  # fmt: skip
            slices[named(incident, world.preset)] = losses[0] - losses[1]
        strikes = KINDS[self.kind]
        return {"dimension": DIMENSIONS[strikes], "slices": slices, "lost": self.plain - total(days, world, self.metric)}


def asked(base: Base, snapshot: str, week: int) -> Study:
    """Return the wing's answer about a week."""
    return study(base.open(snapshot), base.week(week), FluctuationSettings("gmv", "expected"))


def alarm(answer: Study) -> bool:
    """Return whether the wing says that the week is unusual."""
    return bool(numbers(answer, "verdict").get("unusual"))


def numbers(answer: Study, name: str) -> dict[str, Any]:
    """Return the numbers of one finding; nothing where there is no such finding."""
    return next((dict(finding.numbers) for finding in answer.findings if finding.key == name), {})


def names(answer: Study, truth: dict[str, Any]) -> bool:
    """Return whether the first three slices or dated causes name what was struck."""
    lost = {value: max(loss, 0.0) for value, loss in truth["slices"].items()}
    whole = sum(lost.values())
    told = numbers(answer, "slices").get("where", [])[:3]
    values = {where[truth["dimension"]] for where in told if where.get(truth["dimension"]) in lost}
    if sum(lost[value] for value in values) >= whole / 2:
        return True
    for cause in numbers(answer, "causes").get("named", [])[:3]:
        right = [value in lost for value in cause["values"]]
        if cause["dimension"] == truth["dimension"] and np.mean(right) >= 0.5 and -cause["amount"] >= whole / 2:
            return True
    return False


def wilson(hits: int, of: int) -> str:
    """Return a rate with its 90 % Wilson interval."""
    if not of:
        return "none"
    rate, square = hits / of, Z**2 / of
    middle, half = (rate + square / 2) / (1 + square), Z * np.sqrt(rate * (1 - rate) / of + square / of / 4)
    low, high = middle - half / (1 + square), middle + half / (1 + square)
    return f"{rate:.2f} [{max(low, 0.0):.2f}, {min(high, 1.0):.2f}] of {of}"


def quiet(base: Base, snapshot: str) -> list[tuple[str, int]]:
    """Return the quiet weeks of a seed: the snapshot and the week of each."""
    kept = base.folder / "quiet.json"
    if not kept.exists():
        futures = [base.write((), luck=n) for n in range(1, FUTURES + 1)]
        kept.write_text(json.dumps(futures))
    weeks = [(snapshot, week) for week in range(FIRST_WEEK, base.weeks)]
    return weeks + [(name, base.weeks) for name in json.loads(kept.read_text())]


def cases(base: Base, sds: dict[str, float], kinds: Sequence[str]) -> list[dict[str, Any]]:
    """Return the planted cases of a seed: kind, size, truth, and the snapshot of each, None where out of reach.

    Args:
        base: The seed's history.
        sds: Residual sd of each metric in the week in question, in money.
        kinds: Kinds of incident.
    """
    kept = base.folder / "cases.json"
    found: list[dict[str, Any]] = json.loads(kept.read_text()) if kept.exists() else []
    for kind in kinds:
        if any(case["kind"] == kind for case in found):
            continue
        aim = Aim(base, kind)
        sd = sds[aim.metric]
        for size in SIZES:
            incidents = aim.near(size * sd)
            case: dict[str, Any] = {"seed": base.seed, "kind": kind, "sd": size, "snapshot": None}
            if incidents is not None:
                truth = aim.truth(incidents)
                case |= {"snapshot": base.write(incidents), "truth": truth}
            found.append(case)
        kept.write_text(json.dumps(found))
    return found


def seeds_of(text: str) -> list[int]:
    """Return the seeds in `0-4` or `3,7`."""
    if "-" in text:
        first, last = map(int, text.split("-"))
        return list(range(first, last + 1))
    return [int(part) for part in text.split(",")]


def table(title: str, rows: Iterable[Sequence[Any]], heads: Sequence[str]) -> None:
    """Print a Markdown table."""
    print(f"\n{title}\n\n| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    for row in rows:
        print(f"| {' | '.join(map(str, row))} |", flush=True)


def rates(judged: Sequence[dict[str, Any]], key: Callable[[dict[str, Any]], Any], name: str) -> list[list[Any]]:
    """Return alarms and recall by some key of the cases, a row each."""
    groups: dict[Any, list[dict[str, Any]]] = defaultdict(list)
    for case in judged:
        groups[key(case)].append(case)
    del name
    return [
        [
            value,
            wilson(sum(case["alarm"] for case in those), len(those)),
            wilson(sum(case["found"] for case in those), len(those)),
        ]
        for value, those in sorted(groups.items(), key=lambda item: str(item[0]))
    ]


def report(
    judged: Sequence[dict[str, Any]], missed: Sequence[dict[str, Any]], false: Sequence[tuple[int, bool]]
) -> None:
    """Print what was found."""
    heads = ("alarm", "found")
    table("By true size, in residual sd:", rates(judged, lambda case: case["sd"], "sd"), ("sd", *heads))
    table("By kind:", rates(judged, lambda case: case["kind"], "kind"), ("kind", *heads))
    large = [case for case in judged if case["sd"] >= 3]
    table("By kind, from 3 sd:", rates(large, lambda case: case["kind"], "kind"), ("kind", *heads))
    whole = [["from 3 sd", *rates(large, lambda _: "", "")[0][1:]]] if large else []
    table("In all:", whole, ("", *heads))
    table("Found, kind by size:", [
        [kind, *(f"{sum(c['found'] for c in those)}/{len(those)}" if (those := [
            c for c in judged if c["kind"] == kind and c["sd"] == size]) else "" for size in SIZES)]
        for kind in KINDS
    ], ("kind", *(f"{size} sd" for size in SIZES)))  # fmt: skip
    print(f"\nOut of reach: {len(missed)} cases: " + ", ".join(
        sorted({f"{case['kind']} {case['sd']} sd" for case in missed})) + ".")  # fmt: skip
    hits = sum(one for _, one in false)
    print(f"\nFalse alarms on quiet weeks: {wilson(hits, len(false))}.", flush=True)


def main() -> None:
    """Live the worlds, plant the incidents, ask the wing, print what it found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=seeds_of, default=list(range(5)), help="such as 100-104; chosen on: 0-4")
    parser.add_argument("--kinds", nargs="*", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--folder", type=Path, help="where worlds and cases are kept for a second run")
    parser.add_argument("--quiet", action="store_true", help="quiet weeks only")
    arguments = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        root = arguments.folder or Path(scratch)
        bases, false, errors = [], [], []
        for seed in arguments.seeds:
            base, snapshot = lived(seed, root / str(seed))
            bases.append(base)
            for name, week in quiet(base, snapshot):
                answer = asked(base, name, week)
                told = numbers(answer, "verdict")
                errors.append(float(told["actual"]) / told["expected"].mid - 1)
                false.append((seed, alarm(answer)))
                print(f"seed {seed} week {week}: {errors[-1]:+.3f} {'ALARM ' + answer.findings[0].sentence if false[-1][1] else ''}", flush=True)  # fmt: skip
            print(f"seed {seed}: {time.monotonic() - began:.0f} s", flush=True)
        sd = float(np.sqrt(np.mean(np.square(errors))))
        print(f"\nResidual sd: {sd:.4f} of what was expected, over {len(errors)} quiet weeks.")
        kept = root / "sd.json"  # cases that are kept keep the sd that they were made by
        if kept.exists():
            sd = json.loads(kept.read_text())
        kept.write_text(json.dumps(sd))
        judged, missed = [], []
        for base in bases if not arguments.quiet else ():
            _, snapshot = lived(base.seed, base.folder)
            [future, *_] = [name for name, week in quiet(base, snapshot) if week == base.weeks]
            level = numbers(asked(base, future, base.weeks), "verdict")["expected"].mid
            for case in cases(base, sd * level, arguments.kinds):
                if case["snapshot"] is None:
                    missed.append(case)
                    continue
                answer = asked(base, case["snapshot"], base.weeks)
                case |= {"alarm": alarm(answer)}
                case["named"] = names(answer, case["truth"])
                case["found"] = case["alarm"] and case["named"]
                judged.append(case)
                print(f"seed {base.seed} {case['kind']} {case['sd']} sd ({case['true sd']:.2f}): "
                      f"{'alarm' if case['alarm'] else '-'} {'named' if case['named'] else '-'}", flush=True)  # fmt: skip
            print(f"seed {base.seed}: {time.monotonic() - began:.0f} s", flush=True)
        report(judged, missed, false)


if __name__ == "__main__":
    main()
