"""Pick: the menus of all wings in one knapsack, for a named objective, under budgets and rules."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tradewind.decisions.plan.interplay import Interplay, less, lessened
from tradewind.decisions.plan.search import Search
from tradewind.decisions.plan.table import JOINT, Table, best_of, gain_of
from tradewind.errors import BadInputError
from tradewind.methods.allocate import Allocation
from tradewind.money import human
from tradewind.study import Action, Choice, Estimate, LeftOut, Party, Plan, Purse, Rule, Setting

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

REJECTED = "rejected"


class Point(NamedTuple):
    """What a plan is worth under one budget of a payer, the others' being as they are.

    Args:
        budget: The budget.
        gain: Gain of the plan, in its objective.
        worth: What one more unit of the budget is worth, see `Purse`. At a budget of nothing, what a unit gains on the
            way to the next point.
    """

    budget: float
    gain: Estimate
    worth: float


class Planner:
    """Picks one setting of each chosen menu for the most gain under budgets and rules.

    Actions on customers of one lever that share a customer are never both chosen: nobody gets two offers. What choices
    take from each other (`Interplay`) is taken off their gains, and the plan picked anew, until nothing changes.

    Args:
        objective: Whose gain is sought: `joint`, all parties together, or a party.
        caution: Share of the way from the middle to the low end of each gain by which it is picked, 0 to 1.
        least: Gain that makes an action worth doing: below it nobody should be troubled.
        seed: Seed of the allocation.
        currency: ISO 4217 code of all money, for reasons.

    Raises:
        BadInputError: If there is no such party, or the caution is negative.
    """

    def __init__(
        self, objective: str = JOINT, caution: float = 0.0, least: float = 0.0, seed: int = 0, currency: str = ""
    ):  # fmt: skip
        if objective != JOINT and objective not in set(Party):
            raise BadInputError(
                "There is no such objective", got=objective, allowed=[JOINT, *(str(party) for party in Party)]
            )
        if not 0 <= caution <= 1:
            raise BadInputError("Caution is a share of the way to the low end", got=caution, allowed="from 0 to 1")
        if not 0 <= least < math.inf:
            raise BadInputError("The least gain of an action is nothing or more", got=least)
        self.least = least
        self.objective = objective
        self.caution = caution
        self.seed = seed
        self.currency = currency

    def __call__(
        self, name: str, actions: Sequence[Action], budgets: Mapping[Party, float], rules: Sequence[Rule] = (),
        sales: Mapping[str | None, float] | None = None, raw: Mapping[str, Action] | None = None,
        rejected: Mapping[str, str] | None = None, unfit: Mapping[str, str] | None = None,
    ) -> Plan:  # fmt: skip
        """Return the plan.

        Args:
            name: Its name.
            actions: What the wings propose, each setting with its gain by party and of all together.
            budgets: What each payer may spend; a payer without one pays nothing.
            rules: Limits beside the budgets.
            sales: GMV of as many days as actions hold, by shop, None for all; for interplay.
            raw: Actions before a calibration, by key, where one was applied.
            rejected: Why actions must not be picked, by their keys; keys of others change nothing.
            unfit: Likewise of actions that cannot be done, as it is told of them.

        Returns:
            What to do, what was left out and why, and what each budget is worth.

        Raises:
            BadInputError: If two actions share a key, a gain is missing, or rules cannot all be kept.
        """
        told = {key: f"{REJECTED}: {why}" if why else REJECTED for key, why in (rejected or {}).items()}
        told = {**(unfit or {}), **told}
        table = self._table(actions, budgets, told)
        meeting = Interplay(table.actions, sales or {})
        places, lost, found = self._picked(table, budgets, rules, meeting)
        worth = self._worth(table, budgets, rules, meeting, (places, lost, found))
        plan = self._plan(name, table, budgets, rules, (places, lost, found), worth, raw or {})
        if plan.interplay:
            shops = {choice.action.subject.shop for choice in plan.choices} | {None}
            plan = replace(plan, sales={shop or "": sold for shop, sold in (sales or {}).items() if shop in shops})
        if not told:
            return plan
        out = [*plan.left_out, *(self._out(a, told[a.key]) for a in actions if a.key in told)]
        return replace(plan, left_out=_by_gain(out))

    def frontier(
        self, actions: Sequence[Action], budgets: Mapping[Party, float], payer: Party, points: int = 7,
        rules: Sequence[Rule] = (), sales: Mapping[str | None, float] | None = None,
        rejected: Mapping[str, str] | None = None,
    ) -> tuple[Point, ...]:  # fmt: skip
        """Return what plans gain along the budget of one payer, from nothing to where more of it gains nothing.

        Each point is a plan of its own, picked as when it is asked alone. Points lie closer where the budget is small,
        since there the gain bends most; the budget that was asked is one of them.

        Args:
            actions: As for a plan.
            budgets: As for a plan; the payer's own may be missing.
            payer: Whose budget varies.
            points: How many points, 2 at least.
            rules: As for a plan. Points at which they cannot all be kept are left out.
            sales: As for a plan.
            rejected: As for a plan.

        Returns:
            The points, the smallest budget first.

        Raises:
            BadInputError: As for a plan, if there are too few points, or if the rules cannot be kept at any.
        """
        if points < 2:
            raise BadInputError("A curve has two points at least", got=points)
        asked = budgets.get(payer, 0.0)
        budgets = {**budgets, payer: asked}
        table = self._table(actions, budgets, rejected or {})
        meeting = Interplay(table.actions, sales or {})
        end = 2 * asked
        if not any(rule.share for rule in rules) or end == 0:  # shares of an endless budget would mean nothing
            most = float(table.cost[table.payers.index(payer)].max(axis=1).sum())
            found = self._picked(table, {**budgets, payer: max(most, asked)}, rules, meeting)[2]
            end = float(found.spent[table.payers.index(payer)])
        result, refused = [], None
        for budget in _spread(end, asked, points):
            try:
                places, lost, found = self._picked(table, {**budgets, payer: budget}, rules, meeting)
            except BadInputError as error:
                if not rules:
                    raise
                refused = error
                continue
            choices, _ = self._choices(table, places, lost)
            gain = together(choices, None if self.objective == JOINT else Party(self.objective))
            result.append(Point(budget, gain, float(found.multipliers[table.payers.index(payer)])))
        if refused is not None and not result:
            raise refused
        if result and result[0].budget == 0:  # any price that is high enough holds there: it tells nothing
            step = result[1].gain.mid - result[0].gain.mid if len(result) > 1 else 0.0
            result[0] = result[0]._replace(worth=max(step, 0.0) / result[1].budget if step else 0.0)
        return tuple(result)

    def _table(self, actions: Sequence[Action], budgets: Mapping[Party, float], rejected: Mapping[str, str]) -> Table:
        some = [action for action in actions if action.key not in rejected] if rejected else actions
        return Table(some, budgets, self.objective, self.caution)

    def _picked(
        self, table: Table, budgets: Mapping[Party, float], rules: Sequence[Rule], meeting: Interplay
    ) -> tuple[Ints, Array, Allocation]:
        """Return the setting of each action, −1 for none; what each loses by the others; and what limits are worth."""
        search = Search(table, meeting, budgets, rules, self.least, self._bears, self.seed)
        try:
            return search()
        except BadInputError as error:
            if not rules:
                raise
            spare = ", ".join(f"{payer}={limit:,.12g}" for payer, limit in budgets.items())
            raise BadInputError(
                "The rules cannot all be kept under these budgets",
                got=f"{', '.join(rule.text for rule in rules)} with {spare or 'no budget'}",
                do="lower a floor, or raise a cap or a budget",
            ) from error

    def _worth(
        self, table: Table, budgets: Mapping[Party, float], rules: Sequence[Rule], meeting: Interplay,
        picked: tuple[Ints, Array, Allocation],
    ) -> Array:  # fmt: skip
        """Return what one more unit of each budget would gain, [K].

        Below one unit every price holds that is high enough, so that prices tell nothing: a plan with one unit more
        does. Where the rules leave none, more gains nothing.
        """
        worth = np.array(picked[2].multipliers, float)
        for k, payer in enumerate(table.payers):
            if worth[k] > 0 and (limit := budgets.get(payer, 0.0)) < 1:
                try:
                    more = self._picked(table, {**budgets, payer: limit + 1}, rules, meeting)
                except BadInputError:
                    worth[k] = 0.0
                    continue
                worth[k] = max(self._value(table, *more[:2]) - self._value(table, *picked[:2]), 0.0)
        return worth

    @property
    def _bears(self) -> float:
        """1 where what meets a lower price costs those whose gain is sought: it falls on the merchant."""
        return float(self.objective in (JOINT, Party.MERCHANT))

    def _value(self, table: Table, places: Ints, lost: Array) -> float:
        chosen = places >= 0
        return float((table.gain[chosen, places[chosen]] - self._bears * lost[chosen]).sum())

    def _plan(
        self, name: str, table: Table, budgets: Mapping[Party, float], rules: Sequence[Rule],
        picked: tuple[Ints, Array, Allocation], worth: Array, raw: Mapping[str, Action],
    ) -> Plan:  # fmt: skip
        places, lost, found = picked
        choices, interplay = self._choices(table, places, lost)
        settings_raw = {
            c.action.key: less(raw[c.action.key].menu[c.place], interplay.get(c.action.key, 0.0))
            for c in choices if c.action.key in raw
        }  # fmt: skip
        parties = [party for party in Party if any(party in c.setting.gain for c in choices)]
        money = table.limits(budgets)
        purses = {
            payer: Purse(float(limit), float(spent), float(more))
            for payer, limit, spent, more in zip(table.payers, money, found.spent, worth, strict=True)
        }
        return Plan(
            name, self.objective, self.caution, tuple(choices), settings_raw, interplay, purses, tuple(rules),
            self._left_out(table, money, places, found, rules),
            {party: together(choices, party) for party in parties}, together(choices, None),
            sum(choice.setting.attributed or 0.0 for choice in choices), 0.0 if found.exact else found.gap,
        )  # fmt: skip

    def _choices(self, table: Table, places: Ints, lost: Array) -> tuple[list[Choice], dict[str, float]]:
        """Return what was picked, the largest gain first, and what was taken off by interplay."""
        choices, interplay = [], {}
        for number in np.flatnonzero(places >= 0).tolist():
            action, place, loss = table.actions[number], int(places[number]), float(lost[number])
            if loss > 0:
                interplay[action.key] = loss
            choices.append(lessened(Choice(action, place), max(loss, 0.0)))
        choices.sort(key=lambda choice: (-self._gain(choice.setting).mid, choice.action.key))
        return choices, interplay

    def _gain(self, setting: Setting) -> Estimate:
        return gain_of(setting, self.objective)

    def _out(self, action: Action, why: str) -> LeftOut:
        return LeftOut(action, self._gain(action.menu[best_of(action, self.objective, self.caution)]), why)

    def _left_out(
        self, table: Table, limits: Array, places: Ints, found: Allocation, rules: Sequence[Rule]
    ) -> tuple[LeftOut, ...]:
        """Say of each action that was not picked why not."""
        allowed = table.allowed(rules)
        taken = set(table.owner[places >= 0].tolist())
        least = human(self.least, "money", self.currency)
        result = []
        for number in np.flatnonzero(places < 0).tolist():
            action, gains = table.actions[number], table.gain[number]
            width = len(action.menu)
            best = int(np.argmax(gains[:width]))
            net = gains[:width] - found.multipliers @ table.cost[:, number, :width]
            worth = gains[:width] >= max(self.least, 1e-300)
            over = np.any(table.cost[:, number, :width] > limits[:, None] * (1 + 1e-9), axis=0)
            left = limits - found.spent
            fits = np.all(table.cost[:, number, :width] <= left[:, None] * (1 + 1e-9), axis=0)
            if gains[best] <= 0:
                reason = "no setting is expected to gain"
            elif gains[best] < self.least:
                reason = f"less than {least} is gained, too little to be worth the trouble"
            elif not allowed[number, :width].any():
                reason = "at every setting somebody is expected to lose, which a rule excludes"
            elif int(table.owner[number]) in taken:
                reason = "another action was picked for its customers"
            elif bool(np.all(over[worth])):
                reason = "it costs more than a payer's whole budget"
            elif net.max() <= 0 or not fits[worth].any():
                reason = "the budget gains more elsewhere"
            else:
                reason = "a rule leaves no room for it, or it meets a choice that gains more"
            result.append(LeftOut(action, self._gain(action.menu[best]), reason))
        return _by_gain(result)


def _by_gain(left: Sequence[LeftOut]) -> tuple[LeftOut, ...]:
    return tuple(sorted(left, key=lambda each: (-each.gain.mid, each.action.key)))


def _spread(end: float, asked: float, points: int) -> list[float]:
    """Return budgets from 0 to `end` and, where it is larger, to the one asked; that one is among them."""
    inside = points - 1 if asked > end > 0 else points
    found = [end * (n / max(inside - 1, 1)) ** 2 for n in range(inside)]
    if asked > end:
        return [*found, asked] if end > 0 else [0.0, asked]
    between = range(1, inside - 1) or range(inside)  # the ends stay
    if asked not in found:
        found[min(between, key=lambda n: abs(found[n] - asked))] = asked
    return sorted(set(found))


def together(choices: Sequence[Choice], party: Party | None) -> Estimate:
    """Return the gain of choices together, of a party or of all.

    What is wrong with one estimate of a lever is partly wrong with all of them: within a lever errors are correlated by
    `study.SHARED`; between levers they are independent.
    """
    by_lever: dict[str, list[Estimate]] = {}
    for choice in choices:
        value = choice.setting.joint if party is None else choice.setting.gain.get(party)
        if value is not None:
            by_lever.setdefault(choice.action.lever, []).append(value)
    return Estimate.added([Estimate.added(parts) for parts in by_lever.values()], shared=0.0)
