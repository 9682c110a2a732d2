"""Interplay: what a choice loses by another one, known before either is tried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tradewind.study import Action, Choice, Lever, Party, Setting

Array = NDArray[np.float64]
Ints = NDArray[np.int64]


class Interplay:
    """What choices take from each other where they meet: an order won at a marked-down price earns the discount less.

    A price action gives up `off` of the price of every piece that it touches, of those too that another action wins.
    Of a coupon, message or commission whose orders bring GMV a, a share s of which falls on marked-down products, that
    is a · s · off at most: a is its attributed GMV, more than what it truly wins, so that the loss is not understated.
    For actions on customers s is the marked-down product's share of the GMV that they may buy, their shop's or all;
    for an action on the product itself it is 1.

    Args:
        actions: All actions that may be chosen.
        sales: GMV of as many days as actions hold, by shop; under None that of the marketplace.

    Attributes:
        prices: [n] which actions are prices of products.
    """

    def __init__(self, actions: Sequence[Action], sales: Mapping[str | None, float]):
        width = max((len(action.menu) for action in actions), default=1)
        self._off, self._credited = (np.zeros((len(actions), width)) for _ in range(2))
        lever = np.array([action.lever == Lever.PRICE for action in actions], bool)
        product = np.array([action.subject.kind == "product" for action in actions], bool)
        self.prices, self._goods, self._others = lever & product, ~lever & product, ~lever & ~product
        shops: dict[str | None, int] = {None: 0}
        products: dict[str, int] = {}
        pairs: dict[tuple[str, str | None], int] = {}
        places = np.zeros((4, len(actions)), np.int64)
        for number, action in enumerate(actions):
            item, shop = action.subject.id, action.subject.shop
            places[:, number] = (
                shops.setdefault(shop, len(shops)), products.setdefault(item, len(products)),
                pairs.setdefault((item, shop), len(pairs)), pairs.setdefault((item, None), len(pairs)),
            )  # fmt: skip
            for place, setting in enumerate(action.menu):
                self._credited[number, place] = max(setting.attributed or 0.0, 0.0)
                if self.prices[number]:  # a dearer price gives up nothing
                    self._off[number, place] = max(setting.dose.get("off", 0.0), 0.0)
        self._shop, self._product, self._pair, self._anywhere = places
        self._counts = len(shops), len(products), len(pairs)
        base = np.array([sales.get(shop, 0.0) for shop in shops])
        self._per_sale = np.divide(1.0, base, out=np.zeros(len(base)), where=base > 0)

    def losses(self, places: Ints) -> Array:
        """Return what each choice loses by the others.

        Args:
            places: [n] setting of each action; −1 where it is not chosen.

        Returns:
            [n] money, 0 or more; 0 for price actions, whose own discount is in their own gain.
        """
        found = np.zeros(len(places))
        some = np.flatnonzero(places >= 0)
        found[some] = self._shares(places)[some] * self._credited[some, places[some]]
        return found

    def tolls(self, places: Ints) -> Array:
        """Return what every setting would cost in interplay beside what is chosen: its own loss, or the others' by it.

        Args:
            places: [n] setting of each action; −1 where it is not chosen.

        Returns:
            [n, m] money, 0 or more, m being the settings of the widest menu: of price actions what the others that are
            chosen would lose by it.
        """
        found = self._shares(places)[:, None] * self._credited
        goods, others = (np.flatnonzero((places >= 0) & of) for of in (self._goods, self._others))
        credited = self._credited[goods, places[goods]]
        by_product = np.bincount(self._product[goods], credited, self._counts[1])
        by_pair = np.bincount(self._pair[goods], credited, self._counts[2])
        per_shop = np.bincount(self._shop[others], self._credited[others, places[others]], self._counts[0])
        per_shop = per_shop * self._per_sale
        whole = self._shop == 0
        product = np.where(whole, by_product[self._product], by_pair[self._pair] + by_pair[self._anywhere])
        meets = per_shop[self._shop] + np.where(whole, 0.0, per_shop[0])
        some = self.prices
        found[some] = self._off[some] * (product[some, None] + meets[some, None] * self._credited[some])
        return found

    def _shares(self, places: Ints) -> Array:
        """Return of every action, [n], the share of what it brings that is lost at lower prices that are chosen."""
        found = np.zeros(len(places))
        some = np.flatnonzero((places >= 0) & self.prices)
        if not len(some):
            return found
        off = self._off[some, places[some]]
        given = off * self._credited[some, places[some]]
        by_shop = np.bincount(self._shop[some], given, self._counts[0])
        by_shop[0] = given.sum()  # what belongs to no shop meets all
        found[self._others] = np.minimum(1.0, by_shop * self._per_sale)[self._shop[self._others]]
        by_product, by_pair = np.zeros(self._counts[1]), np.zeros(self._counts[2])
        np.maximum.at(by_product, self._product[some], off)
        np.maximum.at(by_pair, self._pair[some], off)
        own = np.maximum(by_pair[self._pair], by_pair[self._anywhere])
        found[self._goods] = np.where(self._shop == 0, by_product[self._product], own)[self._goods]
        return found


def less(setting: Setting, loss: float) -> Setting:
    """Return a setting whose gain is smaller by what interplay takes; it falls on the merchant, who gives the price."""
    if not loss:
        return setting
    gain = {party: value.moved(-loss) if party == Party.MERCHANT else value for party, value in setting.gain.items()}
    joint, own = (None if each is None else each.moved(-loss) for each in (setting.joint, setting.own))
    return replace(setting, gain=gain, joint=joint, own=own)


def lessened(choice: Choice, loss: float) -> Choice:
    """Return a choice whose setting gains less by what interplay takes; the other settings of its menu stay."""
    if not loss:
        return choice
    menu, place = choice.action.menu, choice.place
    return Choice(replace(choice.action, menu=(*menu[:place], less(menu[place], loss), *menu[place + 1 :])), place)


def taken(choices: Sequence[Choice], sales: Mapping[str | None, float]) -> dict[str, float]:
    """Return what choices lose by each other, by the action's key; those that lose nothing are not named.

    Args:
        choices: What was picked, whatever was taken off its gains already.
        sales: As for `Interplay`.
    """
    lost = Interplay([c.action for c in choices], sales).losses(np.array([c.place for c in choices], np.int64))
    return {choice.action.key: loss for choice, loss in zip(choices, lost.tolist(), strict=True) if loss > 0}
