"""Interplay: what a choice loses by another one, known before either is tried."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tradewind.study import Action, Lever, Setting

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
    """

    def __init__(self, actions: Sequence[Action], sales: Mapping[str | None, float]):
        self._actions = actions
        self._sales = sales

    def losses(self, places: Ints) -> Array:
        """Return what each choice loses by the others.

        Args:
            places: [n] setting of each action; −1 where it is not chosen.

        Returns:
            [n] money, 0 or more; 0 for price actions, whose own discount is in their own gain.
        """
        found = np.zeros(len(self._actions))
        some = np.flatnonzero(places >= 0)
        shares = self._shares(places, some)
        for number, share in zip(some.tolist(), shares.tolist(), strict=True):
            if share:
                found[number] = share * (self._actions[number].menu[places[number]].attributed or 0.0)
        return found

    def tolls(self, places: Ints, width: int) -> Array:
        """Return what every setting would cost in interplay beside what is chosen: its own loss, or the others' by it.

        Args:
            places: [n] setting of each action; −1 where it is not chosen.
            width: Settings of the widest menu, m.

        Returns:
            [n, m] money, 0 or more: of price actions what the others that are chosen would lose by it.
        """
        found = np.zeros((len(self._actions), width))
        shares = self._shares(places, np.arange(len(self._actions)))
        on_product, in_shop = self._credited(places)
        for number, (action, share) in enumerate(zip(self._actions, shares.tolist(), strict=True)):
            if _is_price(action):
                product = _sum_of(on_product.get(action.subject.id, []), action.subject.shop)
                meets = sum(
                    in_shop.get(shop, 0.0) / self._sales[shop]
                    for shop in {action.subject.shop, None}
                    if self._sales.get(shop, 0.0) > 0
                )
                for place, setting in enumerate(action.menu if product or meets else ()):
                    found[number, place] = _off(setting) * (product + meets * (setting.attributed or 0.0))
            elif share:
                found[number, : len(action.menu)] = [share * (setting.attributed or 0.0) for setting in action.menu]
        return found

    def _shares(self, places: Ints, some: Ints) -> Array:
        """Return of some actions the share of what they bring that is lost at lower prices that are chosen."""
        by_product: dict[str, list[tuple[str | None, float]]] = {}
        by_shop: dict[str | None, float] = {}
        for action, place in self._chosen(places):
            if _is_price(action):
                off = _off(action.menu[place])
                given = off * (action.menu[place].attributed or 0.0)
                by_product.setdefault(action.subject.id, []).append((action.subject.shop, off))
                for shop in {action.subject.shop, None}:
                    by_shop[shop] = by_shop.get(shop, 0.0) + given
        found = np.zeros(len(some))
        if not by_product:
            return found
        for number, action in enumerate(self._actions[n] for n in some.tolist()):
            shop = action.subject.shop
            if action.lever == Lever.PRICE:
                continue
            if action.subject.kind == "product":
                met = (off for other, off in by_product.get(action.subject.id, []) if _meet(other, shop))
                found[number] = max(met, default=0.0)
            elif (base := self._sales.get(shop, 0.0)) > 0:
                found[number] = min(1.0, by_shop.get(shop, 0.0) / base)
        return found

    def _credited(self, places: Ints) -> tuple[dict[str, list[tuple[str | None, float]]], dict[str | None, float]]:
        """Return the GMV that chosen actions are credited with, by product, and of those on customers by shop."""
        on_product: dict[str, list[tuple[str | None, float]]] = {}
        in_shop: dict[str | None, float] = {}
        for action, place in self._chosen(places):
            credited, shop = action.menu[place].attributed or 0.0, action.subject.shop
            if action.lever == Lever.PRICE:
                continue
            if action.subject.kind == "product":
                on_product.setdefault(action.subject.id, []).append((shop, credited))
            else:
                in_shop[shop] = in_shop.get(shop, 0.0) + credited
        return on_product, in_shop

    def _chosen(self, places: Ints) -> Iterator[tuple[Action, int]]:
        for number in np.flatnonzero(places >= 0).tolist():
            yield self._actions[number], int(places[number])


def _is_price(action: Action) -> bool:
    return action.lever == Lever.PRICE and action.subject.kind == "product"


def _off(setting: Setting) -> float:
    """What a price gives up; a dearer one gives up nothing."""
    return max(setting.dose.get("off", 0.0), 0.0)


def _meet(one: str | None, other: str | None) -> bool:
    """Whether two actions on a product meet: without a shop of its own, one is on the product in any."""
    return one is None or other is None or one == other


def _sum_of(credited: Sequence[tuple[str | None, float]], shop: str | None) -> float:
    return sum(value for other, value in credited if _meet(other, shop))
