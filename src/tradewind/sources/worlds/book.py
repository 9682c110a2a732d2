"""The book of a world: each day as rows of the canonical tables, as a marketplace would have logged it."""

from __future__ import annotations

from datetime import datetime, time
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tradewind.sources.worlds.airtime import CARTS, FORMS, RELATIONS, Airtime
from tradewind.sources.worlds.conduct import IMPRESSION_COST
from tradewind.sources.worlds.ids import Ids, hexed, numbered
from tradewind.sources.worlds.moves import MESSAGE_COST
from tradewind.sources.worlds.preset import SURFACES
from tradewind.sources.worlds.receipts import Receipts
from tradewind.sources.worlds.register import Register
from tradewind.sources.worlds.rooms import Rooms, Viewers
from tradewind.sources.worlds.sheets import Clock, Sheets, money, words
from tradewind.sources.worlds.state import State, Today
from tradewind.sources.worlds.trade import DAY, Lines
from tradewind.sources.worlds.wording import Wording
from tradewind.sources.worlds.world import Day, Shown, World

Ints = NDArray[np.int64]

WINDOW = 7  # days for which an advertisement is credited with whatever its viewer buys of the product


class Book:
    """Writes the days of a world down.

    Args:
        world: The world.
        sheets: Where rows go.
    """

    def __init__(self, world: World, sheets: Sheets):
        self.world = world
        self.cast = world.cast
        self.draw = world.streams
        self.sheets = sheets
        self.clock = sheets.clock
        self.ids = Ids(world)
        self.wording = Wording(world.cast)
        self.airtime = Airtime(world, sheets, self.ids)
        self.receipts = Receipts(world, sheets, self.ids)
        self.register = Register(world, sheets, self.ids)
        self._traffic: list[dict[str, Any]] = []
        self._advertised: list[tuple[int, Ints]] = []
        self._ads: list[tuple[Ints, Ints, Ints]] = []
        self._views = np.zeros(0, np.int64)

    def shown(self, today: Today, block: Shown) -> None:
        """Take one block of a day's sessions: traffic, events, and what was advertised to whom."""
        sessions, slates = block.sessions, block.slates
        row, slot = np.nonzero(slates.product >= 0)
        product = slates.product[row, slot]
        clicked = block.clicked[row, slot]
        bought = block.chosen[row] == slot
        keys = (sessions.customer[row], today.day, sessions.visit[row], product)
        carted = clicked & ((self.draw.uniform("cart", *keys) < CARTS) | bought)
        second = sessions.second[row]
        seen = {
            "hour": second // 3600, "product": product, "surface": sessions.surface[row],
            "form": slates.video[row, slot].astype(np.int64), "contract": slates.contract[row, slot],
            "clicks": clicked.astype(np.int64), "carts": carted.astype(np.int64),
        }  # fmt: skip
        self._traffic.append(seen)
        self._events(today, block, row, slot, clicked, carted)
        paid = slates.paid[row, slot]
        if paid.any():
            pair = sessions.customer[row][paid] * len(self.cast.products.price) + product[paid]
            self._advertised.append((today.day, pair))
            self._ads.append((second[paid] // 3600, product[paid], clicked[paid].astype(np.int64)))

    def _events(self, today: Today, block: Shown, row: Ints, slot: Ints, clicked: Any, carted: Any) -> None:
        """Clicks and carts of sessions, all of them; of impressions a sample with its rate."""
        sessions, slates, rate = block.sessions, block.slates, self.world.preset.impressions
        kept = self.draw.uniform("logged", sessions.customer[row], today.day, sessions.visit[row], slot) < rate
        for place, (kind, chosen, chance) in enumerate(
            (("impression", kept, rate), ("click", clicked, 1.0), ("cart", carted, 1.0))
        ):
            at, where = row[chosen], slot[chosen]
            if not len(at):
                continue
            customer, product = sessions.customer[at], slates.product[at, where]
            contract, video = slates.contract[at, where], slates.video[at, where]
            second = today.day * DAY + sessions.second[at] + (10 * place if place else 0)
            number = ((customer * 512 + today.day) * 8 + sessions.visit[at]) * 64 + where * 4 + place
            self.sheets.add(
                "events", second, event_id=hexed("e", number), at=self.clock.utc(second),
                known_at=self.clock.utc(second), customer_id=self.ids.customers.of(customer),
                product_id=self.ids.products.of(product), shop_id=self.ids.shops.of(self.cast.products.shop[product]),
                surface=words(SURFACES, sessions.surface[at]), form=words(FORMS, video.astype(int)),
                creator_id=self.ids.creator_of(contract), content_id=self.ids.content(product, contract, video),
                kind=pa.array([kind] * len(at)), sampling_rate=np.full(len(at), chance),
            )  # fmt: skip

    def live(self, today: Today, rooms: Rooms, viewers: Viewers, lines: Lines) -> None:
        """Take a day's rooms, who watched them, and the day's order lines."""
        self.airtime.live(today, rooms, viewers, lines)

    def done(self, today: Today, state: State, day: Day) -> None:
        """Take what a day came to, after all else of it: orders and what follows from them, traffic, stock."""
        self._flush_traffic(today)
        self.receipts.orders(today, state, day)
        self._flush_ads(today, day)
        self.receipts.until((today.day + 1) * DAY)
        there = np.flatnonzero(state.listed <= today.day)
        self.sheets.add(
            "inventory", product_id=self.ids.products.of(there),
            shop_id=self.ids.shops.of(self.cast.products.shop[there]),
            day=self.clock.day(np.full(len(there), today.day * DAY)), on_hand=state.stock[there],
        )  # fmt: skip
        self.register.versions(today, state)
        self._decisions()

    def close(self, state: State) -> None:
        """Write what is known only at the end."""
        self.register.close(state, self.airtime.grants, self.receipts.redeemed, self._views)

    def _flush_traffic(self, today: Today) -> None:
        """Sum the day's impressions by hour, product, surface, form and whose video it was."""
        if not self._traffic:
            return
        seen = {name: np.concatenate([part[name] for part in self._traffic]) for name in self._traffic[0]}
        self._traffic = []
        products, contracts = len(self.cast.products.price), len(self.world.state.contracts) + 1
        key = ((seen["hour"] * 8 + seen["surface"]) * 2 + seen["form"]) * contracts + seen["contract"] + 1
        key = key * products + seen["product"]
        cells, inverse, count = np.unique(key, return_inverse=True, return_counts=True)
        clicks = np.bincount(inverse, seen["clicks"], len(cells)).astype(np.int64)
        carts = np.bincount(inverse, seen["carts"], len(cells)).astype(np.int64)
        product, rest = cells % products, cells // products
        contract, rest = rest % contracts - 1, rest // contracts
        form, rest = rest % 2, rest // 2
        surface, hour = rest % 8, rest // 8
        self.sheets.add(
            "traffic", today.day * DAY + hour * 3600, shop_id=self.ids.shops.of(self.cast.products.shop[product]),
            product_id=self.ids.products.of(product), surface=words(SURFACES, surface), form=words(FORMS, form),
            relation=words(RELATIONS, (contract >= 0).astype(int)), creator_id=self.ids.creator_of(contract),
            content_id=self.ids.content(product, contract, form == 1), impressions=count, clicks=clicks, carts=carts,
        )  # fmt: skip
        video = form == 1
        self._count_views(product[video], contract[video], count[video])

    def _count_views(self, product: Ints, contract: Ints, views: Ints) -> None:
        most = len(self.cast.products.price) + len(self.world.state.contracts)
        if len(self._views) < most:
            self._views = np.concatenate([self._views, np.zeros(most - len(self._views), np.int64)])
        np.add.at(self._views, self.ids.videos(product, contract), views)

    def _flush_ads(self, today: Today, day: Day) -> None:
        """Advertising by the hour, with the orders that its viewers placed within the window, whatever caused them."""
        if not self._ads:
            return
        hour, product, clicks = (np.concatenate(part) for part in zip(*self._ads, strict=True))
        self._ads = []
        self._advertised = [(when, pairs) for when, pairs in self._advertised if today.day - when < WINDOW]
        count = len(self.cast.products.price)
        lines = day.lines
        seen = (
            np.unique(np.concatenate([pairs for _, pairs in self._advertised]))
            if self._advertised
            else np.empty(0, int)
        )
        pair = lines["customer"] * count + lines["product"]
        credited = lines["paid"] & np.isin(pair, seen)
        key = hour * count + product
        order_key = lines["second"][credited] // 3600 * count + lines["product"][credited]
        cells = np.unique(np.concatenate([key, order_key]))
        shown = np.bincount(np.searchsorted(cells, key), minlength=len(cells))
        tapped = np.bincount(np.searchsorted(cells, key), clicks, len(cells)).astype(np.int64)
        at = np.searchsorted(cells, order_key)
        orders = np.bincount(at, minlength=len(cells))
        gmv = np.bincount(at, (lines["price"] * lines["quantity"])[credited], len(cells))
        which = cells % count
        self.sheets.add(
            "ads", today.day * DAY + cells // count * 3600, ad_id=numbered("a", which),
            payer=pa.array(["merchant"] * len(cells)),
            shop_id=self.ids.shops.of(self.cast.products.shop[which]), product_id=self.ids.products.of(which),
            spend=money(IMPRESSION_COST * shown), impressions=shown, clicks=tapped, attributed_orders=orders,
            attributed_gmv=money(gmv), attribution_window=np.full(len(cells), float(WINDOW)),
        )  # fmt: skip

    def _decisions(self) -> None:
        """What sellers and platform decided: promotions, contracts, coupons, messages, campaigns, experiments."""
        diary, clock = self.world.diary, self.clock
        if page := diary.take("promotions"):
            self.sheets.add(
                "promotions", product_id=self.ids.products.of(page["product"]), shop_id=self.ids.shops.of(page["shop"]),
                starts_on=clock.day(page["starts"] * DAY), ends_on=clock.day(page["ends"] * DAY),
                kind=pa.array(["markdown"] * len(page["product"])), discount=page["discount"],
            )  # fmt: skip
        if page := diary.take("contacts"):
            at = page["day"] * DAY + 10 * 3600 + self.draw.below(7200, "sent", page["customer"], page["day"])
            opened = self.draw.uniform("opens", page["customer"], page["day"]) < 0.18
            number = page["day"] * 10_000_000 + page["customer"]
            self.sheets.add(
                "contacts", at, contact_id=numbered("m", number, 11),
                customer_id=self.ids.customers.of(page["customer"]),
                medium=pa.array(["push"] * len(at)), sent_at=clock.utc(at),
                opened_at=clock.utc(np.where(opened, at + 1800, np.nan)), cost=money(np.full(len(at), MESSAGE_COST)),
            )  # fmt: skip
        if page := diary.take("assignments"):
            kinds = {"product": self.ids.products, "customer": self.ids.customers}
            for unit, names in kinds.items():
                at = np.flatnonzero(page["unit"] == unit)
                self.sheets.add(
                    "assignments", experiment_id=pa.array(page["experiment"][at].tolist(), pa.string()),
                    unit_kind=pa.array([unit] * len(at)), unit_id=names.of(page["number"][at]),
                    shop_id=self.ids.shops.of(page["shop"][at]),
                    arm=pa.array([str(arm) for arm in page["arm"][at].tolist()], pa.string()),
                    propensity=page["propensity"][at], assigned_at=clock.utc(page["day"][at] * DAY),
                )  # fmt: skip
        if page := diary.take("campaigns"):
            days = page["campaign"]
            self.sheets.add(
                "campaigns", campaign_id=numbered("g", days), name=self.wording.campaigns(days),
                kind=pa.array(["platform day"] * len(days)), starts_at=clock.utc(days * DAY),
                ends_at=clock.utc((days + 1) * DAY - 1),
            )  # fmt: skip
        if page := diary.take("campaign_products"):
            self.sheets.add("campaign_products", campaign_id=numbered("g", page["campaign"]),
                            product_id=self.ids.products.of(page["product"]), price=money(page["price"]))  # fmt: skip
        if page := diary.take("campaign_customers"):
            self.sheets.add("campaign_customers", campaign_id=numbered("g", page["campaign"]),
                            customer_id=self.ids.customers.of(page["customer"]))  # fmt: skip
        if page := diary.take("grants"):
            at = page["day"] * DAY + 9 * 3600
            seen = self.draw.uniform("sees", page["customer"], page["coupon"]) < 0.5
            self.airtime.grants.append({
                "coupon": page["coupon"], "customer": page["customer"], "at": at,
                "seen": np.where(seen, at + 3600.0, np.nan), "propensity": page["propensity"],
            })  # fmt: skip


def clock_of(world: World) -> Clock:
    """Return the clock of a world."""
    return Clock(datetime.combine(world.preset.first, time()))
