"""Cycles: plan, launch with a holdout, live, read, calibrate, and plan again, in a world whose truth is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

from tradewind.arena.contest import ECHO
from tradewind.arena.launch import moves
from tradewind.arena.offer import DAYS, LEVERS, offer
from tradewind.arena.policies import planned
from tradewind.decisions.plan import holdouts, proof
from tradewind.engines.store import open_store
from tradewind.errors import BadInputError
from tradewind.ledger import Approval, Experiment, Ledger, Promise, Terms, open_ledger
from tradewind.ledger.lot import TREATED
from tradewind.methods.calibration import Calibrated
from tradewind.sources import fill
from tradewind.sources.worlds.moves import Move
from tradewind.sources.worlds.preset import preset
from tradewind.sources.worlds.truth import compared
from tradewind.sources.worlds.world import World
from tradewind.study import Assignment, Choice, Lever, Plan

WHO = "arena"
LIVED = DAYS + ECHO + 1
"""Days from one plan to the next: the morning after the last day that counts is for reading, noon for launching."""


@dataclass(frozen=True)
class Cycle:
    """What one cycle promised, and what was true.

    Args:
        number: Its number, from 0: the first plan knows no ledger.
        actions: Number of choices.
        promised: Joint profit that the plan promised.
        low: Lower end of it.
        high: Upper end.
        truth: What the whole plan is truly worth.
        read: What the ledger read of it, of the treated units, summed; None where nothing was.
        readings: Number of readings.
        unread: Why each of the others was not read.
    """

    number: int
    actions: int
    promised: float
    low: float
    high: float
    truth: float
    read: float | None
    readings: int
    unread: tuple[str, ...]

    @property
    def error(self) -> float:
        """By how much the promise was off."""
        return abs(self.promised - self.truth)


def cycles(
    name: str, seed: int, work: Path, count: int = 3, levers: Sequence[Lever] = LEVERS, futures: int = 1
) -> list[Cycle]:
    """Go round so many times in one world.

    Args:
        name: Preset of the world.
        seed: Its seed.
        work: Folder for its histories and ledger.
        count: Number of plans; all but the last are launched, lived through and read.
        levers: What is on offer.
        futures: Futures over which the truth of each plan is averaged.

    Returns:
        What each plan promised beside what was true.
    """
    size = preset(name)
    world = World(size, seed)
    world.advance(size.days)
    moment = datetime.combine(size.first, time(), UTC)
    ledger = open_ledger(work / f"{name}-{seed}.db", clock=lambda: moment)
    lived: list[Move] = []
    calibrated: Calibrated | None = None
    found = []
    for number in range(count):
        folder = work / f"{name}-{seed}-{number}"
        fill(name, seed, folder, days=world.state.day, moves=lived)
        store = open_store(str(folder)).acted(ledger.deeds())
        plan = planned(offer(store, levers), seed, calibrated)
        [effect] = compared(world, [moves(world, plan.choices)], DAYS + ECHO, range(1, futures + 1))
        told: list[Experiment] = []
        unread: list[str] = []
        if number < count - 1 and plan.choices:
            moment = datetime.combine(store.span.last, time(12), UTC)
            held = holdouts(store, plan.choices, ECHO)
            promises = [Promise(each.choice, each.share, raw=plan.raw.get(each.choice.action.key)) for each in held]
            receipt = ledger.launch(f"cycle {number}", promises, Approval(WHO, moment), WHO, Terms(ECHO, seed))
            done = moves(world, _done(ledger, receipt.experiments, plan))
            lived += done
            world.advance(LIVED, done)
            later = work / f"{name}-{seed}-{number + 1}"
            fill(name, seed, later, days=world.state.day, moves=lived)
            moment = datetime.combine(store.span.last + timedelta(days=LIVED), time(6), UTC)
            told, unread = _read(ledger, receipt.experiments, later)
            calibrated = ledger.track().calibrated(seed=seed)
        read = [kept.reading.joint.mid for each in told if (kept := each.final) and kept.reading.joint]
        joint = plan.joint
        found.append(
            Cycle(number, len(plan.choices), joint.mid, joint.low, joint.high, effect.joint,
                  sum(read) if read else None, len(read), tuple(unread))
        )  # fmt: skip
    ledger.close()
    return found


def _done(ledger: Ledger, experiments: Sequence[Experiment], plan: Plan) -> list[Choice]:
    """Return what is truly done: choices without their held-out customers, and without those held out as a whole."""
    chosen = {choice.action.key: choice for choice in plan.choices}
    found = []
    for each in experiments:
        arms = ledger.arms(each.id) if each.unit == "customer" else {}
        for launch in each.treated:
            choice = chosen[launch.action]
            if (reached := choice.action.assignment) is not None:
                units = tuple(unit for unit in reached.units if arms[unit] == TREATED)
                action = replace(choice.action, assignment=Assignment(reached.name, units))
                choice = replace(choice, action=action)
            found.append(choice)
    return found


def _read(ledger: Ledger, experiments: Sequence[Experiment], folder: Path) -> tuple[list[Experiment], list[str]]:
    """Read what can be read; return the experiments as they stand then, and why the others cannot be."""
    store, unread = open_store(str(folder)), []
    for each in experiments:
        try:
            ledger.read(proof.read(store, each, ledger.arms(each.id), ledger.crossings(each.id)), WHO)
        except BadInputError as error:  # too small to be read
            unread.append(f"{each.name}: {error}")
    return [ledger.experiment(each.id) for each in experiments], unread
