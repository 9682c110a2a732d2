"""Peers: what a merchant may learn of other shops. The same figures for everybody who asks about the same group."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tradewind.errors import BadInputError, MissingDataError, NotFoundError
from tradewind.measures.metric import Metric, Ratio
from tradewind.measures.metrics import GMV, METRICS, ORDERS, within_a_shop
from tradewind.measures.query import Query
from tradewind.methods.disclosure import Disclosure, Withheld
from tradewind.period import Period

if TYPE_CHECKING:
    from tradewind.engines.store import Store

Value = Decimal | float | None
Values = Mapping[str, Value]

ORDERS_FOR_A_RATIO = 10
"""Fewest orders of a shop whose ratios are compared: over less they are chance, and nearly say single orders."""
KEPT = 256
"""Most columns of shops' values, one a metric and period, that are kept in memory."""

_RULE = Disclosure()
_WHY = {
    Withheld.FEW: "fewer than ten comparable shops",
    Withheld.DOMINATED: "one shop is too large a part of the comparable shops",
    Withheld.EXPOSED: "a figure would rest too much on one shop",
    Withheld.ALIKE: "too many of the comparable shops have the same value",
}


@dataclass(frozen=True)
class Comparison:
    """One metric of a shop beside its peers'.

    Args:
        metric: The metric's name.
        own: The shop's own value, exact; None where it has none, as a ratio without a denominator.
        low: A quarter of the peers have about this or less; None where it may not be told.
        middle: Half of the peers have about this or less; None where it may not be told.
        high: Three quarters of the peers have about this or less; None where it may not be told.
        shops: The peers are so many shops or more, a multiple of five; None where it may not be told.
        reason: Why nothing is told of the peers; empty where it is.
    """

    metric: str
    own: Value
    low: float | None = None
    middle: float | None = None
    high: float | None = None
    shops: int | None = None
    reason: str = ""


@dataclass(frozen=True)
class Peers:
    """A shop beside its peers in one period.

    Args:
        shop_id: The shop, one of the caller's own.
        period: The days.
        who: What makes the others its peers, in words.
        metrics: One comparison a metric, in the order asked for.
    """

    shop_id: str
    period: Period
    who: str
    metrics: tuple[Comparison, ...]


@dataclass(frozen=True)
class Groups:
    """Who is whose peer in one period.

    Args:
        alone: Categories that are a group each.
        members: Shops with sales by category of `alone`, and by None those of all others together.
    """

    alone: frozenset[str]
    members: Mapping[str | None, Sequence[str]]

    def of(self, kind: str | None) -> Sequence[str]:
        """Return the peers of a shop of some category."""
        return self.members.get(kind if kind in self.alone else None, ())


class Crowd:
    """All shops of one snapshot, to compare one of them with; shared by every store of the snapshot and by threads.

    What is told depends on the snapshot, the period, the metric and the shop's group only, never on which of their
    shops callers name or narrow themselves to; what callers own decides but whether they are told at all.

    Args:
        everything: Opens the snapshot as an operator sees it, without assumptions. Kept from whoever holds the crowd.
    """

    def __init__(self, everything: Callable[[], Store]):
        self._open = everything
        self._lock = Lock()
        self._store: Store | None = None
        self._values: OrderedDict[tuple[Period, str], Values] = OrderedDict()
        self._kinds: Mapping[str, str | None] | None = None
        self._groups: dict[Period, Groups] = {}

    def compare(self, metrics: Sequence[Metric], period: Period, shop: str, own: frozenset[str]) -> Peers:
        """Return a shop beside its peers.

        Args:
            metrics: Which metrics, from `METRICS`.
            period: A whole calendar month, quarter or year.
            shop: The shop.
            own: All shops of whoever asks.

        Raises:
            BadInputError: If a metric cannot be compared, or the period is not one of those that are answered.
            MissingDataError: If the source lacks what a metric needs.
            NotFoundError: If nothing is known of the shop.
        """
        for asked in metrics:
            _comparable(asked)
        if not metrics:
            raise BadInputError("A comparison needs at least one metric", allowed=_names())
        with self._lock:
            self._store = self._store or self._open()
            _answered(period, self._store.manifest.span())
            found = self._found(self._store, tuple(metrics), period)
            kinds = self._kinds = self._kinds if self._kinds is not None else _kinds(self._store)
            gmv = found[GMV.name]
            groups = self._groups[period] = self._groups.get(period) or _groups(gmv, kinds)
        if shop not in kinds and not any(shop in values for values in found.values()):
            raise NotFoundError("Nothing is known of this shop", do="ask for a period in which it sold something")
        kind = kinds.get(shop)
        group = groups.of(kind)
        withheld = _RULE.judged(_floats(gmv, group))
        lines = tuple(self._line(asked, found, shop, group, own, withheld) for asked in metrics)
        return Peers(shop, period, _words(kind, groups.alone), lines)

    def _line(
        self, asked: Metric, found: Mapping[str, Values], shop: str, group: Sequence[str], own: frozenset[str],
        withheld: Withheld | None,
    ) -> Comparison:  # fmt: skip
        values = found[asked.name]
        nothing = None if isinstance(asked, Ratio) else Decimal(0) if asked.unit == "money" else 0
        mine = values.get(shop, nothing)
        if withheld is None:
            if isinstance(asked, Ratio):
                orders = found[ORDERS.name]
                group = [n for n in group if _enough(orders.get(n)) and values.get(n) is not None]
            told = _RULE(_floats(values, group), [name in own for name in group])
            withheld = told.withheld
        if withheld is not None:
            return Comparison(asked.name, mine, reason=_WHY[withheld])
        return Comparison(asked.name, mine, told.low, told.middle, told.high, told.units)

    def _found(self, store: Store, metrics: tuple[Metric, ...], period: Period) -> dict[str, Values]:
        """Return each shop's value of the metrics, GMV and orders among them, by metric."""
        wanted = tuple(dict.fromkeys((*metrics, GMV, ORDERS)))
        lacking = tuple(metric for metric in wanted if (period, metric.name) not in self._values)
        if lacking:
            rows = store.metrics(Query(lacking, period, by=("shop_id",))).to_pydict()
            for metric in lacking:
                column = zip(rows["shop_id"], rows[metric.name], strict=True)
                self._values[period, metric.name] = {shop: value for shop, value in column if shop is not None}
        for metric in wanted:
            self._values.move_to_end((period, metric.name))
        found = {metric.name: self._values[period, metric.name] for metric in wanted}
        while len(self._values) > KEPT:
            self._values.popitem(last=False)
        return found


def _comparable(asked: Metric) -> None:
    """Refuse a metric of the caller's own making, which could pick shops out, and one that other shops' rows decide."""
    if METRICS.get(asked.name) is not asked or not within_a_shop(asked):
        raise BadInputError("This metric cannot be compared between shops", got=asked.name, allowed=_names())


def _names() -> list[str]:
    return [name for name, metric in METRICS.items() if within_a_shop(metric)]


def _answered(period: Period, span: Period | None) -> None:
    """Refuse a period that is no whole calendar month, quarter or year: the difference of two others tells of days."""
    if span is None:
        raise MissingDataError("The store holds no order lines", do="import a source that has orders")
    if period.months and span.first <= period.first and period.last <= span.last:
        return
    first = span.first if span.first.day == 1 else _next_month(span.first)
    last = _next_month(span.last).replace(day=1) - timedelta(days=1)
    last = last if last == span.last else span.last.replace(day=1) - timedelta(days=1)
    if last < first:
        raise MissingDataError("Peers are compared over whole calendar months, and the data covers none yet")
    raise BadInputError(
        "Peers are compared over whole calendar months, quarters or years that the data covers",
        got=period,
        allowed=f"months from {first:%Y-%m} to {last:%Y-%m}, and the quarters and years that they make up",
    )


def _next_month(day: date) -> date:
    return (day.replace(day=1) + timedelta(days=31)).replace(day=1)


def _kinds(store: Store) -> dict[str, str | None]:
    """Return the first part of each shop's category, None where it has none."""
    if not store.has("shops"):
        return {}
    rows = store.run(store.table("shops").select("shop_id", "category")).to_pylist()
    return {row["shop_id"]: (row["category"] or "").split("/")[0].strip() or None for row in rows}


def _groups(gmv: Values, kinds: Mapping[str, str | None]) -> Groups:
    sellers = sorted(shop for shop, value in gmv.items() if value is not None and value > 0)
    alone = _RULE.alone(_floats(gmv, sellers), [kinds.get(shop) for shop in sellers])
    members: dict[str | None, list[str]] = {}
    for shop in sellers:
        kind = kinds.get(shop)
        members.setdefault(kind if kind in alone else None, []).append(shop)
    return Groups(alone, members)


def _words(kind: str | None, alone: frozenset[str]) -> str:
    if kind in alone:
        return f"shops of the category {kind}"
    if not alone:
        return "all shops"
    own = f"shops of the category {kind} and of others" if kind else "shops of several categories"
    return f"{own}, taken together so that no shop can be told from the figures"


def _enough(orders: Value) -> bool:
    return orders is not None and orders >= ORDERS_FOR_A_RATIO


def _floats(values: Values, group: Sequence[str]) -> NDArray[np.float64]:
    """The values of a group's shops; nothing that is summed is none of it."""
    return np.array([float(values.get(name) or 0.0) for name in group], float)
