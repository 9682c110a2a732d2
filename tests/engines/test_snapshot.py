"""Snapshots: what a writer that fails, dies or comes too early leaves behind is nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import market
from tradewind.engines import snapshot
from tradewind.engines.snapshot import DataFile, Draft, Manifest, current, existing
from tradewind.errors import BusyError, CorruptStoreError, NotFoundError
from tradewind.period import Period


def stock(draft: Draft, days: list[str | None], on_hand: int = 1) -> Path:
    """Write a file of the inventory for these days."""
    path = draft.new_file("inventory")
    rows = [
        {"product_id": "p", "shop_id": "s", "day": day and date.fromisoformat(day), "on_hand": on_hand} for day in days
    ]
    schema = pa.schema([("product_id", "string"), ("shop_id", "string"), ("day", pa.date32()), ("on_hand", "int64")])
    pq.write_table(pa.Table.from_pylist(rows, schema), path)
    return path


def made(folder: Path, *days: str) -> Manifest:
    """Commit a snapshot with an inventory of these days."""
    with Draft(folder) as draft:
        return draft.commit(market.PROVENANCE, {"inventory": [stock(draft, list(days))]}, {"digest": "d"})


def everything(folder: Path) -> dict[str, bytes]:
    """Return the contents of every file of a folder, but for the lock."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.name != "LOCK"}


@pytest.mark.parametrize("simulated", [True, False])
def test_a_manifest_that_does_not_say_so_is_of_a_world_or_of_a_part(tmp_path: Path, simulated: bool) -> None:
    body = json.loads(made(tmp_path, "2024-01-02").to_json())
    body["provenance"] |= {"simulated": simulated}
    assert not Manifest.from_json(json.dumps(body)).provenance.whole_marketplace
    del body["provenance"]["whole_marketplace"]
    assert Manifest.from_json(json.dumps(body)).provenance.whole_marketplace == simulated


def test_a_commit_is_read_back(tmp_path: Path) -> None:
    manifest = made(tmp_path, "2024-01-02", "2024-01-05")
    assert existing(tmp_path) == manifest == Manifest.from_json(manifest.to_json())
    assert (manifest.name, manifest.rows("inventory"), manifest.rows("ads")) == ("000001", 2, 0)
    assert manifest.filled("inventory", "on_hand") == 2
    assert manifest.filled("inventory", "colour") == 0
    assert manifest.span("inventory") == Period(date(2024, 1, 2), date(2024, 1, 5))
    assert manifest.span() is None
    assert manifest.provenance == market.PROVENANCE
    assert made(tmp_path, "2024-01-03").name == "000002"


def test_the_span_reaches_over_all_files(tmp_path: Path) -> None:
    with Draft(tmp_path) as draft:
        files = [stock(draft, ["2024-03-01"]), stock(draft, ["2023-01-01"]), stock(draft, ["2024-02-01"])]
        manifest = draft.commit(market.PROVENANCE, {"inventory": files}, {})
    assert manifest.span("inventory") == Period(date(2023, 1, 1), date(2024, 3, 1))


def test_nulls_are_counted_over_row_groups(tmp_path: Path) -> None:
    path = tmp_path / "part.parquet"
    table = pa.table({"a": pa.array([1, None, 3, None, None], "int64"), "b": pa.nulls(5, "string")})
    pq.write_table(table, path, row_group_size=2)
    file = DataFile.read(tmp_path, path)
    assert (file.rows, file.filled, file.first_day) == (5, {"a": 2, "b": 0}, None)


def test_a_table_without_rows_is_not_there(tmp_path: Path) -> None:
    with Draft(tmp_path) as draft:
        manifest = draft.commit(market.PROVENANCE, {"inventory": [stock(draft, [])]}, {})
    assert "inventory" not in manifest.tables
    assert list((tmp_path / "data").glob("*/*")) == []


@pytest.mark.parametrize("when", ["before", "between"])
def test_a_failed_writer_leaves_nothing(tmp_path: Path, when: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made(tmp_path, "2024-01-02")
    before = everything(tmp_path)

    def broken(path: Path, text: str) -> None:
        raise OSError("the disk is full")

    def attempt() -> None:
        with Draft(tmp_path) as draft:
            (draft.scratch / "staging").write_text("half")
            path = stock(draft, ["2024-01-09"])
            if when == "before":
                raise OSError("the disk is full")
            monkeypatch.setattr(snapshot, "put", broken)
            draft.commit(market.PROVENANCE, {"inventory": [path]}, {})

    with pytest.raises(OSError, match="disk is full"):
        attempt()
    monkeypatch.undo()
    assert everything(tmp_path) == before
    assert made(tmp_path, "2024-01-03").name == "000002"


def test_a_writer_that_died_after_its_manifest_changed_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pointer is what counts: a manifest that it does not name was never made current."""
    first = made(tmp_path, "2024-01-02")
    whole = snapshot.put

    def dying(path: Path, text: str) -> None:
        if path.name == "CURRENT":
            raise OSError("power cut")
        whole(path, text)

    monkeypatch.setattr(snapshot, "put", dying)
    with pytest.raises(OSError, match="power cut"):
        made(tmp_path, "2024-01-09")
    monkeypatch.undo()
    assert existing(tmp_path) == first
    second = made(tmp_path, "2024-01-04")
    assert existing(tmp_path) == second
    assert second.span("inventory") == Period(date(2024, 1, 4), date(2024, 1, 4))
    named = {file.path for manifest in (first, second) for file in manifest.tables["inventory"]}
    assert {str(path.relative_to(tmp_path)) for path in (tmp_path / "data").glob("*/*")} == named


def test_the_pointer_is_swapped_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader finds the old name or the new one, never a half: the pointer is renamed into place, after its sync."""
    first = made(tmp_path, "2024-01-02")
    rename, seen = Path.replace, []

    def watched(path: Path, target: Path) -> Path:
        seen.append((target.name, existing(tmp_path).name, path.read_text()))
        return rename(path, target)

    monkeypatch.setattr(Path, "replace", watched)
    made(tmp_path, "2024-01-03")
    assert [(name, before) for name, before, _ in seen] == [("000002.json", first.name), ("CURRENT", first.name)]
    assert seen[1][2] == "000002\n"


def test_what_a_killed_writer_left_is_swept_by_the_next(tmp_path: Path) -> None:
    made(tmp_path, "2024-01-02")
    script = (
        "import os, sys, pathlib; from tradewind.engines.snapshot import Draft\n"
        "draft = Draft(pathlib.Path(sys.argv[1])).__enter__()\n"
        "draft.new_file('inventory').write_text('half a file')\n"
        "(draft.scratch / 'staging').write_text('half a database')\n"
        "os._exit(9)\n"
    )
    assert subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False).returncode == 9
    assert len(list((tmp_path / "data").glob("*/*"))) == 2
    assert (tmp_path / "scratch").exists()
    made(tmp_path, "2024-01-03")
    assert len(list((tmp_path / "data").glob("*/*"))) == 2
    assert not (tmp_path / "scratch").exists()


def put_by(folder: Path, *days: str) -> Path:
    """Put by a file of the inventory for these days, and leave without a commit."""
    with Draft(folder) as draft:
        state, path = draft.new_file("unfinished", "json"), stock(draft, list(days))
        state.write_text("where it stood")
        stock(draft, ["2030-01-01"])
        draft.put_by({"which": 1}, state, {"inventory": [path]})
        return path


def test_what_is_put_by_outlives_its_writer(tmp_path: Path) -> None:
    made(tmp_path, "2024-01-02")
    path = put_by(tmp_path, "2024-02-01", "2024-02-02")
    assert len(list((tmp_path / "data" / "inventory").glob("*"))) == 2, "what nothing names is swept"
    assert existing(tmp_path).name == "000001", "readers see nothing of it"
    with Draft(tmp_path) as draft:
        assert draft.unfinished is not None
        assert draft.unfinished.asked == {"which": 1}
        assert draft.unfinished.sound(tmp_path)
        assert (tmp_path / draft.unfinished.state).read_text() == "where it stood"
        manifest = draft.commit(market.PROVENANCE, {"inventory": [path]}, {})
        assert draft.unfinished is None
    assert (manifest.rows("inventory"), manifest.span("inventory")) == (
        2, Period(date(2024, 2, 1), date(2024, 2, 2)),
    )  # fmt: skip
    assert not (tmp_path / "UNFINISHED").exists()
    assert list((tmp_path / "data" / "unfinished").glob("*")) == []


def test_what_is_put_by_takes_the_place_of_what_was(tmp_path: Path) -> None:
    first, second = put_by(tmp_path, "2024-02-01"), put_by(tmp_path, "2024-02-02")
    assert not first.exists()
    assert second.exists()
    assert len(list((tmp_path / "data" / "unfinished").glob("*"))) == 1


def test_another_commit_ends_what_is_unfinished(tmp_path: Path) -> None:
    path = put_by(tmp_path, "2024-02-01")
    made(tmp_path, "2024-01-02")
    assert not path.exists()
    with Draft(tmp_path) as draft:
        assert draft.unfinished is None


def test_what_is_unfinished_can_be_given_up(tmp_path: Path) -> None:
    made(tmp_path, "2024-01-02")
    before = everything(tmp_path)
    put_by(tmp_path, "2024-02-01")
    with Draft(tmp_path) as draft:
        draft.start_over()
        assert draft.scratch.exists()
    assert everything(tmp_path) == before


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 99}', '{"format": 1, "asked": {}, "state": "x"}', "\xff"])
def test_what_cannot_be_read_is_not_gone_on_from(tmp_path: Path, text: str) -> None:
    put_by(tmp_path, "2024-02-01")
    (tmp_path / "UNFINISHED").write_text(text)
    with Draft(tmp_path) as draft:
        assert draft.unfinished is None
        assert list((tmp_path / "data").glob("*/*")) == []


def test_an_old_snapshot_keeps_its_files(tmp_path: Path) -> None:
    first = made(tmp_path, "2024-01-02")
    made(tmp_path, "2024-01-03")
    [file] = first.tables["inventory"]
    assert pq.read_table(tmp_path / file.path).num_rows == 1


def test_only_one_process_writes(tmp_path: Path) -> None:
    script = (
        "import sys, pathlib; from tradewind.engines.snapshot import Draft\n"
        "with Draft(pathlib.Path(sys.argv[1])):\n"
        "    print('writing', flush=True); sys.stdin.read()\n"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None
    assert other.stdout.readline() == "writing\n"
    with pytest.raises(BusyError) as raised:
        made(tmp_path, "2024-01-02")
    assert raised.value.status == 409
    assert (tmp_path / "scratch").exists(), "the writer's scratch is not swept from under it"
    other.communicate("")
    assert made(tmp_path, "2024-01-02").name == "000001"


def test_one_process_has_one_writer(tmp_path: Path) -> None:
    with Draft(tmp_path), pytest.raises(BusyError):
        made(tmp_path, "2024-01-02")


def test_a_folder_without_a_store(tmp_path: Path) -> None:
    assert current(tmp_path) is None
    with pytest.raises(NotFoundError) as raised:
        existing(tmp_path / "nowhere")
    assert "tradewind import" in str(raised.value)


CORRUPTIONS: dict[str, Any] = {
    "cut short": lambda text: text[: len(text) // 2],
    "empty": lambda text: "",
    "a list": lambda text: "[]",
    "another format": lambda text: json.dumps({**json.loads(text), "format": 99}),
    "without tables": lambda text: json.dumps({k: v for k, v in json.loads(text).items() if k != "tables"}),
    "an unknown field": lambda text: text.replace('"rows"', '"lines"'),
    "no provenance": lambda text: json.dumps({**json.loads(text), "provenance": None}),
}


@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_a_corrupt_manifest_is_named_as_one(tmp_path: Path, corruption: str) -> None:
    manifest = made(tmp_path, "2024-01-02")
    path = tmp_path / "snapshots" / f"{manifest.name}.json"
    path.write_text(CORRUPTIONS[corruption](path.read_text()))
    with pytest.raises(CorruptStoreError):
        existing(tmp_path)


def test_a_pointer_to_nothing_is_a_corrupt_store(tmp_path: Path) -> None:
    made(tmp_path, "2024-01-02")
    (tmp_path / "CURRENT").write_text("000009\n")
    with pytest.raises(CorruptStoreError, match=r"000009\.json"):
        existing(tmp_path)


def test_a_writer_turned_away_by_a_corrupt_store_frees_the_lock(tmp_path: Path) -> None:
    made(tmp_path, "2024-01-02")
    (tmp_path / "CURRENT").write_text("000009\n")
    with pytest.raises(CorruptStoreError):
        made(tmp_path, "2024-01-03")
    (tmp_path / "CURRENT").write_text("000001\n")
    assert made(tmp_path, "2024-01-03").name == "000002"


def test_a_manifest_names_its_files_inside_the_folder(tmp_path: Path) -> None:
    [file] = made(tmp_path, "2024-01-02").tables["inventory"]
    assert not os.path.isabs(file.path)
    moved = tmp_path.rename(tmp_path.with_name("moved"))
    assert (moved / existing(moved).tables["inventory"][0].path).exists()
