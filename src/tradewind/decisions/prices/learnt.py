"""Learnt: all that is known of demand and profit on a day, and what any price from the next day on is worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from tradewind.decisions.prices.economics import PARTIES, Economics
from tradewind.decisions.prices.outlook import Outlook
from tradewind.decisions.prices.panel import Panel
from tradewind.decisions.prices.response import Response
from tradewind.decisions.prices.surge import Surge
from tradewind.engines.campaigns import meets
from tradewind.errors import BadInputError
from tradewind.money import human, several
from tradewind.period import Period
from tradewind.study import Action, Estimate, Evidence, Lever, Party, Setting

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

LEVEL = 0.9
DRAWS = 200  # of what is not known
BLOCK = 512  # products whose draws are held in memory at a time
KEPT = 14  # days after the base period for which numbers may still be used
STEEPEST = 6.0  # elasticity above which no draw goes
MOST = 20.0  # times what the list price sells, above which no price is taken to sell
DEAREST, CHEAPEST = -0.5, 0.9  # ends of the shares off the list price that can be judged


@dataclass(frozen=True)
class Worth:
    """What settings are worth: draws summed up.

    Args:
        joint: [n, settings, 3] gain of all parties together: mean, lower and upper end.
        own: [n, settings, 3] the part of it that the product's own pieces bring.
        party: [parties, n, settings, 3] the same by party.
        pieces: [n, settings] pieces that would be sold.
        without: [n] pieces that would be sold otherwise.
        before: [n] share off the list price at which these would be sold on average, each piece counted once.
        elsewhere: [n, settings] what other products bring all parties more. The joint gain is this, and what the pieces
            bring at the price, less what they would bring otherwise at `before`.
        attributed: [n, settings] GMV sold at a discount, which attribution credits; no full price is credited with any.
        break_even: [n, settings] margin of list prices at which the joint gain would be nought, were it assumed of all
            that it is assumed of; NaN where none is assumed, or the gain does not hang on it.
        beyond: [n, settings] whether it would sell more than is on hand, and more than would be sold otherwise.
    """

    joint: Array
    own: Array
    party: Array
    pieces: Array
    without: Array
    before: Array
    elsewhere: Array
    attributed: Array
    break_even: Array
    beyond: NDArray[np.bool_]


@dataclass(frozen=True)
class _Week:
    """A week, or a part of one, for which a price would hold.

    Args:
        weight: What is sold in it at the same prices, in usual weeks.
        campaign: Whether the marketplace has a campaign in it.
        standing: Whether the price of the last known day stands in it.
    """

    weight: float
    campaign: bool
    standing: bool


@dataclass(frozen=True)
class Learnt:
    """What is known on the last day of a period.

    Args:
        panel: Products by weeks.
        economics: What a piece brings each party.
        response: How demand answers to price.
        outlook: What is to come if nobody does anything.
        surge: What is otherwise in weeks with a campaign of the marketplace.
        currency: Of all money.
        seed: Seed of draws.
        bulk: Pieces sold at once beyond what other weeks let expect, which are taken not to come again.
        odd: First days of weeks in which all products sold unlike the weeks beside, which teach nothing either.
    """

    panel: Panel
    economics: Economics
    response: Response
    outlook: Outlook
    surge: Surge
    currency: str
    seed: int
    bulk: float = 0.0
    odd: tuple[date, ...] = ()

    def appraise(self, actions: Sequence[Action]) -> tuple[Action, ...]:
        """Return the same actions with what every setting is worth.

        Args:
            actions: Actions of the lever price on products, each with any menu of shares off the list price.

        Returns:
            The actions in their order, with the gain by party of every setting, what attribution would credit, how it
            was earned, and a sentence for whoever approves it.

        Raises:
            BadInputError: If an action is not one on the price of a product that is on sale, or a share is out of
                range.
        """
        place = {name: n for n, name in enumerate(self.panel.products)}
        groups: dict[tuple[Period, tuple[float, ...]], list[int]] = {}
        for n, action in enumerate(actions):
            groups.setdefault((action.days, self._offs(action, place)), []).append(n)
        found: list[Action | None] = [None] * len(actions)
        for (days, offs), numbers in groups.items():
            rows = np.array([place[actions[n].subject.id] for n in numbers], np.int64)
            worth = self.worth(rows, offs, days)
            for at, n in enumerate(numbers):
                found[n] = self._told(actions[n], int(rows[at]), worth, at)
        return tuple(action for action in found if action is not None)

    def worth(self, rows: Ints, offs: Sequence[float], days: Period) -> Worth:
        """Return what shares off the list price are worth for some products.

        Args:
            rows: [n] places of the products.
            offs: Shares off the list price.
            days: When they would hold.
        """
        if not len(rows):
            raise BadInputError("No product was named", do="name one that is on sale")
        shares = np.asarray(offs, float)
        parts = [self._drawn(rows[at : at + BLOCK], shares, days) for at in range(0, len(rows), BLOCK)]
        names = ("joint", "own", "pieces", "without", "before", "elsewhere", "attributed", "break_even", "beyond")
        joined = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
        party = np.concatenate([part.party for part in parts], axis=1)
        return Worth(party=party, **joined)

    def _drawn(self, rows: Ints, offs: Array, days: Period) -> Worth:
        """Draw what is not known and sum the draws up.

        With the elasticity ε, of which λ lasts, a price of a share d off sells (1 − d)^(−ελ) of what the list price
        sells. Of what is sold more, a share δ is drawn from other products.
        """
        out, answer = self.outlook, self.response
        common = np.random.default_rng([self.seed, 1])
        together = common.standard_normal(DRAWS) * answer.common
        lasting = np.clip(answer.lasting.mid + _sd(answer.lasting) * common.standard_normal(DRAWS), 0.2, 1.3)
        diverted = np.clip(answer.diverted.mid + _sd(answer.diverted) * common.standard_normal(DRAWS), 0.0, 1.0)
        drift = np.exp(out.drift * common.standard_normal(DRAWS) - out.drift**2 / 2)
        # A product's luck depends on its place alone, so that its numbers do not depend on what else is asked.
        luck = [np.random.default_rng([self.seed, 2, row]) for row in rows.tolist()]
        own = np.stack([each.standard_normal(DRAWS) for each in luck])
        steep = np.clip(answer.elasticity[rows, None] + together + answer.error[rows, None] * own, 0.0, STEEPEST)
        steep *= lasting
        level = np.stack(
            [each.standard_gamma(shape, DRAWS) for each, shape in zip(luck, out.shape[rows].tolist(), strict=True)]
        )
        weeks = self._weeks(days)
        base = level / out.rate[rows, None] * drift * sum(each.weight for each in weeks)
        often = np.stack([each.beta(a, b, DRAWS) for each, (a, b) in zip(luck, out.often[rows].tolist(), strict=True)])
        usual, usual_price = self._without(rows, steep, weeks, often, luck)
        listed, share, amount = (
            np.nan_to_num(v)
            for v in (self.panel.list_price[rows], self.economics.share[:, rows], self.economics.amount[:, rows])
        )
        full = np.nan_to_num(self.panel.usual[rows])  # what depths count against, as today's may be raised for a while
        beside = (listed / np.where(full > 0, full, 1.0))[:, None]
        others, same = self.economics.others, self.economics.same_shop[rows]
        shape = (len(rows), len(offs))
        party, joint, own_part = np.zeros((len(PARTIES), *shape, 3)), np.zeros((*shape, 3)), np.zeros((*shape, 3))
        pieces, elsewhere, break_even = np.zeros(shape), np.zeros(shape), np.full(shape, np.nan)
        for k, off in enumerate(offs.tolist()):
            price = (1 - off) * beside
            sold = _answer(1 - price, steep)
            more, money = sold - usual, sold * price - usual_price
            lost = base * diverted * more
            elsewhere[:, k] = -lost.mean(axis=1) * float(others.sum())
            total = np.zeros(base.shape)
            for n, who in enumerate(PARTIES):
                gain = base * (share[n][:, None] * full[:, None] * money - amount[n][:, None] * more)
                total = total + gain
                loses = lost * others[n]
                party[n, :, k] = _ends(gain - (loses * same[:, None] if who == Party.MERCHANT else loses))
            own_part[:, k] = _ends(total)
            total = total - lost * float(others.sum())
            joint[:, k] = _ends(total)
            pieces[:, k] = (base * sold).mean(axis=1)
            if self.economics.margin is not None:  # the gain is a line in the margin
                grows = self.economics.priced[rows, None] * base * more - self.economics.others_priced * lost
                slope = grows.mean(axis=1)
                told = np.abs(slope) > 1e-9
                break_even[told, k] = self.economics.margin - joint[told, k, 0] / slope[told]
        without = (base * usual).mean(axis=1)
        before = 1 - (base * usual_price).mean(axis=1) / without / beside[:, 0]
        attributed = np.where(offs > 0, pieces * (1 - offs) * listed[:, None], 0.0)
        beyond = (pieces > self.panel.held[rows, None]) & (pieces > without[:, None])
        return Worth(joint, own_part, party, pieces, without, before, elsewhere, attributed, break_even, beyond)

    def _weeks(self, days: Period) -> list[_Week]:
        """Return the weeks of some days: what is left of the last known one, if they meet it, then seven by seven."""
        rest = min(max(self.outlook.rest - (days.first - self.panel.last).days + 1, 0), days.days)
        found, first = [], days.first
        for begun in range(rest - 7 if rest else 0, days.days, 7):
            length = min(begun + 7, days.days) - max(begun, 0)
            campaign = meets(self.surge.days, first, length)
            weight = length / 7 * (self.surge.times if campaign else 1.0)
            found.append(_Week(weight, campaign, standing=begun < 0))
            first += timedelta(days=length)
        return found

    def _without(
        self, rows: Ints, steep: Array, weeks: Sequence[_Week], often: Array, luck: Sequence[np.random.Generator]
    ) -> tuple[Array, Array]:
        """Return what would be sold and taken without the action, for each piece at the list price.

        The price of the last known day stands to the end of its week; then the seller discounts week by week, oftener
        where the marketplace has a campaign.
        """
        out = self.outlook
        bounds = np.cumsum(out.chances[rows], axis=1)
        whole = sum(week.weight for week in weeks)
        pressed = self.surge.pressed(often)
        sold, taken = np.zeros(steep.shape), np.zeros(steep.shape)
        for week in weeks:
            if week.standing:
                off = np.broadcast_to(out.now[rows, None], steep.shape)
            else:
                pick, chance = np.stack([each.random((2, DRAWS)) for each in luck], axis=1)
                depth = np.zeros(steep.shape, np.int64)
                for k in range(bounds.shape[1] - 1):
                    depth += pick > bounds[:, k, None]
                off = np.where(chance < (pressed if week.campaign else often), out.depths[depth], 0.0)
            weight = week.weight / whole
            answer = _answer(off, steep)
            sold += weight * answer
            taken += weight * answer * (1 - off)
        return sold, taken

    def _offs(self, action: Action, place: dict[str, int]) -> tuple[float, ...]:
        if action.lever != Lever.PRICE or action.subject.kind != "product":
            raise BadInputError(
                "This is no action on the price of a product", got=action.key, allowed="the lever price"
            )
        if action.subject.id not in place:
            raise BadInputError(
                "Nothing is known of the product", got=action.subject.id, do="choose one that is on sale"
            )
        if not self.panel.list_price[place[action.subject.id]] > 0:
            raise BadInputError("The product is not on sale", got=action.subject.id, do="choose one that is on sale")
        offs = tuple(setting.dose.get("off", np.nan) for setting in action.menu)
        if not all(DEAREST <= off <= CHEAPEST for off in offs):
            raise BadInputError(
                "A share off the list price is out of range", got=offs, allowed=f"from {DEAREST} to {CHEAPEST}"
            )
        if action.days.first <= self.panel.last:
            raise BadInputError(
                "An action begins after the days that were learnt from", got=action.days, do="learn from earlier days"
            )
        return offs

    def _told(self, action: Action, row: int, worth: Worth, at: int) -> Action:
        menu = tuple(
            Setting(
                setting.dose, setting.cost,
                {party: _interval(worth.party[n, at, k]) for n, party in enumerate(PARTIES)},
                _interval(worth.joint[at, k]), float(worth.attributed[at, k]), _interval(worth.own[at, k]),
            )
            for k, setting in enumerate(action.menu)
        )  # fmt: skip
        best = int(np.argmax(worth.joint[at, :, 0]))
        expires = self.panel.last + timedelta(days=KEPT)
        why = self.sentence(row, worth, at, best, action)
        # A product of unknown cost counts with everybody's usual cost, which is an assumption.
        guessed = self.economics.margin is not None or bool(np.isnan(self.panel.cost[row]))
        grade = Evidence.ASSUMED if guessed else Evidence.OBSERVATIONAL
        return replace(action, menu=menu, evidence=grade, why=why, expires=expires)

    def sentence(self, row: int, worth: Worth, at: int, k: int, action: Action) -> str:
        """Return why a setting of an action is worth what it is, with the numbers."""
        off = action.menu[k].dose["off"]
        share, amount = (float(v[row]) for v in self.economics.joint)
        full, before = float(self.panel.list_price[row]), float(worth.before[at])

        def money(value: float, *, signed: bool = False) -> str:
            return human(value, "money", self.currency, signed=signed)

        low, high = worth.joint[at, k, 1:]
        beside_list = f"{human(abs(off), 'share')} {'off' if off > 0 else 'above'} " if off else ""
        at_price = f"{beside_list}the list price of {money(full)}"
        each, others = money(share * full * (1 - off) - amount), float(worth.elsewhere[at, k])
        beside = f", other products {money(abs(others))} {'more' if others > 0 else 'less'}"
        said = (
            f"At {at_price} it would sell about "
            f"{_pieces(worth.pieces[at, k])} pieces in {several(action.days.days, 'day')} instead of "
            f"{_pieces(worth.without[at])} at {human(before, 'share')} off as usual, and a piece would bring all "
            f"parties {each} instead of {money(share * full * (1 - before) - amount)}"
            f"{beside if round(others, 2) else ''}: {money(worth.joint[at, k, 0], signed=True)} in all "
            f"({money(low, signed=True)} to {money(high, signed=True)})"
        )
        if worth.beyond[at, k]:
            held = self.panel.held[row]
            said += f"; {held:,.0f} {'is' if held == 1 else 'are'} on hand, the rest must come in"
        margin = float(worth.break_even[at, k])
        if self.economics.margin is None or np.isnan(margin):
            return said + "."
        pays = worth.joint[at, k, 0] > 0
        above = (margin < self.economics.margin) == pays
        if not 0 < margin < 1:
            return f"{said}; it pays at {'any' if (margin <= 0) == above else 'no'} margin."
        return f"{said}; it pays at margins {'above' if above else 'below'} {human(margin, 'share')}."


def _pieces(count: float) -> str:
    return f"{count:,.1f}" if count >= 10 else f"{count:.2f}"


def _answer(off: Array | float, steep: Array) -> Array:
    """What a share off the list price sells for each piece that the list price sells."""
    return np.asarray(np.exp(np.minimum(-np.log1p(-np.asarray(off)) * steep, np.log(MOST))))


def _ends(draws: Array) -> Array:
    """[n, 3] mean and ends of draws [n, draws]."""
    low = int(np.floor((1 - LEVEL) / 2 * (draws.shape[1] - 1)))
    high = draws.shape[1] - 1 - low
    split = np.partition(draws, (low, high), axis=1)
    mean = draws.mean(axis=1)
    return np.stack([mean, np.minimum(split[:, low], mean), np.maximum(split[:, high], mean)], axis=1)


def _interval(ends: Array) -> Estimate:
    return Estimate(float(ends[0]), float(ends[1]), float(ends[2]), LEVEL)


def _sd(estimate: Estimate) -> float:
    return (estimate.high - estimate.low) / 3.29
