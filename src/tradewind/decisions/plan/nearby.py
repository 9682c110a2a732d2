"""Nearby: a plan changed action by action, at what each change truly gains beside all that is chosen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tradewind.methods.allocate import Cap

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

WORK = 3_000_000  # settings that are looked at in all, at most
STEPS = 2_000  # changes, at most
PAIRED = 5_000  # choices times settings up to which one choice is also exchanged for another
TRIED = 6  # best changes of a step that are weighed exactly
SLACK = 1e-9  # share of a limit by which rounding may pass it


class Plain(NamedTuple):
    """A plan with what it is worth.

    Args:
        places: [n] setting of each action, −1 for none.
        worth: What it gains; −∞ where it breaks a rule in words.
    """

    places: Ints
    worth: float


class _Limit(NamedTuple):
    """What groups of actions may use at most, and must at least.

    Args:
        group: [n] group of each action, −1 for none.
        most: [G] caps.
        least: [G] floors.
        use: [n, L + 1] what each setting uses, and last nothing.
    """

    group: Ints
    most: Array
    least: Array
    use: Array

    def used(self, places: Ints) -> Array:
        """Return what each group uses, [G]."""
        some = np.flatnonzero((places >= 0) & (self.group >= 0))
        return np.bincount(self.group[some], self.use[some, places[some]], len(self.most)).astype(float)


class Nearby:
    """Changes a plan by one action, or one for another, while that gains, then from plans with one choice forced.

    Args:
        net: Returns [n, L] what each setting gains beside the others of a plan; −∞ where it must not be chosen.
        worth: Returns what a plan gains, −∞ where it breaks a rule in words.
        tolls: Returns [n, L] what each setting costs by interplay beside the others of a plan.
        owner: [n] whom each action is for: of all actions of one at most one is chosen.
        cost: [K, n, L] what settings draw from each budget.
        budgets: [K] the budgets.
        caps: Caps and floors.
    """

    def __init__(
        self, net: Callable[[Ints], Array], worth: Callable[[Ints], float], tolls: Callable[[Ints], Array],
        owner: Ints, cost: Array, budgets: Array, caps: Sequence[Cap],
    ):  # fmt: skip
        self._net, self._worth, self._tolls = net, worth, tolls
        self._owner = np.unique(owner, return_inverse=True)[1]
        self._width, self._size = cost.shape[2], cost[0].size
        whole = np.zeros(cost.shape[1], np.int64)
        money = [Cap(whole, limit, 0.0, draws) for limit, draws in zip(budgets.tolist(), cost, strict=True)]
        self._limits = [_limit(cap, self._width) for cap in (*money, *caps)]
        self._spare = min(STEPS, WORK // max(self._size, 1))

    def __call__(self, start: Plain) -> Plain:
        """Return the best plan that is found from one that keeps all limits."""
        best = self._climbed(start)
        again = True
        while again and self._spare > 0:
            again = False
            for number, place in self._forcible(best.places):
                if self._spare <= 0:
                    break
                if (forced := self._forced(best.places, number, place)) is None:
                    continue
                then = self._climbed(self._climbed(forced, number))
                if then.worth > best.worth + SLACK * abs(best.worth):
                    best, again = then, True
                    break
        return best

    def _climbed(self, at: Plain, kept: int = -1) -> Plain:
        """Return a plan changed while that gains; the actions of one owner may be kept as they are."""
        while self._spare > 0:
            self._spare -= 1
            then = self._better(at, at.places, kept)
            if then is None and np.count_nonzero(at.places >= 0) * self._size <= PAIRED:
                then = self._exchanged(at, kept)
            if then is None:
                break
            at = then
        return at

    def _exchanged(self, at: Plain, kept: int) -> Plain | None:
        """Return a plan that gains more with another choice instead of one, None where there is none."""
        for number in np.flatnonzero(at.places >= 0).tolist():
            if kept < 0 or self._owner[number] != self._owner[kept]:
                self._spare -= 1
                places = at.places.copy()
                places[number] = -1
                if (then := self._better(at, places, kept)) is not None:
                    return then
        return None

    def _better(self, at: Plain, places: Ints, kept: int) -> Plain | None:
        """Return a plan one change from these places that gains more than one at hand, None where there is none."""
        held, more = self._changes(places)
        if kept >= 0:
            more[self._owner == self._owner[kept]] = -np.inf
        flat = more.ravel()
        gaining = np.flatnonzero(flat > SLACK)
        for change in gaining[np.argsort(-flat[gaining], kind="stable")][:TRIED].tolist():
            then = self._with(places, held, *divmod(change, self._width + 1))
            if (worth := self._worth(then)) > at.worth + SLACK and not self._short(then):
                return Plain(then, worth)
        return None

    def _short(self, places: Ints) -> bool:
        """Whether a floor is not reached."""
        return any(bool((limit.used(places) < limit.least - SLACK).any()) for limit in self._limits)

    def _changes(self, places: Ints) -> tuple[Ints, Array]:
        """Return what each change would gain, [n, L + 1], the last being to leave an action out; −∞ where limits break.

        Also returned is which action each would take the place of, [n], −1 for none.
        """
        some, net = np.flatnonzero(places >= 0), self._net(places)
        by_owner = np.full(self._owner.max(initial=0) + 1, -1)
        by_owner[self._owner[some]] = some
        held = by_owner[self._owner]
        now = np.zeros(len(places) + 1)  # the last is of none
        now[some] = net[some, places[some]]
        more = np.hstack([net, np.full((len(places), 1), -np.inf)])
        more[some, -1] = 0.0
        more -= np.where(np.isfinite(now), now, 0.0)[held][:, None]
        more[some, places[some]] = -np.inf
        for limit in self._limits:
            more[~_kept(limit, places, held)] = -np.inf
        return held, more

    def _with(self, places: Ints, held: Ints, number: int, place: int) -> Ints:
        found = places.copy()
        if held[number] >= 0:
            found[held[number]] = -1
        found[number] = place if place < self._width else -1
        return found

    def _forcible(self, places: Ints) -> Iterator[tuple[int, int]]:
        """Yield choices to force, by action and setting, −1 to leave it out: first where most is at stake."""
        tolls, net = self._tolls(places), self._net(places)
        stakes = np.hstack([np.where(np.isfinite(net), tolls + 1e-9, 0.0), np.zeros((len(places), 1))])
        some = np.flatnonzero(places >= 0)
        stakes[some, -1] = stakes[some, places[some]]
        stakes[some, places[some]] = 0.0
        order = np.argsort(-stakes, axis=None, kind="stable")[: self._spare]
        for flat in order[stakes.ravel()[order] > 0].tolist():
            number, place = divmod(flat, self._width + 1)
            yield number, place if place < self._width else -1

    def _forced(self, places: Ints, number: int, place: int) -> Plain | None:
        """Return a plan with one choice forced, others left out until limits and rules are kept; None if in vain."""
        at = places.copy()
        at[self._owner == self._owner[number]] = -1
        at[number] = place
        for limit in self._limits:
            while len(over := np.flatnonzero(limit.used(at) > limit.most * (1 + SLACK) + SLACK)):
                some = np.flatnonzero((at >= 0) & (limit.group == over[0]) & (np.arange(len(at)) != number))
                some = some[limit.use[some, at[some]] > 0]
                if not len(some):
                    return None
                net = self._net(at)[some, at[some]]
                at[some[np.argmin(net / limit.use[some, at[some]])]] = -1
        while (worth := self._worth(at)) == -np.inf:
            tolls = self._tolls(at)
            some = np.flatnonzero((at >= 0) & (np.arange(len(at)) != number))
            some = some[tolls[some, at[some]] > 0]
            if not len(some):
                return None
            at[some[np.argmin((self._net(at) - tolls)[some, at[some]])]] = -1
        return None if self._short(at) else Plain(at, worth)


def _limit(cap: Cap, width: int) -> _Limit:
    group = np.asarray(cap.group, np.int64)
    groups = int(group.max(initial=-1)) + 1
    most, least = (np.broadcast_to(np.asarray(each, float), groups) for each in (cap.most, cap.least))
    use = np.zeros((len(group), width + 1))
    use[:, :width] = 1.0 if cap.weight is None else np.asarray(cap.weight, float)
    return _Limit(group, most, least, use)


def _kept(limit: _Limit, places: Ints, held: Ints) -> Flags:
    """Return which changes keep a limit, [n, L + 1]; a floor that is broken already may stay so, not fall further."""
    if not len(limit.most):
        return np.ones(limit.use.shape, bool)
    used = limit.used(places)
    floor = np.minimum(limit.least, used) - SLACK
    gone = np.where(held >= 0, limit.use[held, places[held]], 0.0)
    whose = np.where(held >= 0, limit.group[held], -1)
    own, same = limit.group, whose == limit.group
    after = (used[own] - np.where(same, gone, 0.0))[:, None] + limit.use
    fine = (after <= limit.most[own][:, None] * (1 + SLACK)) & (after >= floor[own][:, None])
    others = (whose < 0) | same | (used[whose] - gone >= floor[whose])
    return np.asarray(((own < 0)[:, None] | fine) & others[:, None])
