"""Rules that hold beside budgets: one offer a customer, caps and floors of groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tradewind.errors import BadInputError
from tradewind.methods.allocate_menus import LARGEST, Array, Floats, Ints, Menus, table, unmasked
from tradewind.methods.allocate_program import OFFERS, Program

SWAY = 1e-6
"""Share of gains and costs by which luck breaks ties: it can cost about as much of the gain."""

MOST_GROUPS = 10_000_000


@dataclass(frozen=True, eq=False)
class Cap:
    """What groups of menus may have at most, and must have at least: offers, a payer's spend, or any weight.

    Args:
        group: [n] the group of each menu, counted from 0; −1 for menus that the rule leaves alone.
        most: [G] or one number: cap of each group; infinite where there is none.
        least: [G] or one number: floor of each group, for fairness; 0 where there is none.
        weight: What is counted. None: offers. One whole number: what that payer spends, in money. Otherwise [n] or
            [n, L], a weight of each menu or setting, 0 or more.
    """

    group: ArrayLike
    most: ArrayLike = np.inf
    least: ArrayLike = 0.0
    weight: ArrayLike | None = None


@dataclass(frozen=True, eq=False)
class Rules:
    """Rules that hold beside the budgets.

    Args:
        owner: [n] the customer whom each menu belongs to: of all menus of one customer at most one setting is chosen.
            None where each customer has one menu.
        caps: Caps and floors of groups; a menu may count towards several.
    """

    owner: ArrayLike | None = None
    caps: Sequence[Cap] = ()


class Limit(NamedTuple):
    """A cap as it is computed with.

    Args:
        group: [n] the group of each menu; −1 for none.
        most: [G] caps.
        least: [G] floors.
        kind: What is counted: `OFFERS`, the number of a payer, or −2 for weights of its own.
        own: [n, 1] or [n, L] those weights.
    """

    group: Ints
    most: Floats
    least: Floats
    kind: int
    own: Array


def read_budgets(budgets: ArrayLike) -> Floats:
    """Return the budgets as an array [K], or raise the error that one of them calls for."""
    limits = np.atleast_1d(np.asarray(table(budgets, "The budgets"), float))
    if limits.ndim != 1 or not len(limits) or not _usable(limits).all():
        raise BadInputError(
            "A budget is negative, not a number, or too large", got=limits.tolist(),
            allowed=f"one or more, each 0 to below {LARGEST:g}, or infinite where there is no limit",
        )  # fmt: skip
    return limits


def read_owner(owner: ArrayLike | None, units: int) -> NDArray[Any] | None:
    """Return whom each menu belongs to; None where each customer has one menu."""
    if owner is None:
        return None
    whose = unmasked(owner, "The owners")
    if whose.shape != (units,):
        raise BadInputError("Each menu has one owner", got=whose.shape, allowed=(units,))
    if whose.dtype.kind not in "iuUS":
        raise BadInputError("An owner is a whole number or a name", got=whose.dtype)
    return whose if len(np.unique(whose)) < units else None


def starts_of(owner: NDArray[Any]) -> Ints | None:
    """Return the first menu of each customer; None where the menus of one lie apart."""
    starts = np.append(0, 1 + np.flatnonzero(owner[1:] != owner[:-1]))
    return starts if len(np.unique(owner)) == len(starts) else None


def read_caps(rules: Rules, menus: Menus) -> list[Limit]:
    """Return the caps as they are computed with, or raise the error that one of them calls for."""
    if len({id(cap) for cap in rules.caps}) < len(rules.caps):
        raise BadInputError("A cap is given twice", do="give each rule once")
    return [_read(cap, f"cap {place}", menus) for place, cap in enumerate(rules.caps)]


def _read(cap: Cap, name: str, menus: Menus) -> Limit:
    units = menus.units
    group = unmasked(cap.group, f"The groups of {name}")
    fits = group.shape == (units,) and group.dtype.kind in "iu"
    if not fits or (units and not -1 <= int(group.min()) <= int(group.max()) < MOST_GROUPS):
        raise BadInputError(
            f"The groups of {name} do not fit", got=f"{group.dtype} {group.shape}",
            allowed=f"({units},) whole numbers from 0 to below {MOST_GROUPS:,}, −1 for no group",
        )  # fmt: skip
    group = group.astype(np.int64)
    ends = [np.asarray(table(limit, f"The limits of {name}"), float) for limit in (cap.most, cap.least)]
    shapes = {limit.shape for limit in ends if limit.ndim}
    count = max((shape[0] for shape in shapes), default=int(group.max(initial=-1)) + 1)
    if shapes - {(count,)} or int(group.max(initial=-1)) >= count:
        raise BadInputError(
            f"The limits of {name} are not one for each group", got=[limit.shape for limit in ends],
            allowed=f"one number, or one for each of {int(group.max(initial=-1)) + 1} groups",
        )  # fmt: skip
    most, least = (np.broadcast_to(limit, (count,)).copy() for limit in ends)
    if not _usable(most).all() or not ((least >= 0) & (least < LARGEST)).all():
        raise BadInputError(
            f"A limit of {name} is negative, not a number, or too large",
            allowed=f"0 to below {LARGEST:g}; a cap may be infinite",
        )
    if (least > most).any():
        where = int(np.argmax(least > most))
        raise BadInputError(
            f"The floor of group {where} of {name} is above its cap", got=(float(least[where]), float(most[where]))
        )
    kind = OFFERS
    own: Array = np.ones((units, 1))
    if cap.weight is not None:
        weight = unmasked(cap.weight, f"The weights of {name}")
        if weight.ndim == 0:
            if weight.dtype.kind not in "iu" or not 0 <= int(weight) < menus.payers:
                raise BadInputError(
                    f"The weight of {name} names no payer",
                    got=cap.weight,
                    allowed=f"a whole number below {menus.payers}",
                )
            return Limit(group, most, least, int(weight), own)
        own = table(weight if weight.ndim > 1 else weight[:, None], f"The weights of {name}")
        kind = OFFERS - 1
        levels = {1, menus.levels or own.shape[-1]}  # a stream says how many settings there are when it is read
        if own.ndim != 2 or len(own) != units or own.shape[1] not in levels or not ((own >= 0) & (own < LARGEST)).all():
            raise BadInputError(
                f"A weight of {name} is missing, negative, not finite, or too large", got=weight.shape,
                allowed=f"[{units}] or [{units}, settings], each 0 to below {LARGEST:g}",
            )  # fmt: skip
    return Limit(group, most, least, kind, own)


def _usable(limits: Floats) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = (limits >= 0) & ((limits < LARGEST) | (limits == np.inf))
    return found


def program_of(menus: Menus, budgets: Floats, caps: list[Limit], starts: Ints | None, order: Ints | None) -> Program:
    """Return the program of menus, which stand in another order than the caps if one is given."""
    payers = len(budgets)
    spans = payers + np.cumsum([0, *(len(cap.most) for cap in caps)])
    upper = np.concatenate([budgets, *(cap.most for cap in caps)])
    lower = np.concatenate([np.zeros(payers), *(cap.least for cap in caps)])
    row = np.empty((len(caps), menus.units), np.int32)
    kind, own = np.empty(len(caps), np.int64), []
    for place, cap in enumerate(caps):
        group = cap.group if order is None else cap.group[order]
        row[place] = np.where(group >= 0, group + spans[place], -1)
        kind[place] = cap.kind
        if cap.kind < OFFERS:
            own.append(cap.own if order is None else cap.own[order])
            kind[place] = OFFERS - len(own)
    return Program(menus, upper, np.where(lower > 0, lower, -np.inf), kind, row, tuple(own), spans, starts)


def refuse_unattainable(program: Program, most: Floats) -> None:
    """Raise an error where a floor is above all that its group's menus hold together."""
    short = program.lower > most * (1 + 1e-9)
    if short.any():
        row = int(np.argmax(short))
        cap = int(np.searchsorted(program.spans, row, side="right")) - 1
        raise BadInputError(
            f"The floor of group {row - int(program.spans[cap])} of cap {cap} is above all that its menus hold",
            got=float(program.lower[row]), allowed=f"{float(most[row]):.6g} or less",
        )  # fmt: skip
