"""Receipts: orders and what follows from them, as rows of the canonical tables."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tradewind.sources.worlds.airtime import FORMS, RELATIONS
from tradewind.sources.worlds.grants import Grants
from tradewind.sources.worlds.ids import Chapter, Ids, hexed, numbered, orders
from tradewind.sources.worlds.preset import SURFACES
from tradewind.sources.worlds.sheets import Sheets, money, words
from tradewind.sources.worlds.state import State, Today
from tradewind.sources.worlds.trade import DAY, FEE, PAYMENT, RETURN_COST, TAX, Lines
from tradewind.sources.worlds.world import Day, World

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

REASONS = ("does not fit", "not as described", "damaged", "changed mind", "late")
STATUSES = ("placed", "paid", "cancelled", "shipped", "delivered")


class Receipts(Chapter):
    """Writes orders down, and later their deliveries, refunds and reviews.

    Args:
        world: The world.
        sheets: Where rows go.
        ids: How things are named.
        grants: Told which coupons were used.
    """

    def __init__(self, world: World, sheets: Sheets, ids: Ids, grants: Grants):
        super().__init__(world, sheets, ids)
        self.grants = grants
        self._pending: dict[str, list[dict[str, NDArray[Any]]]] = {}

    def orders(self, today: Today, state: State, day: Day) -> None:
        """Take a day's order lines, and keep what will follow from them."""
        lines, products = day.lines, self.cast.products
        if not len(lines):
            return
        order = (today.day * 8 + lines["visit"]) * 10_000_000 + lines["customer"]
        names = orders(order)
        second = today.day * DAY + lines["second"]
        product, quantity, line = lines["product"], lines["quantity"], lines["line"]
        lists, price, off = products.price[product], lines["price"], lines["off"]
        contract, live = lines["contract"], lines["live"]
        first = line == 0
        contents = first & lines["video"]
        takings = price * quantity
        in_room = live >= 0
        creator = np.where(contract >= 0, state.contracts["creator"][np.maximum(contract, 0)], -1)
        form = np.where(in_room, 2, lines["video"].astype(int))
        share = np.where(contract >= 0, state.contracts["platform"][np.maximum(contract, 0)], np.nan)
        self.sheets.add(
            "order_lines", second, order_id=names, line=line, ordered_at=self.clock.utc(second),
            known_at=self.clock.utc(second), customer_id=self.ids.customers.of(lines["customer"]),
            shop_id=self.ids.shops.of(products.shop[product]), product_id=self.ids.products.of(product),
            quantity=quantity,
            unit_price=money(lists), unit_cost=money(products.cost[product]), tax=money(TAX * takings),
            shipping_paid=money(lines["shipping_paid"]), shipping_cost=money(lines["shipping_cost"]),
            commission=money(lines["commission"]), commission_platform_share=pa.array(share, mask=np.isnan(share)),
            platform_fee=money(FEE * takings), payment_fee=money(PAYMENT * takings),
            surface=words(SURFACES, lines["surface"]), form=words(FORMS, form),
            relation=words(RELATIONS, (contract >= 0).astype(int)), creator_id=self.ids.creators.of(creator),
            live_id=numbered("l", live),
            content_id=self.ids.content(product, np.where(first, contract, -1), contents),
            ad_id=numbered("a", np.where(lines["paid_slot"] & first, product, -1)),
        )  # fmt: skip
        number = ((lines["customer"] * 512 + today.day) * 8 + lines["visit"]) * 64 + 60 + line
        self.sheets.add(
            "events", second, event_id=hexed("e", number), at=self.clock.utc(second), known_at=self.clock.utc(second),
            customer_id=self.ids.customers.of(lines["customer"]), product_id=self.ids.products.of(product),
            shop_id=self.ids.shops.of(products.shop[product]), surface=words(SURFACES, lines["surface"]),
            form=words(FORMS, form), creator_id=self.ids.creators.of(creator),
            live_id=numbered("l", live),
            content_id=self.ids.content(product, np.where(first, contract, -1), contents),
            kind=pa.repeat("order", len(lines)), sampling_rate=np.ones(len(lines)),
        )  # fmt: skip
        self._discounts(state, lines, names, (lists - price) * quantity, off)
        self._statuses(today, lines, order, second)
        self._reimbursed(today, state, lines, order, second)
        used = lines["paid"] & (lines["coupon"] >= 0)
        self.grants.used(lines["coupon"][used], lines["customer"][used], order[used])

    def _discounts(self, state: State, lines: Lines, names: pa.Array, markdown: Array, off: Array) -> None:
        marked = np.flatnonzero(markdown.round(4) > 0)
        self.sheets.add(
            "order_discounts", order_id=names.take(pa.array(marked)), line=lines["line"][marked],
            n=np.zeros(len(marked), np.int64), payer=pa.repeat("merchant", len(marked)),
            kind=pa.repeat("promotion", len(marked)), amount=money(markdown[marked]),
        )  # fmt: skip
        used = np.flatnonzero(off > 0)
        if not len(used):
            return
        coupon = lines["coupon"][used]
        platform, brand = state.coupons["platform"][coupon], state.coupons["brand"][coupon]
        parts = {"platform": platform, "brand": brand, "merchant": 1 - platform - brand}
        paid = np.zeros(len(used))
        for n, (payer, share) in enumerate(parts.items()):
            amount = (off[used] - paid) if n == 2 else (off[used] * share).round(4)
            paid = paid + amount
            here = amount.round(4) > 0
            count = int(here.sum())
            self.sheets.add(
                "order_discounts", order_id=names.take(pa.array(used[here])), line=lines["line"][used][here],
                n=np.full(count, n + 1), payer=pa.repeat(payer, count), kind=pa.repeat("coupon", count),
                coupon_id=numbered("u", coupon[here]), amount=money(amount[here]),
            )  # fmt: skip

    def _statuses(self, today: Today, lines: Lines, order: Ints, second: Ints) -> None:
        keys = (lines["customer"], today.day, lines["visit"])
        paid = lines["paid"]
        shipped = second + (DAY * (0.4 + 1.4 * self.draw.uniform("ships", *keys))).astype(np.int64)
        delivered = shipped + (DAY * (1.2 + 4.0 * self.draw.uniform("delivers", *keys))).astype(np.int64)
        steps = (
            ("placed", second, np.ones(len(second), bool)), ("paid", second + 20, paid),
            ("cancelled", second + 1800, ~paid), ("shipped", shipped, paid), ("delivered", delivered, paid),
        )  # fmt: skip
        for status, at, here in steps:
            self._later("order_status", second=at[here], order=order[here], line=lines["line"][here],
                        status=np.full(int(here.sum()), STATUSES.index(status)))  # fmt: skip
        rated = np.flatnonzero(paid & (self.draw.uniform("rates", *keys, lines["line"]) < 0.09))
        product = lines["product"][rated]
        mood = 4.2 + 0.7 * self.cast.products.make[product]
        mood += 0.9 * self.draw.normal("stars", lines["customer"][rated], today.day, lines["visit"][rated])
        stars = np.clip(np.round(mood - 1.5 * lines["refunded"][rated]), 1, 5)
        author = (lines["customer"][rated], today.day, lines["visit"][rated])
        written = delivered[rated] + (DAY * 3 * self.draw.uniform("writes", *author)).astype(np.int64)
        self._later("reviews", second=written, number=_each(today, lines, rated), order=order[rated], product=product,
                    stars=stars)  # fmt: skip

    def _reimbursed(self, today: Today, state: State, lines: Lines, order: Ints, second: Ints) -> None:
        back = np.flatnonzero(lines["refunded"])
        if not len(back):
            return
        keys = (lines["customer"][back], today.day, lines["visit"][back], lines["line"][back])
        after = (DAY * (4 + 12 * self.draw.uniform("refund after", *keys) ** 1.5)).astype(np.int64)
        off, coupon = lines["off"][back], np.maximum(lines["coupon"][back], 0)
        funded = np.zeros(len(back))
        if len(state.coupons):
            funded = off * (state.coupons["platform"][coupon] + state.coupons["brand"][coupon])
        takings = lines["price"][back] * lines["quantity"][back]
        self._later(
            "refunds", second=second[back] + after, number=_each(today, lines, back), order=order[back],
            line=lines["line"][back], quantity=lines["quantity"][back], amount=takings - off, funded=funded,
            commission=lines["commission"][back], fee=FEE * takings, restocked=lines["restocked"][back],
            reason=np.floor(len(REASONS) * self.draw.uniform("reason", *keys)).astype(np.int64),
            product=lines["product"][back], customer=lines["customer"][back],
        )  # fmt: skip

    def _later(self, table: str, **columns: NDArray[Any]) -> None:
        """Keep numbers until the day on which they happen; what happens after the last day is not known yet."""
        if len(columns["second"]):
            self._pending.setdefault(table, []).append(columns)

    def until(self, until: int) -> None:
        """Write what has happened before a second of the world."""
        told = {"order_status": self._status_rows, "reviews": self._review_rows, "refunds": self._refund_rows}
        for table, pages in self._pending.items():
            kept = {name: np.concatenate([page[name] for page in pages]) for name in pages[0]}
            now = kept["second"] < until
            rows = {name: column[now] for name, column in kept.items()}
            if now.any():
                self.sheets.add(table, rows["second"], **told[table](rows, self.clock.utc(rows["second"])))
            self._pending[table] = [{name: column[~now] for name, column in kept.items()}]

    def _status_rows(self, rows: dict[str, NDArray[Any]], moment: pa.Array) -> dict[str, Any]:
        return {
            "order_id": orders(rows["order"]), "line": rows["line"], "status": words(STATUSES, rows["status"]),
            "at": moment, "known_at": moment,
        }  # fmt: skip

    def _review_rows(self, rows: dict[str, NDArray[Any]], moment: pa.Array) -> dict[str, Any]:
        product = rows["product"]
        return {
            "review_id": numbered("w", rows["number"], 12), "order_id": orders(rows["order"]),
            "product_id": self.ids.products.of(product),
            "shop_id": self.ids.shops.of(self.cast.products.shop[product]), "rating": rows["stars"],
            "text": self.wording.reviews(rows["stars"], product), "at": moment,
        }  # fmt: skip

    def _refund_rows(self, rows: dict[str, NDArray[Any]], moment: pa.Array) -> dict[str, Any]:
        product = rows["product"]
        return {
            "refund_id": numbered("r", rows["number"], 12), "order_id": orders(rows["order"]), "line": rows["line"],
            "quantity": rows["quantity"], "amount": money(rows["amount"]), "subsidy_reversed": money(rows["funded"]),
            "commission_reversed": money(rows["commission"]), "fee_reversed": money(rows["fee"]),
            "restocked": rows["restocked"], "return_shipping": money(np.full(len(product), RETURN_COST)),
            "reason": words(REASONS, rows["reason"]), "shop_id": self.ids.shops.of(self.cast.products.shop[product]),
            "product_id": self.ids.products.of(product), "customer_id": self.ids.customers.of(rows["customer"]),
            "refunded_at": moment, "known_at": moment,
        }  # fmt: skip

    def held(self) -> dict[str, Any]:
        """Return what is kept for later days."""
        return {"pending": self._pending}

    def hold(self, held: dict[str, Any]) -> None:
        """Take up what was kept."""
        self._pending = held["pending"]


def _each(today: Today, lines: Lines, which: Ints) -> Ints:
    """A number for each of some lines that no other line of any day has."""
    order = (today.day * 8 + lines["visit"][which]) * 20_000_000
    return np.asarray(order + 2 * lines["customer"][which] + lines["line"][which])
