"""Offer: what can be done in the arena, with what each setting draws from a budget by one rule for all policies.

Nothing here knows the truth: subjects, segments and costs come from the history that anybody can see. A policy may set
a lever only as the offer says, so that all policies compete under the same budgets.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from tradewind.arena import history
from tradewind.arena.history import Known
from tradewind.engines.store import Store
from tradewind.period import Period
from tradewind.study import Action, Assignment, Lever, Party, Setting, Subject

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

DAYS = 28
COUPON_DAYS = 14
OFF = (0.1, 0.2, 0.3)
RATES = (0.1, 0.2, 0.3)
BUDGETS = (0.05, 0.2, 0.8)
EFFORTS = (1.0,)
COUPONS = ((2.0, 8.0), (5.0, 20.0))
MESSAGE, LISTING = 0.05, 20.0
"""Prices of the marketplace: of a message, and of a unit of effort for a listing."""
LEAST_PIECES = 0.25  # pieces that a product is taken to sell when it sold none: nothing is free of cost
PLATFORM_BUDGET, MERCHANT_BUDGET = 0.015, 0.03
"""Budgets as shares of the gross sales of the last weeks."""
LEVERS = (Lever.PRICE, Lever.COMMISSION, Lever.TRAFFIC, Lever.LISTING, Lever.COUPON, Lever.OUTREACH)


@dataclass(frozen=True)
class Offer:
    """What a policy may do, and what it knows.

    Args:
        store: The history.
        days: When actions hold.
        products: What is known of products.
        customers: What is known of customers.
        segment: [customers] segment of each customer.
        actions: Every action that can be taken, its settings with costs but without gains.
        unit: Of each action, the number of its product among `products` or of its segment.
        budgets: What each payer may spend.
    """

    store: Store
    days: Period
    products: Known
    customers: Known
    segment: Ints
    actions: tuple[Action, ...]
    unit: tuple[int, ...]
    budgets: dict[Party, float]

    def settings(self) -> Iterator[tuple[int, int, Setting]]:
        """Yield every setting with the numbers of its action and of its place in the menu."""
        for number, action in enumerate(self.actions):
            for place, setting in enumerate(action.menu):
                yield number, place, setting


def offer(store: Store, levers: Sequence[Lever] = LEVERS) -> Offer:
    """Return what can be done with these levers on the day after the last of a store's history."""
    first = store.span.last + timedelta(days=1)
    days = Period(first, first + timedelta(days=DAYS - 1))
    goods, people = history.products(store), history.customers(store)
    segment = segments(people)
    everything = (*_on_products(goods, days), *_on_customers(people, segment, days))
    found = [(action, unit) for action, unit in everything if action.lever in levers]
    gross = float(goods["gross"].sum())
    budgets = {Party.PLATFORM: PLATFORM_BUDGET * gross, Party.MERCHANT: MERCHANT_BUDGET * gross}
    return Offer(
        store, days, goods, people, segment, tuple(action for action, _ in found), tuple(unit for _, unit in found),
        budgets,
    )  # fmt: skip


def segments(people: Known) -> Ints:
    """Return the segment of each customer: by orders, how long ago the last was, spending, coupons used, and visits."""
    orders = np.digitize(people["orders"], [1, 2, 4])
    away = np.digitize(people["away"], [15, 43])
    often = np.digitize(people["days_seen"], [3, 8])
    spend = people["gross"] / np.maximum(people["orders"], 1)
    dear = (spend > np.median(spend[orders > 0])).astype(int) if (orders > 0).any() else np.zeros(len(spend), int)
    uses = (people["redeemed"] > 0).astype(int)
    bought = orders > 0
    return np.asarray(orders + 4 * np.where(bought, away + 3 * (dear + 2 * uses), 0) + 48 * often)


def _on_products(goods: Known, days: Period) -> Iterator[tuple[Action, int]]:
    pieces = np.maximum(goods["units"], LEAST_PIECES)
    usual = goods["list_price"] * pieces
    through = np.maximum(goods["creator_gross"], LEAST_PIECES * goods["list_price"])
    for n, (name, shop) in enumerate(zip(goods.ids, goods.shops, strict=True)):
        subject = Subject("product", name, shop)
        menus: dict[Lever, list[tuple[dict[str, float], float]]] = {
            Lever.PRICE: [({"off": off}, off * float(usual[n])) for off in OFF],
            Lever.TRAFFIC: [({"budget": budget}, budget * DAYS) for budget in BUDGETS],
            Lever.LISTING: [({"effort": effort}, effort * LISTING) for effort in EFFORTS],
            Lever.COMMISSION: [
                ({"rate": rate, "platform": 0.0}, (rate - float(goods["rate"][n])) * float(through[n]))
                for rate in RATES
                if goods["contracts"][n] > 0 and rate > goods["rate"][n]
            ],
        }
        for lever, menu in menus.items():
            if menu:
                settings = tuple(Setting(dose, {Party.MERCHANT: cost}) for dose, cost in menu)
                yield Action(f"{lever}-{name}", lever, subject, days, settings), n


def _on_customers(people: Known, segment: Ints, days: Period) -> Iterator[tuple[Action, int]]:
    ids = np.array(people.ids)
    overall = people["redeemed"].sum() / max(people["granted"].sum(), 1.0)
    for number in np.unique(segment).tolist():
        mine = segment == number
        units = ids[mine].tolist()
        granted, redeemed = people["granted"][mine].sum(), people["redeemed"][mine].sum()
        used = (redeemed + 50 * overall) / (granted + 50)
        for lever in (Lever.COUPON, Lever.OUTREACH):
            name = f"{lever}-segment-{number:03d}"
            menu = (
                tuple(
                    Setting({"face": face, "threshold": threshold, "platform": 1.0, "brand": 0.0},
                            {Party.PLATFORM: face * used * len(units)})
                    for face, threshold in COUPONS
                )
                if lever == Lever.COUPON
                else (Setting({}, {Party.PLATFORM: MESSAGE * len(units)}),)
            )  # fmt: skip
            last = days.first + timedelta(days=COUPON_DAYS - 1)
            held = Period(days.first, last) if lever == Lever.COUPON else days
            yield (
                Action(name, lever, Subject("customers", name), held, menu, assignment=Assignment(name, units)),
                number,
            )
