"""A plan as a folder of files: what was picked for a ledger, and tables for whoever carries it out."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq

from tradewind.decisions.plan.interplay import less, lessened, taken
from tradewind.errors import BadInputError, NotFoundError
from tradewind.ledger.promise import Promise, choice_read, promise_said, setting_read
from tradewind.study import Action, Choice, Estimate, Party, Plan, Provenance, Setting, jsonable
from tradewind.writing import beside

FORMAT = 2
HEAD = "ledger.json"  # what a launch leaves
_HERE, _EXCHANGE = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of Linux's renameat2
PLAN, ACTIONS, MENUS, UNITS = "plan.json", "actions.parquet", "menus.parquet", "assignments.parquet"


@dataclass(frozen=True)
class Kept:
    """A plan as it was kept: what a ledger registers.

    Args:
        name: Its name.
        choices: What was picked, with the customers that each reaches.
        raw: Chosen settings before a calibration, by the action's key.
        currency: ISO 4217 code of its money.
        timezone: Timezone of its days.
        simulated: Whether its numbers describe no real business.
        source: Whose data it was made from.
        notice: What those say of themselves.
        assumptions: What was supposed, a sentence each.
        interplay: Money that a choice loses by the others, taken off its gain already, by the action's key.
        sales: GMV by which that was reckoned, by shop and under "" in all; None of a folder that does not say.
    """

    name: str
    choices: tuple[Choice, ...]
    raw: Mapping[str, Setting]
    currency: str
    timezone: str
    simulated: bool
    source: str
    notice: str
    assumptions: tuple[str, ...]
    interplay: Mapping[str, float] = field(default_factory=dict)
    sales: Mapping[str, float] | None = None

    @property
    def fixed(self) -> bool:
        """Whether choices lose something by others, and it is not known what they would lose by some of them only."""
        return bool(self.interplay) and self.sales is None

    def only(self, keys: Collection[str], beside: Collection[str] = ()) -> Kept:
        """Return the plan of some of its choices, each promising what it gains beside those alone.

        Where the plan is `fixed` they promise what they gain beside all of them.

        Args:
            keys: Keys of the actions that stay.
            beside: Keys of others of its actions that are done as well, and take from those that stay.
        """
        some = tuple(choice for choice in self.choices if choice.action.key in keys)
        if self.sales is None or not self.interplay or len(some) == len(self.choices):
            return replace(self, choices=some)
        met = [choice for choice in self.choices if choice.action.key in keys or choice.action.key in beside]
        every = taken(met, {shop or None: sold for shop, sold in self.sales.items()})
        lost = {choice.action.key: every.get(choice.action.key, 0.0) for choice in some}
        more = {key: loss - self.interplay.get(key, 0.0) for key, loss in lost.items()}
        raw = {key: less(setting, more.get(key, 0.0)) for key, setting in self.raw.items()}
        choices = tuple(lessened(choice, more[choice.action.key]) for choice in some)
        return replace(self, choices=choices, raw=raw, interplay={key: loss for key, loss in lost.items() if loss > 0})


def write_plan(plan: Plan, origin: Provenance, folder: Path, actions: Sequence[Action] = ()) -> list[Path]:
    """Write a plan into a folder, whole or not at all.

    Args:
        plan: The plan.
        origin: Where its numbers come from.
        folder: Where to; a plan that stands there is replaced.
        actions: All actions that could have been picked, for the table of menus; the chosen ones where left out.

    Returns:
        The files: `plan.json` (for a ledger), `actions.parquet` (ranked, one row a choice), `menus.parquet` (every
        setting of every action) and `assignments.parquet` (who is reached by which action).

    Raises:
        BadInputError: If something else stands there, or the plan that is replaced was launched meanwhile.
    """
    _writable(folder)
    launched = (folder / HEAD).exists()
    fresh = beside(folder.with_name(f"{folder.name}-new"))
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        fresh.mkdir()
    except OSError as error:
        raise _unwritable(folder) from error
    try:
        chosen = {choice.action.key: choice.place for choice in plan.choices}
        everything = {action.key: action for action in actions} | {c.action.key: c.action for c in plan.choices}
        units = [
            (c.action.key, unit) for c in plan.choices if c.action.assignment for unit in c.action.assignment.units
        ]
        pq.write_table(_actions(plan), fresh / ACTIONS)
        pq.write_table(_menus(list(everything.values()), chosen), fresh / MENUS)
        columns = {"action": [key for key, _ in units], "unit_id": [unit for _, unit in units]}
        pq.write_table(pa.table(columns, pa.schema([("action", pa.string()), ("unit_id", pa.string())])), fresh / UNITS)
        (fresh / PLAN).write_text(json.dumps(_said(plan, origin), ensure_ascii=False, indent=1), encoding="utf-8")
        if folder.exists():
            for kept in folder.iterdir():  # what others put beside it, such as a page, stays
                if kept.name not in {PLAN, ACTIONS, MENUS, UNITS}:
                    (shutil.copytree if kept.is_dir() else shutil.copy2)(kept, fresh / kept.name)
        if not launched:
            check_folder(folder)
        _put(fresh, folder)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    return [folder / name for name in (PLAN, ACTIONS, MENUS, UNITS)]


def _put(fresh: Path, folder: Path) -> None:
    """Put a folder in the place of another, in one step where the system can swap two; what stood there is removed."""
    if not folder.exists():
        fresh.rename(folder)
        return
    if _swapped(fresh, folder):
        shutil.rmtree(fresh, ignore_errors=True)
        return
    old = beside(folder.with_name(f"{folder.name}-old"))
    folder.rename(old)
    try:
        fresh.rename(folder)
    except BaseException:
        old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _swapped(one: Path, other: Path) -> bool:
    """Swap two folders in one step, and return whether the system could."""
    swap = getattr(ctypes.CDLL(None), "renameat2", None)
    return swap is not None and swap(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE) == 0


def check_folder(folder: Path) -> None:
    """Refuse a folder that no new plan can be written to.

    Raises:
        BadInputError: If something else stands there, a plan that was launched, or it cannot be written.
    """
    _writable(folder)
    if (folder / HEAD).exists():
        raise BadInputError(
            "The folder holds a plan that was launched", got=folder, do="name another folder, or move this one away"
        )


def _writable(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and not (folder / PLAN).exists())):
        raise BadInputError("The folder holds something else than a plan", got=folder, do="name another folder")
    above = next(each for each in (folder, *folder.parents) if each.exists())
    if folder.name == "" or not above.is_dir() or not os.access(above, os.W_OK):
        raise _unwritable(folder)


def _unwritable(folder: Path) -> BadInputError:
    return BadInputError("No plan can be written there", got=folder, do="name a folder that you may write to")


def read_plan(folder: Path) -> Kept:
    """Return the plan that a folder keeps.

    Raises:
        NotFoundError: If there is none.
        BadInputError: If it cannot be read, or is of a newer format.
    """
    file = folder / PLAN
    if not file.is_file():
        raise NotFoundError("There is no plan in this folder", got=folder, do="make one: tradewind plan --out FOLDER")
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
        if said["format"] != FORMAT:
            raise BadInputError("The plan is of another format", got=said["format"], allowed=str(FORMAT))
        table = pq.read_table(folder / UNITS).to_pydict()
        units: dict[str, list[str]] = {}
        for key, unit in zip(table["action"], table["unit_id"], strict=True):
            units.setdefault(key, []).append(unit)
        choices = tuple(choice_read(each, tuple(units.get(each["key"], ()))) for each in said["choices"])
        if any(not 0 <= choice.place < len(choice.action.menu) for choice in choices):
            raise ValueError("a place lies outside its menu")
        ZoneInfo(said["timezone"])
        raw = {key: setting_read(each) for key, each in said["raw"].items()}
        sales = said.get("sales")  # folders written before it was kept do not say
        return Kept(
            said["name"], choices, raw, said["currency"], said["timezone"], bool(said["simulated"]),
            said["source"], said["notice"], tuple(map(str, said["assumptions"])),
            {key: float(lost) for key, lost in said["interplay"].items()},
            None if sales is None else {str(shop): float(sold) for shop, sold in sales.items()},
        )  # fmt: skip
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError, OSError, pa.ArrowException) as error:
        raise BadInputError(
            "The plan in this folder cannot be read", got=folder, do="make it anew: tradewind plan --out FOLDER"
        ) from error


def _said(plan: Plan, origin: Provenance) -> dict[str, Any]:
    promises = [promise_said(Promise(c, 0.0, raw=plan.raw.get(c.action.key))) for c in plan.choices]
    return {
        "format": FORMAT,
        "name": plan.name,
        "currency": origin.currency,
        "timezone": origin.timezone,
        "source": origin.source,
        "notice": origin.notice,
        "snapshot": origin.snapshot,
        "simulated": origin.simulated,
        "assumptions": list(origin.assumptions),
        "objective": plan.objective,
        "caution": plan.caution,
        "joint": jsonable(plan.joint),
        "total": jsonable(plan.total),
        "attributed_gmv": plan.attributed,
        "gap": plan.gap,
        "budgets": jsonable(plan.purses),
        "rules": [rule.text for rule in plan.rules],
        "interplay": dict(plan.interplay),
        "sales": dict(plan.sales),
        "choices": promises,
        "raw": {key: promise["raw"] for key, promise in zip(_keys(plan), promises, strict=True) if promise["raw"]},
        "left_out": [
            {"action": left.action.key, "lever": left.action.lever, "gain": jsonable(left.gain), "reason": left.reason}
            for left in plan.left_out
        ],
    }


def _keys(plan: Plan) -> list[str]:
    return [choice.action.key for choice in plan.choices]


def _ends(name: str, value: Estimate | None) -> dict[str, float | None]:
    return {f"{name}_{end}": None if value is None else float(getattr(value, end)) for end in ("mid", "low", "high")}


def _setting(setting: Setting) -> dict[str, Any]:
    row: dict[str, Any] = {f"dose_{name}": value for name, value in setting.dose.items()}
    row |= {f"cost_{payer}": setting.cost.get(payer, 0.0) for payer in Party}
    row |= _ends("joint", setting.joint)
    for party in Party:
        row |= _ends(party, setting.gain.get(party))
    return row | {"attributed_gmv": setting.attributed}


def _subject(action: Action) -> dict[str, Any]:
    subject = action.subject
    days: tuple[date, date] = (action.days.first, action.days.last)
    size = len(action.assignment.units) if action.assignment else None
    return {
        "action": action.key, "lever": str(action.lever), "subject_kind": subject.kind, "subject_id": subject.id,
        "shop_id": subject.shop, "partner_id": subject.partner, "first_day": days[0], "last_day": days[1],
        "customers": size, "evidence": str(action.evidence), "why": action.why, "expires": action.expires,
    }  # fmt: skip


def _actions(plan: Plan) -> pa.Table:
    rows = [
        {"rank": rank, **_subject(c.action), **_setting(c.setting), "interplay": plan.interplay.get(c.action.key, 0.0)}
        for rank, c in enumerate(plan.choices, 1)
    ]
    return _table(rows)


def _menus(actions: Sequence[Action], chosen: Mapping[str, int]) -> pa.Table:
    rows = [
        {**_subject(action), "place": place, "chosen": chosen.get(action.key) == place, **_setting(setting)}
        for action in actions
        for place, setting in enumerate(action.menu)
    ]
    return _table(rows)


def _table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    names = list(dict.fromkeys(name for row in rows for name in row))
    return pa.table({name: [row.get(name) for row in rows] for name in names})
