"""Truth: what moves are really worth in a world, by party, on what happened and in expectation.

Two ways, both with the same random numbers with and without the moves:

* `realised` runs the world twice and takes the difference of what happened.
* `expected` takes each choice by its chance, in closed form, instead of as it fell: given who comes, what is shown and
  the state of the world, the expected profit of a session is the sum over its slate of the logit's chance times the
  profit of a line, taken over pieces, payment, refund and a further line. Averaged over several futures, which share
  the past but no luck to come, it is the expected effect; what is left of chance in it is said as a standard error.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tradewind.errors import BadInputError
from tradewind.sources.worlds.conduct import IMPRESSION_COST
from tradewind.sources.worlds.moves import Move
from tradewind.sources.worlds.payoff import Payoff
from tradewind.sources.worlds.rooms import Rooms, Viewers
from tradewind.sources.worlds.state import State, Today
from tradewind.sources.worlds.trade import PARTIES, Lines
from tradewind.sources.worlds.world import Day, Shown, World

Array = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Effect:
    """What moves are worth.

    Args:
        parties: [parties] money that each party gains, in the order of `PARTIES`; transfers between them cancel.
        error: [parties] standard error of each; 0 where what happened is told.
        joint: What all gain together.
        joint_error: Its standard error.
        sales: Gross sales that come more, first lines of orders only; not a number where it was not counted.
    """

    parties: Array
    error: Array
    joint: float
    joint_error: float
    sales: float = float("nan")

    def of(self, party: str) -> float:
        """Return what one party gains."""
        return float(self.parties[PARTIES.index(party)])


def realised(world: World, moves: Sequence[Move], days: int) -> Effect:
    """Return what moves were worth on what happened: the world with them, less the same world without.

    Args:
        world: The world at the moment before the moves; it stays as it is.
        moves: The moves.
        days: Days to run: further than the moves last, to see what they pulled forward.
    """
    totals = [sum((day.parties for day in world.fork().advance(days, each)), np.zeros(len(PARTIES)))
              for each in ((), moves)]  # fmt: skip
    gain = totals[1] - totals[0]
    return Effect(gain, np.zeros(len(PARTIES)), float(gain.sum()), 0.0)


def by_unit(world: World, moves: Sequence[Move], days: int, unit: str) -> Array:
    """Return what moves were worth on what happened, unit by unit: [units, parties].

    Args:
        world: The world at the moment before the moves; it stays as it is.
        moves: The moves.
        days: Days to run.
        unit: `customer`, `product` or `shop`. Orders are their unit's, and advertising its product's; what was spent
            besides (messages, traffic to rooms) is no unit's and is left out.

    Raises:
        BadInputError: If there is no such unit.
    """
    products, shops = world.cast.products, world.cast.products.shop
    size = {"customer": world.preset.customers, "product": len(products.price), "shop": world.preset.shops}
    if unit not in size:
        raise BadInputError("Effects are told by another unit", got=unit, allowed=sorted(size))
    found = np.zeros((size[unit], len(PARTIES)))
    for sign, each in ((-1, ()), (1, moves)):
        for day in world.fork().advance(days, each):
            of = day.lines["customer"] if unit == "customer" else day.lines["product"]
            of = shops[of] if unit == "shop" else of
            for n in range(len(PARTIES)):
                found[:, n] += sign * np.bincount(of, day.profit[:, n], size[unit])
            if unit != "customer":
                bought = np.bincount(shops, day.advertising, size[unit]) if unit == "shop" else day.advertising
                found[:, 0] -= sign * bought
                found[:, 1] += sign * bought
    return found


def expected(world: World, moves: Sequence[Move], days: int, futures: int = 8) -> Effect:
    """Return what moves are worth in expectation.

    Args:
        world: The world at the moment before the moves; it stays as it is.
        moves: The moves.
        days: Days to run.
        futures: Futures to average over, 2 or more.

    Raises:
        BadInputError: If there are fewer than two futures.
    """
    if futures < 2:
        raise BadInputError("An expectation is taken over futures", got=futures, allowed="2 or more")
    [effect] = compared(world, [moves], days, range(1, futures + 1))
    return effect


def compared(world: World, plans: Sequence[Sequence[Move]], days: int, futures: Iterable[int]) -> list[Effect]:
    """Return what each of several plans is worth in expectation, beside the same runs without any.

    Args:
        world: The world at the moment before; it stays as it is.
        plans: Moves of each plan; each is run alone.
        days: Days to run.
        futures: Numbers of the futures to average over, above zero; with one alone, errors are not a number.
    """
    gains: list[list[Array]] = []
    sold: list[list[float]] = []
    for future in futures:
        sums: list[Array] = []
        sales: list[float] = []
        for each in ((), *plans):
            other = world.fork(luck=future)
            counted = _Expected(other)
            other.advance(days, each, watch=counted)
            sums.append(counted.total)
            sales.append(counted.sales)
        gains.append([total - sums[0] for total in sums[1:]])
        sold.append([total - sales[0] for total in sales[1:]])
    return [
        _effect(np.array([gain[n] for gain in gains]), float(np.mean([each[n] for each in sold])))
        for n in range(len(plans))
    ]


def _effect(drawn: Array, sales: float) -> Effect:
    """The mean of what several futures showed, [futures, parties], with its standard error."""
    count = len(drawn)
    together = drawn.sum(axis=1)
    if count < 2:
        return Effect(drawn[0], np.full(drawn.shape[1], np.nan), float(together[0]), float("nan"), sales)
    error, joint_error = drawn.std(axis=0, ddof=1) / count**0.5, float(together.std(ddof=1) / count**0.5)
    return Effect(drawn.mean(axis=0), error, float(together.mean()), joint_error, sales)


class _Expected:
    """Adds up the expected profit of each day of a run, by party."""

    def __init__(self, world: World):
        self.world = world
        self.payoff = Payoff(world)
        self.total, self.sales = np.zeros(len(PARTIES)), 0.0

    def shown(self, today: Today, block: Shown) -> None:
        """Take one block of a day's sessions."""
        slates = block.slates
        row, slot = np.nonzero(slates.product >= 0)
        chance = block.wants.chances()[row, slot]
        region = self.world.cast.region[block.sessions.customer[row]].astype(np.int64)
        product, contract = slates.product[row, slot], slates.contract[row, slot]
        worth = self.payoff.of(today, product, contract, block.wants.coupon[row, slot])
        self.total += (chance * (1 - today.unpaid[region])) @ worth
        self.sales += self.payoff.pieces * float((chance * (1 - today.unpaid[region])) @ today.price[product])
        spent = IMPRESSION_COST * float(slates.paid.sum())
        self.total += np.array([-spent, spent, 0.0, 0.0])

    def live(self, today: Today, rooms: Rooms, viewers: Viewers, lines: Lines) -> None:
        """Take a day's rooms, by the chances of who watched them."""
        del lines
        if not len(viewers.room):
            return
        lineup = rooms.lineup[viewers.room]
        row, place = np.nonzero(lineup >= 0)
        product = lineup[row, place]
        coupon = self.world.live.used(today, rooms, viewers.room[row], viewers.coupon[row], product)
        contract = self.world.live.under(today, self.world.state, rooms, viewers.room[row], product)
        region = self.world.cast.region[viewers.customer[row]].astype(np.int64)
        chance = viewers.chances[row, place] * (1 - today.unpaid[region])
        self.total += chance @ self.payoff.of(today, product, contract, coupon)
        self.sales += self.payoff.pieces * float(chance @ today.price[product])

    def done(self, today: Today, state: State, day: Day) -> None:
        """Take what a day came to: what was spent; all else is expected already."""
        del today, state
        self.total += day.spent
