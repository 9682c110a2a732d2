"""Past: features of customers as they were known at a moment, so that nothing that came later teaches."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tradewind.decisions.coupons.issues import DAY
from tradewind.decisions.coupons.record import Record

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

RECENT = 28  # days of visits that count
LONG = 365.0  # days beyond which it does not matter how long ago something was
LEAST = 1e-3  # of what an order is worth on average: below, it does not matter how little somebody's are worth
EVEN = 0.3  # orders that everybody is taken to have made besides, so that nobody's pace is nought
_BEYOND = 1 << 34  # more than any second

NAMES = (
    "orders", "pace", "away", "usual value", "has used", "uses", "orders by coupon", "coupons used", "days seen",
)  # fmt: skip


class Past:
    """Answers what was known of customers at moments.

    Args:
        record: What is known.
    """

    def __init__(self, record: Record):
        orders = record.orders
        self.record = record
        # Against the average, as money has no size of its own.
        self._average = float(np.mean(orders.value)) if np.sum(orders.value) > 0 else 1.0
        self._orders = _Counted(orders.customer, orders.at, orders.value)
        self._uses = _Counted(*record.uses)
        self._grants = _Counted(*record.grants)
        self._visits = _Counted(*record.visits) if record.visits is not None else None

    def features(self, customer: Ints, at: Ints | int) -> Array:
        """Return features [n, len(NAMES)] of customers [n] at moments [n]; each is 0 where there is nothing."""
        when = np.broadcast_to(np.asarray(at, np.int64), customer.shape)
        count, spent, last = self._orders.before(customer, when)
        uses = self._uses.before(customer, when)[0]
        held = self._grants.before(customer, when)[0]
        bought = count > 0
        away = np.where(bought, np.minimum((when - last) / DAY, LONG), LONG)
        value = spent / np.maximum(count, 1) / self._average
        usual = np.where(bought, np.log(np.maximum(value, LEAST)), 0.0)  # who never bought counts as one like all
        known = np.maximum(when - np.maximum(self.record.since[customer], self.record.first), 0) / DAY
        seen = np.zeros(len(customer))
        if self._visits is not None:
            seen = self._visits.before(customer, when)[0] - self._visits.before(customer, when - RECENT * DAY)[0]
        return np.stack([
            np.log1p(count), np.log((count + EVEN) / (known + RECENT)), np.log1p(away), usual,
            (uses > 0).astype(float), np.log1p(uses), uses / (count + 1), uses / (held + 2), np.log1p(seen),
        ], axis=1)  # fmt: skip

    def usual(self, customer: Ints, at: Ints | int) -> Array:
        """Return the mean value [n] of customers' orders before moments; NaN where they had none."""
        count, spent, _ = self._orders.before(customer, np.broadcast_to(np.asarray(at, np.int64), customer.shape))
        return np.where(count > 0, spent / np.maximum(count, 1), np.nan)

    def orders(self, customer: Ints, first: Ints, end: Ints, low: float = -np.inf) -> Array:
        """Return how many orders [n] of at least `low` customers made from a moment until another."""
        found = self.record.orders
        some = found.value >= low
        counted = _Counted(found.customer[some], found.at[some])
        return counted.before(customer, end)[0] - counted.before(customer, first)[0]


class _Counted:
    """Things that happened to customers, counted up to any moment by one sorted search."""

    def __init__(self, customer: Ints, at: Ints, size: Array | None = None):
        key = customer * _BEYOND + at
        order = np.argsort(key, kind="stable")
        self._key = key[order]
        sizes = np.zeros(len(key)) if size is None else size[order]
        self._sum = np.concatenate([[0.0], np.cumsum(sizes)])
        self._start = np.searchsorted(self._key, np.arange(int(customer.max(initial=0)) + 2) * _BEYOND)

    def before(self, customer: Ints, at: Ints) -> tuple[Array, Array, Ints]:
        """Return how often [n], with what sum [n], and at which second last [n] something happened before moments."""
        start = self._start[np.minimum(customer, len(self._start) - 1)]
        end = np.maximum(np.searchsorted(self._key, customer * _BEYOND + at), start)
        if not len(self._key):
            return np.zeros(len(customer)), np.zeros(len(customer)), np.zeros(len(customer), np.int64)
        last = self._key[np.maximum(end - 1, 0)] % _BEYOND
        return (end - start).astype(float), self._sum[end] - self._sum[start], last


__all__ = ["NAMES", "Past"]
