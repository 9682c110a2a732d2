"""How a canonical table is declared: columns with type and unit, key, references, and the path to its shop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

Kind = Literal["text", "integer", "real", "money", "moment", "day", "flag", "json"]

IBIS_TYPES: dict[Kind, str] = {
    "text": "string",
    "integer": "int64",
    "real": "float64",
    "money": "decimal(18, 4)",
    "moment": "timestamp(6)",
    "day": "date",
    "flag": "boolean",
    "json": "string",
}

SPELLED: dict[Kind, str] = {
    "text": "text",
    "integer": "a whole number such as 3",
    "real": "a number such as 0.25",
    "money": "an amount such as 12.50, at most 14 digits before the point",
    "moment": "a moment such as 2017-06-01 14:30:00",
    "day": "a day such as 2017-06-01",
    "flag": "true or false",
    "json": "JSON text",
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a canonical table.

    Args:
        name: Column name.
        kind: What the values are; `IBIS_TYPES` gives the storage type.
        unit: Unit of the values: `money` (the store's currency), `count`, `share` (0 to 1), `seconds`, `UTC`, `local`,
            `id` or `text`.
        null: Whether a row may lack it.
        low: Least value allowed.
        high: Greatest value allowed.
        allowed: The only values allowed, where they are few.
        default: SQL expression over the row for a source that leaves the column null.
        doc: What it means, where the name does not say it.
    """

    name: str
    kind: Kind = "text"
    unit: str = "text"
    null: bool = True
    low: float | None = None
    high: float | None = None
    allowed: tuple[str, ...] = ()
    default: str | None = None
    doc: str = ""

    @property
    def spelled(self) -> str:
        """What a value of this column must look like, for error messages."""
        if self.allowed:
            return "one of " + ", ".join(self.allowed)
        limits = (("at least", self.low), ("at most", self.high))
        bounds = [f"{word} {limit:,.12g}" for word, limit in limits if limit is not None]
        return ", ".join([SPELLED[self.kind], *bounds]) + ("" if self.null else "; never empty")


@dataclass(frozen=True, slots=True)
class Reference:
    """Columns that name a row of another table.

    Args:
        columns: Columns of this table.
        table: The table that they point to.
        to: Key columns there, in the same order; the same names where empty.
    """

    columns: tuple[str, ...]
    table: str
    to: tuple[str, ...] = ()

    @property
    def targets(self) -> tuple[str, ...]:
        """Columns of the other table, in the order of `columns`."""
        return self.to or self.columns


@dataclass(frozen=True, slots=True)
class Hop:
    """One way from a row to the shop, or the creator, that owns it.

    Args:
        table: The table through which the owner is found, or None where the row itself names its shop (or creator).
        on: Columns shared with that table.
        or_null: Whether rows whose `shop_id` is null are everybody's, as a campaign of the whole marketplace is.
        own: Whether only rows of that table count that name a shop of the caller's, not those that are everybody's.
        also: Another way that must lead to the caller's own as well.
    """

    table: str | None = None
    on: tuple[str, ...] = ("shop_id",)
    or_null: bool = False
    own: bool = False
    also: Hop | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """One canonical table, declared once.

    Args:
        name: Table name.
        doc: One sentence: what a row is.
        columns: Its columns; `day` and `hour` are added where `time` is given.
        key: Columns that tell rows apart, compared null-safe.
        time: The moment (UTC) at which the row happened, from which `day` and `hour` are written at import.
        part_of: The table whose rows own these: they are replaced together.
        references: Columns that must exist elsewhere, where that table is filled.
        shop: Ways to the row's shop, any of which lets a merchant see it; empty is for operators only.
        creator: Ways to the row's creator, any of which lets a creator see it; empty is not for creators.
    """

    name: str
    doc: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    time: str | None = None
    part_of: Reference | None = None
    references: tuple[Reference, ...] = ()
    shop: tuple[Hop, ...] = (Hop(),)
    creator: tuple[Hop, ...] = ()

    @property
    def stored(self) -> tuple[Column, ...]:
        """The columns as stored: the declared ones, and `day` and `hour` in the store's timezone."""
        names = {column.name for column in self.columns}
        extra = (
            Column("day", "day", "local", null=False, doc="Local day on which it happened."),
            Column("hour", "moment", "local", null=False, doc="Start of the local hour in which it happened."),
        )
        return self.columns + tuple(c for c in extra if self.time and c.name not in names)

    @property
    def replaced_by_day(self) -> bool:
        """Whether an import replaces this table's rows day by day."""
        return any(column.name == "day" for column in self.stored)

    def column(self, name: str) -> Column:
        """Return the stored column of that name; raise `KeyError` where there is none."""
        for column in self.stored:
            if column.name == name:
                return column
        raise KeyError(f"{self.name} has no column {name}")


ColumnMaker = Callable[..., Column]

text: ColumnMaker = partial(Column, kind="text")
ident: ColumnMaker = partial(Column, kind="text", unit="id")
key: ColumnMaker = partial(Column, kind="text", unit="id", null=False)
count: ColumnMaker = partial(Column, kind="integer", unit="count", low=0)
money: ColumnMaker = partial(Column, kind="money", unit="money", low=0)
share: ColumnMaker = partial(Column, kind="real", unit="share", low=0, high=1)
real: ColumnMaker = partial(Column, kind="real")
moment: ColumnMaker = partial(Column, kind="moment", unit="UTC")
flag: ColumnMaker = partial(Column, kind="flag")
