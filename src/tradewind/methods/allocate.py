"""Allocate: which setting of its menu each customer gets, for the most gain under budgets and rules, with a proof.

A menu is a row of settings from small to large, each with its gain and its cost to every payer. At most one setting of
a menu is chosen. The problem is a multiple-choice knapsack; its linear relaxation has a dual with one price for each
budget and rule, and whatever these prices are, the dual function bounds what any choice can gain. So every answer comes
with its distance to the best that can be had, and `upper_bound` computes that bound again from the prices alone.

What is not on offer has a gain of −∞; its cost is not read. A gain that is not a number is refused: what has no
estimate is not the same as what is not on offer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from numbers import Integral, Real

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tradewind.errors import BadInputError
from tradewind.methods.allocate_budget import OneBudget
from tradewind.methods.allocate_dual import Dual
from tradewind.methods.allocate_frontier import Frontier, checked, frontier
from tradewind.methods.allocate_menus import Array, Floats, Ints, Menus, Read, TablesInMemory, cores, table
from tradewind.methods.allocate_rules import (
    SWAY,
    Cap,
    Rules,
    program_of,
    read_budgets,
    read_caps,
    read_owner,
    refuse_unattainable,
    starts_of,
)
from tradewind.methods.allocate_whole import COARSE, OPEN, Whole

__all__ = ["Allocate", "Allocation", "Cap", "Frontier", "Rules", "cautious", "frontier", "upper_bound"]


ROUNDING = 1e-14
"""Share of all gains that there are by which a sum of some may be rounded."""


@dataclass(frozen=True, eq=False)
class Allocation:
    """What each menu gives, and how far from the best that can be.

    Args:
        choice: [n] number of the setting chosen; −1 for no offer.
        value: Total gain.
        bound: What no choice within the budgets and rules can exceed.
        spent: [K] what each payer spends, in money.
        multipliers: [K] what one more unit of each budget would gain, 0 where it is not used up.
        used: Of every cap, [G] what each group has.
        cap_multipliers: Of every cap, [G] what one more unit of the cap would gain; where the floor binds, negative:
            what one more unit of the floor would lose.
        exact: Whether a search has shown that no choice gains more, although the bound lies above.
        rounding: By how much the bound may lie above the value through the rounding of sums alone.
    """

    choice: NDArray[np.int16]
    value: float
    bound: float
    spent: Floats
    multipliers: Floats
    used: tuple[Floats, ...] = ()
    cap_multipliers: tuple[Floats, ...] = ()
    exact: bool = False
    rounding: float = 0.0

    @property
    def gap(self) -> float:
        """By what share of the bound a better choice could gain more, at most; 0 where rounding alone parts the two."""
        if self.bound - self.value <= self.rounding:
            return 0.0
        return (self.bound - self.value) / abs(self.bound) if self.bound else np.inf


class Allocate:
    """Chooses settings for the most gain under budgets and rules, with a bound on what any other choice could gain.

    One budget over menus without further rules is solved by one pass over all of them and an exact sort of the few near
    the budget's worth (`OneBudget`). Several budgets, caps, floors and customers with several menus are solved through
    their prices (`Dual`) and an exact linear program over the few customers whom prices leave undecided (`Whole`).

    Args:
        tolerance: Gap, as a share of the bound, that is good enough to stop at.
        exact: Settings up to which a program is searched by branch and bound where the gap is not good enough; the gap
            of small programs comes from settings being whole.
        seed: Seed of the samples that the search for prices starts from.
        threads: Cores to use; None for all that the process may use.

    Reference:
        Sinha and Zoltners (1979), The multiple-choice knapsack problem, Operations Research 27 (3); Everett (1963),
        Generalized Lagrange multiplier method, Operations Research 11 (3), theorem 1; Kellerer, Pferschy and Pisinger
        (2004), Knapsack Problems, chapter 11.

    Examples:
        >>> found = Allocate()(gain=[[3.0, 5.0], [4.0, 4.5]], cost=[[1.0, 3.0], [1.0, 3.0]], budgets=[4.0])
        >>> found.choice.tolist(), found.value, found.spent.tolist(), found.gap
        ([1, 0], 9.0, [4.0], 0.0)
    """

    def __init__(self, tolerance: float = 1e-4, exact: int = 300, seed: int = 0, threads: int | None = None):
        whole = all(isinstance(each, Integral) for each in (exact, seed, 1 if threads is None else threads))
        fits = whole and isinstance(tolerance, Real) and 0 <= tolerance < 1
        if not fits or exact < 0 or seed < 0 or (threads is not None and threads < 1):
            raise BadInputError(
                "Settings out of range", got=(tolerance, exact, seed, threads),
                allowed="a tolerance from 0 to below 1; whole numbers of settings and a seed from 0, of threads from 1",
            )  # fmt: skip
        self.tolerance = tolerance
        self.exact = exact
        self.seed = seed
        self.threads = threads or cores()

    def __call__(self, gain: ArrayLike, cost: ArrayLike, budgets: ArrayLike, rules: Rules | None = None) -> Allocation:
        """Return the choice for menus in memory, or in files mapped into it.

        Arrays of float32 and float64 are read where they lie. Only where the menus of a customer do not lie together
        are they copied, once.

        Args:
            gain: [n, L] what each setting gains, in money; −∞ where it is not on offer.
            cost: [n, L], or [K, n, L] where there are several payers: what it draws from each budget, in money.
            budgets: [K] what each payer may spend, in money; infinite where there is no limit.
            rules: Rules beside the budgets.

        Returns:
            The choice, with its bound and with the worth of every budget and rule.

        Raises:
            BadInputError: If arrays do not fit together, a gain, cost, budget or rule cannot be used, or the rules
                cannot all be kept.
        """
        limits = read_budgets(budgets)
        menus = TablesInMemory(gain, cost, len(limits), self.threads)
        next(menus.blocks())  # refuses what is misshapen
        rules = rules or Rules()
        order, starts = None, None
        if (owner := read_owner(rules.owner, menus.units)) is not None:
            starts = starts_of(owner)
            if starts is None:
                order = np.argsort(owner, kind="stable")
                starts = starts_of(owner[order])
                menus = TablesInMemory(menus.gain[order], menus.cost[:, order], len(limits), self.threads)
            menus.starts = starts
        found = self._allocate(menus, limits, rules, starts, order)
        if order is None:
            return found
        choice = np.empty_like(found.choice)
        choice[order] = found.choice
        return replace(found, choice=choice)

    def stream(self, read: Read, units: int, budgets: ArrayLike, rules: Rules | None = None) -> Allocation:
        """Return the choice for menus that are read block by block, several times over.

        Held in memory are some blocks, the units that are open, the choice (two bytes a unit) and the rules.

        Args:
            read: Starts at the first unit each time that it is called, and yields blocks `(gain [m, L], cost [m, L] or
                [K, m, L])` until all units are read, always the same.
            units: Number of units n in all.
            budgets: [K] what each payer may spend, in money.
            rules: Rules beside the budgets; the menus of one customer must follow each other within one block.

        Returns:
            The choice, as for menus in memory.

        Raises:
            BadInputError: As for menus in memory, and if the blocks do not hold as many units as were said.
        """
        limits = read_budgets(budgets)
        if not isinstance(units, Integral) or units < 0:
            raise BadInputError("A number of units is 0 or more", got=units, allowed="a whole number")
        if not callable(read):
            raise BadInputError("Blocks are read by a callable", got=type(read), do="give a function that yields them")
        rules = rules or Rules()
        starts = None
        if (owner := read_owner(rules.owner, units)) is not None:
            starts = starts_of(owner)
            if starts is None:
                raise BadInputError("The menus of one customer lie apart", do="sort the menus by customer first")
        return self._allocate(Menus(read, units, len(limits), self.threads, starts), limits, rules, starts, None)

    def _allocate(
        self, menus: Menus, budgets: Floats, rules: Rules, starts: Ints | None, order: Ints | None
    ) -> Allocation:
        caps = read_caps(rules, menus)
        first: Allocation | None = None
        if len(budgets) == 1 and starts is None and not caps:
            filled = OneBudget(menus, self.seed)(float(budgets[0]))
            first = Allocation(
                filled.choice, filled.value, filled.bound, np.array([filled.spent]), np.array([filled.worth])
            )
            if first.gap <= self.tolerance or (menus.units * menus.levels > self.exact and first.gap <= COARSE):
                return first
        program = program_of(menus, budgets, caps, starts, order)
        if program.customers > OPEN:
            program = replace(program, sway=SWAY, seed=self.seed)
        dual = Dual(program)
        look = dual.survey()
        refuse_unattainable(program, look.most)
        price = np.zeros(len(program.upper))
        if program.customers > OPEN:
            price = dual.prices(look, max(OPEN // 2, 3 * len(price)), self.seed)
        found = Whole(dual, look, self.tolerance, self.exact)(price)
        used, prices = (
            tuple(values[start:end] for start, end in pairwise([0, *program.spans.tolist()]))
            for values in (found.used, found.price)
        )
        answer = Allocation(
            found.choice, found.value, found.bound, used[0], prices[0], used[1:], prices[1:], found.exact,
            ROUNDING * look.scale * program.customers,
        )  # fmt: skip
        return answer if first is None or answer.value > first.value or answer.exact else first


def cautious(mid: ArrayLike, low: ArrayLike, caution: float = 0.5) -> Array:
    """Return gains between the middle and the low end of their interval: mid − caution × (mid − low).

    With a caution of 0 the choice is for the highest expected gain; with 1 a setting must earn its place by the low end
    alone. Low ends of many independent estimates do not all come true together: their sum is far more cautious than the
    low end of the total. What estimates share, such as one model's error, does.

    Args:
        mid: Gains, of any shape; −∞ where not on offer.
        low: Low ends of their intervals, of that shape.
        caution: Share of the way from the middle to the low end, 0 or more.

    Returns:
        The gains to allocate by; float32 stays float32.

    Raises:
        BadInputError: If the shapes differ, a gain is not a number, infinite or too large to be lowered, a low end is
            not a number or lies above its middle, or caution is negative or not finite.

    Examples:
        >>> cautious([3.0, 5.0], [1.0, -1.0], caution=0.5).tolist()
        [2.0, 2.0]
    """
    middle, bottom = table(mid, "The gains"), table(low, "The low ends")
    if middle.shape != bottom.shape:
        raise BadInputError("Gains and low ends differ in shape", got=(middle.shape, bottom.shape))
    if not isinstance(caution, Real) or not 0 <= caution < np.inf:
        raise BadInputError("Caution is a share of the way to the low end", got=caution, allowed="0 or more")
    offered = middle != -np.inf
    if not (middle < np.inf).all():
        raise BadInputError("A gain is not a number, or infinite", allowed="numbers, or −∞ for what is not on offer")
    if (offered & ~(bottom <= middle)).any():
        raise BadInputError("A low end is not a number, or lies above its middle")
    if caution == 0:
        return middle.copy()
    with np.errstate(over="ignore"):  # what overflows is refused
        risk = np.subtract(middle, bottom, out=np.zeros_like(middle), where=offered)
        lowered: Array = middle - middle.dtype.type(caution) * risk
    if not np.isfinite(lowered[offered & (bottom > -np.inf)]).all():
        raise BadInputError("A gain is too large to be lowered", got=str(middle.dtype), do="give it in a larger unit")
    return lowered


def upper_bound(
    gain: ArrayLike,
    cost: ArrayLike,
    budgets: ArrayLike,
    multipliers: ArrayLike,
    rules: Rules | None = None,
    cap_multipliers: Sequence[ArrayLike] = (),
) -> float:
    """Return what no choice within the budgets and rules can exceed, computed from multipliers alone.

    Every multiplier is a price for what it limits. Each customer at best takes the setting of most gain after all that
    it uses is paid for; the limits themselves are worth their price. The sum is a bound for any multipliers, so that
    whoever doubts an allocation can check its certificate with these few lines and without the solver.

    Args:
        gain: [n, L] as given to `Allocate`.
        cost: [n, L] or [K, n, L], likewise.
        budgets: [K] likewise.
        multipliers: [K] price of each budget, 0 or more.
        rules: As given to `Allocate`.
        cap_multipliers: Of every cap, [G]: price of the cap, or less than 0 of the floor.

    Returns:
        Σ_k λ_k B_k + Σ_g (μ_g⁺ most_g − μ_g⁻ least_g) + Σ_customers max(0, max_settings gain − λ cost − μ weight).

    Raises:
        BadInputError: As for `Allocate`, and if a multiplier is missing, negative for a budget, or sets a price on a
            limit that there is not.

    Reference:
        Geoffrion (1974), Lagrangean relaxation for integer programming, Mathematical Programming Study 2, equation 2.
    """
    limits, price = read_budgets(budgets), np.asarray(table(multipliers, "The multipliers"), float)
    rules = rules or Rules()
    menus = TablesInMemory(gain, cost, len(limits), 1)
    next(menus.blocks())  # refuses what is misshapen
    caps = read_caps(rules, menus)
    prices = [np.asarray(table(values, "The multipliers of a cap"), float) for values in cap_multipliers]
    if price.shape != limits.shape or [p.shape for p in prices] != [cap.most.shape for cap in caps]:
        raise BadInputError("Each budget and each group of a cap has one multiplier", got=(price.shape, len(prices)))
    total = 0.0
    for most, least, worth in [(limits, np.zeros_like(limits), price)] + [
        (cap.most, cap.least, worth) for cap, worth in zip(caps, prices, strict=True)
    ]:
        if not np.isfinite(worth).all() or (np.isinf(most) & (worth > 0)).any() or ((least == 0) & (worth < 0)).any():
            raise BadInputError("A multiplier is not finite, or sets a price on a limit that there is not")
        total += float((worth[worth > 0] * most[worth > 0]).sum() + (worth[worth < 0] * least[worth < 0]).sum())
    best = np.zeros(menus.units)
    for block in map(checked, menus.blocks()):
        left = block.gain - np.tensordot(price, np.where(block.gain > -np.inf, block.cost, 0.0), axes=1)
        for cap, worth in zip(caps, prices, strict=True):
            paid = np.append(worth, 0.0)[cap.group[block.units]][:, None]  # group −1: the last, which is free
            weight = block.cost[cap.kind] if cap.kind >= 0 else cap.own[block.units]
            left = left - np.where(block.gain > -np.inf, paid * weight, 0.0)
        best[block.units] = np.maximum(left.max(axis=1), 0.0)
    if (owner := read_owner(rules.owner, menus.units)) is not None:
        _, whose = np.unique(owner, return_inverse=True)
        by_customer = np.zeros(whose.max(initial=-1) + 1)
        np.maximum.at(by_customer, whose, best)
        best = by_customer
    return total + float(best.sum())
