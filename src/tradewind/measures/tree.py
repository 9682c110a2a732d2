"""The metric tree: how a metric is made of others, as typed edges that decompositions walk."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from tradewind.measures import metrics as m
from tradewind.measures.fact import Tables
from tradewind.measures.metric import Metric, Ratio, Total
from tradewind.measures.query import left_out, lights_up

Kind = Literal["product", "sum", "ratio"]


@dataclass(frozen=True)
class Edge:
    """One way in which a metric is made of others.

    Args:
        parent: The metric.
        kind: `product` of the children, signed `sum` of them, or `ratio` of the first to the second.
        children: What it is made of.
        signs: +1 or −1 a child: the sign of a term, or the exponent of a factor.
        title: The way in a few words.
        scale: What the children's result is multiplied by to give the parent.
    """

    parent: Metric
    kind: Kind
    children: tuple[Metric, ...]
    signs: tuple[int, ...]
    title: str
    scale: int = 1

    def fitting(self, tables: Tables) -> Edge | None:
        """Return the edge as these tables need it, or None where they cannot walk it.

        Where every line names its customer, nothing happens in the step from the orders of buyers to all orders; where
        some do not, an edge of buyers without that step does not hold.
        """
        if not all(lights_up(child, tables) for child in self.children):
            return None
        if m.ORDERS_PER_BUYER not in self.children:
            return self
        if tables.coverage("order_lines", "customer_id") < 1:
            return self if m.ORDERS_PER_KNOWN in self.children else None
        kept = [n for n, child in enumerate(self.children) if child is not m.ORDERS_PER_KNOWN]
        return replace(self, children=tuple(self.children[n] for n in kept), signs=tuple(self.signs[n] for n in kept))


def _product(parent: Metric, title: str, *children: Metric) -> Edge:
    return Edge(parent, "product", children, (1,) * len(children), title)


def _sum(parent: Metric, title: str, *children: Metric) -> Edge:
    return Edge(parent, "sum", children, (1,) * len(children), title)


EDGES: tuple[Edge, ...] = (
    _product(
        m.GMV, "buyers, their orders, and prices",
        m.BUYERS, m.ORDERS_PER_BUYER, m.ORDERS_PER_KNOWN, m.ITEMS_PER_ORDER, m.GROSS_PRICE, m.PRICE_KEPT,
    ),
    _product(m.GMV, "traffic, conversion and order value", m.IMPRESSIONS, m.CTR, m.CVR, m.AOV),
    _sum(m.GMV, "first orders and later orders", m.GMV_NEW, m.GMV_RETURNING, m.GMV_UNKNOWN),
    _product(m.GROSS_SALES, "buyers, their orders, and prices",
             m.BUYERS, m.ORDERS_PER_BUYER, m.ORDERS_PER_KNOWN, m.ITEMS_PER_ORDER, m.GROSS_PRICE),
    _product(m.ORDERS, "buyers and their orders", m.BUYERS, m.ORDERS_PER_BUYER, m.ORDERS_PER_KNOWN),
    _product(m.ORDERS, "traffic and conversion", m.IMPRESSIONS, m.CTR, m.CVR),
    _product(m.ITEMS, "buyers, their orders, and basket size",
             m.BUYERS, m.ORDERS_PER_BUYER, m.ORDERS_PER_KNOWN, m.ITEMS_PER_ORDER),
    _product(m.AOV, "basket size and prices", m.ITEMS_PER_ORDER, m.GROSS_PRICE, m.PRICE_KEPT),
    _product(m.PRICE_PER_ITEM, "price and discount", m.GROSS_PRICE, m.PRICE_KEPT),
    _product(m.GMV_PER_BUYER, "orders and order value", m.ORDERS_PER_BUYER, m.AOV),
    _product(m.CLICKS, "traffic and CTR", m.IMPRESSIONS, m.CTR),
)  # fmt: skip


def edges(metric: Metric, tables: Tables) -> tuple[Edge, ...]:
    """Return the ways in which the tables can take a metric apart, the most telling first; empty where none.

    A ratio is always its numerator over its denominator, and a total the signed sum of the parts that are there.
    """
    if not lights_up(metric, tables):
        return ()
    found = [there for edge in EDGES if edge.parent is metric and (there := edge.fitting(tables)) is not None]
    if isinstance(metric, Ratio):
        title = f"{metric.over.title} over {metric.under.title}"
        found.append(Edge(metric, "ratio", (metric.over, metric.under), (1, -1), title, metric.times))
    if isinstance(metric, Total):
        absent = set(left_out(metric, tables))
        parts = [part for part in metric.parts if part.metric not in absent]
        signs = tuple(part.sign for part in parts)
        found.append(Edge(metric, "sum", tuple(part.metric for part in parts), signs, "its terms"))
    return tuple(found)
