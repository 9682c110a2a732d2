"""Choice: what a product is worth to a customer who sees it, one law for sessions and live rooms.

The customer takes the product of the greatest utility, or nothing: a multinomial logit with an outside option
(McFadden, 1974), so that given what is shown the chance of each choice has a closed form.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tradewind.sources.worlds.cast import KINDS, MEDIAN_PRICE, Cast, Traits
from tradewind.sources.worlds.preset import TASTES, Laws
from tradewind.sources.worlds.state import State, Today

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

DOG = KINDS.index("sleeping dog")
LISTING, ROOM = 0.6, 0.3
"""How much of the quality that is felt is the listing's, in sessions and in rooms; the rest is the product's own."""


@dataclass(frozen=True)
class Wants:
    """What each product shown is worth to whom it is shown; arrays are [n, places].

    Args:
        utility: Utility of taking it; minus infinity where there is none.
        outside: [n] utility of taking nothing.
        coupon: Number of the coupon that would be used, -1 for none.
    """

    utility: Array
    outside: Array
    coupon: Ints

    def chances(self) -> Array:
        """Return the chance of each choice, [n, places]: McFadden (1974), equation 12, with the outside option."""
        most = np.maximum(self.utility.max(axis=1), self.outside)[:, None]
        raised = np.exp(self.utility - most)
        return np.asarray(raised / (raised.sum(axis=1, keepdims=True) + np.exp(self.outside[:, None] - most)))


@dataclass(frozen=True)
class Sight:
    """Products that customers see, one row each.

    Args:
        traits: [n] what the customers are like.
        customer: [n] who they are.
        row: [m] which of them sees it.
        product: [m] what is seen.
    """

    traits: Traits
    customer: Ints
    row: Ints
    product: Ints


def worth(cast: Cast, today: Today, state: State, sight: Sight, listing: float = LISTING) -> Array:
    """Return the utility of each product seen, [m], but for coupons, hosts, attention and loyalty to a shop.

    Args:
        cast: Who is there.
        today: The day.
        state: The state.
        sight: Who sees what.
        listing: Share of the quality felt that is the listing's.
    """
    laws, products, traits, row, seen = cast.preset.laws, cast.products, sight.traits, sight.row, sight.product
    department, who = products.department[seen], sight.customer[row]
    match = np.einsum("ij,ij->i", traits.taste[row], products.taste[seen]) / TASTES**0.5
    found: Array = products.appeal[seen] + today.course[seen] + laws.fit * match + traits.shift[row]
    found += laws.quality * (listing * state.listing[seen] + (1 - listing) * products.make[seen])
    log_price = np.log(today.price[seen])
    usual = np.log(MEDIAN_PRICE)[department]
    found += laws.dear * (np.log(products.price[seen]) - usual) - traits.price[row] * (log_price - usual)
    found += price_felt(laws, state.reference[seen] - log_price)
    found += laws.habit * np.minimum(state.habit[who, department], 2.0)
    found -= laws.satiation * np.minimum(state.recent[who, department], 2.0)
    return found + laws.campaign * today.campaign - today.outside[department]


def price_felt(laws: Laws, below: Array) -> Array:
    """Return the utility of a price that is not the one that buyers are used to (Kahneman and Tversky's gain and loss).

    Args:
        laws: How the world runs.
        below: Log of the usual price over the price. With `laws.thresholds`, less than 8 % off is not noticed, and
            more than 40 % off impresses no further.
    """
    if laws.thresholds:
        noticed = np.clip(below - NOTICED, 0.0, MOST_NOTICED - NOTICED)
        return np.asarray(np.where(below > 0, 2 * laws.gain * noticed, laws.loss * below))
    return np.asarray(np.where(below > 0, laws.gain, laws.loss) * below)


NOTICED, MOST_NOTICED = 0.08, 0.5


def coupon_felt(depth: Array, thresholds: bool) -> Array:
    """Return how strongly a coupon of some depth is felt, from 0 to 1: concave, or with a threshold at 15 %."""
    if thresholds:
        return np.asarray(
            (1 / (1 + np.exp(-(depth - 0.15) / 0.03)) - 1 / (1 + np.exp(5.0))) / (1 - 1 / (1 + np.exp(5.0)))
        )
    return np.asarray(4 * depth / (1 + 4 * depth))


def coupon_worth(laws: Laws, lift: Array, kind: Ints, depth: Array) -> Array:
    """Return the utility that a coupon adds for its holders: less than nothing for sleeping dogs and small ones.

    Args:
        laws: How the world runs.
        lift: Weight of a coupon for each holder.
        kind: What coupons do to each, an index into `KINDS`.
        depth: Face value over price.
    """
    felt = coupon_felt(depth, laws.thresholds)
    return np.asarray(laws.coupon * lift * felt - laws.dog * (kind == DOG) * (1 - felt))
