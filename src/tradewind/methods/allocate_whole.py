"""Whole choices: from prices near the best to one setting for each customer, within every limit."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tradewind.errors import BadInputError
from tradewind.methods.allocate_budget import SLACK
from tradewind.methods.allocate_dual import Dual, Response, Survey
from tradewind.methods.allocate_menus import Block, Floats, Ints, compiled
from tradewind.methods.allocate_program import Piece, Program, profits, rows_of, uses
from tradewind.methods.allocate_rest import Rest

ROUNDS = 6

OPEN = 300
"""Customers at least who are left to the linear program: those nearest to another choice."""

SHARE = 0.1
"""Part of the gap that better prices could close, below which they are good enough: the rest is due to whole offers."""

NEAREST = 3
"""Customers of every row in use who are left to it in any case."""

FINE = 10.0
"""What breaking a limit costs in the linear program at first, in usual gains: it is raised while one is broken."""

EAGER = 2.0
"""Customers who are opened more while no choice is found, for each that it should take to mend a broken limit."""

LARGEST_PROGRAM = 50_000
"""Options of open customers up to which a linear program is asked."""

MOST_OPTIONS = 5_000_000
"""Settings up to which all are open to mending in the end, where any may be needed."""

COARSE = 0.05
"""Gap from which on the largest offers are tried by themselves: it is due to few offers that take most of a limit."""

LARGE_OFFERS = 3

LEAST_SCALE = 1e-6
"""Share of a usual setting's use below which no limit is what use is measured in: HiGHS takes no larger numbers."""

REACH = 4.0
"""Settings are left to it whose loss is at most so many times that by which the last of those customers leads."""

CHECKED = 1e-9
"""Relative rounding up to which sums in another order may differ."""


class Chosen(NamedTuple):
    """A whole choice within all limits.

    Args:
        choice: [n] setting of each unit; −1 for no offer.
        value: Total gain.
        bound: What no choice can exceed.
        used: [R] use of every row.
        price: [R] the prices that the bound is computed from.
        exact: Whether a search has shown that no choice gains more.
    """

    choice: NDArray[np.int16]
    value: float
    bound: float
    used: Floats
    price: Floats
    exact: bool


@compiled
def _nearest(
    order: Ints, row: NDArray[np.int32], unit: NDArray[np.int32], quota: Ints, marked: NDArray[np.bool_]
) -> None:
    """Mark, of customers in the order given, the first of every row, as many as its quota."""
    for customer in order:
        if unit[customer] >= 0:
            for rule in range(row.shape[0]):
                where = row[rule, unit[customer]]
                if where >= 0 and quota[where] > 0:
                    quota[where] -= 1
                    marked[customer] = True


@compiled
def _account(piece: Piece, choice: NDArray[np.int16], used: Floats) -> float:
    """Add up what a block's choice uses of every row; return what it gains."""
    columns = piece.cost.shape[0] + piece.kind.shape[0]
    entry, where = np.empty(columns), np.empty(columns, np.int64)
    gained = 0.0
    for unit in range(len(choice)):
        if choice[unit] >= 0:
            gained += piece.gain[unit, choice[unit]]
            uses(piece, unit, choice[unit], entry)
            rows_of(piece, unit, where)
            for column in range(columns):
                if where[column] >= 0:
                    used[where[column]] += entry[column]
    return gained


@compiled
def _list(piece: Piece, unit: Ints, level: Ints, row: Ints, use: Floats) -> None:
    """Write what settings use, and of which rows."""
    for place in range(len(unit)):
        uses(piece, unit[place], level[place], use[place])
        rows_of(piece, unit[place], row[place])


class _Open(NamedTuple):
    """Open customers: their options; each option's unit and setting; what the settled gain; the options best now."""

    rest: Rest
    units: Ints
    settings: Ints
    gain: float
    current: Ints


class Whole:
    """Makes whole choices from prices.

    Customers whose best setting leads clearly take it. The others are left to a linear program with what the settled
    leave of every limit; HiGHS solves it exactly, and its duals are the next prices. Customers whom its solution cuts
    take their largest part; then settings are changed one by one, those of least loss first, until all limits are kept
    and nothing more can be gained so. The bound is the dual function over all customers, whatever was left to whom.

    Args:
        dual: The dual of the program.
        look: A first look at its menus.
        tolerance: Gap to the bound, as a share of it, that is good enough.
        exact: Settings up to which a program is searched for the best choice, where the gap is not good enough.

    Reference:
        Bixby, Gregory, Lustig, Marsten and Shanno (1992), Very large-scale linear programming: a case study in
        combining interior point and simplex methods, Operations Research 40 (5) (sifting).
    """

    def __init__(self, dual: Dual, look: Survey, tolerance: float, exact: int):
        self.dual = dual
        self.program: Program = dual.program
        self.look = look
        self.tolerance = tolerance
        self.exact = exact
        above, below = (np.where(np.isfinite(limit), limit, 0.0) for limit in (self.program.upper, self.program.lower))
        slack = SLACK * np.maximum(above, below)
        self.upper, self.lower = self.program.upper + slack, self.program.lower - slack
        self.usual = np.where(above > 0, np.clip(above, LEAST_SCALE * look.usual, look.usual), look.usual)

    def __call__(self, price: Floats) -> Chosen:
        """Return a whole choice, and a bound on all choices, from prices near the best.

        Raises:
            BadInputError: If no choice keeps all rules, or none was found that does.
        """
        best = Chosen(np.empty(0, np.int16), -np.inf, np.inf, np.zeros(len(price)), price, False)
        count, fine, relaxed, nearest, at, eager = max(OPEN, 4 * len(price)), FINE, -np.inf, None, price, 0.0
        for _ in range(ROUNDS):
            response = self.dual.respond(price)
            self.dual.prove(response.bound, self.look)
            if response.bound < best.bound:
                best = best._replace(bound=response.bound, price=price)
            if nearest is None or response.lucky < nearest.lucky:
                nearest, at = response, price
            settled = np.isfinite(best.value) and best.bound - relaxed <= SHARE * (best.bound - best.value)
            if self._good(best) or settled:
                break
            open_ = self._rest(*self._open(nearest, at, count, eager), nearest, at)
            best = self._better(best, nearest, open_, open_.rest.mended(open_.current.copy(), at))
            eager = 0.0 if np.isfinite(best.value) else max(EAGER, 4 * eager)
            if self._good(best):
                break
            if len(open_.rest.gain) > LARGEST_PROGRAM:
                continue
            price, share, broken = open_.rest.linear(at, fine)
            best = self._better(best, nearest, open_, open_.rest.rounded(share, price))
            relaxed = -np.inf if broken else max(relaxed, open_.gain + float(share @ open_.rest.gain))
            count *= 2
            fine *= 100 if broken else 1
        if nearest is not None and not np.isfinite(best.value):
            best = self._dropped(best, nearest, at)
        if nearest is not None and best.bound - best.value > COARSE * abs(best.bound):
            best = self._with_a_large_offer(best, nearest, at)
        if not self._good(best):
            best = self._searched(best)
        if not np.isfinite(best.value):
            raise BadInputError(
                "No choice was found that keeps all rules under these budgets",
                do="lower a floor a little, or raise a cap or a budget",
            )
        return self._accounted(best)

    def _good(self, best: Chosen) -> bool:
        return best.bound - best.value <= self.tolerance * abs(best.bound)

    def _open(self, response: Response, price: Floats, count: int, eager: float) -> tuple[Ints, Floats]:
        """Return the customers nearest to another choice, of all and of every row, and what losses to look at.

        Of rows whose limits are broken there are more: by so many as it should take to mend them, `eager` times.
        """
        if count >= self.program.customers:
            return np.arange(self.program.customers), np.full(self.program.customers, np.inf)
        order = np.argsort(response.lead, kind="stable")
        marked = np.zeros(self.program.customers, bool)
        marked[order[:count]] = True
        over = (response.used > self.upper) | (response.used < self.lower)
        more = (
            np.zeros(len(price), np.int64) if eager == 0 else np.ceil(eager * self._missing(response)).astype(np.int64)
        )
        for unit in (response.unit, response.rival):
            quota = np.where((price != 0) | over, NEAREST + more, 0)
            _nearest(order, self.program.row, unit, quota, marked)
        open_ = np.flatnonzero(marked)
        return open_, np.maximum(REACH * response.lead[order[count - 1]], response.lead[open_])

    def _missing(self, response: Response) -> Floats:
        """Return by how many settings of its usual takers every row is above or below its limits, at most by all."""
        taken = response.unit[response.unit >= 0]
        takers = np.bincount(self.program.row[:, taken][self.program.row[:, taken] >= 0], minlength=len(self.upper))
        takers[: self.program.menus.payers] = len(taken)
        usual = np.where(response.used > 0, response.used / np.maximum(1, takers), self.look.usual)
        off = np.maximum(0.0, np.maximum(response.used - self.upper, self.lower - response.used))
        return np.minimum(off / usual, self.program.customers)

    def _dropped(self, best: Chosen, response: Response, price: Floats) -> Chosen:
        """Return a choice for which any offer may be dropped, and where there are floors any may be made.

        This is how a choice is found in any case where nobody must get an offer: giving nobody any keeps all limits.
        """
        floors = bool(np.isfinite(self.program.lower).any())
        few = self.program.menus.units * self.program.menus.levels <= MOST_OPTIONS
        open_ = np.flatnonzero((response.unit >= 0) | (floors and few))
        reach = np.full(len(open_), np.inf if floors and few else 0.0)
        wide = self._rest(open_, reach, response, price)
        return self._better(best, response, wide, wide.rest.mended(wide.current.copy(), price))

    def _with_a_large_offer(self, best: Chosen, response: Response, price: Floats) -> Chosen:
        """Return the best of choices that hold one of the largest offers, for whose sake any others are dropped.

        A linear program gives the largest offer in part, which mending one by one then drops: too much would have to
        make room for it. With one budget that could pay any single offer, this or the choice without it gains at least
        half of the best.
        """
        few = self.program.menus.units * self.program.menus.levels <= MOST_OPTIONS
        for unit, setting in self._largest():
            starts = self.program.starts
            customer = unit if starts is None else int(np.searchsorted(starts, unit, side="right")) - 1
            open_ = np.flatnonzero(few | (response.unit >= 0) | (np.arange(self.program.customers) == customer))
            mine = int(np.searchsorted(open_, customer))
            wide = self._rest(open_, np.where(few | (open_ == customer), np.inf, 0.0), response, price)
            current = wide.current.copy()
            current[mine] = np.flatnonzero((wide.units == unit) & (wide.settings == setting))[0]
            best = self._better(best, response, wide, wide.rest.mended(current, price, mine))
        return best

    def _largest(self) -> list[tuple[int, int]]:
        """Return unit and setting of the offers of most gain that every budget can pay by itself."""
        budgets = self.upper[: self.program.menus.payers, None, None]

        def top(block: Block) -> list[tuple[float, int, int]]:
            gain = np.where((block.cost <= budgets).all(axis=0) & (block.gain > 0), block.gain, 0.0)
            units = np.argsort(-gain.max(axis=1), kind="stable")[:LARGE_OFFERS].tolist()
            return [(float(gain[unit].max()), block.first + unit, int(gain[unit].argmax())) for unit in units]

        found = sorted((offer for part in self.program.menus.map(top) for offer in part), key=lambda offer: -offer[0])
        return [(unit, setting) for gain, unit, setting in found[:LARGE_OFFERS] if gain > 0]

    def _rest(self, open_: Ints, reach: float | Floats, response: Response, price: Floats) -> _Open:
        """Return the options of open customers that are near to their best, and what the others leave."""
        part = self.program.part(open_)
        piece, _ = part.piece(Block(0, *part.menus.rows(np.arange(part.menus.units))))
        left = profits(piece, price, piece.sway)
        best = np.maximum(0.0, np.maximum.reduceat(left.max(axis=1), piece.ends[:-1]))
        near_best = left >= np.repeat(best - reach * (1 + SLACK), np.diff(piece.ends))[:, None]
        local, level = np.nonzero(near_best & (left > -np.inf))
        customer = np.searchsorted(piece.ends, local, side="right") - 1
        luck = np.zeros(len(local) + len(open_))
        if piece.sway > 0:
            luck[: len(local)] = left[local, level] - profits(piece, price, 0.0)[local, level]
        count, columns = len(local), piece.cost.shape[0] + piece.kind.shape[0]
        row = np.full((count + len(open_), columns), -1)
        use = np.zeros((count + len(open_), columns))
        _list(piece, local, level, row, use)
        units = np.append(self.program.units_of(open_)[local], np.full(len(open_), -1))
        settings = np.append(level, np.full(len(open_), -1))
        customer = np.append(customer, np.arange(len(open_)))
        gain = np.append(piece.gain[local, level], np.zeros(len(open_))).astype(float)
        chosen = np.flatnonzero(
            (units == response.unit[open_][customer]) & (settings == response.setting[open_][customer])
        )
        chosen = chosen[np.argsort(customer[chosen])]
        rest = Rest(len(open_), customer, gain, use, row, response.used, self.upper, self.lower, self.usual,
                    self.look.scale, luck)  # fmt: skip
        rest = replace(rest, taken=response.used - rest.uses(chosen))
        return _Open(rest, units, settings, response.gain - float(gain[chosen].sum()), chosen)

    def _better(self, best: Chosen, response: Response, open_: _Open, current: Ints) -> Chosen:
        """Return the better of a choice and of what open customers take now, if that is within the limits."""
        used = open_.rest.used(current)
        value = open_.gain + float(open_.rest.gain[current].sum())
        if open_.rest.broken(used) > 0 or value <= best.value:
            return best
        choice = np.full(self.program.menus.units, -1, np.int16)
        takers = response.unit >= 0
        choice[response.unit[takers]] = response.setting[takers]
        choice[open_.units[open_.units >= 0]] = -1
        units = open_.units[current]
        choice[units[units >= 0]] = open_.settings[current][units >= 0]
        return best._replace(choice=choice, value=value, used=used)

    def _searched(self, best: Chosen) -> Chosen:
        """Return the best choice that a search finds among settings that can be part of a better one.

        Every choice gains the bound less the losses of its settings, less what it leaves unused: so a setting that
        loses more than the gap is in no choice better than the best known. What is left may be few settings of many.
        """
        plain = Whole(Dual(replace(self.program, sway=0.0)), self.look, self.tolerance, self.exact)
        response = plain.dual.respond(best.price)
        gap = response.bound - best.value + CHECKED * abs(response.bound)
        open_customers = np.flatnonzero(response.lead <= gap)
        if len(open_customers) > self.exact:
            return best
        open_ = plain._rest(open_customers, gap, response, best.price)
        if len(open_.rest.gain) > self.exact:
            return best
        found, complete = open_.rest.searched()
        if found is None:
            if complete and best.value == -np.inf:
                raise BadInputError(
                    "The rules cannot all be kept under these budgets by whole offers",
                    do="lower a floor, or raise a cap or a budget",
                )
            return best
        value = open_.gain + float(open_.rest.gain[found].sum())
        best = self._better(best, response, open_, open_.rest.mended(found, best.price))
        return best._replace(exact=complete and best.value >= value - CHECKED * abs(value))

    def _accounted(self, best: Chosen) -> Chosen:
        """Return the choice with its gain and uses added up anew from all menus."""

        def add(block: Block) -> tuple[float, Floats]:
            piece, _ = self.program.piece(block)
            used = np.zeros(len(best.price))
            return _account(piece, best.choice[block.units], used), used

        parts = list(self.program.menus.map(add))
        used = np.sum([part[1] for part in parts], axis=0)
        excess = np.maximum(used - self.upper, self.lower - used) / np.maximum(1.0, np.abs(used))
        if (excess > CHECKED).any():
            raise RuntimeError(f"the choice breaks limit {int(np.argmax(excess))}: {used[np.argmax(excess)]}")
        value = float(sum(part[0] for part in parts))
        return best._replace(value=value, used=used, bound=max(best.bound, value))
