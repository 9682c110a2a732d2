"""The table: what wings propose as arrays of gains and costs, and what rules leave of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tradewind.decisions.plan.rules import ALL_GAIN, PAYERS_GAIN, SUBJECTS, WORDS
from tradewind.errors import BadInputError
from tradewind.methods.allocate import Cap, cautious
from tradewind.study import Action, Estimate, Party, Rule, Setting

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

JOINT = "joint"


class Table:
    """Actions as arrays: gains [n, L], costs [K, n, L], and who may not get two."""

    def __init__(self, actions: Sequence[Action], budgets: Mapping[Party, float], objective: str, caution: float):
        self.actions = tuple(actions)
        keys = [action.key for action in actions]
        if twice := sorted({key for key in keys if keys.count(key) > 1} if len(set(keys)) < len(keys) else ()):
            raise BadInputError("Two actions share a key", got=", ".join(twice[:3]))
        drawn = {payer for action in actions for setting in action.menu for payer in setting.cost}
        self.payers = [party for party in Party if party in drawn or party in budgets]
        self.limits(budgets)
        width = max((len(action.menu) for action in actions), default=1)
        mids, lows = (np.full((len(actions), width), -np.inf) for _ in range(2))
        self.cost = np.zeros((len(self.payers), len(actions), width))
        self.worst = np.zeros((2, len(actions), width))  # smallest gain of a payer, and of anybody
        self.merchant = np.full((2, len(actions), width), np.inf)  # the merchant's, as a payer, and as anybody
        places = {payer: k for k, payer in enumerate(self.payers)}
        for n, action in enumerate(actions):
            for place, setting in enumerate(action.menu):
                gain = gain_of(setting, objective, action.key)
                mids[n, place], lows[n, place] = gain.mid, min(gain.low, gain.mid)
                for payer, amount in setting.cost.items():
                    self.cost[places[payer], n, place] = amount
                own = {party: value.mid for party, value in setting.gain.items()}
                self.worst[0, n, place] = min((own.get(p, 0.0) for p, c in setting.cost.items() if c > 0), default=0.0)
                self.worst[1, n, place] = min(own.values(), default=0.0)
                if Party.MERCHANT in own:
                    self.merchant[1, n, place] = own[Party.MERCHANT]
                    if setting.cost.get(Party.MERCHANT, 0.0) > 0:
                        self.merchant[0, n, place] = own[Party.MERCHANT]
        self.gain = np.asarray(cautious(mids, lows, caution), float)
        self.owner = _owners(self.actions)

    def limits(self, budgets: Mapping[Party, float]) -> Array:
        """Return what each payer may spend, [K]."""
        if wrong := {str(payer): value for payer, value in budgets.items() if not 0 <= value < math.inf}:
            raise BadInputError("A budget is nothing or more", got=wrong, allowed="amounts of 0 or more")
        return np.array([budgets.get(payer, 0.0) for payer in self.payers])

    def allowed(self, rules: Sequence[Rule], losses: Array | None = None) -> NDArray[np.bool_]:
        """Which settings the rules in words leave where actions, [n], or settings, [n, L], lose to others: [n, L]."""
        words = {rule.of for rule in rules}
        found = self.gain > -np.inf
        for number, word in enumerate((PAYERS_GAIN, ALL_GAIN)):
            if word in words:
                found &= self.worst[number] >= 0
                if losses is not None:
                    lost = losses if losses.ndim > 1 else losses[:, None]
                    found &= (self.merchant[number] >= lost) | (lost == 0)
        return found

    def floored(self, caps: Sequence[Cap]) -> NDArray[np.bool_]:
        """Which actions are in a group of which a rule asks for some: [n]."""
        found = np.zeros(len(self.actions), bool)
        for cap in caps:
            if np.max(cap.least) > 0:
                found |= np.asarray(cap.group) >= 0
        return found

    def caps(self, rules: Sequence[Rule], money: float) -> list[Cap]:
        """Return rules as caps and floors of groups of menus."""
        found = []
        total = self.cost.sum(axis=0)
        for rule in rules:
            if rule.of in WORDS:
                continue
            names = [self._group(rule, action) for action in self.actions]
            known = sorted({name for name in names if name is not None})
            if not known:
                raise BadInputError(
                    "A rule is about nothing that could be done", got=rule.text,
                    do="leave it out, or look at what the studies propose",
                )  # fmt: skip
            number = {name: place for place, name in enumerate(known)}
            group = np.array([-1 if name is None else number[name] for name in names], np.int64)
            times = money if rule.share else 1.0
            weight = total if rule.counts == "spend" else None
            least = min(rule.least * times, math.inf)
            self._attainable(rule, group, known, least, total)
            most = rule.most * times if rule.most < math.inf else math.inf  # ∞ times nothing is not a number
            found.append(Cap(group, most, least, weight))
        return found

    def _group(self, rule: Rule, action: Action) -> str | None:
        if rule.of not in SUBJECTS:
            return rule.of if action.lever == rule.of else None
        subject = action.subject
        name = subject.shop if rule.of == "shop" else (subject.id if subject.kind == "product" else None)
        return name if not rule.id or name == rule.id else None

    def _attainable(self, rule: Rule, group: Ints, known: list[str], least: float, total: Array) -> None:
        """Refuse a floor that all actions of a group together do not reach."""
        most = total.max(axis=1) if rule.counts == "spend" else np.ones(len(group))
        held = np.bincount(group[group >= 0], most[group >= 0], len(known))
        short = np.asarray(held < least - 1e-9)
        if short.any():
            raise BadInputError(
                "A rule asks for more than can be done", got=rule.text,
                allowed=f"at most {held.min():,.6g} for {known[int(np.argmax(short))]}",
            )  # fmt: skip


def best_of(action: Action, objective: str, caution: float) -> int:
    """Return the place of the setting that a plan would take first were there no limits."""
    gains = [gain_of(setting, objective, action.key) for setting in action.menu]
    worth = cautious([gain.mid for gain in gains], [min(gain.low, gain.mid) for gain in gains], caution)
    return int(np.argmax(worth))


def gain_of(setting: Setting, objective: str, key: str = "") -> Estimate:
    """Return the gain that is sought; raise `BadInputError` where the setting of that action tells none."""
    found = setting.joint if objective == JOINT else setting.gain.get(Party(objective))
    if found is None and objective != JOINT and setting.gain:
        return Estimate(0.0, 0.0, 0.0)  # a party that is not named where others are neither gains nor loses
    if found is None:
        raise BadInputError(
            f"A setting of the action '{key}' says no gain", got=objective, do="estimate it before it is planned"
        )
    return found


def _owners(actions: Sequence[Action]) -> Ints:
    """Number the sets of actions of which at most one may be chosen: those of a lever that share a customer."""
    parent = list(range(len(actions)))

    def root(number: int) -> int:
        while parent[number] != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return number

    first: dict[str, dict[str, int]] = {}  # by lever: to hash it anew beside each customer would take most of the time
    for number, action in enumerate(actions):
        of = first.setdefault(action.lever, {})
        if action.assignment is not None:
            units: Sequence[str] = action.assignment.units
        else:
            units = (f"{action.subject.kind} {action.subject.id} {action.subject.partner}",)
        for unit in units:
            other = of.setdefault(unit, number)
            if other != number:
                parent[root(number)] = root(other)
    return np.array([root(number) for number in range(len(actions))], np.int64)
