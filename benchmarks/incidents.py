"""Plant incidents of known size in simulated marketplaces and see which of them the fluctuation wing finds.

usage: python benchmarks/incidents.py --seeds 100-104 [--folder DIR]

What is measured, and how:

* **World.** A marketplace of 60 shops, 1,200 products, 24,000 customers, 200 creators and 2 rooms a day, lived for 16
  to 18 weeks (by seed, so that weeks with and without a campaign day come up); the week after is the week in
  question.
* **Residual sd.** Over quiet weeks (every week from the tenth of a seed's history, and other futures of the week in
  question), the wing's own forecast error for the whole metric: actual over expected less 1. Its root mean square
  over the seeds asked for, times what is expected of the week in question, is one sd of that week.
* **Metric.** GMV. For creators who leave it is commission: most of their sales are made in other ways without them,
  so that hardly any number of them is worth one sd of GMV.
* **An incident of k sd** is one whose true effect over its week (the world with it less the world without it, on the
  same luck, as in `aftermath`) is k such sd in all. Its size is searched for; where one subject is not enough it
  strikes several, drawn in random order: regions, departments, surfaces; of products the larger fifth, of creators
  the larger half. Where striking them all is not enough, the case is left out and counted as out of reach.
* **Alarm.** The study says of itself that the week is unusual (`unusual` among the numbers of its verdict): the
  metric is far outside its normal range, or a slice or a cause is beyond what chance would give.
* **Found.** An alarm, and the first three slices or dated causes name what was struck. Slices do where those that
  name one of the struck subjects hold at least half of the true loss inside all struck subjects. A cause that counts
  products or creators does where at least half of those that it names (ten at most) were struck, and its amount is at
  least half of that loss.
* **False alarm.** An alarm in a quiet week.

Rates come with 90 % Wilson intervals. Weeks of one seed share a history, and cases of one seed share the luck of
their week, so they are not independent. With `--folder`, worlds and cases are kept there; a second run only asks the
wing again.
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
from tradewind.study import Estimate, Provenance, Study

MID = dataclasses.replace(TOWN, name="mid", shops=60, products=1200, customers=24_000, creators=200, rooms=2)
WEEKS = (16, 17, 18)
FIRST_WEEK = 9  # the first quiet week that is asked about
FUTURES = 4  # other futures of the week in question, quiet ones
SIZES = (1, 2, 3, 4, 5)
CLOSE = 0.12  # a case's true effect is within this share of what it should be
METRICS = {"creator leaves": "commission"}
"""The metric that is asked about: GMV, but for creators, most of whose sales others make in their place."""
TITLES = {
    "customer_region": "Region of the customer", "department": "Department", "surface": "Surface",
    "product_id": "Product", "creator_id": "Creator",
}  # fmt: skip
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
        return {
            "dimension": DIMENSIONS[strikes],
            "slices": slices,
            "lost": self.plain - total(days, world, self.metric),
        }


def asked(base: Base, snapshot: str, week: int, metric: str) -> Study:
    """Return the wing's answer about a week."""
    return study(base.open(snapshot), base.week(week), FluctuationSettings(metric, "expected"))


def alarm(answer: Study) -> bool:
    """Return whether the wing says that the week is unusual."""
    return bool(answer.finding("verdict").numbers["unusual"])


def rows(answer: Study, key: str) -> list[Any]:
    """Return the first three rows of a finding's table; none where there is no such finding."""
    grids = [finding.grid for finding in answer.findings if finding.key == key and finding.grid is not None]
    return list(grids[0].rows[:3]) if grids else []


def names(answer: Study, truth: dict[str, Any]) -> bool:
    """Return whether the first three slices or dated causes name what was struck, read as a reader would."""
    lost = {value: max(loss, 0.0) for value, loss in truth["slices"].items()}
    whole, title = sum(lost.values()), TITLES[truth["dimension"]]
    told = {part for row in rows(answer, "slices") for part in row["slice"].split(", ")}
    if sum(loss for value, loss in lost.items() if f"{title} {value}" in told) >= whole / 2:
        return True
    for cause in rows(answer, "causes"):
        which = [name for name in cause["names"].split(" and ")[0].split(", ") if name]
        amount = cause["amount"].mid if isinstance(cause["amount"], Estimate) else cause["amount"] or 0.0
        if which and np.mean([name in lost for name in which]) >= 0.5 and -amount >= whole / 2:
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


def rates(judged: Sequence[dict[str, Any]], key: Callable[[dict[str, Any]], Any]) -> list[list[Any]]:
    """Return alarms and recall by some key of the cases, a row each."""
    groups: dict[Any, list[dict[str, Any]]] = defaultdict(list)
    for case in judged:
        groups[key(case)].append(case)
    found = []
    for value, those in sorted(groups.items(), key=lambda item: str(item[0])):
        hits = (sum(case[what] for case in those) for what in ("alarm", "found"))
        found.append([value, *(wilson(count, len(those)) for count in hits)])
    return found


def report(judged: Sequence[dict[str, Any]], missed: Sequence[dict[str, Any]]) -> None:
    """Print what was found, and what could not be planted."""
    heads = ("alarm", "found")
    table("By size, in residual sd:", rates(judged, lambda case: case["sd"]), ("sd", *heads))
    table("By kind:", rates(judged, lambda case: case["kind"]), ("kind", *heads))
    large = [case for case in judged if case["sd"] >= 3]
    table("From 3 sd, by kind:", rates(large, lambda case: case["kind"]), ("kind", *heads))
    table("From 3 sd, in all:", rates(large, lambda case: case["sd"] >= 3), ("", *heads))
    grid = []
    for kind in KINDS:
        cells = [[case for case in judged if case["kind"] == kind and case["sd"] == size] for size in SIZES]
        grid.append([kind, *(f"{sum(case['found'] for case in those)} of {len(those)}" for those in cells)])
    table("Found, by kind and size:", grid, ("kind", *(f"{size} sd" for size in SIZES)))
    beyond = sorted({f"{case['kind']} of {case['sd']} sd" for case in missed})
    print(f"\nOut of reach: {len(missed)} cases: {', '.join(beyond) or 'none'}.", flush=True)


def quiet_weeks(base: Base, snapshot: str, metric: str) -> tuple[list[float], list[bool]]:
    """Return the forecast error and whether there was an alarm in each quiet week of a seed."""
    errors, alarms = [], []
    for name, week in quiet(base, snapshot):
        answer = asked(base, name, week, metric)
        verdict = answer.finding("verdict")
        errors.append(float(verdict.numbers["actual"]) / verdict.numbers["expected"].mid - 1)
        alarms.append(alarm(answer))
        if alarms[-1]:
            print(f"seed {base.seed} week {week}: false alarm: {verdict.sentence}", flush=True)
    return errors, alarms


def main() -> None:
    """Live the worlds, plant the incidents, ask the wing, print what it found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=seeds_of, default=list(range(5)), help="such as 100-104; chosen on: 0-4")
    parser.add_argument("--kinds", nargs="*", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--folder", type=Path, help="where worlds and cases are kept for a second run")
    parser.add_argument(
        "--no-quiet", action="store_true", help="with --folder: planted cases only, by the sd kept there"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        root = arguments.folder or Path(scratch)
        bases = [lived(seed, root / str(seed)) for seed in arguments.seeds]
        kept = root / "sd.json"  # cases that are kept were made by this
        sds: dict[str, float] = json.loads(kept.read_text()) if kept.exists() else {}
        for metric in () if arguments.no_quiet else sorted({METRICS.get(kind, "gmv") for kind in arguments.kinds}):
            errors, alarms = zip(*(quiet_weeks(base, snapshot, metric) for base, snapshot in bases), strict=True)
            every, alarmed = np.concatenate(errors), np.concatenate(alarms)
            now = float(np.sqrt(np.mean(every**2)))
            sds.setdefault(metric, now)
            print(
                f"\n{metric}: residual sd {now:.3f} of what was expected (cases are made by {sds[metric]:.3f}), "
                f"mean error {every.mean():+.3f}; false alarms {wilson(int(alarmed.sum()), len(alarmed))} quiet weeks.",
                flush=True,
            )
        kept.write_text(json.dumps(sds))
        judged, missed = [], []
        for base, snapshot in bases:
            began = time.monotonic()
            future = next(name for name, week in quiet(base, snapshot) if week == base.weeks)
            levels = {}
            for metric in sds:
                levels[metric] = asked(base, future, base.weeks, metric).finding("verdict").numbers["expected"].mid
            for case in cases(base, {metric: sd * levels[metric] for metric, sd in sds.items()}, arguments.kinds):
                if case["kind"] not in arguments.kinds:
                    continue
                if case["snapshot"] is None:
                    missed.append(case)
                    continue
                answer = asked(base, case["snapshot"], base.weeks, METRICS.get(case["kind"], "gmv"))
                case |= {"alarm": alarm(answer), "named": names(answer, case["truth"])}
                case["found"] = case["alarm"] and case["named"]
                judged.append(case)
                if not case["found"]:  # what it said instead
                    told = [row["slice"] for row in rows(answer, "slices")]
                    told += [row["cause"] for row in rows(answer, "causes")]
                    struck = ", ".join(list(case["truth"]["slices"])[:4])
                    said = f"{'alarm' if case['alarm'] else 'no alarm'}, {told}"
                    print(f"missed: seed {base.seed}, {case['kind']}, {case['sd']} sd ({struck}): {said}", flush=True)
            print(f"seed {base.seed}: {time.monotonic() - began:.0f} s", flush=True)
        report(judged, missed)


if __name__ == "__main__":
    main()
