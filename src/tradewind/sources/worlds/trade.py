"""Trade: what is chosen becomes orders, as far as stock and payment allow, with what each party gets of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tradewind.sources.worlds.cast import RETURNS, Part
from tradewind.sources.worlds.state import State, Today

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

DAY = 86_400
FEE, PAYMENT = 0.06, 0.02
FREE_SHIPPING, SHIPPING, PARCEL, FURTHER = 25.0, 2.5, 3.0, 0.4
TAX = 0.08
PARTIES = ("merchant", "platform", "creator", "brand")
MOST_PIECES = 5


@dataclass
class Lines:
    """Order lines of one day, in the order in which they were placed; arrays are [lines].

    Args:
        columns: `customer`, `visit`, `line`, `second`, `surface`, `video`, `contract`, `paid_slot`, `live`, `product`,
            `quantity`, `price` (after the markdown), `coupon` (-1 for none), `off` (what it takes off the line),
            `paid`, `refunded`, `restocked` and money: `commission`, `shipping_paid`, `shipping_cost`.
    """

    columns: dict[str, NDArray[Any]]

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.columns[name]

    def __len__(self) -> int:
        return len(self.columns["product"])

    def where(self, kept: NDArray[np.bool_]) -> Lines:
        """Return some of the lines."""
        return Lines({name: column[kept] for name, column in self.columns.items()})


class Trade(Part):
    """Turns choices into order lines."""

    def lines(self, today: Today, state: State, chosen: dict[str, NDArray[Any]]) -> Lines:
        """Return the lines that stock allows, paid or not; the state is left as it was.

        Args:
            today: The day.
            state: The state.
            chosen: One row an order: `customer`, `visit`, `second`, `surface`, `video`, `contract`, `paid_slot`, `live`
                (-1 where it was in no room), `product` and `coupon`.
        """
        day, laws, products = today.day, self.laws, self.cast.products
        customer = chosen["customer"]
        more = self._further(today, chosen)
        rows = np.concatenate([np.arange(len(customer)), more])
        columns = {name: column[rows] for name, column in chosen.items()}
        line = np.repeat([0, 1], [len(customer), len(more)])
        columns["line"] = line
        columns["product"] = np.concatenate([chosen["product"], self._addition(chosen, more, day)])
        columns["coupon"] = np.where(line == 0, columns["coupon"], -1)
        columns["contract"] = np.where(line == 0, columns["contract"], -1)
        order = np.lexsort((line, columns["visit"], columns["customer"], columns["second"]))
        lines = Lines({name: column[order] for name, column in columns.items()})
        keys = (lines["customer"], day, lines["visit"])
        pieces = np.floor(np.log(self.draw.uniform("pieces", *keys, lines["line"])) / np.log(laws.pieces))
        lines.columns["quantity"] = 1 + np.minimum(pieces, MOST_PIECES - 1).astype(np.int64)
        region = self.cast.region[lines["customer"]].astype(np.int64)
        lines.columns["paid"] = self.draw.uniform("pays", *keys) >= today.unpaid[region]
        lines = lines.where(self._in_stock(lines, today, state))
        price = today.price[lines["product"]]
        lines.columns["price"] = price
        face = state.coupons["face"][np.maximum(lines["coupon"], 0)] if len(state.coupons) else np.zeros(len(lines))
        lines.columns["off"] = np.where(lines["coupon"] >= 0, np.minimum(face, 0.9 * price), 0.0).round(2)
        self._money(lines, state)
        each = (lines["customer"], day, lines["visit"], lines["line"])
        back = laws.refund * RETURNS[products.department[lines["product"]]]
        back = back * np.exp(-0.7 * products.make[lines["product"]])
        lines.columns["refunded"] = lines["paid"] & (self.draw.uniform("refund", *each) < np.minimum(back, 0.6))
        lines.columns["restocked"] = lines["refunded"] & (self.draw.uniform("restocked", *each) < 0.6)
        return lines

    def _further(self, today: Today, chosen: dict[str, NDArray[Any]]) -> Ints:
        u = self.draw.uniform("addition", chosen["customer"], today.day, chosen["visit"])
        return np.flatnonzero((u < self.laws.addition) & (chosen["product"] >= 0))

    def _addition(self, chosen: dict[str, NDArray[Any]], more: Ints, day: int) -> Ints:
        """A further product of the same shop."""
        keys = (chosen["customer"][more], day, chosen["visit"][more])
        shop = self.cast.products.shop[chosen["product"][more]]
        first, second = self.draw.uniform("further", *keys), self.draw.uniform("further alias", *keys)
        return self.cast.by_shop.draw(shop, first, second)

    def _in_stock(self, lines: Lines, today: Today, state: State) -> NDArray[np.bool_]:
        """Which lines stock allows: first come, first served; without its first line an order has no other."""
        product, count = lines["product"], len(lines)
        there = today.there[product] & (product >= 0)
        order = np.argsort(product, kind="stable")
        wanted = np.where(lines["paid"] & there, lines["quantity"], 0)[order]
        run = np.cumsum(wanted)
        starts = np.flatnonzero(np.r_[True, product[order][1:] != product[order][:-1]]) if count else np.empty(0, int)
        before = np.repeat(run[starts] - wanted[starts], np.diff(np.r_[starts, count]))
        enough = np.empty(count, bool)
        enough[order] = run - before <= state.stock[product[order]]
        kept = np.asarray(enough & there)
        key = lines["customer"] * 8 + lines["visit"]
        firsts = key[kept & (lines["line"] == 0)]
        doubled = np.zeros(count, bool)
        other = np.flatnonzero(lines["line"] == 1)
        if len(other):
            main = {int(k): int(p) for k, p in zip(key[lines["line"] == 0], product[lines["line"] == 0], strict=True)}
            doubled[other] = [main.get(int(key[n])) == int(product[n]) for n in other]
        return np.asarray(kept & np.isin(key, firsts) & ~doubled)

    def _money(self, lines: Lines, state: State) -> None:
        takings = lines["price"] * lines["quantity"]
        contract = lines["contract"]
        rate = state.contracts["rate"][np.maximum(contract, 0)] if len(state.contracts) else np.zeros(len(lines))
        lines.columns["commission"] = np.where(contract >= 0, takings * rate, 0.0).round(2)
        first = lines["line"] == 0
        lines.columns["shipping_paid"] = np.where(first & (takings < FREE_SHIPPING), SHIPPING, 0.0)
        lines.columns["shipping_cost"] = np.where(first, PARCEL, 0.0) + FURTHER * (lines["quantity"] - first)

    def profit(self, lines: Lines, state: State, weight: Array | None = None) -> Array:
        """Return what each party makes of each line in the end, refunds included: [lines, parties].

        Args:
            lines: The lines.
            state: The state, for coupons and contracts.
            weight: [lines] chance that a line comes back in the end, in place of whether it does.
        """
        products = self.cast.products
        product, quantity = lines["product"], lines["quantity"]
        back = lines["refunded"].astype(float) if weight is None else weight
        kept_cost = products.cost[product] * quantity * (1 - (lines["restocked"] if weight is None else 0.6 * weight))
        takings = lines["price"] * quantity
        coupon, contract = np.maximum(lines["coupon"], 0), np.maximum(lines["contract"], 0)
        by_platform = state.coupons["platform"][coupon] if len(state.coupons) else np.zeros(len(lines))
        by_brand = state.coupons["brand"][coupon] if len(state.coupons) else np.zeros(len(lines))
        off = lines["off"]
        stays = 1 - back
        gmv = takings - off * (1 - by_platform - by_brand)
        commission = lines["commission"] * stays
        shared = commission * (state.contracts["platform"][contract] if len(state.contracts) else 0.0)
        fee = FEE * takings * stays
        merchant = gmv * stays - kept_cost - commission + shared - fee - PAYMENT * takings
        merchant = merchant + lines["shipping_paid"] - lines["shipping_cost"] - back * RETURN_COST
        platform = fee - off * by_platform * stays - shared
        brand = -off * by_brand * stays
        return np.asarray(np.stack([merchant, platform, commission, brand], axis=1) * lines["paid"][:, None])

    def settle(self, lines: Lines, state: State, today: Today) -> None:
        """Let the day's lines change the state: stock, habit, satiation, pace and what buyers are used to pay."""
        products = self.cast.products
        paid = lines.where(lines["paid"])
        sold = np.bincount(paid["product"], paid["quantity"], len(state.stock))
        state.stock = state.stock - sold.astype(np.int64)
        state.pace = np.where(state.listed <= state.day, 0.93 * state.pace + 0.07 * sold, state.pace)
        state.reference = 0.93 * state.reference + 0.07 * np.log(today.price)
        state.habit *= np.float32(0.985)
        state.recent *= np.float32(0.88)
        first = paid["line"] == 0
        customer, department = paid["customer"][first], products.department[paid["product"][first]]
        np.add.at(state.habit, (customer, department), np.float32(0.5))
        np.add.at(state.recent, (customer, department), np.float32(1.0))
        state.last_shop[customer] = products.shop[paid["product"][first]]
        np.add.at(state.orders, customer, 1)
        state.ordered[customer] = state.day
        used = np.flatnonzero(paid["coupon"] >= 0)
        for n in used:  # a coupon is used once
            who = paid["customer"][n]
            state.held[who, state.held[who] == paid["coupon"][n]] = -1


RETURN_COST = 2.0
