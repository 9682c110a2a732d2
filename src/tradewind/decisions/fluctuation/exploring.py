"""Exploring: the change of a metric taken apart over its whole tree at once, from a panel, for somebody who clicks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tradewind.engines.panel import Panel
from tradewind.engines.store import Store
from tradewind.errors import BadInputError
from tradewind.measures.metric import Metric, Ratio
from tradewind.measures.metrics import METRICS
from tradewind.measures.query import lights_up
from tradewind.measures.tree import Edge, edges
from tradewind.methods.contribution import Node, tree
from tradewind.period import Period
from tradewind.study import Column, Grid

DEEPEST = 3
"""Levels below the metric that are taken apart."""


@dataclass(frozen=True)
class Branch:
    """A metric in a tree, and what its move brought.

    Args:
        metric: Its name.
        title: What the reader sees.
        unit: Its unit.
        before: Its value before; None for a ratio over nothing.
        after: Its value after.
        contribution: What its move brought to the metric at the root, in that metric's unit.
        ways: The ways in which it is made of others.
    """

    metric: str
    title: str
    unit: str
    before: Any
    after: Any
    contribution: float
    ways: tuple[Way, ...]

    def walk(self, depth: int = 0) -> Iterator[tuple[int, Branch]]:
        """Yield the branch and all below it with their depths, parents first."""
        yield depth, self
        for way in self.ways:
            for child in way.children:
                yield from child.walk(depth + 1)


@dataclass(frozen=True)
class Way:
    """One way in which a metric is made of others; what they brought sums to what it brought.

    Args:
        title: The way in a few words.
        children: What it is made of.
    """

    title: str
    children: tuple[Branch, ...]


@dataclass(frozen=True)
class Tree:
    """The change of a metric, taken apart.

    Args:
        root: The metric.
        unit: Unit of every contribution.
        period: The days in question.
        base: The days that they are compared with.
    """

    root: Branch
    unit: str
    period: Period
    base: Period

    @property
    def top(self) -> float:
        """The largest contribution, for drawing."""
        return max(abs(branch.contribution) for _, branch in self.root.walk())

    @property
    def grid(self) -> Grid:
        """The tree as a table, a row a branch."""
        rows = tuple(
            {"level": depth, "metric": branch.title, "before": branch.before, "after": branch.after,
             "contribution": branch.contribution}
            for depth, branch in self.root.walk()
        )  # fmt: skip
        columns = (
            Column("level", "Level", "count"), Column("metric", "Metric"), Column("before", self.base.title, "ratio"),
            Column("after", self.period.title, "ratio"), Column("contribution", "Contribution", self.unit),
        )  # fmt: skip
        return Grid(columns, rows)


def metrics_of(store: Store) -> tuple[Metric, ...]:
    """Return every metric that a tree may need and the store can answer: what a panel for exploring holds."""
    return tuple(metric for metric in METRICS.values() if lights_up(metric, store))


def explored(store: Store, panel: Panel, metric: Metric, period: Period, base: Period) -> Tree | None:
    """Take the change of a metric apart over every way in which the house can.

    Args:
        store: The store, which says what lights up.
        panel: Its panel of `metrics_of`, or of a part of it.
        metric: The metric.
        period: The days in question.
        base: The days that they are compared with.

    Returns:
        The tree; None where one side has no value or a day of it lies outside the data.
    """
    if base.clipped(panel.span) != base:
        return None
    before, after = panel.values(base), panel.values(period)
    ends = _number(before[metric.name]), _number(after[metric.name])
    if not all(math.isfinite(end) for end in ends):
        return None
    change = ends[1] - ends[0]
    ways = tuple(way for edge in edges(metric, store) if (way := _way(store, metric, edge, before, after)) is not None)
    root = Branch(metric.name, metric.title, metric.unit, before[metric.name], after[metric.name], change, ways)
    return Tree(root, "points" if metric.unit == "share" else metric.unit, period, base)


def _way(store: Store, metric: Metric, edge: Edge, before: Mapping[str, Any], after: Mapping[str, Any]) -> Way | None:
    """Return one way down from the root, every metric below it taken apart by its own first way."""
    taken = {metric.name, *(child.name for child in edge.children)}
    below: dict[str, Edge] = {}
    node = _node(store, metric, edge, taken, below, DEEPEST)
    names = [each.name for each in node.walk() if each.kind in ("leaf", "product")]
    try:
        found = tree(node, *({name: _number(side[name]) for name in names} for side in (before, after)))
    except BadInputError:  # on one side a factor is unknown, or nothing, as buyers are of sales of which none is known
        return None
    brought = {**found.parts, **found.nodes}

    def branch(each: Metric) -> Branch:
        deeper = below.get(each.name)
        children = () if deeper is None else (Way(deeper.title, tuple(branch(child) for child in deeper.children)),)
        return Branch(
            each.name, each.title, each.unit, before[each.name], after[each.name],
            float(brought[each.name]) * edge.scale, children,
        )  # fmt: skip

    return Way(edge.title, tuple(branch(child) for child in edge.children))


def _node(store: Store, metric: Metric, edge: Edge, taken: set[str], below: dict[str, Edge], depth: int) -> Node:
    children = []
    for child in edge.children:
        deeper = next(iter(edges(child, store)), None) if depth > 1 and not isinstance(child, Ratio) else None
        fresh = deeper is not None and deeper.scale == 1 and not taken & {each.name for each in deeper.children}
        if deeper is None or not fresh:
            children.append(Node(child.name))
            continue
        taken |= {each.name for each in deeper.children}
        below[child.name] = deeper
        children.append(_node(store, child, deeper, taken, below, depth - 1))
    return Node(metric.name, edge.kind, tuple(children), edge.signs)


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)
