"""The feature algebra: numbers about one entity over a window, as known at a moment.

A feature reads a row only if the row happened in the window and was visible by the moment, so a row that arrives late
changes no feature of the past. Many moments are answered in one pass.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from tradewind.errors import BadInputError, MissingDataError
from tradewind.measures.fact import MONEY, Fact, Row, Tables, whole_seconds
from tradewind.measures.facts import REFUNDS, SALES, TRAFFIC

Entity = Literal["customer", "product", "shop"]
How = Literal["sum", "distinct", "days_since_last", "days_since_first"]


@dataclass(frozen=True)
class Feature:
    """A number about one entity, as known at a moment.

    Args:
        name: Name, unique within its entity.
        entity: `customer`, `product` or `shop`.
        doc: One sentence: what exactly is counted.
        unit: `money`, `count` or `days`.
        fact: What it counts over.
        how: A sum or distinct count of the value, or the days since the entity's last or first row.
        value: Value of one row; not used by the days since.
        days: Length of the window up to the moment; None for all the past.
    """

    name: str
    entity: Entity
    doc: str
    unit: str
    fact: Fact
    how: How
    value: Callable[[Row], ir.Value] | None = None
    days: int | None = None

    @property
    def kind(self) -> str:
        """Type of its column."""
        return {"money": MONEY, "count": "int64", "days": "float64"}[self.unit]


def _windowed(
    entity: Entity,
    stem: str,
    fact: Fact,
    value: Callable[[Row], ir.Value],
    unit: str,
    doc: str,
    how: How = "sum",
    windows: Sequence[int] = (7, 28, 91),
) -> tuple[Feature, ...]:
    return tuple(
        Feature(f"{stem}_{days}d", entity, f"{doc} in the last {days} days.", unit, fact, how, value, days)
        for days in windows
    )  # fmt: skip


def _sales(entity: Entity) -> tuple[Feature, ...]:
    return (
        *_windowed(entity, "gmv", SALES, lambda row: row.gmv, "money", "GMV"),
        *_windowed(entity, "orders", SALES, lambda row: row.order_id, "count", "Different orders", "distinct"),
        *_windowed(entity, "items", SALES, lambda row: row.quantity, "count", "Pieces"),
        Feature("days_since_last_sale", entity, "Days since the last order.", "days", SALES, "days_since_last"),
        Feature("days_since_first_sale", entity, "Days since the first order.", "days", SALES, "days_since_first"),
        *_windowed(entity, "refunds", REFUNDS, lambda row: row.gmv_back, "money", "GMV given back", windows=(28, 91)),
    )


FEATURES: tuple[Feature, ...] = (
    *_sales("customer"),
    *_windowed("customer", "products", SALES, lambda row: row.product_id, "count", "Different products", "distinct",
               (91,)),
    *_windowed("customer", "shops", SALES, lambda row: row.shop_id, "count", "Different shops", "distinct", (91,)),
    *_sales("product"),
    *_windowed("product", "buyers", SALES, lambda row: row.customer_id, "count", "Different buyers", "distinct", (28,)),
    *_windowed("product", "impressions", TRAFFIC, lambda row: row.impressions, "count", "Impressions"),
    *_windowed("product", "clicks", TRAFFIC, lambda row: row.clicks, "count", "Clicks"),
    *_sales("shop"),
    *_windowed("shop", "buyers", SALES, lambda row: row.customer_id, "count", "Different buyers", "distinct", (28,)),
    *_windowed("shop", "products", SALES, lambda row: row.product_id, "count", "Different products sold", "distinct",
               (28,)),
    *_windowed("shop", "impressions", TRAFFIC, lambda row: row.impressions, "count", "Impressions"),
)  # fmt: skip


def features(entity: Entity, tables: Tables, names: Sequence[str] = ()) -> tuple[Feature, ...]:
    """Return the features of an entity that the tables can answer.

    Args:
        entity: `customer`, `product` or `shop`.
        tables: The tables.
        names: Names of the wanted ones, in order; all that light up if empty.

    Raises:
        BadInputError: If the entity or a name is not known.
        MissingDataError: If the source lacks what a named feature needs.
    """
    own = {feature.name: feature for feature in FEATURES if feature.entity == entity}
    if not own:
        raise BadInputError("There are no features of this", got=entity, allowed=("customer", "product", "shop"))
    for name in names:
        if name not in own:
            raise BadInputError(f"There is no such feature of a {entity}", got=name, allowed=own)
        if lacking := _missing(own[name], tables):
            raise MissingDataError(f"{name} needs what the source lacks", got=", ".join(lacking))
    return tuple(own[n] for n in names) if names else tuple(f for f in own.values() if not _missing(f, tables))


def feature_table(entity: Entity, tables: Tables, moments: Sequence[datetime], names: Sequence[str] = ()) -> ibis.Table:
    """Return features of every entity that was known, at each of many moments, as one expression.

    Args:
        entity: `customer`, `product` or `shop`.
        tables: The tables.
        moments: UTC moments; a row counts at a moment if it happened and was visible by then.
        names: Names of the wanted features; all that light up if empty.

    Returns:
        A row for each moment and each entity with a row by then: `moment`, the entity's id, and a column a feature; a
        sum over no rows is 0, days since no row is null.

    Raises:
        BadInputError: If no moment is given, or an entity or name is not known.
        MissingDataError: If the source lacks what a named feature needs.
    """
    if not moments:
        raise BadInputError("Features need at least one moment")
    wanted = features(entity, tables, names)
    at = ibis.memtable(pa.table({"moment": pa.array(sorted(set(moments)), pa.timestamp("us"))}))
    parts = [
        part for fact in dict.fromkeys(f.fact for f in wanted) for part in _known(fact, entity, wanted, tables, at)
    ]
    together = ibis.union(*parts) if len(parts) > 1 else parts[0]
    groups = ["moment", f"{entity}_id"]
    merged = together.group_by(groups).aggregate(**{f.name: together[f.name].max() for f in wanted})
    filled = {f.name: merged[f.name].fill_null(0).cast(f.kind) for f in wanted if f.unit != "days"}
    return merged.mutate(**filled).select(*groups, *(f.name for f in wanted)).order_by(groups)


def _missing(feature: Feature, tables: Tables) -> tuple[str, ...]:
    return feature.fact.missing(tables, *_reads(feature))


def _reads(feature: Feature) -> tuple[Callable[[Row], ir.Value], ...]:
    fact = feature.fact
    needed = [_column(f"{feature.entity}_id"), _column(fact.time), _column(fact.known)]
    return (*needed, feature.value) if feature.value else tuple(needed)


def _column(name: str) -> Callable[[Row], ir.Value]:
    def value(row: Row) -> ir.Value:
        return getattr(row, name)

    return value


def _known(fact: Fact, entity: Entity, wanted: Sequence[Feature], tables: Tables, at: ibis.Table) -> list[ibis.Table]:
    """Return relations that each hold some of a fact's features: one for the sums, one for each thing counted."""
    own = [feature for feature in wanted if feature.fact is fact]
    relation, row = fact.rows(tables, *(read for feature in own for read in _reads(feature)))
    stems = {_stem(feature): feature.value for feature in own if feature.value}
    columns = {f"{entity}_id": getattr(row, f"{entity}_id"), "__time": getattr(row, fact.time)}
    values = {f"__{stem}": value(row) for stem, value in stems.items()}
    rows = relation.select(**columns, __known=getattr(row, fact.known), **values)
    rows = rows.filter(rows[f"{entity}_id"].notnull(), rows["__known"].notnull())
    groups = ["moment", f"{entity}_id"]
    parts = []
    for batch in dict.fromkeys(_batch(feature) for feature in own):
        some = [feature for feature in own if _batch(feature) == batch]
        longest = None if any(f.days is None for f in some) else max(f.days or 0 for f in some)
        seen = _seen(rows, at, longest)
        if some[0].how == "distinct":
            # one row for each thing counted, so that no engine has to count distinct over many windows at once
            kept = seen.filter(seen[f"__{batch}"].notnull())
            seen = kept.group_by([*groups, f"__{batch}"]).aggregate(__time=kept["__time"].max())
        sums = seen.group_by(groups).aggregate(**{f.name: _aggregate(f, seen) for f in some})
        absent = {f.name: ibis.null(f.kind) for f in wanted if f not in some}
        parts.append(sums.mutate(**absent).select(*groups, *(f.name for f in wanted)))
    return parts


def _batch(feature: Feature) -> str:
    """Features of one batch are summed together: all sums, all days since, and each thing counted by itself."""
    return _stem(feature) if feature.how == "distinct" else "sum" if feature.how == "sum" else "since"


def _seen(rows: ibis.Table, at: ibis.Table, longest: int | None) -> ibis.Table:
    """Join each row to the moments by which it had happened and was visible, within the longest window."""
    conditions = [rows["__known"] <= at.moment, rows["__time"] <= at.moment]
    if longest is not None:
        conditions.append(rows["__time"] > at.moment - ibis.interval(days=longest))
    return rows.join(at, conditions)


def _stem(feature: Feature) -> str:
    """What a feature counts, without its window."""
    return feature.name.rsplit("_", 1)[0]


def _aggregate(feature: Feature, seen: ibis.Table) -> ir.Scalar:
    if feature.how in ("days_since_last", "days_since_first"):
        edge = seen["__time"].max() if feature.how == "days_since_last" else seen["__time"].min()
        seconds = whole_seconds(seen.moment.max()) - whole_seconds(edge)
        return seconds.cast("float64") / 86_400
    inside = None if feature.days is None else seen["__time"] > seen.moment - ibis.interval(days=feature.days)
    if feature.how == "distinct":
        return seen.count(where=inside).cast(feature.kind)
    return seen[f"__{_stem(feature)}"].sum(where=inside).cast(feature.kind)
