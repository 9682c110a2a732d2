"""Filling a store: it goes on where it was stopped, stops early when asked, and holds in memory only what is open."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from tradewind.engines.snapshot import Draft, current, existing
from tradewind.errors import BadInputError, BusyError, FullDiskError
from tradewind.sources import fill
from tradewind.sources.worlds import checkpoint, filling
from tradewind.sources.worlds import preset as presets
from tradewind.sources.worlds.book import Book, clock_of
from tradewind.sources.worlds.preset import preset
from tradewind.sources.worlds.sheets import Sheets, spelled
from tradewind.sources.worlds.world import World
from tradewind.tables import TABLES

SEED = 7
DAYS = 34  # long enough that every table has rows
Digest = dict[str, Any]


def digest(folder: Path) -> Digest:
    """A number for each table that does not depend on the order of its rows."""
    found = {}
    for name, files in existing(folder).tables.items():
        paths = [str(folder / file.path) for file in files]
        sums = f"SELECT count(*), sum(hash(t)::HUGEINT)::VARCHAR FROM read_parquet({paths}) t"
        found[name] = duckdb.sql(sums).fetchone()
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Digest:
    """The tables of a run that was never stopped."""
    folder = tmp_path_factory.mktemp("whole") / "store"
    fill("tiny", SEED, folder, days=DAYS)
    return digest(folder)


@pytest.fixture
def weekly(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is done is put by every five days."""
    monkeypatch.setattr(filling, "MONTH", 5)


class StoppedError(Exception):
    pass


def stopping(day: int, seen: list[int]) -> Callable[[str, int, int], None]:
    def told(step: str, done: int, days: int) -> None:
        seen.append(done)
        if done == day:
            raise StoppedError

    return told


def stopped(folder: Path, day: int) -> list[int]:
    """Run until a day is over, and stop there; return the days that were run."""
    seen: list[int] = []
    with pytest.raises(StoppedError):
        fill("tiny", SEED, folder, stopping(day, seen), days=DAYS)
    return seen


def gone_on(folder: Path) -> list[int]:
    """Run to the end; return the days that were run."""
    seen: list[int] = []
    fill("tiny", SEED, folder, stopping(0, seen), days=DAYS)
    return seen


@pytest.mark.usefixtures("weekly")
def test_a_stopped_run_goes_on_where_it_was(tmp_path: Path, whole: Digest) -> None:
    assert stopped(tmp_path, 4)[-1] == 4
    assert current(tmp_path) is None
    assert stopped(tmp_path, 8) == list(range(1, 9)), "nothing was put by before the fifth day"
    assert stopped(tmp_path, 12) == list(range(6, 13))
    assert current(tmp_path) is None
    assert gone_on(tmp_path) == list(range(11, DAYS + 1))
    assert digest(tmp_path) == whole
    named = {file.path for files in existing(tmp_path).tables.values() for file in files}
    assert {str(path.relative_to(tmp_path)) for path in (tmp_path / "data").glob("*/*")} == named
    assert not (tmp_path / "UNFINISHED").exists()
    assert fill("tiny", SEED, tmp_path, days=DAYS).unchanged


def test_a_killed_run_goes_on_where_it_was(tmp_path: Path, whole: Digest) -> None:
    script = (
        "import os, signal, sys, pathlib\n"
        "from tradewind.sources.worlds import filling\n"
        "filling.MONTH = 5\n"
        "def told(step, day, days):\n"
        "    if day == 12:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        f"filling.fill('tiny', {SEED}, pathlib.Path(sys.argv[1]), told, days={DAYS})\n"
    )
    assert subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False).returncode == -9
    assert current(tmp_path) is None
    assert gone_on(tmp_path) == list(range(11, DAYS + 1))
    assert digest(tmp_path) == whole


def test_many_rows_are_put_by_before_the_month_is_over(
    tmp_path: Path, whole: Digest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filling, "MOST", 20_000)
    stopped(tmp_path, 12)
    assert gone_on(tmp_path)[0] > 6
    assert digest(tmp_path) == whole


def damage_state(folder: Path) -> None:
    [path] = (folder / "data" / "unfinished").glob("*")
    body = bytearray(path.read_bytes())
    body[len(body) // 2] ^= 0xFF
    path.write_bytes(bytes(body))


def cut_state(folder: Path) -> None:
    [path] = (folder / "data" / "unfinished").glob("*")
    path.write_bytes(path.read_bytes()[:1000])


def cut_file(folder: Path) -> None:
    path = next((folder / "data" / "traffic").glob("*"))
    path.write_bytes(path.read_bytes()[:-100])


def lose_file(folder: Path) -> None:
    next((folder / "data" / "order_lines").glob("*")).unlink()


def cut_list(folder: Path) -> None:
    path = folder / "UNFINISHED"
    path.write_text(path.read_text()[:500])


def other_format(folder: Path) -> None:
    path = folder / "UNFINISHED"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 99}))


@pytest.mark.usefixtures("weekly")
@pytest.mark.parametrize("damage", [damage_state, cut_state, cut_file, lose_file, cut_list, other_format])
def test_what_is_damaged_is_begun_again(tmp_path: Path, whole: Digest, damage: Callable[[Path], None]) -> None:
    stopped(tmp_path, 6)
    damage(tmp_path)
    assert gone_on(tmp_path)[0] == 1
    assert digest(tmp_path) == whole


@pytest.mark.usefixtures("weekly")
def test_another_run_does_not_go_on_from_it(tmp_path: Path, whole: Digest) -> None:
    stopped(tmp_path, 6)
    seen: list[int] = []
    fill("tiny", SEED + 1, tmp_path, stopping(0, seen), days=DAYS)
    assert seen[0] == 1
    assert digest(tmp_path) != whole
    stopped(tmp_path, 6)
    fill("tiny", SEED, tmp_path, stopping(0, seen := []), force=True, days=DAYS)
    assert seen[0] == 1
    assert digest(tmp_path) == whole


@pytest.mark.usefixtures("weekly")
def test_a_full_disk_leaves_what_was_put_by(tmp_path: Path, whole: Digest, monkeypatch: pytest.MonkeyPatch) -> None:
    write = Sheets._write

    def full(self: Sheets, table: str) -> None:
        if table == "traffic" and len(self.files.get("traffic", ())) == 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(self, table)

    monkeypatch.setattr(Sheets, "_write", full)
    with pytest.raises(FullDiskError, match="make room") as raised:
        fill("tiny", SEED, tmp_path, days=DAYS)
    assert raised.value.status == 507
    monkeypatch.undo()
    monkeypatch.setattr(filling, "MONTH", 5)
    assert gone_on(tmp_path)[0] == 6
    assert digest(tmp_path) == whole


@pytest.mark.usefixtures("weekly")
def test_a_disk_that_fills_while_it_is_put_by_leaves_the_one_before(
    tmp_path: Path, whole: Digest, monkeypatch: pytest.MonkeyPatch
) -> None:
    save, saved = np.savez, []

    def full(handle: Any, **arrays: Any) -> None:
        if saved:
            handle.write(b"half of it")
            raise OSError(errno.ENOSPC, "No space left on device")
        saved.append(save(handle, **arrays))

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(FullDiskError):
        fill("tiny", SEED, tmp_path, days=DAYS)
    monkeypatch.setattr(np, "savez", save)
    assert len(list((tmp_path / "data" / "unfinished").glob("*"))) == 1
    assert gone_on(tmp_path)[0] == 6
    assert digest(tmp_path) == whole


@pytest.mark.usefixtures("weekly")
def test_an_unfinished_run_is_nobody_elses_to_write_to(tmp_path: Path) -> None:
    stopped(tmp_path, 6)
    with Draft(tmp_path) as draft:
        assert draft.unfinished is not None
        with pytest.raises(BusyError):
            fill("tiny", SEED, tmp_path)
    assert gone_on(tmp_path)[0] == 6, "a writer that came and went left it as it was"


def test_only_the_first_days(tmp_path: Path, tiny_folder: Path, whole: Digest) -> None:
    fill("tiny", SEED, tmp_path / "short", days=DAYS)
    manifest = existing(tmp_path / "short")
    span = manifest.span()
    assert span is not None
    assert (span.days, manifest.imported["world"]["days"]) == (DAYS, DAYS)
    end = f"DATE '{preset('tiny').first}' + {DAYS}"
    for name in ("traffic", "order_lines", "refunds", "live_sessions"):
        whole_history = f"read_parquet('{tiny_folder}/data/{name}/*.parquet')"
        assert duckdb.sql(f"SELECT count(*) FROM {whole_history} WHERE day < {end}").fetchone() == (whole[name][0],)
    for table, column in (("shops", "opened_at"), ("products", "launched_at"), ("customers", "first_seen_at")):
        rows = f"read_parquet('{tmp_path}/short/data/{table}/*.parquet')"
        late = f"SELECT count(*) FROM {rows} WHERE {column} + INTERVAL 8 HOUR >= {end}"
        assert duckdb.sql(late).fetchone() == (0,), "what is still to come is not known"
    assert not fill("tiny", SEED, tmp_path / "short", days=DAYS + 1).unchanged
    for days in (0, -1, preset("tiny").days + 1):
        with pytest.raises(BadInputError, match="not that long"):
            fill("tiny", SEED, tmp_path / "other", days=days)


@pytest.mark.parametrize("block", [500, 200_000])
def test_the_block_changes_nothing(tmp_path: Path, whole: Digest, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(presets.PRESETS, "tiny", replace(preset("tiny"), block=block))
    fill("tiny", SEED, tmp_path, days=DAYS)
    assert digest(tmp_path) == whole


def test_grants_are_written_when_their_coupon_has_ended(tmp_path: Path) -> None:
    world = World(preset("tiny"), SEED)
    sheets = Sheets(lambda table: tmp_path / f"{table}.parquet", clock_of(world))
    book = Book(world, sheets)
    for day in range(DAYS):
        world.advance(1, watch=book)
        ends = world.state.coupons["ends"]
        held = book.grants.held()
        for kind in ("given", "used"):
            assert all((ends[page["coupon"]] > day).all() for page in held[kind]), "only what is open is kept"
        kept = sum(len(page["coupon"]) for page in held["given"])
        written = sheets.rows.get("coupon_grants", 0)
        assert kept > 0
        assert (written > 0) or day < ends[0], "the first week's coupon has ended"
    book.close(world.state)
    assert sheets.rows["coupon_grants"] == kept + written


def test_a_checkpoint_holds_what_a_run_holds(tmp_path: Path) -> None:
    world = World(preset("tiny"), SEED)
    with Draft(tmp_path) as draft:
        sheets = Sheets(draft.new_file, clock_of(world))
        book = Book(world, sheets)
        world.advance(3, watch=book)
        sheets.turn()
        assert world.diary.kinds() == [], "between two days nothing waits to be written"
        checkpoint.save(draft, {"world": "tiny"}, world, sheets, book)
    with Draft(tmp_path) as draft:
        other = World(preset("tiny"), SEED)
        fresh = Sheets(draft.new_file, clock_of(other))
        again = Book(other, fresh)
        assert checkpoint.resume(draft, {"world": "tiny"}, other, fresh, again)
        for name, value in vars(world.state).items():
            if isinstance(value, np.ndarray):
                assert value.dtype == getattr(other.state, name).dtype
                np.testing.assert_array_equal(value, getattr(other.state, name))
        assert (fresh.rows, fresh.files) == (sheets.rows, sheets.files)
        with pytest.raises(TypeError, match="plain arrays"):
            checkpoint._packed({"a": np.array([object()])}, {})


@pytest.mark.parametrize(("base", "letter"), [(10, "d"), (16, "x")])
@pytest.mark.parametrize("width", [1, 3, 12])
@pytest.mark.parametrize("most", [1, 10, 1_000, 2**62])
def test_ids_are_spelled_as_python_does(base: int, letter: str, width: int, most: int) -> None:
    numbers = np.concatenate([[0, most - 1, -1], np.random.default_rng(0).integers(0, most, 50)])
    ids = spelled("ab", numbers, width, base)
    ids.validate(full=True)
    assert ids.to_pylist() == [None if n < 0 else f"ab{n:0{width}{letter}}" for n in numbers.tolist()]
    assert spelled("ab", numbers[:0], width, base).to_pylist() == []


def test_what_is_compared_is_every_table(whole: Digest) -> None:
    assert set(whole) == set(TABLES)
