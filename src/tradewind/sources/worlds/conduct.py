"""Conduct: how sellers, creators and the platform behave from day to day, confounded as life is.

Sellers discount what already sells and around campaigns, the platform feeds winners, coupons go to the loyal,
advertising goes to best sellers. Slices of these decisions are drawn at random and written down with the propensities.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from tradewind.sources.worlds import calendar
from tradewind.sources.worlds.cast import FAME, Cast, Part
from tradewind.sources.worlds.diary import Diary
from tradewind.sources.worlds.moves import MESSAGE_COST, Move, begin, grant
from tradewind.sources.worlds.preset import DEPARTMENTS, REGIONS, SURFACES, TASTES
from tradewind.sources.worlds.state import NEVER, State, Today
from tradewind.sources.worlds.streams import Streams
from tradewind.sources.worlds.trade import PARTIES

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

DEPTHS = np.array([0.10, 0.15, 0.20, 0.30, 0.40])
TRIAL_DEPTHS = np.array([0.0, 0.10, 0.20])
TRIAL = 0.08  # share of products whose price is on trial in a week
IMPRESSION_COST = 0.02
WEEK = 7
CONTRACT_DAYS = 56
FACES = ((2.0, 8.0), (3.0, 12.0), (5.0, 20.0))  # face value and threshold of coupons
TRIAL_CUSTOMERS = 0.10  # share of customers whose coupon of the week is drawn
TRIAL_CHANCE = 0.5
HOLDOUT = 0.10  # share of customers due a message who get none
LAPSED = 21
COUPON_DAYS = 10
REMEMBERED = 14  # days for which a message is felt
SHOP_COUPONS, SHOP_GIVEN = 0.15, 0.5  # shops that give a coupon in a week, and former buyers who get it
INVITED = 0.15  # log lift of the visits of a campaign's guests on its day
PLATFORM, SELLER = 0, 1


class Conduct(Part):
    """Decides what one day is like, and writes decisions down."""

    def __init__(self, cast: Cast, luck: Streams):
        super().__init__(cast, luck)
        weights = np.exp(FAME * cast.products.appeal)
        per = np.bincount(cast.products.department, weights, len(DEPARTMENTS))
        self.fame = weights / per[cast.products.department]

    def date(self, day: int) -> date:
        """Return the date of a day of the world."""
        return self.cast.preset.first + timedelta(days=day)

    def begin(self, state: State, diary: Diary) -> None:
        """Make the contracts that stand when the world begins."""
        products = np.flatnonzero(state.listed < 0)
        for age in range(WEEK, CONTRACT_DAYS, WEEK):
            self._contracts(state, diary, products, -age)

    def today(self, state: State, diary: Diary, moves: Sequence[Move] = ()) -> Today:
        """Take the day's decisions, and return what the day is like.

        Args:
            state: The state; decisions change it.
            diary: Where decisions are written down.
            moves: What is done besides.
        """
        day, when = state.day, self.date(state.day)
        products, cast = self.cast.products, self.cast
        state.stock = np.where(state.coming == day, state.stock + self._delivery(state), state.stock)
        state.coming = np.where(state.coming <= day, NEVER, state.coming)
        if day % WEEK == 0:
            self._mark_down(state, diary)
            self._contracts(state, diary, np.flatnonzero(state.listed <= day), day)
            self._advertise(state)
            self._coupons(state, diary)
            self._shop_coupons(state, diary)
        state.markdown = np.where(state.marked < day, 0.0, state.markdown)
        budget, spent = begin(moves, self.cast, state, diary)
        campaign = calendar.is_campaign(when)
        off, guests = state.markdown, np.empty(0, np.int64)
        if campaign:
            off, guests = self._campaign(state, diary)
        price = np.maximum(np.round(products.price * (1 - off), 2), 0.5)
        self._restock(state)
        there = (state.listed <= day) & (state.stock > 0)
        course: Array = calendar.season(when, *cast.season)[products.department]
        course += calendar.weekly(when, cast.week, self.laws.weekly)[products.department]
        course = course + calendar.trend(day, state.listed, products.peak, products.width, products.height)
        effort = self.effort(state, price)
        contracts = state.contracts
        makes = cast.creators.makes[contracts["creator"]] * effort
        making = np.asarray(0.5 * np.bincount(contracts["product"], makes, len(price)), np.float64)
        shares = np.maximum(state.pace, 0.0)
        usual = np.bincount(products.department, shares, len(DEPARTMENTS))
        mean = usual / np.maximum(np.bincount(products.department, there, len(DEPARTMENTS)), 1)
        winner = shares / (shares + mean[products.department] + 1e-6)
        fresh = np.where(day - state.listed < 35, 0.6, 0.0)
        feed = np.clip(0.12 + 0.8 * winner + fresh, 0.0, 1.0)
        mall = np.clip(0.05 + 0.95 * winner**2, 0.0, 1.0)
        weather = float(np.exp(self.laws.weather * self.draw.normal("weather", day)[0]))
        lift, written = self._messages(state, diary, guests)
        spent[PARTIES.index("platform")] -= MESSAGE_COST * written
        return Today(
            day=day, visits=calendar.visits(when) * weather, lift=lift, outside=np.zeros(len(DEPARTMENTS)),
            course=course, price=price, there=there, feed=feed, mall=mall, advertised=self.advertised(budget),
            making=making, effort=effort, campaign=campaign, unpaid=np.full(len(REGIONS), self.laws.unpaid),
            surfaces=np.ones(len(SURFACES)), spent=spent,
        )  # fmt: skip

    def advertised(self, budget: Array) -> Array:
        """Return the chance that an advertising slot shows each product, given what is spent on it a day."""
        slots = self.laws.activity * self.cast.preset.customers * 0.6 * 2 / len(DEPARTMENTS) * self.fame
        pressure = budget / (IMPRESSION_COST * slots + 1e-9)
        if self.laws.thresholds:
            return np.asarray(np.where(pressure > 0, 0.9 / (1 + np.exp(-(pressure - 0.5) / 0.12)), 0.0))
        return np.asarray(0.9 * -np.expm1(-pressure))

    def effort(self, state: State, price: Array) -> Array:
        """Return the effort that creators give each contract: they share their hours among contracts and rest."""
        contracts, creators = state.contracts, self.cast.creators
        live = (contracts["starts"] <= state.day) & (contracts["ends"] >= state.day)
        product, creator = contracts["product"], contracts["creator"]
        live &= state.listed[product] <= state.day
        drive = np.where(live, self.drive(contracts["rate"], price[product], contracts["match"]), 0.0)
        total = np.bincount(creator, drive, len(creators.hours)) + 1.0
        return np.asarray(creators.hours[creator] * drive / total[creator])

    def drive(self, rate: Array, price: Array, match: Array) -> Array:
        """Return how strongly contracts draw their creators, beside 1 for rest."""
        pays = np.log(rate * price / 1.5 + 1e-9)
        if self.laws.thresholds:
            pays = 3 / (1 + np.exp(-(rate - 0.12) / 0.02)) - 1.5
        return np.asarray(np.exp(0.9 * pays + 0.6 * match - 0.5))

    def _delivery(self, state: State) -> Ints:
        careful = self.cast.shops.careful[self.cast.products.shop]
        return np.ceil(careful * np.maximum(state.pace, 0.1) + 3).astype(np.int64)

    def _restock(self, state: State) -> None:
        """Order again what would run out before a delivery could come."""
        number = np.arange(len(state.stock))
        lead = 3 + self.draw.below(6, "lead time", number, state.day)
        low = (state.stock <= np.ceil(4 * state.pace + 2)) & (state.coming == NEVER) & (state.listed <= state.day)
        state.coming = np.where(low, state.day + lead, state.coming)

    def _mark_down(self, state: State, diary: Diary) -> None:
        """Decide the week's promotions: what sells is discounted, more before campaigns; some prices are on trial."""
        day, week, products = state.day, state.day // WEEK, self.cast.products
        number = np.arange(len(products.price))
        ahead = any(calendar.is_campaign(self.date(day + n)) for n in range(WEEK))
        mean = np.bincount(products.department, state.pace) / np.maximum(np.bincount(products.department), 1)
        heat = np.log((state.pace + 0.05) / (mean[products.department] + 0.05))
        urge = -1.4 + self.cast.shops.eager[products.shop] + 0.5 * heat + 0.8 * ahead
        listed = state.listed <= day
        chosen = listed & (self.draw.uniform("promotion", number, week) < 1 / (1 + np.exp(-urge)))
        depth = DEPTHS[self.draw.below(len(DEPTHS), "depth", number, week)]
        trial = listed & (self.draw.uniform("price trial", number, week) < TRIAL)
        arm = self.draw.below(len(TRIAL_DEPTHS), "price arm", number, week)
        state.markdown = np.where(trial, TRIAL_DEPTHS[arm], np.where(chosen, depth, 0.0))
        state.marked = np.full(len(number), day + WEEK - 1)
        told = np.flatnonzero(state.markdown > 0)
        diary.write(
            "promotions", product=told, shop=products.shop[told], starts=np.full(len(told), day),
            ends=np.full(len(told), day + WEEK - 1), discount=state.markdown[told],
        )  # fmt: skip
        tried = np.flatnonzero(trial)
        diary.assign(f"price-week-{week:02d}", "product", tried, products.shop[tried], arm[tried],
                     np.full(len(tried), 1 / len(TRIAL_DEPTHS)), day)  # fmt: skip

    def _campaign(self, state: State, diary: Diary) -> tuple[Array, Ints]:
        """Enrol products in a campaign day, best sellers and some that sellers push, and invite former buyers."""
        day, products = state.day, self.cast.products
        number = np.arange(len(products.price))
        heat = np.log((state.pace + 0.02) / 0.1)
        enrolled = self.draw.uniform("enrolled", number, day) < 1 / (1 + np.exp(-(-1.5 + 0.6 * heat)))
        enrolled &= state.listed <= day
        extra = 0.08 + 0.12 * self.draw.uniform("campaign depth", number, day)
        off = np.where(enrolled, np.minimum(state.markdown + extra, 0.6), state.markdown)
        told = np.flatnonzero(enrolled)
        price = np.round(products.price * (1 - off), 2)
        diary.write("campaigns", campaign=[day], starts=[day], ends=[day])
        guests = np.flatnonzero(
            (state.orders > 0) & (self.draw.uniform("invited to", np.arange(len(state.orders)), day) < 0.3)
        )
        diary.write("campaign_customers", campaign=np.full(len(guests), day), customer=guests)
        diary.write("campaign_products", campaign=np.full(len(told), day), product=told, price=price[told])
        return off, guests

    def _contracts(self, state: State, diary: Diary, products: Ints, day: int) -> None:
        """Invite creators for products that sell: each week some, at rates that follow the margin."""
        cast, week = self.cast, day // WEEK
        if not len(products):
            return
        margin = 1 - cast.products.cost[products] / cast.products.price[products]
        urge = 0.20 * np.exp(0.5 * cast.products.appeal[products])
        chosen = products[self.draw.uniform("invites", products, week + 1000) < np.minimum(urge, 0.5)]
        if not len(chosen):
            return
        margin = 1 - cast.products.cost[chosen] / cast.products.price[chosen]
        tries = np.arange(6)
        who = self.draw.below(cast.preset.creators, "invited", chosen[:, None], week + 1000, tries[None, :])
        near = np.einsum("itr,ir->it", cast.creators.audience[who], cast.products.taste[chosen]) / TASTES**0.5
        near = near + 0.35 * np.log(cast.creators.followers[who] / np.exp(8.5))
        creator = np.take_along_axis(who, np.argmax(near, axis=1)[:, None], axis=1)[:, 0]
        rate = np.round(np.clip(0.05 + 0.25 * margin * self.draw.uniform("rate", chosen, week + 1000), 0.03, 0.3), 3)
        match = np.einsum("ij,ij->i", cast.creators.audience[creator], cast.products.taste[chosen]) / TASTES**0.5
        free = 0.1 * self.draw.below(3, "co-funded", chosen, week + 1000)
        number = state.contracts.add(
            product=chosen, creator=creator, rate=rate, platform=free, match=match, starts=day,
            ends=day + CONTRACT_DAYS, flat=np.where(self.draw.uniform("flat", chosen, week + 1000) < 0.1, 20.0, 0.0),
        )  # fmt: skip
        diary.write("contracts", contract=number)

    def _advertise(self, state: State) -> None:
        """Set the week's advertising: a share of what was sold, on what sells best; a tenth of it anywhere."""
        products, shops = self.cast.products, self.cast.shops
        number, week = np.arange(len(products.price)), state.day // WEEK
        takings = state.pace * products.price * (state.listed <= state.day)
        by_shop = np.bincount(products.shop, takings, len(shops.spends)) * shops.spends
        lucky = self.draw.uniform("ad luck", number, week) < 0.1
        wish = np.where(lucky, 0.3 * takings.mean(), takings**1.5) * (state.listed <= state.day)
        whole = np.bincount(products.shop, wish, len(shops.spends))
        state.budget = by_shop[products.shop] * wish / np.maximum(whole[products.shop], 1e-9)

    def _coupons(self, state: State, diary: Diary) -> None:
        """Issue the platform's coupon of the week: to the loyal by habit, to some by lot."""
        day, week = state.day, state.day // WEEK
        face, threshold = FACES[week % len(FACES)]
        [number] = state.coupons.add(
            shop=-1, face=face, threshold=threshold, starts=day, ends=day + COUPON_DAYS - 1, platform=1.0, brand=0.0,
            kind=PLATFORM,
        )  # fmt: skip
        diary.write("coupons", coupon=[number])
        for start in range(0, self.cast.preset.customers, self.cast.preset.block):
            who = np.arange(start, min(start + self.cast.preset.block, self.cast.preset.customers))
            who = who[self.cast.joins[who] < day]
            trial = self.draw.uniform("coupon trial", who, week) < TRIAL_CUSTOMERS
            loyal = 1 / (1 + np.exp(-(-1.2 + 0.9 * np.log1p(state.orders[who]))))
            chance = np.where(trial, TRIAL_CHANCE, loyal)
            given = self.draw.uniform("coupon given", who, week) < chance
            grant(state, diary, who[given], number, day, day + COUPON_DAYS - 1, chance[given])
            arms = given[trial].astype(np.int64)
            diary.assign(f"coupon-week-{week:02d}", "customer", who[trial], np.full(len(arms), -1), arms,
                         np.full(len(arms), TRIAL_CHANCE), day)  # fmt: skip

    def _shop_coupons(self, state: State, diary: Diary) -> None:
        """Let some shops give a coupon to those who bought from them last; platform and brand may bear a part."""
        day, week, products = state.day, state.day // WEEK, self.cast.products
        count = self.cast.preset.shops
        number = np.arange(count)
        mean = np.bincount(products.shop, products.price, count) / np.maximum(np.bincount(products.shop), 1)
        gives = self.draw.uniform("shop coupon", number, week) < np.clip(
            SHOP_COUPONS * np.exp(self.cast.shops.eager), 0, 1
        )
        shops = np.flatnonzero(gives & (self.cast.shops.opened <= day))
        face = np.maximum(np.round(mean[shops] * (0.1 + 0.15 * self.draw.uniform("shop face", shops, week))), 1.0)
        shared = self.draw.uniform("shop shared", shops, week)
        coupon = state.coupons.add(
            shop=shops, face=face, threshold=np.round(2.5 * face), starts=day, ends=day + COUPON_DAYS - 1,
            platform=np.where(shared < 0.3, 0.3, 0.0), brand=np.where(shared > 0.8, 0.4, 0.0), kind=SELLER,
        ) if len(shops) else np.empty(0, np.int64)  # fmt: skip
        diary.write("coupons", coupon=coupon)
        of = np.full(count, -1)
        of[shops] = coupon
        last = state.last_shop.astype(np.int64)
        who = np.flatnonzero((last >= 0) & (of[last] >= 0))
        who = who[self.draw.uniform("shop coupon given", who, week) < SHOP_GIVEN]
        grant(state, diary, who, of[last[who]], day, day + COUPON_DAYS - 1, np.full(len(who), SHOP_GIVEN))

    def _messages(self, state: State, diary: Diary, guests: Ints) -> tuple[Array | None, int]:
        """Write to customers who have not bought for a while, holding some out; campaign guests come more often too.

        Returns:
            Log lift of the visits of each customer, None where there is none, and the number of messages.
        """
        day = state.day
        lift: Array | None = None
        away = np.flatnonzero((state.ordered >= 0) & (day - state.ordered.astype(np.int64) >= LAPSED))
        away = away[day - state.due[away].astype(np.int64) >= 14]
        due = away[self.draw.uniform("due", away, day) < 0.05]
        held = self.draw.uniform("held out", due, day) < HOLDOUT
        week = day // WEEK
        diary.assign(f"message-week-{week:02d}", "customer", due, np.full(len(due), -1), (~held).astype(np.int64),
                     np.where(held, HOLDOUT, 1 - HOLDOUT), day)  # fmt: skip
        sent = due[~held]
        state.due[due] = day  # who was held out waits as long
        state.messaged[sent] = day
        diary.write("contacts", customer=sent, day=np.full(len(sent), day))
        recent = np.flatnonzero(day - state.messaged.astype(np.int64) < REMEMBERED)
        if len(recent) or len(guests):
            lift = np.zeros(self.cast.preset.customers)
            age = day - state.messaged[recent].astype(np.int64)
            pull = self.cast.traits(recent).outreach * self.laws.message**age
            lift[recent] = np.clip(pull, None, 0.3) if self.laws.thresholds else pull
            lift[guests] += INVITED
        return lift, len(sent)
