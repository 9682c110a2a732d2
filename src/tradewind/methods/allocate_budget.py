"""One budget over any number of units: the linear bound exactly, and whole choices that come near it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tradewind.errors import BadInputError
from tradewind.methods.allocate_frontier import Steps, checked, faulty, joined, steps
from tradewind.methods.allocate_menus import LARGEST, Array, Block, Floats, Ints, Menus, compiled, refuse

SLACK = 1e-12
"""Share of a budget by which rounding may overdraw it: 0.1 + 0.2 fits into 0.3."""

SMALL = 50_000
"""Units from which on a sample is asked first where the worth of the budget lies."""

SURE = 5.0
"""Standard errors of the sample on either side of the budget."""

BINS = 1024

NEAR = 1e-9
"""Relative width by which a bracket is widened, since slopes and reduced gains round differently."""

WIDE = 1e-3
"""The same for a bracket that was counted: it is so narrow that few steps would be left to fill the budget with."""

INFINITE = 1e300
OPEN = -2


class Filled(NamedTuple):
    """One budget, given out.

    Args:
        choice: [n] setting of each unit; −1 for no offer.
        value: Total gain.
        bound: What no choice can exceed.
        spent: Total cost.
        worth: What one more unit of the budget would gain.
        open: Units whose steps had to be kept in memory.
    """

    choice: NDArray[np.int16]
    value: float
    bound: float
    spent: float
    worth: float
    open: int


@compiled
def _both(gain: Array, cost: Array, low: float, high: float, choice: NDArray[np.int16], totals: Floats) -> bool:
    """Write each unit's best setting where money is worth `low` and `high` alike, `OPEN` where they differ.

    `totals` gets gain and cost of those settled, and the cost of all at `low` and at `high`. Returns whether all gains
    and costs can be used. Written without branches: which setting is best cannot be foretold by the processor.
    """
    usable = True
    for unit in range(gain.shape[0]):
        best_low, best_high = 0.0, 0.0
        at_low, at_high = -1, -1
        cost_low, cost_high, gain_low = 0.0, 0.0, 0.0
        for setting in range(gain.shape[1]):
            value, price = float(gain[unit, setting]), float(cost[unit, setting])
            usable &= (value == -np.inf) | ((abs(value) < LARGEST) & (price >= 0) & (price < LARGEST))
            reduced = value - low * price
            better = reduced > best_low
            best_low = reduced if better else best_low
            at_low = setting if better else at_low
            cost_low = price if better else cost_low
            gain_low = value if better else gain_low
            reduced = value - high * price
            better = reduced > best_high
            best_high = reduced if better else best_high
            at_high = setting if better else at_high
            cost_high = price if better else cost_high
        settled = at_low == at_high
        choice[unit] = at_low if settled else OPEN
        totals[0] += gain_low if settled else 0.0
        totals[1] += cost_low if settled else 0.0
        totals[2] += cost_low
        totals[3] += cost_high
    return usable


@compiled
def _fill(found: Steps, whose: Ints, order: Ints, left: float, choice: NDArray[np.int16]) -> tuple[float, float]:
    """Take, in the order given, the steps that still fit; return what they gain and cost.

    A unit that missed a step may take it together with a later one. `whose` counts the units of the steps from 0 on.
    """
    if len(order) == 0:
        return 0.0, 0.0
    missed_gain, missed_cost = np.zeros(whose[-1] + 1), np.zeros(whose[-1] + 1)
    gained, spent = 0.0, 0.0
    for place in order:
        who = whose[place]
        more, extra = missed_gain[who] + found.gain[place], missed_cost[who] + found.cost[place]
        if spent + extra <= left:
            choice[found.unit[place]] = found.setting[place]
            gained += more
            spent += extra
            missed_gain[who] = missed_cost[who] = 0.0
        else:
            missed_gain[who], missed_cost[who] = more, extra
    return gained, spent


class _Open(NamedTuple):
    """What one block came to: totals [4] (see `_both`), the open steps, and how many units they are of."""

    totals: Floats
    steps: Steps
    units: int


class OneBudget:
    """Gives one budget out to units that have a menu each.

    Where money is worth λ, every unit takes the setting of most gain − λ cost. A sample says between which two worths
    the budget's own must lie. One pass settles every unit whose choice is the same at both; the steps up the concave
    menus of the others, by falling worth, are the exact solution of the linear program. Only one unit is cut by it;
    what is left is given to the steps that still fit.

    Args:
        menus: Gains and costs.
        seed: Seed of the sample.

    Reference:
        Sinha and Zoltners (1979), Operations Research 27 (3): the relaxation and its dominance; Pisinger (1995), A
        minimal algorithm for the multiple-choice knapsack problem: only units near the budget's worth need a sort.
    """

    def __init__(self, menus: Menus, seed: int):
        self.menus = menus
        self.seed = seed

    def __call__(self, budget: float) -> Filled:
        """Return how to give the budget out.

        Raises:
            BadInputError: If a gain or cost cannot be used.
        """
        for narrow in (self._sampled, self._counted):
            if self.menus.units > SMALL and (filled := self._between(budget, *narrow(budget))):
                return filled
        filled = self._between(budget, 0.0, np.inf)
        if filled is None:
            raise BadInputError(
                "The costs that the budget cannot pay are too small beside their gains",
                allowed=f"a gain of at most {INFINITE:g} times its cost, or a cost of 0",
            )
        return filled

    def _sampled(self, budget: float) -> tuple[float, float]:
        """Say between which worths the budget's own should lie, judged by a sample."""
        units = self.menus.units
        count = min(units // 2, max(SMALL // 2, int(4 * units ** (2 / 3))))
        chosen = np.sort(np.random.default_rng(self.seed).choice(units, count, replace=False, shuffle=False))
        gain, cost = self.menus.rows(chosen)
        if (fault := faulty(gain, cost)) != (-1, -1):
            refuse(int(chosen[fault[0]]), fault[1], float(gain[fault]), cost[:, fault[0], fault[1]])
        found = steps(gain, cost[0])
        order = np.argsort(-found.worth)
        worth, spent = found.worth[order], np.cumsum(found.cost[order]) * (units / count)
        taken = order[: int(np.searchsorted(spent, budget)) + 1]
        by_unit = np.bincount(found.unit[taken], weights=found.cost[taken], minlength=count)
        margin = SURE * units * float(by_unit.std()) / np.sqrt(count)
        first = int(np.searchsorted(spent, budget - margin)) - 1
        last = int(np.searchsorted(spent, budget + margin)) + 1
        return (float(worth[last]) if last < len(worth) else 0.0), (float(worth[first]) if first >= 0 else np.inf)

    def _counted(self, budget: float) -> tuple[float, float]:
        """Say between which worths the budget's own must lie, judged by all units: counted in ever finer bins."""

        def ends(block: Block) -> tuple[float, float]:
            worth = steps(checked(block).gain, block.cost[0]).worth
            worth = worth[np.isfinite(worth)]
            return float(worth.min(initial=np.inf)), float(worth.max(initial=0.0))

        def spent(block: Block) -> Floats:
            found = steps(block.gain, block.cost[0])
            bins = np.searchsorted(edges, found.worth)
            counted: Floats = np.bincount(bins, weights=found.cost, minlength=len(edges) + 1).astype(float)
            return counted

        least, most = np.array(list(self.menus.map(ends))).T
        low, high = float(least.min()) * (1 - NEAR), float(most.max()) * (1 + NEAR)
        if not 0 < low < high:
            return 0.0, np.inf
        edges = np.geomspace(low, high, BINS)
        for _ in range(2):
            by_bin = np.sum(list(self.menus.map(spent)), axis=0)
            above = np.cumsum(by_bin[::-1])[::-1][1:]  # of each edge: the cost of all steps that are worth more
            place = int(np.argmax(above <= budget))
            low, high = (float(edges[place - 1]) if place else 0.0), float(edges[place])
            edges = np.linspace(low, high, BINS)
        return low * (1 - WIDE), high * (1 + WIDE)

    def _between(self, budget: float, low: float, high: float) -> Filled | None:
        """Give the budget out where its worth lies between two others; None where it does not."""
        choice = np.empty(self.menus.units, np.int16)
        parts = list(self.menus.map(lambda block: _settle(block, low, min(high, INFINITE), choice)))
        gained, used, cost_low, cost_high = np.sum([part.totals for part in parts], axis=0).tolist()
        limit = budget * (1 + SLACK)
        if cost_high > limit or (low > 0 and cost_low < budget):
            return None
        found = joined([part.steps for part in parts])
        order = np.argsort(-found.worth, kind="stable")
        spent = used + np.cumsum(found.cost[order])
        cut = int(np.searchsorted(spent, limit, side="right"))
        if cut == len(order) and low > 0:  # cheaper steps would still fit
            return None
        choice[found.unit[order[:cut]]] = found.setting[order[:cut]]  # a unit's later step replaces its earlier one
        value = gained + float(found.gain[order[:cut]].sum())
        used = float(spent[cut - 1]) if cut else used
        worth = float(found.worth[order[cut]]) if cut < len(order) else 0.0
        bound = value + worth * max(0.0, budget - used) if worth else value
        new = np.append(np.zeros(min(1, len(order)), np.int64), np.diff(found.unit) > 0)
        whose = np.cumsum(new, dtype=np.int64)
        more, extra = _fill(found, whose, order[cut:], limit - used, choice)
        return Filled(choice, value + more, max(bound, value + more), used + extra, worth, sum(p.units for p in parts))


def _settle(block: Block, low: float, high: float, choice: NDArray[np.int16]) -> _Open:
    """Write the choice of a block's units as far as it is settled, and return the steps that are open."""
    mine = choice[block.units]
    totals = np.zeros(4)
    if not _both(block.gain, block.cost[0], low, high, mine, totals):
        checked(block)
    rows = np.flatnonzero(mine == OPEN)
    mine[rows] = -1
    found = steps(block.gain[rows], block.cost[0, rows])
    sure = found.worth > high * (1 + NEAR)
    mine[rows[found.unit[sure]]] = found.setting[sure]
    totals[:2] += found.gain[sure].sum(), found.cost[sure].sum()
    open_ = (found.worth >= low * (1 - NEAR)) & ~sure
    unit_numbers = (block.first + rows[found.unit[open_]]).astype(np.int32)
    kept = Steps(unit_numbers, found.setting[open_], found.gain[open_], found.cost[open_], found.worth[open_])
    return _Open(totals, kept, len(rows))
