"""List prices raised for show: what counts is what was asked, whatever it was beside."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import stall

from tradewind.decisions.prices import Learnt, learn, study
from tradewind.decisions.prices.reference import ALIKE, AROUND, rebased
from tradewind.period import Period
from tradewind.study import Action, Lever, Party, Setting, Subject

WEEKS = 26


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Learnt:
    return learn(stall.build(tmp_path_factory.mktemp("plain") / "store", lot=False), stall.MONTH)


@pytest.fixture(scope="module")
def lifted(tmp_path_factory: pytest.TempPathFactory) -> Learnt:
    """The same market, where list prices are a quarter higher in weeks of a discount, or in the one after as well."""
    return learn(stall.build(tmp_path_factory.mktemp("lifted") / "store", lot=False, shown=0.25), stall.MONTH)


def test_a_list_price_raised_for_show_changes_no_answer(plain: Learnt, lifted: Learnt):
    assert lifted.panel.raised.sum() > 40
    assert lifted.response.elasticity == pytest.approx(plain.response.elasticity, abs=1e-6)
    assert lifted.response.lasting.mid == pytest.approx(plain.response.lasting.mid, abs=1e-6)
    assert lifted.outlook.now == pytest.approx(plain.outlook.now, abs=1e-6)  # what stands to the end of the week


def test_the_same_price_is_worth_the_same_whatever_the_list_says(plain: Learnt, lifted: Learnt):
    high = lifted.panel.list_price > 1.2 * plain.panel.list_price
    assert 10 < high.sum() < 70
    days = Period(stall.LAST + timedelta(days=1), stall.LAST + timedelta(days=28))

    def gain(learnt: Learnt, row: int, off: float) -> float:
        action = Action(
            "a", Lever.PRICE, Subject("product", stall.name(row)), days, (Setting({"off": off}, {Party.MERCHANT: 1.0}),)
        )
        (joint,) = (setting.joint for setting in learnt.appraise([action])[0].menu)
        assert joint is not None
        return joint.mid

    for row in range(0, stall.PRODUCTS, 3):
        off = 1 - 1 / 1.25 if high[row] else 0.0
        assert gain(lifted, row, off) == pytest.approx(gain(plain, row, 0.0), rel=1e-6, abs=1e-6)


def test_says_so(tmp_path: Path):
    said = study(stall.build(tmp_path, lot=False, shown=0.25), stall.MONTH).caveats
    assert any("was raised for some weeks without being asked" in caveat for caveat in said)


def test_list_prices_that_never_moved_are_left_to_the_last_digit():
    draw = np.random.default_rng(0)
    off = np.where(draw.random((50, WEEKS)) < 0.3, np.nan, draw.choice([0, 0.1, 0.35], (50, WEEKS)))
    listed = np.where(np.isnan(off), np.nan, draw.uniform(5, 80, 50)[:, None])
    found, usual, raised = rebased(off, listed, np.nanmax(listed, axis=1))
    assert np.array_equal(found, off, equal_nan=True)
    assert np.array_equal(usual, np.nanmax(listed, axis=1))
    assert not raised.any()


@pytest.mark.parametrize("since", [3, 10, 20])
@pytest.mark.parametrize("times", [1.25, 0.8])
def test_a_list_price_that_moves_for_good_moves_what_counts(since: int, times: float):
    listed = np.where(np.arange(WEEKS) < WEEKS - since, 40.0, 40.0 * times)
    off, usual, _ = rebased(np.zeros((1, WEEKS)), listed[None], listed[-1:])
    # Weeks count at their own list price, or, near an end of what is known, at the other one, at what was truly asked.
    counts = listed / (1 - off[0])
    assert np.isin(counts.round(9), (40.0, 40.0 * times)).all()
    assert np.flatnonzero(counts != listed).size <= AROUND // 2
    assert usual[0] == counts[-1]


def test_what_was_asked_is_kept_while_a_list_price_is_raised_today():
    asked = np.where(np.arange(WEEKS) % 5 == 0, 32.0, 40.0)
    listed = np.where(np.arange(WEEKS) % 5 <= 1, 50.0, 40.0)
    assert listed[-1] == 50
    off, usual, raised = rebased(1 - asked[None] / listed[None], listed[None], listed[-1:])
    assert raised
    assert usual == pytest.approx(40)
    assert (1 - off[0]) * 40 == pytest.approx(asked)


def test_agrees_with_a_loop():
    draw = np.random.default_rng(4)
    listed = 10.0 * draw.choice([1.0, 1.0, 1.0, 1.2, 1.5], (60, WEEKS))
    asked = np.minimum(listed, 10.0 * draw.choice([1.0, 0.9, 0.7, 1.3], (60, WEEKS)))
    gone = draw.random((60, WEEKS)) < 0.2
    listed[gone] = asked[gone] = np.nan
    found, told, _ = rebased(1 - asked / listed, listed, listed[:, -1])
    for n in range(60):
        counts = np.full(WEEKS, np.nan)
        for w in np.flatnonzero(~gone[n]).tolist():
            near = sorted(listed[n, v] for v in range(max(w - AROUND, 0), min(w + AROUND + 1, WEEKS)) if not gone[n, v])
            usual = min(near[(len(near) - 1) // 2], float(np.nanmax(asked[n])))
            counts[w] = listed[n, w] if asked[n, w] > usual * (1 + ALIKE) else usual
        now, last = listed[n, -1], counts[np.flatnonzero(~gone[n])[-1]]
        assert found[n] == pytest.approx(1 - asked[n] / counts, nan_ok=True)
        last = now if np.isnan(now) or abs(last / now - 1) <= ALIKE else last
        assert told[n] == pytest.approx(last, nan_ok=True)
