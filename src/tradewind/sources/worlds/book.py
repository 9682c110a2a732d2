"""The book of a world: each day as rows of the canonical tables, as a marketplace would have logged it."""

from __future__ import annotations

from datetime import datetime, time
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.special import gammaincinv

from tradewind.sources.worlds.airtime import CARTS, FORMS, RELATIONS, Airtime
from tradewind.sources.worlds.conduct import IMPRESSION_COST
from tradewind.sources.worlds.grants import Grants
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
AD_GLANCES = 12.0  # impressions of advertisements that are scrolled past for each one that is noticed and paid for
SURFACE, CONTRACT = 8, 1 << 24  # more than there are surfaces, and contracts ever: places of a cell's number


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
        self.grants = Grants(world, sheets, self.ids)
        self.airtime = Airtime(world, sheets, self.ids, self.grants)
        self.receipts = Receipts(world, sheets, self.ids, self.grants)
        self.register = Register(world, sheets, self.ids)
        self._traffic: list[Ints] = []  # a whole number for each impression of the day so far: 8 bytes
        self._ads: list[Ints] = []
        self._viewers: list[Ints] = []
        self._advertised: list[Ints] = []  # customers and products of the last days' advertising, the oldest day first
        self._views = np.zeros(0, np.int64)

    def shown(self, today: Today, block: Shown) -> None:
        """Take one block of a day's sessions: traffic, events, and what was advertised to whom."""
        sessions, slates = block.sessions, block.slates
        row, slot = np.nonzero(slates.product >= 0)
        product = slates.product[row, slot]
        clicked = block.clicked[row, slot]
        bought = block.chosen[row] == slot
        carted = clicked & bought
        open_ = np.flatnonzero(clicked & ~bought)
        keys = (sessions.customer[row[open_]], today.day, sessions.visit[row[open_]], product[open_])
        carted[open_] = self.draw.uniform("cart", *keys) < CARTS
        hour, video, products = sessions.second[row] // 3600, slates.video[row, slot], len(self.cast.products.price)
        cell = ((hour * SURFACE + sessions.surface[row]) * 2 + video) * CONTRACT + slates.contract[row, slot] + 1
        self._traffic.append(((cell * products + product) * 2 + clicked) * 2 + carted)
        self._events(today, block, row, slot, clicked, carted)
        paid = slates.paid[row, slot]
        self._ads.append((hour[paid] * products + product[paid]) * 2 + clicked[paid])
        self._viewers.append(sessions.customer[row][paid] * products + product[paid])

    def _events(self, today: Today, block: Shown, row: Ints, slot: Ints, clicked: Any, carted: Any) -> None:
        """Clicks and carts of sessions, all of them; of impressions a sample with its rate.

        What a customer scrolls past is what they also notice once in a while, so the same product stands for it.
        """
        sessions, slates, rate = block.sessions, block.slates, self.world.preset.impressions
        keys = (sessions.customer[:, None], today.day, sessions.visit[:, None], np.arange(slates.product.shape[1]))
        drawn = self.draw.uniform("logged", *keys)[row, slot]
        glances = np.array(self.world.preset.laws.glances)[sessions.surface[row]]
        passed = (drawn >= rate) & (drawn < rate * (1 + glances))
        kinds = (("impression", drawn < rate, rate), ("click", clicked, 1.0), ("cart", carted, 1.0),
                 ("impression", passed, rate))  # fmt: skip
        for place, (kind, chosen, chance) in enumerate(kinds):
            at, where = row[chosen], slot[chosen]
            if not len(at):
                continue
            customer, product = sessions.customer[at], slates.product[at, where]
            contract, video = slates.contract[at, where], slates.video[at, where]
            second = today.day * DAY + np.minimum(sessions.second[at] + (10 * place if place < 3 else 0), DAY - 1)
            number = ((customer * 512 + today.day) * 8 + sessions.visit[at]) * 64 + where * 4 + place
            self.sheets.add(
                "events", second, event_id=hexed("e", number), at=self.clock.utc(second),
                known_at=self.clock.utc(second), customer_id=self.ids.customers.of(customer),
                product_id=self.ids.products.of(product), shop_id=self.ids.shops.of(self.cast.products.shop[product]),
                surface=words(SURFACES, sessions.surface[at]), form=words(FORMS, video.astype(int)),
                creator_id=self.ids.creator_of(contract), content_id=self.ids.content(product, contract, video),
                kind=pa.repeat(kind, len(at)), sampling_rate=np.full(len(at), chance),
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
        self.grants.until(state, today.day + 1)

    def close(self, state: State) -> None:
        """Write what is known only at the end."""
        self.grants.close(state)
        self.register.close(state, self._views)

    def held(self) -> dict[str, Any]:
        """Return what is kept for later days, between two of them."""
        return {
            "advertised": self._advertised, "views": self._views, "grants": self.grants.held(),
            "receipts": self.receipts.held(), "register": self.register.held(),
        }  # fmt: skip

    def hold(self, held: dict[str, Any]) -> None:
        """Take up what was kept."""
        self._advertised, self._views = held["advertised"], held["views"]
        self.grants.hold(held["grants"])
        self.receipts.hold(held["receipts"])
        self.register.hold(held["register"])

    def _flush_traffic(self, today: Today) -> None:
        """Sum the day's impressions by hour, product, surface, form and whose video it was, an hour at a time."""
        if not self._traffic:
            return
        seen = np.concatenate(self._traffic)
        self._traffic = []
        seen.sort()
        products = len(self.cast.products.price)
        hours = np.searchsorted(seen, np.arange(1, 24) * (SURFACE * 2 * CONTRACT * products * 4))
        for part in np.split(seen, hours):
            if len(part):
                self._write_traffic(today, part)

    def _write_traffic(self, today: Today, seen: Ints) -> None:
        cell, count, (clicks, carts) = _summed(seen, 2)
        rest, product = np.divmod(cell, len(self.cast.products.price))
        rest, contract = np.divmod(rest, CONTRACT)
        contract -= 1
        form, surface, hour = rest % 2, rest // 2 % SURFACE, rest // (2 * SURFACE)
        count = count + self._glanced(today, cell, count, np.array(self.world.preset.laws.glances)[surface])
        self.sheets.add(
            "traffic", today.day * DAY + hour * 3600, shop_id=self.ids.shops.of(self.cast.products.shop[product]),
            product_id=self.ids.products.of(product), surface=words(SURFACES, surface), form=words(FORMS, form),
            relation=words(RELATIONS, (contract >= 0).astype(int)), creator_id=self.ids.creator_of(contract),
            content_id=self.ids.content(product, contract, form == 1), impressions=count, clicks=clicks, carts=carts,
        )  # fmt: skip
        video = form == 1
        self._count_views(product[video], contract[video], count[video])

    def _glanced(self, today: Today, cell: Ints, noticed: Ints, mean: Any) -> Ints:
        """Impressions that were scrolled past, beside those that were noticed: negative binomial, but for rounding."""
        u = self.draw.uniform("glanced", cell, today.day)
        return np.asarray(np.round(mean * gammaincinv(noticed, u)).astype(np.int64))

    def _count_views(self, product: Ints, contract: Ints, views: Ints) -> None:
        most = len(self.cast.products.price) + len(self.world.state.contracts)
        if len(self._views) < most:
            self._views = np.concatenate([self._views, np.zeros(most - len(self._views), np.int64)])
        np.add.at(self._views, self.ids.videos(product, contract), views)

    def _flush_ads(self, today: Today, day: Day) -> None:
        """Advertising by the hour, with the orders that its viewers placed within the window, whatever caused them."""
        none = np.empty(0, np.int64)
        seen, viewers = np.concatenate([none, *self._ads]), np.concatenate([none, *self._viewers])
        self._ads, self._viewers = [], []
        viewers.sort()
        self._advertised = [*self._advertised[1 - WINDOW :], viewers[np.diff(viewers, prepend=-1) > 0]]
        if not len(seen):
            return
        count = len(self.cast.products.price)
        lines = day.lines
        pair = lines["customer"] * count + lines["product"]
        credited = np.zeros(len(pair), bool)
        for pairs in self._advertised:
            credited |= _among(pair, pairs)
        credited &= lines["paid"]
        seen.sort()
        key, shows, (clicks,) = _summed(seen, 1)
        order_key = lines["second"][credited] // 3600 * count + lines["product"][credited]
        cells = np.union1d(key, order_key)
        shown, tapped = np.zeros((2, len(cells)), np.int64)
        shown[np.searchsorted(cells, key)], tapped[np.searchsorted(cells, key)] = shows, clicks
        at = np.searchsorted(cells, order_key)
        orders = np.bincount(at, minlength=len(cells))
        gmv = np.bincount(at, (lines["price"] * lines["quantity"])[credited], len(cells))
        which = cells % count
        seen_by = shown + np.where(shown > 0, self._glanced(today, cells, np.maximum(shown, 1), AD_GLANCES), 0)
        self.sheets.add(
            "ads", today.day * DAY + cells // count * 3600, ad_id=numbered("a", which),
            payer=pa.repeat("merchant", len(cells)),
            shop_id=self.ids.shops.of(self.cast.products.shop[which]), product_id=self.ids.products.of(which),
            spend=money(IMPRESSION_COST * shown), impressions=seen_by, clicks=tapped, attributed_orders=orders,
            attributed_gmv=money(gmv), attribution_window=np.full(len(cells), float(WINDOW)),
        )  # fmt: skip

    def _decisions(self) -> None:
        """What sellers and platform decided: promotions, contracts, coupons, messages, campaigns, experiments."""
        diary, clock = self.world.diary, self.clock
        if page := diary.take("promotions"):
            self.sheets.add(
                "promotions", product_id=self.ids.products.of(page["product"]), shop_id=self.ids.shops.of(page["shop"]),
                starts_on=clock.day(page["starts"] * DAY), ends_on=clock.day(page["ends"] * DAY),
                kind=pa.repeat("markdown", len(page["product"])), discount=page["discount"],
            )  # fmt: skip
        if page := diary.take("contacts"):
            at = page["day"] * DAY + 10 * 3600 + self.draw.below(7200, "sent", page["customer"], page["day"])
            opened = self.draw.uniform("opens", page["customer"], page["day"]) < 0.18
            number = page["day"] * 10_000_000 + page["customer"]
            self.sheets.add(
                "contacts", at, contact_id=numbered("m", number, 11),
                customer_id=self.ids.customers.of(page["customer"]),
                medium=pa.repeat("push", len(at)), sent_at=clock.utc(at),
                opened_at=clock.utc(np.where(opened, at + 1800, np.nan)), cost=money(np.full(len(at), MESSAGE_COST)),
            )  # fmt: skip
        if page := diary.take("assignments"):
            kinds = {"product": self.ids.products, "customer": self.ids.customers}
            for unit, names in kinds.items():
                at = np.flatnonzero(page["unit"] == unit)
                self.sheets.add(
                    "assignments", experiment_id=pa.array(page["experiment"][at].tolist(), pa.string()),
                    unit_kind=pa.repeat(unit, len(at)), unit_id=names.of(page["number"][at]),
                    shop_id=self.ids.shops.of(page["shop"][at]),
                    arm=pa.array([str(arm) for arm in page["arm"][at].tolist()], pa.string()),
                    propensity=page["propensity"][at], assigned_at=clock.utc(page["day"][at] * DAY),
                )  # fmt: skip
        if page := diary.take("campaigns"):
            days = page["campaign"]
            self.sheets.add(
                "campaigns", campaign_id=numbered("g", days), name=self.wording.campaigns(days),
                kind=pa.repeat("platform day", len(days)), starts_at=clock.utc(days * DAY),
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
            self.grants.given(page["coupon"], page["customer"], at, np.where(seen, at + 3600.0, np.nan),
                              page["propensity"])  # fmt: skip
        for kind in diary.kinds():  # the register tells of coupons and contracts at the end
            diary.take(kind)


def _summed(seen: Ints, flags: int) -> tuple[Ints, Ints, list[Ints]]:
    """Count ordered numbers by what stands above their lowest bits; the bits themselves are summed, highest first."""
    cell = seen >> flags
    first = np.flatnonzero(np.concatenate([[True], cell[1:] != cell[:-1]]))
    sums = [np.add.reduceat(seen >> bit & 1, first) for bit in range(flags - 1, -1, -1)]
    return cell[first], np.diff(first, append=len(seen)), sums


def _among(values: Ints, ordered: Ints) -> NDArray[np.bool_]:
    """Whether each value is one of some that are in order."""
    if not len(ordered):
        return np.zeros(len(values), bool)
    return np.asarray(ordered[np.minimum(np.searchsorted(ordered, values), len(ordered) - 1)] == values)


def clock_of(world: World) -> Clock:
    """Return the clock of a world."""
    return Clock(datetime.combine(world.preset.first, time()))
