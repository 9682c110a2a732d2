"""Aftermath: what planted incidents truly cost, and the truth table in which it is kept.

An incident's cost is exact: the world runs over its days with it and without it, on the same luck and beside the same
other incidents, and the difference is taken. The truth table lies in the store's folder but is no canonical table, so
that no study can read it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tradewind.errors import BadInputError
from tradewind.sources.worlds.cast import Cast
from tradewind.sources.worlds.incidents import KINDS, Incident
from tradewind.sources.worlds.preset import DEPARTMENTS, REGIONS, SURFACES, Preset
from tradewind.sources.worlds.sheets import Names
from tradewind.sources.worlds.state import State
from tradewind.sources.worlds.streams import Streams
from tradewind.sources.worlds.trade import Lines
from tradewind.sources.worlds.world import Day, World

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

DIMENSIONS = {
    "region": "customer_region", "product": "product_id", "department": "department", "surface": "surface",
    "creator": "creator_id",
}  # fmt: skip
"""The dimension by which tables are split to see what each kind of subject does."""
TRUTH = Path("truth") / "incidents.parquet"
"""Where the truth table lies in a store's folder."""
UNIT = Decimal("0.0001")  # money has four places
QUIET = 28  # days before the first planned incident: a wing must see what is normal
SHORTEST, LONGEST = 3, 7
SIZES = {"payment failure": (0.4, 1.0), "competitor price cut": (0.4, 1.0), "traffic policy change": (0.3, 0.9)}
"""How bad planned incidents are; where something is gone altogether it is 1."""
MATTERS = 0.1  # planned incidents strike one of the largest tenth of products and creators


@dataclass(frozen=True)
class Change:
    """What an incident did to sales, in all or inside its slice.

    Args:
        gmv: GMV with the incident less GMV without it, in money.
        gmv_without: GMV without it.
        orders: Orders with a paid line, with the incident less without it.
        orders_without: Orders without it.
    """

    gmv: Decimal
    gmv_without: Decimal
    orders: int
    orders_without: int

    @property
    def gmv_share(self) -> float | None:
        """The change as a share of GMV without the incident; None where there was none."""
        return float(self.gmv / self.gmv_without) if self.gmv_without else None

    @property
    def orders_share(self) -> float | None:
        """The change as a share of orders without the incident; None where there were none."""
        return self.orders / self.orders_without if self.orders_without else None


@dataclass(frozen=True)
class Aftermath:
    """What one incident truly did, over the days on which it held.

    Args:
        kind: One of `KINDS`.
        subject: Number of what it struck.
        dimension: The dimension that its slice is a value of, as in `measures.query.DIMENSIONS`.
        value: That value, as the tables name it: `p0042`, `North`, `feed`, `Beauty`.
        first: First local day.
        last: Last local day.
        size: How bad, from 0 to 1.
        whole: What it did to the marketplace.
        part: What it did inside its slice; buyers who turned elsewhere lie outside it.
    """

    kind: str
    subject: int
    dimension: str
    value: str
    first: date
    last: date
    size: float
    whole: Change
    part: Change

    def row(self) -> dict[str, Any]:
        """Return the record as a row of the truth table."""
        told: dict[str, Any] = {
            "kind": self.kind, "dimension": self.dimension, "value": self.value, "subject": self.subject,
            "first_day": self.first, "last_day": self.last, "size": self.size,
        }  # fmt: skip
        for prefix, change in (("", self.whole), ("slice_", self.part)):
            told |= {
                f"{prefix}gmv_change": change.gmv, f"{prefix}gmv_without": change.gmv_without,
                f"{prefix}gmv_share": change.gmv_share, f"{prefix}orders_change": change.orders,
                f"{prefix}orders_without": change.orders_without, f"{prefix}orders_share": change.orders_share,
            }  # fmt: skip
        return told


_MONEY = pa.decimal128(18, 4)
_AMOUNTS = {
    "gmv_change": _MONEY, "gmv_without": _MONEY, "gmv_share": pa.float64(), "orders_change": pa.int64(),
    "orders_without": pa.int64(), "orders_share": pa.float64(),
}  # fmt: skip
SCHEMA = pa.schema({
    "kind": pa.string(), "dimension": pa.string(), "value": pa.string(), "subject": pa.int64(),
    "first_day": pa.date32(), "last_day": pa.date32(), "size": pa.float64(), **_AMOUNTS,
    **{f"slice_{name}": kind for name, kind in _AMOUNTS.items()},
})  # fmt: skip
"""Columns of the truth table."""


def aftermath(world: World, incidents: Sequence[Incident]) -> list[Aftermath]:
    """Return what incidents of a world truly do, each against the same world without it alone.

    Args:
        world: The world on the morning on which they begin, with them among its incidents; it stays as it is.
        incidents: The incidents in question; all begin on that day.

    Raises:
        BadInputError: If an incident is not one of the world's, or begins on another day.
    """
    for incident in incidents:
        if incident not in world.incidents or incident.start != world.state.day:
            raise BadInputError(
                "An incident is measured in its world on the morning of its first day", got=incident,
                allowed=f"an incident of the world that begins on day {world.state.day}",
                do="fork the world with the incident and run it up to that day",
            )  # fmt: skip
    if not incidents:
        return []
    state, most = world.state, max(incident.days for incident in incidents)
    struck = world.fork()
    with_all = struck.advance(most)
    found = []
    for incident in incidents:
        kept = list(world.incidents)
        kept.remove(incident)
        spared = world.fork(kept)
        runs = [(with_all[: incident.days], struck.state), (spared.advance(incident.days), spared.state)]
        (after, after_in), (before, before_in) = (_sold(days, s, world.cast, incident) for days, s in runs)
        first = world.conduct.date(state.day)
        last = first + timedelta(days=incident.days - 1)
        whole, part = _change(after, before), _change(after_in, before_in)
        dimension, value = DIMENSIONS[incident.strikes], named(incident, world.preset)
        found.append(
            Aftermath(incident.kind, incident.subject, dimension, value, first, last, incident.size, whole, part)
        )
    return found


def named(incident: Incident, preset: Preset) -> str:
    """Return what an incident strikes, as the tables name it."""
    words = {"region": REGIONS, "department": tuple(DEPARTMENTS), "surface": SURFACES}
    if incident.strikes in words:
        return words[incident.strikes][incident.subject]
    names = Names("p", preset.products) if incident.strikes == "product" else Names("k", preset.creators)
    return str(names.of([incident.subject])[0])


def takings(lines: Lines, state: State, cast: Cast) -> Ints:
    """Return the GMV of each line as the tables count it, in ten-thousandths: 0 of a line that was not paid.

    Args:
        lines: Order lines of a day.
        state: The state after it, for coupons.
        cast: Who there is.
    """
    listed, price, quantity = cast.products.price[lines["product"]], lines["price"], lines["quantity"]
    off, coupon = lines["off"], np.maximum(lines["coupon"], 0)
    others = np.zeros((2, len(lines)))
    if len(state.coupons):
        others = np.stack([(off * state.coupons[party][coupon]).round(4) for party in ("platform", "brand")])
    own = np.where(off > 0, off - others.sum(axis=0), 0.0)
    gross = np.round(listed * 10_000).astype(np.int64) * quantity
    reduced = np.round((listed - price) * quantity * 10_000) + np.round(own * 10_000)
    return np.asarray(np.where(lines["paid"], gross - reduced.astype(np.int64), 0))


def inside(lines: Lines, state: State, cast: Cast, incident: Incident) -> NDArray[np.bool_]:
    """Return which lines lie in the slice that an incident strikes."""
    if incident.strikes == "creator":
        contract = lines["contract"]
        who = state.contracts["creator"][np.maximum(contract, 0)] if len(state.contracts) else contract
        return np.asarray((contract >= 0) & (who == incident.subject))
    if incident.strikes == "region":
        return np.asarray(cast.region[lines["customer"]] == incident.subject)
    if incident.strikes == "department":
        return np.asarray(cast.products.department[lines["product"]] == incident.subject)
    return np.asarray(lines[incident.strikes] == incident.subject)  # a product or a surface


def _sold(days: Sequence[Day], state: State, cast: Cast, incident: Incident) -> tuple[tuple[int, int], ...]:
    """GMV in ten-thousandths and orders with a paid line: in all, and inside an incident's slice."""
    totals = np.zeros((2, 2), np.int64)
    for day in days:
        gmv, within = takings(day.lines, state, cast), inside(day.lines, state, cast, incident)
        order = day.lines["customer"] * 8 + day.lines["visit"]
        for n, those in enumerate((day.lines["paid"], day.lines["paid"] & within)):
            totals[n] += (int(gmv[those].sum()), len(np.unique(order[those])))
    return tuple((int(gmv), int(orders)) for gmv, orders in totals)


def _change(after: tuple[int, int], before: tuple[int, int]) -> Change:
    gmv, orders = (a - b for a, b in zip(after, before, strict=True))
    return Change(gmv * UNIT, before[0] * UNIT, orders, before[1])


def write(folder: Path, found: Iterable[Aftermath]) -> Path:
    """Write the truth table of a store, in place of the one before, and return where it lies."""
    path = folder / TRUTH
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    pq.write_table(pa.Table.from_pylist([each.row() for each in found], SCHEMA), fresh)
    return fresh.replace(path)


def check(incidents: Sequence[Incident], preset: Preset) -> None:
    """Refuse incidents that do not fit a world.

    Raises:
        BadInputError: If an incident strikes what is not there, or lies outside the world's days.
    """
    most = {
        "region": len(REGIONS), "product": preset.products, "department": len(DEPARTMENTS),
        "surface": len(SURFACES), "creator": preset.creators,
    }  # fmt: skip
    for incident in incidents:
        if not 0 <= incident.subject < most[incident.strikes]:
            raise BadInputError(
                f"The world has no such {incident.strikes}", got=incident.subject,
                allowed=f"0 to {most[incident.strikes] - 1}",
            )  # fmt: skip
        if incident.start < 0 or incident.start + incident.days > preset.days:
            raise BadInputError(
                "An incident lies outside the world's days", got=f"day {incident.start}, {incident.days} days long",
                allowed=f"days 0 to {preset.days - 1}", do="let it begin earlier, or last less long",
            )  # fmt: skip


def plan(preset: Preset, seed: int, count: int) -> tuple[Incident, ...]:
    """Plan incidents at random: kinds in turn, none beside another, each on something that matters.

    The first four weeks stay quiet. The rest is cut into as many stretches as there are incidents; each lies in its own
    stretch, three to seven days long, with at least a day to the next.

    Args:
        preset: The world's size.
        seed: The world's seed: the same one plans the same incidents.
        count: How many, 0 or more.

    Raises:
        BadInputError: If so many do not fit.
    """
    if count == 0:
        return ()
    most = max(preset.days - QUIET, 0) // (SHORTEST + 1)
    if not 0 < count <= most:
        raise BadInputError(
            "So many incidents do not fit into the world's days", got=count, allowed=f"0 to {most}",
            do="ask for fewer, or for a world with more days",
        )  # fmt: skip
    draw = Streams(seed)
    matters = _matters(preset, draw)
    stretch = (preset.days - QUIET) // count
    turn = int(draw.below(len(KINDS), "first incident", seed)[0])
    found = []
    for n in range(count):
        kind = list(KINDS)[(turn + n) % len(KINDS)]
        days = SHORTEST + int(draw.below(min(LONGEST, stretch - 1) - SHORTEST + 1, "incident days", n)[0])
        start = QUIET + n * stretch + int(draw.below(stretch - days, "incident start", n)[0])
        low, high = SIZES.get(kind, (1.0, 1.0))
        size = round(low + (high - low) * float(draw.uniform("incident size", n)[0]), 2)
        those = matters[KINDS[kind]]
        found.append(Incident(kind, int(those[draw.below(len(those), "incident subject", n)[0]]), start, days, size))
    return tuple(found)


def _matters(preset: Preset, draw: Streams) -> dict[str, Ints]:
    """What incidents are planned for: any region, department or surface; products and creators among the largest."""
    world = World(preset, draw.seed)
    sells = np.where(world.state.listed < 0, world.state.pace * world.cast.products.price, 0.0)
    gives = np.bincount(
        world.state.contracts["creator"], world.conduct.effort(world.state, world.cast.products.price), preset.creators
    )
    largest = {
        name: np.argsort(-weight, kind="stable")[: max(1, int(MATTERS * len(weight)))]
        for name, weight in (("product", sells), ("creator", gives))
    }
    every = {"region": REGIONS, "department": DEPARTMENTS, "surface": SURFACES}
    return {**{name: np.arange(len(words)) for name, words in every.items()}, **largest}
