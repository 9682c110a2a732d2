"""Search: the settings that gain most under budgets and rules, what choices take from each other taken off."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tradewind.decisions.plan.interplay import Interplay
from tradewind.decisions.plan.nearby import Nearby, Plain
from tradewind.decisions.plan.table import Table
from tradewind.errors import BadInputError
from tradewind.methods.allocate import Allocate, Allocation, Rules
from tradewind.study import Party, Rule

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

NEAR = 1e-3  # gap that is near enough: a gain is known to a tenth at best
ROUNDS = 4  # times that interplay is taken into account anew, at most; and as often at its margin


class _Tried(NamedTuple):
    """A plan that was tried.

    Args:
        value: What it gains in its objective, interplay taken off; −∞ where it breaks a rule.
        found: What the allocation says of it.
        places: [n] setting of each action, −1 for none.
        lost: [n] what each loses by the others.
    """

    value: float
    found: Allocation
    places: Ints
    lost: Array


class Search:
    """Searches for the plan that gains most.

    Args:
        table: Actions as arrays.
        meeting: What choices take from each other.
        budgets: What each payer may spend.
        rules: Limits beside the budgets.
        least: Gain that makes an action worth doing.
        bears: 1 where those whose gain is sought bear what choices take from each other, else 0.
        seed: Seed of the allocation.

    Raises:
        BadInputError: If a rule is about nothing, or asks for more than can be done.
    """

    def __init__(
        self, table: Table, meeting: Interplay, budgets: Mapping[Party, float], rules: Sequence[Rule], least: float,
        bears: float, seed: int,
    ):  # fmt: skip
        self.table, self.meeting, self.rules, self.least, self.bears = table, meeting, rules, least, bears
        self.money = table.limits(budgets)
        self.caps = table.caps(rules, sum(budgets.values()))
        self.floored = table.floored(self.caps)[:, None]
        # What a floor asks for may gain less, but is worse than nothing: no more of it is picked than the floor needs.
        self.needed = np.where(self.floored, -np.inf, least)
        self.allocate = Allocate(tolerance=NEAR, seed=seed)

    def __call__(self) -> tuple[Ints, Array, Allocation]:
        """Return the setting of each action, −1 for none; what each loses by the others; and what limits are worth.

        Raises:
            BadInputError: If the rules cannot all be kept.
        """
        whole, best, losses = self._settled()
        if losses.sum() > NEAR * abs(best.value):
            best = self._changed(self._charged(best) if self.bears else best)
        if best.found is not whole or best.lost.any():
            # Interplay only lowers gains: what bounds them without it bounds them with it, whatever is chosen.
            bound = whole.value if whole.exact else whole.bound
            best = best._replace(found=replace(best.found, value=best.value, bound=bound, exact=False))
        return best.places, best.lost, best.found

    def _settled(self) -> tuple[Allocation, _Tried, Array]:
        """Pick anew, less what each choice lost so far, until nothing changes.

        Returns:
            What is found without interplay; the best plan; and what each action lost at most, [n].
        """
        losses, turn = np.zeros(len(self.table.actions)), 1
        now = best = first = self._tried(self.table.gain, losses)
        while True:
            settled = now.value > -math.inf and np.array_equal(now.lost, np.where(now.places >= 0, losses, 0))
            losses = np.maximum(losses, now.lost)
            if settled or (turn >= ROUNDS and best.value > -math.inf):
                break
            turn += 1
            try:
                now = self._tried(self.table.gain - self.bears * losses[:, None], losses)
            except BadInputError:
                if best.value == -math.inf:
                    raise
                break
            if now.value > best.value + 1e-9:
                best = now
        return first.found, best, losses

    def _charged(self, best: _Tried) -> _Tried:
        """Pick anew with every setting charged what it costs beside what is chosen, while that gains.

        What two actions take from each other is lost once, whoever is charged: so it is tried from the plan at hand,
        from one without lower prices, and from one of prices alone.
        """
        prices = self.meeting.prices[:, None]
        starts, near = [best], NEAR * abs(best.value)
        for without in (prices, ~prices):
            with suppress(BadInputError):  # a floor of the rules is of what is left out
                starts.append(self._tried(np.where(without, -np.inf, self.table.gain), best.lost))
        best = max(starts, key=lambda start: start.value)
        for start in starts:
            at, reached = start.places, -math.inf
            for _ in range(ROUNDS):
                try:
                    then = self._tried(self.table.gain - self.meeting.tolls(at), best.lost)
                except BadInputError:  # no plan keeps the rules at these charges: the one at hand does
                    break
                if then.value <= reached + near:
                    break
                at, reached = then.places, then.value
                if then.value > best.value:
                    best = then
        return best

    def _changed(self, best: _Tried) -> _Tried:
        """Return a plan changed action by action while that gains; limits are worth what they were."""
        near = Nearby(
            self._beside, lambda places: self._weighed(places)[0], self.meeting.tolls, self.table.owner,
            self.table.cost, self.money, self.caps,
        )  # fmt: skip
        places = near(Plain(best.places, best.value)).places
        if np.array_equal(places, best.places):
            return best
        some = np.flatnonzero(places >= 0)
        spent = self.table.cost[:, some, places[some]].sum(axis=1)
        value, lost = self._weighed(places)
        return _Tried(value, replace(best.found, choice=places.astype(np.int16), spent=spent), places, lost)

    def _tried(self, net: Array, losses: Array) -> _Tried:
        """Pick for these gains, [n, L], of what the rules leave at these losses, [n]."""
        gain = np.where(self.table.allowed(self.rules, losses) & (net >= self.needed), self._aimed(net), -np.inf)
        limits = Rules(self.table.owner, self.caps)
        some = len(self.table.actions)
        found = self.allocate(gain, self.table.cost, self.money, limits) if some else _nothing(len(self.money))
        places = found.choice.astype(np.int64)
        value, lost = self._weighed(places)
        return _Tried(value, found, places, lost)

    def _weighed(self, places: Ints) -> tuple[float, Array]:
        """Return what a plan gains, −∞ where it breaks a rule in words, and what each choice loses by the others.

        What a choice loses by the others may break a rule that it keeps alone.
        """
        some, lost = np.flatnonzero(places >= 0), self.meeting.losses(places)
        net = self.table.gain - self.bears * lost[:, None]
        fine = self.table.allowed(self.rules, lost) & (net >= self.needed)
        kept = bool(fine[some, places[some]].all())
        return float(self._aimed(net)[some, places[some]].sum()) if kept else -math.inf, lost

    def _beside(self, places: Ints) -> Array:
        """Return what each setting gains beside the others of a plan, [n, L]; −∞ where it must not be chosen."""
        tolls = self.meeting.tolls(places)
        net = self.table.gain - self.bears * tolls
        own = np.where(self.meeting.prices[:, None], 0.0, tolls)
        return np.where(self.table.allowed(self.rules, own) & (net >= self.needed), self._aimed(net), -np.inf)

    def _aimed(self, net: Array) -> Array:
        """Return gains as they are sought: a floor takes no more of what is not worth the trouble than it must."""
        return np.asarray(net - np.where(self.floored & (net < self.least), self.least, 0.0))


def _nothing(payers: int) -> Allocation:
    return Allocation(np.zeros(0, np.int16), 0.0, 0.0, np.zeros(payers), np.zeros(payers))
