"""Payoff: what an order is worth to each party in expectation, over its pieces, payment aside, and what comes back."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tradewind.sources.worlds.cast import FAME, RETURNS
from tradewind.sources.worlds.state import Today
from tradewind.sources.worlds.trade import FREE_SHIPPING, FURTHER, MOST_PIECES, PARCEL, PARTIES, SHIPPING, Lines
from tradewind.sources.worlds.world import World

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

MERCHANT = PARTIES.index("merchant")


class Payoff:
    """Expected profit of orders in a world, by party.

    Args:
        world: The world, as it goes on.
    """

    def __init__(self, world: World):
        self.world = world
        products = world.cast.products
        weight = np.exp(FAME * products.appeal)
        self._own = weight / np.bincount(products.shop, weight, world.preset.shops)[products.shop]
        back = world.preset.laws.refund * RETURNS[products.department] * np.exp(-0.7 * products.make)
        self.back = np.minimum(back, 0.6)
        each = world.preset.laws.pieces
        self.pieces = sum(each**n for n in range(MOST_PIECES))  # mean pieces of a line
        self._day = -1

    def of(self, today: Today, product: Ints, contract: Ints, coupon: Ints, price: Array | None = None) -> Array:
        """Return the expected profit of a paid order that begins with a product: [n, parties].

        Args:
            today: The day.
            product: [n] the product.
            contract: [n] number of the contract under which it is sold, -1 for none.
            coupon: [n] number of the coupon that is used, -1 for none.
            price: [n] price, in place of the day's.
        """
        if self._day != today.day:
            self._day, self._shops = today.day, self._further(today)
        shop = self.world.cast.products.shop[product]
        more = self._shops[shop] - self._own[product][:, None] * self._single[product]
        prices = today.price[product] if price is None else price
        return self._line(product, contract, coupon, prices) + self.world.preset.laws.addition * more

    def _line(self, product: Ints, contract: Ints, coupon: Ints, price: Array, first: bool = True) -> Array:
        """Expected profit of a paid line, [n, parties], over its pieces and whether it comes back."""
        world, laws = self.world, self.world.preset.laws
        faces = world.state.coupons["face"]
        face = faces[np.maximum(coupon, 0)] if len(faces) else np.zeros(len(product))
        rates = world.state.contracts["rate"][np.maximum(contract, 0)] if len(world.state.contracts) else 0.0
        few = [
            Lines({
                "product": product, "quantity": np.full(len(product), pieces), "price": price, "coupon": coupon,
                "contract": contract, "off": np.where(coupon >= 0, np.minimum(face, 0.9 * price), 0.0).round(2),
                "paid": np.ones(len(product), bool), "refunded": np.zeros(len(product), bool),
                "restocked": np.zeros(len(product), bool),
                "commission": np.where(contract >= 0, price * pieces * rates, 0.0).round(2),
                "shipping_paid": np.zeros(len(product)),
                "shipping_cost": np.full(len(product), PARCEL * first + FURTHER * (pieces - first)),
            })
            for pieces in (1, 2)
        ]  # fmt: skip
        one, two = (world.trade.profit(lines, world.state, weight=self.back[product]) for lines in few)
        whole = np.asarray(one + (self.pieces - 1) * (two - one))  # linear in pieces, but for what buyers pay to ship
        if first:
            enough = np.ceil(FREE_SHIPPING / price)  # pieces that ship free
            whole[:, MERCHANT] += SHIPPING * np.where(enough > MOST_PIECES, 1.0, 1 - laws.pieces ** (enough - 1))
        return whole

    def _further(self, today: Today) -> Array:
        """Expected profit of a further line of each shop, [shops, parties], as the urn draws it."""
        products, shops = self.world.cast.products, self.world.preset.shops
        every, none = np.arange(len(products.price)), np.full(len(products.price), -1, np.int64)
        self._single = self._line(every, none, none, today.price, first=False) * today.there[:, None]
        parts = [np.bincount(products.shop, self._own * self._single[:, n], shops) for n in range(len(PARTIES))]
        return np.stack(parts, axis=1)
