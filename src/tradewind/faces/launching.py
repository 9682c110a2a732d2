"""Launching, as every face does it: who is held out, what the ledger registers, and the files beside the plan."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import NamedTuple, Protocol
from zoneinfo import ZoneInfo

from tradewind import progress
from tradewind.decisions.plan import HEAD, Held, Kept, holdouts, worded
from tradewind.engines.store import Store
from tradewind.errors import BadInputError, ConflictError, NotFoundError
from tradewind.faces.planning import Planned
from tradewind.ledger import Approval, Exported, Head, Launch, Ledger, Promise, Receipt, Status, Terms
from tradewind.ledger.lot import HOLDOUT
from tradewind.ledger.registration import check, launch_id
from tradewind.study import Choice, Provenance
from tradewind.writing import put

ARMS = "arms.csv"
DEEDS = "deeds.csv"
NAMED = 3
"""Most actions that an error names one by one."""


class Opening(Protocol):
    """Opens the ledger."""

    def __call__(self, *, create: bool) -> Ledger | None:
        """Return the ledger; None where there is none and none may be begun."""


class Launched(NamedTuple):
    """What a launch did.

    Args:
        receipt: What the ledger holds of it.
        held: Who is held out of each action, and why; empty where the launch stood already.
        files: The file of the ledger's head, the one that says what is done, and the one that says who gets it.
        caveats: What is to be known of what was promised, a sentence each.
    """

    receipt: Receipt
    held: tuple[Held, ...]
    files: tuple[Path, ...]
    caveats: tuple[str, ...] = ()


def launch(  # noqa: PLR0913 - what is launched, where, by whom and how
    store: Store, opening: Opening, plan: Kept | Planned, approved: Collection[str] | None, folder: Path, *,
    who: str, approved_by: str, without: Collection[str] = (), holdout: float | None = None,
    terms: Terms | None = None, today: date | None = None, again: bool = False,
) -> Launched:  # fmt: skip
    """Register what was approved of a plan, and write the files of all that is launched of it.

    Registering is one step, that is taken whole or not at all; files are written after it. So whoever was stopped in
    between calls this `again`: then a plan that is registered already is not refused, and its files are written.

    Args:
        store: The store that the plan was made from.
        opening: What opens the ledger. One is begun only for what can be launched.
        plan: The plan, as it was solved or kept.
        approved: Keys of the actions to launch; None for all.
        folder: Where the files go: the plan's folder.
        who: Who launches.
        approved_by: Who approved it.
        without: Keys of actions that are left out.
        holdout: Share held out; None for as many as the proof needs.
        terms: How it is registered.
        today: The day it is where no ledger was begun yet; the machine's in the plan's timezone where None.
        again: Whether a launch of the very same actions that stands already is taken for this one.

    Raises:
        NotFoundError: If an approved action is not in the plan.
        BadInputError: If nothing is to be launched, the plan was made for other data, its folder cannot be written
            to, or an action cannot be launched as asked.
        ConflictError: If an action is launched already, other than `again` allows.
        CorruptLedgerError: If the folder keeps a head that the ledger does not lead to.
    """
    terms, whole, wanted = terms or Terms(), chosen(plan), chosen(plan, approved, without)
    fits(store, wanted, folder)
    ledger = opening(create=False)
    if ledger is not None:
        reached(ledger, folder)
        standing = own(ledger, whole).launches  # refuses another plan of its name
        if again and standing:
            return _again(ledger, whole, wanted, folder)
        done = {each.action for each in standing if each.arm != HOLDOUT and each.stopped is None}
        wanted = chosen(plan, approved, without, done)
    progress.told("weighing holdouts", 0, 2)
    held = weighed(store, wanted, holdout, terms)
    if ledger is None:
        now = datetime.now(ZoneInfo(whole.timezone))
        timely(wanted, held, Approval(approved_by, now), terms, today or now.date())
        if (ledger := opening(create=True)) is None:
            raise NotFoundError("There is no ledger, and none could be begun", do="say where it is to be")
        reached(ledger, folder)
    progress.told("writing the ledger", 1, 2)
    try:
        receipt = registered(ledger, wanted, held, who, Approval(approved_by, ledger.now), terms)
    except ConflictError:
        if not (again and own(ledger, whole).launches):
            raise
        return _again(ledger, whole, wanted, folder)  # of several who launch it at once, another one did
    files = written(ledger, whole, folder, receipt.head)
    return Launched(receipt, tuple(held), files, _fixed(whole, wanted))


def _fixed(whole: Kept, wanted: Kept) -> tuple[str, ...]:
    if not whole.fixed or len(wanted.choices) == len(whole.choices):
        return ()
    return (
        "What is launched keeps its promise less what all choices of the plan take from it, also those that are not "
        "launched: this folder was written before plans kept what is needed to tell. It may bring more.",
    )


def _again(ledger: Ledger, whole: Kept, wanted: Kept, folder: Path) -> Launched:
    """Return the launch that stands already, its files written.

    Raises:
        ConflictError: If other actions of the plan are launched than are wanted.
    """
    standing = own(ledger, whole)
    if {each.action for each in standing.launches} != {choice.action.key for choice in wanted.choices}:
        raise _another(whole)
    receipt = Receipt(whole.name, ledger.head(), standing.experiments)
    return Launched(receipt, (), written(ledger, whole, folder, receipt.head))


def chosen(
    plan: Kept | Planned, approved: Collection[str] | None = None, without: Collection[str] = (),
    done: Collection[str] = (),
) -> Kept:  # fmt: skip
    """Return what was approved of a plan, as a ledger registers it, promising what it gains beside that and `done`.

    Args:
        plan: The plan, as it was solved or kept.
        approved: Keys of the actions to launch; None for all.
        without: Keys of those that are left out.
        done: Keys of those that were launched before, and take from these.

    Raises:
        NotFoundError: If an action that is named is not in the plan.
        BadInputError: If nothing is left to launch.
    """
    if isinstance(plan, Planned):
        origin, found = plan.answer.provenance, plan.plan
        plan = Kept(
            found.name, found.choices, found.raw, origin.currency, origin.timezone, origin.simulated, origin.source,
            origin.notice, origin.assumptions, found.interplay, found.sales,
        )  # fmt: skip
    keys = {choice.action.key for choice in plan.choices}
    wanted = keys if approved is None else set(approved)
    if strange := sorted((wanted | set(without)) - keys):
        raise NotFoundError(
            "The plan has no such action", got=", ".join(strange[:NAMED]),
            do="name actions as the column `action` of the plan's actions.parquet does",
        )  # fmt: skip
    plan = plan.only(wanted - set(without), done)
    if not plan.choices:
        raise BadInputError("The plan has no actions to launch", got=plan.name)
    return plan


def fits(store: Store, plan: Kept, folder: Path) -> None:
    """Refuse a plan that was made for other data than the store's, or whose files could not be written."""
    origin: Provenance = store.provenance
    for what in ("currency", "timezone", "simulated", "source", "notice"):
        if getattr(plan, what) != getattr(origin, what):
            raise BadInputError(
                f"The plan was made for other data than this store: its {what} differs",
                got=str(getattr(plan, what)),
                allowed=str(getattr(origin, what)),
                do="launch it on the store that it was made from, or plan anew",
            )
    if plan.assumptions != origin.assumptions:
        raise BadInputError(
            "The plan's gains rest on other assumptions than those given here",
            got=" ".join(origin.assumptions) or "none", allowed=" ".join(plan.assumptions) or "none",
            do="give the --assume that the plan was made with, or plan anew",
        )  # fmt: skip
    for file in (folder / HEAD, folder / DEEDS, folder / ARMS):
        if file.is_dir() or not os.access(file if file.exists() else folder, os.W_OK):
            raise BadInputError("A launch keeps its files in the plan's folder, and cannot write there", got=file)


def weighed(store: Store, plan: Kept, holdout: float | None, terms: Terms) -> list[Held]:
    """Return who is held out of each action, see `holdouts`."""
    return holdouts(store, plan.choices, terms.echo, holdout)


def timely(plan: Kept, held: Sequence[Held], approval: Approval, terms: Terms, today: date) -> None:
    """Refuse a plan that no ledger would take on this day, so that none is begun for it."""
    check(plan.name, _promises(plan, held), approval, terms, today)


def registered(ledger: Ledger, plan: Kept, held: Sequence[Held], who: str, approval: Approval, terms: Terms) -> Receipt:
    """Register a plan in the ledger, all of it or nothing, see `Ledger.launch`."""
    terms = replace(terms, assumptions=plan.assumptions, source=plan.source, currency=plan.currency, notice=plan.notice)
    return ledger.launch(plan.name, _promises(plan, held), approval, who, terms)


def _promises(plan: Kept, held: Sequence[Held]) -> list[Promise]:
    return [Promise(each.choice, each.share, raw=plan.raw.get(each.choice.action.key)) for each in held]


def written(ledger: Ledger, plan: Kept, folder: Path, head: Head) -> tuple[Path, Path, Path]:
    """Write a launched plan's files, and return them: the ledger's head, what is done, and who gets it.

    Args:
        ledger: The ledger.
        plan: The plan with all its choices, also those that were not launched.
        folder: Where the files go.
        head: The head to keep.

    Raises:
        ConflictError: If another plan of its name is launched.
        BadInputError: If there is no room for them; the launch stands.
    """
    try:
        arms = keep_arms(ledger, plan, folder)
        return keep_head(folder, head), keep_deeds(ledger, plan, folder), arms.file
    except OSError as error:
        raise BadInputError(
            "The plan is launched, but its files could not be written",
            got=str(error),
            do=f"make room, then run: tradewind ledger export {folder}",
        ) from error


def keep_arms(ledger: Ledger, plan: Kept, folder: Path) -> Exported:
    """Write who drew which arm under a launched plan, and return what was written."""
    return ledger.export(folder / ARMS, plan.name, [each.id for each in own(ledger, plan).launches])


def keep_deeds(ledger: Ledger, plan: Kept, folder: Path) -> Path:
    """Write what is done under a launched plan, a row an action, for whoever carries it out, and return the file.

    An action whose arm is `holdout` is not to be done; one without an arm is done to the treated of its experiment.
    """
    rows = [(each.id, launch) for each in own(ledger, plan).experiments for launch in each.launches]
    doses = sorted({name for _, launch in rows for name in launch.setting.dose})
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow([
        "action", "arm", "what", "lever", "subject_kind", "subject_id", "partner_id", "shop_id", "first_day",
        "last_day", "stopped", *doses, "experiment_id",
    ])  # fmt: skip
    for experiment, launch in rows:
        subject = launch.subject
        what = worded(launch.setting, launch.lever, subject, None, plan.currency, {})
        table.writerow([
            launch.action, launch.arm or "", what, str(launch.lever), subject.kind, subject.id, subject.partner or "",
            subject.shop or "", launch.days.first, launch.days.last, launch.stopped or "",
            *(launch.setting.dose.get(name, "") for name in doses), experiment,
        ])  # fmt: skip
    put(folder / DEEDS, out.getvalue())
    return folder / DEEDS


def keep_head(folder: Path, head: Head) -> Path:
    """Write a ledger's head beside the plan that was launched, and return the file."""
    file = folder / HEAD
    put(file, json.dumps({"head": str(head), "count": head.count}, indent=1) + "\n")
    return file


def stopped(ledger: Ledger, names: Collection[str], who: str, reason: str) -> list[Launch]:
    """Stop what goes on of launches or experiments, as of today: all that is named, or nothing.

    Args:
        ledger: The ledger.
        names: Each `PLAN/ACTION` or `ACTION`, or the id of a launch or an experiment.
        who: Who stops it.
        reason: Why.

    Returns:
        The launches that were stopped.

    Raises:
        NotFoundError: If the caller sees nothing of a name.
        BadInputError: If several launches are called so.
        ConflictError: If one of them was stopped already, is over, or was held out.
    """
    status = ledger.status()
    found = {each.id: each for name in names for each in _called(status, name)}
    return ledger.stop_all(list(found), who, reason)


def _called(status: Status, name: str) -> list[Launch]:
    found = [each for each in status.launches if name in {each.id, each.action, f"{each.plan}/{each.action}"}]
    if len(found) > 1:
        raise BadInputError(
            "Several launches are called so", got=name, do="name one as PLAN/ACTION or by its id",
            allowed=", ".join(f"{each.plan}/{each.action} ({each.id})" for each in found[:NAMED]),
        )  # fmt: skip
    whole = [each.treated for each in status.experiments if each.id == name]
    found = found or [each for treated in whole for each in treated if each.stopped is None]
    if not found:
        raise NotFoundError(
            "Nothing of this name can be stopped", got=name,
            do="name an action as PLAN/ACTION, or a launch or experiment by its id: tradewind ledger status --json",
        )  # fmt: skip
    return found


def reached(ledger: Ledger, folder: Path) -> None:
    """Refuse to write over a head that a folder keeps and the ledger does not lead to: it is what shows a cut.

    Raises:
        ConflictError: If it is of another ledger.
        CorruptLedgerError: If the ledger was cut or written anew since.
    """
    if (folder / HEAD).exists():
        ledger.reach(Head.parse(head_of(folder)))


def head_of(folder: Path) -> str:
    """Return the head that a launched plan's folder keeps.

    Raises:
        NotFoundError: If it keeps none.
        BadInputError: If it cannot be read.
    """
    file = folder / HEAD
    if not file.is_file():
        raise NotFoundError("This folder keeps no head of a ledger", got=folder, do="launch the plan first")
    try:
        return str(json.loads(file.read_text(encoding="utf-8"))["head"])
    except (ValueError, KeyError, TypeError) as error:
        raise BadInputError("The head in this folder cannot be read", got=file) from error


def own(ledger: Ledger, plan: Kept) -> Status:
    """Return what the ledger holds of a plan's own actions, and nothing of other plans of its name.

    Args:
        ledger: The ledger.
        plan: The plan with all its choices, also those that were not launched.

    Raises:
        ConflictError: If one of its actions was launched under its name in another setting or on other days, or
            together with actions that it has not.
    """
    status = ledger.status(plan.name)
    choices = {launch_id(plan.name, choice.action): choice for choice in plan.choices}
    launches = tuple(each for each in status.launches if each.id in choices)
    experiments = tuple(each for each in status.experiments if any(of.id in choices for of in each.launches))
    members = (each for of in experiments for each in of.launches)
    if not all(each.id in choices and _is(each, choices[each.id]) for each in (*launches, *members)):
        raise _another(plan)
    return Status(status.today, experiments, launches)


def _another(plan: Kept) -> ConflictError:
    return ConflictError(
        "Another plan of this name is launched already", got=plan.name,
        do="use the folder of the plan that was launched, or give this one another name: tradewind plan --name",
    )  # fmt: skip


def _is(launched: Launch, choice: Choice) -> bool:
    """Whether a launch is of a choice: what it promises hangs on what else was launched, and does not count."""
    action, mine, its = choice.action, choice.setting, launched.setting
    return (launched.lever, launched.subject, launched.days, its.dose, its.cost) == (
        action.lever, action.subject, action.days, mine.dose, mine.cost,
    )  # fmt: skip
