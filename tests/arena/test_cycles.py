"""Cycles: what is launched is read, and what was read scales the next plan."""

from __future__ import annotations

from pathlib import Path

import pytest

from tradewind.arena.cycles import LIVED, cycles
from tradewind.engines.store import open_store
from tradewind.ledger import open_ledger
from tradewind.sources.worlds.preset import preset
from tradewind.study import Lever


def test_a_plan_is_launched_lived_read_and_scales_the_next(tmp_path: Path) -> None:
    first, second, third = cycles("tiny", 3, tmp_path, 3, (Lever.COMMISSION,))
    assert (first.number, second.number, third.number) == (0, 1, 2)
    assert first.actions > 0
    assert (first.readings, first.unread, third.readings, third.read) == (1, (), 0, None)
    assert first.low < first.promised < first.high
    assert first.error == abs(first.promised - first.truth)
    lived = open_store(str(tmp_path / "tiny-3-1")).span
    assert lived.days == preset("tiny").days + LIVED
    ledger = open_ledger(tmp_path / "tiny-3.db")
    assert ledger.verify().sound
    pairs = ledger.track().pairs
    assert [pair.lever for pair in pairs] == [Lever.COMMISSION] * (1 + second.readings)
    assert pairs[0].proven.mid == pytest.approx(first.read)
    ledger.close()
