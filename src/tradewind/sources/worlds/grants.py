"""Grants: coupons given to customers, written down once each coupon has ended."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tradewind.sources.worlds.ids import Chapter, Ids, numbered, orders
from tradewind.sources.worlds.sheets import Sheets
from tradewind.sources.worlds.state import State
from tradewind.sources.worlds.world import World

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
Pages = list[dict[str, NDArray[Any]]]


class Grants(Chapter):
    """Writes down who was given which coupon, and the order in which it was used.

    A grant is kept only until the last day on which its coupon can be used is over.
    """

    def __init__(self, world: World, sheets: Sheets, ids: Ids):
        super().__init__(world, sheets, ids)
        self._given: Pages = []
        self._used: Pages = []

    def given(self, coupon: Ints, customer: Ints, at: Ints, seen: Array, propensity: Array) -> None:
        """Take coupons given: number, customer, second, second at which it was seen, and the chance of being given."""
        self._take(coupon, customer, at, seen, propensity, claimed=False)

    def claimed(self, coupon: Ints, customer: Ints, at: Ints) -> None:
        """Take coupons that customers took themselves: number, customer, and second."""
        self._take(coupon, customer, at, at.astype(float), np.full(len(at), np.nan), claimed=True)

    def _take(self, coupon: Ints, customer: Ints, at: Ints, seen: Array, propensity: Array, *, claimed: bool) -> None:
        page = {"coupon": coupon, "customer": customer, "at": at, "seen": seen, "propensity": propensity}
        self._given.append(page | {"claimed": np.full(len(coupon), claimed)})

    def used(self, coupon: Ints, customer: Ints, order: Ints) -> None:
        """Take coupons used: number, customer, and number of the order."""
        if len(coupon):
            self._used.append({"coupon": coupon, "customer": customer, "order": order})

    def until(self, state: State, day: int) -> None:
        """Write the grants of the coupons whose last day is before a day of the world."""
        self._given, given = _parted(self._given, state.coupons["ends"] < day)
        self._used, used = _parted(self._used, state.coupons["ends"] < day)
        if not given:
            return
        width = self.world.preset.customers + 1
        key = given["coupon"].astype(np.int64) * width + given["customer"]
        at, found = np.zeros(len(key), np.int64), np.zeros(len(key), bool)
        if used:
            whose = used["coupon"] * width + used["customer"]
            order = np.argsort(whose, kind="stable")
            place = np.minimum(np.searchsorted(whose[order], key), len(order) - 1)
            at, found = used["order"][order][place], whose[order][place] == key
        propensity = given["propensity"]
        self.sheets.add(
            "coupon_grants", coupon_id=numbered("u", given["coupon"]),
            customer_id=self.ids.customers.of(given["customer"]), granted_at=self.clock.utc(given["at"]),
            seen_at=self.clock.utc(given["seen"]), redeemed_order_id=orders(np.where(found, at, -1)),
            propensity=pa.array(propensity, mask=np.isnan(propensity)), claimed=given["claimed"],
        )  # fmt: skip

    def close(self, state: State) -> None:
        """Write the grants that are left, of coupons that have not ended."""
        self.until(state, int(state.coupons["ends"].max(initial=0)) + 1)

    def held(self) -> dict[str, Any]:
        """Return what is kept for later days."""
        return {"given": self._given, "used": self._used}

    def hold(self, held: dict[str, Any]) -> None:
        """Take up what was kept."""
        self._given, self._used = held["given"], held["used"]


def _parted(pages: Pages, ended: NDArray[np.bool_]) -> tuple[Pages, dict[str, NDArray[Any]]]:
    """Part rows into those of coupons that are still open, and those of coupons that have ended."""
    open_, over = [], []
    for page in pages:
        past = ended[page["coupon"]]
        if past.any():
            over.append({name: column[past] for name, column in page.items()})
        if not past.all():
            open_.append({name: column[~past] for name, column in page.items()} if past.any() else page)
    return open_, {name: np.concatenate([page[name] for page in over]) for name in over[0]} if over else {}
