"""Programs: menus under several budgets and rules, and the loops that say what customers do at given prices."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tradewind.errors import BadInputError
from tradewind.methods.allocate_menus import (
    Array,
    Block,
    Floats,
    Ints,
    Menus,
    TablesInMemory,
    compiled,
    inlined,
)

OFFERS = -1
"""Kind of a rule that counts offers; 0 and more counts what that payer spends, −2 and less weights of its own."""

SHARP = 0.98
"""A customer whose best setting has this probability or more is decided."""

COLD = -34.0
"""Odds in logarithms below which a setting is not counted."""

NOWHERE = -(1 << 62)

MOST_UNITS = 1 << 40
SEEDS = 1 << 20


class Piece(NamedTuple):
    """What the loops read of one block.

    Args:
        gain: [m, L] gains.
        cost: [K, m, L] costs.
        own: [W, m, L] weights that rules brought themselves.
        kind: [Q] what each rule counts, see `OFFERS`.
        row: [Q, m] the row of the program that each unit counts towards under each rule; −1 for none.
        ends: [c + 1] where each customer's units start, and where the last one's end.
        number: [m] what each unit's luck is drawn from.
        sway: How far luck may move a profit, see `Program`.
    """

    gain: Array
    cost: Array
    own: Floats
    kind: Ints
    row: NDArray[np.int32]
    ends: Ints
    number: Ints
    sway: float


@dataclass(frozen=True, eq=False)
class Program:
    """Menus under budgets and rules: R rows, of which the budgets are the first K.

    Customers whose menus are alike, as the gains of a segment are, all turn at the same price: no price gives the
    setting that they tie for to as many of them as there is room for. So each unit has some luck that makes it a little
    more ready than others to take its settings: its gains count for up to a share `sway` more in the search for prices,
    its costs for as much less. Luck only ever adds to profits, so that what bounds them bounds the true ones.
    It is the same for all settings of a unit, so that no setting passes another that gains and costs no less.

    Args:
        menus: Gains and costs of n units.
        upper: [R] most that each row may use; infinite where there is no limit.
        lower: [R] least that each must use; −∞ where there is none.
        kind: [Q] what each rule counts, see `OFFERS`.
        row: [Q, n] the row that each unit counts towards under each rule; −1 for none.
        own: Weights that rules brought themselves, [n, L] each.
        spans: [Q + 1] first row of each rule, and where the last one's rows end.
        starts: First unit of each customer; None where every unit is a customer.
        sway: Share of gains and costs by which luck breaks ties; 0 for none.
        number: [n] what each unit's luck is drawn from; None for its place.
        seed: Seed of all luck.
    """

    menus: Menus
    upper: Floats
    lower: Floats
    kind: Ints
    row: NDArray[np.int32]
    own: tuple[Array, ...]
    spans: Ints
    starts: Ints | None
    sway: float = 0.0
    number: Ints | None = None
    seed: int = 0

    @property
    def customers(self) -> int:
        """Number of customers: of units of which at most one is chosen."""
        return self.menus.units if self.starts is None else len(self.starts)

    def piece(self, block: Block) -> tuple[Piece, slice]:
        """Return what the loops read of a block, and which customers those are."""
        units = block.units
        if self.starts is None:
            ends, customers = np.arange(len(block.gain) + 1), units
        else:
            first, last = np.searchsorted(self.starts, (units.start, units.stop))
            customers = slice(int(first), int(last))
            ends = np.append(self.starts[first:last], units.stop) - units.start
        own = np.zeros((len(self.own), *block.gain.shape))
        for place, weights in enumerate(self.own):
            if weights.shape[1] not in {1, block.gain.shape[1]}:
                raise BadInputError("A rule has a weight for each setting of other menus", got=weights.shape[1])
            own[place] = weights[units]
        gain, cost = (np.require(values, np.float64, ("C", "W")) for values in (block.gain, block.cost))
        row = np.ascontiguousarray(self.row[:, units])
        return Piece(gain, cost, own, self.kind, row, ends, self.numbers(units), self.sway), customers

    def numbers(self, units: slice | Ints) -> Ints:
        """Return what the luck of some units is drawn from."""
        if self.number is not None:
            return self.number[units]
        places = np.arange(units.start, units.stop) if isinstance(units, slice) else units
        return places + (self.seed % SEEDS) * MOST_UNITS

    def units_of(self, customers: Ints) -> Ints:
        """Return the units of some customers, whose numbers rise."""
        if self.starts is None:
            return customers
        sizes = np.diff(np.append(self.starts, self.menus.units))[customers]
        before = np.cumsum(sizes) - sizes
        return np.repeat(self.starts[customers] - before, sizes) + np.arange(sizes.sum())

    def part(self, customers: Ints) -> Program:
        """Return the program of some customers alone, whose numbers rise, under the same limits."""
        units = self.units_of(customers)
        starts = None
        if self.starts is not None:
            sizes = np.diff(np.append(self.starts, self.menus.units))[customers]
            starts = np.cumsum(sizes) - sizes
        menus = TablesInMemory(*self.menus.rows(units), self.menus.payers, self.menus.threads, starts)
        own = tuple(weights[units] for weights in self.own)
        return replace(self, menus=menus, row=self.row[:, units], own=own, starts=starts, number=self.numbers(units))


@inlined
def _luck(number: int, draw: int) -> float:
    """Return a number from 0 to below 1 that looks as if drawn by chance: the finalizer of SplitMix64."""
    mixed = (np.uint64(number) * np.uint64(64) + np.uint64(draw) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return float((mixed ^ (mixed >> np.uint64(31))) >> np.uint64(11)) * 2.0**-53


@compiled
def profits(piece: Piece, price: Floats, sway: float) -> Floats:
    """Return what every setting gains after all that it uses is paid for, [m, L]; −∞ where it is not on offer.

    With a sway above 0, each unit's luck is added (see `Program`).
    """
    gain, cost, own, kind, row = piece.gain, piece.cost, piece.own, piece.kind, piece.row
    units, levels = gain.shape
    left = np.empty((units, levels))
    for unit in range(units):
        fixed = 0.0
        for rule in range(len(kind)):
            if kind[rule] == OFFERS and row[rule, unit] >= 0:
                fixed += price[row[rule, unit]]
        more = sway * _luck(piece.number[unit], 0) if sway > 0 else 0.0
        for level in range(levels):
            left[unit, level] = gain[unit, level] + more * abs(gain[unit, level]) - fixed
        for payer in range(cost.shape[0]):
            paid = price[payer]
            for rule in range(len(kind)):
                if kind[rule] == payer and row[rule, unit] >= 0:
                    paid += price[row[rule, unit]]
            if paid != 0:
                paid -= abs(paid) * sway * _luck(piece.number[unit], 1 + payer) if sway > 0 else 0.0
                for level in range(levels):
                    left[unit, level] -= paid * cost[payer, unit, level]
        for rule in range(len(kind)):
            if kind[rule] < OFFERS and row[rule, unit] >= 0:
                paid = price[row[rule, unit]]
                for level in range(levels):
                    left[unit, level] -= paid * own[-2 - kind[rule], unit, level]
        for level in range(levels):
            if gain[unit, level] == -np.inf:
                left[unit, level] = -np.inf
    return left


@inlined
def uses(piece: Piece, unit: int, level: int, entry: Floats) -> None:
    """Write what a setting uses: of every budget, then under every rule; 0 where a rule does not count the unit."""
    cost, own, kind, row = piece.cost, piece.own, piece.kind, piece.row
    payers = cost.shape[0]
    for payer in range(payers):
        entry[payer] = cost[payer, unit, level]
    for rule in range(len(kind)):
        if row[rule, unit] < 0:
            entry[payers + rule] = 0.0
        elif kind[rule] == OFFERS:
            entry[payers + rule] = 1.0
        elif kind[rule] >= 0:
            entry[payers + rule] = cost[kind[rule], unit, level]
        else:
            entry[payers + rule] = own[-2 - kind[rule], unit, level]


@inlined
def rows_of(piece: Piece, unit: int, where: Ints) -> None:
    """Write the row that stands behind every number of `uses`; −1 for none."""
    payers = piece.cost.shape[0]
    for column in range(len(where)):
        where[column] = column if column < payers else piece.row[column - payers, unit]


@compiled
def respond(
    piece: Piece, price: Floats, unit: NDArray[np.int32], setting: NDArray[np.int16], rival: NDArray[np.int32],
    lead: Floats, used: Floats,
) -> tuple[float, float, float]:  # fmt: skip
    """Write what each customer does at these prices; return the sums of profits, of profits with luck, and of gains.

    Customers take the unit and setting of most profit, or nothing (−1). `rival` is the unit of the second best (−1
    where that is nothing), `lead` by how much the best leads.
    """
    plain = profits(piece, price, 0.0)
    left = profits(piece, price, piece.sway) if piece.sway > 0 else plain
    gain, ends = piece.gain, piece.ends
    columns = piece.cost.shape[0] + piece.kind.shape[0]
    entry, where = np.empty(columns), np.empty(columns, np.int64)
    paid, lucky, gained = 0.0, 0.0, 0.0
    for customer in range(len(ends) - 1):
        best, second, most = 0.0, -np.inf, 0.0
        best_unit, best_setting, second_unit = -1, -1, -1
        for place in range(ends[customer], ends[customer + 1]):
            for level in range(gain.shape[1]):
                value = left[place, level]
                most = max(most, plain[place, level])
                if value > best:
                    second, second_unit = best, best_unit
                    best, best_unit, best_setting = value, place, level
                elif value > second:
                    second, second_unit = value, place
        paid += most
        lucky += best
        unit[customer], setting[customer], rival[customer] = best_unit, best_setting, second_unit
        lead[customer] = best - second
        if best_unit >= 0:
            gained += gain[best_unit, best_setting]
            uses(piece, best_unit, best_setting, entry)
            rows_of(piece, best_unit, where)
            for column in range(columns):
                if where[column] >= 0:
                    used[where[column]] += entry[column]
    return paid, lucky, gained


@inlined
def _bend(code: int, other: int, amount: float, square: Floats, cross: Floats, own: Floats) -> None:
    """Add to the second derivative between two rows, where it is kept (see `soften`); a row with itself by halves."""
    if code >= 0:
        if other >= 0:
            square[code, other] += amount
        else:
            cross[-1 - other, code] += amount
    elif other >= 0:
        cross[-1 - code, other] += amount
    elif other == code:
        own[-1 - code] += 2 * amount


@compiled
def _odds(left: Floats, start: int, end: int, heat: float, likely: Ints) -> tuple[float, float, float, int]:
    """Turn profits of a customer's units into odds against the best; `likely` gets the units that have any.

    Returns the best profit, the sum of all odds, the largest of them, and the number of likely units.
    """
    best = 0.0
    for unit in range(start, end):
        for level in range(left.shape[1]):
            best = max(best, left[unit, level])
    largest = np.exp(-best / heat)
    total = largest
    count = 0
    for unit in range(start, end):
        mass = 0.0
        for level in range(left.shape[1]):
            cold = (left[unit, level] - best) / heat
            odds = np.exp(cold) if cold > COLD else 0.0
            left[unit, level] = odds
            largest = max(largest, odds)
            mass += odds
        total += mass
        if mass > 0:
            likely[count] = unit
            count += 1
    return best, total, largest, count


@compiled
def _decided(piece: Piece, chance: Floats, total: float, likely: Ints, entry: Floats, used: Floats) -> None:
    """Add what a customer is expected to use, whose choice is as good as sure."""
    payers = piece.cost.shape[0]
    for unit in likely:
        for level in range(chance.shape[1]):
            if chance[unit, level] > 0:
                uses(piece, unit, level, entry)
                for column in range(len(entry)):
                    row = column if column < payers else piece.row[column - payers, unit]
                    if row >= 0:
                        used[row] += chance[unit, level] / total * entry[column]


@compiled
def _moments(
    piece: Piece, chance: Floats, total: float, unit: int, size: int, entry: Floats, mean: Floats, second: Floats
) -> None:
    """Add up what a unit is expected to use of the budgets and, from `size` on, under the rules, and its squares."""
    payers = piece.cost.shape[0]
    second[payers:] = 0.0
    mean[size : size + len(entry) - payers] = 0.0
    for level in range(chance.shape[1]):
        if chance[unit, level] > 0:
            uses(piece, unit, level, entry)
            for column in range(len(entry)):
                share = chance[unit, level] / total * entry[column]
                mean[column if column < payers else size + column - payers] += share
                for other in range(column + 1):
                    second[column, other] += share * entry[other]


@compiled
def _curvature(
    rows: Ints, mean: Floats, budget_squares: Floats, heat: float, square: Floats, cross: Floats, own: Floats
) -> None:
    """Add the squares of what a customer uses of the budgets, and take off the product of its means."""
    payers = budget_squares.shape[0]
    for this in range(len(rows)):
        for that in range(this + 1):
            if rows[this] != NOWHERE and rows[that] != NOWHERE:
                amount = -mean[this] * mean[that]
                if this < payers:
                    amount += budget_squares[this, that]
                if this == that:
                    amount /= 2
                _bend(rows[this], rows[that], amount / heat, square, cross, own)


@compiled
def soften(
    piece: Piece, price: Floats, heat: float, code: Ints, used: Floats, square: Floats, cross: Floats, own: Floats
) -> tuple[float, float, int]:
    """Let customers choose by chance, the likelier the more profit, and add up slopes and curvature of their profit.

    With temperature h a customer's profit is h log(1 + Σ exp(profit / h)). `used` gets its slopes: the use that is
    expected of every row. Its second derivatives go to `square` between rows of a `code` of 0 or more (half of it: the
    other half is its mirror), to `cross` between those and rows of a code below, and to `own` for each of the latter by
    itself; what binds two of the latter to each other is left out. Returns the sum of softened profits, the sum of best
    profits, and how many customers are undecided.
    """
    left = profits(piece, price, piece.sway)
    ends = piece.ends
    payers, rules = piece.cost.shape[0], piece.kind.shape[0]
    most = 0
    for customer in range(len(ends) - 1):
        most = max(most, ends[customer + 1] - ends[customer])
    likely = np.empty(most, np.int64)
    rows, mean = np.empty(payers + most * rules, np.int64), np.empty(payers + most * rules)
    entry, second = np.empty(payers + rules), np.empty((payers + rules, payers + rules))
    rows[:payers] = code[:payers]
    soft, sharp, undecided = 0.0, 0.0, 0
    for customer in range(len(ends) - 1):
        best, total, largest, count = _odds(left, ends[customer], ends[customer + 1], heat, likely)
        soft += best + heat * np.log(total)
        sharp += best
        undecided += largest < SHARP * total
        if largest >= (1 - 1e-9) * total:
            _decided(piece, left, total, likely[:count], entry, used)
            continue
        mean[:payers] = 0.0
        second[:payers] = 0.0
        size = payers  # a customer's rows: the budgets, then those that each of its likely units counts towards
        for unit in likely[:count]:
            _moments(piece, left, total, unit, size, entry, mean, second)
            for rule in range(rules):
                row = piece.row[rule, unit]
                rows[size + rule] = code[row] if row >= 0 else NOWHERE
                if row >= 0:
                    used[row] += mean[size + rule]
                    for column in range(payers + rule + 1):
                        other = column if column < payers else size + column - payers
                        if rows[other] != NOWHERE:
                            amount = second[payers + rule, column] / heat
                            amount = amount / 2 if other == size + rule else amount
                            _bend(rows[size + rule], rows[other], amount, square, cross, own)
            size += rules
        used[:payers] += mean[:payers]
        _curvature(rows[:size], mean[:size], second[:payers, :payers], heat, square, cross, own)
    return soft, sharp, undecided


@compiled
def look_over(piece: Piece, most: Floats, total: Floats, count: Floats) -> tuple[float, float]:
    """Add up each row's largest uses, all uses and number of settings; return the least and the largest total gain."""
    least, largest = 0.0, 0.0
    columns = piece.cost.shape[0] + piece.kind.shape[0]
    entry, heaviest, where = np.empty(columns), np.empty(columns), np.empty(columns, np.int64)
    for customer in range(len(piece.ends) - 1):
        worst, best = 0.0, 0.0
        for unit in range(piece.ends[customer], piece.ends[customer + 1]):
            heaviest[:] = 0.0
            rows_of(piece, unit, where)
            for setting in range(piece.gain.shape[1]):
                gain = float(piece.gain[unit, setting])
                if gain > -np.inf:
                    worst, best = min(worst, gain), max(best, abs(gain))
                    uses(piece, unit, setting, entry)
                    for column in range(columns):
                        heaviest[column] = max(heaviest[column], entry[column])
                        if where[column] >= 0:
                            total[where[column]] += entry[column]
                            count[where[column]] += 1
            for column in range(columns):
                if where[column] >= 0:
                    most[where[column]] += heaviest[column]
        least += worst
        largest += best
    return least, largest
