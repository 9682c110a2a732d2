"""Gains: what rates bring to whom, in draws of all that is not known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tradewind.decisions.commissions.effort import Effort
from tradewind.decisions.commissions.goods import Goods
from tradewind.decisions.commissions.past import TIERS, Past
from tradewind.decisions.commissions.worth import Worth

Array = NDArray[np.float64]
Codes = NDArray[np.int64]

DRAWS = 200
TOGETHER = (0.7, 0.6)  # mean and deviation of what gains told one by one are worth once all of it happens at once
MAKES = 0.6  # log deviation of how much of what they show is new from one creator to another
SUITS = 0.5  # log deviation of how a product sells to whom creators show it, from how it sells in general
DRIFT = 0.3  # log deviation of the exposure to come from the exposure lately
BEYOND = (0.3, 1.0)  # share of its outer slope that the answer to a rate keeps beyond the rates ever paid


@dataclass(frozen=True)
class Brought:
    """What settings bring over their days, against doing nothing: [draws, settings] each.

    Args:
        merchant: The product's own merchant before any commission of the product; other products of the shop count.
        platform: The platform before its share of that commission.
        creators: Creators by their other lines.
        others: All others: other merchants, and brands by the discounts that they fund.
        before: Commission of the product at the rates that hold.
        after: Commission of the product at the setting.
        through: GMV through creators at the setting.
        beside: What all parties gain by what the same creators show of other products, part of `joint`.
        own: What all parties gain by what is sold of the product itself, another part of it.
    """

    merchant: Array
    platform: Array
    creators: Array
    others: Array
    before: Array
    after: Array
    through: Array
    beside: Array
    own: Array

    @property
    def joint(self) -> Array:
        """What all parties together gain; commissions are transfers between them."""
        return self.merchant + self.platform + self.creators + self.others


class Gains:
    """Tells what rates bring, from one set of draws for all of them.

    Effort for line c of creator k is h exp(f(rate_c)) / (Σ_lines of k)^crowding; the exposure of a product with efforts
    E is F (1 + bend E)^new, of which creators show E / (1 + E). Sales elsewhere fall by
    what they take of each piece that creators sell more, as far as there are any. What creators show by no known
    contract keeps its rate.

    Args:
        goods: Products, and what a piece brings.
        past: Contracts.
        effort: How creators answer.
        worth: What exposure brings.
        seed: Seed of the draws.
    """

    def __init__(self, goods: Goods, past: Past, effort: Effort, worth: Worth, seed: int):
        self.goods, self.past, self.effort, self.worth = goods, past, effort, worth
        rng = np.random.default_rng(seed)
        live = np.flatnonzero(np.isfinite(past.rate))
        self.of, self.by, self.rate = past.product[live], past.creator[live], past.rate[live]
        self.share, self.contracts, self.signed = past.share[live], past.contracts[live], ~past.unsigned[live]
        self.tier = past.tier[self.by]
        self.luck, self.beyond = rng.standard_normal((DRAWS, len(TIERS))), rng.uniform(*BEYOND, DRAWS)

        def around(mid: float, error: float) -> Array:
            return (mid + error * rng.standard_normal(DRAWS))[:, None]

        def about_one(deviation: float, count: int) -> Array:
            return np.exp(deviation * rng.standard_normal((DRAWS, count)) - deviation**2 / 2)

        self.crowding = np.clip(around(effort.crowding.mid, effort.crowding.error), 0.0, 1.0)
        self.new = np.clip(around(effort.new.mid, effort.new.error), 0.0, 1.0)  # effort never pays more and more
        self.better = -np.expm1(-around(effort.lift.mid, effort.lift.error))
        self.displaced = rng.uniform(*worth.displaced, DRAWS)[:, None]
        self.together = around(*TOGETHER)
        drift = about_one(DRIFT, len(goods.ids))
        self.makes = about_one(MAKES, len(past.creators))[:, self.by]
        self.seen, self.through = worth.seen * drift, worth.through * drift
        self.sells = rng.standard_gamma(worth.shape, (DRAWS, len(worth.shape))) * (worth.sells / worth.shape)
        self.sells *= about_one(SUITS, len(goods.ids))
        self.at_now = self._answer(self.tier, self.rate)
        self.given = rng.standard_gamma(effort.shape[live], (DRAWS, len(live))) * (effort.level / effort.shape)[live]
        self.given *= np.exp(self.at_now - self._answer(self.tier, effort.usual[live]))
        self.total = summed(self.given, self.of, len(goods.ids))
        taken, margin = (
            np.clip(around(each.mid, each.error), 0.0, 1.0) for each in (effort.taken, effort.taken_of_little)
        )
        self.taken = np.where(effort.little, margin, taken)
        # Nothing tells what would be sold without creators where next to nothing is sold beside them.
        self.given_up = np.where(effort.little, margin + rng.uniform(size=(DRAWS, 1)) * (taken - margin), taken)
        self.elsewhere = worth.elsewhere * drift
        self.makes *= self.given  # effort, counted by what it adds
        self.made = summed(self.makes, self.of, len(goods.ids))
        self.load = summed(self.given, self.by, len(past.creators))
        # What a further unit of exposure brings in place of what stands there.
        self.value = {
            "merchant": self.sells * goods.merchant - self.displaced * worth.merchant,
            "platform": self.sells * goods.platform - self.displaced * worth.platform,
            "joint": self.sells * goods.joint - self.displaced * worth.joint,
        }
        self.piece = {"merchant": goods.merchant, "platform": goods.platform, "joint": goods.joint}
        self.lines = self._of_lines()
        self.whole = {name: summed(each, self.by, len(past.creators)) for name, each in self.lines.items()}
        shop = np.unique([name or "" for name in goods.shop], return_inverse=True)[1]
        self.stall = np.unique(np.stack([self.by, shop[self.of]]), axis=1, return_inverse=True)[1].ravel()
        self.keeps = self.lines["merchant"] - self.lines["creators"]
        self.stalls = summed(self.keeps, self.stall, int(self.stall.max(initial=-1)) + 1)
        self._order = np.argsort(self.of, kind="stable")
        self._sorted = self.of[self._order]

    def _answer(self, tier: Codes, rate: Array) -> Array:
        """The logarithm of effort at rates: [draws, n]; worked out once for each rate of each tier."""
        pairs, place = np.unique(np.stack([tier.astype(float), rate]), axis=1, return_inverse=True)
        told = self.effort.curve.log_effort(pairs[0].astype(np.int64), pairs[1], self.luck, self.beyond)
        return np.asarray(told[:, place.ravel()])

    def _of_lines(self) -> dict[str, Array]:
        """What each line's effort brings in a day at the margin, by party, its creator's commission beside it."""
        bend = self.effort.bend
        wider = self.seen * self.new * bend / (1 + bend * self.made)
        share = self.through / np.maximum(self.total, 1e-9) / (1 + self.total)
        found = {
            name: (wider * self.value[name])[:, self.of] * self.makes
            + (share * self.better * self.piece[name])[:, self.of] * self.given
            for name in self.value
        }
        sold = self.through * self.new * bend / (1 + bend * self.made)
        takes = self.taken * (self.elsewhere > 0)
        for name, piece in self.piece.items():
            found[name] -= (sold * takes * piece)[:, self.of] * self.makes + (share * takes * piece)[
                :, self.of
            ] * self.given
        kept = self.goods.price * (1 - self.goods.returned)
        found["creators"] = (share * kept)[:, self.of] * self.given * self.rate
        return found

    def __call__(
        self,
        product: Codes,
        rate: Array,
        days: Array,
        tier: Codes | None = None,
        chosen: NDArray[np.bool_] | None = None,
    ) -> Brought:
        """Return what settings bring.

        Args:
            product: [settings] number of the product, -1 for one of which nothing is known.
            rate: [settings] rate that its contracts would pay.
            days: [settings] for how many days such as those known.
            tier: [settings] tier of the creators whose contracts change; those of all tiers where left out.
            chosen: [lines that hold] contracts that may change; all that are known where left out.
        """
        first, last = (np.searchsorted(self._sorted, product, side=side) for side in ("left", "right"))
        size = last - first
        setting = np.repeat(np.arange(len(product)), size)
        inside = np.arange(len(setting)) - np.repeat(np.cumsum(size) - size, size)
        line = self._order[np.repeat(first, size) + inside]
        creator, given = self.by[line], self.given[:, line]
        moves = self.signed[line] if tier is None else self.signed[line] & (self.tier[line] == tier[setting])
        moves = moves if chosen is None else moves & chosen[line]
        then = np.where(moves, rate[setting], self.rate[line])
        ratio = np.exp(self._answer(self.tier[line], then) - self.at_now[:, line])
        fuller = 1 + given * (ratio - 1) / np.maximum(self.load[:, creator], 1e-12)
        pressed = np.exp(-self.crowding * np.log(fuller))
        before = self.total[:, product]
        change = ratio * pressed
        gives = given * change
        after = summed(gives, setting, len(product))
        asked = summed(gives * then, setting, len(product)) / np.maximum(after, 1e-12)
        paid = summed(given * self.rate[line], setting, len(product)) / np.maximum(before, 1e-12)
        lost = {
            name: summed((pressed - 1) * (whole[:, creator] - self.lines[name][:, line]), setting, len(product)) * days
            for name, whole in self.whole.items()
        }
        besides = (pressed - 1) * (self.stalls[:, self.stall[line]] - self.keeps[:, line])
        bend = self.effort.bend
        seen, through = self.seen[:, product] * days, self.through[:, product] * days
        made, makes = self.made[:, product], self.makes[:, line]
        makes = made + summed(makes * (change - 1), setting, len(product))
        grown = ((1 + bend * makes) / (1 + bend * made)) ** self.new
        wider = np.where(before > 0, after / (1 + after) / np.maximum(before / (1 + before), 1e-12), 1.0)
        instead = through * (wider - 1) * self.better
        sold = through * wider * grown
        taken = self._taken(self.taken[:, product], self.elsewhere[:, product] * days, through, sold)
        own = {
            name: self.together
            * (seen * (grown - 1) * self.value[name][:, product] + (instead - taken) * self.piece[name][product])
            for name in self.value
        }
        kept = self.goods.price[product] * (1 - self.goods.returned[product])
        merchant = own["merchant"] + self.together * summed(besides, setting, len(product)) * days
        platform = own["platform"] + self.together * lost["platform"]
        more = seen * (grown - 1) * self.sells[:, product] + instead - taken
        creators = self.together * (lost["creators"] + more * self.goods.creator[product])
        joint = own["joint"] + self.together * lost["joint"]
        found = Brought(
            merchant, platform, creators, joint - merchant - platform - creators, through * kept * paid,
            sold * kept * asked, sold * self.goods.price[product], self.together * lost["joint"],
            self.together * more * self.goods.joint[product],
        )  # fmt: skip
        for values in vars(found).values():
            values[:, product < 0] = 0.0
        return found

    def likely(self, joint: Array) -> Array:
        """Return the chance that all parties together gain where one setting alone happens: [settings].

        What all of them are worth at once may turn the sum of many round, but says nothing of one alone.

        Args:
            joint: [draws, settings] what all parties together gain by each.
        """
        return np.asarray((joint * np.sign(self.together) > 0).mean(axis=0))

    @staticmethod
    def _taken(taken: Array, elsewhere: Array, before: Array, after: Array) -> Array:
        """Return how many pieces less are sold elsewhere once creators sell `after`, not `before`: [draws, n]."""
        return np.asarray(np.where(elsewhere > 0, np.minimum(taken * (after - before), elsewhere), 0.0))

    def new_sales(self, product: Codes) -> Array:
        """Return the share of what creators sell of products that would be lost without any of them, [draws].

        What is lost is what their effort adds, in pieces, less what is sold elsewhere then; what they sell besides
        would have come anyway. Where they sell worse than the surfaces whose place they take nothing is new, and no
        more can be than is sold.
        """
        without = 1 - (1 + self.effort.bend * self.made) ** -self.new
        back = -self._taken(self.given_up, self.elsewhere, self.through, 0.0 * self.through)
        own = (self.seen * without * self.sells + self.through * self.better - back)[:, product].sum(axis=1)
        return np.asarray(np.clip(own / np.maximum(self.through[:, product].sum(axis=1), 1e-12), 0.0, 1.0))

    def break_even(self) -> Array:
        """Return the rate at which a merchant would be as well off without any creator: [draws, products]."""
        without = 1 - (1 + self.effort.bend * self.made) ** -self.new
        back = -self._taken(self.given_up, self.elsewhere, self.through, 0.0 * self.through)
        brings = self.seen * without * self.value["merchant"]
        brings += (self.through * self.better - back) * self.piece["merchant"]
        kept = self.through * self.goods.price * (1 - self.goods.returned)
        return np.asarray(np.clip(self.together * brings / np.maximum(kept, 1e-9), 0.0, 1.0))

    def pays(self) -> tuple[Array, Array]:
        """Return the rate that contracts of each product pay, and the platform's share, by effort; NaN without any."""
        count, weight = len(self.goods.ids), self.given.mean(axis=0) * self.signed
        total = np.bincount(self.of, weight, count)
        rate, part = (
            np.divide(np.bincount(self.of, weight * v, count), total, out=np.full(count, np.nan), where=total > 0)
            for v in (self.rate, self.share)
        )
        return rate, part


def summed(values: Array, group: Codes, count: int) -> Array:
    """Sum [draws, n] over groups: [draws, count]."""
    out = np.zeros((len(values), count))
    if len(group):
        order = np.argsort(group, kind="stable")
        names, starts = np.unique(group[order], return_index=True)
        out[:, names] = np.add.reduceat(values[:, order], starts, axis=1)
    return out


__all__ = ["Brought", "Gains", "summed"]
