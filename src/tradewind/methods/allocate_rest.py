"""Rests: the few customers whom prices leave undecided, solved exactly by HiGHS and made whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, linprog, milp
from scipy.sparse import csr_matrix, hstack, vstack

from tradewind.methods.allocate_menus import Floats, Ints, compiled
from tradewind.methods.quiet import quiet

NODES = 200
"""Branches that HiGHS may open in a search: a number, not a time, so that the same input gives the same answer."""

SWEEPS = 20

PAIRED = 800, 10, 3000
"""Options, those of least loss, that are also tried in pairs: so many, more for each row, and at most."""


class _Tables(NamedTuple):
    """What `_mend` reads, see `Rest`."""

    customer: Ints
    gain: Floats
    use: Floats
    row: Ints
    upper: Floats
    lower: Floats
    scale: Floats


@compiled
def _change(tables: _Tables, option: int, sign: float, used: Floats) -> float:
    """Add an option to what is used, or take it off; return by how much more the limits are broken."""
    use, row, upper, lower, scale = tables.use, tables.row, tables.upper, tables.lower, tables.scale
    broken = 0.0
    for column in range(use.shape[1]):
        where = row[option, column]
        if where >= 0:
            before = max(0.0, used[where] - upper[where]) + max(0.0, lower[where] - used[where])
            used[where] += sign * use[option, column]
            after = max(0.0, used[where] - upper[where]) + max(0.0, lower[where] - used[where])
            broken += (after - before) / scale[where]
    return broken


@compiled
def _mend(tables: _Tables, order: Ints, current: Ints, used: Floats, repair: bool) -> int:
    """Go through options in order and take each that helps; return how many were taken.

    To repair is to come nearer to the limits. Otherwise an option helps if it gains more and breaks no limit further.
    """
    taken = 0
    for option in order:
        customer = tables.customer[option]
        before = current[customer]
        if option == before or (not repair and tables.gain[option] <= tables.gain[before]):
            continue
        broken = _change(tables, before, -1.0, used) + _change(tables, option, 1.0, used)
        if broken < -1e-12 or (not repair and broken <= 0):
            current[customer] = option
            taken += 1
        else:
            _change(tables, option, -1.0, used)
            _change(tables, before, 1.0, used)
    return taken


@compiled
def _exchange(tables: _Tables, order: Ints, current: Ints, used: Floats) -> int:
    """Take two options at once where they gain more together and break no limit further; return how often.

    What one customer gives back of a limit another can use: this fills what single changes must leave.
    """
    taken = 0
    for place in range(len(order)):
        option = order[place]
        before = current[tables.customer[option]]
        if option == before:
            continue
        more = tables.gain[option] - tables.gain[before]
        broken = _change(tables, before, -1.0, used) + _change(tables, option, 1.0, used)
        done = False
        for other in order[:place]:
            instead = current[tables.customer[other]]
            if other == instead or tables.customer[other] == tables.customer[option]:
                continue
            if more + tables.gain[other] - tables.gain[instead] <= 1e-12 * abs(tables.gain[other]):
                continue
            then = broken + _change(tables, instead, -1.0, used) + _change(tables, other, 1.0, used)
            if then <= 0:
                current[tables.customer[option]], current[tables.customer[other]] = option, other
                taken += 1
                done = True
                break
            _change(tables, other, -1.0, used)
            _change(tables, instead, 1.0, used)
        if not done:
            _change(tables, option, -1.0, used)
            _change(tables, before, 1.0, used)
    return taken


@dataclass(frozen=True, eq=False)
class Rest:
    """Customers who are open, with what the others leave of every limit.

    The options of a customer are settings that may be taken; the last `customers` options are to take none.

    Args:
        customers: Number of open customers M.
        customer: [N] whose option it is, counted from 0.
        gain: [N] what it gains.
        use: [N, C] what it uses.
        row: [N, C] the rows that it uses; −1 for none.
        taken: [R] what the settled customers use.
        upper: [R] limits above, rounding allowed for.
        lower: [R] limits below, rounding allowed for.
        scale: [R] what a setting usually uses of each row.
        worth: What a customer usually gains.
        luck: [N] what breaks ties between options, beside their gain (see `Program`).
    """

    customers: int
    customer: Ints
    gain: Floats
    use: Floats
    row: Ints
    taken: Floats
    upper: Floats
    lower: Floats
    scale: Floats
    worth: float
    luck: Floats

    def loss(self, price: Floats) -> Floats:
        """Return by how much each option's profit is below its customer's best, [N]."""
        profit = self.gain + self.luck - np.where(self.row >= 0, price[self.row] * self.use, 0.0).sum(axis=1)
        best = np.full(self.customers, -np.inf)
        np.maximum.at(best, self.customer, profit)
        loss: Floats = best[self.customer] - profit
        return loss

    def used(self, current: Ints) -> Floats:
        """Return what everybody uses of every row, when open customers take these options."""
        return self.taken + self.uses(current)

    def uses(self, current: Ints) -> Floats:
        """Return what these options use of every row."""
        row, use = self.row[current].ravel(), self.use[current].ravel()
        return np.bincount(row[row >= 0], weights=use[row >= 0], minlength=len(self.taken)).astype(float)

    def broken(self, used: Floats) -> float:
        """Return by how much the limits are broken, in usual settings."""
        over = np.maximum(0.0, used - self.upper) + np.maximum(0.0, self.lower - used)
        return float((over / self.scale).sum())

    def _program(self) -> tuple[csr_matrix, csr_matrix, Ints]:
        """Return one row for each customer, one for each limit that options use, and which limits those are."""
        count = len(self.gain) - self.customers
        each = csr_matrix((np.ones(count), (self.customer[:count], np.arange(count))), shape=(self.customers, count))
        option, column = np.nonzero((self.row[:count] >= 0) & (self.use[:count] != 0))
        row, use = self.row[option, column], self.use[option, column]
        touched, place = np.unique(row, return_inverse=True)
        limits = csr_matrix((use / self.scale[row], (place, option)), shape=(len(touched), count))
        return each, limits, touched

    def linear(self, price: Floats, fine: float) -> tuple[Floats, Floats, bool]:
        """Solve the program with parts of settings allowed.

        A limit may be broken for `fine` times what it is worth, so that there always is an answer.

        Returns:
            The prices [R], of which those of rows that no option uses stay as they were; the share of each option [N];
            and whether a limit is broken.
        """
        each, limits, touched = self._program()
        upper, lower = (self.upper - self.taken)[touched], (self.lower - self.taken)[touched]
        above, below = np.isfinite(upper), np.isfinite(lower)
        scale = self.scale[touched]
        fines = fine * (1.0 + np.abs(price[touched]) * scale / self.worth)
        rows = vstack([limits[above], -limits[below]], format="csr")
        breaking = csr_matrix((np.full(rows.shape[0], -1.0), (range(rows.shape[0]),) * 2), shape=(rows.shape[0],) * 2)
        matrix = vstack([
            hstack([each, csr_matrix((self.customers, rows.shape[0]))]), hstack([rows, breaking]),
        ], format="csr")  # fmt: skip
        limit = np.concatenate([np.ones(self.customers), (upper / scale)[above], (-lower / scale)[below]])
        count = each.shape[1]
        worth = np.concatenate([-(self.gain + self.luck)[:count] / self.worth, fines[above], fines[below]])
        if not len(worth):
            return price, np.ones(self.customers), False
        with quiet():
            solved = linprog(worth, A_ub=matrix, b_ub=limit, bounds=(0, None), method="highs")
        if solved.x is None:
            raise RuntimeError(f"HiGHS could not solve what was left open: {solved.message}")
        found = price.copy()
        found[touched] = 0.0
        duals = -solved.ineqlin.marginals[self.customers :] * self.worth
        found[touched[above]] += duals[: above.sum()] / scale[above]
        found[touched[below]] -= duals[above.sum() :] / scale[below]
        share = solved.x[:count]
        none = 1 - np.bincount(self.customer[:count], weights=share, minlength=self.customers)
        return found, np.concatenate([share, none]), bool((solved.x[count:] > 1e-6).any())

    def rounded(self, share: Floats, price: Floats) -> Ints:
        """Return a whole option for each customer: the largest share, mended."""
        order = np.lexsort((share, self.customer))
        last = np.append(np.flatnonzero(np.diff(self.customer[order])), len(order) - 1)
        return self.mended(order[last], price)

    def mended(self, current: Ints, price: Floats, kept: int = -1) -> Ints:
        """Return options changed one by one until the limits are kept, if they can be so, and no change gains more.

        The option of one customer may be kept as it is.
        """
        order = np.argsort(self.loss(price), kind="stable")
        order = order[self.customer[order] != kept]
        used = self.used(current)
        tables = _Tables(self.customer, self.gain, self.use, self.row, self.upper, self.lower, self.scale)
        for repair in (True, False):
            for _ in range(SWEEPS):
                if not _mend(tables, order, current, used, repair):
                    break
        if self.broken(used) == 0:
            least, more, most = PAIRED
            near = order[: min(least + more * len(used), most)]
            for _ in range(SWEEPS):
                if not _exchange(tables, near, current, used):
                    break
                _mend(tables, order, current, used, False)
        return current

    def searched(self) -> tuple[Ints | None, bool]:
        """Search for the whole options that gain most, None where none are found; and whether the search ended."""
        each, limits, touched = self._program()
        count = each.shape[1]
        if not count:
            return np.arange(self.customers), True
        scale = self.scale[touched]
        upper, lower = ((limit - self.taken)[touched] / scale for limit in (self.upper, self.lower))
        with quiet():
            found = milp(
                -self.gain[:count] / self.worth, integrality=np.ones(count), bounds=Bounds(0, 1),
                constraints=[LinearConstraint(each, -np.inf, 1), LinearConstraint(limits, lower, upper)],
                options={"node_limit": NODES, "mip_rel_gap": 0.0},
            )  # fmt: skip
        if found.x is None:
            return None, found.status == 2
        current = np.arange(count, count + self.customers)
        chosen = np.flatnonzero(found.x > 0.5)
        current[self.customer[chosen]] = chosen
        return current, found.status == 0
