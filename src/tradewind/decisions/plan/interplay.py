"""Interplay: what a choice loses by another one, known before either is tried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tradewind.study import Action, Lever

Array = NDArray[np.float64]


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

    def losses(self, places: NDArray[np.int64]) -> Array:
        """Return what each choice loses by the others.

        Args:
            places: [n] setting of each action; −1 where it is not chosen.

        Returns:
            [n] money, 0 or more; 0 for price actions, whose own discount is in their own gain.
        """
        by_product: dict[str, list[tuple[str | None, float]]] = {}
        by_shop: dict[str | None, float] = {}
        for action, place in zip(self._actions, places.tolist(), strict=True):
            if place >= 0 and action.lever == Lever.PRICE and action.subject.kind == "product":
                off = max(action.menu[place].dose.get("off", 0.0), 0.0)  # a dearer one gives nothing up
                given = off * (action.menu[place].attributed or 0.0)
                by_product.setdefault(action.subject.id, []).append((action.subject.shop, off))
                for shop in {action.subject.shop, None}:
                    by_shop[shop] = by_shop.get(shop, 0.0) + given
        found = np.zeros(len(self._actions))
        if not by_product:
            return found
        for number, (action, place) in enumerate(zip(self._actions, places.tolist(), strict=True)):
            if place < 0 or action.lever == Lever.PRICE:
                continue
            credited = action.menu[place].attributed or 0.0
            if action.subject.kind == "product":
                share = self._off(by_product.get(action.subject.id, []), action.subject.shop)
            else:
                base = self._sales.get(action.subject.shop, 0.0)
                share = min(1.0, by_shop.get(action.subject.shop, 0.0) / base) if base > 0 else 0.0
            found[number] = credited * share
        return found

    @staticmethod
    def _off(given: Sequence[tuple[str | None, float]], shop: str | None) -> float:
        """What is off a product in a shop; without a shop of its own, an action is on the product in any."""
        return max((off for other, off in given if other is None or shop is None or other == shop), default=0.0)
