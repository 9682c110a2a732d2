"""The dual of many budgets and rules at once: what each is worth, and so what no choice can exceed."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tradewind.errors import BadInputError
from tradewind.methods.allocate_frontier import checked
from tradewind.methods.allocate_menus import Block, Floats, Ints
from tradewind.methods.allocate_program import Program, look_over, respond, soften

REACH = 8.0
"""How many temperatures a price may move a unit's profit in one step."""

SHORTEST = 0.5
"""The same after a step that had to be cut, at least."""

STEPS = 30

STILL = 1e-11
"""Share of the dual's value that a step must bring for another one: prices that hardly matter may go on for long."""

OFF = 1e-3
"""Share of the bound that limits unused or broken may be worth where the search for prices ends."""

COOLING = 0.25
COLDEST = 1e-9
"""Share of the first temperature at which the search for prices ends in any case: well below what luck can do."""

SAMPLE = 3_000
TEPID = 1 / 64
"""Share of the first temperature to which a sample is cooled: below it sees its own chance."""

COMMON = 20
"""Units of a group from which on a sample tells what its row is worth."""


class Survey(NamedTuple):
    """What a first look at all menus tells.

    Args:
        worst: A value below which no choice can fall.
        scale: What a customer's largest setting gains or loses, on average; 1 where all is nothing.
        most: [R] what each row of a rule could be used at most.
        usual: [R] what a setting uses of each row, on average; 1 where it is never used.
    """

    worst: float
    scale: float
    most: Floats
    usual: Floats


class Response(NamedTuple):
    """What customers do at given prices.

    Args:
        bound: What no choice can exceed (the dual function).
        lucky: The same when each unit's luck is counted in (see `Program`).
        gain: What they gain.
        unit: [customers] the unit chosen, −1 for none.
        setting: [customers] its setting, −1 for none.
        rival: [customers] unit of the second best, −1 for none.
        lead: [customers] by how much the best leads.
        used: [R] use of every row.
    """

    bound: float
    lucky: float
    gain: float
    unit: NDArray[np.int32]
    setting: NDArray[np.int16]
    rival: NDArray[np.int32]
    lead: Floats
    used: Floats


class Soft(NamedTuple):
    """The softened dual.

    Args:
        value: Its value.
        bound: What no choice can exceed (the dual function itself).
        undecided: Customers whom the temperature leaves undecided.
        used: [R] expected use of every row.
        square: [D, D] second derivatives between rows that are few.
        cross: [B, D] between the rows of the rule with most groups and those.
        own: [B] of the rows of the rule with most groups.
    """

    value: float
    bound: float
    undecided: int
    used: Floats
    square: Floats
    cross: Floats
    own: Floats


class Dual:
    """The dual function of a program, and prices that bring it low.

    At prices p the bound is Σ_rows (p⁺ upper − p⁻ lower) + Σ_customers max(0, max profit). It is softened by a
    temperature (entropy), which makes it smooth, and brought down by projected Newton steps while that falls.
    Where one rule has many groups, as one cap for each shop, its rows bend each other only through customers with menus
    in several of them; that is left out, so that the step costs no more than the rows are many.

    Args:
        program: The program.

    Reference:
        Geoffrion (1974), Lagrangean relaxation for integer programming; Nesterov (2005), Smooth minimization of
        non-smooth functions (the entropy); Bertsekas (1982), Projected Newton methods for optimization problems with
        simple constraints.
    """

    def __init__(self, program: Program):
        self.program = program
        spans = program.spans
        big = int(np.argmax(np.diff(spans))) if len(spans) > 1 else 0
        rows = np.arange(len(program.upper))
        apart = (rows >= spans[big]) & (rows < spans[big + 1]) if len(spans) > 1 else np.zeros(len(rows), bool)
        self.dense, self.apart = rows[~apart], rows[apart]
        self.code = np.empty(len(rows), np.int64)
        self.code[self.dense] = np.arange(len(self.dense))
        self.code[self.apart] = -1 - np.arange(len(self.apart))

    def survey(self) -> Survey:
        """Check all gains and costs, and return what a first look at them tells."""

        def look(block: Block) -> tuple[Floats, float, float]:
            sums = np.zeros((3, len(self.program.upper)))
            return sums, *look_over(self.program.piece(checked(block))[0], *sums)

        found = list(self.program.menus.map(look))
        sums = np.sum([part[0] for part in found], axis=0)
        scale = sum(part[2] for part in found) / max(1, self.program.customers) or 1.0
        usual = np.where(sums[1] > 0, sums[1] / np.maximum(sums[2], 1), 1.0)
        return Survey(sum(part[1] for part in found), scale, sums[0], usual)

    def soft(self, price: Floats, heat: float) -> Soft:
        """Return the softened dual at these prices, with its slopes and curvature."""
        dense, apart = len(self.dense), len(self.apart)

        def melt(block: Block) -> tuple[tuple[Floats, Floats, Floats, Floats], tuple[float, float, int]]:
            sums = np.zeros(len(price)), np.zeros((dense, dense)), np.zeros((apart, dense)), np.zeros(apart)
            return sums, soften(self.program.piece(block)[0], price, heat, self.code, *sums)

        used, own = np.zeros(len(price)), np.zeros(apart)
        square, cross = np.zeros((dense, dense)), np.zeros((apart, dense))
        totals = np.zeros(3)
        for sums, part in self.program.menus.map(melt):
            used += sums[0]
            square += sums[1] + sums[1].T
            cross += sums[2]
            own += sums[3]
            totals += part
        paid = self.paid(price)
        return Soft(totals[0] + paid, totals[1] + paid, int(totals[2]), used, square, cross, own)

    def paid(self, price: Floats) -> float:
        """Return what the rows' limits are worth at these prices."""
        over, under = price > 0, price < 0
        return float(price[over] @ self.program.upper[over] + price[under] @ self.program.lower[under])

    def respond(self, price: Floats) -> Response:
        """Return what customers do at these prices, and what no choice can exceed."""
        count = self.program.customers
        unit, setting, rival = np.empty(count, np.int32), np.empty(count, np.int16), np.empty(count, np.int32)
        lead = np.empty(count)

        def answer(block: Block) -> tuple[Floats, tuple[float, float, float]]:
            piece, who = self.program.piece(block)
            used = np.zeros(len(price))
            sums = respond(piece, price, unit[who], setting[who], rival[who], lead[who], used)
            for numbers in (unit[who], rival[who]):
                numbers[numbers >= 0] += block.first
            return used, sums

        used, sums = np.zeros(len(price)), np.zeros(3)
        for part in self.program.menus.map(answer):
            used += part[0]
            sums += part[1]
        bound, lucky = (sums[:2] + self.paid(price)).tolist()
        return Response(bound, lucky, float(sums[2]), unit, setting, rival, lead, used)

    def prices(self, look: Survey, open_: int, seed: int) -> Floats:
        """Return prices near the best: at first of a sample, so that only the last steps ask all customers."""
        customers, rows = self.program.customers, len(self.program.upper)
        count = max(SAMPLE, 10 * rows)
        price, heat = np.zeros(rows), look.scale
        if 3 * count < customers:
            rng = np.random.default_rng(seed)
            chosen = np.sort(rng.choice(customers, count, replace=False, shuffle=False))
            found = self._sampled(chosen, look)
            if found is not None:
                price, heat = found, heat * TEPID
        return self.descend(price, heat, open_, look)

    def _sampled(self, chosen: Ints, look: Survey) -> Floats | None:
        """Return the prices of a sample of customers, with its share of every limit; None where it cannot keep those.

        Chance may put too few customers into a sample for its share of a floor: that proves nothing about all.
        """
        program = self.program
        sample = program.part(chosen)
        inside, whole = (
            np.bincount(part.row[part.row >= 0].ravel(), minlength=len(look.usual)) for part in (sample, program)
        )
        share = inside / np.maximum(whole, 1)
        share[: program.menus.payers] = len(chosen) / program.customers
        has = (np.isfinite(limit) for limit in (program.upper, program.lower))
        upper, lower = (np.multiply(limit, share, out=limit.copy(), where=on) for limit, on in zip(
            (program.upper, program.lower), has, strict=True))  # fmt: skip
        try:
            price = Dual(replace(sample, upper=upper, lower=lower)).descend(
                np.zeros(len(share)), look.scale, 0, look, coldest=TEPID
            )
        except BadInputError:
            return None
        rare = inside < COMMON  # of these the sample tells little: they begin like the others of their rule
        rare[: program.menus.payers] = False
        for first, last in pairwise(program.spans.tolist()):
            usual = price[first:last][~rare[first:last]]
            price[first:last][rare[first:last]] = np.median(usual) if len(usual) else 0.0
        signs = np.where(np.isfinite(program.lower), -np.inf, 0.0), np.where(np.isfinite(program.upper), np.inf, 0.0)
        return np.clip(price, *signs)

    def descend(self, price: Floats, heat: float, open_: int, look: Survey, coldest: float = COLDEST) -> Floats:
        """Bring the bound down from these prices and temperature until few customers are undecided.

        A price may move by some temperatures in a step, and by twice as many each time that it goes on in the same
        direction: where nobody is undecided the curvature is nothing, and says not how far to go.

        Returns:
            The prices.

        Raises:
            BadInputError: If the bound falls below what any choice gains: then no choice keeps all rules.
        """
        now = self.soft(price, heat)
        while True:
            reach = np.full(len(price), REACH)
            last = np.zeros(len(price))
            for _ in range(STEPS):
                self.prove(now.bound, look)
                limit = reach * heat / look.usual
                step = self._step(now, price, heat, look, limit)
                trial, then, share = price, now, 1.0
                while share > 1e-3:
                    trial = self._kept(price + share * step, price, step)
                    then = self.soft(trial, heat)
                    if then.value <= now.value:
                        break
                    share /= 4
                else:
                    break
                far = (np.abs(step) >= limit) & (step * last >= 0) & (share == 1)
                near = np.maximum(SHORTEST if share < 1 else REACH, share * reach / 2)
                reach = np.where(far, 2 * reach, near)
                last = step
                moved = float(np.max(np.abs(trial - price) * look.usual, initial=0.0))
                still = now.value - then.value <= STILL * abs(now.value)
                price, now = trial, then
                if share == 1 and (moved < heat / 2 or still):
                    break
            slope = self._slopes(price, now.used)
            off = float((np.maximum(np.abs(price), OFF * look.scale / look.usual) * np.abs(slope)).sum())
            done = now.undecided <= open_ and off <= OFF * abs(now.value)
            if done or heat <= coldest * look.scale:
                return price
            heat *= COOLING
            now = self.soft(price, heat)

    def prove(self, bound: float, look: Survey) -> None:
        """Raise the error that a bound below every choice's gain calls for."""
        if bound < look.worst - 1e-9 * (abs(look.worst) + look.scale * self.program.customers):
            raise BadInputError(
                "The rules cannot all be kept under these budgets", got=f"a bound of {bound:.6g} on a gain that is at "
                f"least {look.worst:.6g}", do="lower a floor, or raise a cap or a budget",
            )  # fmt: skip

    def _slopes(self, price: Floats, used: Floats) -> Floats:
        """Return the slope of the dual in every price; 0 for one that should stay at nothing."""
        up, down = self.program.upper - used, self.program.lower - used
        still = np.where(up < 0, up, np.where(down > 0, down, 0.0))
        return np.where(price > 0, up, np.where(price < 0, down, still))

    def _kept(self, trial: Floats, price: Floats, step: Floats) -> Floats:
        """Return the prices, each kept from crossing nothing on its way."""
        side = np.where(price != 0, np.sign(price), np.sign(step))
        return np.where(np.sign(trial) == side, trial, 0.0)

    def _step(self, now: Soft, price: Floats, heat: float, look: Survey, limit: Floats) -> Floats:
        """Return the Newton step within the prices' signs and limits.

        A step that is too long is cut price by price or shortened as a whole, whichever should bring the dual lower:
        where rows are used alike, their prices must move together.
        """
        slope = self._slopes(price, now.used)
        floor = 1e-10 * look.usual**2 / heat
        square = now.square + np.diag(floor[self.dense] + 1e-9 * np.diag(now.square))
        own = now.own + floor[self.apart]
        step = np.zeros(len(price))
        free = (price != 0) | (slope != 0)
        for _ in range(5):  # prices that would cross nothing stop there, and the others are asked again
            bent = slope + self._bent(square, now.cross, own, np.where(free, 0.0, step))
            inner, outer = free[self.dense], free[self.apart]
            tie = now.cross[outer][:, inner]
            right = bent[self.apart][outer] / own[outer]
            rest = square[inner][:, inner] - tie.T @ (tie / own[outer][:, None])
            main = np.linalg.solve(rest, tie.T @ right - bent[self.dense][inner])
            step[self.dense[inner]] = main
            step[self.apart[outer]] = -right - tie @ main / own[outer]
            cut, shorter = np.clip(step, -limit, limit), step * np.min(limit / np.maximum(np.abs(step), limit))
            step = min(cut, shorter, key=lambda way: slope @ way + way @ self._bent(square, now.cross, own, way) / 2)
            crossing = free & (price != 0) & (np.sign(price + step) != np.sign(price))
            wrong = free & (price == 0) & (step * slope > 0)
            if not (crossing | wrong).any():
                break
            step[crossing] = -price[crossing]
            step[wrong] = 0.0
            free &= ~(crossing | wrong)
        return step

    def _bent(self, square: Floats, cross: Floats, own: Floats, step: Floats) -> Floats:
        """Return the second derivatives times a step."""
        bent = np.empty(len(step))
        main, apart = step[self.dense], step[self.apart]
        bent[self.dense] = square @ main + cross.T @ apart
        bent[self.apart] = cross @ main + own * apart
        return bent
