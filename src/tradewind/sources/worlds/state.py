"""The state of a world between two days, and what one day brings: all that demand depends on."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tradewind.sources.worlds.cast import Cast
from tradewind.sources.worlds.preset import DEPARTMENTS

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

HELD = 3  # coupons that a customer can hold at once
NEVER = 1 << 14


@dataclass
class Rows:
    """Records that grow: columns of equal length, addressed by number.

    Args:
        columns: First value of each column, from which its type is taken; the rows begin empty.
    """

    columns: dict[str, NDArray[Any]]

    @classmethod
    def of(cls, **kinds: Any) -> Rows:
        """Return empty rows with these columns and NumPy types."""
        return cls({name: np.empty(0, kind) for name, kind in kinds.items()})

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.columns[name]

    def __setitem__(self, name: str, values: NDArray[Any]) -> None:
        self.columns[name] = values

    def add(self, **values: Any) -> Ints:
        """Append rows, broadcasting single values, and return their numbers."""
        count = max(np.size(value) for value in values.values())
        first = len(self)
        for name, column in self.columns.items():
            fresh = np.broadcast_to(np.asarray(values[name], column.dtype), (count,))
            self.columns[name] = np.concatenate([column, fresh])
        return np.arange(first, first + count)


@dataclass
class State:
    """What a world remembers.

    Args:
        day: The next day to run, from 0.
        habit: [customers, departments] habit of buying there.
        recent: [customers, departments] purchases of late; more of the same is wanted less.
        last_shop: [customers] shop of the last order, -1 for none.
        orders: [customers] orders so far.
        ordered: [customers] day of the last order, below zero for none.
        messaged: [customers] day of the last message, below zero for none.
        due: [customers] day on which a message was last due, be it sent or held out.
        held: [customers, HELD] numbers of coupons held, -1 for none.
        until: [customers, HELD] last day on which each may be used.
        stock: [products] pieces on hand.
        coming: [products] day on which the next delivery comes, `NEVER` where none is ordered.
        reference: [products] log of the price that buyers are used to.
        pace: [products] pieces sold a day, of late.
        listing: [products] quality of the listing.
        listed: [products] day on which it was listed, `NEVER` where it is not.
        markdown: [products] share off the list price.
        marked: [products] last day of the markdown.
        budget: [products] advertising a day.
        rooms: Live rooms so far.
        coupons: Coupons ever issued.
        contracts: Contracts of creators ever made.
        pending: What will be known later, such as deliveries and refunds: rows with the second `at` which it happens.
    """

    day: int
    habit: NDArray[np.float32]
    recent: NDArray[np.float32]
    last_shop: NDArray[np.int32]
    orders: NDArray[np.int32]
    ordered: NDArray[np.int16]
    messaged: NDArray[np.int16]
    due: NDArray[np.int16]
    held: NDArray[np.int32]
    until: NDArray[np.int16]
    stock: Ints
    coming: Ints
    reference: Array
    pace: Array
    listing: Array
    listed: Ints
    markdown: Array
    marked: Ints
    budget: Array
    rooms: int = 0
    coupons: Rows = field(
        default_factory=lambda: Rows.of(
            shop=int, face=float, threshold=float, starts=int, ends=int, platform=float, brand=float, kind=int
        )
    )
    contracts: Rows = field(
        default_factory=lambda: Rows.of(
            product=int, creator=int, rate=float, platform=float, match=float, starts=int, ends=int, flat=float
        )
    )
    pending: dict[str, dict[str, NDArray[Any]]] = field(default_factory=dict)

    @classmethod
    def begin(cls, cast: Cast) -> State:
        """Return the state of a world on its first morning."""
        customers, departments, products = cast.preset.customers, len(DEPARTMENTS), cast.products
        launched = np.where(products.reserve, NEVER, products.launched)
        older = (products.launched < 0) & ~products.reserve
        pace = np.where(older, 0.15 * np.exp(0.9 * products.appeal), 0.0)
        careful = cast.shops.careful[products.shop]
        return cls(
            day=0,
            habit=np.zeros((customers, departments), np.float32),
            recent=np.zeros((customers, departments), np.float32),
            last_shop=np.full(customers, -1, np.int32),
            orders=np.zeros(customers, np.int32),
            ordered=np.full(customers, -1, np.int16),
            messaged=np.full(customers, -999, np.int16),
            due=np.full(customers, -999, np.int16),
            held=np.full((customers, HELD), -1, np.int32),
            until=np.full((customers, HELD), -1, np.int16),
            stock=np.ceil(careful * (pace + 0.5) + 5).astype(np.int64),
            coming=np.full(len(pace), NEVER),
            reference=np.log(products.price),
            pace=pace,
            listing=products.listing.copy(),
            listed=launched.astype(np.int64),
            markdown=np.zeros(len(pace)),
            marked=np.full(len(pace), -1),
            budget=np.zeros(len(pace)),
        )

    def copy(self) -> State:
        """Return a state that can go its own way."""
        return copy.deepcopy(self)


@dataclass
class Today:
    """What one day is like, for all who come: set by the calendar, by how sellers and platform behave, and by actions.

    Args:
        day: Day of the world, from 0.
        visits: How many sessions it brings, relative to a usual day.
        lift: [customers] log lift of the visits of each, or None where nobody was messaged.
        outside: [departments] utility that is lost to sellers elsewhere.
        course: [products] utility of season and trend.
        price: [products] price before coupons.
        there: [products] whether it is listed and in stock.
        feed: [products] chance that the feed shows a product that it has thought of.
        mall: [products] the same for the mall.
        advertised: [products] chance that an advertising slot shows it.
        making: [products] effort of creators that adds to what is shown.
        effort: [contracts] effort given under each contract.
        campaign: Whether it is a campaign day.
        unpaid: [regions] share of orders whose payment fails.
        surfaces: [surfaces] factor on what each shows.
        spent: [parties] money that goes out beside orders and advertising: messages, listings made anew, samples.
    """

    day: int
    visits: float
    lift: Array | None
    outside: Array
    course: Array
    price: Array
    there: NDArray[np.bool_]
    feed: Array
    mall: Array
    advertised: Array
    making: Array
    effort: Array
    campaign: bool
    unpaid: Array
    surfaces: Array
    spent: Array
