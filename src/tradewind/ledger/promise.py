"""Promise: a choice as it is to be launched and proven, and the exact text in which the ledger keeps it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from tradewind.errors import BadInputError
from tradewind.period import Period
from tradewind.study import Action, Assignment, Choice, Estimate, Evidence, Lever, Party, Setting, Subject

LONGEST_NAME, LONGEST_TEXT = 200, 4000
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True)
class Promise:
    """A choice with its prediction, and the share of its units that will go without.

    Args:
        choice: The setting picked from an action's menu.
        holdout: Share held out, in [0, 1): of the action's customers, or of the actions of its group where it reaches
            no list of customers. With 0 nothing is held out, and no reading of it can claim to be randomised.
        group: Name of the like actions among which some are held out; where it is left empty, the actions of one lever
            on one kind of subject over the same days are a group.
        raw: The chosen setting as it was predicted before a calibration shrank its gains; None where none did. The next
            calibration compares what is proven with this, so that it does not shrink twice.

    Raises:
        BadInputError: If the share is out of range or the place is not in the menu.
    """

    choice: Choice
    holdout: float = 0.1
    group: str = ""
    raw: Setting | None = None

    def __post_init__(self) -> None:
        key, places = self.choice.action.key, len(self.choice.action.menu)
        if not 0 <= self.holdout < 1:
            raise BadInputError(
                f"The share held out of the action '{key}' is out of range", got=self.holdout,
                allowed="0 (nothing is held out), or a share below 1",
            )  # fmt: skip
        if not 0 <= self.choice.place < places:
            raise BadInputError(
                f"The menu of the action '{key}' has no such place", got=self.choice.place, allowed=f"0 to {places - 1}"
            )


@dataclass(frozen=True)
class Approval:
    """Who approved a launch, and when.

    Args:
        who: Their name.
        at: The moment, with its timezone.
    """

    who: str
    at: datetime

    def __post_init__(self) -> None:
        name(self.who, "Who approved")
        if self.at.tzinfo is None:
            raise BadInputError("The moment of an approval has no timezone", got=self.at)


def name(value: Any, what: str) -> str:
    """Return a name or id that every database keeps as it is.

    Raises:
        BadInputError: If it is no text, empty, longer than 200 characters, or holds control characters.
    """
    if not isinstance(value, str) or not value.strip() or len(value) > LONGEST_NAME or _CONTROL.search(value):
        raise BadInputError(
            f"{what} is not a name", got=repr(value)[:80], allowed=f"1 to {LONGEST_NAME} characters on one line"
        )
    return value


def sentence(value: Any, what: str) -> str:
    """Return a text that says something.

    Raises:
        BadInputError: If it is no text, empty, or longer than 4000 characters.
    """
    if not isinstance(value, str) or not value.strip() or len(value) > LONGEST_TEXT:
        raise BadInputError(f"{what} is missing or too long", allowed=f"1 to {LONGEST_TEXT} characters")
    return value


def number(value: Any, what: str) -> str:
    """Return a number as an exact text: a decimal as it stands, a float as the shortest text that reads back the same.

    Raises:
        BadInputError: If it is not a finite number.
    """
    plain = value.item() if hasattr(value, "item") and callable(value.item) else value  # a NumPy scalar
    if isinstance(plain, bool) or not isinstance(plain, (int, float, Decimal)) or not math.isfinite(plain):
        raise BadInputError(f"{what} is not a finite number", got=repr(value)[:80])
    return repr(plain) if isinstance(plain, float) else format(plain, "f") if isinstance(plain, Decimal) else str(plain)


def estimate_said(value: Estimate, what: str) -> dict[str, str]:
    """Return an estimate as the ledger keeps it."""
    if not value.low <= value.mid <= value.high:
        raise BadInputError(f"{what} lies outside its own interval", got=(value.low, value.mid, value.high))
    return {part: number(getattr(value, part), what) for part in ("mid", "low", "high", "level")}


def estimate_read(said: Mapping[str, str]) -> Estimate:
    """Return the estimate that was kept."""
    return Estimate(float(said["mid"]), float(said["low"]), float(said["high"]), float(said["level"]))


def setting_said(setting: Setting, key: str) -> dict[str, Any]:
    """Return a setting as the ledger keeps it."""
    of = f"of the action '{key}'"
    return {
        "dose": {part: number(value, f"The dose {of}") for part, value in setting.dose.items()},
        "cost": {str(Party(payer)): number(value, f"The cost {of}") for payer, value in setting.cost.items()},
        "gain": {str(Party(who)): estimate_said(value, f"The gain {of}") for who, value in setting.gain.items()},
        "joint": None if setting.joint is None else estimate_said(setting.joint, f"The joint gain {of}"),
        "attributed": None if setting.attributed is None else number(setting.attributed, f"The attributed GMV {of}"),
        **({} if setting.own is None else {"own": estimate_said(setting.own, f"What shows {of}")}),
    }


def setting_read(said: Mapping[str, Any]) -> Setting:
    """Return the setting that was kept."""
    return Setting(
        {part: float(value) for part, value in said["dose"].items()},
        {Party(payer): float(value) for payer, value in said["cost"].items()},
        {Party(who): estimate_read(value) for who, value in said["gain"].items()},
        None if said["joint"] is None else estimate_read(said["joint"]),
        None if said["attributed"] is None else float(said["attributed"]),
        estimate_read(said["own"]) if "own" in said else None,
    )


def promise_said(promise: Promise) -> dict[str, Any]:
    """Return a promise as the ledger keeps it; its customers are kept beside, with a digest.

    Raises:
        BadInputError: If a name or number cannot be kept, or the choice predicts nothing.
    """
    action, setting = promise.choice.action, promise.choice.setting
    name(action.key, "The key of an action")
    for said in (setting, promise.raw):
        if said is not None and not said.gain and said.joint is None:
            raise BadInputError(
                f"The action '{action.key}' promises nothing",
                do="predict its gain, if only as an assumption: what was not promised cannot be found wrong",
            )
    subject: dict[str, str | None] = {"kind": action.subject.kind, "id": name(action.subject.id, "The id of a subject")}
    for part in ("shop", "partner"):
        value = getattr(action.subject, part)
        subject[part] = None if value is None else name(value, f"The {part} of a subject")
    return {
        "key": action.key,
        "lever": str(action.lever),
        "subject": subject,
        "days": [str(action.days.first), str(action.days.last)],
        "menu": [setting_said(each, action.key) for each in action.menu],
        "place": str(promise.choice.place),
        "evidence": str(action.evidence),
        "why": action.why,
        "expires": None if action.expires is None else str(action.expires),
        "assignment": None if action.assignment is None else name(action.assignment.name, "The name of an assignment"),
        "holdout": number(promise.holdout, "The share held out"),
        "raw": None if promise.raw is None else setting_said(promise.raw, action.key),
    }


def choice_read(said: Mapping[str, Any], units: tuple[str, ...]) -> Choice:
    """Return the choice that was kept, with the customers that were kept beside it."""
    subject = said["subject"]
    action = Action(
        said["key"],
        Lever(said["lever"]),
        Subject(subject["kind"], subject["id"], subject["shop"], subject["partner"]),
        period_read(said["days"]),
        tuple(setting_read(each) for each in said["menu"]),
        Evidence(said["evidence"]),
        said["why"],
        None if said["expires"] is None else date.fromisoformat(said["expires"]),
        None if said["assignment"] is None else Assignment(said["assignment"], units),
    )
    return Choice(action, int(said["place"]))


def period_read(said: tuple[str, str] | list[str]) -> Period:
    """Return the days that were kept as their first and last."""
    return Period(date.fromisoformat(said[0]), date.fromisoformat(said[1]))
