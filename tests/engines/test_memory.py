"""What an engine may take: read from the setting, said where it is too little."""

from __future__ import annotations

from pathlib import Path

import pytest

from tradewind.engines import memory, snapshot
from tradewind.engines.duckdb import DuckDB
from tradewind.engines.store import Store
from tradewind.errors import BadInputError, UnsupportedError


@pytest.mark.parametrize(
    ("given", "wanted"), [("4GB", 4096), ("1.5 g", 1536), ("800MiB", 800), ("1TB", 1024**2), ("20m", 20)]
)
def test_an_amount_is_read(given: str, wanted: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert memory.mebibytes(given) == wanted
    monkeypatch.setenv(memory.SETTING, given)
    assert memory.mebibytes() == wanted


@pytest.mark.parametrize("given", ["much", "4", "-2GB", "0GB", "4KB"])
def test_what_is_no_amount_is_refused(given: str) -> None:
    with pytest.raises(BadInputError, match="memory limit"):
        memory.mebibytes(given)


def test_a_container_s_limit_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(memory.SETTING, raising=False)
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(memory, "_LIMIT", limit)
    machine = memory.mebibytes()
    limit.write_text("max\n")
    assert memory.mebibytes() == machine
    limit.write_text(f"{1536 * 2**20}\n")
    assert memory.mebibytes() == 768


def test_too_little_memory_is_one_clear_error(market_folder: Path) -> None:
    store = Store(market_folder, DuckDB("1MB"), snapshot.existing(market_folder))
    lines = store.table("order_lines")
    crossed = lines.cross_join(lines.view()).select("order_id", "order_id_right").distinct()
    with pytest.raises(UnsupportedError, match="more memory") as raised:
        store.run(crossed.count())
    assert raised.value.got == "1 MiB"
    assert memory.SETTING in (raised.value.do or "")
