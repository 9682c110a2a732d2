"""The register: who there is, versions of products, coupons and contracts, as rows of the canonical tables."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tradewind.sources.worlds.ids import Chapter, Ids, numbered
from tradewind.sources.worlds.preset import DEPARTMENTS, REGIONS, SORTS
from tradewind.sources.worlds.sheets import Sheets, money, words
from tradewind.sources.worlds.state import State, Today
from tradewind.sources.worlds.trade import DAY
from tradewind.sources.worlds.world import World

Array = NDArray[np.float64]
Ints = NDArray[np.int64]


class Register(Chapter):
    """Writes down who and what there is."""

    def __init__(self, world: World, sheets: Sheets, ids: Ids):
        super().__init__(world, sheets, ids)
        self._versions: dict[str, NDArray[Any]] | None = None

    def versions(self, today: Today, state: State) -> None:
        """Open a new version of a product where its price, listing or standing changed."""
        active = state.listed <= today.day
        fresh = {"price": today.price, "listing": state.listing.copy(), "active": active}
        since = np.full(len(active), today.day * DAY)
        if self._versions is None:
            before = np.maximum(np.minimum(self.cast.products.launched, 0), -900) * DAY
            self._versions = {**fresh, "since": np.where(active, before, 0)}
            return
        old = self._versions
        moved = (old["price"] != fresh["price"]) | (old["listing"] != fresh["listing"]) | (old["active"] != active)
        at = np.flatnonzero(moved)
        self._close(at, since[at].astype(float))
        for name, column in fresh.items():
            old[name] = column
        old["since"] = np.where(moved, since, old["since"])

    def _close(self, at: Ints, ends: Array) -> None:
        old, products = self._versions, self.cast.products
        if old is None:
            return
        self.sheets.add(
            "product_history", product_id=self.ids.products.of(at), shop_id=self.ids.shops.of(products.shop[at]),
            valid_from=self.clock.utc(old["since"][at]), valid_to=self.clock.utc(ends),
            list_price=money(products.price[at]), sale_price=money(old["price"][at]),
            unit_cost=money(products.cost[at]),
            title=self.wording.titles(at, old["listing"][at]), images=self.wording.images(at, old["listing"][at]),
            active=old["active"][at],
        )  # fmt: skip

    def close(self, state: State, views: Ints) -> None:
        """Write what is known only at the end: versions that still hold, coupons, contracts, videos, and who there is.

        Args:
            state: The state at the end.
            views: Times that each video was shown, by its number.
        """
        if self._versions is not None:
            listed = np.flatnonzero((self._versions["active"]) | (self._versions["since"] > 0))
            self._close(listed, np.full(len(listed), np.nan))
        self._coupons(state)
        self._contracts(state)
        self._contents(state, views)
        self._cast(state)

    def held(self) -> dict[str, Any]:
        """Return what is kept for later days."""
        return {"versions": self._versions}

    def hold(self, held: dict[str, Any]) -> None:
        """Take up what was kept."""
        self._versions = held["versions"]

    def _coupons(self, state: State) -> None:
        coupons, clock = state.coupons, self.clock
        count = len(coupons)
        number = np.arange(count)
        self.sheets.add(
            "coupons", coupon_id=numbered("u", number), shop_id=self.ids.shops.of(coupons["shop"]),
            scope=words(("everything", "shop", "live room"), coupons["kind"]), face_value=money(coupons["face"]),
            threshold=money(coupons["threshold"]), starts_at=clock.utc(coupons["starts"] * DAY),
            ends_at=clock.utc((coupons["ends"] + 1) * DAY - 1), platform_share=coupons["platform"],
            brand_share=coupons["brand"],
        )  # fmt: skip

    def _contracts(self, state: State) -> None:
        contracts, clock = state.contracts, self.clock
        number = np.arange(len(contracts))
        if not len(number):
            return
        product, starts = contracts["product"], contracts["starts"] * DAY
        waits = DAY * (1 + self.draw.below(5, "accepts", number))
        self.sheets.add(
            "commissions", contract_id=numbered("n", number),
            shop_id=self.ids.shops.of(self.cast.products.shop[product]),
            product_id=self.ids.products.of(product), creator_id=self.ids.creators.of(contracts["creator"]),
            rate=contracts["rate"], flat_fee=money(contracts["flat"]),
            sample_cost=money(self.cast.products.cost[product]),
            platform_share=contracts["platform"], invited_at=clock.utc(starts - waits), accepted_at=clock.utc(starts),
            ends_at=clock.utc((contracts["ends"] + 1) * DAY - 1),
        )  # fmt: skip

    def _contents(self, state: State, shown: Ints) -> None:
        """Videos: one of each product's seller, one for each contract."""
        products, contracts, clock = self.cast.products, state.contracts, self.clock
        own = np.arange(len(products.price))
        number = np.concatenate([own, len(own) + np.arange(len(contracts))])
        product = np.concatenate([own, contracts["product"]])
        creator = np.concatenate([np.full(len(own), -1), contracts["creator"]])
        since = np.concatenate([np.minimum(products.launched, self.world.preset.days), contracts["starts"]]) * DAY
        views = np.zeros(len(number), np.int64)
        views[: len(shown)] = shown[: len(number)]
        kept = np.flatnonzero((since < state.day * DAY) & ((views > 0) | (creator >= 0)))
        names = numbered("v", number[kept], 7)
        self.sheets.add(
            "contents", content_id=names, creator_id=self.ids.creators.of(creator[kept]),
            shop_id=self.ids.shops.of(np.where(creator[kept] < 0, products.shop[product[kept]], -1)),
            form=pa.repeat("video", len(kept)), published_at=clock.utc(since[kept]),
            duration=8.0 + 52 * self.draw.uniform("duration", number[kept]),
            text=self.wording.captions(product[kept], creator[kept]), is_ad=np.zeros(len(kept), bool),
            views=views[kept],
        )  # fmt: skip
        self.sheets.add("content_products", content_id=names, product_id=self.ids.products.of(product[kept]))

    def _cast(self, state: State) -> None:
        cast, clock = self.cast, self.clock
        shops, products, creators = cast.shops, cast.products, cast.creators
        number = np.arange(len(shops.department))
        self.sheets.add(
            "shops", shop_id=self.ids.shops.of(number), name=self.wording.shops(number),
            category=words(list(DEPARTMENTS), shops.department), region=words(REGIONS, shops.region),
            opened_at=clock.utc(np.where(shops.opened < state.day, shops.opened * DAY, np.nan)),
        )  # fmt: skip
        number = np.arange(len(products.price))
        never = state.listed >= state.day
        self.sheets.add(
            "products", product_id=self.ids.products.of(number), shop_id=self.ids.shops.of(products.shop),
            title=self.wording.titles(number, state.listing), description=self.wording.descriptions(number),
            category=words(SORTS, products.sort), brand=self.wording.brands(number),
            launched_at=clock.utc(np.where(never, np.nan, state.listed * DAY)),
            images=self.wording.images(number, state.listing), attributes=self.wording.attributes(number),
        )  # fmt: skip
        number = np.arange(len(creators.hours))
        self.sheets.add(
            "creators", creator_id=self.ids.creators.of(number), name=self.wording.creators(number),
            kind=words(("video", "host"), (creators.talent > 0.3).astype(int)),
            category=words(list(DEPARTMENTS), creators.department), region=words(REGIONS, creators.region),
        )  # fmt: skip
        for month in range(0, state.day, 30):
            grown = creators.followers * (1 + 0.02 * month / 30)
            self.sheets.add("creator_history", creator_id=self.ids.creators.of(number), followers=grown.astype(int),
                            valid_from=clock.utc(np.full(len(number), month * DAY)))  # fmt: skip
        for start in range(0, self.world.preset.customers, self.world.preset.block):
            part = np.arange(start, min(start + self.world.preset.block, self.world.preset.customers))
            part = part[cast.joins[part] < state.day]
            joined = cast.joins[part].astype(np.int64)
            since = np.where(joined < 0, -1 - self.draw.below(700, "first seen", part), joined) * DAY
            self.sheets.add(
                "customers", customer_id=self.ids.customers.of(part), region=words(REGIONS, cast.region[part]),
                first_seen_at=clock.utc(since), attributes=self.wording.customers(part),
                consent=words(("push", "push,email", ""), self.draw.below(3, "consent", part)),
            )  # fmt: skip
