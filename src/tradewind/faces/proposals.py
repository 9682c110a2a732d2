"""Proposals: all that the wings offer a plan, asked once and kept, so that any budgets are solved from them at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from tradewind import keeping, progress
from tradewind.decisions.plan import Names, named
from tradewind.engines.store import Store
from tradewind.errors import BadInputError, ConflictError, MissingDataError, NotFoundError
from tradewind.faces import studies
from tradewind.measures import metrics as m
from tradewind.measures.query import Query
from tradewind.period import Period
from tradewind.study import Action, Provenance, Study
from tradewind.writing import put

MOST = 10_000
"""Actions that a wing may propose to a plan, where it has a limit: more than a study would show."""
FILE = "proposals.json"
ASKED = {"payer": "cofunded", "most": MOST}
"""Settings of wings that have them: whoever may pay is on the menus, since the budgets say who does."""


@dataclass(frozen=True)
class Answer:
    """What a wing said when it was asked for actions.

    Args:
        wing: Its name.
        study: What it answered; None where it could not.
        why: Why it could not.
    """

    wing: str
    study: Study | None
    why: str = ""


@dataclass(frozen=True)
class Basis:
    """What proposals were made for; for anything else they do not hold.

    Args:
        source: Name of the store's source.
        snapshot: The snapshot that was read.
        shops: The shops that the caller may see, None for all.
        creators: The creators as whom the caller sees, None where it is as none.
        assumptions: What was supposed, a sentence each.
    """

    source: str
    snapshot: str
    shops: tuple[str, ...] | None
    creators: tuple[str, ...] | None
    assumptions: tuple[str, ...]

    @classmethod
    def of(cls, store: Store) -> Basis:
        """Return what proposals made from a store hold for."""
        shops, creators = (
            None if ids is None else tuple(sorted(ids)) for ids in (store.scope.shops, store.scope.creators)
        )
        name = store.manifest.provenance.source
        return cls(name, store.manifest.name, shops, creators, store.assumptions.sentences())


@dataclass(frozen=True)
class Proposals:
    """What the wings propose, with all of the store that a plan needs.

    Args:
        basis: What they were made for.
        origin: Where the numbers come from.
        period: The days that the wings were asked to look back on.
        seen: Those of them that the store holds.
        today: Last day of the store.
        seed: Seed of the wings.
        answers: What each wing said.
        sales: GMV of the days seen, by shop.
        order: GMV of an average order of these days.
        names: Titles of what actions are on.
    """

    basis: Basis
    origin: Provenance
    period: Period
    seen: Period
    today: date
    seed: int
    answers: tuple[Answer, ...]
    sales: Mapping[str, float]
    order: float
    names: Names

    def of(self, wings: Sequence[str] = ()) -> tuple[Answer, ...]:
        """Return the answers of some wings, of all where empty.

        Raises:
            NotFoundError: If a wing was not asked.
            MissingDataError: If none of them could propose anything, with the reason of each.
        """
        asked = {answer.wing: answer for answer in self.answers}
        if unknown := [wing for wing in wings if wing not in asked]:
            raise NotFoundError(
                "This study was not asked for proposals", got=unknown[0], allowed=list(asked), do="ask it anew"
            )
        found = tuple(asked[wing] for wing in wings or asked)
        _some(found)
        return found

    def usual(self, actions: Iterable[Action]) -> dict[str | None, float]:
        """Return the GMV that is usual in as many days as actions hold, by shop, and under None in all."""
        times = max((action.days.days for action in actions), default=0) / self.seen.days
        found: dict[str | None, float] = {shop: value * times for shop, value in self.sales.items()}
        found[None] = sum(found.values())
        return found


def acting(names: Iterable[str] = ()) -> list[str]:
    """Return the wings that propose actions, those named or all.

    Raises:
        NotFoundError: If there is no such wing.
        BadInputError: If one proposes nothing.
    """
    known = [wing.name for wing in studies.WINGS.values() if wing.acts]
    for name in (chosen := list(names)):
        if name not in studies.WINGS:
            raise NotFoundError("There is no such study", got=name, allowed=known)
        if name not in known:
            raise BadInputError("This study proposes no actions", got=name, allowed=known)
    return chosen or known


def proposed(store: Store, period: Period, wings: Iterable[str] = (), seed: int = 0) -> Proposals:
    """Return what the wings propose: this is what takes long about a plan.

    Args:
        store: The store, as the caller may see it.
        period: The days that the wings look back on; actions begin on the day after.
        wings: Names of the wings that propose; all that act where empty.
        seed: Seed of the wings.

    Raises:
        NotFoundError: If there is no such wing.
        BadInputError: If a wing proposes nothing.
        MissingDataError: If no wing can propose anything, with the reason of each.
    """
    asked, answers = acting(wings), []
    for n, wing in enumerate(asked):
        progress.told(f"asking {wing}", n, len(asked) + 1)
        try:
            answers.append(Answer(wing, studies.answer(wing, store, period, _settings(wing, seed))))
        except MissingDataError as error:
            answers.append(Answer(wing, None, str(error)))
    _some(answers)
    seen = period.clipped(store.span) or store.span
    rows = store.metrics(Query((m.GMV,), seen, ("shop_id",)))
    sales = {
        shop: float(value or 0)
        for shop, value in zip(rows["shop_id"].to_pylist(), rows["gmv"].to_pylist(), strict=True)
    }
    names = named(store, [action.subject for answer in answers if answer.study for action in answer.study.actions])
    order = float(store.metrics(Query((m.AOV,), seen))["aov"][0].as_py() or 0)
    return Proposals(
        Basis.of(store), store.provenance, period, seen, store.span.last, seed, tuple(answers), sales, order, names
    )


def keep_proposals(proposals: Proposals, folder: Path) -> Path:
    """Keep proposals in a folder, which is made where there is none, whole or not at all; return the file.

    What stands there is replaced.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / FILE
    said = {field.name: getattr(proposals, field.name) for field in dataclasses.fields(proposals)}
    said |= {"basis": _plain(proposals.basis), "answers": [_plain(answer) for answer in proposals.answers]}
    put(file, keeping.kept(said))
    return file


def read_proposals(folder: Path, store: Store) -> Proposals:
    """Return the proposals that a folder keeps.

    Args:
        folder: The folder.
        store: The store that they are to hold for, as the caller may see it.

    Raises:
        NotFoundError: If there are none.
        ConflictError: If they were made for another snapshot, other shops or other assumptions.
        BadInputError: If they cannot be read.
    """
    file = folder / FILE
    if not file.is_file():
        raise NotFoundError("No proposals are kept in this folder", got=folder, do="ask the studies for them")
    try:
        said = keeping.read(file.read_text(encoding="ascii"))
        answers = tuple(Answer(**each) for each in said["answers"])
        found = Proposals(**{**said, "basis": Basis(**said["basis"]), "answers": answers})
    except (LookupError, TypeError, ValueError) as error:
        raise BadInputError("The proposals in this folder cannot be read", got=file, do="make them anew") from error
    _hold(found.basis, Basis.of(store))
    return found


def _hold(made: Basis, wanted: Basis) -> None:
    """Refuse proposals that were made for something else; shops are not named, who asks may not know them."""
    for field, what in (
        ("source", "another source"), ("snapshot", "another snapshot of the store"), ("shops", "other shops"),
        ("creators", "other creators"), ("assumptions", "other assumptions"),
    ):  # fmt: skip
        if getattr(made, field) != getattr(wanted, field):
            told = field in {"source", "snapshot"}
            raise ConflictError(
                f"These proposals were made for {what}", got=getattr(made, field) if told else None,
                allowed=getattr(wanted, field) if told else None, do="ask the studies anew",
            )  # fmt: skip


def _plain(value: Answer | Basis) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}


def _some(answers: Sequence[Answer]) -> None:
    if all(answer.study is None for answer in answers):
        why = {answer.wing: answer.why for answer in answers}
        raise MissingDataError(
            "No study can propose an action from this store", got="; ".join(f"{k}: {v}" for k, v in why.items())
        )


def _settings(wing: str, seed: int) -> dict[str, Any]:
    fields = {field.name for field in dataclasses.fields(studies.wing(wing).load().settings)}
    return {"seed": seed} | {name: value for name, value in ASKED.items() if name in fields}
