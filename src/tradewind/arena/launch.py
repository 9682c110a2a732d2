"""Launch: what was chosen, as moves in a world."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import numpy as np

from tradewind.errors import BadInputError
from tradewind.sources.worlds.moves import Move
from tradewind.sources.worlds.world import World
from tradewind.study import Action, Choice, Lever


def moves(world: World, chosen: Sequence[Choice]) -> list[Move]:
    """Return the moves that a plan's choices are in a world.

    Raises:
        BadInputError: If an action begins before the world's next day, or its lever is none of a world's.
    """
    return [_move(world, choice) for choice in chosen]


def _move(world: World, choice: Choice) -> Move:
    action, dose = choice.action, dict(choice.setting.dose)
    start = _day(world, action.days.first)
    if start < world.state.day:
        raise BadInputError("An action cannot begin in the past", got=action.days.first, do="plan from the next day on")
    return Move(str(_lever(action, dose)), start, action.days.days, {**dose, **_subject(action)})


def _day(world: World, day: date) -> int:
    return (day - world.preset.first).days


def _lever(action: Action, dose: dict[str, float]) -> str:
    """The lever's name in a world, where each thing that can be done in a live room is a lever of its own."""
    if action.lever != Lever.LIVE:
        return action.lever
    return "live pin" if "share" in dose else "live coupon" if "face" in dose else "live traffic"


def _subject(action: Action) -> dict[str, Any]:
    subject, number = action.subject, int(action.subject.id[1:]) if action.subject.kind != "customers" else -1
    if action.assignment is not None:
        who = np.array([int(name[1:]) for name in action.assignment.units], np.int64)
        shop = -1 if subject.shop is None else int(subject.shop[1:])
        return {"customers": who, "shop": shop} if action.lever == Lever.COUPON else {"customers": who}
    found: dict[str, Any] = {subject.kind: number}
    if subject.partner is not None:
        found["creator" if action.lever == Lever.CREATOR else "product"] = int(subject.partner[1:])
    return found
