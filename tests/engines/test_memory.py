"""What an engine may take: read from the setting, said where it is too little."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import ibis
import pytest

from tradewind.engines import memory, snapshot
from tradewind.engines.duckdb import DuckDB
from tradewind.engines.spark import Spark
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


@pytest.mark.usefixtures("pyspark")
def test_memory_in_which_spark_cannot_start_is_said_before_it_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(memory.SETTING, "100MB")
    with pytest.raises(UnsupportedError, match=r"needs more memory.*512 MiB or more.*DuckDB"):
        Spark("local[1]")


@pytest.mark.parametrize(
    "ended",
    [
        ConnectionRefusedError(111, "Connection refused"),
        RuntimeError("An error occurred while calling o62.getResult.\n: java.lang.OutOfMemoryError: Java heap space"),
        RuntimeError("Job 4 cancelled because SparkContext was shut down"),
    ],
)
def test_java_that_ended_for_want_of_memory_is_one_clear_error(ended: Exception) -> None:
    with pytest.raises(UnsupportedError, match="more memory") as raised:
        failing(ended).arrow(ibis.literal(1))
    assert memory.SETTING in (raised.value.do or "")


def test_another_error_of_spark_stays_what_it_is() -> None:
    with pytest.raises(ValueError, match="as it was"):
        failing(ValueError("as it was")).arrow(ibis.literal(1))


def failing(error: Exception) -> Spark:
    """Spark whose session answers every question with an error."""

    def sql(_: str) -> None:
        raise error

    spark = object.__new__(Spark)
    spark._session = SimpleNamespace(sql=sql)
    spark._con = SimpleNamespace(_run_pre_execute_hooks=lambda expression: None, compile=str)
    return spark
