"""Moves: what somebody does to a world besides what its sellers do anyway; an action of a plan becomes one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tradewind.errors import BadInputError
from tradewind.sources.worlds.cast import Cast
from tradewind.sources.worlds.diary import Diary
from tradewind.sources.worlds.preset import TASTES
from tradewind.sources.worlds.state import NEVER, State
from tradewind.sources.worlds.trade import PARTIES

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

LEVERS: dict[str, tuple[str, ...]] = {
    "coupon": ("customers", "face", "threshold", "shop", "platform", "brand"),
    "price": ("product", "off"),
    "commission": ("product", "rate", "platform"),
    "creator": ("product", "creator", "rate", "platform"),
    "traffic": ("product", "budget"),
    "listing": ("product", "effort"),
    "outreach": ("customers",),
    "assortment": ("product", "list"),
    "live pin": ("shop", "product", "share"),
    "live coupon": ("shop", "face", "claims"),
    "live traffic": ("shop", "budget"),
}
"""What each lever's dose says: amounts in the world's currency, `platform` and `brand` shares of who pays.

`budget` is a day's on a product, a room's in a live room; `share` is the share of its minutes for which a shop's rooms
pin the product.
"""
MESSAGE_COST, LISTING_COST = 0.05, 20.0
"""What a message costs the platform, and effort for a listing its seller, who gives each new creator a piece too."""


@dataclass(frozen=True)
class Move:
    """One lever pulled for some days.

    Args:
        lever: One of `LEVERS`.
        start: First day of the world on which it holds.
        days: Number of days.
        dose: What is done: the keys that `LEVERS` gives for the lever.

    Raises:
        BadInputError: If the lever is not known, or its dose says too little or too much.
    """

    lever: str
    start: int
    days: int
    dose: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.lever not in LEVERS:
            raise BadInputError("There is no such lever in a world", got=self.lever, allowed=sorted(LEVERS))
        if set(self.dose) != set(LEVERS[self.lever]):
            raise BadInputError(
                f"The dose of a {self.lever} move is not complete", got=sorted(self.dose), allowed=LEVERS[self.lever]
            )
        if self.days < 1:
            raise BadInputError("A move holds for a day or more", got=self.days)

    @property
    def last(self) -> int:
        """The last day on which it holds."""
        return self.start + self.days - 1


def begin(moves: Sequence[Move], cast: Cast, state: State, diary: Diary) -> tuple[Array, Array]:
    """Let the moves that hold today change the state.

    Returns:
        What is spent on advertising each product today, [products], and what goes out besides, [parties], below zero.
    """
    day, budget, spent = state.day, state.budget, np.zeros(len(PARTIES))
    for move in moves:
        if not move.start <= day <= move.last:
            continue
        dose = move.dose
        if move.lever == "price":
            state.markdown[dose["product"]] = dose["off"]
            state.marked[dose["product"]] = max(int(state.marked[dose["product"]]), day)
        elif move.lever == "traffic":
            budget = budget.copy() if budget is state.budget else budget
            budget[dose["product"]] += dose["budget"]
        if move.start == day:
            _once(move, cast, state, diary)
            payer, cost = _cost(move, cast)
            spent[PARTIES.index(payer)] -= cost
    return budget, spent


def _cost(move: Move, cast: Cast) -> tuple[str, float]:
    """Who pays for a move itself, whatever comes of it, and how much."""
    if move.lever == "outreach":
        return "platform", MESSAGE_COST * len(move.dose["customers"])
    if move.lever == "listing":
        return "merchant", LISTING_COST * float(move.dose["effort"])
    if move.lever == "creator":
        return "merchant", float(cast.products.cost[move.dose["product"]])
    return "merchant", 0.0


def better(effort: float, listing: Any) -> Any:
    """Return by how much effort betters listings of some quality: the poor gain most, the best nothing."""
    return effort * np.maximum(0.9 - 0.6 * listing, 0.0)


def _once(move: Move, cast: Cast, state: State, diary: Diary) -> None:
    """Do what is done on a move's first day only."""
    day, dose = state.day, move.dose
    if move.lever == "coupon" and len(dose["customers"]):
        [number] = state.coupons.add(
            shop=dose["shop"], face=dose["face"], threshold=dose["threshold"], starts=day, ends=move.last,
            platform=dose["platform"], brand=dose["brand"], kind=int(dose["shop"] >= 0),
        )  # fmt: skip
        diary.write("coupons", coupon=[number])
        who = np.asarray(dose["customers"], np.int64)
        grant(state, diary, who, number, day, move.last, np.full(len(who), np.nan))
    elif move.lever == "commission":
        mine = (state.contracts["product"] == dose["product"]) & (state.contracts["ends"] >= day)
        for number in np.flatnonzero(mine):
            was = {name: column[number] for name, column in state.contracts.columns.items()}
            state.contracts["ends"][number] = day - 1
            ends = max(int(was["ends"]), move.last)
            fresh = {**was, "rate": dose["rate"], "platform": dose["platform"], "starts": day, "ends": ends}
            diary.write("contracts", contract=state.contracts.add(**fresh))
    elif move.lever == "creator":
        match = cast.creators.audience[dose["creator"]] @ cast.products.taste[dose["product"]] / TASTES**0.5
        number = state.contracts.add(
            product=dose["product"], creator=dose["creator"], rate=dose["rate"], platform=dose["platform"], match=match,
            starts=day, ends=move.last, flat=0.0,
        )  # fmt: skip
        diary.write("contracts", contract=number)
    elif move.lever == "listing":
        state.listing[dose["product"]] += better(dose["effort"], state.listing[dose["product"]])
    elif move.lever == "outreach":
        who = np.asarray(dose["customers"], np.int64)
        state.messaged[who] = day
        diary.write("contacts", customer=who, day=np.full(len(who), day))
    elif move.lever == "assortment":
        state.listed[dose["product"]] = day if dose["list"] else NEVER


def grant(state: State, diary: Diary, who: Ints, coupon: Any, day: int, until: int, propensity: Array) -> None:
    """Give customers a coupon, one number or one for each; it takes the place of the one that ends first."""
    if not len(who):
        return
    place = np.argmin(state.until[who], axis=1)
    state.held[who, place] = coupon
    state.until[who, place] = until
    diary.write("grants", coupon=np.full(len(who), coupon), customer=who, day=np.full(len(who), day),
                propensity=propensity)  # fmt: skip
