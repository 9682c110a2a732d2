"""What a brief rests on, read once for a store as one caller may see it, so that any period is answered at once."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

from tradewind.engines.panel import Panel
from tradewind.engines.store import Store
from tradewind.errors import MissingDataError, NotFoundError
from tradewind.measures import metrics as m
from tradewind.measures.metric import Metric, Total
from tradewind.measures.query import left_out, lights_up, partly_said, present
from tradewind.measures.tree import Edge, edges
from tradewind.period import Period
from tradewind.study import Provenance

SHOWN = (
    m.GMV, m.ORDERS, m.BUYERS, m.AOV, m.CVR, m.REFUND_RATE, m.MERCHANT_PROFIT, m.PLATFORM_PROFIT, m.IMPRESSIONS,
)  # fmt: skip
"""The metrics of a brief, each where the source can answer it."""
MISSED = (m.MERCHANT_PROFIT, m.IMPRESSIONS, m.REFUND_RATE)
"""Those whose absence is said."""
MOVERS = ("shop_id", "department", "surface", "form", "relation", "creator_id")
NAMED = {"shop_id": "shops", "creator_id": "creators"}
LIVE = "live"


@dataclass(frozen=True)
class View:
    """What one reader is told of: all that the caller may see, or one shop of it.

    Args:
        shown: The metrics that can be answered.
        way: How GMV is taken apart; None where the source cannot.
        panel: The metrics and what they are made of.
        cube: GMV by the dimensions of `movers`.
        live: GMV of live rooms; None where there are none.
        movers: The dimensions by which GMV is split.
        shop: The shop's id; empty where it is of all.
    """

    shown: tuple[Metric, ...]
    way: Edge | None
    panel: Panel
    cube: Panel
    live: Panel | None
    movers: tuple[str, ...]
    shop: str = ""


@dataclass(frozen=True)
class Ground:
    """All that briefs of one store share.

    Args:
        span: The days of the data.
        provenance: Where the numbers come from.
        whole: The view of all that the caller may see.
        by_shop: What a view of one shop is limited from; None where no order line names its shop.
        names: By dimension, the name of each id that has one.
        assumed: Names of the metrics that rest on an assumed margin.
        caveats: What the source could not answer.
    """

    span: Period
    provenance: Provenance
    whole: View
    by_shop: View | None
    names: Mapping[str, Mapping[str, str]]
    assumed: frozenset[str]
    caveats: tuple[str, ...]
    _shops: dict[str, View] = field(default_factory=dict)

    def view(self, shop: str = "") -> View:
        """Return the view of all, or of one shop.

        Raises:
            MissingDataError: If the source does not say which shop sold.
            NotFoundError: If the caller sees no such shop.
        """
        if not shop:
            return self.whole
        if self.by_shop is None:
            raise MissingDataError("The source does not say which shop sold", do="leave the shop out")
        if shop not in self._shops:
            base = self.by_shop
            if shop not in base.panel.known.names["shop_id"]:
                raise NotFoundError("You see no such shop in the data", got=shop, do="see `tradewind check`")
            cube = base.cube.of("shop_id", shop)
            movers = tuple(name for name in base.movers if name != "shop_id")
            live = cube.of("form", LIVE) if base.live is not None else None
            self._shops[shop] = View(base.shown, base.way, base.panel.of("shop_id", shop), cube, live, movers, shop)
        return self._shops[shop]

    def said(self, dimension: str, key: Any) -> str:
        """Return a value of a dimension as a reader would say it."""
        if key is None:
            return "(none)"
        return self.names.get(dimension, {}).get(key) or str(key)


_GROUNDS: WeakKeyDictionary[Store, Ground] = WeakKeyDictionary()
_READING = threading.Lock()


def ground(store: Store) -> Ground:
    """Return what briefs of a store rest on, read at the first call.

    Raises:
        MissingDataError: If the source has no order lines.
    """
    found = _GROUNDS.get(store)
    if found is None:
        with _READING:
            found = _GROUNDS.get(store)
            if found is None:
                found = _GROUNDS[store] = _read(store)
    return found


def _read(store: Store) -> Ground:
    span = store.span
    movers = tuple(name for name in MOVERS if lights_up(m.GMV, store, (name,)))
    cube = store.panel((m.GMV,), movers)
    live = cube.of("form", LIVE) if "form" in movers and LIVE in cube.known.names["form"] else None
    whole = _view(store, (), cube, live, movers)
    by_shop = _view(store, ("shop_id",), cube, live, movers) if "shop_id" in movers else None
    names = {
        dimension: dict(zip(*store.run(store.table(table).select(dimension, "name")).to_pydict().values(), strict=True))
        for dimension, table in NAMED.items()
        if dimension in movers and store.has(table, "name")
    }
    assumed = frozenset(metric.name for metric in whole.shown if m.assumed(metric, store))
    return Ground(span, store.provenance, whole, by_shop, names, assumed, _caveats(store, whole.shown))


def _view(store: Store, by: tuple[str, ...], cube: Panel, live: Panel | None, movers: tuple[str, ...]) -> View:
    shown = tuple(metric for metric in SHOWN if lights_up(metric, store, by))
    ways = [way for way in edges(m.GMV, store) if way.kind == "product"]
    ways = [way for way in ways if all(lights_up(child, store, by) for child in way.children)]
    way = ways[0] if ways else None
    metrics = tuple(dict.fromkeys((*shown, *(way.children if way else ()))))
    # one reading serves both views where the source knows the shop of all that is shown
    everywhere = all(lights_up(metric, store, ("shop_id",)) for metric in metrics)
    return View(shown, way, store.panel(metrics, ("shop_id",) if everywhere else by), cube, live, movers)


def _caveats(store: Store, shown: tuple[Metric, ...]) -> tuple[str, ...]:
    found = []
    for metric in shown:
        if isinstance(metric, Total) and (absent := left_out(metric, store)):
            names = ", ".join(leaf.title.lower() for leaf in absent)
            found.append(f"{metric.title} is computed without {names}: the source has none.")
    found.extend(partly_said(shown, store))
    for metric in MISSED:
        try:
            present(metric, store)
        except MissingDataError as error:
            found.append(f"{metric.title}: unknown, since the source lacks {error.what.rsplit('lacks ', 1)[-1]}.")
    for metric in shown:
        if m.assumed(metric, store):
            found.append(f"{metric.title} rests on an assumed margin: {' '.join(store.assumptions.sentences())}")
    return tuple(found)
