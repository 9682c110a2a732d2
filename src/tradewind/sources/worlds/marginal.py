"""Marginal worth: what each setting of each lever is expected to bring, unit by unit, in closed form.

One run of the world without any move is watched, and for every choice in it the logit says what would have been chosen
had one thing been otherwise (McFadden, 1974): if the utility of product j rises by d, its chance p becomes
p exp(d) / (1 - p + p exp(d)), and all other chances of that session shrink alike. Summed over sessions and rooms and
averaged over futures, that is the effect of a setting to the first order: what it does to the choices of its own days.
What comes of it later (habit, satiation, rankings, stock that runs out) is left to `truth.expected`, which runs it.
The oracle of the arena chooses by these worths.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tradewind.sources.worlds.choice import LISTING, ROOM, coupon_worth, price_felt
from tradewind.sources.worlds.conduct import REMEMBERED
from tradewind.sources.worlds.moves import LISTING_COST, MESSAGE_COST, better
from tradewind.sources.worlds.payoff import Payoff
from tradewind.sources.worlds.placement import Placement
from tradewind.sources.worlds.rooms import Rooms, Viewers
from tradewind.sources.worlds.state import State, Today
from tradewind.sources.worlds.trade import PARTIES, Lines
from tradewind.sources.worlds.world import Day, Shown, World

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

MERCHANT, PLATFORM, CREATOR = PARTIES.index("merchant"), PARTIES.index("platform"), PARTIES.index("creator")
SHRINK = 6.0  # sessions for which the mean of all customers counts in what one customer's session is worth


@dataclass(frozen=True)
class Doses:
    """The settings whose worth is asked for, of each lever from small to large.

    Args:
        off: Shares off the list price.
        coupon: Face value and threshold of coupons, paid for by the platform.
        coupon_days: Days for which a coupon may be used.
        rate: Commission rates.
        budget: Advertising a day.
        effort: Efforts put into a listing.
    """

    off: tuple[float, ...]
    coupon: tuple[tuple[float, float], ...]
    coupon_days: int
    rate: tuple[float, ...]
    budget: tuple[float, ...]
    effort: tuple[float, ...]


@dataclass(frozen=True)
class Worths:
    """Expected incremental contribution profit by unit, setting and party, in the order of `PARTIES`.

    Args:
        price: [products, settings, parties].
        listing: [products, settings, parties].
        traffic: [products, settings, parties].
        commission: [products, settings, parties].
        coupon: [customers, settings, parties].
        outreach: [customers, 1, parties].
    """

    price: Array
    listing: Array
    traffic: Array
    commission: Array
    coupon: Array
    outreach: Array


def marginal(world: World, doses: Doses, days: int, futures: int = 3) -> Worths:
    """Return what each setting of each lever is expected to bring if it is pulled alone from now on.

    Args:
        world: The world at the moment before; it stays as it is.
        doses: The settings.
        days: Days for which levers are held.
        futures: Futures to average over, which share the past but no luck to come.
    """
    found: list[Worths] = []
    for future in range(1, futures + 1):
        other = world.fork(luck=1_000 + future)
        watched = _Watched(other, doses)
        other.advance(days, watch=watched)
        found.append(watched.worths())
    return Worths(**{
        name: np.mean([getattr(each, name) for each in found], axis=0) for name in Worths.__dataclass_fields__
    })  # fmt: skip


class _Watched:
    """Adds up what settings would have done to each choice of a run without moves."""

    def __init__(self, world: World, doses: Doses):
        self.world, self.doses = world, doses
        self.payoff = Payoff(world)
        self.placement = Placement(world, self.payoff, doses.budget, doses.rate)
        products, customers, parties = len(world.cast.products.price), world.preset.customers, len(PARTIES)
        self.start = world.state.day
        self.price = np.zeros((products, len(doses.off), parties))
        self.listing = np.zeros((products, len(doses.effort), parties))
        self.coupon = np.zeros((customers, len(doses.coupon), parties))
        self.unused = np.ones((customers, len(doses.coupon)))
        self.session_worth, self.sessions = np.zeros((customers, parties)), np.zeros(customers)
        self.extra_visits = np.zeros(customers)
        self.used_to = np.repeat(world.state.reference[:, None], len(doses.off), axis=1)
        self.prices = self.used_to
        self._day = -1

    def _morning(self, today: Today) -> None:
        """Set the day's prices under each setting, and what buyers would be used to by then."""
        if self._day == today.day:
            return
        if self._day >= 0:
            self.used_to = 0.93 * self.used_to + 0.07 * np.log(self.prices)
        self._day = today.day
        listed = self.world.cast.products.price[:, None]
        prices = np.maximum(np.round(listed * (1 - np.array(self.doses.off)), 2), 0.5)
        self.prices = np.minimum(prices, today.price[:, None]) if today.campaign else prices
        age = today.day - self.start
        if age < REMEMBERED:
            who = np.arange(self.world.preset.customers)
            traits = self.world.cast.traits(who).outreach * self.world.preset.laws.message**age
            pull = np.clip(traits, None, 0.3) if self.world.preset.laws.thresholds else traits
            already = np.zeros(len(who)) if today.lift is None else today.lift
            rate = self.world.cast.activity * today.visits * (self.world.cast.joins <= today.day)
            more = np.exp(np.maximum(pull, already)) - np.exp(already)
            self.extra_visits += np.where(pull < 0, np.exp(pull) - 1, more) * rate * (1 + rate) * np.exp(-rate)

    def shown(self, today: Today, block: Shown) -> None:
        """Take one block of a day's sessions."""
        self._morning(today)
        sessions, slates = block.sessions, block.slates
        row, slot = np.nonzero(slates.product >= 0)
        product, contract = slates.product[row, slot], slates.contract[row, slot]
        chance = block.wants.chances()[row, slot]
        held = block.wants.coupon[row, slot]
        pays = 1 - today.unpaid[self.world.cast.region[sessions.customer].astype(np.int64)]
        worth = self.payoff.of(today, product, contract, held)
        whole = self._sums(row, chance[:, None] * worth, len(sessions))
        seen = _Seen(row, product, contract, held, chance, worth, whole, pays)
        self._prices(today, seen, sessions.traits.price)
        self._listings(seen, LISTING)
        lift, kind = sessions.traits.lift, sessions.traits.kind
        if today.day - self.start < self.doses.coupon_days:
            later = sessions.earlier >= 0
            for now in (~later, later):
                self._coupons(today, seen, sessions.customer, now, lift, kind)
        who = sessions.customer
        np.add.at(self.session_worth, who, whole * pays[:, None])
        np.add.at(self.sessions, who, 1.0)
        self.placement.shown(today, block, seen.chance, worth, whole)

    def live(self, today: Today, rooms: Rooms, viewers: Viewers, lines: Lines) -> None:
        """Take a day's rooms."""
        del lines
        if not len(viewers.room):
            return
        self._morning(today)
        lineup = rooms.lineup[viewers.room]
        row, place = np.nonzero((lineup >= 0) & (viewers.chances > 0))
        product = lineup[row, place]
        coupon = self.world.live.used(today, rooms, viewers.room[row], viewers.coupon[row], product)
        contract = self.world.live.under(today, self.world.state, rooms, viewers.room[row], product)
        chance = viewers.chances[row, place]
        pays = 1 - today.unpaid[self.world.cast.region[viewers.customer].astype(np.int64)]
        worth = self.payoff.of(today, product, contract, coupon)
        whole = self._sums(row, chance[:, None] * worth, len(viewers.room))
        seen = _Seen(row, product, contract, coupon, chance, worth, whole, pays)
        self._prices(today, seen, self.world.cast.traits(viewers.customer).price)
        self._listings(seen, ROOM)

    def done(self, today: Today, state: State, day: Day) -> None:
        """Take what a day came to: nothing of it."""

    def _sums(self, row: Ints, values: Array, count: int) -> Array:
        return np.stack([np.bincount(row, values[:, n], count) for n in range(values.shape[1])], axis=1)

    def _add(self, into: Array, seen: _Seen, log_odds: Array, worth: Array) -> None:
        """Add, by product, what each session would bring more if one product of it were wanted more.

        Args:
            into: [products, parties].
            seen: What was seen.
            log_odds: [m] by how much the utility of the product of that row rises.
            worth: [m, parties] what an order of it is worth then.
        """
        raised = seen.chance * np.exp(log_odds)
        after = raised / (1 - seen.chance + raised)
        others = seen.whole[seen.row] - seen.chance[:, None] * seen.worth
        shrink = (1 - after) / np.maximum(1 - seen.chance, 1e-12) - 1
        gain = after[:, None] * worth - seen.chance[:, None] * seen.worth + shrink[:, None] * others
        gain *= seen.pays[seen.row][:, None]
        for n in range(gain.shape[1]):
            into[:, n] += np.bincount(seen.product, gain[:, n], len(into))

    def _prices(self, today: Today, seen: _Seen, sensitivity: Array) -> None:
        state, laws, product = self.world.state, self.world.preset.laws, seen.product
        now = np.log(today.price[product])
        felt_now = price_felt(laws, state.reference[product] - now)
        for n in range(len(self.doses.off)):
            price = self.prices[product, n]
            then = np.log(price)
            rise = -sensitivity[seen.row] * (then - now)
            rise += price_felt(laws, self.used_to[product, n] - then) - felt_now
            worth = self.payoff.of(today, product, seen.contract, seen.coupon, price)
            self._add(self.price[:, n], seen, rise, worth)

    def _listings(self, seen: _Seen, share: float) -> None:
        listing, quality = self.world.state.listing, self.world.preset.laws.quality
        for n, effort in enumerate(self.doses.effort):
            rise = quality * share * better(effort, listing[seen.product])
            self._add(self.listing[:, n], seen, rise, seen.worth)

    def _coupons(self, today: Today, seen: _Seen, customer: Ints, now: Bools, lift: Array, kind: Ints) -> None:
        """Add, by customer, what a coupon would bring in these sessions if it is not used up before."""
        mine = now[seen.row]
        row, product, chance = seen.row[mine], seen.product[mine], seen.chance[mine]
        price, count, laws = today.price[product], len(customer), self.world.preset.laws
        held, coupons, stays = seen.coupon[mine], self.world.state.coupons, 1 - self.payoff.back[product]
        had = np.where(held >= 0, np.minimum(coupons["face"][held], 0.9 * price), 0.0)
        felt = np.where(held >= 0, coupon_worth(laws, lift[row], kind[row], had / price), 0.0)
        by_platform, by_brand = coupons["platform"][held], coupons["brand"][held]
        shares = np.stack([1 - by_platform - by_brand, by_platform, np.zeros(len(held)), by_brand], axis=1)
        plain = seen.worth[mine] + (had * stays)[:, None] * shares  # what an order is worth without any coupon
        for n, (face, threshold) in enumerate(self.doses.coupon):
            off = np.minimum(face, 0.9 * price)
            fits = (price >= threshold) & (off > had)
            rise = np.where(fits, coupon_worth(laws, lift[row], kind[row], off / price) - felt, 0.0)
            raised = chance * np.exp(rise)
            whole = 1 + np.bincount(row, raised - chance, count)
            after = raised / whole[row]
            worth = np.where(fits[:, None], plain, seen.worth[mine])
            worth[:, PLATFORM] -= np.where(fits, off * stays, 0.0)
            gain = (self._sums(row, after[:, None] * worth, count) - seen.whole) * seen.pays[:, None]
            use = np.bincount(row, np.where(fits, after, 0.0), count) * seen.pays
            at = np.flatnonzero(now)
            who = customer[at]
            self.coupon[who, n] += self.unused[who, n][:, None] * gain[at]
            self.unused[who, n] *= 1 - use[at]

    def worths(self) -> Worths:
        """Return the sums, with what each lever costs whatever comes of it."""
        mean = self.session_worth.sum(axis=0) / max(self.sessions.sum(), 1.0)
        each = (self.session_worth + SHRINK * mean) / (self.sessions + SHRINK)[:, None]
        outreach = (self.extra_visits[:, None] * each)[:, None, :]
        outreach[:, :, PLATFORM] -= MESSAGE_COST
        listing = self.listing.copy()
        listing[:, :, MERCHANT] -= LISTING_COST * np.array(self.doses.effort)
        traffic, commission = self.placement.worths()
        return Worths(self.price, listing, traffic, commission, self.coupon, outreach)


@dataclass(frozen=True)
class _Seen:
    """Products seen in sessions or rooms: arrays are [m] of what was seen, or [n] of who saw it.

    Args:
        row: [m] who saw it.
        product: [m] the product.
        contract: [m] the contract under which it was shown, -1 for none.
        coupon: [m] the coupon that would be used, -1 for none.
        chance: [m] chance that it is chosen.
        worth: [m, parties] what an order of it is worth.
        whole: [n, parties] expected worth of the session.
        pays: [n] chance that payment goes through.
    """

    row: Ints
    product: Ints
    contract: Ints
    coupon: Ints
    chance: Array
    worth: Array
    whole: Array
    pays: Array


__all__: Sequence[str] = ("Doses", "Worths", "marginal")
