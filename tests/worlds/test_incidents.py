"""Incidents cost what they strike, nothing before their first day, and exactly what their truth table says."""

from __future__ import annotations

from dataclasses import asdict
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest

from tradewind.engines.store import open_store
from tradewind.errors import BadInputError
from tradewind.measures.query import DIMENSIONS
from tradewind.sources import fill, planned_incidents
from tradewind.sources.worlds.aftermath import SCHEMA, TRUTH, aftermath, named, plan
from tradewind.sources.worlds.incidents import KINDS, Incident
from tradewind.sources.worlds.preset import preset
from tradewind.sources.worlds.state import NEVER
from tradewind.sources.worlds.world import Day, World
from tradewind.tables import TABLES

SEED = 7


def same(a: list[Day], b: list[Day]) -> bool:
    return all(
        np.array_equal(x.lines[name], y.lines[name]) for x, y in zip(a, b, strict=True) for name in x.lines.columns
    )


def struck(world: World, kind: str) -> int:
    """What an incident of a kind strikes here: the largest product, department or creator, or the first of the rest."""
    department = np.bincount(world.cast.products.department, world.state.pace)
    return {
        "product": int(np.argmax(world.state.pace)), "department": int(department.argmax()),
        "creator": int(np.bincount(world.state.contracts["creator"]).argmax()),
    }.get(KINDS[kind], 0)  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "subject", "size"),
    [("payment failure", 0, 0.8), ("listing taken down", None, 1.0), ("competitor price cut", None, 1.0),
     ("traffic policy change", 0, 0.7), ("creator leaves", None, 1.0), ("stock-out", None, 1.0)],
)  # fmt: skip
def test_incidents_cost_what_they_strike(lived: World, kind: str, subject: int | None, size: float) -> None:
    best = int(np.argmax(lived.state.pace))
    busiest = int(np.bincount(lived.state.contracts["creator"]).argmax())
    largest = int(np.bincount(lived.cast.products.department, lived.state.pace).argmax())
    struck = {"creator leaves": busiest, "competitor price cut": largest}.get(
        kind, best if subject is None else subject
    )
    incident = Incident(kind, struck, 23, 10, size)
    plain, hit = lived.fork().advance(14), lived.fork([incident]).advance(14)
    assert same(plain[:2], hit[:2])

    def takings(days: list[Day]) -> float:
        return float(sum((day.lines["price"] * day.lines["quantity"] * day.lines["paid"]).sum() for day in days[2:12]))

    def pieces(days: list[Day], product: int) -> int:
        lines = [day.lines for day in days[2:12]]
        return int(sum(part["quantity"][(part["product"] == product) & part["paid"]].sum() for part in lines))

    if kind in ("listing taken down", "stock-out"):
        assert pieces(hit, best) == 0 < pieces(plain, best)
    elif kind == "creator leaves":
        under = [day.lines["contract"] for day in hit[2:12]]
        by = [lived.state.contracts["creator"][c[(c >= 0) & (c < len(lived.state.contracts))]] for c in under]
        assert all((part != busiest).all() for part in by)
    else:
        assert takings(hit) < 0.95 * takings(plain)


@pytest.mark.parametrize("kind", KINDS)
def test_there_is_no_effect_before_the_cause(lived: World, kind: str) -> None:
    those = range(lived.preset.creators) if kind == "creator leaves" else [struck(lived, kind)]  # one is hardly missed
    incidents = [Incident(kind, subject, 24, 4) for subject in those]
    plain, hit = lived.fork().advance(8), lived.fork(incidents).advance(8)
    assert same(plain[:3], hit[:3])
    assert not same(plain[3:], hit[3:])


@pytest.mark.parametrize("kind", KINDS)
def test_what_strikes_nothing_costs_exactly_nothing(lived: World, kind: str) -> None:
    """Products that are not listed, creators without contracts; where there is always something, nothing of it."""
    nobody = {
        "product": int(np.flatnonzero(lived.state.listed == NEVER)[0]),
        "creator": int(np.argmin(np.bincount(lived.state.contracts["creator"], minlength=lived.preset.creators))),
    }.get(KINDS[kind], 0)  # fmt: skip
    mine = lived.state.contracts["creator"] == nobody
    if KINDS[kind] == "creator" and mine.any():
        idle = lived.fork()
        idle.state.contracts["ends"] = np.where(mine, -1, idle.state.contracts["ends"])
        lived = idle
    incident = Incident(kind, nobody, 21, 5, 1.0 if KINDS[kind] in {"product", "creator"} else 1e-12)
    [truth] = aftermath(lived.fork([incident]), [incident])
    assert truth.whole.gmv == truth.part.gmv == truth.whole.orders == truth.part.orders == 0
    assert truth.whole.gmv_share == 0 == truth.whole.orders_share
    assert truth.whole.gmv_without > 0


def test_a_region_that_cannot_pay_loses_all_its_sales(lived: World) -> None:
    incident = Incident("payment failure", 1, 21, 6)
    [truth] = aftermath(lived.fork([incident]), [incident])
    assert (truth.dimension, truth.value) == ("customer_region", "South")
    assert truth.part.gmv == -truth.part.gmv_without < 0
    assert truth.part.gmv_share == truth.part.orders_share == -1
    assert truth.part.gmv_without < truth.whole.gmv_without
    assert -1 < (truth.whole.gmv_share or 0) < 0


def test_the_truth_is_what_happens_with_less_what_happens_without(lived: World) -> None:
    """Of two incidents on the same days, each is measured beside the other, and the world is left as it was."""
    both = [Incident("payment failure", 0, 21, 5, 0.5), Incident("traffic policy change", 0, 21, 3, 0.9)]
    world = lived.fork(both)
    before = world.state.copy()
    found = aftermath(world, both)
    assert world.state.day == before.day
    assert np.array_equal(world.state.stock, before.stock)

    def sold(incidents: list[Incident], days: int) -> Decimal:
        lines = [day.lines for day in lived.fork(incidents).advance(days)]
        listed = lived.cast.products.price
        return sum(
            (Decimal(round(float(listed[p]) * 10_000)) * int(q) - Decimal(round((listed[p] - price) * q * 10_000)))
            / 10_000
            for part in lines
            for p, price, q in zip(
                part["product"][part["paid"]], part["price"][part["paid"]], part["quantity"][part["paid"]], strict=True
            )
        )  # fmt: skip

    assert float(found[0].whole.gmv) == pytest.approx(float(sold(both, 5) - sold(both[1:], 5)), rel=0.02)
    assert float(found[1].whole.gmv) == pytest.approx(float(sold(both, 3) - sold(both[:1], 3)), rel=0.02)
    with pytest.raises(BadInputError, match="morning of its first day"):
        aftermath(lived, both)


def test_the_truth_agrees_with_the_tables(tiny_folder: Path, tmp_path: Path) -> None:
    """Hand-written SQL over stores of the same world with no incident, with one, and with two."""
    planted = [Incident("payment failure", 0, 29, 4, 0.7), Incident("traffic policy change", 0, 34, 5, 0.8)]
    folders = [tiny_folder, tmp_path / "one", tmp_path / "two"]
    for count in (1, 2):
        fill("tiny", SEED, folders[count], incidents=planted[:count])

    def ask(folder: Path, row: dict[str, Any]) -> dict[str, Any]:
        tables = open_store(str(folder)).manifest.tables
        con = duckdb.connect()
        for name in ("order_lines", "order_discounts", "order_status", "customers"):
            files = [str(folder / file.path) for file in tables[name]]
            con.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet({files})")
        column = {"customer_region": "region", "surface": "surface"}[row["dimension"]]
        sql = f"""
            SELECT coalesce(sum(gmv), 0) AS gmv, count(DISTINCT order_id) AS orders,
                   coalesce(sum(gmv) FILTER ({column} = '{row["value"]}'), 0) AS slice_gmv,
                   count(DISTINCT order_id) FILTER ({column} = '{row["value"]}') AS slice_orders
            FROM (SELECT order_id, region, surface, unit_price * quantity - coalesce((
                      SELECT sum(amount) FROM order_discounts d
                      WHERE d.order_id = o.order_id AND d.line = o.line AND payer = 'merchant'), 0) AS gmv
                  FROM order_lines o JOIN customers USING (customer_id)
                  SEMI JOIN order_status s ON s.order_id = o.order_id AND s.line = o.line AND s.status = 'paid'
                  WHERE day BETWEEN '{row["first_day"]}' AND '{row["last_day"]}')"""
        return con.execute(sql).to_arrow_table().to_pylist()[0]

    truth = pq.read_table(folders[2] / TRUTH).to_pylist()
    assert truth[:1] == pq.read_table(folders[1] / TRUTH).to_pylist(), "what comes later changes nothing before"
    for count, row in enumerate(truth, start=1):
        incident = planted[count - 1]
        assert row["first_day"].toordinal() == preset("tiny").first.toordinal() + incident.start
        assert (row["last_day"] - row["first_day"]).days == incident.days - 1
        hit, plain = ask(folders[count], row), ask(folders[count - 1], row)
        for name in ("gmv", "orders", "slice_gmv", "slice_orders"):
            assert row[f"{name}_change"] == hit[name] - plain[name] < 0
            assert row[f"{name}_without"] == plain[name]
            assert row[f"{name}_share"] == pytest.approx(float(hit[name] - plain[name]) / float(plain[name]))


def test_a_store_remembers_its_incidents_and_hides_their_truth(tmp_path: Path) -> None:
    planted = planned_incidents("tiny", SEED, 2)
    fill("tiny", SEED, tmp_path, incidents=planted)
    store = open_store(str(tmp_path))
    assert store.manifest.imported["world"]["incidents"] == [asdict(incident) for incident in planted]
    truth = pq.read_table(tmp_path / TRUTH)
    assert truth.schema == SCHEMA
    assert truth["value"].to_pylist() == [named(incident, preset("tiny")) for incident in planted]
    assert set(truth["dimension"].to_pylist()) <= set(DIMENSIONS)
    assert set(store.manifest.tables) <= set(TABLES)
    assert not any("truth" in file.path for files in store.manifest.tables.values() for file in files)
    assert fill("tiny", SEED, tmp_path, incidents=planted).unchanged
    other = fill("tiny", SEED, tmp_path)
    assert not other.unchanged
    assert other.snapshot == "000002"
    assert pq.read_table(tmp_path / TRUTH).num_rows == 0


@pytest.mark.parametrize("name", ["tiny", "town"])
def test_planned_incidents_keep_apart(name: str) -> None:
    count = 3 if name == "tiny" else 12
    planned = plan(preset(name), SEED, count)
    assert planned == plan(preset(name), SEED, count) != plan(preset(name), SEED + 1, count)
    assert len({incident.kind for incident in planned}) == min(count, len(KINDS))
    assert planned[0].start >= 28
    assert planned[-1].start + planned[-1].days <= preset(name).days
    for earlier, later in pairwise(planned):
        assert earlier.start + earlier.days < later.start
    assert plan(preset(name), SEED, 0) == ()
    with pytest.raises(BadInputError, match="do not fit"):
        plan(preset(name), SEED, 1000)


def test_what_cannot_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="no such incident"):
        Incident("flood", 0, 0, 1)
    with pytest.raises(BadInputError, match="size and days"):
        Incident("stock-out", 0, 0, 1, 2.0)
    with pytest.raises(BadInputError, match="no such product"):
        fill("tiny", SEED, tmp_path, incidents=[Incident("stock-out", 150, 0, 1)])
    with pytest.raises(BadInputError, match="outside the world's days"):
        fill("tiny", SEED, tmp_path, incidents=[Incident("stock-out", 0, 40, 3)])
