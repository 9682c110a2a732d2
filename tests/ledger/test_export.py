"""Assignments leave the ledger as they were registered, with its head beside them."""

from __future__ import annotations

import csv
import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from deeds import APPROVAL, Clock, coupon, customers, prices, promise
from places import Place

from tradewind.errors import BadInputError, CorruptLedgerError, NotFoundError
from tradewind.ledger import Head, Ledger
from tradewind.ledger.export import SCHEMA
from tradewind.tables import table

NAMES = ["c,1", 'c"2', "ü3", "=4", *customers(5, 60)]


@pytest.fixture
def launched(ledger: Ledger) -> Ledger:
    ledger.launch("spring", [promise(coupon("lapsed", NAMES)), *prices(4)], APPROVAL, "Ann")
    ledger.launch("summer", prices(4, first=10), APPROVAL, "Ann")
    return ledger


def test_csv_and_parquet_say_the_same(launched: Ledger, tmp_path: Path) -> None:
    made = launched.export(tmp_path / "arms.parquet")
    rows = pq.read_table(made.file).to_pylist()
    assert made.rows == len(rows) == len(NAMES) + 8
    trial, group, other = launched.status().experiments
    assert {row["unit_id"] for row in rows if row["experiment_id"] == trial.id} == set(NAMES)
    for each in (trial, group, other):
        for arm, count in each.units.items():
            found = [row for row in rows if (row["experiment_id"], row["arm"]) == (each.id, arm)]
            assert len(found) == count
            assert {row["propensity"] for row in found} == {each.arms[arm]}
    assert rows[0]["assigned_at"] == datetime(2025, 3, 1, 12, tzinfo=UTC)
    assert {(row["unit_kind"], row["shop_id"]) for row in rows} == {("customer", "s1"), ("product", "s1")}
    launched.export(tmp_path / "arms.csv")
    with (tmp_path / "arms.csv").open(newline="", encoding="utf-8") as handle:
        plain = list(csv.DictReader(handle))
    assert [(row["unit_id"], row["arm"]) for row in plain] == [(row["unit_id"], row["arm"]) for row in rows]
    assert sorted(path.name for path in tmp_path.glob("arms*")) == [
        "arms.csv", "arms.csv.json", "arms.parquet", "arms.parquet.json",
    ]  # fmt: skip


def test_the_columns_are_those_of_the_canonical_table() -> None:
    assert [column.name for column in table("assignments").columns] == SCHEMA.names


def test_the_head_goes_with_the_file(launched: Ledger, tmp_path: Path) -> None:
    made = launched.export(tmp_path / "arms.parquet", "summer")
    assert made.rows == 4
    beside = json.loads(made.beside.read_text())
    assert beside["sha256"] == made.sha256 == hashlib.sha256(made.file.read_bytes()).hexdigest()
    assert (beside["count"], beside["rows"]) == (launched.head().count, 4)
    kept = Head.parse(pq.read_schema(made.file).metadata[b"tradewind.head"].decode())
    assert kept == Head.parse(beside["head"]) == launched.head()
    assert launched.verify([kept]).sound


def test_a_file_is_replaced_whole(launched: Ledger, place: Place, tmp_path: Path) -> None:
    file = launched.export(tmp_path / "arms.csv").file
    before = file.read_bytes()
    place.tamper("UPDATE assignments SET arm = 'treated'")
    with pytest.raises(CorruptLedgerError, match="not those that were registered"):
        launched.export(tmp_path / "arms.csv")
    assert file.read_bytes() == before
    assert sorted(path.name for path in tmp_path.glob("*arms*")) == ["arms.csv", "arms.csv.json"]


def test_several_exports_at_once_leave_one_whole(file: Place, clock: Clock, tmp_path: Path) -> None:
    ledger = file.open(clock)
    ledger.launch("spring", [promise(coupon("lapsed", customers(0, 3_000)))], APPROVAL, "Ann")
    ledger.launch("summer", prices(40), APPROVAL, "Ann")
    ledger.close()
    arms, looks = tmp_path / "arms.csv", set()

    def export(plan: str) -> None:
        opened = file.open(clock)
        for _ in range(10):
            opened.export(arms, plan)
            looks.add(arms.read_bytes().count(b"\n"))
        opened.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(export, ["spring", "summer"] * 2))
    assert looks <= {3_001, 41}
    beside = json.loads((tmp_path / "arms.csv.json").read_text())
    assert beside["sha256"] == hashlib.sha256(arms.read_bytes()).hexdigest()
    assert sorted(path.name for path in tmp_path.glob("*arms*")) == ["arms.csv", "arms.csv.json"]


def test_nothing_launched_is_an_empty_file(ledger: Ledger, tmp_path: Path) -> None:
    assert ledger.export(tmp_path / "arms.parquet").rows == 0
    assert ledger.export(tmp_path / "arms.csv", "no such plan").rows == 0
    assert pq.read_table(tmp_path / "arms.parquet").schema.names == SCHEMA.names


@pytest.mark.parametrize("name", ["arms", "arms.xlsx"])
def test_another_format_is_refused(file: Place, clock: Clock, tmp_path: Path, name: str) -> None:
    ledger = file.open(clock)
    with pytest.raises(BadInputError, match="not written in this format"):
        ledger.export(tmp_path / name)
    with pytest.raises(NotFoundError, match="no folder"):
        ledger.export(tmp_path / "none" / "arms.csv")
    ledger.close()
