from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tradewind.engines import store as stores
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


@pytest.mark.usefixtures("pyspark")
def test_without_java_what_to_install_is_said(tmp_path: Path) -> None:
    code = "from tradewind.engines.spark import Spark; Spark('local[1]')"
    nowhere = os.environ | {"JAVA_HOME": str(tmp_path)}
    found = subprocess.run([sys.executable, "-c", code], env=nowhere, capture_output=True, text=True, check=False)
    told = found.stderr.strip().splitlines()[-1]
    assert told.startswith("tradewind.errors.UnsupportedError: Spark does not start. Got: local[1]: ")
    assert "install Java 17" in told


def test_spark_that_was_stopped_is_started_again(market_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started = []

    def start(master: str) -> SimpleNamespace:
        started.append(SimpleNamespace(name=master, stopped=False))
        return started[-1]

    monkeypatch.setattr(stores, "Spark", start)
    monkeypatch.setattr(stores, "_spark", stores.cache(stores._spark.__wrapped__))
    address = f"spark+local[2]:{market_folder}"
    assert open_store(address).engine is open_store(address).engine
    started[0].stopped = True
    assert open_store(address).engine is started[1]
    assert len(started) == 2
