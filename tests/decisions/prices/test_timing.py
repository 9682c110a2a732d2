"""Sellers who time discounts to what sells: what that may do to the answer to prices is in its interval, and said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import stall

from tradewind.decisions.prices import Learnt, learn, study
from tradewind.decisions.prices.response import GAP
from tradewind.study import Estimate

SEEDS = (1, 2, 3, 4)


def sd(estimate: Estimate) -> float:
    return (estimate.high - estimate.low) / 3.29


def built(folder: Path, seed: int, timed: float) -> Learnt:
    return learn(stall.build(folder / f"store{seed}", seed, lot=False, timed=timed), stall.MONTH)


@pytest.mark.parametrize("timed", [3.0, -2.0])
def test_timing_is_in_the_interval(tmp_path: Path, timed: float):
    """Odds of a discount change 1.8 to 2.5 times where a shock of one standard deviation sells a third more."""
    held, by_gap, lasts = 0, 0, 0
    for seed in SEEDS:
        found = built(tmp_path, seed, timed).response
        assert found.timing is not None
        assert -np.sign(timed) * found.timing.mid > 0
        held += found.overall.low < stall.ELASTICITY < found.overall.high
        lasts += found.lasting.low < 1 < found.lasting.high  # nothing is pulled forward there
        by_gap += abs(found.observed.mid - stall.ELASTICITY) < 1.645 * np.hypot(sd(found.observed), GAP)
    assert held >= 3
    assert lasts >= 3
    assert by_gap < 3


def test_where_nobody_times_intervals_stay(tmp_path: Path):
    held = 0
    for seed in SEEDS:
        found = built(tmp_path, seed, 1e-9).response
        assert found.timing is not None
        held += found.timing.low < 0 < found.timing.high
        assert sd(found.overall) < 1.15 * np.hypot(GAP, sd(found.observed))
        assert found.overall.low < stall.ELASTICITY < found.overall.high
    assert held >= 3


def test_prices_drawn_by_lot_tell_what_timing_does(tmp_path: Path):
    held, seen = 0, 0
    for seed in SEEDS:
        found = learn(stall.build(tmp_path / f"timed{seed}", seed, timed=3.0), stall.MONTH).response
        assert abs(found.overall.mid - stall.ELASTICITY) < abs(found.observed.mid - stall.ELASTICITY)
        held += found.overall.low < stall.ELASTICITY < found.overall.high
        seen += found.timing is not None
        plain = learn(stall.build(tmp_path / f"plain{seed}", seed), stall.MONTH).response
        assert plain.timing is None or plain.timing.low < 0 < plain.timing.high
        assert plain.randomised is not None
        lot, own = sd(plain.randomised) ** 2, sd(plain.observed) ** 2 + GAP**2
        assert sd(plain.overall) < 1.001 * (lot * own / (lot + own)) ** 0.5
    assert held >= 3
    assert seen >= 1


def test_timing_is_said(tmp_path: Path):
    timed = study(stall.build(tmp_path / "timed", lot=False, timed=4.0), stall.MONTH).caveats
    assert any("Sellers take off more after a week that sold little" in caveat for caveat in timed)
    other = study(stall.build(tmp_path / "other", lot=False, timed=-4.0), stall.MONTH).caveats
    assert any("Sellers take off more after a week that sold much" in caveat for caveat in other)
    none = study(stall.build(tmp_path / "none", lot=False), stall.MONTH).caveats
    assert not any("Sellers take off more" in caveat for caveat in none)
