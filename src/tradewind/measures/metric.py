"""The metric algebra: what can be added, what must be counted distinct, ratios of sums, and totals of metrics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import ibis.expr.types as ir

from tradewind.measures.fact import Fact, Row


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A named number about a group's past.

    Args:
        name: Name, the same in code, tables and pages.
        title: What the reader sees.
        unit: `money`, `count`, `share` or `ratio`.
        better: +1 where more is better, −1 where less is, 0 where it depends.
        doc: One sentence: what exactly is counted.
    """

    name: str
    title: str
    unit: str
    better: int
    doc: str


@dataclass(frozen=True, kw_only=True)
class Additive(Metric):
    """A sum over the rows of a fact: parts of the business add up to the whole.

    Args:
        fact: What is summed over.
        value: Value of one row.
    """

    fact: Fact
    value: Callable[[Row], ir.NumericValue]


@dataclass(frozen=True, kw_only=True)
class Distinct(Metric):
    """A count of different things among the rows of a fact; parts overlap, so they do not add up.

    Args:
        fact: What is counted over.
        value: The thing counted; null where the row does not count.
    """

    fact: Fact
    value: Callable[[Row], ir.Value]


@dataclass(frozen=True, kw_only=True)
class Ratio(Metric):
    """One metric over another: a sum over a sum, never a mean of ratios.

    Args:
        over: The metric above the line.
        under: The metric below the line.
        times: Factor for metrics quoted per thousand.
    """

    over: Metric
    under: Metric
    times: int = 1


@dataclass(frozen=True)
class Part:
    """One term of a total.

    Args:
        metric: The term.
        sign: +1 or −1.
        required: Whether the total is unknown without it. Other parts that the source lacks are left out and named.
        beside: The metric without which this one is left out too, since one alone would mislead.
    """

    metric: Metric
    sign: int
    required: bool = False
    beside: Metric | None = None


@dataclass(frozen=True, kw_only=True)
class Total(Metric):
    """A signed sum of metrics, such as a party's contribution profit.

    Args:
        parts: Its terms.
    """

    parts: tuple[Part, ...]


Leaf = Additive | Distinct


def leaves(metric: Metric) -> tuple[Leaf, ...]:
    """Return the additive and distinct metrics that a metric is made of, each once, in order."""
    if isinstance(metric, Additive | Distinct):
        return (metric,)
    below: tuple[Metric, ...]
    if isinstance(metric, Ratio):
        below = (metric.over, metric.under)
    elif isinstance(metric, Total):
        below = tuple(part.metric for part in metric.parts)
    else:
        raise TypeError(f"{type(metric).__name__} is not a metric of the algebra")
    return tuple(dict.fromkeys(leaf for child in below for leaf in leaves(child)))
