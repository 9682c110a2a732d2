"""Frontiers: the concave menu from cost to gain of one unit, and of a whole segment of them."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from numbers import Integral
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tradewind.errors import BadInputError
from tradewind.methods.allocate_menus import (
    LARGEST,
    Array,
    Block,
    Floats,
    Ints,
    TablesInMemory,
    compiled,
    cores,
    refuse,
    table,
)


class Steps(NamedTuple):
    """Steps up the concave menus of some units, each unit's in order.

    Args:
        unit: [s] whose step it is.
        setting: [s] the setting that it leads to.
        gain: [s] what it adds to the gain; positive.
        cost: [s] what it adds to the cost; 0 or more.
        worth: [s] gain / cost; falls from step to step of a unit.
    """

    unit: NDArray[np.int32]
    setting: NDArray[np.int16]
    gain: Floats
    cost: Floats
    worth: Floats


@compiled
def faulty(gain: Array, cost: Array) -> tuple[int, int]:
    """Return the first unit and setting whose gain or cost cannot be used; (−1, −1) where there is none."""
    for unit in range(gain.shape[0]):
        for setting in range(gain.shape[1]):
            value = gain[unit, setting]
            if value == -np.inf:
                continue
            if not -LARGEST < value < LARGEST:
                return unit, setting
            for payer in range(cost.shape[0]):
                if not 0 <= cost[payer, unit, setting] < LARGEST:
                    return unit, setting
    return -1, -1


def checked(block: Block) -> Block:
    """Return the block, or raise the error that one of its settings calls for."""
    unit, setting = faulty(block.gain, block.cost)
    if unit >= 0:
        refuse(block.first + unit, setting, float(block.gain[unit, setting]), block.cost[:, unit, setting])
    return block


@compiled
def climb(
    gain: Array, cost: Array, unit: NDArray[np.int32], setting: NDArray[np.int16], more: Floats, dearer: Floats,
    worth: Floats,
) -> int:  # fmt: skip
    """Write the steps up every unit's concave menu, from no offer on; return how many there are.

    Settings are taken by rising cost. One that gains no more than a cheaper one is passed over, and one that lies below
    the line between its neighbours is taken back (a monotone chain).
    """
    units, levels = gain.shape
    order = np.empty(levels, np.int64)
    end = 0
    for row in range(units):
        count = 0
        for level in range(levels):
            if gain[row, level] > 0:
                place = count
                while place > 0 and cost[row, order[place - 1]] > cost[row, level]:
                    order[place] = order[place - 1]
                    place -= 1
                order[place] = level
                count += 1
        start = end
        top_gain, top_cost = 0.0, 0.0
        for place in range(count):
            level = order[place]
            new_gain, new_cost = float(gain[row, level]), float(cost[row, level])
            if new_gain <= top_gain:
                continue
            while True:
                extra = new_cost - top_cost
                slope = (new_gain - top_gain) / extra if extra > 0 else np.inf
                if end == start or slope < worth[end - 1]:
                    break
                end -= 1
                top_gain, top_cost = 0.0, 0.0
                if end > start:
                    top_gain, top_cost = float(gain[row, setting[end - 1]]), float(cost[row, setting[end - 1]])
            unit[end], setting[end] = row, level
            more[end], dearer[end], worth[end] = new_gain - top_gain, new_cost - top_cost, slope
            top_gain, top_cost = new_gain, new_cost
            end += 1
    return end


def steps(gain: Array, cost: Array, first: int = 0) -> Steps:
    """Return the steps up the concave menus of units with gain and cost [m, L]; units are numbered from `first` on."""
    size = gain.size
    unit, setting = np.empty(size, np.int32), np.empty(size, np.int16)
    more, dearer, worth = np.empty(size), np.empty(size), np.empty(size)
    count = climb(gain, cost, unit, setting, more, dearer, worth)
    return Steps(unit[:count] + np.int32(first), setting[:count], more[:count], dearer[:count], worth[:count])


def joined(parts: list[Steps]) -> Steps:
    """Return the steps of several parts as one."""
    return Steps(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


@dataclass(frozen=True, eq=False)
class Frontier:
    """The concave menu of a segment: what it gains at most, for what it costs.

    Every point can be had: its units' settings are `choice(point)`. Between two points a part of the units is moved on.

    Args:
        cost: [P] total cost at each point, rising; the first is where nothing is spent.
        gain: [P] total gain at each point.
        worth: [P] gain of the last unit of money spent on the way to the point; falls; infinite at the first.
        units: Number of units in the segment.
        unit: [S] units that are moved on, the step of most gain for its cost first.
        setting: [S] the setting that each is moved to.
        ends: [P] how many of those steps each point takes.
    """

    cost: Floats
    gain: Floats
    worth: Floats
    units: int
    unit: NDArray[np.int32]
    setting: NDArray[np.int16]
    ends: Ints

    def choice(self, point: int) -> NDArray[np.int16]:
        """Return the setting of every unit at a point, [units]; −1 for no offer.

        Raises:
            BadInputError: If there is no such point.
        """
        if not isinstance(point, Integral) or not 0 <= point < len(self.ends):
            raise BadInputError("There is no such point", got=point, allowed=f"0 to {len(self.ends) - 1}")
        chosen = np.full(self.units, -1, np.int16)
        end = self.ends[point]
        chosen[self.unit[:end]] = self.setting[:end]  # a unit's later step takes the place of its earlier one
        return chosen

    def totals(self, values: ArrayLike) -> Floats:
        """Return the sum of other values over the settings of every point.

        Args:
            values: [units, L] such as the low ends of the gains, or what one of several payers pays.

        Returns:
            [P] their sum at each point.

        Raises:
            BadInputError: If the values are not of these units, or one that is summed is not finite.
        """
        numbers = table(values, "The values")
        if numbers.ndim != 2 or len(numbers) != self.units or numbers.shape[1] <= self.setting.max(initial=0):
            raise BadInputError("The values do not fit", got=numbers.shape, allowed=f"[{self.units}, settings]")
        added = numbers[self.unit, self.setting].astype(float)
        if not (np.abs(added) < LARGEST).all():
            raise BadInputError(
                "A value of a setting that is chosen is missing or too large", allowed=f"below {LARGEST:g} in size"
            )
        order = np.argsort(self.unit, kind="stable")  # a unit's own steps stay in their order
        follows = order[1:][self.unit[order[1:]] == self.unit[order[:-1]]]
        before = order[:-1][self.unit[order[1:]] == self.unit[order[:-1]]]
        left = np.zeros(len(added))
        left[follows] = added[before]
        return np.append(0.0, np.cumsum(added - left))[self.ends]


def _spread(cost: Floats, gain: Floats, points: int) -> Ints:
    """Return which corners of a concave line to keep: always next the one that lies farthest above the lines so far.

    Reference:
        Douglas and Peucker (1973), Algorithms for the reduction of the number of points required to represent a
        digitized line or its caricature, Cartographica 10 (2).
    """

    def farthest(first: int, last: int) -> tuple[float, int, int, int]:
        if last - first < 2 or not cost[last] > cost[first]:
            return 0.0, first, first, last
        slope = (gain[last] - gain[first]) / (cost[last] - cost[first])
        above = gain[first + 1 : last] - gain[first] - slope * (cost[first + 1 : last] - cost[first])
        most = int(np.argmax(above))
        return -float(above[most]), first + 1 + most, first, last

    kept = [0, len(cost) - 1]
    open_ = [farthest(*kept)]
    while len(kept) < points and open_[0][0] < 0:
        _, corner, first, last = heapq.heappop(open_)
        kept.append(corner)
        for part in ((first, corner), (corner, last)):
            heapq.heappush(open_, farthest(*part))
    return np.sort(np.array(kept, np.int64))


def frontier(gain: ArrayLike, cost: ArrayLike, points: int = 100) -> Frontier:
    """Return what a segment gains at most for every total cost, as a concave menu of few points.

    The steps up all units' concave menus are taken by falling gain for their cost, which is the exact solution of the
    linear relaxation for every budget at once. Of its corners as many are kept as are asked for, those
    that leave least between them; a choice of corners of a concave line is concave.

    Args:
        gain: [n, L] what each setting of each unit gains; −∞ where it is not on offer.
        cost: [n, L] what it costs, in money.
        points: Most points to keep, the first and the last among them.

    Returns:
        The menu, with the units' settings at every point.

    Raises:
        BadInputError: If the arrays do not fit together, a gain or cost cannot be used, or points are fewer than two.

    Reference:
        Sinha and Zoltners (1979), The multiple-choice knapsack problem, Operations Research 27 (3), section 2.

    Examples:
        >>> menu = frontier([[3.0, 5.0], [4.0, 4.5]], [[1.0, 3.0], [1.0, 3.0]])
        >>> menu.cost.tolist(), menu.gain.tolist()
        ([0.0, 1.0, 2.0, 4.0, 6.0], [0.0, 4.0, 7.0, 9.0, 9.5])
        >>> menu.choice(3).tolist()
        [1, 0]
    """
    if not isinstance(points, Integral) or points < 2:
        raise BadInputError("A menu has two points at least", got=points, allowed="a whole number")
    menus = TablesInMemory(gain, cost, 1, cores())
    found = joined(
        list(menus.map(lambda block: steps(checked(block).gain, block.cost[0], block.first)))
        or [steps(np.empty((0, 1)), np.empty((0, 1)))]
    )
    order = np.argsort(-found.worth, kind="stable")
    costs = np.append(0.0, np.cumsum(found.cost[order]))
    gains = np.append(0.0, np.cumsum(found.gain[order]))
    # Only corners: steps of one worth lie on one line, and those that cost nothing belong to the first point.
    falling = found.worth[order]
    corner = np.append(falling[1:] < falling[:-1], np.ones(min(1, len(order)), bool))
    corners = np.append(0, 1 + np.flatnonzero(corner))
    if len(corners) > 1 and costs[corners[1]] == 0:
        corners = corners[1:]
    if len(corners) > points:
        corners = corners[_spread(costs[corners], gains[corners], points)]
    worth = np.append(np.inf, falling)[corners]
    worth[0] = np.inf
    return Frontier(
        costs[corners], gains[corners], worth, menus.units, found.unit[order], found.setting[order], corners
    )
