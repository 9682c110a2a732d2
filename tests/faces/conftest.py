"""Fixtures of the faces: one wing made for the tests, and a folder to run commands in."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import reef
import sea

from tradewind.faces.studies import WINGS, Wing


@pytest.fixture
def tides(monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of the one wing there is while a test runs."""
    monkeypatch.setitem(sys.modules, "tradewind.decisions.tides", sea)
    for name in list(WINGS):
        monkeypatch.delitem(WINGS, name)
    monkeypatch.setitem(WINGS, "tides", Wing("tides", "Tides", "What are the tides?"))
    return "tides"


@pytest.fixture
def reefs(monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of the one wing there is while a test runs, which acts."""
    monkeypatch.setitem(sys.modules, "tradewind.decisions.reef", reef)
    for name in list(WINGS):
        monkeypatch.delitem(WINGS, name)
    monkeypatch.setitem(WINGS, "reef", Wing("reef", "Reef", "Is it alive?", acts=True))
    return "reef"


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, market_folder: Path, tmp_path: Path) -> Path:
    """An empty folder to run commands in, with the market as the store of the environment."""
    monkeypatch.setenv("TRADEWIND_STORE", str(market_folder))
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.chdir(tmp_path)
    return tmp_path
