"""Who is in a world: shops, products, creators and customers, each drawn from the seed and its own number."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tradewind.sources.worlds.preset import DEPARTMENTS, REGIONS, SORTS, SURFACES, TASTES, Preset
from tradewind.sources.worlds.streams import Streams, Urn

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

EACH = len(SORTS) // len(DEPARTMENTS)
MEDIAN_PRICE = np.array([14, 19, 17, 8, 26, 16, 15, 11, 18, 6], dtype=float)
RETURNS = np.array([0.8, 2.2, 1.0, 0.3, 1.3, 0.9, 0.6, 0.5, 0.8, 0.4])
"""Refunds of a department beside the mean: clothes come back, food does not."""
KINDS = ("persuadable", "sure thing", "lost cause", "sleeping dog")
KIND_SHARES = (0.30, 0.35, 0.20, 0.15)
COUPON_LIFT = np.array([1.0, 0.15, 0.05, 0.55])
BASE_SHIFT = np.array([0.0, 0.35, -1.2, 0.1])
FAME = 0.6  # weight of appeal in what is proposed to be shown
MOST_APPEAL = 2.0  # deviations; without a bound one product in thousands would outsell all others
RESERVE = 0.04  # products that a shop could add but has not listed


@dataclass(frozen=True)
class Shops:
    """Sellers; arrays are [shops].

    Args:
        department: Its main department.
        region: Its region.
        weight: How much it sells relative to others, before its products are drawn.
        eager: How readily it discounts.
        careful: Days of stock that it keeps.
        spends: Share of its sales that it puts into advertising.
        opened: Day on which it opened; below zero before the world begins.
    """

    department: Ints
    region: Ints
    weight: Array
    eager: Array
    careful: Array
    spends: Array
    opened: Ints


@dataclass(frozen=True)
class Products:
    """Listings; arrays are [products].

    Args:
        shop: The shop that sells it.
        sort: Its category, an index into `SORTS`.
        appeal: Latent appeal, in utility.
        taste: [products, TASTES] whom it suits.
        price: List price.
        cost: Unit cost.
        listing: Quality of title and images as the buyer feels it, around 0; a listing action can change it.
        make: Quality of the product itself, around 0: fewer refunds, better ratings.
        launched: Day on which it is listed; below zero before the world begins, -1 << 20 never.
        peak: Days from its launch to the peak of its trend.
        width: Days that the rise takes.
        height: Utility of the trend at its peak; 0 where it is steady.
        reserve: Whether it is not listed at all until a shop adds it.
    """

    shop: Ints
    sort: Ints
    appeal: Array
    taste: Array
    price: Array
    cost: Array
    listing: Array
    make: Array
    launched: Ints
    peak: Array
    width: Array
    height: Array
    reserve: NDArray[np.bool_]

    @property
    def department(self) -> Ints:
        """Department of each product."""
        return np.asarray(self.sort // EACH)


@dataclass(frozen=True)
class Creators:
    """Affiliates; arrays are [creators].

    Args:
        audience: [creators, TASTES] taste of their audience.
        followers: Number of followers.
        persuasion: Utility that their word adds.
        makes: Share of their effort that makes demand; the rest only takes what would have come anyway.
        hours: Effort that they can give in all, in usual videos a week.
        department: What they mostly show.
        region: Their region.
        talent: How well they hold a room as hosts.
    """

    audience: Array
    followers: Array
    persuasion: Array
    makes: Array
    hours: Array
    department: Ints
    region: Ints
    talent: Array


@dataclass(frozen=True)
class Traits:
    """Customers as they are; arrays are [n] of the customers asked for.

    Args:
        taste: [n, TASTES] what suits them.
        price: Price sensitivity.
        kind: What a coupon does to them, an index into `KINDS`.
        lift: Weight of a coupon relative to one whom it persuades.
        shift: Utility of anything, relative to others.
        late: Hours by which their day is later than usual.
        surfaces: [n, surfaces] log weight of each surface.
        outreach: Log lift of their visits after a message; below zero where it annoys.
    """

    taste: Array
    price: Array
    kind: Ints
    lift: Array
    shift: Array
    late: Ints
    surfaces: Array
    outreach: Array


class Cast:
    """Everybody in a world.

    Args:
        preset: How large it is.
        streams: Where its numbers come from.
    """

    def __init__(self, preset: Preset, streams: Streams):
        self.preset = preset
        self.streams = streams
        self.sorts = self._normal("sort taste", len(SORTS))
        self.departments = self.sorts.reshape(len(DEPARTMENTS), EACH, TASTES).mean(axis=1) * 1.6
        self.shops = self._shops()
        self.products = self._products()
        self.creators = self._creators()
        self.activity, self.region, self.joins = self._customers()
        fame = np.exp(FAME * self.products.appeal)
        self.by_department = Urn(self.products.department, fame, len(DEPARTMENTS))
        self.by_sort = Urn(self.products.sort, fame, len(SORTS))
        self.by_shop = Urn(self.products.shop, fame, preset.shops)
        peaks = self.streams.uniform("season peak", np.arange(len(DEPARTMENTS))) * 365
        sizes = preset.laws.season * (0.4 + 1.2 * self.streams.uniform("season size", np.arange(len(DEPARTMENTS))))
        self.season = (peaks, sizes)
        self.week = 7 * self.streams.uniform("week peak", np.arange(len(DEPARTMENTS)))

    def traits(self, customers: Ints) -> Traits:
        """Return what some customers are like; it takes no memory for the others."""
        laws, draw = self.preset.laws, self.streams
        many = customers[:, None]
        cluster = draw.below(8, "customer cluster", customers)
        centre = draw.normal("cluster taste", np.arange(8)[:, None], np.arange(TASTES)[None, :])
        taste = 0.75 * centre[cluster] + 0.65 * draw.normal("customer taste", many, np.arange(TASTES)[None, :])
        kind = np.searchsorted(np.cumsum(KIND_SHARES), draw.uniform("coupon kind", customers))
        kind = np.minimum(kind, len(KINDS) - 1)
        lift = COUPON_LIFT[kind] * np.exp(0.3 * draw.normal("coupon lift", customers))
        log_share = np.log(np.array(laws.share))
        surfaces = log_share[None, :] + 0.7 * draw.normal("surface share", many, np.arange(len(SURFACES))[None, :])
        late = np.clip(np.round(1.3 * draw.normal("customer hours", customers)), -3, 3).astype(np.int64)
        price = laws.price * np.exp(0.25 * draw.normal("price sensitivity", customers) - 0.03)
        outreach = 1.4 + 0.35 * draw.normal("outreach", customers)
        outreach = np.where(kind == KINDS.index("sleeping dog"), -0.3, outreach)
        return Traits(taste, price, kind, lift, BASE_SHIFT[kind], late, surfaces, outreach)

    def _normal(self, stream: str, count: int) -> Array:
        return self.streams.normal(stream, np.arange(count)[:, None], np.arange(TASTES)[None, :])

    def _shops(self) -> Shops:
        draw, number = self.streams, np.arange(self.preset.shops)
        opened = np.where(
            draw.uniform("shop opened", number) < 0.9,
            -30 - draw.below(900, "shop age", number),
            draw.below(max(1, self.preset.days // 2), "shop opens", number),
        )
        opened[0] = -400
        return Shops(
            department=draw.below(len(DEPARTMENTS), "shop department", number),
            region=draw.below(len(REGIONS), "shop region", number),
            weight=np.exp(1.0 * draw.normal("shop weight", number)),
            eager=0.5 * draw.normal("shop eager", number),
            careful=10 + 20 * draw.uniform("shop careful", number),
            spends=0.05 * draw.uniform("shop spends", number) * (draw.uniform("shop advertises", number) < 0.5),
            opened=opened,
        )

    def _products(self) -> Products:
        draw, laws, count = self.streams, self.preset.laws, self.preset.products
        number, shops = np.arange(count), self.shops
        edges = np.cumsum(shops.weight) / shops.weight.sum()
        shop = np.minimum(np.searchsorted(edges, draw.uniform("product shop", number)), self.preset.shops - 1)
        shop[: self.preset.shops] = np.arange(self.preset.shops)  # each shop sells something
        stays = draw.uniform("product stays", number) < 0.85
        department = np.where(stays, shops.department[shop], draw.below(len(DEPARTMENTS), "product elsewhere", number))
        sort = department * EACH + draw.below(EACH, "product sort", number)
        price = MEDIAN_PRICE[department] * np.exp(0.75 * draw.normal("product price", number))
        price = np.maximum(np.round(price) - 0.01, 1.99)
        share = 0.35 + 0.3 * draw.uniform("product cost", number)
        fresh = draw.uniform("product fresh", number) < 0.22
        day = draw.below(self.preset.days, "product launch", number)
        launched = np.where(fresh, day, -20 - draw.below(700, "product age", number))
        launched = np.maximum(launched, shops.opened[shop])
        fad = draw.uniform("product fad", number) < 0.15
        height = np.where(fad, 0.6 + 0.5 * draw.exponential("trend height", number), 0.0)
        reserve = (draw.uniform("product reserve", number) < RESERVE) & (number >= self.preset.shops)
        appeal = laws.appeal * np.clip(draw.normal("product appeal", number), -MOST_APPEAL, MOST_APPEAL)
        return Products(
            shop=shop,
            sort=sort,
            appeal=appeal,
            taste=0.8 * self.sorts[sort] + 0.6 * self._normal("product taste", count),
            price=price,
            cost=np.round(price * share, 2),
            listing=0.5 * draw.normal("listing quality", number) + 0.15 * appeal,
            make=0.6 * draw.normal("product quality", number) + 0.2 * appeal,
            launched=launched,
            peak=10 + 40 * draw.uniform("trend peak", number),
            width=6 + 12 * draw.uniform("trend width", number),
            height=np.minimum(height, 2.0),
            reserve=reserve,
        )

    def _creators(self) -> Creators:
        draw, laws = self.streams, self.preset.laws
        number = np.arange(self.preset.creators)
        department = draw.below(len(DEPARTMENTS), "creator department", number)
        maker = draw.uniform("creator maker", number) < 0.4
        makes = np.where(
            maker, 0.6 + 0.35 * draw.uniform("creator makes", number), 0.05 + 0.2 * draw.uniform("m", number)
        )
        return Creators(
            audience=0.7 * self.departments[department] + 0.7 * self._normal("audience", self.preset.creators),
            followers=np.exp(8.5 + 1.6 * draw.normal("followers", number)),
            persuasion=laws.persuasion * draw.normal("persuasion", number) + np.where(maker, 0.25, -0.05),
            makes=makes,
            hours=1.0 + 1.5 * draw.exponential("creator hours", number),
            department=department,
            region=draw.below(len(REGIONS), "creator region", number),
            talent=0.5 * draw.normal("talent", number),
        )

    def _customers(self) -> tuple[NDArray[np.float32], NDArray[np.int8], NDArray[np.int16]]:
        """Activity, region and day of joining of every customer: all that must be known of those who stay away."""
        preset, draw, laws = self.preset, self.streams, self.preset.laws
        count = preset.customers
        activity = np.empty(count, np.float32)
        region = np.empty(count, np.int8)
        joins = np.empty(count, np.int16)
        for start in range(0, count, preset.block):
            part = np.arange(start, min(start + preset.block, count))
            inside = slice(start, start + len(part))
            activity[inside] = laws.activity * np.exp(laws.spread * draw.normal("activity", part) - laws.spread**2 / 2)
            shares = np.cumsum([0.34, 0.24, 0.2, 0.16, 0.06])
            region[inside] = np.minimum(np.searchsorted(shares, draw.uniform("customer region", part)), 4)
            later = draw.uniform("customer joins", part) < 0.25
            joins[inside] = np.where(later, draw.below(preset.days, "customer day", part), -1)
        return activity, region, joins


class Part:
    """A part of what runs a world.

    Args:
        cast: Who is there.
        luck: What falls as it falls.
    """

    def __init__(self, cast: Cast, luck: Streams):
        self.cast = cast
        self.draw = luck
        self.laws = cast.preset.laws
