from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tradewind.engines.spark import Spark
from tradewind.engines.store import FOLDER, open_store, split_address
from tradewind.errors import BadInputError, NotFoundError, UnsupportedError


@pytest.mark.parametrize(
    ("address", "master", "folder"),
    [
        ("stores/mine", None, "stores/mine"),
        ("C:/stores", None, "C:/stores"),
        ("spark+local[2]:/stores/mine", "local[2]", "/stores/mine"),
        ("spark+local[*]:mine", "local[*]", "mine"),
        ("spark+spark://host:7077:/stores/mine", "spark://host:7077", "/stores/mine"),
        ("spark+sc://host:15002:/stores/mine", "sc://host:15002", "/stores/mine"),
    ],
)
def test_addresses(address: str, master: str | None, folder: str) -> None:
    assert split_address(address) == (master, Path(folder))


@pytest.mark.parametrize(
    "address", ["spark+", "spark+local[2]", "spark+local[2]:", "spark+:folder", "spark+yarn:folder", "spark+sc://host"]
)
def test_addresses_that_cannot_be_read(address: str) -> None:
    with pytest.raises(BadInputError, match="cannot be read"):
        split_address(address)


def test_the_environment_names_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER, "stores/mine")
    assert split_address() == (None, Path("stores/mine"))
    monkeypatch.delenv(FOLDER)
    with pytest.raises(BadInputError, match="No store was named"):
        split_address()


def test_a_folder_without_a_store_is_said_before_an_engine_starts(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        open_store(f"spark+local[2]:{tmp_path}")


def test_without_pyspark_the_embedded_engine_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyspark.sql", None)
    with pytest.raises(UnsupportedError, match=r"tradewind\[spark\].*DuckDB"):
        Spark("local[2]")
