"""A world: a marketplace that runs day by day, with or without what somebody does to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tradewind.sources.worlds.cast import Cast
from tradewind.sources.worlds.choice import Wants
from tradewind.sources.worlds.conduct import IMPRESSION_COST, Conduct
from tradewind.sources.worlds.demand import SLOTS, Demand, Sessions, Slates
from tradewind.sources.worlds.diary import Diary
from tradewind.sources.worlds.incidents import Incident
from tradewind.sources.worlds.moves import Move
from tradewind.sources.worlds.preset import Preset
from tradewind.sources.worlds.rooms import Live, Rooms, Viewers
from tradewind.sources.worlds.state import State, Today
from tradewind.sources.worlds.streams import Streams
from tradewind.sources.worlds.trade import PARTIES, Lines, Trade

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Shown:
    """One block of a day's sessions, with what they saw and did: handed to whoever writes it down."""

    sessions: Sessions
    slates: Slates
    wants: Wants
    clicked: NDArray[np.bool_]
    chosen: NDArray[np.int64]


class Watcher(Protocol):
    """Who writes a day down as it happens."""

    def shown(self, today: Today, block: Shown) -> None:
        """Take one block of a day's sessions."""
        ...

    def live(self, today: Today, rooms: Rooms, viewers: Viewers, lines: Lines) -> None:
        """Take a day's rooms, who watched them, and the day's order lines."""
        ...

    def done(self, today: Today, state: State, day: Day) -> None:
        """Take what a day came to, after all else of it."""
        ...


@dataclass(frozen=True)
class Day:
    """What one day came to.

    Args:
        day: Day of the world.
        lines: Its order lines.
        profit: [lines, parties] what each party makes of each line in the end, in the order of `PARTIES`.
        advertising: [products] what sellers spent on advertising.
        shown: [products] how often each was noticed.
        spent: [parties] what went out besides, below zero: messages, listings made anew, samples, traffic to rooms.
    """

    day: int
    lines: Lines
    profit: Array
    advertising: Array
    shown: Array
    spent: Array

    @property
    def parties(self) -> Array:
        """[parties] what each party made of the day, advertising and all else that was spent included."""
        bought = float(self.advertising.sum())
        return np.asarray(self.profit.sum(axis=0) + np.array([-bought, bought, 0.0, 0.0]) + self.spent)


class World:
    """A simulated marketplace.

    Args:
        preset: How large it is and how it runs.
        seed: The same seed gives the same world, number by number.
        incidents: What goes wrong in it.
    """

    def __init__(self, preset: Preset, seed: int = 0, incidents: Sequence[Incident] = ()):
        self.preset = preset
        self.seed = seed
        self.incidents = tuple(incidents)
        self.streams = Streams(seed)
        self.cast = Cast(preset, self.streams)
        self._parts(self.streams)
        self.diary = Diary()
        self.state = State.begin(self.cast)
        self.conduct.begin(self.state, self.diary)

    def fork(self, incidents: Sequence[Incident] | None = None, luck: int = 0) -> World:
        """Return the same world at the same moment, to go its own way; it keeps no diary.

        Args:
            incidents: What goes wrong in it from here on; the same as in this one if None.
            luck: 0 for the luck of this world, so that both stay alike but for what is done to them; another number for
                another future of the same past.
        """
        other = object.__new__(World)
        other.__dict__.update(self.__dict__)
        other.state, other.diary = self.state.copy(), Diary(keep=False)
        other.incidents = self.incidents if incidents is None else tuple(incidents)
        if luck:
            other._parts(Streams(self.seed, luck))
        return other

    def _parts(self, luck: Streams) -> None:
        """Build what runs the world, on the luck given; who is in it is drawn from the seed alone."""
        self.conduct = Conduct(self.cast, luck)
        self.demand = Demand(self.cast, luck)
        self.live = Live(self.cast, luck)
        self.trade = Trade(self.cast, luck)

    def advance(self, days: int, moves: Sequence[Move] = (), watch: Watcher | None = None) -> list[Day]:
        """Run some days.

        Args:
            days: How many.
            moves: What is done besides what sellers and the platform do anyway.
            watch: Who writes the days down as they happen.

        Returns:
            What each day came to.
        """
        return [self._run(moves, watch) for _ in range(days)]

    def _run(self, moves: Sequence[Move], watch: Watcher | None) -> Day:
        state = self.state
        today = self.conduct.today(state, self.diary, moves)
        for incident in self.incidents:
            today = incident.strike(today, state, self.cast)
        products = len(self.cast.products.price)
        shown, bought = np.zeros(products), np.zeros(products)
        orders: list[dict[str, NDArray[Any]]] = []
        for start in range(0, self.preset.customers, self.preset.block):
            block = np.arange(start, min(start + self.preset.block, self.preset.customers))
            sessions = self.demand.sessions(today, state, block)
            slates = self.demand.slates(today, state, sessions)
            wants, chosen = self.demand.decided(today, state, sessions, slates)
            there = slates.product >= 0
            shown += np.bincount(slates.product[there], minlength=products)
            bought += np.bincount(slates.product[slates.paid], minlength=products)
            orders.append(_orders(sessions, slates, wants, chosen))
            if watch is not None:
                clicked = self.demand.clicks(today, sessions, slates, wants, chosen)
                watch.shown(today, Shown(sessions, slates, wants, clicked, chosen))
        rooms = self.live.rooms(today, state, self.diary, moves)
        viewers = self.live.viewers(today, state, rooms)
        orders.append(self.live.orders(today, rooms, viewers, state))
        together = {name: np.concatenate([part[name] for part in orders]) for name in orders[0]}
        lines = self.trade.lines(today, state, together)
        if watch is not None:
            watch.live(today, rooms, viewers, lines)
        profit = self.trade.profit(lines, state)
        self.trade.settle(lines, state, today)
        day = Day(today.day, lines, profit, IMPRESSION_COST * bought, shown, today.spent + rooms.spent)
        if watch is not None:
            watch.done(today, state, day)
        state.day += 1
        return day


def _orders(sessions: Sessions, slates: Slates, wants: Wants, chosen: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    """The sessions that chose something, one row each."""
    row = np.flatnonzero(chosen >= 0)
    slot = chosen[row]
    return {
        "customer": sessions.customer[row], "visit": sessions.visit[row], "second": sessions.second[row],
        "surface": sessions.surface[row], "video": slates.video[row, slot], "contract": slates.contract[row, slot],
        "paid_slot": slates.paid[row, slot], "live": np.full(len(row), -1), "product": slates.product[row, slot],
        "coupon": wants.coupon[row, slot],
    }  # fmt: skip


__all__ = ["PARTIES", "SLOTS", "Day", "Shown", "World"]
