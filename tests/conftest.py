"""Fixtures of the whole suite: the market made by hand, and a store of it on each engine."""

from __future__ import annotations

import gc
import importlib.util
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import market
from needs import MASTER, lacking
from tradewind.engines.store import Store, open_store

pytest_plugins = ("servers",)
SERVERS = Path(__file__).parent / "faces" / "server"
LONGEST = (
    "spark", "arena", "server", "leaks", "browser", "test_filling", "test_fluctuation", "test_cycles", "test_wings",
    "complete journey", "test_incidents", "test_performance",
)  # fmt: skip
ENGINES = ("duckdb", "spark")
# short queries on little data: a quick compiler and a small collector start Spark in half the time
os.environ.setdefault("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")
# Spark compiles each query to bytecode, which takes longer than so little data; `compiled` lets it
INTERPRETED = {"spark.sql.codegen.wholeStage": "false", "spark.sql.codegen.factoryMode": "NO_CODEGEN"}
COMPILED = {"spark.sql.codegen.wholeStage": "true", "spark.sql.codegen.factoryMode": "FALLBACK"}
os.environ.setdefault(
    "PYSPARK_SUBMIT_ARGS", " ".join(f"--conf {name}={value}" for name, value in INTERPRETED.items()) + " pyspark-shell"
)


def pytest_configure(config: pytest.Config) -> None:
    os.register_at_fork(after_in_child=gc.disable)  # what a parent's threads hold is not a child's to collect
    config.addinivalue_line("markers", "spark: runs on Apache Spark")
    config.addinivalue_line("markers", "xdist_group(name): tests that one worker runs together")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what runs on Spark; give one worker what shares a session, a server or a file, the longest groups first."""
    for item in items:
        call = getattr(item, "callspec", None)
        if call is not None and call.params.get("engine") == "spark":
            item.add_marker(pytest.mark.spark)
            item.add_marker(pytest.mark.xdist_group("spark"))
        elif item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group("server" if SERVERS in item.path.parents else item.path.stem))
    last = len(LONGEST)
    items.sort(key=lambda item: next((LONGEST.index(name) for name in _groups(item) if name in LONGEST), last))


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Have the collector pass over what was imported and collected, which is a sixth of the suite's time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)


def _groups(item: pytest.Item) -> set[str]:
    return {str((*mark.args, mark.kwargs.get("name"))[0]) for mark in item.iter_markers("xdist_group")}


def lacking_for_spark() -> str | None:
    """Say what Spark lacks on this machine, or None where it can run."""
    if importlib.util.find_spec("pyspark") is None:
        return "pyspark is not installed: pip install 'tradewind[spark]'"
    if not (os.environ.get("JAVA_HOME") or shutil.which("java")):
        return "Spark needs Java 17: install it and set JAVA_HOME"
    return None


@pytest.fixture(scope="session")
def pyspark() -> None:
    """What a test needs that asks Spark for no answer."""
    if importlib.util.find_spec("pyspark") is None:
        lacking("pyspark is not installed: pip install 'tradewind[spark]'")


@pytest.fixture(scope="session", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """The engine's name; a test that asks for it runs once on each."""
    if request.param == "spark" and (what := lacking_for_spark()):
        lacking(what)
    return request.param


@pytest.fixture
def compiled(engine: str) -> Iterator[None]:
    """Let Spark compile what it runs, as it does for users."""
    if engine != "spark":
        yield
        return
    from pyspark.sql import SparkSession  # noqa: PLC0415  only where Spark is there

    def setting(values: dict[str, str]) -> None:
        for name, value in values.items():
            SparkSession.builder.getOrCreate().conf.set(name, value)

    setting(COMPILED)
    yield
    setting(INTERPRETED)


@pytest.fixture(scope="session")
def opened(engine: str) -> Callable[[Path], Store]:
    """Open the store in a folder on the engine."""
    return lambda folder: open_store(f"spark+{MASTER}:{folder}" if engine == "spark" else str(folder))


@pytest.fixture(scope="session")
def market_rows() -> market.Rows:
    """The rows of every table of the market."""
    return market.rows()


@pytest.fixture(scope="session")
def market_folder(tmp_path_factory: pytest.TempPathFactory, market_rows: market.Rows) -> Path:
    """A folder with a store of the market; not to be written to."""
    folder = tmp_path_factory.mktemp("market") / "store"
    market.write(folder, market_rows)
    return folder


@pytest.fixture(scope="session")
def bare_folder(tmp_path_factory: pytest.TempPathFactory, market_rows: market.Rows) -> Path:
    """A folder with a store that has the barest order lines and nothing else; not to be written to."""
    folder = tmp_path_factory.mktemp("bare") / "store"
    market.write(folder, market.bare(market_rows))
    return folder


@pytest.fixture
def market_copy(tmp_path: Path, market_folder: Path) -> Path:
    """A folder with a store of the market, to be written to."""
    return Path(shutil.copytree(market_folder, tmp_path / "copy"))


@pytest.fixture(scope="session")
def store(opened: Callable[[Path], Store], market_folder: Path) -> Store:
    """The market on each engine, as an operator sees it."""
    return opened(market_folder)


@pytest.fixture(scope="session")
def bare_store(opened: Callable[[Path], Store], bare_folder: Path) -> Store:
    """The barest source on each engine."""
    return opened(bare_folder)


@pytest.fixture(scope="session")
def market_store(market_folder: Path) -> Store:
    """The market on the embedded engine, for what does not depend on the engine."""
    return open_store(str(market_folder))
